"""One non-blocking socket of the driver, and what its loop watches of it.

Layer: client. Part of the driver: it does I/O.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from kproto.client.effects import Buffer, Open
from kproto.client.errors import ConfigError

__all__ = ["Link", "check_loop", "reason_of"]

IN_PROGRESS: Final = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)})


class Link:
    """A socket that connects to what an `Open` names; connected: whether it has.

    send_buffer_bytes, receive_buffer_bytes: -1 as the system has it. Raises OSError where nothing can be connected.
    """

    def __init__(self, effect: Open, send_buffer_bytes: int, receive_buffer_bytes: int) -> None:
        self.connection_id = effect.connection_id
        self.connected = False
        self.wants_write = True  # a socket is writable once it has connected
        self.readable = False  # the loop has said so
        self.resting = False  # the loop is to leave it alone, once it has connected: other threads see to it
        self.looked_ms = 0  # when it was read last, or there was nothing to read
        self.owed = False  # something was written since anything was read: an answer may be there
        self._watched = (False, False)
        family = socket.AF_INET6 if ":" in effect.address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if send_buffer_bytes >= 0:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            if receive_buffer_bytes >= 0:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            code = self.socket.connect_ex((effect.address, effect.port))
            if code not in IN_PROGRESS:
                raise OSError(code, os.strerror(code))
        except OSError:
            self.socket.close()
            raise

    def finish(self) -> tuple[tuple[str, int], tuple[str, int]]:
        """The attempt has ended: host and port of our end, and of theirs. Raises OSError where it has failed."""
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        local, remote = self.socket.getsockname(), self.socket.getpeername()  # raises where it is gone already
        self.connected = True
        self.wants_write = False
        return (local[0], local[1]), (remote[0], remote[1])

    def send(self, buffers: list[Buffer]) -> int:
        """Write what the system takes; how many bytes. Raises BlockingIOError where it takes none, OSError."""
        if hasattr(self.socket, "sendmsg"):
            return self.socket.sendmsg(buffers)
        return self.socket.send(buffers[0])  # Windows has no sendmsg

    def say_goodbye(self, data: bytes) -> None:
        """Write what the system takes of it now: nobody waits for the rest, nor hears what becomes of it."""
        if data and self.connected:
            with suppress(OSError):
                self.socket.send(data)

    @property
    def watched(self) -> bool:
        """Whether the loop watches what it should."""
        return self._watched == self._wanted()

    def _wanted(self) -> tuple[bool, bool]:
        if self.connected and self.resting:
            return False, False
        return self.connected, self.wants_write

    def watch(
        self, loop: asyncio.AbstractEventLoop, on_readable: Callable[[], None], on_writable: Callable[[], None]
    ) -> None:
        """Have the loop watch for what matters now. Only in the loop's thread."""
        fileno = self.socket.fileno()
        reads, writes = self._watched
        self._watched = wants_read, wants_write = self._wanted()
        if wants_read and not reads:
            loop.add_reader(fileno, on_readable)
        elif reads and not wants_read:
            loop.remove_reader(fileno)
        if wants_write and not writes:
            loop.add_writer(fileno, on_writable)
        elif writes and not wants_write:
            loop.remove_writer(fileno)

    def close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Only in the loop's thread: the loop must forget the socket before its number is used again."""
        fileno = self.socket.fileno()
        reads, writes = self._watched
        if not loop.is_closed():
            if reads:
                loop.remove_reader(fileno)
            if writes:
                loop.remove_writer(fileno)
        self.socket.close()


def reason_of(error: OSError) -> str:
    """What the system says, as the beginning of a phrase."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:] if text else type(error).__name__


def check_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Raises ConfigError, which says what to do, where the loop cannot watch sockets."""
    ours, theirs = socket.socketpair()
    try:
        loop.add_reader(ours.fileno(), lambda: None)
        loop.remove_reader(ours.fileno())
    except NotImplementedError:
        raise ConfigError(
            f"the event loop {type(loop).__name__} cannot watch sockets (add_reader), as Windows' default cannot: "
            "use asyncio.run(main(), loop_factory=asyncio.SelectorEventLoop)"
        ) from None
    finally:
        ours.close()
        theirs.close()
