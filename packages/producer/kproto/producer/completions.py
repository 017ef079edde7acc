"""Runs what users want to hear of their records, in order, outside every lock.

Layer: producer. Part of the faces. Whoever has made a pass comes by, and one at a time is let in: so callbacks of one
partition run in the order of its batches, and a callback that sends does not call itself. Which thread runs them is the
one that made the pass: the producer's own, or one that sends, flushes or waits.
Source: org.apache.kafka.clients.producer.internals.ProducerBatch.completeFutureAndFireCallbacks (CB-1 to CB-8).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.record import RecordMetadata
from kproto.producer.unseen import UnseenFailure
from kproto.wire import KafkaError

__all__ = ["Completions"]

logger = logging.getLogger("kproto.producer")


class Completions:
    """See the module. after: called when a batch is through.

    Thread-safe.
    """

    def __init__(self, accumulator: RecordAccumulator, after: Callable[[], None]) -> None:
        self._accumulator = accumulator
        self._after = after
        self._queue: deque[ProducerBatch] = deque()
        self._turn = threading.RLock()

    def is_inside(self) -> bool:
        """Whether this thread is in a callback: it must not wait for what only comes after that."""
        # RLock's own name for it; Condition of the standard library uses it, too.
        return self._turn._is_owned()  # type: ignore[attr-defined, no-any-return]

    def add(self, batches: Sequence[ProducerBatch]) -> None:
        """These have ended, in this order. Inside the driver's guard."""
        self._queue.extend(batches)

    def run(self) -> None:
        """Run what is due, unless somebody does: then he goes on with it."""
        if self.is_inside():
            return
        while self._queue:
            try:
                if not self._turn.acquire(blocking=False):
                    return
                self._drain()
            finally:
                if self.is_inside():  # an interruption behind `acquire` must not leave it held
                    self._turn.release()

    def _drain(self) -> None:
        """A batch stays in the queue until it is through: whoever is interrupted leaves the rest to the next."""
        queue = self._queue
        while queue:
            batch = queue[0]
            self._call_back(batch)
            with self._accumulator.lock:
                batch.called_back = not batch.callbacks  # one may have come meanwhile
                if batch.called_back and queue[0] is batch:
                    queue.popleft()
            if not batch.called_back:
                continue
            root = batch.root
            if root.all_done and all(part.called_back for part in root.parts or [root]):
                self._accumulator.completed(root)
            self._after()

    def _call_back(self, batch: ProducerBatch) -> None:
        if batch.error is not None and not batch.callbacks and batch.witness is None:
            batch.witness = UnseenFailure(batch)
        callbacks = batch.callbacks
        while callbacks:
            index, on_delivery = callbacks.popleft()
            call(on_delivery, batch.metadata_of(index), batch.error_of(index))


def call(on_delivery: Callable[[RecordMetadata, KafkaError | None], object], *arguments: Any) -> None:
    """What a callback raises is its own affair: it is logged, and the next one is called."""
    try:
        on_delivery(*arguments)
    except (KeyboardInterrupt, SystemExit) as error:
        if threading.current_thread() is threading.main_thread():
            raise
        logger.error("an on_delivery callback raised %r, which ends nothing here", error)
    except Exception:
        logger.exception("an on_delivery callback raised")
