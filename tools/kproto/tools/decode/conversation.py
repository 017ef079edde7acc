"""Frames decoded: who asked what, who answered, and what it says.

Layer: tools. The strict generated codec of `kproto.wire` decodes; what it refuses is a finding, and never an end.
Source: https://kafka.apache.org/protocol; KIP-35 and KIP-511 (the answer to a version of ApiVersions that is unknown).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from struct import Struct
from typing import Final

from kproto.tools.decode.apis import Apis, api_name
from kproto.tools.decode.guess import guess_response
from kproto.tools.decode.hidden import FILLER, SECRET_REQUESTS, SECRET_RESPONSES, is_secret, without_secrets
from kproto.tools.decode.known_heads import answer_body_at
from kproto.tools.decode.model import DecodedFrame, Finding, Frame
from kproto.tools.decode.topics import TopicNames
from kproto.tools.decode.waiting import ConversationState
from kproto.wire import (
    ApiKey,
    ApiVersionsResponse,
    DecodeError,
    ErrorCode,
    Message,
    MetadataResponse,
    ProduceRequest,
    Request,
    RequestHeader,
    ResponseHeader,
    TrailingBytes,
    request_header_version,
    response_header_version,
)

__all__ = ["SASL_TOKEN", "Conversations"]

SASL_TOKEN: Final = "SaslToken"
"""The `api` of a frame that is a bare token, of which there is no API."""
HEAD: Final = Struct(">hhi")  # API key, version, correlation id
CORRELATION_ID: Final = Struct(">i")
REFUSED: Final = ErrorCode.UNSUPPORTED_VERSION.to_bytes(2, "big")
UNANSWERED_SHOWN_MAX: Final = 20
LOSSES: Final = frozenset(
    {"gap", "cut", "too-much", "impossible-frame", "unfinished", "capture-damaged", "capture-cut"}
)
"""Findings after which a request or an answer may have passed unseen."""


class Conversations:
    """Feed it the frames in their order. Memory: the requests that wait, up to 4,096 of a connection, not their bytes.

    show_secrets: whether tokens of SASL and credentials stay in frames and messages; else both are decoded from bytes
    in which they are overwritten. wants: asked with API key and whether it is a request, whether the message of such a
    frame is needed; of others the header is decoded. Raises nothing, whatever the frames hold. Not thread-safe.
    """

    def __init__(
        self,
        apis: Apis | None = None,
        *,
        show_secrets: bool = False,
        wants: Callable[[int | None, bool], bool] = lambda api_key, request: True,
    ) -> None:
        self._apis = apis or Apis()
        self._show_secrets = show_secrets
        self._wants = wants
        self._names = TopicNames()
        self._states: dict[int, ConversationState] = {}

    def feed(self, frame: Frame) -> list[DecodedFrame]:
        """What the frame says; one for each frame, also for a bare one."""
        decoded = DecodedFrame(frame, findings=list(frame.findings))
        if frame.bare:
            self._bare(frame, decoded)
            return [decoded]
        state = self._states.get(frame.conn)
        if state is None:
            state = self._states[frame.conn] = ConversationState()
        if frame.findings and any(each.code in LOSSES for each in frame.findings):
            state.fade()
        data = frame.data if frame.data.__class__ is bytes else bytes(frame.data)
        if frame.request:
            self._request(data, decoded, state)
        else:
            self._response(data, decoded, state)
        message = decoded.message
        if message is not None and decoded.api_key != ApiKey.API_VERSIONS:
            if isinstance(message, MetadataResponse):
                self._names.learn(message)
            if self._names:
                decoded.topics = self._names.of(message)
        return [decoded]

    def outstanding(self, conn: int) -> Collection[int]:
        """The correlation ids that wait for an answer on a connection: for `Frames`."""
        state = self._states.get(conn)
        return () if state is None else state.outstanding()

    def _bare(self, frame: Frame, decoded: DecodedFrame) -> None:
        state = self._states.get(frame.conn)
        lossy = any(each.code in LOSSES for each in frame.findings)
        if lossy and frame.conn == 0:
            for each in self._states.values():
                each.fade()
        if state is None:
            return
        if lossy:
            state.fade()
        if frame.ended:
            del self._states[frame.conn]
            asked = state.unanswered()
            decoded.findings += [_unanswered(each) for each in asked[:UNANSWERED_SHOWN_MAX]]
            if len(asked) > UNANSWERED_SHOWN_MAX:
                more = len(asked) - UNANSWERED_SHOWN_MAX
                decoded.findings.append(Finding("unanswered", f"{more:,} more requests were never answered"))

    def _request(self, data: bytes, decoded: DecodedFrame, state: ConversationState) -> None:
        whole = decoded.frame.size == len(data)
        if whole and state.sasl.is_sent_token(data):
            self._token(data, decoded)
            return
        if len(data) < HEAD.size:
            if whole:
                text = f"a request of {len(data)} bytes, which has no room for a header"
                decoded.findings.append(Finding("impossible-frame", text, offset=0))
            return
        key, version, decoded.correlation_id = HEAD.unpack_from(data)
        decoded.api_key, decoded.api, decoded.version = key, api_name(key), version
        cls = self._apis.requests.get(key)
        if cls is None or version not in cls.versions:
            decoded.client_id = _client_id(data) if (key, version) != (ApiKey.CONTROLLED_SHUTDOWN, 0) else None
        else:
            self._request_body(data, decoded, cls, version, state)
        if is_secret(key, request=True) and not self._show_secrets:
            self._hide(data, decoded, key, version)
        if key == ApiKey.SASL_HANDSHAKE and version == 0:
            state.sasl.begin()
        message = decoded.message
        if not (isinstance(message, ProduceRequest) and message.acks == 0):
            unsure = message is None and key == ApiKey.PRODUCE
            before = state.ask(decoded, certain=not unsure)
            if before is not None:
                text = f"the correlation id of frame {before.frame.number}, which was not answered yet, is used again"
                decoded.findings.append(Finding("correlation-id", text, notice=True))

    def _request_body(
        self, data: bytes, decoded: DecodedFrame, cls: type[Request], version: int, state: ConversationState
    ) -> None:
        whole = decoded.frame.size == len(data)
        try:
            decoded.client_id, at = state.heads.read(data, cls, version)
            if whole and self._wants(decoded.api_key, True):
                _decode(data, decoded, cls, version, at)
        except DecodeError as error:
            if whole:
                decoded.findings.append(_lie(error))

    def _response(self, data: bytes, decoded: DecodedFrame, state: ConversationState) -> None:
        whole = decoded.frame.size == len(data)
        if len(data) >= CORRELATION_ID.size:
            (correlation_id,) = CORRELATION_ID.unpack_from(data)
            asked, overtaken = state.answer(correlation_id)
            if asked is not None:
                self._answer(data, decoded, asked, correlation_id, whole)
                if overtaken is not None:
                    text = f"it came before the answer to frame {overtaken.frame.number}, which was asked earlier"
                    decoded.findings.append(Finding("out-of-order", text, notice=True))
                return
        if whole and state.sasl.is_answering_token():
            self._token(data, decoded)
        elif len(data) < CORRELATION_ID.size:
            if whole:
                text = f"a response of {len(data)} bytes, which has no room for a header"
                decoded.findings.append(Finding("impossible-frame", text, offset=0))
        else:
            (decoded.correlation_id,) = CORRELATION_ID.unpack_from(data)
            self._unmatched(data, decoded, state, whole)

    def _answer(
        self, data: bytes, decoded: DecodedFrame, asked: DecodedFrame, correlation_id: int, whole: bool
    ) -> None:
        decoded.request = asked
        decoded.correlation_id = correlation_id
        decoded.api_key, decoded.api, decoded.version = key, _, version = asked.api_key, asked.api, asked.version
        decoded.latency_ms = (decoded.frame.time_ns - asked.frame.time_ns) / 1_000_000
        assert key is not None and version is not None
        cls = self._apis.responses.get(key)
        if cls is ApiVersionsResponse and whole:
            self._api_versions(data, decoded, version)
        elif cls is not None and version in cls.versions and whole and self._wants(key, False):
            try:
                _decode(data, decoded, cls, version, answer_body_at(data, cls, version))
            except DecodeError as error:
                decoded.findings.append(_lie(error))
        if is_secret(key, request=False) and not self._show_secrets:
            self._hide(data, decoded, key, version)

    def _api_versions(self, data: bytes, decoded: DecodedFrame, version: int) -> None:
        """A broker that does not know the version answers as in version 0. Not all do: clients read the code alone."""
        refused = data[4:6] == REFUSED
        for each in (0, version) if refused else (version,):
            if each not in ApiVersionsResponse.versions:
                continue
            trial = DecodedFrame(decoded.frame)
            try:
                _decode(data, trial, ApiVersionsResponse, each, CORRELATION_ID.size)
            except DecodeError as error:
                trial.findings.append(_lie(error))
            if not (refused and trial.findings):
                decoded.message, decoded.version = trial.message, each
                decoded.findings += trial.findings
                return
        if refused:
            decoded.message = ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
            decoded.version = 0
            text = "behind its error code the answer is of no version; clients read the code alone"
            decoded.findings.append(Finding("fallback", text, notice=True))

    def _unmatched(self, data: bytes, decoded: DecodedFrame, state: ConversationState, whole: bool) -> None:
        guess = None
        if whole and state.guesses > 0:
            state.guesses -= 1
            guess = guess_response(data)
        text = "the request that it answers is not in the capture"
        if guess is None:
            decoded.findings.append(Finding("unmatched", text, notice=True))
            return
        names = ", ".join(api_name(key) for key in guess.apis)
        fits = f"{guess.fits} of {guess.candidates} candidates fit ({names})"
        if len(guess.apis) == 1:
            decoded.api_key, decoded.api, decoded.version = guess.api_key, api_name(guess.api_key), guess.version
            decoded.message = guess.message
            text = f"{text}; read as {decoded.api} {guess.version}: {fits}"
        else:
            text = f"{text}; {fits}"
        decoded.findings.append(Finding("guess", text, notice=True))

    def _token(self, data: bytes, decoded: DecodedFrame) -> None:
        decoded.api = SASL_TOKEN
        if not self._show_secrets:
            decoded.redacted = True
            decoded.frame = _with_data(decoded.frame, FILLER * len(data))

    def _hide(self, data: bytes, decoded: DecodedFrame, key: int, version: int) -> None:
        """Overwrite the secrets in the frame, and decode the message again."""
        request = decoded.frame.request
        hidden = without_secrets(data, key, version, request)
        if hidden is data or hidden == data:
            return
        decoded.redacted = True
        decoded.frame = _with_data(decoded.frame, hidden)
        known = self._apis.requests.get(key) if request else self._apis.responses.get(key)
        message, decoded.message = decoded.message, None
        if message is None or known is None or key in (SECRET_REQUESTS if request else SECRET_RESPONSES):
            return
        try:
            if issubclass(known, Request):
                _, at = RequestHeader.decode_prefix(hidden, request_header_version(known, version))
            else:
                _, at = ResponseHeader.decode_prefix(hidden, response_header_version(known, version))
            decoded.message, _ = known.decode_prefix(hidden, version, at)
        except DecodeError:  # it lies, so that all of it was overwritten
            pass


def _decode(data: bytes, decoded: DecodedFrame, cls: type[Message], version: int, at: int) -> None:
    """Bytes behind the message are a finding; the message is there, as Kafka's own clients and brokers read it."""
    decoded.message, behind = cls.decode_prefix(data, version, at)
    if behind != len(data):
        more = f"{len(data) - behind:,} more bytes"
        decoded.findings.append(_lie(TrailingBytes(f"{cls.__name__} v{version}", behind, "the end", more)))


def _client_id(data: bytes) -> str | None:
    """Of a request whose header may be 1 or 2: both have it in the same place. None also for what is none."""
    try:
        return RequestHeader.decode_prefix(data, 1)[0].client_id
    except DecodeError:
        return None


def _lie(error: DecodeError) -> Finding:
    return Finding("bad-body", str(error), offset=error.offset, path=error.path)


def _unanswered(asked: DecodedFrame) -> Finding:
    what = f"{asked.api} {asked.version}, correlation id {asked.correlation_id}"
    return Finding("unanswered", f"frame {asked.frame.number} ({what}) was never answered: the connection ended")


def _with_data(frame: Frame, data: bytes) -> Frame:
    ends = frame.number, frame.time_ns, frame.conn, frame.client, frame.broker, frame.request
    return Frame(*ends, data, frame.size, frame.findings, frame.bare, frame.ended)
