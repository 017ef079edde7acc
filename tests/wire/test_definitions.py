"""Message JSON read at run time: every feature, and every refusal, with messages of our own."""

from __future__ import annotations

import json
import uuid
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import Message, Request, Response, WireError, codec, decode_request, encode_request, oracle
from kproto.wire import definition_json as parser
from kproto.wire import definitions as module
from kproto.wire.definitions import DefinitionError, Definitions, load, snake_case
from kproto.wire.strategies import messages

EVERYTHING = """
// A comment before, with "quotes" and a { brace.
{
  "apiKey": 1234,
  "type": "request", // and one behind
  "name": "TidyRequest",
  "validVersions": "0-4",
  "flexibleVersions": "2+",
  "latestVersionUnstable": true,
  "fields": [
    { "name": "Small", "type": "int8", "versions": "0+", "default": "-1" },
    { "name": "Short", "type": "int16", "versions": "0+", "default": -7 },
    { "name": "Port", "type": "uint16", "versions": "0+", "default": "0xffff" },
    { "name": "Wide", "type": "uint32", "versions": "1+", "ignorable": true },
    { "name": "Long", "type": "int64", "versions": "0+", "default": "0x7fffffffffffffff" },
    { "name": "Ratio", "type": "float64", "versions": "0+", "default": "0.5" },
    { "name": "Sure", "type": "bool", "versions": "0+", "default": "true" },
    { "name": "Link", "type": "string", "versions": "0+", "default": "http://a/ // no comment" },
    { "name": "Maybe", "type": "string", "versions": "0+", "nullableVersions": "1+", "default": "null" },
    { "name": "Legacy", "type": "string", "versions": "0-1", "ignorable": true },
    { "name": "Blob", "type": "bytes", "versions": "0+", "nullableVersions": "0+" },
    { "name": "Batch", "type": "records", "versions": "0+", "nullableVersions": "0+" },
    { "name": "Id", "type": "uuid", "versions": "0+" },
    { "name": "Numbers", "type": "[]int32", "versions": "0+", "nullableVersions": "3+" },
    { "name": "Flags", "type": "[]bool", "versions": "0+" },
    { "name": "Ids", "type": "[]uuid", "versions": "0+" },
    { "name": "Ratios", "type": "[]float64", "versions": "0+" },
    { "name": "From", "type": "string", "versions": "0+", "flexibleVersions": "none" },
    { "name": "Encode", "type": "int8", "versions": "0+" },
    { "name": "Node", "type": "Place", "versions": "0+" },
    { "name": "Nodes", "type": "[]Place", "versions": "0+" },
    { "name": "Inner", "type": "Inner", "versions": "1+", "nullableVersions": "1+", "default": "null",
      "ignorable": true,
      "fields": [
        { "name": "Name", "type": "string", "versions": "1+", "mapKey": true },
        { "name": "Deep", "type": "[]Deepest", "versions": "1+", "fields": [
          { "name": "ApiKey", "type": "int16", "versions": "1+" }
        ]}
      ]},
    { "name": "Hint", "type": "Place", "versions": "2+", "tag": 0, "taggedVersions": "2+" },
    { "name": "Late", "type": "[]string", "versions": "2+", "tag": 1, "taggedVersions": "3+", "nullableVersions": "2+",
      "default": "null" },
    { "name": "AnswerOfNextYear", "type": "string", "versions": "4", "ignorable": true, "aWordOfNextYear": {} }
  ],
  "commonStructs": [
    { "name": "Place", "versions": "0+", "fields": [
      { "name": "Host", "type": "string", "versions": "0+" },
      { "name": "Port", "type": "int32", "versions": "0+", "default": -1 }
    ]}
  ]
}
"""
TIDY = Definitions({"TidyRequest": EVERYTHING})["TidyRequest"]


def definition(*fields, **changes):
    return json.dumps({"type": "data", "name": "Tidy", "validVersions": "0-3", "fields": list(fields), **changes})


def field(name="A", type="int32", **more):  # noqa: A002
    return {"name": name, "type": type, "versions": "0+", **more}


def loaded(*fields, **changes):
    return Definitions({"Tidy": definition(*fields, **changes)})["Tidy"]


def test_the_class_is_as_if_declared():
    assert issubclass(TIDY, Request)
    assert (TIDY.__name__, TIDY.api_key, TIDY.versions) == ("TidyRequest", 1234, range(5))
    assert TIDY.Place(host="h").port == -1
    assert TIDY.Inner.__qualname__ == "TidyRequest.Inner"
    assert TIDY.__doc__ == "TidyRequest, as TidyRequest.json defines it."


def test_defaults_in_all_their_forms():
    message = TIDY()
    assert (message.small, message.short, message.port, message.wide) == (-1, -7, 0xFFFF, 0)
    assert (message.long, message.ratio, message.sure) == (2**63 - 1, 0.5, True)
    assert message.link == "http://a/ // no comment"
    assert (message.maybe, message.blob, message.batch, message.id) == (None, b"", None, uuid.UUID(int=0))
    assert (message.numbers, message.inner, message.late) == ((), None, None)
    assert message.hint == message.node == TIDY.Place()
    assert TIDY(maybe="x").maybe == "x"


def test_names_that_python_or_message_has_get_an_underscore():
    assert {"from_", "encode_"} < set(TIDY().to_dict())
    deepest = TIDY.Deepest(api_key=5)
    assert deepest.api_key == 5


@pytest.mark.parametrize("version", TIDY.versions)
@given(data=st.data())
def test_loaded_messages_round_trip(version, data):
    message = data.draw(messages(TIDY, version))
    encoded = message.encode(version)
    assert encoded == oracle.encode(message, version)
    assert codec.generated_decoder(TIDY, version)(encoded, 0) == (message, len(encoded))
    assert oracle.decode_prefix(TIDY, encoded, version) == (message, len(encoded))
    assert TIDY.from_dict(message.to_dict()) == message


def test_requests_of_loaded_apis_go_through_the_envelope():
    definitions = Definitions({"TidyRequest": EVERYTHING})
    cls = definitions["TidyRequest"]
    frame = encode_request(cls(small=3), 3, correlation_id=9, client_id="c")
    assert definitions.requests == {1234: cls}
    assert decode_request(frame[4:], definitions.requests)[1] == cls(small=3)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("LogAppendTimeMs", "log_append_time_ms"),
        ("Enable2Pc", "enable_2pc"),
        ("KeepPreparedTxn", "keep_prepared_txn"),
        ("V3AndBelow", "v3and_below"),
        ("KRaftVersion", "kraft_version"),
        ("Name", "name"),
        ("Class", "class_"),
        ("ToDict", "to_dict_"),
    ],
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake


def test_names_reserved_for_messages_are_free_in_structs():
    assert snake_case("ApiKey") == "api_key"
    assert snake_case("ApiKey", Message) == "api_key_"
    assert snake_case("Versions", Message) == "versions_"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "Tidy.json: expected JSON with // comments"),
        ("[" * 100_000, "expected JSON with // comments"),
        ("[]", "Tidy.json: expected an object, found []"),
        (definition(type="answer"), "Tidy.json type: expected one of request, response, header, data, found 'answer'"),
        (definition(apiKey=2**15), "apiKey: expected an int16"),
        (definition(apiKey="1"), "apiKey: expected an int16"),
        (definition(name="X; import os"), "name: expected a name of ASCII letters and digits"),
        (definition(name="Größe"), "name: expected a name of ASCII"),
        (definition(name=None), "name: expected a name of ASCII"),
        (definition(validVersions="0..3"), 'validVersions: expected versions such as "0-5", "3+" or "none"'),
        (definition(validVersions=3), "validVersions: expected versions"),
        (definition(fields={}), "fields: expected a list of objects"),
        (definition(fields=[1]), "fields: expected a list of objects"),
        (definition(field("__class__")), "fields[0].name: expected a name of ASCII"),
        (definition(field(type="[][]int32")), "fields[0].type: expected a name of ASCII"),
        (definition(field(type="int33")), "fields[0]: expected a type, did you mean 'int32'?, found int33"),
        (definition(field("A"), field("A")), "fields[1]: expected a name of its own, found a twice"),
        (definition(field(versions="x")), "fields[0].versions: expected versions"),
        (definition(field(ignorable="true")), "fields[0].ignorable: expected true or false, found 'true'"),
        (definition(field(tag=0)), "fields[0]: expected tag and taggedVersions together, found 'one of them'"),
        (definition(field(tag=-1, taggedVersions="0+")), "fields[0].tag: expected a tag of 0 to 1000, found -1"),
        (definition(field(tag=True, taggedVersions="0+")), "fields[0].tag: expected a tag"),
        (definition(field(tag=1, taggedVersions="0+")), "fields: expected tags 0, 1, 2 ..., found [1]"),
        (definition(field(default="null")), "fields[0].default: expected null only where nullable, found 'null'"),
        (definition(field(default="5x")), "fields[0].default: expected a default of int32, found '5x'"),
        (definition(field(type="int8", default=128)), "fields[0].default: expected a default of int8, found 128"),
        (definition(field(type="uint16", default=-1)), "fields[0].default: expected a default of uint16"),
        (definition(field(type="bool", default="maybe")), "fields[0].default: expected a default of bool"),
        (definition(field(type="[]int32", default="1")), "fields[0].default: expected a default of []int32"),
        (definition(field(type="int32", fields=[])), "fields[0]: expected a struct with a name of its own"),
        (
            definition(field(type="B", fields=[]), field("C", "B", fields=[])),
            "fields[1]: expected a struct with a name",
        ),
        (definition(field(type="B", fields=[field(type="B")])), "expected structs that do not hold themselves"),
        (definition(commonStructs=[{"name": "a b"}]), "commonStructs[0].name: expected a name"),
        (definition(*[field(f"A{n}") for n in range(1_001)]), "expected at most 1000 fields"),
    ],
)
def test_refusals_say_where_and_what(text, expected):
    with pytest.raises(DefinitionError) as caught:
        Definitions({"Tidy": text})["Tidy"]
    assert expected in str(caught.value)
    assert isinstance(caught.value, WireError)


def test_depth_is_bounded():
    def nested(depth):
        inner = field("A", f"S{depth}", fields=[])
        for level in range(depth - 1, -1, -1):
            inner = field("A", f"[]S{level}", fields=[inner])
        return definition(inner)

    deepest = Definitions({"Tidy": nested(parser.DEPTH_MAX - 1)})["Tidy"]
    assert deepest.decode(deepest().encode(0), 0) == deepest()
    with pytest.raises(DefinitionError, match="at most 16 levels of fields"):
        Definitions({"Tidy": nested(parser.DEPTH_MAX)})["Tidy"]


def test_a_folder_is_read(tmp_path):
    (tmp_path / "Tidy.json").write_text(definition(field()))
    (tmp_path / "TidyResponse.json").write_text(definition(field(), name="TidyResponse", type="response", apiKey=9))
    (tmp_path / "KeylessRequest.json").write_text(definition(field(), name="KeylessRequest", type="request"))
    (tmp_path / "notes.txt").write_text("not a message")
    definitions = load(str(tmp_path))
    assert set(definitions) == {"Tidy", "TidyResponse", "KeylessRequest"}
    assert len(definitions) == 3
    assert repr(definitions) == "<Definitions of 3 messages>"
    assert definitions["Tidy"](a=5).encode(0) == b"\0\0\0\5"
    assert definitions["Tidy"] is definitions["Tidy"]
    assert definitions.responses == {9: definitions["TidyResponse"]}
    assert issubclass(definitions["TidyResponse"], Response)
    assert definitions.requests == {}
    with pytest.raises(KeyError, match="no message 'Tidi': did you mean 'Tidy'"):
        definitions["Tidi"]


def test_a_jar_is_read(tmp_path):
    jar = tmp_path / "clients.jar"
    with zipfile.ZipFile(jar, "w") as file:
        file.writestr("common/message/Tidy.json", definition(field()))
        file.writestr("common/message/README.md", "")
        file.writestr("other/Else.json", "")
    assert list(load(jar)) == ["Tidy"]


def test_sources_that_hold_no_definitions(tmp_path):
    for path, text in (
        (tmp_path, "expected message JSON, in the folder or in a jar's common/message/, found none"),
        (tmp_path / "missing", "expected a folder of message JSON, or a kafka-clients jar"),
    ):
        with pytest.raises(DefinitionError, match=text):
            load(path)
    broken = tmp_path / "broken.jar"
    broken.write_bytes(b"PK broken")
    with pytest.raises(DefinitionError, match="a kafka-clients jar"):
        load(broken)


def test_sizes_and_numbers_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILE_SIZE_MAX", 1_000)
    monkeypatch.setattr(module, "FILES_MAX", 3)
    folder, jar = tmp_path / "folder", tmp_path / "bomb.jar"
    folder.mkdir()
    (folder / "Tidy.json").write_text(" " * 1_001)
    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("common/message/Tidy.json", " " * (1 << 20))
    for path in (folder, jar):
        with pytest.raises(DefinitionError, match="expected at most 1000 bytes"):
            load(path)
    (folder / "Tidy.json").write_bytes(b"\xff")
    with pytest.raises(DefinitionError, match=r"Tidy\.json: expected UTF-8, found byte 0xff at 0"):
        load(folder)
    for number in range(5):
        (folder / f"Tidy{number}.json").write_text("{}")
    (folder / "Tidy.json").write_text("{}")
    with pytest.raises(DefinitionError, match="expected at most 3 files, found 4 or more"):
        load(folder)
