"""The tables say of each version what the declaration says, and the committed page is theirs."""

import runpy
from pathlib import Path

import pytest

from kproto.wire import REQUESTS, RESPONSES, Message, MetadataResponse, RequestHeader, ResponseHeader, tables
from kproto.wire.changes import fields_at
from kproto.wire.field import field
from kproto.wire.versions import parse_versions
from kproto.wire.wire_type import Int8

PAGE = Path(__file__).parents[2] / "docs" / "messages.md"
MESSAGES = [RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values()]


def test_fields_table():
    rows = {row.path: row for row in tables.fields_table(MetadataResponse)}
    assert rows["topics[].name"] == ("topics[].name", "string", "0+", "12+", "", "''")
    assert rows["cluster_authorized_operations"].versions == "8-10"
    assert rows["brokers"].default == ""
    assert rows["cluster_id"].nullable == "2+"


@pytest.mark.parametrize("cls", MESSAGES, ids=lambda cls: cls.__name__)
def test_rows_agree_with_each_version(cls):
    rows = tables.fields_table(cls)
    for version in cls.versions:
        found = dict(fields_at(cls, version))
        present = [row for row in rows if version in parse_versions(row.versions)]
        assert [row.path for row in present] == list(found)
        for row in present:
            facts = found[row.path]
            assert row.type == facts.type
            assert (row.nullable != "" and version in parse_versions(row.nullable)) == facts.nullable
            assert facts.tag is None or row.tag == str(facts.tag)


def test_a_section_of_a_message_that_is_no_api():
    class Plain(Message, versions="2-4", flexible="none"):
        """First line.

        Second paragraph.
        """

        number: int = field(Int8, since=3, default=7)

    assert tables.markdown(Plain).splitlines() == [
        "## Plain",
        "",
        "First line.",
        "",
        "Versions 2-4, flexible none.",
        "",
        "| field | type | versions | nullable | tag | default |",
        "| --- | --- | --- | --- | --- | --- |",
        "| `number` | `int8` | `3+` |  |  | `7` |",
        "",
        "Changes:",
        "",
        "- 3: `+number`",
    ]


def test_the_page_is_the_declarations():
    assert PAGE.read_text(encoding="utf-8") == tables.page(), "run make docs"


def test_the_page_has_every_message():
    for cls in MESSAGES:
        assert tables.page().count(f"## {cls.__name__}\n") == 1


def test_main_prints_the_page(capsys):
    assert tables.main() == 0
    assert capsys.readouterr().out == tables.page()
    with pytest.raises(SystemExit) as exited:
        runpy.run_path(tables.__file__, run_name="__main__")
    assert exited.value.code == 0
    assert capsys.readouterr().out == tables.page()
