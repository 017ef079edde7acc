"""Scripted ends behind a real TCP port of the loopback, for clients that own their sockets.

    with Loopback(ScriptedBroker(ScriptedCluster())) as server:
        AdminClient({"bootstrap.servers": server.bootstrap_servers}).list_topics()

One thread, no sleeps; nothing is left when the block is over. Ends and brokers live in that thread: reach into them
with `call`, or before and after the block.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from struct import pack
from types import TracebackType
from typing import TypeVar

from client.other_ends import End, TlsEnd
from client.scripted_broker import ScriptedBroker

__all__ = ["Loopback", "has_ipv6"]

T = TypeVar("T")
RECV_SIZE = 1 << 16
STOP_SECONDS = 30
WAKE = b"\0"


def has_ipv6() -> bool:
    """Whether ::1 can be bound here."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


class Loopback:
    """A port, each of whose connections is an end: of a broker, or of what `server` makes.

    A broker's node gets the host and port. tls: a server's context. chunk: bytes of each read and write.
    cut_sent, cut_received: the connection is reset after so many bytes to or from the client.
    `host` and `port` are known inside the block. An exception in the thread is raised by `call` and at the end.
    """

    def __init__(
        self,
        server: ScriptedBroker | Callable[[], End],
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        chunk: int = RECV_SIZE,
        cut_sent: int | None = None,
        cut_received: int | None = None,
    ) -> None:
        self.server = server
        self.host = host
        self.port = 0
        self.tls = tls
        self.chunk = chunk
        self.cut_sent = cut_sent
        self.cut_received = cut_received
        self.accepted = 0
        self._calls: deque[Callable[[], None]] = deque()
        self._stopping = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="loopback", daemon=True)

    @property
    def bootstrap_servers(self) -> str:
        """As clients want it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __enter__(self) -> Loopback:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.create_server((self.host, 0), family=family)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        if isinstance(self.server, ScriptedBroker):
            node = self.server.cluster.nodes[self.server.node_id]
            node.host, node.port = self.host, self.port
        self._waker, self._woken = socket.socketpair()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._wake()
        self._thread.join(STOP_SECONDS)
        self._waker.close()
        if self._thread.is_alive():
            raise RuntimeError(f"the loopback thread did not end within {STOP_SECONDS} s")
        if self._error is not None and kind is None:
            raise self._error

    def call(self, function: Callable[[], T]) -> T:
        """The result of a function that runs between two passes of the server's thread, which then sends what waits."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)

        self._calls.append(run)
        self._wake()
        while not future.done():
            if not self._thread.is_alive():
                raise RuntimeError("the loopback thread has ended") from self._error
            with suppress(TimeoutError):
                return future.result(0.1)
        return future.result()

    def _wake(self) -> None:
        with suppress(BrokenPipeError):  # the thread has ended by an error
            self._waker.send(WAKE)

    def reset(self) -> None:
        """Reset all connections that are open now."""

        def drop_all() -> None:
            for opened in list(self._open):
                self._drop(opened, reset=True)

        self.call(drop_all)

    def _run(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._open: dict[socket.socket, _Open] = {}
        try:
            self._selector.register(self._listener, selectors.EVENT_READ)
            self._selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping:
                self._pass()
        except BaseException as error:
            self._error = error
        finally:
            for opened in list(self._open):
                self._drop(opened)
            self._selector.close()
            self._listener.close()
            self._woken.close()

    def _pass(self) -> None:
        for key, events in self._selector.select():
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._woken:
                self._woken.recv(RECV_SIZE)
                while self._calls:
                    self._calls.popleft()()
            elif key.fileobj in self._open and events & selectors.EVENT_READ:
                self._read(key.fileobj)
        for opened in list(self._open):
            self._write(opened)

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.accepted += 1
        try:
            end = self.server.connect() if isinstance(self.server, ScriptedBroker) else self.server()
        except BaseException:
            accepted.close()  # the traceback would keep it open
            raise
        self._open[accepted] = _Open(end if self.tls is None else TlsEnd(end, self.tls))
        self._selector.register(accepted, selectors.EVENT_READ)

    def _read(self, opened: socket.socket) -> None:
        state = self._open[opened]
        size = self.chunk if self.cut_received is None else min(self.chunk, self.cut_received - state.received)
        try:
            data = opened.recv(size)
        except OSError:
            data = b""
        state.received += len(data)
        if not data:
            self._drop(opened, reset=size == 0)
            return
        state.end.receive(data, time.monotonic_ns() // 1_000_000)
        if state.received == self.cut_received:
            self._drop(opened, reset=True)

    def _write(self, opened: socket.socket) -> None:
        state = self._open[opened]
        state.waiting += state.end.output()
        allowed = self.chunk if self.cut_sent is None else min(self.chunk, self.cut_sent - state.sent)
        try:
            sent = opened.send(state.waiting[:allowed]) if state.waiting else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(opened)
            return
        del state.waiting[:sent]
        state.sent += sent
        if state.sent == self.cut_sent:
            self._drop(opened, reset=True)
        elif state.end.closed and not state.waiting:
            self._drop(opened)
        else:
            writing = selectors.EVENT_WRITE if state.waiting else 0
            self._selector.modify(opened, selectors.EVENT_READ | writing)

    def _drop(self, opened: socket.socket, *, reset: bool = False) -> None:
        self._open.pop(opened).end.closed = True
        self._selector.unregister(opened)
        if reset:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        opened.close()


class _Open:
    """A connection that is open: its end, what waits to be sent, and how many bytes went each way."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.waiting = bytearray()
        self.sent = 0
        self.received = 0
