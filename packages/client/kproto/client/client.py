"""The face of the client layer: ask any node of a cluster anything.

Layer: client. For asyncio; it runs in the loop of whoever starts it.

    async with Client("localhost:9092") as client:
        cluster = await client.metadata(["orders"])
        response = await client.send(request, node=cluster.leader_for(TopicPartition("orders", 0)))
"""

from __future__ import annotations

import asyncio
import random
import secrets
import warnings
from collections.abc import Callable, Iterable, Sequence
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
from kproto.client.waiters import Waiters, make_news_check
from kproto.wire import RESPONSES, ProduceRequest, Request, Response

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Client"]

R = TypeVar("R", bound=Response)
T = TypeVar("T")

HOPELESS = (NotKafkaError, UnsupportedVersionError)  # no repetition cures these
GRACE_S = 0.05  # after a timeout, for the core's own error, which knows more


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
        self._core: NetworkClient | None = None
        self._driver: Driver | None = None
        self._waiters: Waiters | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._observer = None if observer is None else GuardedObserver(observer)
        self.config = ClientConfig.of(bootstrap_servers=bootstrap_servers, **settings)

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

    def __del__(self) -> None:
        driver, loop = self._driver, self._loop
        if driver is None or loop is None or self._closed:
            return
        if loop.is_closed():
            driver.close()
        else:  # this may be any thread, and inside the guard
            loop.call_soon_threadsafe(driver.close)
        warnings.warn(f"unclosed {self!r}: use async with, or await close()", ResourceWarning, 2, source=self)

    def __repr__(self) -> str:
        return f"<Client of {', '.join(self.config.bootstrap_servers)}>"

    async def start(self, timeout: float | None = None) -> None:
        """Connect to a broker and learn the cluster. timeout: seconds, request_timeout_ms if None.

        Raises AuthenticationError, NotKafkaError and UnsupportedVersionError at once, NoBrokersAvailable with the error
        of each server after the timeout, ConfigError, ClientClosedError.
        """
        if self._closed:
            raise ClientClosedError
        if self._core is None:
            self._begin()
        core, config = self._running()[0], self.config

        def check() -> Cluster | None:
            if core.metadata.update_version:
                return core.cluster
            error = core.connection_error()
            attempts = error.attempts if isinstance(error, NoBrokersAvailable) else ()
            if error is not None and sum(isinstance(each, HOPELESS) for each in attempts) == len(config.servers):
                raise attempts[0] if len(attempts) == 1 else error
            return None

        await self._wait(check, "the first answer of a broker", timeout)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        config, observer = self.config, self._observer
        core = NetworkClient(
            config,
            rng=random.Random(secrets.randbits(64)),
            make_nonce=lambda: secrets.token_urlsafe(24),
            now_ms=monotonic_ms(),
            observer=observer,
        )
        provider = config.sasl_oauth_token_provider
        waiters = Waiters(core, loop)
        self._driver = Driver(
            core,
            loop=loop,
            collect=waiters.collect,
            deliver=waiters.deliver,
            send_buffer_bytes=config.send_buffer_bytes,
            receive_buffer_bytes=config.receive_buffer_bytes,
            tokens=None if provider is None else TokenSource(provider, monotonic_ms),
            observer=observer,
        )
        self._core, self._waiters, self._loop = core, waiters, loop

    async def close(self) -> None:
        """Close all connections; whoever waits gets ClientClosedError. Never raises, and may be called again."""
        self._closed = True
        core, driver, waiters = self._core, self._driver, self._waiters
        if core is not None and driver is not None and waiters is not None:
            driver.call(core.close)
            driver.close()
            waiters.fail(ClientClosedError("the client was closed meanwhile"))

    @property
    def cluster(self) -> Cluster:
        """What is known of the cluster now: immutable, replaced as a whole. Empty before `start`."""
        return Cluster() if self._core is None else self._core.cluster

    async def metadata(self, topics: Iterable[str] | None = (), timeout: float | None = None) -> Cluster:
        """Ask about topics, or all of them if None, and from then on; the cluster with what the answer says.

        Why a topic cannot be shown stands in `topic_errors`. timeout: seconds, request_timeout_ms if None. Concurrent
        callers share one request. Raises KafkaTimeoutError with its cause, AuthenticationError, ClientClosedError.
        """
        core, driver, _ = self._running()
        names = None if topics is None else [topics] if isinstance(topics, str) else list(topics)
        has_come: Callable[[], bool] = bool  # not before it is asked

        def ask(now_ms: int) -> None:
            nonlocal has_come
            if names is None:
                core.metadata.all_topics = True
            for name in names or ():
                core.metadata.add_topic(name, now_ms)
            core.metadata.request_update(reset=True)
            has_come = make_news_check(core.metadata)

        driver.call(ask)
        about = "all topics" if names is None else ", ".join(names[:5]) or "the cluster"
        return await self._wait(lambda: core.cluster if has_come() else None, f"metadata of {about}", timeout)

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
        core, driver, _ = self._running()
        timeout_ms = self.config.request_timeout_ms if timeout is None else int(timeout * 1000)
        future: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        node_id = node.node_id if isinstance(node, Node) else node
        answer = _answer_class(request, response)
        driver.call(
            lambda now_ms: core.enqueue(
                request, future, now_ms, timeout_ms=timeout_ms, node_id=node_id, version=version, response=answer
            )
        )
        try:
            async with asyncio.timeout(timeout_ms / 1000 + GRACE_S):
                return await future
        except TimeoutError as error:
            if isinstance(error, KafkaError):
                raise
            cause = core.connection_error()
            raise KafkaTimeoutError(f"an answer to {type(request).__name__}", timeout_ms, cause) from None

    def _running(self) -> tuple[NetworkClient, Driver, Waiters]:
        if self._closed:
            raise ClientClosedError
        if self._core is None or self._driver is None or self._waiters is None:
            raise ClientClosedError("the client is not started: use async with, or await start()")
        return self._core, self._driver, self._waiters

    async def _wait(self, check: Callable[[], T | None], what: str, timeout: float | None) -> T:
        core, driver, waiters = self._running()
        timeout_s = self.config.request_timeout_ms / 1000 if timeout is None else timeout
        future = waiters.add(check)
        driver.run_pass()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            cause = core.connection_error() or core.metadata.last_error
            if isinstance(cause, NoBrokersAvailable) and not core.metadata.update_version:
                raise cause from None
            raise KafkaTimeoutError(what, timeout_s * 1000, cause) from None
        finally:
            waiters.discard(future)


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
