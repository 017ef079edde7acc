"""Which frames are shown: by API, topic, partition, client, connection, error, correlation id, time, latency.

Layer: tools. All that is given must hold. Source: org.apache.kafka.common.protocol.Errors (the names of errors).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from re import fullmatch
from typing import Final

from kproto.tools.decode.message_errors import error_codes
from kproto.tools.decode.model import DecodedFrame
from kproto.tools.decode.topics import topic_partitions
from kproto.wire import ApiKey, ErrorCode, KafkaError
from kproto.wire.plain import did_you_mean

__all__ = ["FilterError", "FrameFilter", "parse_api", "parse_duration_ms", "parse_error", "parse_time_ns"]

ANY_ERROR: Final = "any"
UNITS_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "": 1.0}
SECOND_NS: Final = 1_000_000_000


class FilterError(KafkaError, ValueError):
    """A filter that cannot be. why: what was expected, and what was found."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(frozen=True, slots=True)
class FrameFilter:
    """None, or nothing in a collection, lets all pass.

    api: keys; topic: names or ids; errors: codes, None for any, with `failed`; times in ns since the epoch, since
    included, until not; slow_ms: responses that took as long or longer, requests never.
    """

    api: Collection[int] = ()
    topic: Collection[str] = ()
    partition: Collection[int] = ()
    client_id: Collection[str] = ()
    conn: Collection[int] = ()
    correlation_id: Collection[int] = ()
    failed: bool = False
    errors: Collection[int] | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    slow_ms: float | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all passes."""
        return self == FrameFilter()

    def passes(self, decoded: DecodedFrame) -> bool:
        """Whether the frame is shown. What is told of the whole capture always is, and of its connection, where only
        connections are chosen."""
        frame = decoded.frame
        if frame.bare:
            return not frame.conn or (self._is_of_connections and (not self.conn or frame.conn in self.conn))
        if self.conn and frame.conn not in self.conn:
            return False
        if self.since_ns is not None and frame.time_ns < self.since_ns:
            return False
        if self.until_ns is not None and frame.time_ns >= self.until_ns:
            return False
        if self.api and decoded.api_key not in self.api:
            return False
        if self.correlation_id and decoded.correlation_id not in self.correlation_id:
            return False
        if self.slow_ms is not None and (decoded.latency_ms is None or decoded.latency_ms < self.slow_ms):
            return False
        return self._content_passes(decoded)

    @property
    def _is_of_connections(self) -> bool:
        return FrameFilter(conn=self.conn) == self

    def _content_passes(self, decoded: DecodedFrame) -> bool:
        if self.client_id:
            asked = decoded if decoded.frame.request else decoded.request
            if asked is None or (asked.client_id or "") not in self.client_id:
                return False
        if self.failed and not self._has_error(decoded):
            return False
        return not (self.topic or self.partition) or self._is_about(decoded)

    def _has_error(self, decoded: DecodedFrame) -> bool:
        if decoded.message is None:
            return False
        return any(self.errors is None or code in self.errors for code in error_codes(decoded.message))

    def _is_about(self, decoded: DecodedFrame) -> bool:
        """Whether a topic and a partition of it are the chosen ones."""
        if decoded.message is None:
            return False
        for topic, partition in topic_partitions(decoded.message):
            names = {str(topic), decoded.topics.get(topic, "")}
            if self.topic and names.isdisjoint(self.topic):
                continue
            if not self.partition or partition in self.partition:
                return True
        return False


def parse_api(text: str) -> int:
    """An API by Kafka's name, in any case, or by key. Raises FilterError."""
    if text.isdecimal():
        return int(text)
    names = {key.message_name.lower(): key for key in ApiKey}
    key = names.get(text.lower().replace("_", "").replace("-", ""))
    if key is None:
        raise FilterError(f"there is no API {text!r}: {did_you_mean(text, [key.message_name for key in ApiKey])}")
    return int(key)


def parse_error(text: str) -> int | None:
    """An error by name, in any case, or by code; None for any. Raises FilterError."""
    if text.lower() == ANY_ERROR:
        return None
    if fullmatch(r"-?[0-9]+", text):
        return int(text)
    codes = {code.name: code for code in ErrorCode}
    code = codes.get(text.upper())
    if code is None:
        raise FilterError(f"there is no error {text!r}: {did_you_mean(text.upper(), [*codes, ANY_ERROR])}")
    return int(code)


def parse_duration_ms(text: str) -> float:
    """`50ms`, `1.5s`, `200us`; a bare number is milliseconds. Raises FilterError."""
    match = fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?(us|ms|s|)", text)
    if match is None:
        raise FilterError(f"a duration such as 50ms, 1.5s or 200us was expected, not {text!r}")
    return float(match[1]) * UNITS_MS[match[2]]


def parse_time_ns(text: str) -> int:
    """ISO 8601, in UTC unless it says otherwise, or seconds since the epoch. Raises FilterError."""
    match = fullmatch(r"([0-9]+)(?:\.([0-9]{1,9}))?", text)
    if match is not None:
        return int(match[1]) * SECOND_NS + int((match[2] or "").ljust(9, "0"))
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise FilterError(
            f"a time such as 2026-01-31T12:00:00 (UTC) or 1769860800.5 was expected, not {text!r}"
        ) from None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * SECOND_NS + since.microseconds * 1_000
