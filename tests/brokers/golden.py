"""Records golden bytes: Kafka's own classes write each message in each version, once with something in every field.

python tests/brokers/golden.py tests/wire/golden.jsonl

A line is {"message", "version", "fields", "hex"}; fields is Kafka's JSON. What is in the file stays as it is:
only pairs of message and version that it lacks are added, so a raised bound adds lines and changes none.
"""

from __future__ import annotations

import json
import sys
from itertools import count
from pathlib import Path
from uuid import UUID

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from brokers.judge import Judge
from brokers.kafka_json import RETIRED, kafka_json

from kproto.wire import REQUESTS, RESPONSES, RequestHeader, ResponseHeader
from kproto.wire.wire_type import Array, StructType

MESSAGES = (RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values())


def filled(struct, version, numbers):
    """A value with something other than the default in every field of the version; arrays have two elements."""
    values = {field.name: content(field.type, version, numbers) for field in struct.fields if version in field.versions}
    return struct(**values)


def content(wire_type, version, numbers):
    if isinstance(wire_type, Array):
        return [content(wire_type.element, version, numbers) for _ in range(2)]
    if isinstance(wire_type, StructType):
        return filled(wire_type.struct, version, numbers)
    number = next(numbers)
    match wire_type.name:
        case "bool":
            return not wire_type.default
        case "string":
            return f"text-{number}-é"
        case "uuid":
            return UUID(int=number << 64 | number)
        case "bytes" | "records":
            return bytes([number % 256]) * (number % 5 + 1)
    return number


def lines(known):
    """The golden lines of each message and version that is not known."""
    with Judge() as judge:
        for cls in MESSAGES:
            for version in cls.versions:
                if version in RETIRED.get(cls.__name__, ()) or (cls.__name__, version) in known:
                    continue
                for message in (cls(), filled(cls, version, count(1))):
                    fields = kafka_json(message, version)
                    data = judge.encode(cls.__name__, version, fields)
                    yield {"message": cls.__name__, "version": version, "fields": fields, "hex": data.hex()}


def main(path):
    """Add what is missing."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known = {(line["message"], line["version"]) for line in map(json.loads, text.splitlines())}
    added = [json.dumps(line, ensure_ascii=False) + "\n" for line in lines(known)]
    path.write_text(text + "".join(added), encoding="utf-8")
    print(f"{len(added)} lines added to {path}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
