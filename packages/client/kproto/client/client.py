"""The face of the client layer: ask any node of a cluster anything.

Layer: client. For asyncio; it runs in the loop of whoever starts it.

    async with Client("localhost:9092") as client:
        cluster = await client.metadata(["orders"])
        response = await client.send(request, node=cluster.leader_for(TopicPartition("orders", 0)))
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from kproto.client.cluster import Cluster, Node
from kproto.client.config import ClientConfig
from kproto.client.driver import Driver, monotonic_ms
from kproto.client.effects import ConnectionObserver
from kproto.client.errors import (
    ClientClosedError,
    KafkaError,
    KafkaTimeoutError,
    NoBrokersAvailable,
    NotKafkaError,
    UnsupportedVersionError,
)
from kproto.client.network import NetworkClient
from kproto.client.observing import GuardedObserver
from kproto.client.tokens import TokenSource
from kproto.wire import RESPONSES, ProduceRequest, Request, Response

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Client"]

logger = logging.getLogger("kproto.client")
R = TypeVar("R", bound=Response)

LOGGED_MAX = 16  # warnings that are not logged again
HOPELESS = (NotKafkaError, UnsupportedVersionError)  # no repetition cures these


@dataclass(slots=True, eq=False)
class Waiter:
    """Somebody who waits for what an answer changes. check: the value he waits for, None for not yet; may raise."""

    future: asyncio.Future[Any]
    check: Callable[[], Any]


Outcome = tuple["asyncio.Future[Any]", Any, KafkaError | None]


class Client:
    """Connections to a cluster.

    bootstrap_servers: "host:port" or several, with commas or as a list; settings: those of ClientConfig, by name;
    observer: hears of each connection and frame, such as a recorder. Raises ConfigError. Opens nothing before `start`,
    which `async with` calls. All methods are for the thread of the loop that started it; `cluster` is for any thread.
    """

    def __init__(
        self,
        bootstrap_servers: str | Sequence[str] = "localhost:9092",
        *,
        observer: ConnectionObserver | None = None,
        **settings: Any,
    ) -> None:
        self.config = ClientConfig.of(bootstrap_servers=bootstrap_servers, **settings)
        self._observer = None if observer is None else GuardedObserver(observer)
        self._core: NetworkClient | None = None
        self._driver: Driver | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: list[Waiter] = []
        self._logged: deque[Any] = deque(maxlen=LOGGED_MAX)
        self._thread = 0
        self._closed = False

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self, timeout: float | None = None) -> None:
        """Connect to a broker and learn the cluster. timeout: seconds, request_timeout_ms if None.

        Raises AuthenticationError, NotKafkaError and UnsupportedVersionError at once, NoBrokersAvailable with the error
        of each server after the timeout, ConfigError, ClientClosedError.
        """
        if self._closed:
            raise ClientClosedError
        if self._core is None:
            self._begin()
        core = self._core
        assert core is not None

        def check() -> Cluster | None:
            if core.metadata.update_version:
                return core.cluster
            error = core.connection_error()
            if isinstance(error, NoBrokersAvailable) and all(isinstance(each, HOPELESS) for each in error.attempts):
                raise error.attempts[0] if len(error.attempts) == 1 else error
            return None

        await self._wait(check, "the first answer of a broker", timeout)

    def _begin(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        config, observer = self.config, self._observer
        core = NetworkClient(
            config,
            rng=random.Random(secrets.randbits(64)),
            make_nonce=lambda: secrets.token_urlsafe(24),
            now_ms=monotonic_ms(),
            observer=observer,
        )
        provider = config.sasl_oauth_token_provider
        self._driver = Driver(
            core,
            loop=self._loop,
            collect=self._collect,
            deliver=self._deliver,
            send_buffer_bytes=config.send_buffer_bytes,
            receive_buffer_bytes=config.receive_buffer_bytes,
            tokens=None if provider is None else TokenSource(provider, monotonic_ms),
            observer=observer,
        )
        self._core = core

    async def close(self) -> None:
        """Close all connections; whoever waits gets ClientClosedError. Never raises, and may be called again."""
        self._closed = True
        core, driver = self._core, self._driver
        if core is not None and driver is not None:
            driver.call(core.close)
            driver.close()
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _settle(waiter.future, None, ClientClosedError("the client was closed meanwhile"))

    @property
    def cluster(self) -> Cluster:
        """What is known of the cluster now: immutable, replaced as a whole. Empty before `start`."""
        return Cluster() if self._core is None else self._core.cluster

    async def metadata(self, topics: Iterable[str] | None = (), timeout: float | None = None) -> Cluster:
        """Ask about topics, or all of them if None; the cluster with what the answer says.

        Why a topic cannot be shown stands in `topic_errors`. timeout: seconds, request_timeout_ms if None. Concurrent
        callers share one request. Raises KafkaTimeoutError with its cause, AuthenticationError, ClientClosedError.
        """
        core, driver = self._running()
        names = None if topics is None else [topics] if isinstance(topics, str) else list(topics)
        passed: list[int] = []

        def ask(now_ms: int) -> None:
            if names is None:
                core.metadata.all_topics = True
            for name in names or ():
                core.metadata.add_topic(name, now_ms)
            passed.append(core.metadata.request_update(reset=True))

        def check() -> Cluster | None:
            return core.cluster if passed and core.metadata.update_version > passed[0] else None

        driver.call(ask)
        about = "all topics" if names is None else ", ".join(names[:5]) or "the cluster"
        cluster: Cluster = await self._wait(check, f"metadata of {about}", timeout)
        return cluster

    async def send(
        self,
        request: Request,
        *,
        node: Node | int | None = None,
        version: int | None = None,
        response: type[R] | None = None,
        timeout: float | None = None,
    ) -> Any:
        """Ask a node, or any if None; the answer, or None where the broker sends none (Produce with acks=0).

        version: the highest that both sides speak if None. response: the class of the answer, where the request is not
        a declared one. timeout: seconds for all of it, request_timeout_ms if None; a request that was sent by then may
        still be carried out. Raises KafkaTimeoutError, KafkaConnectionError, AuthenticationError, EncodeError,
        UnsupportedVersionError, ClientClosedError. An error code in the answer is not raised: it is part of the answer.
        """
        core, driver = self._running()
        timeout_ms = self.config.request_timeout_ms if timeout is None else int(timeout * 1000)
        assert self._loop is not None
        future: asyncio.Future[Response | None] = self._loop.create_future()
        node_id = node.node_id if isinstance(node, Node) else node
        answer = _answer_class(request, response)
        driver.call(
            lambda now_ms: core.enqueue(
                request, future, now_ms, timeout_ms=timeout_ms, node_id=node_id, version=version, response=answer
            )
        )
        try:
            async with asyncio.timeout(None if timeout is None else timeout + 0.05):  # the core's own error is better
                return await future
        except TimeoutError as error:
            if isinstance(error, KafkaError):
                raise
            raise KafkaTimeoutError(f"an answer to {type(request).__name__}", timeout_ms) from None

    def _running(self) -> tuple[NetworkClient, Driver]:
        if self._closed:
            raise ClientClosedError
        if self._core is None or self._driver is None:
            raise ClientClosedError("the client is not started: use async with, or await start()")
        return self._core, self._driver

    async def _wait(self, check: Callable[[], Any], what: str, timeout: float | None) -> Any:
        core, driver = self._running()
        assert self._loop is not None
        timeout_s = self.config.request_timeout_ms / 1000 if timeout is None else timeout
        waiter = Waiter(self._loop.create_future(), check)
        self._waiters.append(waiter)
        driver.run_pass()
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.future
        except TimeoutError as error:
            if isinstance(error, KafkaError):
                raise
            cause = core.connection_error() or core.metadata.last_error
            if isinstance(cause, NoBrokersAvailable) and not core.metadata.update_version:
                raise cause from None
            raise KafkaTimeoutError(what, timeout_s * 1000, cause) from None
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    # Between the driver and those who wait.

    def _collect(self) -> list[Outcome]:
        """Inside the guard: who need wait no longer, and how it ended."""
        core = self._core
        if core is None:
            return []
        found: list[Outcome] = [(each.token, each.response, each.error) for each in core.take_completions()]
        fatal = core.metadata.take_fatal_error() if self._waiters else None
        for waiter in list(self._waiters):
            try:
                value = waiter.check()
            except KafkaError as error:
                value, fatal = None, fatal or error
            if value is None and fatal is None:
                continue
            found.append((waiter.future, value, None if value is not None else fatal))
            self._waiters.remove(waiter)
            fatal = fatal if value is not None else None
        for warning in core.metadata.warnings:
            if warning not in self._logged:
                self._logged.append(warning)
                logger.warning("%s", warning)
        return found

    def _deliver(self, found: list[Outcome]) -> None:
        """Outside the guard, in whatever thread made the pass."""
        if not found or self._loop is None:
            return
        if threading.get_ident() == self._thread:
            _settle_all(found)
        else:
            self._loop.call_soon_threadsafe(_settle_all, found)


def _answer_class(request: Request, response: type[Response] | None) -> type[Response] | None:
    """The class of the answer; None where a broker sends none. Raises TypeError where it is not known."""
    if isinstance(request, ProduceRequest) and request.acks == 0:
        return None
    found = response or RESPONSES.get(int(request.api_key if request.api_key is not None else -1))
    if found is None:
        raise TypeError(
            f"{type(request).__name__} is not declared in kproto.wire: name the class of its answer, response="
        )
    return found


def _settle_all(found: list[Outcome]) -> None:
    for future, value, error in found:
        _settle(future, value, error)


def _settle(future: asyncio.Future[Any], value: Any, error: KafkaError | None) -> None:
    if future.done():
        return  # cancelled: nobody waits any more
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
