"""The producer under test: the engine of both faces, entered as they enter it, but waiting on virtual time.

What the faces add to the engine is how to wait; here a wait is a value that the world looks at (`Wait`), and who waits
is a generator. Everything else is the product's: the engine, its sender and accumulator, the fast way, columns,
completions, futures.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sim.driver import SimulatedDriver
from sim.records import Record

from kproto.client import KafkaTimeoutError, NetworkClient
from kproto.producer import engine as engine_module
from kproto.producer.batch import ProducerBatch
from kproto.producer.buffer_memory import MemoryWaiter
from kproto.producer.bulk import BulkDelivery
from kproto.producer.bulk_groups import bulk_groups, places_left
from kproto.producer.completions import Completions
from kproto.producer.config import ProducerConfig
from kproto.producer.delivery import Deliveries, Delivery
from kproto.producer.engine import Engine
from kproto.producer.errors import BufferFullError
from kproto.producer.fast_send import make_fast_send
from kproto.producer.metrics import ProducerMetrics
from kproto.producer.queues import Appended, PartitionQueue, TopicQueues
from kproto.wire import KafkaError

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["SimulatedProducer", "Wait", "Waiting"]

FAST_LIMIT_MIN: Final = 1 << 15  # bytes, as `fast_send` has it


class Wait(NamedTuple):
    """Until this holds, or this time has come; None for no limit."""

    ready: Callable[[], object]
    until_ms: int | None


Waiting = Generator[Wait, None, Any]
Attempt = Callable[[Callable[[], None], MemoryWaiter | None], Appended | MemoryWaiter | None]


class SimulatedProducer:
    """See the module. Not reentrant but for callbacks, which may send."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.config = ProducerConfig.of(**world.plan.settings)
        with _seeded(world):
            self.engine = Engine(
                self.config,
                lock=nullcontext(),
                compress=self.compress if world.plan.around.compress_ms else None,
                batch_observer=world.oracle.heard,
            )
        self.accumulator = self.engine.accumulator
        self.deliveries = Deliveries(nullcontext(), _never_waits, lambda: None)
        self.accumulator.context = self.deliveries
        self.completions = Completions(self.accumulator, lambda: None)
        self.driver = SimulatedDriver(world, self._collect, self.completions.run)
        self.waiters: dict[MemoryWaiter, None] = {}
        self.closed = False
        self._fatal: KafkaError | None = None
        self._fatals = 0
        self._helped_ms = -1
        self._fast = self._fast_send()

    @property
    def core(self) -> Any:
        """What is driven."""
        return self.engine.sender

    # Passes

    def _collect(self) -> None:
        ended = self.engine.take_ended()
        for batch in ended:
            self.deliveries.wake(batch)
        self.completions.add(ended)
        fatal = self.engine.network.metadata.take_fatal_error()
        if fatal is not None:
            self._fatal = fatal
            self._fatals += 1

    def compress(self, batch: ProducerBatch) -> bool:
        """Have another thread compress it; the core goes on meanwhile."""
        if self.accumulator.claim(batch):
            self._world.at(self._world.plan.around.compress_ms, partial(self._compressed, batch))
        return batch.sealed

    def _compressed(self, batch: ProducerBatch) -> None:
        batch.seal()
        self.accumulator.charge_sealed(batch)
        self._world.touched = True

    def _seal(self, batch: ProducerBatch) -> bool:
        if self._world.plan.around.compress_ms:
            return self.compress(batch)
        self.accumulator.seal(batch)
        return True

    def push(self, appended: Appended) -> None:
        """Seal what is full, and make a pass where there is something to send."""
        ready, now_ms = appended.ready, self._world.now_ms
        if appended.closed is not None:
            ready &= self._seal(appended.closed)
        hurries = appended.opened and (not self.config.linger_ms or self.accumulator.hurrying)
        if hurries or (ready and (not self.core.calls or now_ms > self._helped_ms)):
            self.driver.run_pass()
            self._helped_ms = now_ms
        elif appended.opened:
            self.driver.wake_by(now_ms + self.config.linger_ms)

    # Records

    def send(self, record: Record) -> Waiting:
        """Accept one. Raises what the faces raise."""
        world = self._world
        on_delivery = record.ended if record.listens else None
        fast = None
        if self._fast is not None:
            world.accepting(record)
            fast = self._fast(
                record.topic,
                record.value,
                record.key,
                partition=record.partition,
                timestamp_ms=record.timestamp_ms,
                headers=record.headers or None,
                on_delivery=on_delivery,
            )
        if fast is None:
            fast = yield from self._send(record, on_delivery)
        world.accepted(record, fast)

    def _send(self, record: Record, on_delivery: Any) -> Waiting:
        world, engine = self._world, self.engine
        queues, left_ms = yield from self.topic(record.topic, record.partition, record.timestamp_ms)
        at_ms = world.wall_ms + world.now_ms if record.timestamp_ms is None else record.timestamp_ms
        chosen, fields = engine.prepare(
            queues, record.value, record.key, record.partition, at_ms, record.headers or None
        )
        clocked = record.timestamp_ms is None

        def attempt(wake: Callable[[], None], memory: MemoryWaiter | None) -> Appended | MemoryWaiter | None:
            world.accepting(record)
            return self.accumulator.append(
                queues, chosen, fields, on_delivery, now_ms=world.now_ms, wake=wake, memory=memory, clocked=clocked
            )

        appended = yield from self._with_room(attempt, left_ms)
        delivery: Delivery = Delivery()
        delivery._batch, delivery._index = appended.batch, appended.index
        record.delivery = delivery
        world.opened(appended.batch)
        self.push(appended)
        return delivery

    def _roll(
        self, queue: PartitionQueue, timestamp_ms: int, key: bytes | None, value: bytes, on_delivery: Any
    ) -> tuple[ProducerBatch, int, int] | None:
        fields = timestamp_ms, key, value, ()
        appended = self.accumulator.append(
            queue.topic, queue.partition.partition, fields, on_delivery, now_ms=self._world.now_ms, clocked=True
        )
        if not isinstance(appended, Appended):
            return None
        self._world.opened(appended.batch)
        self.push(appended)
        return appended.batch, appended.index, appended.batch.largest_record

    def _fast_send(self) -> Any:
        """As `fast_send_of` makes it; that would not while somebody observes batches."""
        config, world = self.config, self._world
        if not world.plan.around.fast or min(config.max_request_size, config.buffer_memory) < FAST_LIMIT_MIN:
            return None
        return make_fast_send(
            self.accumulator.routes,
            slow=lambda *record: None,
            new=Delivery,
            roll=self._roll,
            clock=lambda: (world.wall_ms + world.now_ms) / 1000,
            turn=self.accumulator.turn_sticky,
            sticky_bytes_max=2 * max(1, config.batch_size),
        )

    def send_many(self, records: Sequence[Record]) -> Waiting:
        """Accept these as columns, or each for itself where that does not apply."""
        world, first = self._world, records[0]
        queues, left_ms = yield from self.topic(first.topic, first.partition, first.timestamp_ms)
        values, keys = [one.value for one in records], [one.key for one in records]
        key_column = keys if first.key is not None else None
        groups = bulk_groups(self.config, queues, values, key_column, first.partition, first.headers)
        bulk = BulkDelivery(partial(world.bulk_ended, records))
        if groups is None:
            for record in records:
                record.bulk = None
                yield from self.send(record)
            return
        at_ms = world.wall_ms + world.now_ms if first.timestamp_ms is None else first.timestamp_ms
        for number, group in enumerate(groups):
            start = 0
            while start < len(group.columns):
                try:
                    appended = yield from self._with_room(
                        partial(self._append_columns, queues, group, start, at_ms, bulk, records), left_ms
                    )
                except KafkaError as error:
                    if not bulk.accepted:
                        raise
                    bulk.refuse(queues.name, places_left(groups, number, start), error)
                    bulk.through()
                    return
                start += appended.count
                world.opened(appended.batch)
                self.push(appended)
        bulk.through()

    def _append_columns(
        self,
        queues: TopicQueues,
        group: Any,
        start: int,
        at_ms: int,
        bulk: BulkDelivery,
        records: Sequence[Record],
        wake: Callable[[], None],
        memory: MemoryWaiter | None,
    ) -> Appended | MemoryWaiter | None:
        world = self._world
        appended = self.accumulator.append_columns(
            queues, group.partition, group.columns, start, at_ms, now_ms=world.now_ms, wake=wake, memory=memory
        )
        if isinstance(appended, Appended):
            places = group.places[start : start + appended.count]
            bulk.add_run(appended, places)
            for index, place in enumerate(places):
                world.accepting(records[place])
                world.accepted_at(records[place], appended.batch, appended.index + index)
        return appended

    # Waiting

    def topic(self, name: str, partition: int | None, timestamp_ms: int | None) -> Waiting:
        """The topic's queues, and what is left of max_block_ms."""
        engine, world = self.engine, self._world
        engine.path.check(name, partition, timestamp_ms)
        engine.check_open()
        queues = engine.known_topic(name, partition)
        if queues is not None:
            return queues, self.config.max_block_ms
        began_ms, metadata = world.now_ms, engine.network.metadata
        deadline_ms = began_ms + self.config.max_block_ms
        while True:
            fatals = self._fatals
            asked = engine.ask_for_topic(name, world.now_ms)
            self.driver.wake()

            def over(asked: int = asked, fatals: int = fatals) -> bool:
                news = metadata.update_version > asked or self._fatals != fatals
                return news or self.accumulator.closed

            yield Wait(over, deadline_ms)
            if self._fatals != fatals and metadata.update_version <= asked and not self.accumulator.closed:
                assert self._fatal is not None
                raise self._fatal
            engine.check_open()
            queues = engine.known_topic(name, partition)
            if queues is not None:
                return queues, max(0, deadline_ms - world.now_ms)
            engine.check_topic(name)
            if world.now_ms >= deadline_ms:
                raise engine.topic_timeout(name, partition, self.config.max_block_ms)

    def _with_room(self, attempt: Attempt, left_ms: int) -> Waiting:
        world, memory = self._world, None
        deadline_ms = world.now_ms + left_ms
        try:
            while True:
                called: list[None] = []
                appended = attempt(partial(called.append, None), memory)
                if isinstance(appended, Appended):
                    return appended
                assert appended is not None
                memory = appended
                self.waiters[memory] = None
                self.driver.wake()
                yield Wait(lambda called=called: called, deadline_ms)
                world.oracle.woken(called, memory)
                if not memory.granted:
                    self.accumulator.memory.leave(memory)
                    self.engine.check_open()
                    raise BufferFullError(memory.size, self.accumulator.memory.capacity, left_ms)
        except BaseException:
            if memory is not None:
                self.accumulator.memory.leave(memory)
            raise
        finally:
            if memory is not None:
                self.waiters.pop(memory, None)

    def flush(self, timeout_ms: int | None) -> Waiting:
        """Until all that was accepted before has ended. Raises KafkaTimeoutError."""
        incomplete, world = self.accumulator.incomplete, self._world
        until_ms = None if timeout_ms is None else world.now_ms + timeout_ms
        batches = self.accumulator.begin_flush()
        try:
            self.driver.run_pass()

            def over() -> bool:
                while batches and batches[-1] not in incomplete:
                    batches.pop()
                return not batches

            yield Wait(over, until_ms)
            if not over():
                raise KafkaTimeoutError("flush", timeout_ms or 0)
        finally:
            self.accumulator.end_flush()

    def close(self, timeout_ms: int | None) -> Waiting:
        """Accept nothing more, deliver, end; how many records were given up."""
        until_ms = None if timeout_ms is None else self._world.now_ms + timeout_ms
        self.accumulator.close()
        self.driver.run_pass()
        yield Wait(lambda: not self.accumulator.incomplete, until_ms)
        counts: list[int] = []
        if self.accumulator.incomplete:
            self.driver.call(lambda now_ms: counts.append(self.core.abort(now_ms)))
        self.driver.call(self.core.close)
        self.closed = True
        return sum(counts)


@contextmanager
def _seeded(world: World) -> Iterator[None]:
    """What the engine draws, and reads from the clock, while it is made."""
    numbers = iter(range(100, 200))

    def network(config: ProducerConfig, observer: Any) -> NetworkClient:
        return NetworkClient(
            config, rng=world.rng(next(numbers)), make_nonce=lambda: "nonce", now_ms=0, observer=world.oracle
        )

    def metrics(config: ProducerConfig) -> ProducerMetrics:
        return ProducerMetrics(window_ms=30_000, samples=2, now_ms=0)

    replaced = {"_chance": lambda: world.rng(next(numbers)), "_network_of": network, "_metrics_of": metrics}
    before = {name: getattr(engine_module, name) for name in replaced}
    for name, value in replaced.items():
        setattr(engine_module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(engine_module, name, value)


def _never_waits(*_: object) -> bool:
    raise AssertionError("the simulation waits for no future")
