"""Bugs that are put into the producer on purpose, each by taking one guard away: the simulation has to find every one.

    with PLANTED["wrap"].planted():
        run_seed(7)

A bug is a patch of product functions for the time of a run. `guard` says what it takes away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from kproto.client import NetworkClient
from kproto.client.connection import Connection
from kproto.client.connection_state import Readiness
from kproto.client.in_flight import InFlightRequests
from kproto.producer import bulk, fates, outcome, sequences
from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_queues import BatchQueues
from kproto.producer.buffer_memory import BufferMemory
from kproto.producer.completions import Completions
from kproto.producer.dispatch import Dispatch
from kproto.producer.events import HeldReason
from kproto.producer.fates import BatchFates
from kproto.producer.lanes import Lanes
from kproto.producer.outcome import Action, Outcome
from kproto.producer.producer_id import NO_IDENTITY
from kproto.producer.record import WriteStatus
from kproto.producer.sequences import PartitionSequences
from kproto.producer.settlement import Settlement
from kproto.wire import ErrorCode

__all__ = ["PLANTED", "Bug"]

PLANTED: Final[dict[str, Bug]] = {}
Plant = Callable[[ExitStack], None]


@dataclass(frozen=True, slots=True)
class Bug:
    """guard: what is taken away; thrift: whether it is for thrift alone: its absence costs requests and epochs, and no
    record, so that it must not be found."""

    name: str
    guard: str
    thrift: bool
    plant: Plant

    @contextmanager
    def planted(self) -> Iterator[None]:
        """For the time of a run."""
        with ExitStack() as stack:
            self.plant(stack)
            yield


def bug(name: str, guard: str, *, thrift: bool = False) -> Callable[[Plant], Plant]:
    """Enter a bug in the table."""

    def enter(plant: Plant) -> Plant:
        PLANTED[name] = Bug(name, guard, thrift, plant)
        return plant

    return enter


def swap(stack: ExitStack, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Put in place of a function what is made of it."""
    stack.enter_context(patch.object(owner, name, make(getattr(owner, name))))


def blind(stack: ExitStack, reason: HeldReason) -> None:
    """Have the gate of numbers hold nothing for this reason, and go on to the next."""

    def gate(self: PartitionSequences, head: ProducerBatch, node_id: int, current: Any) -> HeldReason | None:
        flying, numbered = self.in_flight, head.sequence >= 0
        held = {
            HeldReason.OLD_LEADER: any(batch.node_id != node_id for batch in flying),
            HeldReason.IN_FLIGHT_LIMIT: len(flying) >= sequences.IN_FLIGHT_MAX,
            HeldReason.FIRST_ACKNOWLEDGEMENT: bool(flying) and not self.acknowledged,
            HeldReason.EARLIER_RETRY: numbered and self.sent[0] is not head,
            HeldReason.UNRESOLVED: self.lost_before is not None and not (numbered and head.open_outcome),
            HeldReason.OLD_EPOCH: not numbered and self.identity != current and bool(self.sent),
            HeldReason.NO_PRODUCER_ID: not numbered and current == NO_IDENTITY,
        }
        return next((one for one, holds in held.items() if holds and one is not reason), None)

    stack.enter_context(patch.object(PartitionSequences, "gate", gate))


def say(stack: ExitStack, code: int, row: Outcome) -> None:
    """Have the table of outcomes say this of a code."""
    stack.enter_context(patch.dict(outcome.OUTCOMES, {code: row}))


# Numbers


@bug("wrap", "sequences: after 2**31 - 1 comes 0")
def _(stack: ExitStack) -> None:
    stack.enter_context(patch.object(sequences, "increment_sequence", lambda sequence, count: sequence + count))


@bug("count batches", "sequences: numbers count records, not batches")
def _(stack: ExitStack) -> None:
    increment = sequences.increment_sequence
    stack.enter_context(patch.object(sequences, "increment_sequence", lambda sequence, count: increment(sequence, 1)))


@bug("stamp again", "sequences: a retry keeps its number")
def _(stack: ExitStack) -> None:
    def stamp(self: PartitionSequences, batch: ProducerBatch, current: Any) -> None:
        if batch.sequence >= 0:
            batch.stamp(self.identity, self.next_sequence)
            self.next_sequence = sequences.increment_sequence(self.next_sequence, batch.count)
            self.in_flight.append(batch)
        else:
            original(self, batch, current)

    original = PartitionSequences.stamp
    stack.enter_context(patch.object(PartitionSequences, "stamp", stamp))


@bug("renumber open", "sequences: nothing is renumbered while it may be written")
def _(stack: ExitStack) -> None:
    restartable = property(lambda self: self.lost_before is not None and not self.in_flight)
    stack.enter_context(patch.object(PartitionSequences, "restartable", restartable))


@bug("same epoch", "sequences: numbers begin anew only under another epoch")
def _(stack: ExitStack) -> None:
    def restart(self: Dispatch, state: Any) -> None:
        identity = state.sequences.identity
        state.sequences.identity = None
        state.sequences.restart(identity)

    stack.enter_context(patch.object(Dispatch, "_restart", restart))


@bug("new epoch for all", "sequences: a partition goes on under its epoch until nothing is under way")
def _(stack: ExitStack) -> None:
    blind(stack, HeldReason.OLD_EPOCH)


@bug("leave a gap", "sequences: a batch that is given up leaves its numbers unresolved")
def _(stack: ExitStack) -> None:
    swap(stack, PartitionSequences, "given_up", lambda _: lambda self, batch: self._forget(batch))


@bug("five at once", "sequences: one batch alone until the first is acknowledged")
def _(stack: ExitStack) -> None:
    blind(stack, HeldReason.FIRST_ACKNOWLEDGEMENT)


@bug("two leaders", "sequences: nothing to the new leader while the old one owes answers")
def _(stack: ExitStack) -> None:
    blind(stack, HeldReason.OLD_LEADER)


# Order


@bug("to the end", "accumulator: what is sent again goes before what comes after it")
def _(stack: ExitStack) -> None:
    stack.enter_context(
        patch.object(BatchQueues, "put_back", lambda self, queue, *batches: queue.batches.extend(batches))
    )


@bug("newest first", "accumulator: several that are sent again keep their order")
def _(stack: ExitStack) -> None:
    stack.enter_context(
        patch.object(BatchQueues, "put_back", lambda self, queue, *batches: queue.batches.extendleft(batches))
    )


@bug("parts reversed", "splitting: the parts keep the order of their records")
def _(stack: ExitStack) -> None:
    swap(stack, fates, "split", lambda split: lambda *given: split(*given)[::-1])


@bug("parts unnumbered", "splitting: the parts take the numbers of the whole")
def _(stack: ExitStack) -> None:
    stack.enter_context(patch.object(PartitionSequences, "replace", lambda self, batch, parts: self._forget(batch)))


# What is said


@bug("sent is written", "outcomes: a connection that is lost says nothing of what was on it")
def _(stack: ExitStack) -> None:
    say(stack, ErrorCode.NETWORK_EXCEPTION, Outcome(Action.COMPLETE, False))


@bug("always no", "batches: one that may be written is not said not to be")
def _(stack: ExitStack) -> None:
    stack.enter_context(patch.object(ProducerBatch, "written", property(lambda self: WriteStatus.NO)))


@bug("certain timeout", "outcomes: a request that timed out may be written")
def _(stack: ExitStack) -> None:
    say(stack, ErrorCode.REQUEST_TIMED_OUT, Outcome(Action.RETRY, False))


@bug("certain loss", "outcomes: a request whose connection is lost may be written")
def _(stack: ExitStack) -> None:
    say(stack, ErrorCode.NETWORK_EXCEPTION, Outcome(Action.RETRY, False))


@bug("fail is final", "outcomes: an error of the server may come after the append")
def _(stack: ExitStack) -> None:
    say(stack, ErrorCode.UNKNOWN_SERVER_ERROR, Outcome(Action.FAIL, False))


@bug("last answer counts", "settlement: an earlier attempt may have written it, whatever the last answer says")
def _(stack: ExitStack) -> None:
    def one(self: Settlement, batch: ProducerBatch, *answer: Any) -> None:
        batch.open_outcome = False
        original(self, batch, *answer)

    original = Settlement._one
    stack.enter_context(patch.object(Settlement, "_one", one))


@bug("wrong offset", "batches: a record of a batch that was split is counted from its part")
def _(stack: ExitStack) -> None:
    swap(stack, ProducerBatch, "part_of", lambda part_of: lambda self, index: (part_of(self, index)[0], index))


@bug("bulk from the base", "send_many: a range begins where its records do, not where their batch does")
def _(stack: ExitStack) -> None:
    def whole_ranges(batch: ProducerBatch, runs: Any) -> Any:
        return [
            one.__class__(*batch.partition, batch.base_offset, one.count, one.indices) for one in whole(batch, runs)
        ]

    whole = bulk._whole_ranges
    stack.enter_context(patch.object(bulk, "_whole_ranges", whole_ranges))


@bug("called twice", "completions: a callback is called once")
def _(stack: ExitStack) -> None:
    def call_back(self: Completions, batch: ProducerBatch) -> None:
        original(self, batch)
        batch.called = 0
        original(self, batch)

    original = Completions._call_back
    stack.enter_context(patch.object(Completions, "_call_back", call_back))


@bug("failed unheard", "completions: the callbacks of a batch that failed are called, too")
def _(stack: ExitStack) -> None:
    def call_back(self: Completions, batch: ProducerBatch) -> None:
        if batch.error is not None:
            batch.called = len(batch.calls)
        original(self, batch)

    original = Completions._call_back
    stack.enter_context(patch.object(Completions, "_call_back", call_back))


# Time


@bug("never expire", "lanes: delivery_timeout_ms ends what waits")
def _(stack: ExitStack) -> None:
    stack.enter_context(patch.object(Lanes, "expired", lambda self, state, now_ms: []))


@bug("expired is queued", "fates: what has expired leaves the queue")
def _(stack: ExitStack) -> None:
    stack.enter_context(patch.object(BatchQueues, "remove", lambda self, queue, batch: None))


@bug("forget retries", "lanes: what waits to be sent again without a number expires, too")
def _(stack: ExitStack) -> None:
    def first(self: Lanes, state: Any) -> list[ProducerBatch]:
        return [batch for batch in original(self, state) if not batch.attempts]

    original = Lanes._first_in_queue
    stack.enter_context(patch.object(Lanes, "_first_in_queue", first))


@bug("wait for ever", "connections: a request that is not answered in time ends its connection")
def _(stack: ExitStack) -> None:
    stack.enter_context(patch.object(InFlightRequests, "overdue", lambda self, now_ms: None))
    stack.enter_context(patch.object(InFlightRequests, "next_deadline_ms", lambda self: None))


@bug("deaf to hints", "metadata: an answer that the leader is another asks for new metadata")
def _(stack: ExitStack) -> None:
    def without_hints(self: Settlement, config: Any, network: NetworkClient, *rest: Any) -> None:
        original(self, config, _WithoutHints(network), *rest)

    original = Settlement.__init__
    stack.enter_context(patch.object(Settlement, "__init__", without_hints))


class _WithoutHints:
    """A network client that is not told of leaders."""

    def __init__(self, network: NetworkClient) -> None:
        self.metadata = self
        self._network = network

    def request_update(self) -> None:
        """Nobody hears."""

    def update_leadership(self, *_: object) -> None:
        """Nobody hears."""


# Bounds


@bug("more in flight", "connections: so many requests may be unanswered")
def _(stack: ExitStack) -> None:
    def ready(self: Connection) -> Readiness:
        found = original(self)
        return Readiness.READY if found is Readiness.IN_FLIGHT_LIMIT else found

    original = Connection.readiness
    stack.enter_context(patch.object(Connection, "readiness", ready))


@bug("release twice", "accumulator: the memory of a batch is given back once")
def _(stack: ExitStack) -> None:
    def release(self: BatchQueues, batch: ProducerBatch) -> None:
        size = batch.reserved
        original(self, batch)
        if batch.attempts:
            self.memory.used = max(0, self.memory.used - size)

    original = BatchQueues.release
    stack.enter_context(patch.object(BatchQueues, "release", release))


@bug("release never", "fates: the memory of a batch that was given up comes back with its answer")
def _(stack: ExitStack) -> None:
    stack.enter_context(patch.object(BatchFates, "answered_late", lambda self, batch: batch.forget_bytes()))


@bug("no limit", "memory: no more is taken than there is")
def _(stack: ExitStack) -> None:
    def try_reserve(self: BufferMemory, size: int) -> bool:
        self.used += size
        return True

    stack.enter_context(patch.object(BufferMemory, "try_reserve", try_reserve))


@bug("sleep on", "memory: who is granted room is woken")
def _(stack: ExitStack) -> None:
    def grant(self: BufferMemory) -> None:
        line = self._line
        while line and (self.used + line[0].size <= self.capacity or not self.used):
            waiter = line.popleft()
            self.used += waiter.size
            waiter.granted = True
            if not line:
                waiter.wake()

    stack.enter_context(patch.object(BufferMemory, "_grant", grant))


@bug("flush and go", "accumulator: a flush waits for what is in flight, too")
def _(stack: ExitStack) -> None:
    swap(
        stack,
        BatchQueues,
        "begin_flush",
        lambda begin: lambda self: [batch for batch in begin(self) if not batch.in_flight],
    )


@bug("close and go", "sender: who gives up gives up what is in flight, too")
def _(stack: ExitStack) -> None:
    swap(
        stack,
        Lanes,
        "unfinished",
        lambda unfinished: lambda self, state: [one for one in unfinished(self, state) if not one.in_flight],
    )


@bug("sealed, yet open", "batches: one that leaves takes no more records")
def _(stack: ExitStack) -> None:
    def on(self: ProducerBatch, event: Any) -> None:
        room = self.room
        original(self, event)
        self.room = room

    original = ProducerBatch._on
    stack.enter_context(patch.object(ProducerBatch, "_on", on))
    stack.enter_context(patch.object(BatchQueues, "_close", lambda self, queue, batch: batch.close()))


# For thrift: the broker refuses what should not have been sent, and then numbers begin anew


@bug("unresolved", "sequences: no new numbers behind a batch that was given up", thrift=True)
def _(stack: ExitStack) -> None:
    blind(stack, HeldReason.UNRESOLVED)


@bug("early loser", "sequences: a batch out of order means a loss only if nothing before it is to come", thrift=True)
def _(stack: ExitStack) -> None:
    def out_of_order(self: PartitionSequences, batch: ProducerBatch) -> None:
        batch.open_outcome = False
        self._lose(batch.sequence)

    stack.enter_context(patch.object(PartitionSequences, "out_of_order", out_of_order))
