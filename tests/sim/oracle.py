"""What must hold of every run: six parts, looked at with each event, with each step, and when all has ended.

1. Each log, as far as it is the producer's, is in the order in which records were accepted, and has none twice.
2. Each record ends once, and what is said of it is true: delivered means that it stands at the offset told, not written
   that it stands nowhere, possibly written that it may.
3. Numbers begin anew with each epoch and have no gaps, as they are sent and as they are written; no epoch goes back.
4. A partition has requests under way on one connection only, and no more than the limit.
5. Memory charged is that of the batches there are, within the limit, and none at the end; deadlines are met, nobody
   waits for ever, nobody runs in circles.
6. A batch is the same bytes each time that it is sent under one id, epoch and number.

Without idempotence, parts 1 and 3 hold in less: see `checks`. The oracle keeps books of its own, from what goes over
the wire and what the producer tells; of the producer's own state it looks at memory alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.checks import check_logs, check_records
from sim.records import Record

from kproto.client import TopicPartition
from kproto.producer.batch import ProducerBatch
from kproto.producer.bulk import RecordRange
from kproto.producer.errors import BulkDeliveryError
from kproto.producer.events import (
    BatchCompleted,
    BatchEvent,
    BatchHeld,
    BatchRetried,
    BatchSent,
    BatchSplit,
    ProducerIdChanged,
)
from kproto.wire import ApiKey

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["Oracle", "Violation"]

IN_FLIGHT_MAX: Final = 5  # batches of a producer that a partition remembers
SEQUENCES: Final = 2**31
CRC: Final = slice(17, 21)  # of a batch
SLACK_MS: Final = 2
BATCH_MEMORY: Final = 4_096  # bytes that a batch may turn out to take beside its records
RECORD_MEMORY: Final = 400  # the same for each record: its callback, and a timestamp of its own


class Violation(NamedTuple):
    """part: of the oracle, see there."""

    part: int
    why: str
    at_ms: int

    def __str__(self) -> str:
        return f"part {self.part} at {self.at_ms} ms: {self.why}"


class _Numbers:
    """The numbers of a partition that were sent under one id and epoch: number -> count and checksum."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.seen: dict[int, tuple[int, bytes]] = {}


class Oracle:
    """See the module. violations: what did not hold, the first one first."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.violations: list[Violation] = []
        self.flying: dict[tuple[int, int], list[TopicPartition]] = {}
        """Connection and correlation id -> partitions, of Produce requests that are unanswered."""
        self.marks: set[str] = set()
        """What was seen to happen, so that one can tell what no seed has come to."""
        self._sent_ms: dict[tuple[int, int], int] = {}
        self._sent: tuple[int, int] | None = None
        self._new: list[tuple[TopicPartition, tuple[int, int]]] = []
        self._batches: dict[tuple[TopicPartition, int], ProducerBatch] = {}
        self._parts: set[tuple[TopicPartition, int]] = set()
        self._numbers: dict[tuple[TopicPartition, int, int], _Numbers] = {}
        self._epochs: dict[TopicPartition, tuple[int, int]] = {}
        self._seen_violations = 0
        faults = world.plan.faults
        self._slack_ms = SLACK_MS + sum(fault.ms for fault in faults if fault.what == "freeze")
        self._throttled_ms = sum(fault.ms * fault.count for fault in faults if fault.what == "throttle")

    def violated(self, part: int, why: str) -> None:
        """This does not hold."""
        self.violations.append(Violation(part, why, self.world.now_ms))
        self.world.note("violation", part=part)

    # Frames, as ConnectionObserver hears them

    def frame(self, connection: int, sent: bool, frame: bytes) -> None:
        """A request goes out, or an answer has come."""
        if sent:
            if int.from_bytes(frame[4:6], "big") == ApiKey.PRODUCE:
                self._sent = (connection, int.from_bytes(frame[8:12], "big"))
                self.flying[self._sent] = []
                self._sent_ms[self._sent] = self.world.now_ms
        else:
            self.flying.pop((connection, int.from_bytes(frame[4:8], "big")), None)

    def connection_over(self, connection: int) -> None:
        """Nothing comes from there any more."""
        for key in [key for key in self.flying if key[0] == connection]:
            del self.flying[key]

    # What the producer tells

    def knows(self, batch: ProducerBatch) -> None:
        """There is such a batch."""
        self._batches[batch.partition, batch.number] = batch

    def heard(self, event: BatchEvent) -> None:
        """It says what it does."""
        world = self.world
        if world.trace is not None:
            world.trace.batch(world.now_ms, event)
        try:
            if isinstance(event, BatchSent):
                self.marks.add(f"sent {event.reason.name}")
                self._went_out(event)
            elif isinstance(event, BatchCompleted):
                self.marks.add("delivered" if event.error is None else type(event.error).__name__)
                self._completed(event)
            elif isinstance(event, BatchSplit):
                self._parts.update((event.partition, number) for number in event.into)
            if isinstance(event, BatchHeld):
                self.marks.add(f"held {event.reason.name}")
            elif isinstance(event, (BatchSplit, BatchRetried, ProducerIdChanged)):
                self.marks.add(type(event).__name__)
        except Exception as error:  # the producer would swallow it
            self.violated(0, f"the oracle itself fails: {error!r}")

    def _went_out(self, event: BatchSent) -> None:
        assert self._sent is not None
        self.flying.get(self._sent, []).append(event.partition)
        self._new.append((event.partition, self._sent))
        if event.sequence >= 0:
            self._check_number(event)
        elif self.world.plan.idempotent:
            self.violated(3, f"{event.partition}#{event.batch} went out without a number")
        if self.world.plan.settings["acks"] == 0:
            self.flying.pop(self._sent, None)

    def passed(self) -> None:
        """A pass is over; connections that it gave up are closed."""
        new, self._new = self._new, []
        limit = self.world.plan.settings["max_in_flight_requests_per_connection"]
        for partition, (connection, _) in new:
            of_connection = sum(1 for key in self.flying if key[0] == connection)
            if of_connection > limit:
                self.violated(4, f"{of_connection} requests are unanswered on a connection that may have {limit}")
            if not self.world.plan.idempotent and limit > 1:
                continue
            where = [key for key, partitions in self.flying.items() if partition in partitions]
            if len({key[0] for key in where}) > 1:
                self.violated(4, f"{partition} has batches under way on two connections")
            if len(where) > min(limit, IN_FLIGHT_MAX):
                self.violated(4, f"{partition} has {len(where)} batches under way")

    def _check_number(self, event: BatchSent) -> None:
        partition, first = event.partition, self.world.plan.around.first_number
        stamp = (event.producer_id, event.producer_epoch)
        if self._epochs.setdefault(partition, stamp) > stamp:
            self.violated(3, f"{partition}: {stamp} was sent after {self._epochs[partition]}")
        self._epochs[partition] = stamp
        numbers = self._numbers.setdefault((partition, *stamp), _Numbers(first))
        batch = self._batch(event.partition, event.batch)
        crc = bytes(batch.bytes()[CRC])
        known = numbers.seen.get(event.sequence)
        name = f"{partition}#{event.batch}: epoch {stamp[1]}, number {event.sequence}"
        replaces = (event.partition, event.batch) in self._parts and event.sequence != numbers.next
        if known is None and event.sequence != numbers.next and not replaces:
            self.violated(3, f"{name}, where {numbers.next} is next")
        elif known is not None and known != (event.count, crc) and not replaces:
            self.violated(6, f"{name} goes out with other bytes than before")
        numbers.seen[event.sequence] = (event.count, crc)
        if event.sequence == numbers.next:
            numbers.next = (event.sequence + event.count) % SEQUENCES

    def _batch(self, partition: TopicPartition, number: int) -> ProducerBatch:
        found = self._batches.get((partition, number))
        if found is None:
            for batch in [*self._batches.values()]:
                for part in batch.parts:
                    self._batches[part.partition, part.number] = part
            found = self._batches.get((partition, number))
        if found is None:  # one that was opened a moment ago, and that nobody has told of yet
            queue = self.world.producer.accumulator.topics[partition.topic].queue(partition.partition)
            state = self.world.core.lanes.state(partition)
            all_there = [*queue.batches, *state.sequences.in_flight]
            found = next(one for one in all_there if one.number == number)
        return found

    def _completed(self, event: BatchCompleted) -> None:
        config = self.world.producer.config
        batch = self._batch(event.partition, event.batch)
        took_ms = self.world.now_ms - batch.created_ms
        if config.fail_only_unwritten or took_ms <= config.delivery_timeout_ms + self._slack_ms:
            return
        self.violated(5, f"{event.partition}#{event.batch} ended after {took_ms} ms")

    # With each step

    def step(self) -> None:
        """What is cheap to look at."""
        world = self.world
        if world.core.crash is not None:
            self.violated(5, f"the sender has crashed: {world.core.crash!r}")
        violations = world.cluster.violations
        if len(violations) > self._seen_violations:
            why = violations[self._seen_violations]
            self._seen_violations = len(violations)
            self.violated(6 if "other bytes" in why else 4, why)
        self._check_answers()
        self._check_memory()

    def _check_answers(self) -> None:
        """Nobody waits longer for an answer than he may; the oldest request stands first."""
        for key in self.flying:
            waited_ms = self.world.now_ms - self._sent_ms[key]
            limit_ms = self.world.plan.settings["request_timeout_ms"] + self._slack_ms + self._throttled_ms
            if waited_ms > limit_ms:
                self.violated(5, f"a request has been waiting for its answer for {waited_ms} ms")
            return

    def _check_memory(self) -> None:
        world = self.world
        memory = world.producer.accumulator.memory
        room = memory.capacity
        charged = sum(waiter.size for waiter in world.producer.waiters if waiter.granted)
        for batch in [*world.batches]:
            mine = batch.reserved + sum(part.reserved for part in batch.parts)
            if not mine and batch.all_done:
                del world.batches[batch]
                continue
            room += BATCH_MEMORY * (1 + len(batch.parts)) + RECORD_MEMORY * batch.count
            charged += mine
        if charged != memory.used:
            self.violated(5, f"{memory.used} bytes are charged, and the batches there are take {charged}")
        elif memory.used > room:
            self.violated(5, f"{memory.used} bytes are charged, and there are {memory.capacity}")

    # What users see

    def woken(self, called: Sequence[None], waiter: Any) -> None:
        """Somebody has waited for memory."""
        if (waiter.granted or waiter.closed) and not called:
            self.violated(5, "somebody has waited for memory, was granted it, and was not woken")

    def flushed(self, before: Sequence[Record]) -> None:
        """A flush has come back."""
        for record in before:
            if record.outcome() is None or (record.listens and record.delivery is not None and not record.heard):
                self.violated(5, f"flush came back before {record} had ended")
                return

    def closed(self, given_up: int) -> None:
        """A close has come back."""
        if self.world.producer.accumulator.incomplete:
            self.violated(5, f"close came back and gave up {given_up}, and there are batches that have not ended")

    def bulk_ended(
        self, records: Sequence[Record], ranges: Sequence[RecordRange], error: BulkDeliveryError | None
    ) -> None:
        """The future of a send_many has ended."""
        if error is not None:
            ranges = error.delivered
        times: Counter[int] = Counter()
        for one in ranges:
            for at, place in enumerate(one.indices):
                records[place].bulk = one.metadata(at)
                times[place] += 1
        for places, failure in error.failed if error is not None else ():
            for place in places:
                records[place].bulk = failure
                times[place] += 1
        wrong = [place for place in range(len(records)) if times[place] != 1]
        if wrong:
            self.violated(2, f"send_many: the records {wrong} stand {[times[one] for one in wrong]} times in its end")

    def is_delivered(self, record: Record) -> bool:
        """Whether it ended well."""
        if record.batch is None:
            return False
        outcome = record.outcome()
        return outcome is not None and outcome[2] is None

    def in_doubt(self, topic: str, partition: int) -> bool:
        """Whether anything sent to the partition may still be written, or written again."""
        network, at = self.world.network, TopicPartition(topic, partition)
        flies = any(one.to_broker.under_way and not one.to_broker.dead for one in network.all)
        waits = any(one.end is not None and one.end.next_event_ms() is not None for one in network.all)
        return flies or waits or any(batch.partition == at for batch in self.world.batches)

    # At the end

    def at_rest(self) -> None:
        """All has ended."""
        if self.violations:
            return
        world = self.world
        memory = world.producer.accumulator.memory
        if memory.used or memory.waiting:
            self.violated(5, f"at rest {memory.used} bytes are charged, and {memory.waiting} wait for more")
        world.batches.clear()
        for part, why in (*check_logs(world), *check_records(world)):
            self.violated(part, why)
