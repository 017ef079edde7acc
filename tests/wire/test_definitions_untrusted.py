"""Definitions that nobody vouches for: random ones, damaged ones, deep ones.

A valid one becomes a class that works, any other raises DefinitionError, soon.
"""

from __future__ import annotations

import json
from copy import deepcopy
from itertools import pairwise

import pytest
from definition_texts import check, definition, field, loaded, struct
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import definitions as module
from kproto.wire.definitions import DefinitionError, Definitions
from kproto.wire.strategies import messages

# Words of Python, of messages, and of the code that is generated for them.
NAMES = [
    *(
        "A",
        "B",
        "Tags",
        "Array",
        "SetTags",
        "NoTags",
        "Draft",
        "Self",
        "Default0",
        "Set0",
        "From",
        "ApiKey",
        "Versions",
    ),
    *("Fields", "Encode", "UnknownTags", "Buf", "P", "Parts", "Message", "Element", "Struct", "Codec", "Join", "Mro"),
    *("Refused", "New", "Varint", "Tag", "Stop", "Entries", "Behind", "Unknown", "PackB", "PackersB", "Name", "Length"),
]
RANGES = st.sampled_from(["0+", "1+", "2+", "0-1", "1", "none"])
PLAIN = ("bool", "int8", "int16", "uint16", "int32", "uint32", "int64", "float64", "uuid", "string", "bytes", "records")


@st.composite
def valid_fields(draw, prefix, depth):
    """Fields of every type, some nullable, some tagged, structs within structs."""
    fields = []
    for index, name in enumerate(draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))):
        type_name = draw(st.sampled_from(PLAIN) if depth == 0 else st.sampled_from([*PLAIN, "Struct"]))
        array = draw(st.booleans())
        made = {"name": name, "type": f"{'[]' * array}{type_name}", "versions": draw(RANGES)}
        if type_name == "Struct":
            made["type"] = f"{'[]' * array}{prefix}{index}"
            # The first field is for arrays: as Kafka does, decoders refuse elements of no bytes.
            made["fields"] = [field("Always", "int8"), *draw(valid_fields(f"{prefix}{index}X", depth - 1))]
        if array or type_name in ("Struct", "string", "bytes", "records"):
            made["nullableVersions"] = draw(RANGES)
            if made["nullableVersions"] in ("0+", made["versions"]) and draw(st.booleans()):
                made["default"] = "null"
        if draw(st.booleans()):
            made |= {"tag": sum("tag" in f for f in fields), "versions": "0+", "taggedVersions": "1+"}
            made.pop("default", None)
        fields.append(made)
    return fields


@pytest.mark.parametrize("name", NAMES)
def test_no_name_meets_another(name):
    """In a message, in a struct, and among the tagged fields."""
    tagged = field("Last", "string", tag=0, taggedVersions="1+")
    cls = loaded(field(name, "[]int8"), field("Inner", "S", fields=[field(name, "string"), tagged]), tagged)
    message = cls(**{cls.fields[0].name: [1, 2]}, inner=cls.S(**{cls.S.fields[0].name: "x"}, last="y"), last="z")
    for version in (1, 2):
        check(message, version)


@given(fields=valid_fields("S", 2), data=st.data())
def test_whatever_is_valid_becomes_a_class_that_works(fields, data):
    cls = loaded(*fields)
    for version in cls.versions:
        check(data.draw(messages(cls, version)), version)


TEXTS = ("", "x", "X", "null", "none", "0+", "1-2", "9" * 30, "[]X", "[]int8")
VALUES = st.sampled_from([None, True, -1, 0, 1, 2**40, 1.5, *TEXTS, [], {}, [{}]])


def places(node):
    """Each (container, key) of a JSON value."""
    for key in node if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], (dict, list)):
            yield from places(node[key])


@given(fields=valid_fields("S", 1), data=st.data())
def test_whatever_is_wrong_raises_only_definition_errors(fields, data):
    changed = json.loads(definition(*fields, apiKey=1))
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(list(places(changed))))
        container[key] = deepcopy(data.draw(VALUES))  # or the second could be put into itself
    try:
        cls = Definitions({"Tidy": json.dumps(changed)})["Tidy"]
    except DefinitionError as error:
        assert str(error).startswith("Tidy.json")
        return
    for version in cls.versions[:4]:
        check(data.draw(messages(cls, version)), version)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_elements_without_a_field_in_a_version_are_counted_by_the_bytes_that_follow(count):
    empty = {"name": "A", "type": "[]S0", "versions": "0+", "fields": [field("B", versions="none")]}
    cls = loaded(empty, field("C", type="int8"))
    check(cls(a=(cls.S0(),) * count), 0)


def chain(names):
    """Common structs, each of which holds the next."""
    return [struct(a, field("A", b)) for a, b in pairwise(names)] + [struct(names[-1])]


@pytest.mark.parametrize(
    ("fields", "structs", "expected"),
    [
        ([field("A"), field("A")], [], "fields[1]: expected a name of its own, found a twice"),
        ([field("AB"), field("Ab")], [], "fields[1]: expected a name of its own, found ab twice"),
        ([field(type="int33")], [], "fields[0]: expected a type, did you mean 'int32'?, found int33"),
        ([field(type="[]Plac")], [struct("Place")], "fields[0]: expected a type, did you mean 'Place'?, found Plac"),
        ([], [struct("Unused", field(type="Int8"))], "commonStructs[0].fields[0]: expected a type"),
        ([field(type="B", fields=[field(type="[]B")])], [], "structs that do not hold themselves, found B in B"),
        ([], [*chain("AB"), struct("C", field(type="D")), struct("D", field(type="C"))], "found C in D in C"),
    ],
)
def test_refusals_of_names_and_types(fields, structs, expected):
    with pytest.raises(DefinitionError) as caught:
        loaded(*fields, commonStructs=structs)
    assert expected in str(caught.value)


@pytest.mark.parametrize("order", [list, reversed])
def test_depth_is_bounded_however_structs_are_reached(order):
    names = [f"S{n}" for n in range(module.DEPTH_MAX)]
    uses = [field(f"F{n}", f"[]{name}") for n, name in order(list(enumerate(names)))]
    cls = loaded(*uses, commonStructs=chain(names))
    check(cls(), 2)
    names.append("Deepest")
    uses = [field(f"F{n}", name) for n, name in order(list(enumerate(names)))]
    with pytest.raises(DefinitionError, match="at most 16 structs in one another"):
        loaded(*uses, commonStructs=chain(names))
    with pytest.raises(DefinitionError, match="at most 16 structs in one another"):
        loaded(commonStructs=chain([f"S{n}" for n in range(900)]))


def test_structs_that_multiply_are_bounded():
    def tenfold(depth):
        inner = [struct(f"S{n}", *[field(f"A{k}", f"S{n + 1}") for k in range(10)]) for n in range(depth)]
        return [*inner, struct(f"S{depth}", field())]

    check(loaded(field("A", "S0"), commonStructs=tenfold(2))(), 1)
    with pytest.raises(DefinitionError, match="at most 1000 fields with those of structs"):
        loaded(field("A", "S0"), commonStructs=tenfold(12))
