"""The benchmarks compare equal work, count rightly, and run a row alone. No test here looks at a time."""

from __future__ import annotations

import json
import sys
from io import StringIO
from itertools import cycle, pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks/ is not installed
from benchmarks import __main__ as command
from benchmarks.harness import Contender, Disagreement, Measured, Plan, Row, RowResult, check, measure, plan
from benchmarks.report import environment, show, to_dict
from benchmarks.workloads import WORKLOADS, records


class FakeClock:
    """Stands still, but for what contenders add."""

    def __init__(self):
        self.now = 0.0
        self.order = []

    def __call__(self):
        return self.now

    def contender(self, name, *seconds, result=None):
        """Its runs take these times, over and over."""
        times = [*seconds]

        def run():
            self.order.append(name)
            times.append(times.pop(0))
            self.now += times[-1]

        return Contender(name, run, lambda: result)


def row_of(*contenders, units=1, **others):
    return Row("row", "about", "record", units, lambda: contenders, **others)


@pytest.mark.parametrize("row", command.ROWS, ids=lambda row: row.name)
def test_the_contenders_of_a_row_come_to_the_same(row):
    contenders = row.contenders()
    check(row.name, contenders)
    assert contenders[0].name.startswith("kproto")
    assert len({contender.name for contender in contenders}) == len(contenders)


@pytest.mark.parametrize("row", command.chosen_rows("decode-W4,raw,import"), ids=lambda row: row.name)
def test_what_is_timed_apart_from_the_result_runs(row):
    for contender in row.contenders():
        contender.run()


def test_a_disagreement_names_row_and_contender():
    clock = FakeClock()
    row = row_of(clock.contender("kproto", 1, result=b"a"), clock.contender("peer", 1, result=b"b"))
    with pytest.raises(Disagreement, match="row: peer and kproto"):
        measure(row, 5, clock=clock)
    assert not clock.order, "timed before it was checked"


def test_the_least_time_of_a_round_counts_for_each_unit():
    """Of 6 runs, for 10 units, after 2 that only warm up."""
    clock = FakeClock()
    seconds = (1, 1, 5, 4, 2, 3, 6, 7, 9, 9, 9, 9, 9, 8)
    result = measure(row_of(clock.contender("kproto", *seconds), units=10), 2, clock=clock, round_seconds=0)
    assert result.measured[0].times == (0.2, 0.8)


def test_contenders_take_turns_and_turn_round():
    clock = FakeClock()
    row = row_of(*(clock.contender(name, 1) for name in "abc"))
    rounds = []
    measure(row, 5, clock=clock, round_seconds=0, progress=lambda: rounds.append(len(clock.order)))
    turns = ["".join(clock.order[start:stop]) for start, stop in pairwise(rounds)]
    assert turns == ["ccbbaa" * 3, "aabbcc" * 3] * 2, "from the second round on"


def test_median_range_and_ratios():
    ours, peer = Measured("kproto", (2.0, 9.0, 4.0)), Measured("peer", (4.0, 9.0, 16.0))
    assert (ours.median, ours.range) == (4.0, (2.0, 9.0))
    result = RowResult(row_of(), (ours, peer), "note")
    assert result.ratios(peer) == (0.5, 1.0, 0.25), "of times in the same round"
    (row,) = to_dict([result], environment(), 3)["rows"]
    assert row["contenders"][1]["kproto_by_peer"] == 0.5
    assert row["contenders"][1]["median_us"] == 9e6
    assert row["note"] == "note"


@pytest.mark.parametrize(
    ("run_seconds", "samples", "calls"),
    [
        pytest.param(0.04, 10, 1, id="fills the round"),
        pytest.param(30, 2, 1, id="slow: the least number of samples"),
        pytest.param(0.0001, 500, 8, id="fast: many runs a sample"),
        pytest.param(0, 1000, 16_384, id="too fast for the clock"),
    ],
)
def test_a_plan_fills_the_round(run_seconds, samples, calls):
    clock = FakeClock()
    contender = clock.contender("kproto", run_seconds)
    assert plan(contender, clock, round_seconds=1.201) == Plan(turns=3, samples=samples, calls=calls)


def test_a_contender_may_time_itself():
    times = iter(range(100))
    contender = Contender("kproto", lambda: next(times), times_itself=True)
    result = measure(row_of(contender, rounds_min=7, note=lambda: "done"), 5)
    assert result.measured[0].times == (1, 2, 3, 4, 5, 6, 7), "the first is for warming up"
    assert result.note == "done"


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_workload_is_the_same_each_time_and_shares_no_object(name):
    made = records(name)
    assert made == records(name)
    for column in zip(*(record[1:] for record in made), strict=True):
        objects = [value for value in column if value is not None]
        assert len(set(map(id, objects))) == len(objects)


def run(*arguments):
    return CliRunner().invoke(command.main, arguments)


def test_the_list_names_each_row():
    shown = run("--list").output
    assert [line.split()[0] for line in shown.splitlines()[1:] if line[:1].strip()] == [r.name for r in command.ROWS]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("decode-W1", ["decode-W1"]),
        ("PRODUCE-V9", ["produce-v9"]),
        ("metadata, header", ["metadata-v12", "metadata-v5", "header-v2"]),
        ("lz4-w2,lz4", ["lz4-W1", "lz4-W2"]),
    ],
)
def test_words_choose_rows(words, names):
    assert [row.name for row in command.chosen_rows(words)] == names


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "metadta"], "did you mean 'metadata-v5'?"),
        (["--rows", "qqqq"], "no row is called 'qqqq'. --list"),
        (["--rows", ","], "names no row"),
        (["--rounds", "4"], "x>=5"),
        (["--json", "/no/such/folder/file"], "No such file"),
    ],
)
def test_bad_input(arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output


@pytest.fixture
def made_up_rows(monkeypatch):
    peer_times = cycle((4e-6, 4e-6, 8e-6))
    contenders = [
        Contender("kproto", lambda: 2e-6, times_itself=True),
        Contender("peer", lambda: next(peer_times), times_itself=True),
    ]
    monkeypatch.setattr(command, "ROWS", (row_of(*contenders, note=lambda: "a [note]"),))


@pytest.mark.usefixtures("made_up_rows")
def test_the_table_has_medians_and_ratios():
    done = run()
    assert done.exit_code == 0
    assert "row: a [note]" in done.output
    lines = [line.split() for line in done.output.splitlines()]
    assert ["row", "kproto", "2.00", "2.00-2.00"] in lines
    assert ["us", "per", "record", "peer", "4.00", "*4.00-8.00", "0.50", "0.25-0.50"] in lines
    assert "\x1b" not in done.output, "colour is for terminals"


def test_the_table_fits_a_narrow_terminal():
    """With the longest cells there are."""
    times = Measured("kproto (level 6, its default)", (0.089_794, 0.099_175, 0.235_072))
    row = Row("produce-v9-encode", "about", "partition", 1, tuple)
    out = StringIO()
    show([RowResult(row, (times, times))], environment(), 9, Console(file=out, width=80))
    assert "*89,794-235,072" in out.getvalue()
    assert "produce-v9-encode" in out.getvalue()
    assert "default)" in out.getvalue()
    assert "…" not in out.getvalue()


@pytest.mark.usefixtures("made_up_rows")
def test_json_holds_the_same(tmp_path):
    path = tmp_path / "figures.json"
    assert run("--json", str(path)).exit_code == 0
    figures = json.loads(path.read_text())
    assert figures["rounds"] == 9
    assert figures["environment"]["packages"]["kproto"]
    assert [row["row"] for row in figures["rows"]] == ["row"]
    assert len(figures["rows"][0]["contenders"][1]["rounds_us"]) == 9
    printed = json.loads(run("--json", "-").output)
    assert printed["environment"] == figures["environment"], "and nothing else is printed"


def test_contenders_that_disagree_fail_the_run(monkeypatch):
    clock = FakeClock()
    row = row_of(clock.contender("kproto", 1, result=1), clock.contender("peer", 1, result=2))
    monkeypatch.setattr(command, "ROWS", (row,))
    done = run()
    assert done.exit_code == 1
    assert "different results" in done.output
