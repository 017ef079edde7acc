"""The control channel: a command as one line of JSON, an answer as one line of JSON, over TCP of the loopback.

    {"do": "fail", "fault": "close", "api": "Produce", "at": "after_append"}  ->  {"ok": true}
    {"do": "violations"}  ->  {"ok": true, "violations": []}
    {"do": "dance"}  ->  {"ok": false, "error": "do: not 'dance': known are ..."}

Layer: tools. Lives on the loop that has the cluster.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from kproto.tools.broker.commands import run_command
from kproto.tools.broker.server import JudgeServer, ServerError, address
from kproto.wire import KafkaError

__all__ = ["Control", "answer_line"]

LINE_MAX: Final = 1 << 20  # bytes
HOST: Final = "127.0.0.1"  # whoever may command the broker is on this machine


def answer_line(server: JudgeServer, line: bytes) -> bytes:
    """What a line is answered with; never raises for what the line says."""
    try:
        answer = {"ok": True, **run_command(server.cluster, json.loads(line))}
    except (ValueError, RecursionError) as error:
        answer = {"ok": False, "error": f"this is no JSON: {error}"}
    except KafkaError as error:
        answer = {"ok": False, "error": str(error)}
    server.settle()
    return json.dumps(answer).encode() + b"\n"


class Control:
    """Listens at a port, 0 for a free one; `address` once it has started."""

    def __init__(self, server: JudgeServer, port: int) -> None:
        self._server = server
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._listener: asyncio.Server | None = None
        self.address = ""

    async def start(self) -> None:
        """Raises ServerError."""
        try:
            self._listener = await asyncio.start_server(self._serve, HOST, self._port, limit=LINE_MAX)
        except OSError as error:
            raise ServerError(f"no control channel at {address(HOST, self._port)}: {error.strerror}") from error
        self.address = address(HOST, self._listener.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while line := await reader.readline():
                if line.strip():
                    writer.write(answer_line(self._server, line))
                    await writer.drain()
        except ValueError:
            writer.write(b'{"ok": false, "error": "a line has at most %d bytes"}\n' % LINE_MAX)
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def stop(self) -> None:
        """No more commands."""
        if self._listener is not None:
            self._listener.close()
            for writer in list(self._writers):
                writer.transport.abort()
            while self._writers:
                await asyncio.sleep(0)
            await self._listener.wait_closed()
