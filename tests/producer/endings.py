"""Batches whose end the test decides: what futures, callbacks and completions stand on, without a network.

ending = Endings()
first, second = ending.send(b"a", b"b")
ending.deliver(first, offset=7)
"""

from __future__ import annotations

import threading
from contextlib import contextmanager

from producer.queueing import accumulator_of, append, failure, queue_of

from kproto.producer.completions import Completions
from kproto.producer.delivery import Deliveries, Delivery
from kproto.producer.errors import ForkedProducerError
from kproto.wire.records import RecordBatchBuilder

WAIT_S = 30


class Endings:
    """lock, accumulator, deliveries, completions: as a producer has them. through: batches that were through, counted.

    forked: as in a child of the process. passes: how often somebody has waited; on_pass: called then.
    """

    def __init__(self, **settings):
        self.lock = threading.RLock()
        self.accumulator = accumulator_of(lock=self.lock, **settings)
        self.deliveries = Deliveries(self.lock, self._wait, self._check)
        self.accumulator.context = self.deliveries
        self.through = 0
        self.completions = Completions(self.accumulator, self._count)
        self.forked = False
        self.passes = 0
        self.on_pass = lambda: None

    def _count(self):
        self.through += 1

    def _wait(self, bell, wanted, timeout_s):
        self.passes += 1
        self.on_pass()
        return bell.wait_for(wanted, timeout_s)

    def _check(self):
        if self.forked:
            raise ForkedProducerError

    def send(self, *values, on_delivery=None, partition=0):
        """The futures of records in one open batch of the partition, as `Producer.send` makes them."""
        futures = []
        for value in values:
            appended = append(self.accumulator, value, partition, on_delivery=on_delivery)
            future = Delivery()
            future._batch, future._index = appended.batch, appended.index
            futures.append(future)
        return futures

    def leave(self, batch):
        """It goes out."""
        queue = queue_of(self.accumulator, batch.partition.partition)
        if batch in queue.batches:
            queue.batches.remove(batch)
            queue.forget_open()
            batch.close()
            self.accumulator.seal(batch)
            self.accumulator.charge_all_sealed()  # as a pass of the sender does, which is not here
        batch.send(0, 0)
        batch.in_flight = False

    def deliver(self, future, *, offset=0, append_ms=-1):
        """The record's batch, or the part of it, was written. Callbacks wait for `run`."""
        batch = future if not isinstance(future, Delivery) else future._batch.part_of(future._index)[0]
        self.leave(batch)
        batch.succeed(offset, append_ms)
        self._ended(batch)

    def fail(self, future, error=None, record_errors=None):
        batch = future if not isinstance(future, Delivery) else future._batch.part_of(future._index)[0]
        self.leave(batch)
        error = error or failure()
        batch.fail(error, record_errors)
        self._ended(batch)
        return error

    def _ended(self, batch):
        self.accumulator.release(batch)
        self.deliveries.wake(batch)
        self.completions.add([batch])

    def split(self, future, *counts):
        """The record's batch goes on in parts of so many records."""
        batch = future._batch.part_of(future._index)[0]
        self.leave(batch)
        parts = []
        for number, count in enumerate(counts):
            part = type(batch)(
                batch.partition, 100 + number, RecordBatchBuilder(), limit=16_384, reserved=0, created_ms=0
            )
            for _ in range(count):
                part.append(1_700_000_000_000, None, b"part", (), None)
            part.close()
            part.claimed = True
            part.seal()
            parts.append(part)
        batch.split_into(parts)
        return parts

    def run(self):
        self.completions.run()


@contextmanager
def running(*functions):
    """Each in a thread of its own, which has ended at the end of the block, without an exception."""
    errors = []

    def guarded(function):
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    yield threads
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "a thread hangs"
    if errors:
        raise errors[0]
