"""One round of chaos: load, faults, recovery, and the verdict on what is in the log."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from types import TracebackType

from chaos.cluster import KafkaCluster, Node
from chaos.contenders import CONTENDERS, Contender, Timeouts
from chaos.proxy import Proxy
from chaos.read_back import read_back
from chaos.records import PARTITIONS, SentRecord, wait_until_ended
from chaos.schedule import Disaster, NodeFault, Schedule
from chaos.verdict import Verdict, judge

RATE = 3000  # records a second
TICK_SECONDS = 0.01
WARM_UP_SECONDS = 30
WHOLE_SECONDS = 60
RECOVERY_SECONDS = 30
OVERRUN_SECONDS = 30  # that the load may take longer, for a producer whose `send` waits
GRACE_SECONDS = 15  # beyond the delivery timeout, before a record without outcome counts as hung
PATIENCE_SECONDS = 60  # the same, where the delivery timeout is the producer's own
CLOSE_SECONDS = 45

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Round:
    """What one contender made of one schedule.

    recovery_ms: from a whole cluster to an ack of each partition. phases: name -> seconds. errors: name -> records.
    failed_indexes: partition -> first and last record that failed, by their index, and how many did.
    """

    contender: str
    may_fail: bool
    schedule: Schedule
    verdict: Verdict
    recovery_ms: int
    phases: dict[str, float]
    errors: dict[str, int]
    failed_indexes: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(self.phases.values())

    @property
    def findings(self) -> dict[str, int]:
        """What is wrong; empty for a clean round."""
        return self.verdict.findings(may_fail=self.may_fail)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "contender": self.contender,
            "timeouts": "short" if self.may_fail else "default",
            "seed": self.schedule.seed,
            "clean": not self.findings,
            "findings": self.findings,
            **self.verdict.as_dict(),
            "errors": self.errors,
            "failed_indexes": self.failed_indexes,
            "recovery_ms": self.recovery_ms,
            "seconds": {phase: round(seconds, 1) for phase, seconds in self.phases.items()},
            "schedule": str(self.schedule).split("\n  "),
        }


class Phases:
    """How long each phase of a round takes."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._seconds: dict[str, float] = {}
        self._phase = ""
        self._since = 0.0

    def begin(self, phase: str) -> None:
        """The one before has ended."""
        self.end()
        self._tell(phase)
        self._phase, self._since = phase, time.monotonic()

    def end(self) -> dict[str, float]:
        """The seconds of each, after the last one."""
        if self._phase:
            self._seconds[self._phase] = time.monotonic() - self._since
        self._phase = ""
        return self._seconds


class Catastrophe:
    """`with Catastrophe(disaster, node):` does it to the node in time; at the end of the block the node is back."""

    def __init__(self, disaster: Disaster, node: Node) -> None:
        self._disaster = disaster
        self._node = node
        self._hurry = threading.Event()  # the block has ended: no more waiting
        self._thread = threading.Thread(target=self._run, name="chaos-node", daemon=True)

    def __enter__(self) -> Catastrophe:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hurry.set()
        self._thread.join()

    def _run(self) -> None:
        if self._hurry.wait(self._disaster.at_ms / 1000):
            return
        node = self._node
        {NodeFault.KILL: node.kill, NodeFault.PAUSE: node.pause, NodeFault.RESTART: node.stop}[self._disaster.fault]()
        self._hurry.wait(self._disaster.span_ms / 1000)
        if self._disaster.fault is NodeFault.PAUSE:
            node.resume()
            return
        node.wait_stopped()
        node.start()


class Sender:
    """Numbers the records and hands them to a contender; knows all of them."""

    def __init__(self, contender: Contender) -> None:
        self.records: list[SentRecord] = []
        self._contender = contender
        self._numbers = [count() for _ in range(PARTITIONS)]

    def send(self, partition: int) -> SentRecord:
        """The next record of the partition."""
        record = SentRecord(partition, next(self._numbers[partition]))
        self.records.append(record)
        self._contender.send(record)
        return record

    def load(self, seconds: float, rate: int, overrun_seconds: float = OVERRUN_SECONDS) -> int:
        """So many records a second, evenly over partitions; how many were not sent.

        What a `send` that waits delays is made up for, within overrun_seconds.
        """
        pause = threading.Event()
        start = time.monotonic()
        sent, total = 0, round(seconds * rate)
        while sent < total:
            passed = time.monotonic() - start
            if passed > seconds + overrun_seconds:
                break
            if sent < passed * rate:
                self.send(sent % PARTITIONS)
                sent += 1
            else:
                pause.wait(TICK_SECONDS)
        return total - sent

    def until_each_partition_acks(self, seconds: float) -> int:
        """A record for each partition, again and again; how many partitions have taken none when time runs out."""
        deadline = time.monotonic() + seconds
        probes: dict[int, list[SentRecord]] = {partition: [] for partition in range(PARTITIONS)}
        while True:
            for partition in probes:
                probes[partition].append(self.send(partition))
            wait_until_ended(self.records[-len(probes) :], 0.5)
            for partition, records in list(probes.items()):
                if any(record.is_acked for record in records):
                    del probes[partition]
            if not probes or time.monotonic() >= deadline:
                return len(probes)


def run_round(
    cluster: KafkaCluster,
    proxy: Proxy,
    name: str,
    timeouts: Timeouts,
    schedule: Schedule,
    *,
    rate: int = RATE,
    tell: Tell = lambda phase: None,
) -> Round:
    """A contender, by its name in CONTENDERS, through a schedule, on a topic of its own. tell: hears of each phase.

    Raises RuntimeError where the cluster does not come back, or a contender cannot even begin: no verdict then.
    """
    topic = f"chaos-{schedule.seed}-{name}-{uuid.uuid4().hex[:8]}"
    phases = Phases(tell)
    phases.begin("start")
    proxy.clear()
    cluster.create_topic(topic, PARTITIONS)
    contender = CONTENDERS[name](proxy.bootstrap_servers, topic, timeouts)
    try:
        sender = Sender(contender)
        if sender.until_each_partition_acks(WARM_UP_SECONDS):
            raise RuntimeError(f"{name} could not send a record to each partition before any fault")
        phases.begin("load and faults")
        with Catastrophe(schedule.disaster, cluster.nodes[schedule.disaster.node]):
            proxy.play(schedule.troubles)
            not_sent = sender.load(schedule.load_ms / 1000, rate)
        phases.begin("recovery")
        proxy.clear()
        cluster.wait_whole(WHOLE_SECONDS, topic)
        whole = time.monotonic()
        not_recovered = sender.until_each_partition_acks(RECOVERY_SECONDS)
        recovery_ms = round((time.monotonic() - whole) * 1000)
        phases.begin("outcomes")
        _wait_for_outcomes(sender, timeouts)
    finally:
        phases.begin("close")
        closed = _close(contender)
    phases.begin("read back")
    proxy.reset_all()
    log = read_back(cluster.bootstrap_servers, topic, PARTITIONS)
    cluster.delete_topic(topic)
    verdict = judge(sender.records, log)
    verdict = replace(verdict, not_sent=not_sent, not_recovered=not_recovered, not_closed=int(not closed))
    may_fail = timeouts.delivery_ms is not None
    errors, failed = errors_of(sender.records), failed_indexes(sender.records)
    return Round(name, may_fail, schedule, verdict, recovery_ms, phases.end(), errors, failed)


def _wait_for_outcomes(sender: Sender, timeouts: Timeouts) -> None:
    seconds = PATIENCE_SECONDS if timeouts.delivery_ms is None else timeouts.delivery_ms / 1000 + GRACE_SECONDS
    if not wait_until_ended(sender.records, seconds):
        for record in sender.records:
            record.hung = record.is_open


def _close(contender: Contender) -> bool:
    """Whether it ended in time; one that hangs is left behind."""
    closing = threading.Thread(target=contender.close, name="chaos-close", daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)
    return not closing.is_alive()


def errors_of(records: list[SentRecord]) -> dict[str, int]:
    """How many records failed or were refused, by the error."""
    counts: dict[str, int] = {}
    for record in records:
        if (error := record.refused or record.error) is not None:
            counts[error] = counts.get(error, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def failed_indexes(records: list[SentRecord]) -> dict[int, tuple[int, int, int]]:
    """See Round."""
    failed: dict[int, list[int]] = {}
    for record in records:
        if record.error is not None:
            failed.setdefault(record.partition, []).append(record.index)
    return {partition: (min(each), max(each), len(each)) for partition, each in sorted(failed.items())}
