"""Message JSON read at run time: every feature, with messages of our own, becomes what a declaration would be."""

from __future__ import annotations

import copy
import pickle
import uuid
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from definition_texts import check, definition, field, loaded, struct
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    Message,
    Request,
    Response,
    Struct,
    WireError,
    decode_request,
    encode_request,
)
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
    { "name": "Rate", "type": "float64", "versions": "0+", "default": -2.5e+3 },
    { "name": "Floor", "type": "int32", "versions": "0+", "default": "-2147483648" },
    { "name": "Sure", "type": "bool", "versions": "0+", "default": "true" },
    { "name": "Open", "type": "bool", "versions": "0+", "default": true },
    { "name": "Link", "type": "string", "versions": "0+", "default": "http://a/ // no comment" },
    { "name": "Maybe", "type": "string", "versions": "0+", "nullableVersions": "0+", "default": "null" },
    { "name": "Legacy", "type": "string", "versions": "0-1", "ignorable": true },
    { "name": "Blob", "type": "bytes", "versions": "0+", "nullableVersions": "0+" },
    { "name": "Batch", "type": "records", "versions": "0+", "nullableVersions": "0+" },
    { "name": "Id", "type": "uuid", "versions": "0+" },
    { "name": "Someone", "type": "uuid", "versions": "0+", "default": "AAAAAAAAAAAAAAAAAAAAAQ" },
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
    { "name": "Soon", "type": "string", "taggedVersions": "2+", "tag": 2, "default": "x" },
    { "name": "Gone", "type": "int8", "versions": "none", "default": null, "mapKey": null },
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


def test_the_class_is_as_if_declared():
    assert issubclass(TIDY, Request)
    assert (TIDY.__name__, TIDY.__qualname__) == ("TidyRequest", "TidyRequest")
    assert (TIDY.api_key, TIDY.versions, TIDY.flexible_versions) == (1234, range(5), range(2, 2**15))
    assert TIDY.__doc__ == "TidyRequest, as TidyRequest.json defines it."
    assert [f.name for f in TIDY.fields if f.map_key] == []
    assert [f.name for f in TIDY.Inner.fields if f.map_key] == ["name"]
    assert {f.name for f in TIDY.fields if f.ignorable} == {"wide", "legacy", "inner", "answer_of_next_year"}
    assert {f.name: f.tag for f in TIDY.fields if f.tag is not None} == {"hint": 0, "late": 1, "soon": 2}


def test_structs_are_attributes_of_their_message():
    assert TIDY.Place(host="h").port == -1
    assert TIDY.Deepest(api_key=5).api_key == 5
    assert TIDY.Inner.__qualname__ == "TidyRequest.Inner"
    assert TIDY.Inner.__doc__ == "Inner of TidyRequest, as TidyRequest.json defines it."
    assert TIDY(node=TIDY.Place(host="h")).node.flexible_versions == TIDY.flexible_versions
    assert issubclass(loaded(commonStructs=[struct("Unused", field())]).Unused, Struct)


@pytest.mark.parametrize(
    ("kind", "base"), [("request", Request), ("response", Response), ("header", Message), ("data", Message)]
)
def test_each_type_of_message_has_its_base(kind, base):
    assert loaded(type=kind).__mro__[1] is base


def test_a_removed_api_has_a_class_without_versions():
    cls = loaded(field(), validVersions="none", latestVersionUnstable=False)
    assert cls.versions == range(0)
    with pytest.raises(WireError, match="Tidy has versions none, not 0"):
        cls().encode(0)


def test_defaults_in_all_their_forms():
    message = TIDY()
    assert (message.small, message.short, message.port, message.wide) == (-1, -7, 0xFFFF, 0)
    assert (message.long, message.floor, message.ratio, message.rate) == (2**63 - 1, -(2**31), 0.5, -2500.0)
    assert (message.sure, message.open, message.flags) == (True, True, ())
    assert message.link == "http://a/ // no comment"
    assert (message.maybe, message.legacy, message.blob, message.batch) == (None, "", b"", None)
    assert (message.id, message.someone) == (uuid.UUID(int=0), uuid.UUID(int=1))
    assert (message.numbers, message.inner, message.late) == ((), None, None)
    assert (message.soon, message.gone) == ("x", 0)
    assert message.hint == message.node == TIDY.Place()


def test_a_nullable_field_without_a_default_has_that_of_its_type():
    types = {"string": "", "bytes": b"", "records": None, "[]int8": ()}
    for type_name, default in types.items():
        assert loaded(field(type=type_name, nullableVersions="0+")).fields[0].default == default
    cls = loaded(field(type="S", fields=[field()], nullableVersions="0+"))
    assert cls().a == cls.S()


def test_names_that_python_or_message_has_get_an_underscore():
    assert {"from_", "encode_"} < set(TIDY().to_dict())


@pytest.mark.parametrize("version", TIDY.versions)
@given(data=st.data())
def test_loaded_messages_round_trip(version, data):
    message = data.draw(messages(TIDY, version))
    check(message, version)
    assert TIDY.from_dict(message.to_dict()) == message


def test_requests_of_loaded_apis_go_through_the_envelope():
    definitions = Definitions({"TidyRequest": EVERYTHING})
    cls = definitions["TidyRequest"]
    frame = encode_request(cls(small=3), 3, correlation_id=9, client_id="c")
    assert definitions.requests == {1234: cls}
    assert definitions.requests is definitions.requests
    assert decode_request(frame[4:], definitions.requests)[1] == cls(small=3)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("LogAppendTimeMs", "log_append_time_ms"),
        ("Enable2Pc", "enable_2pc"),
        ("KeepPreparedTxn", "keep_prepared_txn"),
        ("V3AndBelow", "v3and_below"),
        ("KRaftVersion", "kraft_version"),
        ("timeoutMs", "timeout_ms"),
        ("Name", "name"),
        ("Class", "class_"),
        ("ToDict", "to_dict_"),
        ("Tags", "tags_"),
    ],
)
def test_snake_case(name, snake):
    assert snake_case(name) == snake


def test_names_reserved_for_messages_are_free_in_structs():
    assert snake_case("ApiKey") == "api_key"
    assert snake_case("ApiKey", Message) == "api_key_"
    assert snake_case("Versions", Message) == "versions_"


def test_definitions_are_a_mapping():
    response = definition(field(), name="TidyResponse", type="response", apiKey=9)
    keyless = definition(name="KeylessRequest", type="request")
    broken = Definitions({"TidyResponse": response, "KeylessRequest": keyless, "Broken": "{"})
    assert list(broken) == ["TidyResponse", "KeylessRequest", "Broken"]
    assert "Broken" in broken  # asking whether it is there parses nothing
    assert "Tidy" not in broken
    assert repr(broken) == "<Definitions of 3 messages>"
    with pytest.raises(KeyError, match="no message 'TidyRespons': did you mean 'TidyResponse'"):
        broken["TidyRespons"]
    with pytest.raises(DefinitionError, match="Broken"):
        broken["Broken"]
    definitions = Definitions({"TidyResponse": response, "KeylessRequest": keyless})
    assert definitions["TidyResponse"] is definitions["TidyResponse"]
    assert (definitions.requests, definitions.responses) == ({}, {9: definitions["TidyResponse"]})


def test_an_api_key_belongs_to_one_request():
    texts = {name: definition(name=name, type="request", apiKey=9) for name in ("OneRequest", "TwoRequest")}
    with pytest.raises(DefinitionError, match=r"TwoRequest\.json apiKey: .* found 9, which OneRequest has"):
        Definitions(texts).requests  # noqa: B018


def test_threads_get_one_class(monkeypatch):
    definitions = Definitions({"Tidy": definition(field())})
    together = Barrier(2, timeout=30)

    def build_together(parsed, build=module.build):
        made = build(parsed)
        together.wait()  # both have built before either keeps
        return made

    monkeypatch.setattr(module, "build", build_together)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(definitions.__getitem__, ["Tidy", "Tidy"])
    assert one is other is definitions["Tidy"]


def test_values_are_copied_but_not_pickled():
    message = loaded(field())(a=5)
    assert copy.deepcopy(message) == copy.copy(message) == message
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(message)


def test_a_folder_is_loaded(tmp_path):
    (tmp_path / "Tidy.json").write_text(definition(field()))
    assert load(str(tmp_path))["Tidy"](a=5).encode(0) == b"\0\0\0\5"
    (tmp_path / "Other.json").write_text(definition(field()))
    with pytest.raises(DefinitionError, match=r"Other\.json name: expected the name of its file, Other, found Tidy"):
        load(tmp_path)["Other"]
