"""Message definitions in a line or two, and what every class that is made of one has to hold."""

from __future__ import annotations

import json

import pytest

from kproto.wire import DecodeError, codec, oracle
from kproto.wire.codegen.runtime import Refused
from kproto.wire.definitions import Definitions
from kproto.wire.schema import Struct

__all__ = ["check", "definition", "field", "loaded", "struct"]


def definition(*fields, **changes):
    common = {"type": "data", "name": "Tidy", "validVersions": "0-2", "flexibleVersions": "1+"}
    return json.dumps({**common, "fields": list(fields), **changes})


def field(name="A", type="int32", **more):  # noqa: A002
    return {"name": name, "type": type, "versions": "0+", **more}


def struct(name, *fields):
    return {"name": name, "versions": "0+", "fields": list(fields)}


def loaded(*fields, **changes):
    return Definitions({"Tidy": definition(*fields, **changes)})["Tidy"]


def structs_of(cls):
    """The structs of a message, at any depth."""
    for inner in vars(cls).values():
        if isinstance(inner, type) and issubclass(inner, Struct) and not inner.__name__.endswith("Draft"):
            yield inner
            yield from structs_of(inner)


def check_refused(cls, encoded, version):
    """Elements of no bytes end no loop: a count of them is taken only where as many bytes follow."""
    try:
        found = oracle.decode_prefix(cls, encoded, version)
    except DecodeError as error:
        assert "elements in" in str(error)
        with pytest.raises(Refused):
            codec.generated_decoder(cls, version)(encoded, 0)
    else:
        assert codec.generated_decoder(cls, version)(encoded, 0) == found


def check(message, version):
    """The generated codec and the interpreted definition agree, and lose nothing."""
    cls = type(message)
    encoded = codec.generated_encoder(cls, version)(message)
    assert encoded == oracle.encode(message, version)
    if any(not struct.construct(version).subcons for struct in structs_of(cls)):
        check_refused(cls, encoded, version)
        return
    assert codec.generated_decoder(cls, version)(encoded, 0) == (message, len(encoded))
    assert oracle.decode_prefix(cls, encoded, version) == (message, len(encoded))
