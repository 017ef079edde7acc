"""A conversation with a scripted broker, without a network: one connection, one request in flight."""

from __future__ import annotations

from typing import Any

from client.scripted_broker import ScriptedBroker

from kproto.wire import (
    RESPONSES,
    ApiVersionsRequest,
    FrameReader,
    MetadataRequest,
    Request,
    decode_response,
    encode_request,
)

VERSIONS = ApiVersionsRequest(client_software_name="kproto", client_software_version="0")
ALL_TOPICS = MetadataRequest(topics=None)


class Talk:
    """now_ms: what the broker is told of the time. Correlation ids count from 1."""

    def __init__(self, broker: ScriptedBroker) -> None:
        self.end = broker.connect()
        self.now_ms = 0
        self._reader = FrameReader()
        self._asked = 0

    def send(self, request: Request, version: int) -> None:
        """Ask, and leave the answer where it is."""
        self._asked += 1
        self.end.receive(encode_request(request, version, correlation_id=self._asked, client_id="me"), self.now_ms)

    def payloads(self) -> list[bytes]:
        """The whole frames that the broker has to say, without their lengths."""
        return self._reader.feed(self.end.output())

    def exchange(self, data: bytes) -> bytes:
        """The one frame that answers some bytes. Raises ConnectionError where the broker closes instead."""
        self.end.receive(data, self.now_ms)
        payloads = self.payloads()
        if not payloads and self.end.closed:
            raise ConnectionError
        (payload,) = payloads
        return payload

    def ask(self, request: Request, version: int) -> Any:
        """The answer. Raises ConnectionError where the broker closes instead."""
        self._asked += 1
        data = encode_request(request, version, correlation_id=self._asked, client_id="me")
        header, response = decode_response(self.exchange(data), RESPONSES[request.api_key or 0], version)
        assert header.correlation_id == self._asked
        return response
