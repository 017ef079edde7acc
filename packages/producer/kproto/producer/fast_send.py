"""The fast way into an open batch: what `send` does for nearly every record, in one function and without a lock.

Layer: producer. Part of the faces. It takes a record of bytes for a partition that has an open batch, in the millisecond
of the record before; everything else goes the slow way, which it is given, and which comes to the same: bytes, order,
memory, futures and errors. The layout of a record is `RecordBatchBuilder.append`'s.

Why no lock: taking one costs a tenth of the rest, and several threads that hand one to each other are three times
slower than one. CPython switches threads, and runs signal handlers, only behind calls and at the end of loops; in 3.11
a new tuple may also run the collector, and with it anybody's finalizers. So everything of that kind is done before;
then one line looks whether the batch is as it was, and adds the record. A test reads the byte code of that line. It is
one line because a debugger may stop at any other. Where there is no GIL, every record goes the slow way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from kproto.producer.batch import OnDelivery, ProducerBatch
from kproto.producer.queues import TopicQueues
from kproto.producer.record_size import RECORD_OVERHEAD_MAX
from kproto.producer.routes import TopicRoutes
from kproto.wire.records.builder import NO_HEADERS, ZIGZAG_PLUS_SIZE
from kproto.wire.records.header_writer import ZIGZAG

__all__ = ["HAS_GIL", "make_fast_send"]

HAS_GIL: Final = sys.implementation.name == "cpython" and getattr(sys, "_is_gil_enabled", lambda: True)()

F = TypeVar("F")
Slow = Callable[..., F]


def make_fast_send(
    routes: Mapping[str, TopicRoutes],
    *,
    slow: Slow[F],
    new: Callable[[], Any],
    clock: Callable[[], float],
    tick: Callable[..., tuple[ProducerBatch, int, int] | None],
    turn: Callable[[TopicQueues], None],
    sticky_bytes_max: int,
) -> Slow[F]:
    """A function with the arguments of `send`.

    routes: by topic; slow: takes what it does not, with the same arguments in order; new: makes the future, which gets
    `_batch` and `_index`; clock: seconds since the epoch; tick, turn: the accumulator's; turn is called when more than sticky_bytes_max went to the
    sticky partition of a topic.
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
    ) -> F:
        delivery = None
        try:
            if partition is None and timestamp_ms is None and headers is None and type(value) is bytes:
                queue, key_part, key_size, unkeyed = routes[topic][key]
                value_size = len(value)
                batch = queue.open
                now_s = clock()
                if now_s < batch.tick_end_s:
                    builder = batch.builder
                    index = builder.count
                    head = batch.heads[index]
                    record_size = key_size + sized[value_size] + len(head)
                    added = sized[record_size]
                    size = builder.size + added
                    record = (sizes[record_size], head, key_part, sizes[value_size], value, no_headers)
                    if on_delivery is None:
                        if builder.count == index and size < batch.room: builder._parts += record; builder.size = size; builder.count = index + 1; delivery = new()  # fmt: skip  # noqa: E501, E701, E702
                    else:
                        call = ((index, on_delivery),)
                        if builder.count == index and size < batch.room: builder._parts += record; builder.size = size; builder.count = index + 1; batch.callbacks += call; delivery = new()  # fmt: skip  # noqa: E501, E701, E702
                else:
                    size_max = value_size + key_size + RECORD_OVERHEAD_MAX
                    ticked = tick(queue, int(now_s * 1000), key, value, size_max, on_delivery)
                    if ticked is not None:
                        batch, index, added = ticked
                        delivery = new()
        except (KeyError, IndexError, TypeError):
            pass  # no route, no table that goes so far, or a key that is no bytes
        if delivery is None:
            return slow(topic, value, key, partition, timestamp_ms, headers, on_delivery)
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
