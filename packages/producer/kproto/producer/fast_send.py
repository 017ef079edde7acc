"""The fast way into an open batch: what `send` does for nearly every record, in one function and without a lock.

Layer: producer. Part of the faces. It takes a record of bytes for a partition that has an open batch with room;
everything else goes the slow way, which it is given, and which comes to the same: bytes, order, memory, futures and
errors. The layout of a record is `RecordBatchBuilder.append`'s.

Why no lock: taking one costs a tenth of the rest, and several threads that hand one to each other are three times
slower than one. CPython switches threads, and runs signal handlers, only behind calls and at the end of loops; in 3.11
a new tuple may also run the collector, and with it anybody's finalizers. So everything of that kind is done before;
then one line looks whether the batch is as it was, and adds the record. A test reads the byte code of that line. It is
one line because a debugger may stop at any other. Where there is no GIL, every record goes the slow way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kproto.producer.batch import OnDelivery, ProducerBatch
from kproto.producer.batch_records import Heads
from kproto.producer.queues import TopicQueues
from kproto.producer.routes import TopicRoutes
from kproto.wire import EncodeError
from kproto.wire.records.builder import NO_HEADERS, ZIGZAG_PLUS_SIZE
from kproto.wire.records.header_writer import ZIGZAG, encode_headers
from kproto.wire.records.record_heads import record_heads

if TYPE_CHECKING:
    from kproto.producer.engine import Engine

__all__ = ["HAS_GIL", "fast_send_of", "make_fast_send"]

HAS_GIL: Final = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()

SEQUENCES: Final = (list, tuple)
SIZE_LIMIT_MIN: Final = 1 << 15  # bytes: with lower limits each record has to be measured

F = TypeVar("F")
Slow = Callable[..., F]
Roll = Callable[..., tuple[ProducerBatch, int, int] | None]
"""Takes queue, timestamp in ms, key, value, and on_delivery: the first record of a batch. Gives batch, index, and the
bytes by which the batch has grown; None for the slow way."""


def fast_send_of(
    engine: Engine, *, slow: Slow[F], new: Callable[[], Any], roll: Roll, clock: Callable[[], float]
) -> Slow[F] | None:
    """See `make_fast_send`. None where every record has to go the slow way: something of the user's is to see each, or
    there is no GIL."""
    config = engine.config
    watched = engine.observes_batches or config.interceptors or config.key_serializer or config.value_serializer
    if watched or not HAS_GIL or min(config.max_request_size, config.buffer_memory) < SIZE_LIMIT_MIN:
        return None
    return make_fast_send(
        engine.accumulator.routes,
        slow=slow,
        new=new,
        clock=clock,
        roll=roll,
        turn=engine.accumulator.turn_sticky,
        sticky_bytes_max=2 * max(1, config.batch_size),
    )


def make_fast_send(
    routes: Mapping[str, TopicRoutes],
    *,
    slow: Slow[F],
    new: Callable[[], Any],
    clock: Callable[[], float],
    roll: Roll,
    turn: Callable[[TopicQueues], None],
    sticky_bytes_max: int,
) -> Slow[F]:
    """A function with the arguments of `send`.

    routes: by topic; slow: takes what it does not, with the same arguments in order; new: makes the future, which gets
    `_batch` and `_index`; clock: seconds since the epoch; roll: see `Roll`; turn: called when more than
    sticky_bytes_max went to the sticky partition of a topic.
    """
    sizes, sized, no_headers = ZIGZAG, ZIGZAG_PLUS_SIZE, NO_HEADERS

    def send(
        topic: str,
        value: Any = None,
        key: Any = None,
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        headers: Iterable[tuple[str, bytes | None]] | None = None,
        on_delivery: OnDelivery | None = None,
    ) -> Any:
        delivery: Any = None
        now_s = None
        try:
            if timestamp_ms is None and type(value) is bytes:
                if partition is None:
                    queue, key_part, key_size, unkeyed = routes[topic][key]
                else:
                    queue, key_part, key_size, unkeyed = routes[topic].to_partition(partition, key)
                if headers is None:
                    tail = no_headers
                else:
                    if type(headers) not in SEQUENCES:
                        raise TypeError  # who knows whether it can be read twice
                    tail = encode_headers(headers)
                    key_size += len(tail) - 1
                value_size = len(value)
                value_part = sized[value_size]
                batch = queue.open
                now_s = clock()
                if batch.room > 0:
                    builder = batch.builder
                    index = builder.count
                    ticks = now_s >= batch.tick_end_s
                    if ticks:
                        at_ms = int(now_s * 1000)
                        heads: Heads = record_heads(at_ms - builder.base_timestamp, index)
                    else:
                        heads = batch.heads
                    head = heads[index]
                    record_size = key_size + value_part + len(head)
                    added = sized[record_size]
                    size = builder.size + added
                    record = (sizes[record_size], head, key_part, sizes[value_size], value, tail)
                    if ticks:
                        run, end_s = ((index, at_ms),), (at_ms + 1) / 1000
                        call = () if on_delivery is None else (index, on_delivery)
                        if builder.count == index and size < batch.room: builder.parts += record; builder.size = size; builder.count = index + 1; builder.max_timestamp = at_ms; batch.timestamps += run; batch.heads = heads; batch.tick_end_s = end_s; batch.calls += call; delivery = new()  # fmt: skip  # noqa: E501, E701, E702
                    elif on_delivery is None:
                        if builder.count == index and size < batch.room: builder.parts += record; builder.size = size; builder.count = index + 1; delivery = new()  # fmt: skip  # noqa: E501, E701, E702
                    else:
                        call = (index, on_delivery)
                        if builder.count == index and size < batch.room: builder.parts += record; builder.size = size; builder.count = index + 1; batch.calls += call; delivery = new()  # fmt: skip  # noqa: E501, E701, E702
        except (KeyError, IndexError, TypeError, EncodeError):
            pass  # no route, no table that goes so far, a key that is no bytes, headers that are none
        if delivery is None:
            rolled = None
            # With headers, and where the sticky partition may change, the slow way decides.
            if now_s is not None and unkeyed is None and headers is None:
                rolled = roll(queue, int(now_s * 1000), key, value, on_delivery)
            if rolled is None:
                return slow(topic, value, key, partition, timestamp_ms, headers, on_delivery)
            batch, index, added = rolled
            delivery = new()
        delivery._batch = batch
        delivery._index = index
        if added > batch.largest_record:
            batch.largest_record = added
        if unkeyed is not None:
            sticky = unkeyed.sticky
            sticky.produced_bytes += added
            if sticky.produced_bytes >= sticky_bytes_max:
                turn(unkeyed)
        return delivery

    return send
