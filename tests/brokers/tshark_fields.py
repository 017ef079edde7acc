"""tshark's fields beside those of `decode --format ndjson`: one table, and what its texts look like.

FIELDS says for each API and direction which of tshark's fields is which of ours. A path is that of a line, with [] for
the elements of an array; a field of several paths has the values of all of them, in the order of the bytes. What ndjson
does not tell (lengths, attributes, where a tag stands) is taken from the annotated bytes, which `--format hex` shows.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, NamedTuple

from kproto.wire import RESPONSES
from kproto.wire.annotate import Annotation, annotate_request, annotate_response
from kproto.wire.records import Compression
from kproto.wire.records.compression import decompress

NULL = "[ Null ]"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OF_BATCH = re.compile(r"partition_data\[\d+\]\.records\[\d+\]\.\w+$")
SINGLE, INT32, UINT32 = Struct("f"), Struct("i"), Struct("I")
OF_RECORDS = ".records."
ATTRIBUTES = ".records.attributes"
INDEX = re.compile(r"\[\d+\]")
DECOMPRESSED_SIZE_MAX = 1 << 20
Leaves = list[tuple[str, Any]]


def number(value: int) -> str:
    """Also of a boolean."""
    return str(int(value))


def text(value: str | None) -> str:
    """As it is."""
    return NULL if value is None else value


def header_name(value: str) -> str:
    """tshark shows one that is empty as if it were null, which it cannot be."""
    return value or NULL


def data(value: bytes | None) -> str:
    """tshark makes no difference between bytes that are null and none."""
    return (value or b"").hex(":")


def moment(ms: int) -> str:
    """Of milliseconds since the epoch."""
    at = EPOCH + timedelta(milliseconds=ms)
    return f"{at:%b} {at.day:2}, {at:%Y %H:%M:%S}.{at.microsecond:06}000 UTC"


def halves(ms: int) -> str:
    """What tshark makes of a batch's timestamps, which is wrong: 32 bits of seconds and 32 of nanoseconds."""
    at = EPOCH + timedelta(seconds=ms >> 32)
    (nanoseconds,) = INT32.unpack(UINT32.pack(ms & 0xFFFFFFFF))
    return f"{at:%b} {at.day:2}, {at:%Y %H:%M:%S}.{nanoseconds:09} UTC"


def hex32(value: int) -> str:
    """Of the bits of an int32."""
    return f"0x{value & 0xFFFFFFFF:08x}"


def hex64(value: int) -> str:
    """Of a tag."""
    return f"0x{value:016x}"


def single(value: float) -> str:
    """In single precision."""
    (rounded,) = SINGLE.unpack(SINGLE.pack(value))
    return f"{rounded:.6g}"


class Field(NamedTuple):
    """Where a field of tshark's is in ours, and how tshark shows it."""

    paths: str | tuple[str, ...]
    shown: Callable[[Any], str] = number


REQUEST_HEADER = {
    "kafka.len": Field("size"),
    "kafka.request_key": Field("api_key"),
    "kafka.api_key": Field("api_key"),
    "kafka.request.version": Field("version"),
    "kafka.api_version": Field("version"),
    "kafka.correlation_id": Field("correlation_id"),
    "kafka.client_id": Field("client_id", text),
}
RESPONSE_HEADER = {
    "kafka.len": Field("size"),
    "kafka.response_key": Field("api_key"),
    "kafka.api_key": Field("api_key"),
    "kafka.response.version": Field("version"),
    "kafka.correlation_id": Field("correlation_id"),
    "kafka.request_frame": Field("request packet"),
}
MISSED = {name: RESPONSE_HEADER[name] for name in ("kafka.len", "kafka.correlation_id")}
PARTITION = "topic_data[].partition_data[]."
BATCH = PARTITION + "records.batches[]."
RECORD = BATCH + "records[]."
BATCHES = {
    "kafka.offset": Field((BATCH + "base_offset", RECORD + "offset_delta")),
    "kafka.message_size": Field("batch length"),
    "kafka.leader_epoch": Field(BATCH + "partition_leader_epoch"),
    "kafka.message_magic": Field(BATCH + "magic"),
    "kafka.batch_crc": Field(BATCH + "crc", hex32),
    "kafka.batch_codec": Field(BATCH + "compression", lambda name: number(Compression.of(name))),
    "kafka.batch_timestamp_type": Field(BATCH + "timestamp_type", lambda name: number(name == "log_append_time")),
    "kafka.batch_transactional": Field(BATCH + "transactional"),
    "kafka.batch_control_batch": Field(BATCH + "control"),
    "kafka.batch_last_offset_delta": Field(BATCH + "last_offset_delta"),
    "kafka.batch_first_timestamp": Field(BATCH + "base_timestamp", halves),
    "kafka.batch_last_timestamp": Field(BATCH + "max_timestamp", halves),
    "kafka.producer_id": Field(BATCH + "producer_id"),
    "kafka.producer_epoch": Field(BATCH + "producer_epoch"),
    "kafka.batch_base_sequence": Field(BATCH + "base_sequence"),
    "kafka.batch_size": Field(BATCH + "count"),
    "kafka.message_compression_reduction": Field("batch reduction", single),
}
RECORDS = {
    "kafka.record_attributes": Field(ATTRIBUTES),
    "kafka.message_timestamp": Field(RECORD + "timestamp", moment),
    "kafka.message_key": Field(RECORD + "key", data),
    "kafka.message_value": Field(RECORD + "value", data),
    "kafka.header_key": Field(RECORD + "headers[].name", header_name),
    "kafka.header_value": Field(RECORD + "headers[].value", data),
}
TAGS = {"kafka.tagged_field_tag": Field("tag", hex64), "kafka.tagged_field_data": Field("tag data", data)}
FIELDS: Mapping[tuple[str, str], Mapping[str, Field]] = {
    ("Produce", "request"): {
        "kafka.transactional_id": Field("transactional_id", text),
        "kafka.required_acks": Field("acks"),
        "kafka.timeout": Field("timeout_ms"),
        "kafka.topic_name": Field("topic_data[].name", text),
        "kafka.partition_id": Field(PARTITION + "index"),
        **BATCHES,
        **RECORDS,
    },
    ("Produce", "response"): {
        "kafka.topic_name": Field("responses[].name", text),
        "kafka.partition_id": Field("responses[].partition_responses[].index"),
        "kafka.error": Field("responses[].partition_responses[].error_code"),
        "kafka.offset": Field("responses[].partition_responses[].base_offset"),
        "kafka.offset_time": Field("responses[].partition_responses[].log_append_time_ms"),
        "kafka.log_start_offset": Field("responses[].partition_responses[].log_start_offset"),
        "kafka.error_message": Field("responses[].partition_responses[].error_message", text),
        "kafka.throttle_time": Field("throttle_time_ms"),
    },
    ("Metadata", "request"): {
        "kafka.topic_name": Field("topics[].name", text),
        "kafka.allow_auto_topic_creation": Field("allow_auto_topic_creation"),
        "kafka.include_cluster_authorized_ops": Field("include_cluster_authorized_operations"),
        "kafka.include_topic_authorized_ops": Field("include_topic_authorized_operations"),
    },
    ("Metadata", "response"): {
        "kafka.throttle_time": Field("throttle_time_ms"),
        "kafka.node_id": Field(("brokers[].node_id", "controller_id")),
        "kafka.host": Field("brokers[].host", text),
        "kafka.port": Field("brokers[].port"),
        "kafka.rack": Field("brokers[].rack", text),
        "kafka.cluster_id": Field("cluster_id", text),
        "kafka.error": Field(("topics[].error_code", "topics[].partitions[].error_code")),
        "kafka.topic_name": Field("topics[].name", text),
        "kafka.is_internal": Field("topics[].is_internal"),
        "kafka.partition_id": Field("topics[].partitions[].partition_index"),
        "kafka.leader_id": Field("topics[].partitions[].leader_id"),
        "kafka.leader_epoch": Field("topics[].partitions[].leader_epoch"),
        "kafka.replica_id": Field("topics[].partitions[].replica_nodes[]"),
        "kafka.isr_id": Field("topics[].partitions[].isr_nodes[]"),
        "kafka.offline_id": Field("topics[].partitions[].offline_replicas[]"),
        "kafka.topic_authorized_ops": Field("topics[].topic_authorized_operations", hex32),
        "kafka.cluster_authorized_ops": Field("cluster_authorized_operations", hex32),
    },
    ("SaslHandshake", "request"): {"kafka.sasl_mechanism": Field("mechanism", text)},
    ("SaslHandshake", "response"): {
        "kafka.error": Field("error_code"),
        "kafka.sasl_mechanism": Field("mechanisms[]", text),
    },
    ("SaslAuthenticate", "request"): {"kafka.sasl_authentication": Field("auth_bytes", data)},
    ("SaslAuthenticate", "response"): {
        "kafka.error": Field("error_code"),
        "kafka.error_message": Field("error_message", text),
        "kafka.sasl_authentication": Field("auth_bytes", data),
        "kafka.session_lifetime_ms": Field("session_lifetime_ms"),
    },
    ("ApiVersions", "request"): {
        "kafka.client_software_name": Field("client_software_name", text),
        "kafka.client_software_version": Field("client_software_version", text),
    },
    ("ApiVersions", "response"): {
        "kafka.error": Field("error_code"),
        "kafka.api_versions.api_key": Field("api_keys[].api_key"),
        "kafka.api_versions.min_version": Field("api_keys[].min_version"),
        "kafka.api_versions.max_version": Field("api_keys[].max_version"),
        "kafka.throttle_time": Field("throttle_time_ms"),
        **TAGS,
    },
    ("InitProducerId", "request"): {
        "kafka.transactional_id": Field("transactional_id", text),
        "kafka.transaction_timeout": Field("transaction_timeout_ms"),
        "kafka.producer_id": Field("producer_id"),
        "kafka.producer_epoch": Field("producer_epoch"),
    },
    ("InitProducerId", "response"): {
        "kafka.throttle_time": Field("throttle_time_ms"),
        "kafka.error": Field("error_code"),
        "kafka.producer_id": Field("producer_id"),
        "kafka.producer_epoch": Field("producer_epoch"),
    },
}
MISREAD = {
    ("SaslAuthenticate", 0): "it takes the 32 bits of the token's length for 16",
    ("SaslAuthenticate", 1): "the same",
}
"""Versions that tshark knows, and whose bodies it reads wrongly."""
READ_ALIKE = frozenset({("ApiVersions", 4), ("ApiVersions", 5), ("InitProducerId", 4), ("InitProducerId", 5)})
"""Versions beyond tshark's that it reads rightly where it complains of nothing else: what they add is elsewhere."""


def frame_bytes(line: Mapping[str, Any]) -> bytes:
    """The frame of a line made with `--raw`."""
    return as_bytes(line["raw"])


def as_bytes(value: Any) -> Any:
    """Of a key or value in a line; None stays None."""
    if isinstance(value, dict):
        return b64decode(value["base64"])
    return value.encode() if isinstance(value, str) else value


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything in a body, in the order of the bytes."""
    if isinstance(value, dict) and value.keys() == {"base64"}:
        yield path, as_bytes(value)
    elif isinstance(value, dict) and "offset_delta" in value:
        yield ATTRIBUTES, 0  # they are not told, as nobody has a use for them
        yield f"{path}.offset_delta", value["offset_delta"]
        yield f"{path}.timestamp", value["timestamp"]
        yield f"{path}.key", as_bytes(value["key"])
        yield f"{path}.value", as_bytes(value["value"])
        for name, held in value["headers"]:
            yield f"{path}.headers[].name", name
            yield f"{path}.headers[].value", as_bytes(held)
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, f"{path}[]")
    else:
        yield path, value


def spans_of(line: Mapping[str, Any]) -> Annotation:
    """The annotated bytes of a frame."""
    payload = frame_bytes(line)
    if line["direction"] == "request":
        spans = annotate_request(payload, secrets=True)
    else:
        spans = annotate_response(payload, RESPONSES[line["api_key"]], line["version"], secrets=True)
    assert spans.error is None, spans.error
    return spans


def untold(payload: bytes, spans: Annotation) -> Leaves:
    """What ndjson does not tell of a frame."""
    found: Leaves = []
    codec = Compression.NONE
    for span in spans:
        if span.type == "tag":
            tag, _, size = span.value
            found += [("tag", tag), ("tag data", payload[span.stop : span.stop + size])]
        elif OF_BATCH.search(span.path):
            name = span.path.rpartition(".")[2]
            if name == "length":
                found.append(("batch length", span.value))
            elif name == "attributes":
                codec = Compression(span.value & 7)
            elif name == "body" and codec is not Compression.NONE:
                whole = decompress(codec, span.value, DECOMPRESSED_SIZE_MAX)
                found.append(("batch reduction", len(span.value) / len(whole)))
    return found


def ours(line: Mapping[str, Any], request_packet: int | None) -> Leaves:
    """Path and value of everything in a frame; a body has the fields of all versions, here are those of its own."""
    found = [(name, line.get(name)) for name in ("size", "api_key", "version", "correlation_id", "client_id")]
    found.append(("request packet", request_packet))
    if line["body"] is None:
        return found
    spans = spans_of(line)
    there = {INDEX.sub("[]", span.path) for span in spans}
    body = [(path, value) for path, value in leaves(line["body"]) if path in there or OF_RECORDS in path]
    return [*found, *body, *untold(frame_bytes(line), spans)]


def disagreements(
    line: Mapping[str, Any],
    theirs: list[tuple[str, str]],
    known: Mapping[str, Field],
    request_packet: int | None,
    *,
    cut: bool = False,
) -> tuple[int, list[str]]:
    """How many values of tshark's were compared, and what is not the same.

    known: the fields that are compared, each with all its values; one that is not among them is a disagreement.
    cut: tshark has given up somewhere, so that what it shows may be fewer values.
    """
    by_name = defaultdict(list)
    for name, shown in theirs:
        by_name[name].append(shown)
    values = ours(line, request_packet)
    compared, wrong = 0, []
    where = f"frame {line['frame']}, {line['api']} {line['version']} {line['direction']}"
    for name, shown in by_name.items():
        field = known.get(name)
        if field is None:
            wrong.append(f"{where}: {name} is in no table: {shown[:3]}")
            continue
        paths = (field.paths,) if isinstance(field.paths, str) else field.paths
        expected = [field.shown(value) for path, value in values if path in paths]
        if cut:
            del expected[len(shown) :]
        compared += len(shown)
        if expected != shown:
            wrong.append(f"{where}: {name} is {shown[:9]}, ours {expected[:9]}")
    return compared, wrong
