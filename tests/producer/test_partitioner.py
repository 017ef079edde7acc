"""Which partition: by key as every client, in turn, or as the user says, whose word is checked."""

from __future__ import annotations

import pickle
from collections import Counter
from random import Random

import pytest
from confluent_kafka import murmur2 as confluent_partition
from hypothesis import given
from hypothesis import strategies as st
from producer.kafka_partitioner import ask_kafka, cluster_of
from producer.murmur2_backwards import key_of, signed

from kproto.client import ConfigError
from kproto.producer.errors import PartitionerError
from kproto.producer.murmur2 import murmur2
from kproto.producer.partitioner import (
    CheckedPartitioner,
    PartitionChoices,
    RoundRobinPartitioner,
    choose_by_key,
    choose_sticky,
    partition_choices,
    partition_for_key,
    resolve_partitioner,
)
from kproto.producer.record import NO_PARTITION
from kproto.wire import KafkaError

LEAST = key_of(2**31)  # its hash is Java's Integer.MIN_VALUE, which has no absolute value in 32 bits
THREE = PartitionChoices((0, 1, 2), (0, 2))
COUNTS = st.integers(1, 2**31 - 1)
LEADERS = st.lists(st.sampled_from([None, "", "a", "b"]), min_size=1, max_size=8)


@given(st.binary(max_size=60), COUNTS)
def test_part_4_confluents_client_gives_a_key_the_same_partition(key, count):
    assert partition_for_key(key, count) == confluent_partition(key, count)


@given(st.none() | st.binary(max_size=20), LEADERS)
def test_part_4_a_key_has_its_partition_whoever_leads(key, racks):
    choices = partition_choices(cluster_of(racks), "orders", "a")
    everyone = PartitionChoices(choices.partitions, choices.partitions)
    assert choose_by_key("orders", key, choices) == choose_by_key("orders", key, everyone)


def test_part_4_without_a_key_the_choice_is_left_to_the_sticky_partitioner():
    assert choose_by_key("orders", None, THREE) == NO_PARTITION


def test_part_4_an_empty_key_is_a_key():
    assert choose_by_key("orders", b"", THREE) == partition_for_key(b"", 3) == 275646681 % 3


def test_part_4_keys_are_ignored_on_demand():
    chooser = resolve_partitioner("default", ignore_keys=True)
    assert chooser is choose_sticky
    assert {chooser("orders", key, THREE) for key in (None, b"", b"key")} == {NO_PARTITION}


def test_part_6_the_sign_is_masked_and_not_negated():
    assert LEAST.hex() == "a7d6506c"
    assert [partition_for_key(LEAST, count) for count in (1, 2, 3, 7, 2**31 - 1)] == [0] * 5
    assert abs(-(2**31)) % 3 == 2, "where the absolute value would put it"
    negative = key_of(2**32 - 1)
    assert partition_for_key(negative, 12) == (2**31 - 1) % 12 != abs(-1) % 12


@given(st.binary(max_size=40), st.integers(1, 64))
def test_part_6_a_partition_is_one_of_the_topics(key, count):
    assert 0 <= partition_for_key(key, count) < count


@pytest.mark.java
def test_part_4_to_part_6_kafkas_own_class_gives_a_key_the_same_hash_and_partition():
    rng = Random(46)
    keys = [LEAST, b"", *(rng.randbytes(size % 300) for size in range(1000))]
    counts = [1, 2, 3, 12, 1000, 2**31 - 1]
    answers = ask_kafka({"keys": [key.hex() for key in keys], "count": count} for count in counts)
    for count, answer in zip(counts, answers, strict=True):
        assert [[signed(murmur2(key)), partition_for_key(key, count)] for key in keys] == answer


@given(LEADERS, st.sampled_from(["", "a", "b", "c"]))
def test_part_15_choices_are_read_from_the_cluster(racks, client_rack):
    choices = partition_choices(cluster_of(racks), "orders", client_rack)
    assert choices.partitions == tuple(range(len(racks)))
    assert choices.available == tuple(number for number, rack in enumerate(racks) if rack is not None)
    assert choices.local == tuple(number for number, rack in enumerate(racks) if rack and rack == client_rack)


def test_part_12_part_15_the_nearest_partitions_are_the_candidates():
    assert PartitionChoices((0, 1, 2, 3), (1, 2, 3), (2,)).candidates == (2,)
    assert PartitionChoices((0, 1, 2, 3), (1, 2, 3)).candidates == (1, 2, 3)
    assert PartitionChoices((0, 1, 2, 3)).candidates == (0, 1, 2, 3)


def test_of_an_unknown_topic_there_are_no_choices():
    assert partition_choices(cluster_of([""]), "another", "a") == PartitionChoices(())


def test_round_robin_ignores_keys_and_takes_the_partitions_with_a_leader_in_turn():
    chooser = RoundRobinPartitioner()
    assert [chooser("orders", key, THREE) for key in (b"same", b"same", None, b"same")] == [0, 2, 0, 2]
    assert [chooser("orders", None, PartitionChoices((0, 1, 2))) for _ in range(4)] == [1, 2, 0, 1]


def test_round_robin_counts_for_each_topic():
    chooser = RoundRobinPartitioner()
    taken = [(topic, chooser(topic, None, THREE)) for topic in ("orders", "audit") * 4]
    assert Counter(taken) == {("orders", 0): 2, ("orders", 2): 2, ("audit", 0): 2, ("audit", 2): 2}


def test_round_robin_is_not_shared_between_producers():
    first, second = resolve_partitioner("round_robin"), resolve_partitioner("round_robin")
    assert [first("orders", None, THREE), first("orders", None, THREE), second("orders", None, THREE)] == [0, 2, 0]


@pytest.mark.java
def test_round_robin_is_kafkas():
    rng = Random(9965)
    clusters = [[rng.choice([None, "", "a"]) for _ in range(rng.randint(1, 6))] for _ in range(500)]
    question = [[False if rack is None else rack for rack in racks] for racks in clusters]
    (answer,) = ask_kafka([{"round_robin": question}])
    chooser = RoundRobinPartitioner()
    assert [chooser("orders", b"key", partition_choices(cluster_of(racks), "orders")) for racks in clusters] == answer


def test_part_3_a_users_partitioner_is_told_topic_key_and_all_partitions():
    told = []

    def last(topic, key, partitions):
        told.append((topic, key, partitions))
        return partitions[-1]

    chooser = resolve_partitioner(last)
    assert [chooser("orders", b"key", THREE), chooser("audit", None, PartitionChoices((0,)))] == [2, 0]
    assert told == [("orders", b"key", (0, 1, 2)), ("audit", None, (0,))]


@pytest.mark.parametrize("chosen", [-1, NO_PARTITION, 3, 2**31, -3, None, True, 1.0, "1", b"\1", (1,)], ids=repr)
def test_part_3_what_is_no_partition_is_refused(chosen):
    chooser = CheckedPartitioner(lambda *_: chosen)
    with pytest.raises(PartitionerError) as caught:
        chooser("orders", b"secret", THREE)
    text = str(caught.value)
    assert "topic orders" in text and repr(chosen) in text and "secret" not in text
    assert "int is needed" in text or "3 partitions, from 0 to 2" in text
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, KafkaError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


@given(st.sets(st.integers(0, 30), max_size=6), st.integers(-40, 40))
def test_part_3_exactly_the_partitions_of_the_topic_are_taken(numbers, chosen):
    """Also where a broker leaves out some of them."""
    choices = PartitionChoices(tuple(sorted(numbers)))
    chooser = CheckedPartitioner(lambda *_: chosen)
    if chosen in numbers:
        assert chooser("orders", None, choices) == chosen
    else:
        with pytest.raises(PartitionerError):
            chooser("orders", None, choices)


def test_part_3_a_long_result_is_cut():
    with pytest.raises(PartitionerError) as caught:
        CheckedPartitioner(lambda *_: "x" * 5000)("orders", None, THREE)
    assert len(str(caught.value)) < 200


def test_part_3_what_a_users_partitioner_raises_is_the_cause():
    def broken(topic, key, partitions):
        raise LookupError("no such region")

    with pytest.raises(PartitionerError, match="topic orders: the partitioner raised LookupError: no such") as caught:
        resolve_partitioner(broken)("orders", None, THREE)
    assert isinstance(caught.value.__cause__, LookupError)


def test_part_3_an_interrupt_is_no_error_of_the_partitioner():
    def interrupted(topic, key, partitions):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        resolve_partitioner(interrupted)("orders", None, THREE)


def test_a_name_is_resolved():
    assert resolve_partitioner("default") is choose_by_key
    assert isinstance(resolve_partitioner("round_robin"), RoundRobinPartitioner)


@pytest.mark.parametrize(
    ("partitioner", "told"),
    [("roundrobin", "did you mean 'round_robin'"), ("murmur", "known are default, round_robin"), (7, "callable")],
)
def test_what_is_no_partitioner_is_refused(partitioner, told):
    with pytest.raises(ConfigError, match=told) as caught:
        resolve_partitioner(partitioner)
    assert repr(partitioner) in str(caught.value)


@pytest.mark.parametrize("partitioner", ["round_robin", lambda *_: 0], ids=["name", "callable"])
def test_only_the_default_has_a_use_for_ignoring_keys(partitioner):
    with pytest.raises(ConfigError, match=r"partitioner_ignore_keys with partitioner=.*leave one"):
        resolve_partitioner(partitioner, ignore_keys=True)
