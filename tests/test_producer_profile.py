"""The profile cuts what it says, counts each nanosecond once, and fails where the code has changed beneath it.

No test here looks at a time.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks/ is not installed
from benchmarks.producers import profile, profile_meter, profile_record, profile_turn
from benchmarks.producers.profile_batch import GROWTHS, batch_costs, group_of
from benchmarks.producers.profile_meter import COLLECTOR, TRIAL, Meter
from benchmarks.producers.profile_parts import PARTS, Part, ProfileError, without
from benchmarks.producers.profile_record import Middle, World, _costs, measure_record
from benchmarks.producers.profile_report import page, show, to_dict
from benchmarks.producers.profile_turn import ARGUMENTS, EACH_RECORD, JOINING, METHODS, OWN_LOOP
from benchmarks.producers.runs import TurnResult
from kproto.wire.records import read_record_batches

KNOWN = [b"%010d" % number for number in range(20)]
VALUES = [b"value %04d" % number for number in range(100)]
BY_WORD = {word: next(part for part in PARTS if word in part.name) for word in ("pieces", "future", "count", "largest")}
TOLD = {"python": "CPython 3", "machine": "Linux", "cpus": 2, "processor": "it", "load": 0.1, "packages": {}}

# The parts of a record


def sent(make, **options):
    """A world that has taken all values; what `send` gave, and its batch."""
    world = World(make, KNOWN)
    given = [world.send(profile_record.TOPIC, value, KNOWN[at % 20], **options) for at, value in enumerate(VALUES)]
    return world, given, world.topic.queue(0).open


def test_with_nothing_left_out_it_is_the_fast_way():
    world, given, batch = sent(without(None))
    assert not world.other_ways
    assert [one._index for one in given] == [*range(1, 101)]
    assert {one._batch for one in given} == {batch}
    batch.close()
    batch.seal()
    (whole,) = read_record_batches(bytes(batch.bytes()))
    assert [record.value for record in whole][1:] == VALUES
    assert [record.key for record in whole][1:] == KNOWN * 5


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_each_part_stands_in_the_fast_way_and_every_record_goes_it_without_that(part):
    """The first to fail when `fast_send` is changed: then profile_parts has to be, too."""
    world, given, _ = sent(without(part))
    assert not world.other_ways
    assert all(given)


def test_what_is_left_out_is_not_done():
    assert len(sent(without(BY_WORD["pieces"]))[2].builder.parts) < 10 < len(sent(without(None))[2].builder.parts)
    assert sent(without(BY_WORD["future"]))[1] == [True] * 100
    assert sent(without(BY_WORD["count"]))[2].count == 1
    assert sent(without(BY_WORD["largest"]))[2].largest_record < sent(without(None))[2].largest_record


@pytest.mark.parametrize(("source", "times"), [("def make_fast_send(): pass", 0), ("clock()\n" * 2, 2)])
def test_a_text_that_is_not_there_as_often_as_it_was_fails_and_is_named(source, times):
    part = Part("the clock", (("clock()", 1, "0.0"),))
    with pytest.raises(ProfileError, match=rf"'clock\(\)' stands {times} times in make_fast_send, not 1.*'the clock'"):
        without(part, source)


def test_a_record_that_is_not_for_the_fast_way_is_not_measured():
    world = World(without(None), KNOWN)
    with pytest.raises(ProfileError, match="went the slow way"):
        world.send("orders", "no bytes", KNOWN[0])


def test_a_stretch_that_was_held_up_is_measured_again_but_not_for_ever(monkeypatch):
    worlds = []

    def held_up(make, known, partitions):
        worlds.append(SimpleNamespace(other_ways=1 if len(worlds) < 2 else 0, send=None))
        return worlds[-1]

    monkeypatch.setattr(profile_record, "World", held_up)
    assert profile_record._in_a_world(lambda send, pairs: 7.0, None, KNOWN, []) == 7.0
    assert len(worlds) == 3
    monkeypatch.setattr(profile_record, "World", lambda *_: SimpleNamespace(other_ways=1, send=None))
    with pytest.raises(ProfileError, match="too busy"):
        profile_record._in_a_world(lambda send, pairs: 7.0, None, KNOWN, [])


def test_figures_are_differences_within_a_round():
    sides = {part.name: [(90, 100), (195, 200), (280, 300)] for part in PARTS}
    costs = _costs(
        {"call": [(10, 30), (10, 40), (10, 50)], **dict.fromkeys(("on_delivery", "partitions"), [(1, 9)] * 3), **sides}
    )
    assert {found.median for found in costs.parts.values()} == {10}, "not 200 - 195, the difference of the medians"
    assert (costs.whole.median, costs.loop.median, costs.call.median, costs.rounds) == (200, 10, 30, 3)
    assert costs.rest == 200 - 10 - 30 - 10 * len(PARTS)


def test_the_middle_of_rounds():
    assert Middle.of([5]) == Middle(5, 5, 5, 5, 5)
    assert Middle.of([9, 1, 3, 5, 7]) == Middle(5, 3, 7, 1, 9)


def test_all_stretches_take_turns_and_sides_are_not_mixed_up(monkeypatch):
    """Each call is later than the one before: so with sides mixed up every other difference would be below zero."""
    now, seen = [0], []

    def stretches(_pairs):
        def side(name, bonus):
            seen.append(name)
            now[0] += 1
            return now[0] + bonus

        names = ("call", "on_delivery", "partitions", *(part.name for part in PARTS))
        return {name: (lambda name=name: side(name, 0), lambda name=name: side(name, 1000)) for name in names}

    monkeypatch.setattr(profile_record, "_pairs_of_stretches", stretches)
    monkeypatch.setattr(profile_record, "WARM_UP_ROUNDS", 0)
    costs = measure_record(4)
    assert {figure for found in costs.parts.values() for figure in (found.low, found.high)} == {999, 1001}
    count = len(PARTS) + 3
    assert seen[: 2 * count] == seen[2 * count : 4 * count][::-1]


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(profile_record, "RECORDS", 50)
    monkeypatch.setattr(profile_record, "WARM_UP_ROUNDS", 1)


@pytest.mark.usefixtures("few")
def test_a_run_over_records_leaves_the_collector_as_it_was():
    rounds = []
    costs = measure_record(2, lambda: rounds.append(gc.isenabled()))
    assert rounds == [False] * 3
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    assert [*costs.parts] == [part.name for part in PARTS]


# What comes once a batch


class Clock:
    """Of the thread: each look at it takes `look` ns, and nothing else takes any but `work`."""

    def __init__(self, look):
        self.now, self.look = 0, look

    def thread_time_ns(self):
        self.now += self.look
        return self.now

    def work(self, ns):
        self.now += ns


TREES = st.recursive(
    st.tuples(st.sampled_from("ab"), st.integers(0, 1000), st.just([])),
    lambda inner: st.tuples(st.sampled_from("ab"), st.integers(0, 1000), st.lists(inner, max_size=3)),
    max_leaves=12,
)


@given(st.lists(TREES, max_size=4), st.integers(0, 50))
def test_each_ns_counts_once_where_it_was_spent_and_measuring_is_known(trees, look):
    clock = Clock(look)

    class Work:
        def a(self, tree):
            self.do(tree)

        def b(self, tree):
            self.do(tree)

        def do(self, tree):
            clock.work(tree[1])
            for each in tree[2]:
                getattr(self, each[0])(each)

    expected, calls = {"one": 0, "other": 0}, 0
    waiting = [*trees]
    while waiting:
        name, ns, below = waiting.pop()
        expected["one" if name == "a" else "other"] += ns
        calls += 1
        waiting += below
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile_meter, "time", clock)
        patch.setattr(profile_meter, "TRIALS", 1)
        patch.setattr(profile_meter, "TRIAL_CALLS", 2)
        meter = Meter({"one": [(Work, "a")], "other": [(Work, "b")]})
        meter.close()
        me = threading.get_ident()
        before, began = meter.taken(me), clock.now
        for tree in trees:
            getattr(Work(), tree[0])(tree)
        found = meter.taken(me).since(before)
    assert found.times == {**expected, COLLECTOR: 0, TRIAL: 0}
    assert sum(found.calls.values()) == calls
    assert sum(found.times.values()) + found.measuring == clock.now - began


def test_what_raises_is_counted_and_raised():
    class Work:
        def fail(self):
            raise ValueError("it")

    meter = Meter({"one": [(Work, "fail")]})
    meter.close()
    with pytest.raises(ValueError, match="it"):
        Work().fail()
    assert meter.taken(threading.get_ident()).calls["one"] == 1


def test_the_collector_is_measured_too():
    meter = Meter({})
    try:
        gc.collect()
    finally:
        meter.close()
    assert meter.taken(threading.get_ident()).calls[COLLECTOR] >= 1
    assert meter._on_collector not in gc.callbacks


def test_a_method_that_is_no_more_fails_and_is_named():
    with pytest.raises(ProfileError, match=r"Clock has no method tick any more.*'one'"):
        Meter({"one": [(Clock, "tick")]})


@pytest.mark.parametrize(("owner", "name"), [method for found in METHODS.values() for method in found])
def test_what_is_to_be_measured_is_there(owner, name):
    assert callable(vars(owner).get(name))


def test_a_turn_tells_of_both_threads(monkeypatch):
    class Work:
        def one(self):
            """Takes no time."""

    monkeypatch.setattr(profile_turn, "METHODS", {"one": [(Work, "one")]})
    ends = threading.Event()
    begins = threading.Event()

    def own():
        begins.wait(10)
        Work().one()
        begins.clear()
        ends.wait(10)

    thread = threading.Thread(target=own, name="kproto-producer")
    meter = Meter(profile_turn.METHODS)
    turn = profile_turn.MeasuredTurn("host:1", "orders", 1, "none", VALUES, KNOWN * 5, {}, meter=meter)
    thread.start()
    try:
        with turn.timed():
            Work().one()
            begins.set()
            while begins.is_set():
                ends.wait(0.001)
    finally:
        ends.set()
        thread.join()
        meter.close()
    assert [*turn.details["parts"]] == [EACH_RECORD, "one", COLLECTOR, OWN_LOOP]
    assert turn.details["parts"]["one"]["calls"] == 2
    assert turn.details["parts"][EACH_RECORD]["calls"] == 100
    assert turn.details["measuring"] > 0 < turn.seconds


def test_without_the_producers_thread_nothing_is_told():
    meter = Meter({})
    meter.close()
    turn = profile_turn.MeasuredTurn("host:1", "orders", 1, "none", [], [], {}, meter=meter)
    with pytest.raises(ProfileError, match="own thread"), turn.timed():
        pass


def test_a_turn_is_told_all_it_needs():
    for contender in group_of(1000).contenders:
        places = {name: f"<{name}>" for name in ARGUMENTS}
        told = contender.command.format_map(places).split()[3:]
        given_ = dict(zip(ARGUMENTS, told, strict=True))
        assert {name: given_[name] for name in ARGUMENTS[:-2]} == {name: places[name] for name in ARGUMENTS[:-2]}
        assert contender.name == f"growth {given_['growth']} {given_['kind']}"
    assert len({contender.command for contender in group_of(1000).contenders}) == 2 * len(GROWTHS)


def turn_of(scale, cpu_ns=4_000_000):
    """1,000 records in ten batches: each part takes 100 us, three quarters of it in the sending thread."""
    part = {"sender": 75_000 * scale, "own": 25_000 * scale, "calls": 10}
    details = {"parts": dict.fromkeys(profile_turn.PARTS, part), "measuring": 50_000}
    return TurnResult(1000, 1.0, cpu_ns / 1e9, details=details)


@pytest.fixture
def costs():
    plain = [TurnResult(1000, 1.0, 0.003)] * 3
    return batch_costs(0, [turn_of(1), turn_of(2, 5_000_000), turn_of(1, 4_500_000)], plain)


def test_parts_the_sum_and_what_is_left_over(costs):
    part = costs.parts[JOINING]
    assert (part.record_ns.median, part.batch_us.median, part.calls, part.own) == (100, 10, 1, 0.25)
    assert part.record_ns.high == 200
    count = len(costs.parts)
    assert (costs.records, costs.rounds, costs.known.median) == (100, 3, 100 * count)
    assert (costs.measuring.median, costs.plain.median) == (50, 3000)
    assert costs.process.median == pytest.approx(4500)
    left = sorted([4000 - 100 * count - 50, 5000 - 200 * count - 50, 4500 - 100 * count - 50])
    assert costs.unknown.median == pytest.approx(left[1])


# What is told


@pytest.fixture
def record_costs():
    middle = Middle(10.4, 9, 12, -1, 20)
    parts = {part.name: replace(middle, median=place) for place, part in enumerate(PARTS)}
    return profile_record.RecordCosts(21, replace(middle, median=400), middle, middle, parts, middle, middle)


def test_the_page_has_each_part_of_both_and_names_the_largest(record_costs, costs):
    text = page(record_costs, [costs, replace(costs, growth=262_144)], TOLD, 1000)
    assert all(f"| without {part.name} |" in text for part in PARTS)
    assert all(f"\n| {name} | 10.0 | 100 | 25% | 10.0 | 100 | 25% |" in text for name in costs.parts)
    assert "| **the whole** | **400** | **9 to 12** |" in text
    assert f"| **all parts** | **{len(costs.parts) * 10:.0f}" in text
    assert f"The largest parts are: {PARTS[-1].name.partition(':')[0]} ({len(PARTS) - 1});" in text
    assert "Growth 256K: a batch holds 100 records." in text
    assert "{" not in text
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120


@pytest.mark.parametrize(("load", "busy"), [(0.1, False), (1.0, False), (1.1, True), (9.0, True)])
def test_a_page_of_a_busy_machine_says_so(record_costs, costs, load, busy):
    assert ("a busy machine" in page(record_costs, [costs], {**TOLD, "load": load}, 1000)) == busy


def test_the_tables_fit_a_terminal_of_160_columns(record_costs, costs):
    out = StringIO()
    show(record_costs, [costs, replace(costs, growth=262_144)], TOLD, Console(file=out, width=160))
    assert "…" not in out.getvalue()
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert ["the", "whole", "400", "9", "to", "12"] in lines
    assert "**" not in out.getvalue()


def test_json_holds_all(record_costs, costs):
    told = json.loads(json.dumps(to_dict(record_costs, [costs], TOLD, 1000)))
    assert told["environment"] == TOLD
    assert told["record"]["whole"]["median"] == 400
    assert told["record"]["rest"] == pytest.approx(record_costs.rest)
    assert told["batches"][0]["parts"][JOINING]["batch_us"]["median"] == 10
    assert told["records_a_turn"] == 1000


def run(*arguments):
    return CliRunner().invoke(profile.main, arguments)


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--rounds", "0"], "x>=1"), (["--turns", "x"], "integer"), (["--records", "9"], "x>=100")]
)
def test_bad_input(arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_code_that_has_changed_ends_the_run_with_1_and_the_page_stays(monkeypatch, tmp_path):
    def changed(*_):
        raise ProfileError("the fast way has changed")

    kept = tmp_path / "page.md"
    kept.write_text("as it was")
    monkeypatch.setattr(profile, "measure_record", changed)
    done = run("--markdown", str(kept))
    assert done.exit_code == 1
    assert done.output.strip() == "Error: the fast way has changed"
    assert kept.read_text() == "as it was"


@pytest.mark.broker
@pytest.mark.usefixtures("few")
def test_a_profile_on_a_real_kafka(tmp_path):
    kept = tmp_path / "page.md"
    done = run("--rounds", "1", "--turns", "1", "--records", "2000", "--json", "-", "--markdown", str(kept))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [one["growth"] for one in told["batches"]] == [*GROWTHS]
    for one in told["batches"]:
        assert one["parts"][JOINING]["calls"] == 1
        assert one["parts"]["settling: what became of each batch"]["calls"] > 0
    assert kept.read_text().startswith("# Profile")
