"""The benchmark of decode: its captures, its runs, and its table. Nothing is timed here that anybody would believe."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
from click.testing import CliRunner

from benchmarks.decode import __main__ as command
from benchmarks.decode.captures import CAPTURES, RECORD_SIZE, write_capture
from benchmarks.decode.runs import BenchError, Job, Measured, Run, child_environment, measure, run
from kproto.tools.cli import kproto

NOTHING = (sys.executable, "-c", "pass")


@pytest.mark.parametrize("kind", CAPTURES, ids=lambda kind: kind.name)
def test_captures_are_repeatable_and_clean(kind, tmp_path):
    first, second = tmp_path / "1.pcap", tmp_path / "2.pcap"
    records = write_capture(first, kind, 200_000)
    assert write_capture(second, kind, 200_000) == records
    assert first.read_bytes() == second.read_bytes() and first.stat().st_size >= 200_000
    result = CliRunner().invoke(kproto, ["decode", str(first), "--format", "ndjson"])
    lines = [json.loads(line) for line in result.output.splitlines()]
    assert not [line["findings"] for line in lines if line["findings"]]
    produced = [line["body"] for line in lines if line["direction"] == "request"]
    read = [
        record
        for body in produced
        for topic in body["topic_data"]
        for partition in topic["partition_data"]
        for batch in partition["records"]["batches"]
        for record in batch["records"]
    ]
    assert len(read) == records
    assert {len(record["key"]) + len(record["value"]) for record in read} == {RECORD_SIZE}
    audited = CliRunner().invoke(kproto, ["decode", str(first), "--audit"])
    assert (result.exit_code, audited.exit_code) == (0, 0), audited.output


def test_a_run_tells_time_and_memory(tmp_path):
    done = run(NOTHING, child_environment({}, tmp_path))
    assert done.seconds > 0 and done.cpu > 0 and done.rss > 1 << 20
    with pytest.raises(BenchError, match="ended with 3"):
        run((sys.executable, "-c", "raise SystemExit(3)"), {})


def test_children_have_what_users_have(tmp_path):
    given = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PATH": "/bin"}
    assert child_environment(given, tmp_path) == {"PATH": "/bin", "PYTHONPYCACHEPREFIX": str(tmp_path)}


@pytest.mark.parametrize("beside", [True, False])
def test_both_take_turns(tmp_path, beside):
    path = tmp_path / "a.pcap"
    path.write_bytes(bytes(1_000))
    told = []
    found = measure(
        {"a": path}, 2, {}, beside=beside, jobs=[Job("j", NOTHING, NOTHING)], progress=lambda: told.append(1)
    )
    assert len(told) == 2
    [measured] = found
    assert (len(measured.ours), len(measured.theirs), measured.size) == (2, 2 * beside, 1_000)


def test_rates_and_ratios():
    ours, theirs = [Run(9, cpu, 0) for cpu in (1, 2, 4)], [Run(9, cpu, 0) for cpu in (2, 2, 2)]
    measured = Measured("j", "c", 8_000_000, ours, theirs)
    assert measured.rates(ours) == (4, 2, 8)
    assert measured.ratios() == (1, 0.5, 2)


@pytest.mark.parametrize("peer", ["TShark 1", None])
def test_the_command(monkeypatch, peer):
    monkeypatch.setattr(command, "_tshark", lambda: peer)
    monkeypatch.setattr(command, "CAPTURES", CAPTURES[:1])
    fake = [Measured("--stats", "c", 10**6, [Run(1, 1, 1 << 20)], [Run(2, 2, 1 << 21)] if peer else [])]
    monkeypatch.setattr(command, "measure", lambda *given, **more: fake)
    shown = CliRunner().invoke(command.main, ["--size", "1", "--rounds", "1"])
    assert shown.exit_code == 0, shown.output
    assert ("2.00 [2.00-2.00]" in shown.output) == (peer is not None)
    figures = json.loads(CliRunner().invoke(command.main, ["--size", "1", "--json", "-"]).stdout)
    assert figures["tshark"] == peer and figures["measured"][0]["ours"][0]["rss"] == 1 << 20


def test_a_run_that_fails_ends_with_1(monkeypatch):
    def fail(*given, **more):
        raise BenchError("it ended")

    monkeypatch.setattr(command, "measure", fail)
    monkeypatch.setattr(command, "CAPTURES", ())
    assert CliRunner().invoke(command.main, ["--size", "1"]).exit_code == 1


def test_tshark_is_looked_for(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert command._tshark() is None
