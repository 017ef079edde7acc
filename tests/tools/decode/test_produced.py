"""Batches out of Produce requests, whole, damaged and legacy."""

from __future__ import annotations

from uuid import UUID

from tools.decode.decoded import Capture, batch

from kproto.tools.decode.produced import produced, topic_name
from kproto.wire import DecodeError
from kproto.wire.records import LegacyBatch

LEGACY = bytes.fromhex("0000000000000000000000108c0c7d4e0000ffffffff000000027630")


def test_each_batch_with_its_place():
    first, second = batch(0, 3), batch(3, 2)
    message = Capture().produce(first, second, partition=4).message
    found = list(produced(message))
    assert [(each.topic, each.partition, each.batch.count, each.batch.offset) for each in found] == [
        ("orders", 4, 3, 0),
        ("orders", 4, 2, len(first)),
    ]
    assert found[1].records == first + second


def test_what_is_damaged_ends_its_partition():
    message = Capture().produce(batch(0, 3), batch(3, 2)[:-1]).message
    first, second = produced(message)
    assert first.batch.count == 3
    assert isinstance(second.batch, DecodeError)


def test_a_wrong_checksum_is_a_batch_all_the_same():
    data = bytearray(batch(0, 3))
    data[-1] ^= 1
    (found,) = produced(Capture().produce(bytes(data)).message)
    assert not found.batch.crc_valid


def test_legacy_messages_are_batches_of_one():
    (found,) = produced(Capture().produce(LEGACY, version=2).message)
    assert isinstance(found.batch, LegacyBatch) and found.batch.producer_id == -1


def test_no_records_are_no_batch():
    assert list(produced(Capture().produce().message)) == []


def test_a_topic_has_its_name_as_soon_as_it_is_learned():
    topic = UUID(int=9)
    capture = Capture()
    unknown = capture.produce(batch(), topic=topic, version=13)
    known = capture.produce(batch(), topic=topic, version=13, topics={topic: "orders"})
    assert [next(produced(each.message)).topic for each in (unknown, known)] == [topic, topic]
    assert (topic_name(topic, unknown), topic_name(topic, known)) == (str(topic), "orders")
    assert topic_name("orders", unknown) == "orders"
