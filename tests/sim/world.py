"""A world on virtual time: one heap of events, brokers that judge, a network, users, and the producer under test.

    world = World(draw_plan(7))
    world.run()
    world.oracle.violations

Time stands still but in `run`, which jumps to the next event or deadline. Events of one millisecond come in an order
that the seed draws. Whatever happens is a line of the trace, if there is one.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Final

from sim.face import SimulatedProducer, Wait, Waiting
from sim.faults import FAULTS
from sim.network import Network
from sim.oracle import Oracle
from sim.patches import patched
from sim.plan import Draw, Plan, Step
from sim.records import Record
from sim.trace import Trace

from kproto.producer.batch import ProducerBatch
from kproto.producer.bulk import RecordRange
from kproto.producer.delivery import Delivery
from kproto.producer.errors import BulkDeliveryError
from kproto.tools.judge import NO_LEADER, FirstSequence, JudgeCluster, TopicConfig
from kproto.wire import ApiKey, KafkaError

__all__ = ["EPOCH_MS", "World"]

EPOCH_MS: Final = 1_700_000_000_000
EVENTS_MAX: Final = 60_000  # of a run: more are a circle
LAST_MS: Final = 3_000_000  # of a run, in virtual time
PROBES: Final = 100


class _User:
    """Does one step after the other; until_ms: when to look again, while nothing else comes."""

    def __init__(self, script: Waiting) -> None:
        self.script = script
        self.wait: Wait | None = Wait(lambda: True, None)

    @property
    def done(self) -> bool:
        return self.wait is None


class World:
    """See the module. now_ms: the monotonic clock; wall_ms: what the wall clock shows at 0 of it; it jumps.

    touched: whether the core was told anything since the last pass. records: all that users tried to send.
    """

    def __init__(self, plan: Plan, trace: Trace | None = None) -> None:
        self.plan = plan
        self.trace = trace
        self.now_ms = 0
        self.wall_ms = EPOCH_MS
        self.touched = False
        self.records: list[Record] = []
        self.batches: dict[ProducerBatch, None] = {}
        """Roots that have not ended, as far as the oracle has seen."""
        self._heap: list[tuple[int, float, int, Callable[[], None]]] = []
        self._count = 0
        self._appends = 0
        self._events = (0, 0)
        self._frozen_until_ms = 0
        self._draw = self.draw(0)
        self._users: list[_User] = []
        self.oracle = Oracle(self)
        around = plan.around
        self.cluster = JudgeCluster(
            around.nodes,
            rng=self.rng(2),
            first_sequence=FirstSequence[around.first_sequence],
            late_duplicate=around.late_duplicate,
            epoch_ms=EPOCH_MS,
            requests_kept=100_000,
        )
        self.cluster.schedule = self.at
        self.cluster.clock = lambda: self.now_ms
        for broker in self.cluster.brokers.values():
            broker.versions[ApiKey.PRODUCE] = range(around.produce_version + 1)
        self.network = Network(self)

    # What parts draw from

    def rng(self, number: int) -> Random:
        return Random(self.plan.seed * 1_000_003 + number)

    def draw(self, number: int) -> Draw:
        return Draw(self.plan.seed, number)

    # Time

    def at(self, delay_ms: int, happen: Callable[[], None]) -> None:
        """Something happens in so many milliseconds."""
        self.at_time(self.now_ms + delay_ms, happen)

    def at_time(self, at_ms: int, happen: Callable[[], None]) -> None:
        """Something happens at a time; what else does then, before it or after it, is drawn."""
        self._count += 1
        heapq.heappush(self._heap, (at_ms, self._draw.random(), self._count, happen))

    def freeze(self, ms: int) -> None:
        """The producer's process does not run for so long."""
        self._frozen_until_ms = max(self._frozen_until_ms, self.now_ms + ms)
        self.at(ms, self._thaw)

    def _thaw(self) -> None:
        self.touched = True

    def frozen_for(self) -> int:
        """How long the process still does not run; 0 where it does."""
        return max(0, self._frozen_until_ms - self.now_ms)

    @property
    def events(self) -> int:
        """How many were planned so far."""
        return self._count

    def happened_at(self, at_ms: int) -> int:
        """How many events there were in this millisecond."""
        return self._events[1] if self._events[0] == at_ms else 0

    def note(self, what: str, /, **facts: Any) -> None:
        """A line of the trace."""
        if self.trace is not None:
            self.trace.line(self.now_ms, what, facts)

    # The run

    def run(self) -> None:
        """From the start to the end of everything; stops at the first violation."""
        with patched(self):
            self.producer = SimulatedProducer(self)
            self.core = self.producer.core
            self.driver = self.producer.driver
            self._prepare()
            self.driver.run_pass()
            for phase in (self._until_all_has_ended, self._probe, self._end):
                phase()
                if self.oracle.violations:
                    return

    def _prepare(self) -> None:
        plan = self.plan
        for topic in plan.topics:
            self.at_time(topic.born_ms, lambda topic=topic: self._create(topic))  # type: ignore[misc]
        for fault in plan.faults:
            self.at_time(fault.at_ms, lambda fault=fault: self._happen(fault))  # type: ignore[misc]
        self.at_time(plan.quiet_ms, self._heal)
        for number in sorted({step.user for step in plan.steps}):
            self._users.append(_User(self._script([step for step in plan.steps if step.user == number])))

    def _create(self, topic: Any) -> None:
        self.cluster.create_topic(topic.name, topic.partitions, TopicConfig(**dict(topic.config)))

    def _happen(self, fault: Any) -> None:
        self.oracle.marks.add(f"fault {fault.what}")
        self.note("fault", what=fault.what, facts=fault.facts())
        FAULTS[fault.what](self, fault)

    def _heal(self) -> None:
        """Nothing goes wrong from now on."""
        self.note("quiet")
        self.cluster.faults.clear()
        for broker in self.cluster.brokers.values():
            broker.metadata_delay_ms = 0
            broker.catch_up()
        for name, topic in self.cluster.image.topics.items():
            self.cluster.configure(name, min_insync_replicas=1)
            for index, one in enumerate(topic.partitions):
                if one.leader == NO_LEADER:
                    self.cluster.move_leader(name, index, one.replicas[0])
        self.network.heal()
        self.touched = True

    def _until_all_has_ended(self) -> None:
        """Users are through, and everything that they sent has ended, in a bounded time behind the last fault."""
        quiet_ms, flying = self.plan.quiet_ms, self.oracle.flying
        self._go_on(lambda: self.now_ms >= quiet_ms and self._idle() and not flying, LAST_MS, "it ends")

    def _idle(self) -> bool:
        return all(user.done for user in self._users) and not self.producer.accumulator.incomplete

    def _probe(self) -> None:
        """Now that all is well, one record for each partition is delivered, and soon."""
        self.oracle.at_rest()
        if self.producer.closed or self.core.error is not None or self.oracle.violations:
            return
        for topic in self.plan.topics:
            for partition in range(len(self.cluster.image.topics[topic.name].partitions)):
                self._probe_one(topic.name, partition)

    def _probe_one(self, topic: str, partition: int) -> None:
        """It may fail at first: a connection may be gone, a leader elsewhere, and who sends may not care to wait."""
        until_ms = self.now_ms + self._soon_ms()
        for _ in range(PROBES):
            record = self._record(topic, Step(self.now_ms, 0, "probe", key=0), partition)
            self._users.append(_User(self._send(record)))
            self._go_on(self._idle, self._soon_ms(), f"a record for {topic}-{partition} ends")
            if self.oracle.violations or self.oracle.is_delivered(record):
                return
            if self.now_ms > until_ms:
                break
        self.oracle.violated(5, f"nothing can be delivered to {topic}-{partition} any more")

    def _soon_ms(self) -> int:
        settings = self.producer.config
        tries = settings.request_timeout_ms + settings.max_block_ms + settings.linger_ms
        pauses = settings.retry_backoff_max_ms + settings.reconnect_backoff_max_ms
        return 3 * (tries + pauses) + 2 * settings.socket_connection_setup_timeout_max_ms

    def _end(self) -> None:
        """Close, if no user has, and look at everything once more."""
        if not self.producer.closed:
            self._users.append(_User(self.producer.close(None)))
            self._go_on(self._idle, self._soon_ms(), "the producer closes")
        self._go_on(lambda: not self._heap, LAST_MS, "the network falls silent")  # what is late may still be written
        self.oracle.at_rest()

    def _go_on(self, condition: Callable[[], bool], limit_ms: int, what: str) -> None:
        deadline_ms, oracle = self.now_ms + limit_ms, self.oracle
        self._resume()
        while not condition() and not oracle.violations:
            at_ms = self._next_ms()
            if at_ms is None or at_ms > deadline_ms or self._count > EVENTS_MAX:
                why = "nothing is left to happen" if at_ms is None else f"it takes more than {limit_ms} ms"
                oracle.violated(5, f"{what}: {why}")
                return
            self._step(at_ms)

    def _next_ms(self) -> int | None:
        times = [self._heap[0][0]] if self._heap else []
        if self.driver.deadline_ms is not None and not self.driver.closed and not self.producer.closed:
            times.append(max(self.driver.deadline_ms, self._frozen_until_ms))
        return max(self.now_ms, min(times)) if times else None

    def _step(self, at_ms: int) -> None:
        """What is next: an event and a pass, if it touches the core; or a pass that is due."""
        self.now_ms = at_ms
        heap, driver = self._heap, self.driver
        if heap and heap[0][0] <= at_ms:
            self._events = (at_ms, self.happened_at(at_ms) + 1)
            heapq.heappop(heap)[3]()
            gathers = heap and heap[0][0] == at_ms and self._draw.chance(self.plan.around.gathers)
            if gathers:
                self.network.pump()
                return
        frozen = at_ms < self._frozen_until_ms
        if not frozen and (self.touched or (driver.deadline_ms is not None and driver.deadline_ms <= at_ms)):
            driver.run_pass()
        self.network.pump()
        if not frozen:
            self._resume()
        self.oracle.step()

    # Users

    def _resume(self) -> None:
        """Those go on who need not wait any more."""
        again = True
        while again:
            again = False
            for user in [*self._users]:
                wait = user.wait
                if wait is not None and (wait.ready() or (wait.until_ms is not None and wait.until_ms <= self.now_ms)):
                    self._advance(user)
                    again = True
            self._users = [user for user in self._users if not user.done]
            self.network.pump()

    def _advance(self, user: _User) -> None:
        user.wait = None
        try:
            user.wait = next(user.script)
        except StopIteration:
            return
        if user.wait.until_ms is not None:
            self.at_time(max(self.now_ms, user.wait.until_ms), _nothing)

    def _script(self, steps: Iterable[Step]) -> Waiting:
        for step in steps:
            if self.now_ms < step.at_ms:
                yield Wait(lambda: False, step.at_ms)
            self.note("step", do=step.what, user=step.user, topic=step.topic, count=step.count)
            timeout_ms = None if step.ms < 0 else step.ms
            try:
                if step.what == "flush":
                    before = [record for record in self.records if record.batch is not None]
                    yield from self.producer.flush(timeout_ms)
                    self.oracle.flushed(before)
                elif step.what == "close":
                    given_up = yield from self.producer.close(timeout_ms)
                    self.oracle.closed(given_up)
                elif step.what == "wait":
                    yield from self._wait_for_last(timeout_ms)
                elif step.what == "send_many":
                    yield from self._send_many([self._record(step.topic, step) for _ in range(step.count)])
                else:
                    for _ in range(step.count):
                        yield from self._send(self._record(step.topic, step))
            except KafkaError as error:
                self.note("raised", error=type(error).__name__)

    def _wait_for_last(self, timeout_ms: int | None) -> Waiting:
        last = next((record for record in reversed(self.records) if record.batch is not None), None)
        if last is not None:
            until_ms = None if timeout_ms is None else self.now_ms + timeout_ms
            yield Wait(lambda: last.outcome() is not None, until_ms)

    def _record(self, topic: str, step: Step, partition: int | None = None) -> Record:
        number = len(self.records)
        if partition is None and step.partition >= 0:
            partition = step.partition
        record = Record(
            number,
            topic,
            step.size,
            b"k%d" % (step.key + number % 3) if step.key >= 0 else None,
            partition,
            EPOCH_MS + self._draw.below(1_000_000) if step.stamped else None,
            headers=(("trace", b"%d" % number),) if step.headers else (),
            listens=step.listens,
            then=(lambda: self._answer(step)) if step.resends else None,
        )
        self.records.append(record)
        return record

    def _answer(self, step: Step) -> None:
        """What a callback sends: at once, unless it has to wait."""
        user = _User(self._send(self._record(step.topic, step._replace(resends=False))))
        self._users.append(user)
        self._advance(user)

    def _send(self, record: Record) -> Waiting:
        record.sent_ms = self.now_ms
        try:
            yield from self.producer.send(record)
        except KafkaError as error:
            record.refusal = type(error).__name__
            self.note("refused", record=record.number, error=record.refusal)

    def _send_many(self, records: Sequence[Record]) -> Waiting:
        for record in records:
            record.sent_ms = self.now_ms
            record.headers, record.key = records[0].headers, record.key
            record.timestamp_ms = records[0].timestamp_ms
        try:
            yield from self.producer.send_many(records)
        except KafkaError as error:
            self.note("refused", records=len(records), error=type(error).__name__)
        for record in records:
            if record.batch is None:
                record.refusal = record.refusal or "not accepted"

    # What the face tells

    def accepting(self, record: Record) -> None:
        """It is about to be appended: so much for the order."""
        self._appends += 1
        record.order = self._appends

    def accepted(self, record: Record, delivery: Delivery) -> None:
        """It is in."""
        record.delivery = delivery
        self.accepted_at(record, delivery._batch, delivery._index)

    def accepted_at(self, record: Record, batch: ProducerBatch, index: int) -> None:
        record.batch, record.index = batch, index
        self.opened(batch)
        self.note("accepted", record=record.number, partition=batch.partition.partition, batch=batch.number)

    def opened(self, batch: ProducerBatch) -> None:
        """There is such a batch."""
        if batch not in self.batches and not batch.all_done:
            self.batches[batch] = None
        self.oracle.knows(batch)

    def bulk_ended(
        self, records: Sequence[Record], ranges: tuple[RecordRange, ...], error: BulkDeliveryError | None
    ) -> None:
        """The future of a send_many has ended."""
        self.oracle.bulk_ended(records, ranges, error)

    # What faults look at

    def has(self, fault: Any) -> bool:
        topic = self.cluster.image.topics.get(fault.topic)
        return topic is not None and fault.partition < len(topic.partitions)

    def forget_producers(self, topic: str, partition: int) -> None:
        """As retention does, which takes days: only where the producer has no doubt about what is written, and where
        the broker does not take any number from a producer that it does not know."""
        if self.plan.around.first_sequence != "ANY" and not self.oracle.in_doubt(topic, partition):
            log = self.cluster.log_of(self.cluster.image.topics[topic].topic_id, partition)
            log.delete_before(log.end_offset)
            self.cluster.forget_producers(topic, partition)


def _nothing() -> None:
    """A time at which somebody looks again."""
