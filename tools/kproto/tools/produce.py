"""Sends records one after the other, and knows of each how it ended: delivered, or in the file of the undelivered.

Layer: tools. What it keeps of a record it keeps until the record is acknowledged: `buffer_memory` bounds that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from threading import Thread
from time import monotonic, monotonic_ns, sleep
from typing import Final

from kproto.client import AuthenticationError, KafkaTimeoutError, TopicPartition
from kproto.producer import (
    BufferFullError,
    DeliveryError,
    InvalidTopicError,
    Producer,
    ProducerClosedError,
    ProducerFatalError,
    ProducerRecord,
    RecordMetadata,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    WriteStatus,
)
from kproto.tools.interrupts import Interrupted, Interrupts
from kproto.tools.produce_input import InputError
from kproto.tools.produce_tally import ProduceTally, record_size
from kproto.tools.undelivered import UndeliveredFile
from kproto.wire import KafkaError

__all__ = ["Outcome", "ProduceRun"]

GRACE_S: Final = 5.0  # after a signal, for what was accepted
WATCH_S: Final = 0.05  # between looks for signals
RETRY_S: Final = 0.005  # after a send that found no room
HOPELESS: Final = (ProducerFatalError, ProducerClosedError, AuthenticationError)  # as will be all that follow
OF_THE_PLACE: Final = (
    KafkaTimeoutError,
    UnknownTopicOrPartitionError,
    InvalidTopicError,
    TopicAuthorizationFailedError,
)

Delivered = Callable[[int, RecordMetadata], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended. bad_input, hopeless: what ended it before the input did; interrupted: the signal that did."""

    undelivered: int = 0
    bad_input: InputError | None = None
    hopeless: KafkaError | None = None
    interrupted: Interrupted | None = None

    @property
    def exit_code(self) -> int:
        """0 all was delivered, 1 something was not, 2 bad input, 130 Ctrl-C."""
        if self.interrupted is not None:
            return self.interrupted.exit_code
        if self.bad_input is not None:
            return 2
        return 1 if self.undelivered or self.hopeless is not None else 0


class ProduceRun:
    """One run with a producer, which is closed at its end. The undelivered get a line in the file.

    delivered: called with the number of a record, from 1, and where it is; in any thread, one call at a time.
    notice: told a sentence for people while it runs. Not thread-safe, but for the tally.
    """

    def __init__(
        self,
        producer: Producer,
        undelivered: UndeliveredFile,
        tally: ProduceTally,
        *,
        delivered: Delivered | None = None,
        notice: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        self._producer = producer
        self._undelivered = undelivered
        self._tally = tally
        self._delivered = delivered
        self._notice = notice
        self._interrupts = Interrupts()
        self._pending: dict[int, tuple[ProducerRecord, int]] = {}
        self._refused: dict[TopicPartition, KafkaError] = {}

    def run(self, records: Iterable[ProducerRecord]) -> Outcome:
        """Send them all, wait for their ends, and close. A signal ends it early: what was accepted has GRACE_S then,
        and a second one gives that up. What `records` raises, beside InputError, is raised behind all that.
        """
        ended = Outcome()
        with self._interrupts:
            try:
                ended = self._send_all(records)
            except Interrupted:
                pass  # it is in `signals`
            finally:
                self._end()
        signals = self._interrupts.signals
        return replace(
            ended, undelivered=self._undelivered.records, interrupted=Interrupted(signals[0]) if signals else None
        )

    def _send_all(self, records: Iterable[ProducerRecord]) -> Outcome:
        try:
            for record in records:
                self._send(record)
        except InputError as error:
            return Outcome(bad_input=error)
        except HOPELESS as error:
            return Outcome(hopeless=error)
        finally:
            self._interrupts.quiet = True  # from here on `_end` looks for signals: none may cut it short
        return Outcome()

    def _end(self) -> None:
        """Close, as patiently as signals allow; what has not ended even then is written down."""
        closing = Thread(target=self._producer.close, name="kproto-produce-close", daemon=True)
        closing.start()
        signals, deadline = self._interrupts.signals, inf
        while closing.is_alive():
            closing.join(WATCH_S)
            if signals and deadline == inf:
                deadline = monotonic() + GRACE_S
                left = len(self._pending)
                if left:
                    self._notice(f"stopping: {left} under way have {GRACE_S:.0f} s, Ctrl-C again gives them up")
            if len(signals) > 1 or monotonic() > deadline:
                self._producer.close(0)
                closing.join(1)
                break
        for number in list(self._pending):
            self._fail(number, WriteStatus.POSSIBLY, KafkaError("was given up when the command ended"))

    def _send(self, record: ProducerRecord) -> None:
        """Accepted, or refused and written down. What waits for room waits on: it comes as others end."""
        tally = self._tally
        tally.read = number = tally.read + 1
        # Before it is sent: an interruption in `send` does not tell whether it was accepted.
        self._pending[number] = record, monotonic_ns()
        try:
            place = TopicPartition(record.topic, -1 if record.partition is None else record.partition)
            if place in self._refused:
                raise self._refused[place]
            while not self._accepted(number, record):
                pass
        except KafkaError as error:
            with self._interrupts.held:
                self._fail(number, error.written if isinstance(error, DeliveryError) else WriteStatus.NO, error)
            if isinstance(error, HOPELESS):
                raise
            if isinstance(error, OF_THE_PLACE):
                self._refused[place] = error  # or each of its records would wait for max_block_ms

    def _accepted(self, number: int, record: ProducerRecord) -> bool:
        try:
            self._producer.send(
                record.topic,
                record.value,
                record.key,
                partition=record.partition,
                timestamp_ms=record.timestamp_ms,
                headers=record.headers,
                on_delivery=partial(self._ended, number),
            )
        except BufferFullError:
            sleep(RETRY_S)  # where max_block_ms is 0, this would spin
            return False
        return True

    def _ended(self, number: int, metadata: RecordMetadata, error: KafkaError | None) -> None:
        with self._interrupts.held:
            if error is not None:
                self._fail(number, error.written if isinstance(error, DeliveryError) else WriteStatus.NO, error)
                return
            pending = self._pending.pop(number, None)
            if pending is not None:
                record, began_ns = pending
                tally = self._tally
                tally.delivered += 1
                tally.size += record_size(record)
                tally.latency.add((monotonic_ns() - began_ns) // 1000)
                if self._delivered is not None:
                    self._delivered(number, metadata)

    def _fail(self, number: int, written: WriteStatus, error: KafkaError) -> None:
        pending = self._pending.pop(number, None)
        if pending is not None:
            self._undelivered.add(pending[0], written, error)
            self._tally.failed = self._undelivered.records
