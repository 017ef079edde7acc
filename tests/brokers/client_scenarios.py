"""What becomes of producers where brokers fail: each client under each scenario, on the judge; a table for the docs.

PYTHONPATH=tests python -m brokers.client_scenarios docs/broker.md
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from brokers.scenario_client import CLIENTS, Task, Told

from kproto.tools.broker import Broker
from kproto.tools.judge import StoredRecord

TESTS = Path(__file__).parents[1]
GRACE_S = 15.0
RACES = 10  # runs of one
TOPIC = "orders"
BEGIN = "<!-- what clients do: begin -->"
END = "<!-- what clients do: end -->"


class Outcome(StrEnum):
    """The worst that happened."""

    SURVIVES = "survives"
    """Each record is acknowledged, and stands in the log once and in order."""
    FAILS = "fails"
    """Records are reported as failed; the log has each at most once."""
    REORDERS = "reorders"
    DUPLICATES = "duplicates"
    LOSES = "loses"
    """A record that was acknowledged is not there."""
    HANGS = "hangs"
    """Records have no outcome when the time is over."""
    NOT_TRIED = "not tried"


@dataclass(frozen=True)
class Scenario:
    """A broker that fails, and a client that sends.

    task: of Task; broker: of Broker; happens: while it sends. varies: by client, the outcomes that may be seen where it
    is a race; not_tried: why not, by client.
    """

    name: str
    what: str
    task: dict[str, Any] = field(default_factory=dict)
    broker: dict[str, Any] = field(default_factory=dict)
    happens: Callable[[Broker], None] = lambda broker: None
    not_tried: dict[str, str] = field(default_factory=dict)
    varies: dict[str, set[Outcome]] = field(default_factory=dict)


def _until(broker: Broker, records: int, seconds: float = 15.0) -> None:
    deadline = time.monotonic() + seconds
    while len(broker.records(TOPIC)) < records and time.monotonic() < deadline:
        time.sleep(0.005)


def _lost_acks(broker: Broker) -> None:
    for number in (10, 40, 70):
        _until(broker, number)
        broker.faults.close(at="after_append")


def _late_outcomes(broker: Broker) -> None:
    """Everything is written, and nothing is acknowledged, for longer than a delivery may take."""
    _until(broker, 10)
    broker.faults.close(at="after_append", times=None)
    time.sleep(2.5)
    broker.faults.clear()


def _moving_leaders(broker: Broker) -> None:
    """The old leader and one more node hear of it late."""
    broker.do("broker", metadata_delay_ms=150)
    for number, node in ((30, 1), (60, 2), (90, 0), (120, 1)):
        _until(broker, number)
        broker.do("move_leader", topic=TOPIC, partition=0, to=node)


def _lost_at_the_wrap(broker: Broker) -> None:
    _until(broker, 4)
    broker.faults.close(at="after_append")


def _forgotten(broker: Broker) -> None:
    _until(broker, 20)
    broker.do("delete_records", topic=TOPIC, before=20, forget_producers=True)


SCENARIOS = (
    Scenario(
        "lost acknowledgement",
        "three times a batch is written and the connection ends before the answer",
        {"pace_s": 0.005},
        happens=_lost_acks,
    ),
    Scenario(
        "sequence wrap",
        "the sequence passes 2^31 - 1, with one acknowledgement lost just there",
        {"wrap": True, "count": 20, "pace_s": 0.02},
        {"plan": {"faults": [{"fault": "close", "at": "after_append"}]}},
        happens=_lost_at_the_wrap,
        not_tried={"confluent-kafka": "its sequences cannot be set from outside"},
    ),
    Scenario(
        "message too large",
        "a batch is larger than the topic takes, no record of it is",
        {"count": 40, "size": 400, "linger_ms": 200},
        {"plan": {"topics": {TOPIC: {"max_message_bytes": 2_000}}}},
    ),
    Scenario(
        "delivery timeout after retry",
        "for 2.5 s each batch is written and the connection ends before the answer; a delivery may take 1.5 s",
        {"count": 100, "pace_s": 0.04, "delivery_timeout_ms": 1_500, "request_timeout_ms": 1_000},
        happens=_late_outcomes,
        # It depends on which attempts of which records are on their way when the first of them expires.
        varies={"confluent-kafka": {Outcome.DUPLICATES, Outcome.FAILS}},
    ),
    Scenario(
        "leader move",
        "four moves between three nodes, of which the nodes hear 150 ms late",
        {"count": 150, "pace_s": 0.005},
        {"nodes": 3},
        happens=_moving_leaders,
    ),
    Scenario(
        "garbage ApiVersions",
        "the first two answers to ApiVersions are nonsense",
        {"count": 20},
        {"plan": {"faults": [{"fault": "garbage", "api": "ApiVersions", "times": 2}]}},
    ),
    Scenario(
        "forgotten producer",
        "retention has removed the records, and with them all that the broker knew of the producer",
        {"count": 60, "pace_s": 0.01},
        happens=_forgotten,
    ),
)


@dataclass(frozen=True)
class Result:
    """outcome, and why; violations: what the judge found beside."""

    outcome: Outcome
    reason: str = ""
    violations: tuple[str, ...] = ()

    @property
    def cell(self) -> str:
        """In a table."""
        broken = "; breaks its sequences" if self.violations else ""
        return f"{self.outcome}{f': {self.reason}' if self.reason else ''}{broken}"


def judged(told: Told, log: list[int]) -> tuple[Outcome, str]:
    """What the client said against what stands in the log: the worst of it."""
    copies = Counter(log)
    first = list(dict.fromkeys(log))
    if any(not copies[number] for number in told.delivered):
        return Outcome.LOSES, ""
    if max(copies.values(), default=0) > 1:
        return Outcome.DUPLICATES, ""
    if any(later < earlier for earlier, later in pairwise(first)):
        return Outcome.REORDERS, ""
    if told.open:
        return Outcome.HANGS, ""
    return (Outcome.FAILS, told.error) if told.failed else (Outcome.SURVIVES, "")


def run(client: str, scenario: Scenario) -> Result:
    """One client under one scenario."""
    if client in scenario.not_tried:
        return Result(Outcome.NOT_TRIED, scenario.not_tried[client])
    own = TOPIC in scenario.broker.get("plan", {}).get("topics", {})
    with Broker({} if own else {TOPIC: 1}, strict=False, **scenario.broker) as broker:
        task = Task(client, broker.bootstrap_servers, **scenario.task)
        told = _told(task, lambda: scenario.happens(broker))
        log = [int((one.value or b"").partition(b"|")[0]) for one in broker.call(lambda: _ever_written(broker))]
        violations = broker.do("violations", from_zero=not task.wrap)["violations"]
        return Result(*judged(told, log), tuple(violations))


def _ever_written(broker: Broker) -> list[StoredRecord]:
    """Also what is deleted."""
    topic = broker.cluster.image.topics[TOPIC]
    return [one for batch in broker.cluster.log_of(topic.topic_id, 0).history for one in batch.records]


def _told(task: Task, meanwhile: Callable[[], None]) -> Told:
    command = [sys.executable, "-m", "brokers.scenario_client", json.dumps(asdict(task))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=TESTS) as process:
        meanwhile()
        try:
            out, _ = process.communicate(timeout=task.patience_s + task.count * task.pace_s + GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return Told(open=list(range(task.count)))
    return Told(**json.loads(out))


# The page


def versions() -> str:
    """What was tried."""
    return ", ".join(f"{name} {version(name)}" for name in CLIENTS)


def table(results: Mapping[str, Mapping[str, Result]]) -> str:
    """scenario -> client -> what became of it, as the page has it."""
    lines = [f"| | {' | '.join(CLIENTS)} |", f"| --- |{' --- |' * len(CLIENTS)}"]
    for scenario in SCENARIOS:
        cells = [results[scenario.name][client].cell for client in CLIENTS]
        lines.append(f"| **{scenario.name}**: {scenario.what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def committed(page: str) -> tuple[str, dict[tuple[str, str], str]]:
    """The versions that a page tells of, and (scenario, client) -> its cell."""
    block = page.partition(BEGIN)[2].partition(END)[0]
    found: dict[tuple[str, str], str] = {}
    for line in block.splitlines():
        if line.startswith("| **"):
            head, *cells = line.strip("| ").split(" | ")
            name = head.partition("**")[2].partition("**")[0]
            found.update({(name, client): cell for client, cell in zip(CLIENTS, cells, strict=True)})
    return block.partition("Tried: ")[2].partition(".\n")[0], found


def worst(found: list[Result]) -> Result:
    """What was seen of a race: the worst, and how often."""
    outcomes = Counter(one.outcome for one in found)
    ranks = list(Outcome)
    result = max(found, key=lambda one: ranks.index(one.outcome))
    return replace(result, reason=f"{outcomes[result.outcome]} of {len(found)} runs")


def main(path: Path) -> None:
    """Try all of them, and write the table into the page."""
    results: dict[str, dict[str, Result]] = {}
    for scenario in SCENARIOS:
        results[scenario.name] = {}
        for client in CLIENTS:
            found = run(client, scenario)
            if client in scenario.varies:
                found = worst([found, *(run(client, scenario) for _ in range(RACES - 1))])
            results[scenario.name][client] = found
            print(f"{scenario.name}, {client}: {found.cell}", *found.violations[:1], file=sys.stderr, flush=True)
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    behind = rest.partition(END)[2]
    block = f"{BEGIN}\nTried: {versions()}.\n\n{table(results)}\n{END}"
    path.write_text(before + block + behind, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
