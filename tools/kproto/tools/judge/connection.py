"""A broker's end of one connection: bytes in, bytes out, one request at a time, and faults on its way.

Layer: tools. Knows frames and time; what is answered is the broker's.
Source: kafka.network.SocketServer, which reads no request before the last is answered; KIP-219 (throttling).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from kproto.tools.judge.answers import unsupported_version
from kproto.tools.judge.apis import SERVED
from kproto.tools.judge.faults import FaultPoint, Faults
from kproto.wire import (
    ApiKey,
    ApiVersionsResponse,
    BadCount,
    DecodeError,
    ErrorCode,
    FrameReader,
    ProduceRequest,
    ProduceResponse,
    RequestHeader,
    Response,
    decode_request,
    encode_response,
    frame,
)

if TYPE_CHECKING:
    from kproto.tools.judge.broker import JudgeBroker, SeenRequest

__all__ = ["JudgeConnection"]

INT31: Final = 2**31 - 1


class JudgeConnection:
    """The server's end, as networks drive it. Not thread-safe.

    closed: no more bytes come once `output` is empty; the network sets it, too, when the client has closed. What is
    under way then is served all the same, as a broker does. silent: by a fault; it answers nothing more.
    """

    def __init__(self, broker: JudgeBroker, connection_id: int) -> None:
        self.broker = broker
        self.connection_id = connection_id
        self.closed = False
        self.silent = False
        self._reader = FrameReader()
        self._waiting: deque[bytes] = deque()
        self._out = bytearray()
        self._wake_ms: int | None = None
        self._then: Callable[[], None] | None = None

    @property
    def done(self) -> bool:
        """Whether nothing will happen here any more."""
        return self.closed and self._wake_ms is None

    def receive(self, data: bytes, now_ms: int = 0) -> None:
        """Bytes came. What is no request ends the connection, and is a violation."""
        if self.closed or self.silent:
            return
        self.broker.cluster.see(now_ms)
        try:
            self._waiting += self._reader.feed(data)
        except BadCount as error:
            self._refuse(str(error))
        self._work()

    @property
    def behind(self) -> int:
        """Requests that wait for the one that is served."""
        return len(self._waiting)

    def output(self) -> bytes:
        """What goes to the client now; each byte is given once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def next_event_ms(self) -> int | None:
        """When `advance` has to be called; None where only bytes move it."""
        return self._wake_ms

    def advance(self, now_ms: int) -> None:
        """It is so late: what has waited long enough is served, or answered."""
        self.broker.cluster.see(now_ms)
        self._work()

    def _work(self) -> None:
        while self._wake_ms is None or self._wake_ms <= self.broker.cluster.now_ms:
            then, self._then, self._wake_ms = self._then, None, None
            if then is not None:
                then()
            elif self._waiting and not self.closed and not self.silent:
                self._begin(self._waiting.popleft())
            else:
                return

    def _sleep(self, ms: int, then: Callable[[], None]) -> None:
        """Go on later; the requests behind this one wait, too."""
        if ms <= 0:
            then()
            return
        cluster = self.broker.cluster
        self._wake_ms, self._then = cluster.now_ms + ms, then
        if cluster.schedule is not None:
            cluster.schedule(ms, partial(self.advance, self._wake_ms))

    def _refuse(self, why: str) -> None:
        """The client has broken the protocol."""
        self.closed = True
        self.broker.cluster.violated(f"node {self.broker.node_id}, connection {self.connection_id}: {why}")

    # One request's way

    def _begin(self, payload: bytes) -> None:
        cluster, broker = self.broker.cluster, self.broker
        try:
            header, _ = RequestHeader.decode_prefix(payload, 0)
            api, version = header.request_api_key, header.request_api_version
            fault = cluster.faults.before_parse(api, broker.node_id)
            spoken = broker.speaks(api, version)
            if fault is not None or not spoken:
                broker.received(broker.seen(header, self.connection_id))
            if fault is not None:
                self._end(fault.closes)
            elif not spoken:
                self._not_spoken(header)
            else:
                header, request = decode_request(payload, SERVED)
                seen = broker.seen(header, self.connection_id, request)
                broker.received(seen)
                self._before(seen, cluster.faults.take(seen))
        except DecodeError as error:
            self._refuse(str(error))

    def _not_spoken(self, header: RequestHeader) -> None:
        """Kafka closes the connection, but for ApiVersions, by which clients find out (KIP-511)."""
        if header.request_api_key == ApiKey.API_VERSIONS:
            data = encode_response(unsupported_version(self.broker), 0, correlation_id=header.correlation_id)
            self._sleep(self.broker.latency(), partial(self._reply, data, 0))
        else:
            self._refuse(f"API {header.request_api_key} version {header.request_api_version} is not served here")

    def _end(self, closes: bool) -> None:
        self.closed = self.closed or closes
        self.silent = not closes
        self._waiting.clear()

    def _before(self, seen: SeenRequest, faults: Faults) -> None:
        end = faults.end(FaultPoint.BEFORE_APPEND)
        if end is not None:
            self._end(end.closes)
        else:
            self._sleep(faults.delay_ms(FaultPoint.BEFORE_APPEND), partial(self._serve, seen, faults))

    def _serve(self, seen: SeenRequest, faults: Faults, waited_until_ms: int | None = None) -> None:
        """waited_until_ms: of a Fetch that waits for records (org.apache.kafka.server.purgatory.DelayedFetch)."""
        cluster = self.broker.cluster
        wait_ms = self.broker.wait_ms(seen)
        deadline_ms = cluster.now_ms + wait_ms if waited_until_ms is None else waited_until_ms
        if wait_ms and cluster.now_ms < deadline_ms and not self.closed:
            cluster.waiting_fetches.append(self)
            self._sleep(deadline_ms - cluster.now_ms, partial(self._serve, seen, faults, deadline_ms))
        else:
            self._served(seen, faults)

    def wake(self) -> None:
        """A log has grown, for which this connection may be waiting: `next_event_ms` is now."""
        if self._wake_ms is not None:
            self._wake_ms = self.broker.cluster.now_ms
            if self.broker.cluster.schedule is not None:
                self.broker.cluster.schedule(0, partial(self.advance, self._wake_ms))

    def _served(self, seen: SeenRequest, faults: Faults) -> None:
        response = self.broker.answer(seen, faults)
        end = faults.end(FaultPoint.AFTER_APPEND)
        unanswered = isinstance(seen.request, ProduceRequest) and seen.request.acks == 0
        if end is not None:
            self._end(end.closes)
        elif unanswered:
            # KafkaApis.handleProduceRequest: nobody waits for an answer, so an error can only end the connection.
            self.closed = self.closed or _has_error(response)
        else:
            self._answer(seen, response, faults)

    def _answer(self, seen: SeenRequest, response: Response, faults: Faults) -> None:
        throttle_ms = max(faults.throttle_time_ms, self.broker.throttle_time_ms)
        if throttle_ms:
            response = response.replace(throttle_time_ms=throttle_ms)
        unsupported = getattr(response, "error_code", 0) == ErrorCode.UNSUPPORTED_VERSION
        version = 0 if isinstance(response, ApiVersionsResponse) and unsupported else seen.version
        shift = faults.correlation_shift
        number = (seen.correlation_id + shift) & INT31 if shift else seen.correlation_id
        data = encode_response(response, version, correlation_id=number)
        if faults.body is not None:
            data = frame(number.to_bytes(4, "big", signed=True) + faults.body)
        wait_ms = self.broker.latency() + faults.delay_ms(FaultPoint.AFTER_APPEND)
        end = faults.end(FaultPoint.MID_REPLY)
        if end is None:
            self._sleep(wait_ms, partial(self._reply, data, throttle_ms))
        else:
            self._sleep(wait_ms, partial(self._half_reply, data[: end.reply_bytes], end.closes))

    def _reply(self, data: bytes, throttle_ms: int) -> None:
        if not self.closed:
            self._out += data
            self._sleep(throttle_ms, _nothing)

    def _half_reply(self, data: bytes, closes: bool) -> None:
        if not self.closed:
            self._out += data
        self._end(closes)


def _nothing() -> None:
    """What follows when a throttled connection may be read again."""


def _has_error(response: Response) -> bool:
    assert isinstance(response, ProduceResponse)
    return any(one.error_code for topic in response.responses for one in topic.partition_responses)
