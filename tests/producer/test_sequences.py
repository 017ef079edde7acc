"""Sequence numbers of one partition: arithmetic that wraps, what may go when, and what an answer proves.

The exhaustive part explores a model in which nothing is left to chance: see `sequence_model`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.sequence_model import explore
from producer.some_batches import batch_of

from kproto.producer.events import HeldReason
from kproto.producer.producer_id import NO_IDENTITY, ProducerIdAndEpoch
from kproto.producer.sequences import (
    IN_FLIGHT_MAX,
    SEQUENCE_MAX,
    PartitionSequences,
    increment_sequence,
    sequence_distance,
)
from kproto.producer.splitting import split
from kproto.wire.records import NO_SEQUENCE, read_record_batches

FIRST, SECOND = ProducerIdAndEpoch(1000, 0), ProducerIdAndEpoch(1000, 1)
NUMBERS = st.integers(0, SEQUENCE_MAX)
NODE = 1


class Partition:
    """One partition, as the sender drives it."""

    def __init__(self, identity=FIRST):
        self.sequences = PartitionSequences()
        self.current = identity
        self.number = 0

    def batch(self, count=1):
        self.number += 1
        return batch_of(*[b"%d" % self.number] * count, number=self.number)

    def held(self, batch, node_id=NODE):
        return self.sequences.gate(batch, node_id, self.current)

    def send(self, batch=None, *, count=1):
        batch = batch or self.batch(count)
        assert self.held(batch) is None
        self.sequences.stamp(batch, self.current)
        batch.send(NODE, 0)
        return batch

    def acked(self, batch):
        self.sequences.answered(batch)
        self.sequences.acked(batch)

    def lost(self, *batches):
        """Their connection ended: who knows whether they were written."""
        for batch in batches:
            self.sequences.answered(batch)
            batch.open_outcome = True
            batch.retry(0)

    def refused(self, batch):
        """An error that is proof that it was not written; it will be sent again."""
        self.sequences.answered(batch)
        batch.retry(0)

    def out_of_order(self, batch):
        self.sequences.answered(batch)
        self.sequences.out_of_order(batch)
        batch.retry(0)

    def given_up(self, batch):
        if batch.in_flight:
            self.sequences.answered(batch)
        self.sequences.given_up(batch)


def settled(identity=FIRST):
    """A partition whose first batch is acknowledged."""
    partition = Partition(identity)
    partition.acked(partition.send())
    return partition


# Arithmetic


@given(NUMBERS, st.integers(0, 2**40))
def test_idem_6_sequences_wrap_to_zero(sequence, count):
    """As Kafka's own: `inc <= MAX - seq ? seq + inc : inc - (MAX - seq) - 1`, for what an int can count."""
    found = increment_sequence(sequence, count)
    assert 0 <= found <= SEQUENCE_MAX
    assert (found - sequence - count) % 2**31 == 0
    if count <= SEQUENCE_MAX:
        room = SEQUENCE_MAX - sequence
        assert found == (sequence + count if count <= room else count - room - 1)


def test_trap_54_the_wrap_as_java_has_it():
    """TransactionManagerTest.testSequenceNumberOverflow."""
    assert increment_sequence(SEQUENCE_MAX, 100) == 99
    assert increment_sequence(99, SEQUENCE_MAX) == 98
    assert increment_sequence(SEQUENCE_MAX, 1) == 0


@given(NUMBERS, st.integers(-(2**30) + 1, 2**30 - 1))
def test_req_3_the_distance_is_what_was_added(sequence, count):
    other = increment_sequence(sequence, count)
    assert sequence_distance(sequence, other) == count
    assert sequence_distance(other, sequence) == -count


def test_the_constants_are_those_of_the_protocol():
    assert SEQUENCE_MAX == 2**31 - 1
    assert IN_FLIGHT_MAX == 5  # ProducerStateEntry.NUM_BATCHES_TO_RETAIN


# What may go


def test_idem_6_numbers_count_records_from_zero():
    partition = settled()
    batches = [partition.send(count=count) for count in (2, 3, 1)]
    assert [batch.sequence for batch in batches] == [1, 3, 6]
    assert {batch.identity for batch in batches} == {FIRST}
    assert partition.sequences.next_sequence == 7
    assert partition.sequences.sent == partition.sequences.in_flight == batches
    assert repr(partition.sequences) == "<PartitionSequences next 7, 3 sent, 3 in flight>"


def test_trap_49_nothing_is_numbered_before_it_goes_out():
    partition = Partition()
    batch = partition.batch()
    assert partition.held(batch) is None
    assert batch.sequence == NO_SEQUENCE
    assert partition.sequences.next_sequence == 0


def test_the_first_batch_of_an_identity_goes_alone_and_then_five():
    partition = Partition()
    first = partition.send()
    assert partition.held(partition.batch()) is HeldReason.FIRST_ACKNOWLEDGEMENT
    partition.acked(first)
    for _ in range(IN_FLIGHT_MAX):
        partition.send()
    assert partition.held(partition.batch()) is HeldReason.IN_FLIGHT_LIMIT


def test_a_topic_that_was_made_again_gets_one_batch_alone():
    partition = settled()
    partition.sequences.forget_acknowledgement()
    partition.send()
    assert partition.held(partition.batch()) is HeldReason.FIRST_ACKNOWLEDGEMENT


def test_nothing_goes_to_a_new_leader_while_the_old_one_owes_an_answer():
    partition = settled()
    first = partition.send()
    assert partition.held(partition.batch(), node_id=2) is HeldReason.OLD_LEADER
    partition.lost(first)
    assert partition.held(first, node_id=2) is None


def test_idem_3_nothing_is_numbered_without_a_producer_id():
    partition = Partition(NO_IDENTITY)
    assert partition.held(partition.batch()) is HeldReason.NO_PRODUCER_ID


def test_without_an_identity_batches_have_no_numbers():
    partition = Partition(NO_IDENTITY)
    sequences, batch = partition.sequences, partition.batch()
    sequences.stamp(batch, NO_IDENTITY)
    assert (batch.sequence, sequences.sent, sequences.in_flight) == (NO_SEQUENCE, [], [batch])
    batch.send(NODE, 0)
    sequences.answered(batch)
    sequences.acked(batch)
    sequences.given_up(batch)
    sequences.replace(batch, [partition.batch()])
    assert (sequences.lost_before, sequences.sent, sequences.acknowledged) == (None, [], False)


def test_trap_48_retries_go_one_at_a_time_in_order():
    partition = settled()
    first, second = partition.send(), partition.send()
    partition.lost(first, second)
    assert partition.held(second) is HeldReason.EARLIER_RETRY
    partition.send(first)
    assert partition.held(second) is HeldReason.EARLIER_RETRY
    partition.acked(first)
    assert partition.held(second) is None


def test_trap_46_a_retry_keeps_identity_sequence_and_bytes():
    partition = settled()
    batch = partition.send()
    before = batch.bytes()
    partition.current = SECOND
    partition.lost(batch)
    assert partition.held(partition.batch()) is HeldReason.OLD_EPOCH
    partition.send(batch)
    assert (batch.identity, batch.sequence, batch.bytes()) == (FIRST, 1, before)


def test_idem_16_a_partition_takes_the_new_epoch_once_nothing_of_the_old_is_under_way():
    partition = settled()
    old = partition.send()
    partition.current = SECOND
    assert partition.held(partition.batch()) is HeldReason.OLD_EPOCH
    partition.acked(old)
    new = partition.send()
    assert (new.identity, new.sequence) == (SECOND, 0)
    assert partition.held(partition.batch()) is HeldReason.FIRST_ACKNOWLEDGEMENT


def test_idem_16_a_partition_waits_for_the_new_id_with_nothing_under_way():
    partition = settled()
    partition.current = NO_IDENTITY
    assert partition.held(partition.batch()) is HeldReason.NO_PRODUCER_ID


# What answers prove


def test_idem_18_what_is_given_up_holds_all_new_ones():
    partition = settled()
    first = partition.send()
    partition.sequences.given_up(first)
    assert partition.held(partition.batch()) is HeldReason.UNRESOLVED
    assert "lost before 2" in repr(partition.sequences)
    assert not partition.sequences.restartable, "its answer may still come"
    partition.sequences.answered(first)
    assert partition.sequences.restartable


def test_idem_18_what_was_never_sent_leaves_no_gap():
    partition = settled()
    partition.sequences.given_up(partition.batch())
    assert partition.sequences.lost_before is None


def test_sender_24_a_late_success_resolves_it():
    partition = settled()
    first = partition.send()
    partition.sequences.given_up(first)
    partition.acked(first)
    assert partition.sequences.lost_before is None
    assert partition.held(partition.batch()) is None


def test_idem_19_a_later_success_resolves_it_and_an_earlier_one_does_not():
    partition = settled()
    first, second, third, fourth = (partition.send() for _ in range(4))
    partition.sequences.given_up(second)
    partition.sequences.given_up(third)
    partition.acked(first)
    assert partition.sequences.lost_before == 4
    partition.sequences.answered(second)
    partition.sequences.answered(third)
    partition.acked(fourth)
    assert partition.sequences.lost_before is None


def test_what_is_lost_is_the_last_that_is_lost():
    partition = settled()
    first, second = partition.send(), partition.send()
    partition.sequences.given_up(second)
    partition.sequences.given_up(first)
    assert partition.sequences.lost_before == 3


def test_deviation_14_one_that_may_be_written_asks_for_all():
    """The first is given up; the next one goes out under its old number, and is proof of it either way."""
    partition = settled()
    first, second, third = partition.send(), partition.send(), partition.send()
    partition.lost(first, second, third)
    partition.given_up(first)
    assert not partition.sequences.restartable
    assert partition.held(partition.batch()) is HeldReason.UNRESOLVED
    partition.send(second)
    partition.out_of_order(second)
    assert partition.sequences.restartable, "third cannot be written where second is not"
    partition.sequences.restart(SECOND)
    assert [(one.identity, one.sequence, one.open_outcome) for one in (second, third)] == [
        (SECOND, 0, False),
        (SECOND, 1, False),
    ]
    assert partition.sequences.next_sequence == 2
    assert partition.sequences.lost_before is None


def test_deviation_14_one_that_is_certainly_not_written_waits_for_its_new_number():
    partition = settled()
    first, second = partition.send(), partition.send()
    partition.lost(first)
    partition.refused(second)
    partition.given_up(first)
    assert partition.held(second) is HeldReason.UNRESOLVED
    assert partition.sequences.restartable


def test_trap_52_a_restart_changes_the_bytes_that_go_out():
    partition = settled()
    first, second = partition.send(), partition.send(count=2)
    partition.refused(second)
    partition.given_up(first)
    partition.sequences.restart(SECOND)
    (sent,) = read_record_batches(second.bytes())
    assert (sent.producer_id, sent.producer_epoch, sent.base_sequence) == (*SECOND, 0)
    assert [record.value for record in sent] == [b"3", b"3"], "read with its checksum"


@pytest.mark.parametrize("current", [FIRST, NO_IDENTITY])
def test_a_restart_is_under_another_identity(current):
    partition = settled()
    partition.given_up(partition.send())
    with pytest.raises(AssertionError):
        partition.sequences.restart(current)


def test_a_restart_needs_a_reason():
    partition = settled()
    with pytest.raises(AssertionError):
        partition.sequences.restart(SECOND)


def test_idem_11_out_of_order_behind_one_that_is_under_way_means_nothing():
    partition = settled()
    first, second = partition.send(), partition.send()
    partition.refused(first)
    partition.out_of_order(second)
    assert partition.sequences.lost_before is None


def test_idem_11_out_of_order_with_nothing_before_it_begins_anew():
    partition = settled()
    first = partition.send()
    first.open_outcome = True
    partition.out_of_order(first)
    assert first.open_outcome is False, "what the broker misses is before it: it has none of this"
    assert partition.sequences.restartable


def test_idem_11_a_forgotten_producer_begins_anew():
    partition = settled()
    first, second = partition.send(), partition.send()
    for batch in (first, second):
        partition.sequences.answered(batch)
        partition.sequences.forgotten(batch)
        batch.retry(0)
    assert partition.sequences.restartable
    partition.sequences.restart(SECOND)
    assert [first.sequence, second.sequence] == [0, 1]


def test_idem_13_a_success_under_old_numbers_says_nothing_of_the_new():
    partition = settled()
    stale = partition.send()
    partition.sequences.identity = SECOND  # as if it had moved on
    partition.sequences.acknowledged = False
    partition.acked(stale)
    assert partition.sequences.acknowledged is False
    assert partition.sequences.sent == []


def test_split_3_parts_take_the_numbers_of_the_whole():
    partition = settled()
    before, whole, after = partition.send(), partition.send(count=5), partition.send()
    partition.refused(before)
    partition.sequences.answered(whole)
    numbers = iter(range(100, 200))
    parts = split(whole, 10_000, numbers.__next__, None)
    partition.sequences.replace(whole, parts)
    assert partition.sequences.sent == [before, *parts, after]
    assert [part.sequence for part in parts] == [2 + sum(one.count for one in parts[:at]) for at in range(len(parts))]
    assert parts[-1].sequence + parts[-1].count == after.sequence
    assert {part.identity for part in parts} == {FIRST}


@given(NUMBERS, st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 4))
def test_trap_54_all_this_holds_across_the_wrap(start, counts, lost):
    partition = settled()
    sequences = partition.sequences
    sequences.next_sequence = start
    batches = [partition.send(count=count) for count in counts]
    lost = min(lost, len(batches) - 1)
    for batch in batches[: lost + 1]:
        sequences.given_up(batch)
    assert sequences.lost_before == increment_sequence(start, sum(counts[: lost + 1]))
    for batch in batches[: lost + 1]:
        sequences.answered(batch)
    for batch in batches[lost + 1 :]:
        partition.out_of_order(batch)
    assert sequences.lost_before == increment_sequence(start, sum(counts[: lost + 1]))
    partition.current = SECOND
    sequences.restart(SECOND)
    assert [batch.sequence for batch in batches[lost + 1 :]] == [
        sum(counts[lost + 1 : at]) for at in range(lost + 1, len(counts))
    ]


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5))
def test_trap_54_a_later_success_is_later_also_behind_the_wrap(before, count, later):
    partition = settled()
    partition.sequences.next_sequence = increment_sequence(SEQUENCE_MAX, -before)
    first, second = partition.send(count=count), partition.send(count=later)
    partition.given_up(first)
    partition.acked(second)
    assert partition.sequences.lost_before is None


# All of it


@pytest.mark.parametrize(("batches", "faults"), [(1, 3), (2, 3), (3, 2), (4, 2)])
def test_u10_every_order_of_events_keeps_the_promise_and_comes_to_an_end(batches, faults):
    """At most so many batches and faults, in every order: no record twice, none before its turn, no lie about what is
    written, and always a way on."""
    assert explore(batches, faults) > 40


PLANTED = {
    "the first batch does not go alone": lambda patch: patch("_adopt", adopt_as_acknowledged),
    "a batch that may be written is renumbered": lambda patch: patch(
        "restartable", property(lambda own: own.lost_before is not None and not own.in_flight)
    ),
    "renumbered while answers are due": lambda patch: patch(
        "restartable",
        property(lambda own: own.lost_before is not None and not (own.sent and own.sent[0].open_outcome)),
    ),
    "new numbers behind a gap": lambda patch: patch("_lose", lambda own, before: None),
    "out of order begins nothing anew": lambda patch: patch("out_of_order", lambda own, batch: None),
    "a restart begins with the next number": lambda patch: patch("_adopt", adopt_goes_on),
}


def adopt_as_acknowledged(own, current):
    own.identity, own.next_sequence, own.acknowledged, own.lost_before = current, 0, True, None


def adopt_goes_on(own, current):
    own.identity, own.acknowledged, own.lost_before = current, False, None


@pytest.mark.parametrize("name", PLANTED)
def test_u10_the_model_finds_planted_faults(name, monkeypatch):
    PLANTED[name](lambda method, planted: monkeypatch.setattr(PartitionSequences, method, planted))
    with pytest.raises(AssertionError):
        explore(4, 2)
