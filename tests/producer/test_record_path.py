"""What happens to a record before it is appended (SEND-1 to SEND-3, SIZE-1, SIZE-2, traps 9 to 12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import config_of

from kproto.client import TopicPartition
from kproto.producer.errors import MessageSizeTooLargeError, SerializationError
from kproto.producer.record import RecordMetadata, WriteStatus
from kproto.producer.record_path import ProducerRecord, RecordPath, placeholder
from kproto.wire import EncodeError
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatchBuilder


def path_of(known=(), **settings):
    return RecordPath(config_of(**settings), known)


class Interceptor:
    """Notes what it hears; raises where it is told to."""

    def __init__(self, name, log, *, raises=None):
        self.name = name
        self.log = log
        self.raises = raises

    def on_send(self, record):
        self.log.append((self.name, "send", record.value))
        if self.raises is not None:
            raise self.raises
        return ProducerRecord(record.topic, record.value + self.name.encode())

    def on_acknowledgement(self, metadata, error):
        self.log.append((self.name, "ack", metadata.offset, error))
        if self.raises is not None:
            raise self.raises


@pytest.mark.parametrize("topic", [None, b"orders", 5, ("orders",)])
def test_send_1_a_topic_is_a_str(topic):
    with pytest.raises(TypeError, match="topic: a str"):
        path_of().check(topic, None, None)


def test_send_1_an_empty_topic_and_one_that_no_request_carries():
    with pytest.raises(ValueError, match="topic: a name"):
        path_of().check("", None, None)
    with pytest.raises(EncodeError):
        path_of().check("x" * 40_000, None, None)
    with pytest.raises(EncodeError):
        path_of().check("\ud800", None, None)
    path_of().check("orders", None, None)


def test_a_topic_that_is_known_is_not_looked_at_again():
    path_of(known={""}).check("", None, None)


@pytest.mark.parametrize("name", ["partition", "timestamp_ms"])
@pytest.mark.parametrize("number", [1.0, "1", True, b"1"])
def test_send_1_partition_and_timestamp_are_ints(name, number):
    with pytest.raises(TypeError, match=f"{name}: an int or None"):
        path_of().check("orders", **{"partition": 1, "timestamp_ms": 1, name: number})


@pytest.mark.parametrize("name", ["partition", "timestamp_ms"])
def test_send_1_and_not_negative(name):
    with pytest.raises(ValueError, match=f"{name}: 0 or more"):
        path_of().check("orders", **{"partition": 0, "timestamp_ms": 0, name: -1})
    path_of().check("orders", 0, 0)


def test_send_2_interceptors_are_a_chain_and_one_that_raises_is_passed_over(caplog):
    """Trap 9: neither the send nor the chain breaks; the next one gets the last good record."""
    log = []
    chain = [Interceptor("a", log), Interceptor("b", log, raises=ValueError("no")), Interceptor("c", log)]
    record = path_of(interceptors=chain).intercept(ProducerRecord("orders", b"v"))
    assert record.value == b"vac"
    assert log == [("a", "send", b"v"), ("b", "send", b"va"), ("c", "send", b"va")]
    assert len(caplog.records) == 1


def test_cb_1_interceptors_hear_of_the_end_before_the_callback(caplog):
    log = []
    chain = [Interceptor("a", log, raises=ValueError("no")), Interceptor("b", log)]
    path = path_of(interceptors=chain)
    error = SerializationError("orders", "key", "is int")
    ended = path.intercepted(lambda metadata, error: log.append(("mine", metadata.offset, error)))
    ended(placeholder("orders", 2), error)
    assert log == [("a", "ack", -1, error), ("b", "ack", -1, error), ("mine", -1, error)]
    assert len(caplog.records) == 1
    path.intercepted(None)(RecordMetadata("orders", 0, 7, 1), None)
    assert log[3:] == [("a", "ack", 7, None), ("b", "ack", 7, None)]


def test_an_interceptor_that_ends_the_program_does_not_keep_the_end_from_the_callback():
    log = []
    path = path_of(interceptors=[Interceptor("a", log, raises=SystemExit())])
    with pytest.raises(SystemExit):
        path.intercepted(lambda *_: log.append("mine"))(placeholder("orders", None), None)
    assert log[-1] == "mine"


def test_err_1_a_record_that_went_nowhere_has_a_place_all_the_same():
    """Trap 11: with its partition, where one was chosen."""
    assert placeholder("orders", None) == ("orders", -1, -1, -1)
    assert placeholder("orders", 3) == ("orders", 3, -1, -1)


def test_trap_11_interceptors_hear_which_partition_was_chosen():
    log = []

    class Hears(Interceptor):
        def on_acknowledgement(self, metadata, error):
            log.append((metadata.partition, error))

    path = path_of(interceptors=[Hears("a", log)])
    too_large = MessageSizeTooLargeError(TopicPartition("orders", 4), WriteStatus.NO, "is too large")
    other = SerializationError("orders", "key", "is int")
    path.refused(ProducerRecord("orders", b"v"), too_large)
    path.refused(ProducerRecord("orders", b"v"), other)
    path.refused(ProducerRecord("orders", b"v", partition=2), other)
    assert log == [(4, too_large), (-1, other), (2, other)]


def test_send_3_key_then_value_each_with_the_topic():
    calls = []

    def serializer(name):
        def serialize(topic, data):
            calls.append((name, topic, data))
            return None if data is None else str(data).encode()

        return serialize

    path = path_of(key_serializer=serializer("key"), value_serializer=serializer("value"))
    assert path.serialize("orders", 1, 2) == (b"1", b"2")
    assert calls == [("key", "orders", 1), ("value", "orders", 2)]
    assert path.serialize("orders", None, None) == (None, None)


def test_other_buffers_are_copied():
    key, value = bytearray(b"key"), memoryview(b"value")[1:]
    assert path_of().serialize("orders", key, value) == (b"key", b"alue")
    copied, _ = path_of().serialize("orders", key, None)
    key[0] = 0
    assert copied == b"key"


class Shout(bytes):
    """A subclass, which may do anything: it is made plain."""


def test_a_subclass_of_bytes_is_made_plain():
    key, _ = path_of().serialize("orders", Shout(b"key"), None)
    assert type(key) is bytes


@pytest.mark.parametrize(("key", "value", "what"), [("key", b"", "key"), (b"", 5, "value")])
def test_what_are_no_bytes_names_the_way_out(key, value, what):
    with pytest.raises(SerializationError, match=f"set {what}_serializer, or encode it") as raised:
        path_of().serialize("orders", key, value)
    assert raised.value.topic == "orders" and raised.value.what == what


def test_a_serializer_that_raises_or_gives_no_bytes():
    def fails(topic, data):
        return {}[data]

    with pytest.raises(SerializationError, match="cannot be serialized: KeyError: 1") as raised:
        path_of(key_serializer=fails).serialize("orders", 1, b"")
    assert isinstance(raised.value.__cause__, KeyError)
    with pytest.raises(SerializationError, match="value_serializer has to give bytes"):
        path_of(value_serializer=lambda topic, data: "text").serialize("orders", b"", b"")


def test_trap_10_headers_are_as_they_were():
    given_headers, data = [("a", b"1"), ["b", None]], bytearray(b"2")
    given_headers.append(("c", data))
    frozen = path_of().headers(given_headers)
    given_headers.clear()
    data[0] = 0
    assert frozen == (("a", b"1"), ("b", None), ("c", b"2"))
    assert path_of().headers(None) == path_of().headers([]) == path_of().headers(()) == ()
    assert path_of().headers(pair for pair in [("a", b"1")]) == (("a", b"1"),)


@pytest.mark.parametrize(
    "headers",
    [{"a": b"1"}, ["ab"], [b"ab"], [("a",)], [("a", b"1", 2)], [(b"a", b"1")], [("a", "1")], [("a", 1)], [None], [5]],
)
def test_headers_that_are_none(headers):
    with pytest.raises(TypeError, match="headers: pairs of a str and bytes or None"):
        path_of().headers(headers)


@given(
    key=st.none() | st.binary(max_size=300),
    value=st.none() | st.binary(max_size=300),
    headers=st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3).map(tuple),
)
def test_size_1_size_2_what_fits_by_its_bound_fits_in_a_batch_of_its_own(key, value, headers):
    """Trap 12: uncompressed. The bound is never too small, and not too large by more than the varints may be."""
    builder = RecordBatchBuilder()
    builder.append(2**62, key, value, headers)
    exact = builder.size
    path_of(max_request_size=exact + 21).check_size("orders", 0, key, value, headers)
    with pytest.raises(MessageSizeTooLargeError):
        path_of(max_request_size=exact - 1).check_size("orders", 0, key, value, headers)


def test_size_2_the_request_is_named_before_the_memory():
    value = b"x" * 1000
    size = RECORD_BATCH_OVERHEAD + 21 + 1 + 2 + 1000 + 1
    path_of(max_request_size=size, buffer_memory=size).check_size("orders", 0, None, value, ())
    for settings, named in (
        ({"max_request_size": size - 1, "buffer_memory": 1}, "max_request_size"),
        ({"buffer_memory": size - 1}, "buffer_memory"),
    ):
        with pytest.raises(
            MessageSizeTooLargeError, match=f"{size} bytes, before compression, is larger than {named}"
        ) as raised:
            path_of(**settings).check_size("orders", 3, None, value, ())
        assert raised.value.partition == ("orders", 3) and raised.value.written is WriteStatus.NO
