"""A record as one line of JSON: what `kproto produce` reads, and writes of what it could not deliver.

Layer: tools.

    {"key": "a", "value": {"base64": "/w=="}, "headers": [["trace", "1"]], "partition": 0, "timestamp": 1700000000000}

Bytes that are UTF-8 stand as text, others as base64, null is null. Every name may be left out. `topic` is where the
record goes; `written` and `error`, which tell what became of it, and `offset_delta`, which `kproto decode` writes, are
passed over.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

from kproto.producer import ProducerRecord, WriteStatus
from kproto.wire import KafkaError
from kproto.wire.plain import did_you_mean

__all__ = ["RecordFormatError", "record_from_json", "record_to_json"]

NAMES: Final = ("key", "value", "headers", "partition", "timestamp", "topic")
PASSED_OVER: Final = ("written", "error", "offset_delta")
INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
OBJECT: Final = 'an object of JSON, such as {"value": "text"},'
SHOWN_MAX: Final = 60  # characters of what was found


class RecordFormatError(KafkaError, ValueError):
    """A text is no record. why: what was expected, and what was found."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def record_from_json(line: bytes, default: ProducerRecord) -> ProducerRecord:
    """The record of a line. default: has what the line leaves out; its headers come before those of the line.

    Raises RecordFormatError for what is no object, for a name that is unknown or there twice, and for a value of
    another kind. Thread-safe.
    """
    found = _object(line)
    unknown = [name for name in found if name not in NAMES and name not in PASSED_OVER]
    if unknown:
        raise RecordFormatError(f"there is no {unknown[0]!r} in a record: {did_you_mean(unknown[0], NAMES)}")
    return ProducerRecord(
        _topic(found["topic"]) if "topic" in found else default.topic,
        _bytes("value", found["value"]) if "value" in found else default.value,
        _bytes("key", found["key"]) if "key" in found else default.key,
        _number("partition", found["partition"], INT32_MAX) if "partition" in found else default.partition,
        _number("timestamp", found["timestamp"], INT64_MAX) if "timestamp" in found else default.timestamp_ms,
        default.headers + tuple(map(_header, _headers(found.get("headers")))),
    )


def record_to_json(
    record: ProducerRecord, written: WriteStatus | None = None, error: BaseException | None = None
) -> str:
    """One line, without its end. written, error: what became of a record that was not delivered. Thread-safe."""
    line: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "timestamp": record.timestamp_ms,
        "key": _json(record.key),
        "value": _json(record.value),
        "headers": [[name, _json(data)] for name, data in record.headers],
    }
    if written is not None:
        line["written"] = str(written)
    if error is not None:
        line["error"] = str(error) or type(error).__name__
    return json.dumps(line, ensure_ascii=False, separators=(", ", ": "))


def _json(data: bytes | None) -> str | dict[str, str] | None:
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line.decode(), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecordFormatError:
        raise
    except UnicodeDecodeError as error:
        raise RecordFormatError(f"{OBJECT} in UTF-8 was expected; byte {error.start} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise RecordFormatError(f"{OBJECT} was expected; at character {error.colno}: {error.msg}") from None
    except (RecursionError, ValueError):  # ValueError: a number with thousands of digits
        raise RecordFormatError(f"{OBJECT} was expected; this is nested too deep, or has a huge number") from None
    if not isinstance(found, dict):
        raise RecordFormatError(f"{OBJECT} was expected, not {_shown(found)}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RecordFormatError(f"{twice!r} stands there twice")
    return found


def _no_constant(name: str) -> Any:
    raise RecordFormatError(f"{name} is no JSON")


def _bytes(what: str, value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        if isinstance(value, str):
            return value.encode()
        if isinstance(value, dict) and list(value) == ["base64"]:
            return b64decode(value["base64"], validate=True)
    except (TypeError, ValueError):  # a lone surrogate, or what is no base64
        pass
    raise RecordFormatError(f'{what}: a text, {{"base64": "..."}} or null was expected, not {_shown(value)}')


def _number(what: str, value: Any, maximum: int) -> int | None:
    if value is None or (type(value) is int and 0 <= value <= maximum):
        return value
    raise RecordFormatError(f"{what}: a whole number from 0 to {maximum} or null was expected, not {_shown(value)}")


def _topic(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise RecordFormatError(f"topic: a name was expected, not {_shown(value)}")


def _headers(value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    raise RecordFormatError(f"headers: a list of [name, value] was expected, not {_shown(value)}")


def _header(pair: Any) -> tuple[str, bytes | None]:
    if isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str):
        name = _bytes("the name of a header", pair[0])
        assert name is not None
        return name.decode(), _bytes(f"header {pair[0]!r}", pair[1])
    raise RecordFormatError(f"headers: [name, value] was expected, with a text as name, not {_shown(pair)}")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN_MAX else text[: SHOWN_MAX - 3] + "..."
