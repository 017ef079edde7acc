"""What the sender keeps for a partition and for a node."""

from __future__ import annotations

from producer.queueing import accumulator_of, append, batch_of, failure, queue_of

from kproto.producer.partition_state import Lane, PartitionState


def state_of(accumulator, partition=0):
    return PartitionState(queue_of(accumulator, partition))


def test_what_was_sent_and_has_not_ended_is_known_once_and_in_order():
    accumulator = accumulator_of(batch_size=0)
    state = state_of(accumulator)
    batches = [append(accumulator).batch for _ in range(5)]
    state.sequences.sent += batches[:4]
    state.sequences.in_flight += batches[2:5]
    assert state.sent() == batches
    batches[0].fail(failure())
    batches[3].close()
    batches[3].send(0, 0)
    batches[3].split_into([batch_of(b"a"), batch_of(b"b")])
    assert state.sent() == [batches[1], batches[2], batches[4]]


def test_a_partition_tells_what_it_is():
    accumulator = accumulator_of()
    append(accumulator)
    state = state_of(accumulator)
    assert str(state.partition) == "orders-0"
    assert repr(state) == "<PartitionState orders-0: 1 queued, " + repr(state.sequences) + ">"


def test_drain_6_who_has_had_his_turn_goes_behind_the_others():
    accumulator = accumulator_of()
    lane = Lane(7)
    states = [state_of(accumulator, partition) for partition in range(3)]
    for state in states:
        lane.listed[state] = None
    lane.to_the_end(states[0])
    assert [*lane.listed] == [states[1], states[2], states[0]]


def test_who_has_left_is_not_brought_back_by_his_turn():
    accumulator = accumulator_of()
    lane, state = Lane(7), state_of(accumulator)
    state.lane = lane
    lane.listed[state] = lane.due[state] = None
    lane.leave(state)
    assert state.lane is None and not lane.listed and not lane.due
    lane.to_the_end(state)
    assert not lane.listed
    lane.leave(state)
