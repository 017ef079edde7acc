"""The records of a call by partition: none is lost, each is where its key belongs, and odd ones go their own way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import AT_MS, accumulator_of, config_of

from kproto.producer.bulk_groups import KEYS_MAX, KeyPartitions, bulk_groups
from kproto.producer.partitioner import PartitionChoices, partition_for_key
from kproto.producer.queues import Appended
from kproto.producer.record import NO_PARTITION

CONFIG = config_of()


def topic_of(partitions=3):
    topic = accumulator_of().topic("orders")
    topic.choices = PartitionChoices(tuple(range(partitions)))
    return topic


def groups_of(values, keys=None, partition=None, *, config=CONFIG, topic=None):
    return bulk_groups(config, topic or topic_of(), values, keys, partition, ())


@given(st.lists(st.binary(max_size=9), min_size=1, max_size=60), st.integers(1, 12))
def test_part_1_each_record_is_in_the_group_of_its_key_in_order(keys, partitions):
    values = [b"%d" % place for place in range(len(keys))]
    groups = groups_of(values, keys, topic=topic_of(partitions))
    assert sorted(place for group in groups for place in group.places) == list(range(len(keys)))
    for group in groups:
        assert list(group.places) == sorted(group.places)
        assert group.columns.values == [values[place] for place in group.places]
        assert group.columns.keys == [keys[place] for place in group.places]
        assert {partition_for_key(key, partitions) for key in group.columns.keys} == {group.partition}


def test_without_keys_or_with_a_partition_there_is_one_group():
    (sticky,) = groups_of([b"a", b"b"])
    assert (sticky.partition, list(sticky.places)) == (NO_PARTITION, [0, 1])
    (named,) = groups_of([b"a", None], [None, b"k"], 2)
    assert (named.partition, list(named.places)) == (2, [0, 1])


def test_what_cannot_be_taken_so_is_left_to_the_way_of_single_records():
    for values, keys in [
        ([b"a", "text"], None),
        ([b"a"], ["k"]),
        ([b"a", b"b"], [b"k", None]),
        ([bytearray(b"a")], None),
        ("ab", None),
        ([bytes(1 << 20)], None),
    ]:
        assert groups_of(values, keys) is None
    for settings in (
        {"partitioner": "round_robin"},
        {"partitioner_ignore_keys": True},
        {"value_serializer": lambda topic, value: value},
    ):
        assert groups_of([b"a"], [b"k"], config=config_of(**settings)) is None
    assert groups_of([b"a"], config=config_of(partitioner_ignore_keys=True)) is not None


def test_when_the_topic_has_more_partitions_the_keys_are_looked_up_anew():
    topic = topic_of(2)
    keys = [b"%d" % number for number in range(50)]
    groups_of(keys, keys, topic=topic)
    topic.choices = PartitionChoices(tuple(range(7)))
    assert {group.partition for group in groups_of(keys, keys, topic=topic)} == set(range(7))


def test_a_cache_that_is_full_takes_no_more():
    known = KeyPartitions(5)
    for number in range(KEYS_MAX + 10):
        key = b"%d" % number
        assert known[key] == partition_for_key(key, 5)
    assert len(known) == KEYS_MAX and b"0" in known


KEYS = st.sampled_from([b"a", b"b", b"c", b"dd", bytes(200)])
RECORDS = st.lists(st.tuples(KEYS, st.binary(max_size=120)), max_size=120)


@given(RECORDS, st.sampled_from([1, 200, 1000, 16_384]), st.integers(0, 5))
def test_columns_come_to_the_same_batches_as_single_records(records, batch_size, before):
    one, other = accumulator_of(batch_size=batch_size), accumulator_of(batch_size=batch_size)
    for accumulator in (one, other):
        for _ in range(before):
            accumulator.append(accumulator.topic("orders"), 0, (AT_MS, b"before", b"", ()), now_ms=0)
    keys, values = [key for key, _ in records], [value for _, value in records]
    topic = one.topic("orders")
    places = {}
    for group in bulk_groups(CONFIG, topic, values, keys, None, ()) or [] if records else []:
        start = 0
        while start < len(group.columns):
            appended = one.append_columns(topic, group.partition, group.columns, start, AT_MS, now_ms=0)
            assert isinstance(appended, Appended) and appended.count
            for at in range(appended.count):
                places[group.places[start + at]] = (group.partition, appended.batch.number, appended.index + at)
            start += appended.count
    expected = {}
    for place, (key, value) in enumerate(records):
        partition = partition_for_key(key, 3)
        appended = other.append(other.topic("orders"), partition, (AT_MS, key, value, ()), now_ms=0)
        expected[place] = (partition, appended.batch.number, appended.index)
    assert places == expected
    assert outcome(one) == outcome(other)


def outcome(accumulator):
    found = []
    for partition, queue in sorted(accumulator.topic("orders").partitions.items()):
        for batch in queue.batches:
            found.append((partition, batch.number, batch.state, batch.limit, batch.reserved, batch.timestamps))
            batch.close()
            batch.seal()
            found.append(batch.bytes())
    return found, accumulator.memory.used
