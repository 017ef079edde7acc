"""Errors: hashable, picklable, and sentences."""

import copy
import pickle

import pytest

from kproto.wire import errors
from kproto.wire.errors import DecodeError, EncodeError, FieldUnavailable, KafkaError, Underrun, WireError

DECODE_ERRORS = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, DecodeError)]


@pytest.mark.parametrize("cls", DECODE_ERRORS)
def test_decode_errors_keep_their_facts(cls):
    error = cls("X v1 a.b", 7, "4 bytes", "2")
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(copied) is cls
        assert (copied.path, copied.offset, copied.expected, copied.found) == ("X v1 a.b", 7, "4 bytes", "2")
        assert str(copied) == str(error)
    assert {error: 1}[error] == 1
    assert not error.retriable


def test_sentences():
    assert str(DecodeError("X v1 a", 7, "UTF-8", "0xff")) == "X v1 a at byte 7: expected UTF-8, found 0xff"
    assert str(Underrun("X v1 a", 7, "4 bytes", "2")) == "X v1 a at byte 7: need 4 bytes, 2 remain"
    assert str(EncodeError("X v1 a", "b", "is not bytes")) == "X v1 a: is not bytes, got 'b'"


def test_a_long_refused_value_is_shortened():
    text = str(EncodeError("X v1 a", "b" * 1_000_000, "is too long"))
    assert len(text) < 120
    assert text.endswith("...")


def test_the_tree():
    assert issubclass(FieldUnavailable, EncodeError)
    assert issubclass(EncodeError, WireError)
    assert issubclass(WireError, KafkaError)
    error = pickle.loads(pickle.dumps(FieldUnavailable("X v1 a", 3, "is not in version 1")))
    assert (error.path, error.value, error.why) == ("X v1 a", 3, "is not in version 1")


def test_the_module_docstring_is_the_table_of_contents():
    for name in errors.__all__:
        assert name in errors.__doc__
