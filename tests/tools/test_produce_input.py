"""Records from files and pipes: all of them, as they come, and the line of what is none."""

from __future__ import annotations

import io
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.producer import ProducerRecord
from kproto.tools.produce_input import InputError, InputForm, InputFormat, RecordReader, Source
from kproto.tools.record_json import record_to_json

DEFAULT = ProducerRecord("orders")
LINES = InputForm(InputFormat.LINES, DEFAULT)
NDJSON = InputForm(InputFormat.NDJSON, DEFAULT)
LENGTH = InputForm(InputFormat.LENGTH, DEFAULT)
VALUES = st.lists(st.binary(max_size=30))


def reader(data, form=LINES):
    return RecordReader([Source("stdin", io.BytesIO(data))], form)


def values(data, form=LINES):
    return [record.value for record in reader(data, form)]


def wrong(data, form=LINES):
    """What was right before, and the complaint."""
    found = []
    with pytest.raises(InputError) as caught:
        found.extend(record.value for record in reader(data, form))  # which keeps what came before it raises
    return found, str(caught.value)


@given(st.lists(st.binary(max_size=30).filter(lambda value: b"\n" not in value and not value.endswith(b"\r"))))
def test_a_line_is_a_value(lines):
    data = b"".join(line + b"\n" for line in lines)
    assert values(data) == lines
    assert values(b"".join(line + b"\r\n" for line in lines)) == lines


def test_the_last_line_needs_no_end_and_an_empty_one_is_a_value():
    assert values(b"a\n\nb") == [b"a", b"", b"b"]


def test_keys_are_before_the_first_separator():
    form = replace(LINES, key_separator=b"::", null=b"NULL")
    found = list(reader(b"a::b::c\nNULL::NULL\n::\n", form))
    assert [(record.key, record.value) for record in found] == [(b"a", b"b::c"), (None, None), (b"", b"")]
    assert wrong(b"a::b\nab\n", form) == ([b"b"], "stdin, line 2: key and value with '::' between were expected")


def test_the_default_key_is_never_taken_for_none():
    form = InputForm(InputFormat.LINES, replace(DEFAULT, key=b"x"), null=b"x")
    assert [(record.key, record.value) for record in reader(b"x\n", form)] == [(b"x", None)]


def test_what_all_records_have_in_common():
    default = ProducerRecord("orders", None, b"k", 2, None, (("a", b"1"),))
    assert list(reader(b"v\n", InputForm(InputFormat.LINES, default))) == [replace(default, value=b"v")]
    assert list(reader(b"\0\0\0\1v", InputForm(InputFormat.LENGTH, default))) == [replace(default, value=b"v")]


@given(VALUES)
def test_a_json_object_is_a_record(wanted):
    lines = "\n\n".join(record_to_json(ProducerRecord("orders", value)) for value in wanted)
    assert values(lines.encode(), NDJSON) == wanted
    assert values(b"\xef\xbb\xbf" + lines.encode(), NDJSON) == wanted


def test_a_line_that_is_no_record_is_named():
    found, says = wrong(b'{"value": "a"}\n\n{"vlue": 1}\n{"value": "b"}\n', NDJSON)
    assert (found, says) == ([b"a"], "stdin, line 3: there is no 'vlue' in a record: did you mean 'value'?")


@given(VALUES)
def test_a_length_and_so_many_bytes_are_a_value(wanted):
    assert values(b"".join(len(value).to_bytes(4, "big") + value for value in wanted), LENGTH) == wanted


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0\0\0\1v\0\0", "stdin, record 2: a length of 4 bytes was expected, the input ends after 2"),
        (b"\0\0\0\1v\0\0\0\5abc", "stdin, record 2: 5 bytes were expected, the input ends after 3"),
        (b"\0\0\0\1vhello", "stdin, record 2: a length of at most 1048576 was expected, not 1751477356: see --format"),
    ],
)
def test_damaged_lengths(data, says):
    assert wrong(data, LENGTH) == ([b"v"], says)


@pytest.mark.parametrize("form", [LINES, NDJSON])
def test_a_line_without_end_is_not_read_to_its_end(form):
    class Endless(io.RawIOBase):
        given = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            Endless.given += len(buffer)
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

    endless = Source("stdin", io.BufferedReader(Endless()))
    with pytest.raises(InputError, match="line 1: a line of at most"):
        list(RecordReader([endless], replace(form, size_max=1000)))
    assert Endless.given < 200_000


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe")
@pytest.mark.parametrize(
    ("form", "one"),
    [(LINES, b"a\n"), (NDJSON, b'{"value": "a"}\n'), (LENGTH, b"\0\0\0\1a")],
    ids=["line", "json", "len"],
)
def test_a_record_is_there_before_the_next_is_written(form, one):
    reading, writing = os.pipe()
    with open(reading, "rb") as pipe, open(writing, "wb", buffering=0) as end:  # noqa: PTH123  # descriptors
        records = iter(RecordReader([Source("stdin", pipe)], form))
        for _ in range(3):
            end.write(one)
            assert next(records).value == b"a"
        end.close()
        assert next(records, None) is None


def test_sources_follow_each_other_and_are_counted(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"1\n2\n")
    made = RecordReader([Source.of(path), Source("stdin", io.BytesIO(b"3"), 1)], LINES)
    places = [(record.value, made.place) for record in made]
    assert places == [(b"1", f"{path}, line 1"), (b"2", f"{path}, line 2"), (b"3", "stdin, line 1")]
    assert (made.bytes_read, made.size) == (5, 5)
    assert RecordReader([Source("stdin", io.BytesIO())], LINES).size is None
    assert Source.of(tmp_path).size is None


def test_a_file_that_cannot_be_read(tmp_path):
    path = tmp_path / "gone"
    with pytest.raises(InputError, match="gone, line 0: it cannot be read on: No such file"):
        list(RecordReader([Source("gone", path)], LINES))


def test_no_sources():
    made = RecordReader([], LINES)
    assert list(made) == []
    assert (made.place, made.size) == (", line 0", 0)
