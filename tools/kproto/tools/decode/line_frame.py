"""A frame out of a line that `decode --format ndjson` wrote, byte for byte: to edit, to compare, to send again.

Layer: tools. Exact for canonical frames whose batches are not compressed; docs/decode.md says what that is. The batches
are built with the declaration of the format, `kproto.wire.records.schema`: slow, obvious, and of any offsets.
"""

from __future__ import annotations

import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from struct import Struct as Packing
from typing import Any, Final, TypeVar
from uuid import UUID

from kproto.tools.decode.apis import Apis
from kproto.wire import EncodeError, Message, RequestHeader, ResponseHeader, Struct
from kproto.wire import request_header_version as of_request
from kproto.wire import response_header_version as of_response
from kproto.wire.field import Field, element_struct
from kproto.wire.records import Compression
from kproto.wire.records.schema import RECORD, RECORD_BATCH
from kproto.wire.wire_type import Array

__all__ = ["frame_from_line", "message_from_json", "records_from_json"]

S = TypeVar("S", bound=Struct)
ENTRY: Final = Packing(">qi")
CRC: Final = Packing(">I")
CRC_AT: Final = 17
LOG_APPEND_TIME, TRANSACTIONAL, CONTROL = 8, 0x10, 0x20


def frame_from_line(line: Mapping[str, Any], apis: Apis | None = None) -> bytes:
    """The frame that the line tells of, without its length. line: as `json.loads` gives it.

    Raises EncodeError for a line without a body, with overwritten secrets, or with compressed batches, and for values
    that the message does not take; KeyError for an API that is not declared.
    """
    apis = apis or Apis()
    key, version, body = line["api_key"], line["version"], line["body"]
    if body is None:
        raise EncodeError("body", body, "the message was not decoded")
    tags = _tags(line.get("header_tags"))
    if line["direction"] == "request":
        request = apis.requests[key]
        header_version = of_request(request, version)
        header: Message = RequestHeader(
            request_api_key=key,
            request_api_version=version,
            correlation_id=line["correlation_id"],
            client_id=line["client_id"] if header_version else "",
            unknown_tags=tags,
        )
        return header.encode(header_version) + message_from_json(request, body).encode(version)
    response = apis.responses[key]
    header = ResponseHeader(correlation_id=line["correlation_id"], unknown_tags=tags)
    return header.encode(of_response(response, version)) + message_from_json(response, body).encode(version)


def message_from_json(cls: type[S], body: Mapping[str, Any]) -> S:
    """The message of a line's body. Raises EncodeError."""
    return cls.from_dict(_plain(cls, body))


def _plain(cls: type[Struct], body: Mapping[str, Any]) -> dict[str, Any]:
    """With bytes, UUIDs and records in place of what JSON has for them."""
    fields = {field.name: field for field in cls.fields}
    plain: dict[str, Any] = {}
    for name, value in body.items():
        if name == "unknown_tags":
            plain[name] = _tags(value)
        else:
            plain[name] = _value(fields[name], value) if name in fields else value
    return plain


def _value(field: Field, value: Any) -> Any:
    if value is None:
        return None
    struct: type[Struct] | None = element_struct(field.type)
    if isinstance(field.type, Array):
        if struct is not None:
            return [_plain(struct, each) for each in value]
        return [_leaf(field.type.element.name, each) for each in value]
    return _leaf(field.type.name, value) if struct is None else _plain(struct, value)


def _leaf(kind: str, value: Any) -> Any:
    if kind == "records":
        return records_from_json(value)
    if kind == "bytes":
        return _bytes(value)
    if kind == "uuid":
        return UUID(value)
    return float(value) if kind == "float64" else value


def _bytes(value: Any) -> bytes | None:
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode()
    if "redacted" in value:
        raise EncodeError("redacted", value["redacted"], "a secret was overwritten")
    return b64decode(value["base64"], validate=True)


def _tags(tags: Mapping[str, Any] | None) -> dict[int, bytes]:
    return {int(tag): _bytes(value) or b"" for tag, value in (tags or {}).items()}


def records_from_json(value: Mapping[str, Any]) -> bytes:
    """The bytes of a field with records. Raises EncodeError for compressed batches."""
    batches = [_batch(batch) if batch["magic"] == 2 else _legacy(batch) for batch in value["batches"]]
    return b"".join(batches) + (_bytes(value.get("rest")) or b"")


def _batch(batch: Mapping[str, Any]) -> bytes:
    """A batch of magic 2, also one whose checksum or records are wrong: as the line tells it."""
    attributes = batch.get("attributes")
    if attributes is None:
        attributes = _attributes(batch)
    data: bytes = RECORD_BATCH.build(
        {
            "base_offset": batch["base_offset"],
            "content": {
                "partition_leader_epoch": batch["partition_leader_epoch"],
                "covered": {
                    "value": {
                        "attributes": attributes,
                        **{name: batch[name] for name in ("last_offset_delta", "base_timestamp", "max_timestamp")},
                        **{name: batch[name] for name in ("producer_id", "producer_epoch", "base_sequence", "count")},
                        "body": _body(batch),
                    }
                },
            },
        }
    )
    return data[:CRC_AT] + CRC.pack(batch["crc"]) + data[CRC_AT + CRC.size :]


def _attributes(batch: Mapping[str, Any]) -> int:
    attributes: int = Compression.of(batch["compression"])
    if batch["timestamp_type"] == "log_append_time":
        attributes |= LOG_APPEND_TIME
    if batch["transactional"]:
        attributes |= TRANSACTIONAL
    return attributes | CONTROL if batch["control"] else attributes


def _body(batch: Mapping[str, Any]) -> bytes:
    if batch["records"] is None:
        return _bytes(batch["body"]) or b""
    if batch["compression"] != "none":
        raise EncodeError("compression", batch["compression"], "the bytes of compressed batches are not in the line")
    return b"".join(RECORD.build(_record(record, batch["base_timestamp"])) for record in batch["records"])


def _record(record: Mapping[str, Any], base_timestamp: int) -> dict[str, Any]:
    headers: Sequence[Sequence[Any]] = record["headers"]
    return {
        "attributes": 0,
        "timestamp_delta": record["timestamp"] - base_timestamp,
        "offset_delta": record["offset_delta"],
        "key": _bytes(record["key"]),
        "value": _bytes(record["value"]),
        "headers": [{"key": name, "value": _bytes(value)} for name, value in headers],
    }


def _legacy(batch: Mapping[str, Any]) -> bytes:
    """A message of magic 0 or 1. Its checksum is the line's."""
    if batch["records"] is None:
        body = _bytes(batch["body"]) or b""
    else:
        if batch["compression"] != "none":
            raise EncodeError("compression", batch["compression"], "the bytes of compressed sets are not in the line")
        (record,) = batch["records"]
        attributes = batch.get("attributes", LOG_APPEND_TIME * (batch["timestamp_type"] == "log_append_time"))
        time = record["timestamp"].to_bytes(8, "big", signed=True) if batch["magic"] else b""
        covered = bytes([batch["magic"], attributes & 0xFF]) + time
        covered += _sized(_bytes(record["key"])) + _sized(_bytes(record["value"]))
        crc = zlib.crc32(covered) if batch["crc_valid"] else batch["crc"]
        body = CRC.pack(crc) + covered
    return ENTRY.pack(batch["base_offset"], len(body)) + body


def _sized(data: bytes | None) -> bytes:
    return (-1).to_bytes(4, "big", signed=True) if data is None else len(data).to_bytes(4, "big") + data
