"""Runs what users want to hear of their records, in order, outside every lock.

Layer: producer. Part of the faces. Whoever has made a pass comes by, and one at a time is let in: so callbacks of one
partition run in the order of its batches, and a callback that sends does not call itself. Which thread runs them is the
one that made the pass: the producer's own, or one that sends, flushes or waits.

In the main thread KeyboardInterrupt may come between any two steps. It leaves the rest to whoever comes next; and each
callback is entered once, or it is one of our own, which nothing interrupts (`Unbroken`).
Source: org.apache.kafka.clients.producer.internals.ProducerBatch.completeFutureAndFireCallbacks (CB-1 to CB-8).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Final

from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch, new_tuple
from kproto.producer.interrupts import HeldSignals
from kproto.producer.record import NO_OFFSET, RecordMetadata
from kproto.producer.unseen import UnseenFailure

__all__ = ["Completions", "Unbroken", "survive"]

logger = logging.getLogger("kproto.producer")
NOTHING_HELD: Final = nullcontext()


class Unbroken(partial[object]):
    """A callback of our own, which no signal's handler may end half way: nobody would make up for it."""


class Completions:
    """See the module. after: called when a batch is through; it may be called again.

    Thread-safe.
    """

    def __init__(self, accumulator: RecordAccumulator, after: Callable[[], None]) -> None:
        self._accumulator = accumulator
        self._after = after
        self._queue: deque[ProducerBatch] = deque()
        self._turn = threading.RLock()
        self._try_turn = partial(self._turn.acquire, False)

    def is_inside(self) -> bool:
        """Whether this thread is in a callback: it must not wait for what only comes after that."""
        # RLock's own name for it; Condition of the standard library uses it, too.
        return self._turn._is_owned()  # type: ignore[attr-defined, no-any-return]

    def add(self, batches: Sequence[ProducerBatch]) -> None:
        """These have ended, in this order. Inside the driver's guard."""
        with self._accumulator.lock:
            for batch in batches:
                if batch.error is not None and not batch.calls and batch.witness is None:
                    batch.witness = UnseenFailure(batch)
        self._queue.extend(batches)

    def run(self) -> None:
        """Run what is due, unless somebody does: then he goes on with it."""
        if not self._queue or self.is_inside():
            return
        for _ in iter(self._try_turn, False):  # no `if`: behind a call, a signal's handler may raise before the `try`
            try:
                self._drain()
            finally:
                self._turn.release()
            if not self._queue:
                return

    def _drain(self) -> None:
        """A batch stays in the queue until it is through: whoever is interrupted leaves the rest to the next."""
        queue = self._queue
        while queue:
            batch = queue[0]
            self._call_back(batch)
            with self._accumulator.lock:
                batch.called_back = batch.called == len(batch.calls)  # one may have come meanwhile
                if batch.called_back:
                    batch.calls, batch.called = [], 0
            if not batch.called_back:
                continue
            root = batch.root
            if root.all_done and all(part.called_back for part in root.parts or [root]):
                self._accumulator.completed(root)
            self._after()
            queue.popleft()

    def _call_back(self, batch: ProducerBatch) -> None:
        if batch.error is None:
            self._call_back_delivered(batch)
        for index, on_delivery in batch.callbacks:
            metadata, error = batch.metadata_of(index), batch.error_of(index)
            with HeldSignals() if isinstance(on_delivery, Unbroken) else NOTHING_HELD:
                try:
                    on_delivery(metadata, error)
                except BaseException as raised:
                    survive(raised)
                finally:
                    batch.called += 2

    def _call_back_delivered(self, batch: ProducerBatch) -> None:
        """The same for a batch that was delivered, up to the first callback of our own; that is nearly all of them.

        Between the count and the call nothing can come in between: see `fast_send`.
        """
        topic, partition = batch.partition
        base_offset, called = batch.base_offset, batch.called
        first = end = timestamp_ms = 0
        make, of, ours = new_tuple, RecordMetadata, Unbroken
        waiting = iter(batch.calls[called:])
        for index, on_delivery in zip(waiting, waiting, strict=True):
            if not first <= index < end:
                first, end, timestamp_ms = batch.run_of(index)
            if type(on_delivery) is ours:
                return
            offset = base_offset + index if base_offset >= 0 else NO_OFFSET
            metadata = make(of, (topic, partition, offset, timestamp_ms))
            called += 2
            try:
                batch.called = called
                on_delivery(metadata, None)
            except BaseException as raised:
                survive(raised)


def survive(raised: BaseException) -> None:
    """What a callback raises is its own affair: it is logged, and the next one is called. But in the main thread
    KeyboardInterrupt and SystemExit are raised again: they are meant for the program."""
    if isinstance(raised, (KeyboardInterrupt, SystemExit)):
        if threading.current_thread() is threading.main_thread():
            raise raised
        logger.error("an on_delivery callback raised %r, which ends nothing here", raised)
    else:
        logger.error("an on_delivery callback raised", exc_info=raised)
