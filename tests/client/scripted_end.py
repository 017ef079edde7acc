"""A scripted broker's end of one connection: requests in, what the script or Kafka answers out."""

from __future__ import annotations

import re
from struct import pack
from typing import TYPE_CHECKING

from client.scripted_cluster import api_versions, error_response, produced
from client.scripted_login import Login

from kproto.wire import (
    REQUESTS,
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    BadCount,
    DecodeError,
    ErrorCode,
    FrameReader,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    ProduceRequest,
    Request,
    RequestHeader,
    Response,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    decode_request,
    encode_response,
    frame,
    request_header_version,
)
from kproto.wire.envelope import request_class

if TYPE_CHECKING:
    from client.scripted_broker import Fault, ScriptedBroker

SOFTWARE = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
SASL_APIS = (ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE)
NO_LOGIN = "SaslAuthenticate request received after successful authentication"
# Error 35, then what is neither version 0 nor 3: a compact count of 1, an entry, a throttle time (librdkafka 2.16).
JUNK = pack(">hbhhhi", ErrorCode.UNSUPPORTED_VERSION, 1, ApiKey.API_VERSIONS, 0, 2, 0)


def decoded(payload: bytes, strict: bool) -> tuple[RequestHeader, Request]:
    """A request; strict: nothing may follow it."""
    if strict:
        return decode_request(payload, REQUESTS)
    cls, version = request_class(payload, REQUESTS)
    header, behind = RequestHeader.decode_prefix(payload, request_header_version(cls, version))
    return header, cls.decode_prefix(payload, version, behind)[0]


class BrokerEnd:
    """A connection as its `ScriptedBroker` has it.

    requests: what came on this connection. See `client.other_ends.End` for `receive`, `output` and `closed`.
    """

    def __init__(self, broker: ScriptedBroker) -> None:
        self.broker = broker
        self.closed = False
        self.requests: list[tuple[RequestHeader, Request | None]] = []
        self.login = None if broker.sasl is None else Login(broker.sasl)
        self._reader = FrameReader()
        self._out = bytearray()
        self._held: bytearray | None = None
        self._silent = False
        self._now_ms = 0

    @property
    def user(self) -> str | None:
        """Who has logged in."""
        return self.login.user if self.login is not None else None

    def receive(self, data: bytes, now_ms: int = 0) -> None:
        """What does not decode ends the connection; after the end all is ignored."""
        self._now_ms = now_ms
        try:
            payloads = [] if self.closed else self._reader.feed(data)
        except BadCount:
            self.closed = True
            return
        for payload in payloads:
            if not self.closed:
                self._serve(payload)

    def output(self) -> bytes:
        """What waits to be sent."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def send(self, data: bytes) -> None:
        """Say something unasked."""
        self._out += data

    def release(self) -> None:
        """Send what is held back, and hold no more."""
        self._out += self._held or b""
        self._held = None

    def close(self) -> None:
        """End the connection in good order."""
        self.closed = True

    def _serve(self, payload: bytes) -> None:
        if self.login is not None and self.login.bare:
            token = self.login.bare_token(payload, self._now_ms)
            self._emit(b"" if token is None else frame(token))
            self.closed = self.closed or token is None
            return
        try:
            header, _ = RequestHeader.decode_prefix(payload, 0)
            spoken = header.request_api_version in self.broker.announced().get(header.request_api_key, range(0))
            request: Request | None = None
            if spoken:
                header, request = decoded(payload, self.broker.strict)
        except DecodeError:
            self.closed = True
            return
        for log in (self.requests, self.broker.requests):
            log.append((header, request))
        if request is None:
            self._not_spoken(header)
        else:
            self._request(header, request)

    def _not_spoken(self, header: RequestHeader) -> None:
        if header.request_api_key != ApiKey.API_VERSIONS or ApiKey.API_VERSIONS not in self.broker.announced():
            self.closed = True
        elif self.broker.unsupported == "junk":
            self._emit(frame(pack(">i", header.correlation_id) + JUNK))
        else:
            named = {int(ApiKey.API_VERSIONS): self.broker.announced()[ApiKey.API_VERSIONS]}
            listed = named if self.broker.unsupported == "named" else {}
            response = api_versions(listed, ErrorCode.UNSUPPORTED_VERSION)
            self._emit(encode_response(response, 0, correlation_id=header.correlation_id))

    def _request(self, header: RequestHeader, request: Request) -> None:
        fault = self.broker.next_fault(header.request_api_key)
        if fault == "close":
            self.closed = True
        elif fault == "silence":
            self._silent = True
        elif isinstance(fault, int):
            self._fault_code(header, request, fault)
        else:
            response = self._answer(header, request)
            if response is not None:
                self._faulty(header, request, response, fault)

    def _fault_code(self, header: RequestHeader, request: Request, code: int) -> None:
        self._respond(header, error_response(request, code))
        self.closed = self.closed or header.request_api_key in SASL_APIS

    def _faulty(self, header: RequestHeader, request: Request, response: Response, fault: Fault | None) -> None:
        if callable(fault):
            made = fault(header, request, response)
            if isinstance(made, bytes):
                self._emit(made)
            elif made is not None:
                self._respond(header, made)
        elif isinstance(fault, bytes):
            self._emit(fault)
        elif fault == "wrong correlation id":
            self._respond(header.replace(correlation_id=header.correlation_id + 1), response)
        elif fault == "half":
            data = self._encoded(header, response)
            self._emit(data[: len(data) // 2])
            self.closed = True
        else:
            if fault == "hold" and self._held is None:
                self._held = bytearray()
            for _ in range(2 if fault == "twice" else 1):
                self._respond(header, response)

    def _encoded(self, header: RequestHeader, response: Response) -> bytes:
        if any(field.name == "throttle_time_ms" for field in response.fields) and self.broker.throttle_time_ms:
            response = response.replace(throttle_time_ms=self.broker.throttle_time_ms)
        return encode_response(response, header.request_api_version, correlation_id=header.correlation_id)

    def _respond(self, header: RequestHeader, response: Response) -> None:
        self._emit(self._encoded(header, response))

    def _emit(self, data: bytes) -> None:
        if not self._silent:
            (self._out if self._held is None else self._held).extend(data)

    def _answer(self, header: RequestHeader, request: Request) -> Response | None:
        """What Kafka answers; None where it does not, which ends the connection, but for Produce with acks=0."""
        if self.login is not None:
            reply = self.login.handle(header, request, self._now_ms)
            if reply is not None:
                self.closed = self.closed or reply.close
                return reply.response
        match request:
            case ApiVersionsRequest():
                return self._api_versions(request, header.request_api_version)
            case MetadataRequest():
                return self.broker.cluster.metadata(request, header.request_api_version)
            case InitProducerIdRequest():
                return InitProducerIdResponse(producer_id=self.broker.new_producer_id())
            case ProduceRequest():
                return produced(request) if request.acks else None
            case SaslAuthenticateRequest():
                return SaslAuthenticateResponse(error_code=ErrorCode.ILLEGAL_SASL_STATE, error_message=NO_LOGIN)
        return error_response(request, ErrorCode.ILLEGAL_SASL_STATE)

    def _api_versions(self, request: ApiVersionsRequest, version: int) -> ApiVersionsResponse:
        names = (request.client_software_name, request.client_software_version)
        node, cluster = request.node_id, request.cluster_id
        if version >= 3 and not all(map(SOFTWARE.fullmatch, names)):
            return api_versions({}, ErrorCode.INVALID_REQUEST)
        if (cluster is None) != (node == -1):
            return api_versions({}, ErrorCode.INVALID_REQUEST)
        if cluster is not None and (cluster, node) != (self.broker.cluster.cluster_id, self.broker.node_id):
            return api_versions({}, ErrorCode.REBOOTSTRAP_REQUIRED)  # KIP-1242
        return api_versions(self.broker.announced())
