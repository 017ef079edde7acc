"""What is no definition is refused, with the place, what was expected, and what was found."""

from __future__ import annotations

import json
import pickle
import time

import pytest

from kproto.wire import WireError
from kproto.wire.definition_json import COMMENT, DEPTH_MAX, DefinitionError, parse_definition


def definition(*fields, **changes):
    common = {"type": "data", "name": "Tidy", "validVersions": "0-3", "flexibleVersions": "2+"}
    return json.dumps({**common, "fields": list(fields), **changes})


def field(name="A", type="int32", **more):  # noqa: A002
    return {"name": name, "type": type, "versions": "0+", **more}


def parse(*fields, **changes):
    return parse_definition("Tidy.json", definition(*fields, **changes))


def without(key, **more):
    made = field(**more)
    del made[key]
    return made


VERSIONS = 'expected versions such as "0-5", "3+" or "none"'
NAME = "expected a name of ASCII letters and digits"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "Tidy.json: expected JSON with // comments, found Expecting value"),
        ("{", "Tidy.json: expected JSON with // comments"),
        ("{} {}", "expected JSON with // comments, found Extra data"),
        ('{"name": "Tidy // no comment }', "expected JSON with // comments, found Unterminated string"),
        ("[" * 100_000, "expected JSON with // comments, found "),
        ('{"apiKey": ' + "1" * 5_000 + "}", "expected JSON with // comments, found Exceeds the limit"),
        ('{"name": "A", "name": "B"}', "expected JSON with // comments, found the key 'name' twice in one object"),
        ("[]", "Tidy.json: expected an object, found []"),
        (definition(type="answer"), "Tidy.json type: expected one of request, response, header, data, found 'answer'"),
        (definition(type=[]), "type: expected one of request, response, header, data, found []"),
        (definition(apiKey=2**15), "apiKey: expected a key of 0 to 32767, found 32768"),
        (definition(apiKey=-1), "apiKey: expected a key of 0 to 32767, found -1"),
        (definition(apiKey=True), "apiKey: expected a key of 0 to 32767, found True"),
        (definition(apiKey="1"), "apiKey: expected a key of 0 to 32767, found '1'"),
        (definition(name="X; import os"), f"name: {NAME}, found 'X; import os'"),
        (definition(name="Größe"), f"name: {NAME}"),
        (definition(name="Tidy\n"), f"name: {NAME}"),
        (definition(name="A" * 101), f"name: {NAME}"),
        (definition(name=None), f"name: {NAME}, found None"),
        (definition(latestVersionUnstable="yes"), "latestVersionUnstable: expected true or false, found 'yes'"),
        (definition(validVersions="0..3"), f"validVersions: {VERSIONS}, found '0..3'"),
        (definition(validVersions="3-0"), f"validVersions: {VERSIONS}"),
        (definition(validVersions="0-99999"), f"validVersions: {VERSIONS}"),
        (definition(validVersions=3), f"validVersions: {VERSIONS}, found 3"),
        (definition(validVersions=None), f"validVersions: {VERSIONS}, found None"),
        (definition(flexibleVersions="all"), f"flexibleVersions: {VERSIONS}"),
        (definition(fields={}), "fields: expected a list of objects, found {}"),
        (definition(fields=[1]), "fields: expected a list of objects, found [1]"),
        (definition(commonStructs=1), "commonStructs: expected a list of objects, found 1"),
        (definition(commonStructs=[{"name": "a b", "versions": "0+"}]), f"commonStructs[0].name: {NAME}"),
        (definition(commonStructs=[{"name": "A", "fields": []}]), f"commonStructs[0].versions: {VERSIONS}, found None"),
        (
            definition(commonStructs=[{"name": "place", "versions": "0+"}]),
            "commonStructs[0]: expected a struct with a capital first, found 'place'",
        ),
        (definition(field("__class__")), f"fields[0].name: {NAME}, found '__class__'"),
        (definition(without("name")), f"fields[0].name: {NAME}, found None"),
        (definition(without("type")), f"fields[0].type: {NAME}, found None"),
        (definition(without("versions")), f"fields[0].versions: {VERSIONS}, found None"),
        (definition(field(type="[][]int32")), f"fields[0].type: {NAME}"),
        (
            definition(field(type="int32", fields=[])),
            "fields[0]: expected a struct with a capital first, found 'int32'",
        ),
        (definition(field(type="encode", fields=[])), "fields[0]: expected a struct with a capital first"),
        (
            definition(field(type="B", fields=[]), field("C", "B", fields=[])),
            "fields[1]: expected a struct with a name of its own, found 'B'",
        ),
        (
            definition(field("C", "B", fields=[]), commonStructs=[{"name": "B", "versions": "0+"}]),
            "fields[0]: expected a struct with a name of its own, found 'B'",
        ),
        (definition(field(type="B", fields=[field("C", "int 8")])), "fields[0].fields[0].type: expected a name"),
        (definition(field(versions="x")), f"fields[0].versions: {VERSIONS}"),
        (definition(field(type="string", nullableVersions=[])), f"fields[0].nullableVersions: {VERSIONS}, found []"),
        (
            definition(field(nullableVersions="1+")),
            "fields[0].nullableVersions: expected none, as int32 is never null, found '1+'",
        ),
        (
            definition(field(type="[]int8", flexibleVersions="none")),
            "fields[0].flexibleVersions: expected none, as []int8 has no length, found 'none'",
        ),
        (definition(field(ignorable="true")), "fields[0].ignorable: expected true or false, found 'true'"),
        (definition(field(mapKey=1)), "fields[0].mapKey: expected true or false, found 1"),
        (definition(field(tag=0)), "fields[0]: expected tag and taggedVersions together, found 'one of them'"),
        (definition(field(taggedVersions="2+")), "fields[0]: expected tag and taggedVersions together"),
        (definition(field(tag=-1, taggedVersions="2+")), "fields[0].tag: expected a tag of 0 to 1000, found -1"),
        (definition(field(tag=True, taggedVersions="2+")), "fields[0].tag: expected a tag of 0 to 1000, found True"),
        (definition(field(tag=1, taggedVersions="2+")), "fields: expected tags 0, 1, 2 ..., found [1]"),
        (
            definition(field(tag=0, taggedVersions="2+"), field("B", tag=0, taggedVersions="2+")),
            "fields: expected tags 0, 1, 2 ..., found [0, 0]",
        ),
        (
            definition(field(tag=0, taggedVersions="2+", versions="3+")),
            "fields[0].taggedVersions: expected some of the field's versions, found '2+'",
        ),
        (
            definition(field(tag=0, taggedVersions="1+")),
            "fields[0].taggedVersions: expected flexible versions of the message, found '1+'",
        ),
        (definition(field(default="null")), "fields[0].default: expected null only where nullable in each version"),
        (
            definition(field(type="string", nullableVersions="1+", default="null")),
            "fields[0].default: expected null only where nullable in each version, found 'null'",
        ),
        (definition(field(type="string", default=["x"])), "fields[0].default: expected a string, number or bool"),
        (definition(*[field(f"A{n}") for n in range(1_001)]), "expected at most 1000 fields, found 'more'"),
    ],
)
def test_refusals_say_where_and_what(text, expected):
    with pytest.raises(DefinitionError) as caught:
        parse_definition("Tidy.json", text)
    assert expected in str(caught.value)
    assert isinstance(caught.value, WireError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


@pytest.mark.parametrize(
    ("type_name", "default"),
    [
        *(("int32", text) for text in ("5x", "0b1", "1_0", " 1", "+1", "1.0", 1.0, "0x", "-0x1", "9" * 5_000, True)),
        *(("int8", number) for number in (128, -129, "0x80")),
        *(("int16", number) for number in (2**15, -(2**15) - 1)),
        *(("int64", number) for number in (2**63, "0xffffffffffffffff")),
        *(("uint16", number) for number in (-1, 2**16)),
        *(("uint32", number) for number in (-1, 2**32)),
        *(("float64", text) for text in ("nan", "inf", "1e999", "1_0", "0x1p3", "x", "1" * 100)),
        *(("bool", text) for text in ("maybe", 1, "yes")),
        *(("uuid", text) for text in ("x", "AAAAAAAAAAAAAAAAAAAAA", "00000000-0000-0000-0000-000000000000")),
        *(("string", text) for text in ("x" * 2**15, "\ud800")),
        *((type_name, "1") for type_name in ("bytes", "records", "[]int32", "Place")),
    ],
)
def test_defaults_that_the_type_lacks(type_name, default):
    with pytest.raises(DefinitionError, match=r"Tidy\.json fields\[0\]\.default: expected a default of ") as caught:
        parse(field(type=type_name, default=default))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("type_name", "default", "value"),
    [
        ("int8", "-128", -128),
        ("int16", "0x7fff", 2**15 - 1),
        ("int32", -(2**31), -(2**31)),
        ("int64", "0x7fffffffffffffff", 2**63 - 1),
        ("uint16", 65535, 65535),
        ("uint32", "4294967295", 2**32 - 1),
        ("float64", 1e22, 1e22),
        ("float64", "-1", -1.0),
        ("bool", "False", False),
        ("bool", True, True),
        ("string", "None", "None"),
        ("string", " x ", " x "),
        ("string", 5, "5"),
        ("string", True, "true"),
    ],
)
def test_defaults(type_name, default, value):
    found = parse(field(type=type_name, default=default)).root.fields[0].default
    assert (found, type(found)) == (value, type(value))


def test_comments_end_at_the_line_and_begin_outside_of_strings():
    text = '// "a\n{"x": "//b \\" // c", // "d\n"y": "\\\\"} // "e'
    assert json.loads(COMMENT.sub(lambda match: match[1] or "", text)) == {"x": '//b " // c', "y": "\\"}


def test_comments_take_linear_time():
    started = time.perf_counter()
    with pytest.raises(DefinitionError):
        parse_definition("Tidy.json", '"' + '\\"' * 500_000)
    with pytest.raises(DefinitionError):
        parse_definition("Tidy.json", "{" + ", ".join(f'"{n}": 1' for n in range(60_000)) + ', "0": 2}')
    assert time.perf_counter() - started < 10  # seconds; the square of these sizes would take hours


def test_null_is_as_absent():
    made = parse(field(default=None, tag=None, mapKey=None, nullableVersions=None), apiKey=None, commonStructs=None)
    assert made == parse(field())


def test_keys_of_next_year_are_left_alone():
    assert parse({**field(), "aKey": {"of": ["next", "year"]}}, headerVersions={"0-1": "1"}) == parse(field())


def test_a_tag_alone_says_the_versions():
    made = parse({"name": "A", "type": "int8", "tag": 0, "taggedVersions": "3+"})
    assert made.root.fields[0].versions == range(3, 2**15)


def test_tags_may_reach_into_versions_that_the_message_lacks():
    assert parse(field(tag=0, taggedVersions="0+"), validVersions="2-3").root.fields[0].tagged == range(2**15)


def test_depth_is_bounded():
    def nested(depth):
        inner = field("A", f"S{depth}", fields=[])
        for level in range(depth - 1, -1, -1):
            inner = field("A", f"[]S{level}", fields=[inner])
        return inner

    assert len(parse(nested(DEPTH_MAX - 1)).structs) == DEPTH_MAX
    with pytest.raises(DefinitionError, match="at most 16 levels of fields"):
        parse(nested(DEPTH_MAX))
    for depth in range(900, 1_000):  # as deep as the stack allows; what is refused is shown without recursion
        with pytest.raises(DefinitionError):
            parse_definition("Tidy.json", definition(fields="X").replace('"X"', "[" * depth + "]" * depth))
