"""The requests of one connection: encoded, numbered and sent in order, and matched with their answers.

Layer: client. Knows no states: whether a request may be sent is its owner's to say.
Source: org.apache.kafka.clients.NetworkClient, InFlightRequests (CONN-9 to CONN-13).
"""

from __future__ import annotations

from typing import Any, Final

from kproto.client.deadlines import earliest
from kproto.client.errors import CorrelationMismatch
from kproto.client.frame_stream import FrameStream, Observe
from kproto.client.in_flight import InFlightRequest, InFlightRequests
from kproto.client.redaction import redact_request, redact_response
from kproto.wire import DecodeError, Request, Response, frame
from kproto.wire.envelope import encode_request_parts

__all__ = ["Pipeline"]

CORRELATION_ID_MAX: Final = 2**31 - 1
CORRELATION_ID_SIZE: Final = 4


class Pipeline:
    """See the module. observe: hears of each frame. Not thread-safe."""

    def __init__(self, stream: FrameStream, client_id: str | None, observe: Observe | None) -> None:
        self.stream = stream
        self.in_flight = InFlightRequests()
        self._unanswered = InFlightRequests()  # those without an answer, until they are written
        self._client_id = client_id
        self._observe = observe
        self._correlation_id = 0

    def send(
        self,
        request: Request,
        version: int,
        token: Any,
        *,
        response: type[Response] | None,
        now_ms: int,
        timeout_ms: int,
    ) -> None:
        """Encode and queue it. response: the class of its answer, None where none comes.

        Raises EncodeError, and what `FrameStream.write` raises; then nothing was sent, and no number used.
        """
        correlation_id = self._correlation_id
        parts = encode_request_parts(request, version, correlation_id=correlation_id, client_id=self._client_id)
        self.stream.write(parts)
        self._correlation_id = 0 if correlation_id == CORRELATION_ID_MAX else correlation_id + 1
        api = f"{type(request).__name__} v{version}"
        sent = InFlightRequest(correlation_id, api, version, response, token, now_ms, now_ms + timeout_ms)
        (self._unanswered if response is None else self.in_flight).add(sent)
        if self._observe is not None:
            self._observe(True, redact_request(b"".join(parts)))

    def written(self, size: int) -> list[InFlightRequest]:
        """So many bytes are out; the requests that are complete thereby, as no answer comes to them."""
        self.stream.sent(size)
        return [] if self.stream.outbound else self._unanswered.clear()

    def overdue(self, now_ms: int) -> InFlightRequest | None:
        """The oldest request whose deadline has passed; that of one without an answer is for being written."""
        return self.in_flight.overdue(now_ms) or self._unanswered.overdue(now_ms)

    def next_deadline_ms(self) -> int | None:
        """The earliest deadline; None where nothing is under way."""
        return earliest((self.in_flight.next_deadline_ms(), self._unanswered.next_deadline_ms()))

    def extend(self, throttle_ms: int) -> None:
        """The broker reads and answers nothing for so long."""
        if throttle_ms:
            self.in_flight.extend(throttle_ms)
            self._unanswered.extend(throttle_ms)

    def match(self, payload: bytes) -> InFlightRequest:
        """The request that this frame answers; it stays in flight until `in_flight.complete_oldest`.

        Raises CorrelationMismatch where it is not the oldest one, DecodeError for a frame without a correlation id.
        """
        if len(payload) < CORRELATION_ID_SIZE:
            raise DecodeError("ResponseHeader", 0, "a correlation id of 4 bytes", f"{len(payload)} bytes")
        correlation_id = int.from_bytes(payload[:CORRELATION_ID_SIZE], "big", signed=True)
        request = self.in_flight.oldest
        if request is None or request.correlation_id != correlation_id:
            expected = None if request is None else request.correlation_id
            raise CorrelationMismatch(self.stream.address, expected, correlation_id)
        if self._observe is not None:
            assert request.response is not None
            self._observe(False, redact_response(frame(payload), request.response, request.version))
        return request

    def close(self) -> list[InFlightRequest]:
        """All that are not complete, oldest first; none remains, and nothing more is written: the stream is closed."""
        self.stream.close()
        return [*self.in_flight.clear(), *self._unanswered.clear()]
