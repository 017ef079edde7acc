"""Messages as Kafka's own JSON says them: camelCase keys, base64, no unknown tags."""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from uuid import UUID

from kproto.wire.field import element_struct
from kproto.wire.wire_type import Array, Records

RETIRED = {"ProduceRequest": range(3), "ProduceResponse": range(3), "RequestHeader": range(1)}
"""What Kafka 4.4.0 has classes for no more."""


def camel_case(snake_case):
    first, *rest = snake_case.split("_")
    return first + "".join(map(str.title, rest))


def kafka_json(struct, version, *, content=True):
    """A value as Kafka's JSON says it. content: whether records are there, or the "" that Kafka writes for any."""
    return {
        camel_case(field.name): json_value(field, getattr(struct, field.name), version, content)
        for field in struct.fields
        if version in field.versions and not (field.is_tagged(version) and getattr(struct, field.name) == field.default)
    }


def json_value(field, value, version, content):
    if element_struct(field.type) is not None and value is not None:
        if isinstance(field.type, Array):
            return [kafka_json(element, version, content=content) for element in value]
        return kafka_json(value, version, content=content)
    if isinstance(value, UUID):
        return urlsafe_b64encode(value.bytes).decode().rstrip("=")
    if isinstance(value, bytes):
        return b64encode(value).decode() if content or field.type is not Records else ""
    return list(value) if isinstance(value, tuple) else value
