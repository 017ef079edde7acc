"""Message definitions in a line or two, and what every class that is made of one has to hold."""

from __future__ import annotations

import json

from kproto.wire import codec, oracle
from kproto.wire.definitions import Definitions

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


def check(message, version):
    """The generated codec and the interpreted definition agree, and lose nothing."""
    cls = type(message)
    encoded = codec.generated_encoder(cls, version)(message)
    assert encoded == oracle.encode(message, version)
    assert codec.generated_decoder(cls, version)(encoded, 0) == (message, len(encoded))
    assert oracle.decode_prefix(cls, encoded, version) == (message, len(encoded))
