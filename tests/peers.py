"""kio and kafka-python behind one interface: our messages in, their bytes out, and back.

The objects are built and read by walking the declared fields; a field that only one side has is a failure. Only how a
peer writes a value down in Python is translated here; what it cannot say at all is for the tests to name.
"""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import get_args

from kafka.protocol import api_header, sasl
from kafka.protocol import metadata as kafka_metadata
from kafka.protocol import producer as kafka_producer
from kio import index, serial
from kio.schema.errors import ErrorCode
from kio.static.constants import EntityType

from kproto.wire import NO_UUID, Request, RequestHeader, ResponseHeader
from kproto.wire.field import element_struct
from kproto.wire.wire_type import StructType

EPOCH = datetime.fromtimestamp(0, UTC)
MILLISECOND = timedelta(milliseconds=1)
HEADERS = (RequestHeader, ResponseHeader)


def present(struct, version):
    """The fields that this version of a struct has."""
    return [field for field in struct.fields if version in field.versions]


def each_struct(field, value, convert):
    """The value with `convert` done to the struct, or to each struct of the array, that it holds."""
    if value is None or element_struct(field.type) is None:
        return value
    return convert(value) if isinstance(field.type, StructType) else tuple(map(convert, value))


def same_fields(struct, version, theirs):
    """Pairs of our field and theirs, which must be as many. theirs: name -> field."""
    ours = {field.name.replace("_", ""): field for field in present(struct, version)}  # enable_2pc is their enable2_pc
    named = {name.replace("_", ""): field for name, field in theirs.items()}
    assert ours.keys() == named.keys(), (struct, version)
    return [(field, named[name]) for name, field in ours.items()]


class Kio:
    """A dataclass for each version of each message, with Python's own types for times and an enum for errors."""

    name = "kio"

    def schema(self, cls, version):
        """Its class, or None where it has none."""
        try:
            if cls in HEADERS:
                name = "request_header" if cls is RequestHeader else "response_header"
                return index.load_entity_schema(name, version, EntityType.header)
            load = index.load_request_schema if issubclass(cls, Request) else index.load_response_schema
            return load(cls.api_key, version)
        except index.UnknownEntity:
            return None

    def header_version(self, cls, version):
        """The version of the header that it puts before this message."""
        return self.schema(cls, version).__header_schema__.__version__

    def encode(self, message, version):
        schema, out = self.schema(type(message), version), io.BytesIO()
        serial.entity_writer(schema)(out, self._build(schema, message, version))
        return out.getvalue()

    def decode(self, cls, data, version):
        value, size = serial.entity_reader(self.schema(cls, version))(data, 0)
        assert size == len(data)
        return self._read(cls, value, version)

    def _build(self, schema, struct, version):
        def build(ours, theirs):
            value = getattr(struct, ours.name)
            match theirs.metadata.get("kafka_type"):
                case "error_code":
                    return ErrorCode(value)
                case "timedelta_i32" | "timedelta_i64":
                    return timedelta(milliseconds=value)
                case "datetime_i64":
                    return None if value == -1 else EPOCH + timedelta(milliseconds=value)
            return each_struct(ours, value, lambda nested: self._build(dataclass_in(theirs.type), nested, version))

        pairs = kio_fields(type(struct), schema, version)
        return schema(**{theirs.name: build(ours, theirs) for ours, theirs in pairs})

    def _read(self, struct, value, version):
        def read(ours, theirs):
            found = getattr(value, theirs.name)
            match theirs.metadata.get("kafka_type"):
                case "uuid":
                    return NO_UUID if found is None else found
                case "timedelta_i32" | "timedelta_i64":
                    return found // MILLISECOND
                case "datetime_i64":
                    return -1 if found is None else round((found - EPOCH) / MILLISECOND)
            return each_struct(ours, found, lambda nested: self._read(element_struct(ours.type), nested, version))

        pairs = kio_fields(struct, type(value), version)
        return struct(**{ours.name: read(ours, theirs) for ours, theirs in pairs})


def dataclass_in(annotation):
    """The dataclass that an annotation names: alone, in a union, or in a tuple."""
    if dataclasses.is_dataclass(annotation):
        return annotation
    return next(filter(None, map(dataclass_in, get_args(annotation))), None)


@lru_cache(maxsize=1024)
def kio_fields(struct, schema, version):
    """Pairs of our field and kio's; for times it leaves the unit out of the name."""
    fields = {}
    for field in dataclasses.fields(schema):
        is_time = field.metadata.get("kafka_type", "").startswith(("timedelta", "datetime"))
        fields[f"{field.name}_ms" if is_time else field.name] = field
    return same_fields(struct, version, fields)


class KafkaPython:
    """One class for each message, given the version beside the values; headers are told only if they are flexible."""

    name = "kafka-python"

    def schema(self, cls, version):
        """Its class, or None where it lacks the version."""
        modules = (api_header, sasl, kafka_metadata, kafka_producer)
        schema = next(getattr(module, cls.__name__) for module in modules if hasattr(module, cls.__name__))
        first, last = schema._valid_versions if cls in HEADERS else (schema.min_version, schema.max_version)
        return schema if first <= version <= last else None

    def encode(self, message, version):
        made = self._build(self.schema(type(message), version), message, version)
        if isinstance(message, HEADERS):
            return bytes(made.encode(flexible=version in message.flexible_versions))
        return bytes(made.encode(version=version))

    def decode(self, cls, data, version):
        schema = self.schema(cls, version)
        if cls not in HEADERS:
            return self._read(cls, schema.decode(data, version=version), version)
        source = io.BytesIO(data)
        value = schema.decode(source, flexible=version in cls.flexible_versions)
        assert source.tell() == len(data)
        return self._read(cls, value, version)

    def encode_frame(self, message, version, **header):
        """The whole frame, with the header of its choice. header: correlation_id, and client_id for a request."""
        made = self._build(self.schema(type(message), version), message, version)
        made.with_header(**header)
        return bytes(made.encode(header=True, framed=True))

    def decode_frame(self, cls, data, version):
        """The header's fields by name, and the message."""
        value = self.schema(cls, version).decode(data, version=version, header=True, framed=True)
        return value.header.to_dict(), self._read(cls, value, version)

    def _build(self, schema, struct, version):
        def build(ours, theirs):
            value = getattr(struct, ours.name)
            if theirs.type_str == "bitfield":
                return {bit for bit in range(32) if value >> bit & 1}
            if theirs.is_struct() and value == ours.default:
                return None  # the one way to leave out a tagged struct
            value = each_struct(ours, value, lambda nested: self._build(theirs.data_class, nested, version))
            return list(value) if isinstance(value, tuple) else value  # () is not its default of a tagged array

        pairs = kafka_python_fields(type(struct), schema, version)
        tags = {f"_{tag}": data for tag, data in struct.unknown_tags.items()}
        return schema(version=version, **{theirs.name: build(ours, theirs) for ours, theirs in pairs}, **tags)

    def _read(self, struct, value, version):
        def read(ours, theirs):
            found = getattr(value, theirs.name)
            if theirs.type_str == "bitfield":
                bits = {31} if found is None else found
                return int.from_bytes(sum(1 << bit for bit in bits).to_bytes(4, "big"), "big", signed=True)
            if found is None and (theirs.type_str == "uuid" or theirs.is_struct()):
                return ours.default
            return each_struct(ours, found, lambda nested: self._read(element_struct(ours.type), nested, version))

        pairs = kafka_python_fields(struct, type(value), version)
        tags = {int(name[1:]): data for name, data in (value.unknown_tags or {}).items()}
        return struct(**{ours.name: read(ours, theirs) for ours, theirs in pairs}, unknown_tags=tags)


@lru_cache(maxsize=1024)
def kafka_python_fields(struct, schema, version):
    """Pairs of our field and kafka-python's; it has one name for the authorized operations of cluster and topic."""
    of = "topic" if struct.__name__ == "MetadataResponseTopic" else "cluster"
    fields = {
        f"{of}_{field.name}" if field.type_str == "bitfield" else field.name: field
        for field in schema.fields.values()
        if field.for_version_q(version)
    }
    return same_fields(struct, version, fields)
