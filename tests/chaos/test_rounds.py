"""The parts of a round, without a cluster: the sender, the disaster of a node, the phases, and what is made of them."""

from __future__ import annotations

import json
import threading

import pytest
from chaos.records import PARTITIONS, SentRecord, Written
from chaos.rounds import Catastrophe, Phases, Round, Sender, errors_of, failed_indexes
from chaos.schedule import Disaster, NodeFault, schedule_of
from chaos.verdict import Verdict

LONG_MS = 60_000


class Taking:
    """A contender that acks at once, but for the partitions that it is told to leave open."""

    def __init__(self, silent=()):
        self.silent = set(silent)
        self.taken = []

    def send(self, record):
        self.taken.append(record)
        if record.partition not in self.silent:
            record.acked(record.index)

    def close(self):
        pass


class RecordingNode:
    """Writes down what is done to it."""

    def __init__(self):
        self.done = []
        self.down = threading.Event()

    def __getattr__(self, name):
        def do():
            self.done.append(name)
            self.down.set()

        return do


def test_the_load_is_complete_and_numbered_in_each_partition():
    contender = Taking()
    sender = Sender(contender)
    assert sender.load(0.05, 6000) == 0
    assert contender.taken == sender.records and len(sender.records) == 300
    for partition in range(PARTITIONS):
        assert [record.index for record in sender.records if record.partition == partition] == list(range(50))


def test_a_load_that_takes_too_long_is_given_up():
    """As of a producer whose send() blocks for good."""
    sender = Sender(Taking())
    assert sender.load(0.05, 6000, overrun_seconds=-0.04) == 300 - len(sender.records) > 0


def test_a_producer_that_acks_each_partition_has_recovered():
    sender = Sender(Taking())
    assert sender.until_each_partition_acks(5) == 0
    assert len(sender.records) == PARTITIONS


def test_partitions_that_take_nothing_are_counted():
    sender = Sender(Taking(silent=[1, 4]))
    assert sender.until_each_partition_acks(0) == 2


@pytest.mark.parametrize(
    ("fault", "done"),
    [
        (NodeFault.KILL, ["kill", "wait_stopped", "start"]),
        (NodeFault.PAUSE, ["pause", "resume"]),
        (NodeFault.RESTART, ["stop", "wait_stopped", "start"]),
    ],
)
def test_a_node_is_back_when_the_block_is_over(fault, done):
    node = RecordingNode()
    with Catastrophe(Disaster(1, LONG_MS, 0, fault), node):
        assert node.down.wait(10)
    assert node.done == done


def test_a_disaster_that_has_not_begun_never_does():
    node = RecordingNode()
    with Catastrophe(Disaster(LONG_MS, LONG_MS, 0, NodeFault.KILL), node):
        pass
    assert node.done == []


def test_each_phase_is_told_and_timed():
    told = []
    phases = Phases(told.append)
    phases.begin("load")
    phases.begin("read back")
    assert told == ["load", "read back"] and list(phases.end()) == told


def a_round(verdict, *, may_fail):
    return Round("kproto", may_fail, schedule_of(7), verdict, 20, {"load": 1.26}, {"DeliveryTimeoutError": 3})


def test_failures_are_findings_only_with_default_timeouts():
    verdict = Verdict(acked=10, failed=3, maybe=3)
    assert a_round(verdict, may_fail=True).findings == {}
    assert a_round(verdict, may_fail=False).findings == {"failed": 3}


def test_a_round_is_a_line_of_json_that_holds_all_of_it():
    line = json.loads(json.dumps(a_round(Verdict(doubled=2), may_fail=True).as_dict()))
    assert (line["seed"], line["timeouts"], line["clean"], line["findings"]) == (7, "short", False, {"doubled": 2})
    assert line["seconds"] == {"load": 1.3} and line["errors"] == {"DeliveryTimeoutError": 3}
    assert line["schedule"] == str(schedule_of(7)).split("\n  ")


def test_failures_are_counted_by_error_and_partition():
    records = [SentRecord(1, index) for index in range(5)] + [SentRecord(4, 0), SentRecord(4, 1)]
    records[0].acked(0)
    for record in records[1:4]:
        record.failed("DeliveryTimeoutError", Written.POSSIBLY)
    records[5].failed("NotLeaderError", Written.NO)
    records[6].refused = "BufferFullError"
    assert errors_of(records) == {"DeliveryTimeoutError": 3, "NotLeaderError": 1, "BufferFullError": 1}
    assert failed_indexes(records) == {1: (1, 3, 3), 4: (0, 0, 1)}
