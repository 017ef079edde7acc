"""The producers' benchmarks are fair, count rightly, and say clearly what is wrong. No test here looks at a time."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from importlib import import_module
from io import StringIO
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

sys.path.append(str(Path(__file__).parents[1]))  # benchmarks/ is not installed
from benchmarks.producers import __main__ as command
from benchmarks.producers import payload, runs, turn
from benchmarks.producers.figures import GroupResult, Spread
from benchmarks.producers.plot import draw
from benchmarks.producers.report import number, show, to_dict
from benchmarks.producers.rows import CPU, GROUPS, P50, RATE, Contender, Group, Target, external
from benchmarks.producers.runs import BenchError, Payloads, TurnResult, order, parse_turn, run_group

ENVIRONMENT = {"python": "CPython 3", "machine": "Linux", "cpus": 2, "packages": {"kproto": "1", "librdkafka": "2"}}

# What is sent


@given(size=st.integers(payload.SIZE_MIN, 2_000), count=st.integers(1, 200))
def test_values_are_distinct_json_of_exactly_the_size(size, count):
    made = [*payload.values(size, count)]
    assert len(made) == len(set(made)) == count
    assert {len(value) for value in made} == {size}
    assert len({json.loads(value)["order"] for value in made}) == count


def test_no_item_of_an_order_is_in_the_next():
    """Or compressors would find the same bytes in each value."""
    orders = [{item["sku"] for item in json.loads(value)["items"]} for value in payload.values(1024, 200)]
    assert all(len(one) > 10 for one in orders)
    assert all(one.isdisjoint(other) for one, other in pairwise(orders))


def test_values_are_the_same_in_each_run_and_have_a_least_size():
    assert [*payload.values(300, 20)] == [*payload.values(300, 20)]
    with pytest.raises(ValueError, match="80 bytes or more, not 79"):
        next(payload.values(79, 1))


@given(cardinality=st.integers(1, 500), count=st.integers(1, 500), run=st.integers(1, 20))
def test_keys_come_out_of_so_many_and_none_twice_where_there_are_enough(cardinality, count, run):
    made = [*payload.keys(cardinality, count, run)]
    assert len(made) == count
    assert {len(key) for key in made} == {payload.KEY_SIZE}
    assert {int(key) for key in made} <= {*range(cardinality)}
    firsts = made[::run]
    assert made == [key for key in firsts for _ in range(run)][:count]
    if cardinality >= len(firsts):
        assert len(set(firsts)) == len(firsts)


def test_what_was_written_is_read_as_objects_of_their_own(tmp_path):
    path = payload.write(tmp_path / "keys", iter([b"aa", b"bb", b"aa"]))
    first, second, third = payload.read(path, 2, 3)
    assert (first, second, third) == (b"aa", b"bb", b"aa")
    assert first is not third
    with pytest.raises(ValueError, match="holds 3 parts of 2 bytes, not 4"):
        payload.read(path, 2, 4)


# What is compared


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_the_rows_of_a_group_can_be_measured(group):
    names = [one.name for one in group.contenders]
    assert len(set(names)) == len(names)
    for one in group.contenders:
        assert one.way in import_module(f"benchmarks.producers.{turn.CLIENTS[one.client]}").WAYS
        assert "," not in one.name, "--rows splits there"
        assert {target.peer for target in one.targets} - {None} <= {*names}
        if one.ours:
            growth = one.settings.get("batch_growth_max_bytes", 0)
            assert one.name.endswith(f"(growth {growth // 1024}K)" if growth else "(growth 0)")


def test_a_floor_is_never_above_its_aim():
    for target in (target for group in GROUPS for one in group.contenders for target in one.targets):
        assert (target.floor is None) == (target.aim is None)
        assert target.aim is None or target.figure.better(target.aim, target.floor)


# A turn


def test_a_turn_reads_its_records_and_tells_percentiles(tmp_path, monkeypatch):
    group = Group("g", "", (Contender("kproto", "kproto", "way", 50),))
    payloads = Payloads(tmp_path, [group])
    seen = []

    def way(turn):
        seen.append(turn)
        with turn.timed():
            turn.latencies += [number / 1000 for number in range(1, 102)]
        turn.settings["acks"] = "all"

    monkeypatch.setattr(turn, "import_module", lambda name: SimpleNamespace(WAYS={"way": way}))
    asked = runs._command(group, group.contenders[0], "host:1", "topic", payloads)
    told = turn.take(json.loads(asked[-1]))
    assert (told["records"], told["warm_up"], told["settings"]) == (50, turn.WARM_UP, {"acks": "all"})
    assert (told["p50_ms"], told["p99_ms"]) == pytest.approx((51, 100))
    assert [*seen[0].pairs()] == [*zip(payload.values(100, 50), payload.keys(1000, 50), strict=True)]
    assert len(seen[0].warm_up()) == turn.WARM_UP, "also where fewer are sent under the clock"
    assert seen[0].linger_ms == 5
    assert parse_turn("row", json.dumps(told)).records == 50


@pytest.mark.parametrize("call", ["ended", "reported"])
def test_a_callback_that_is_missing_or_tells_of_a_failure_fails_the_turn(call):
    tally = turn.Tally()
    arguments = {"ended": [(object(), None), (object(), "lost")], "reported": [(None, object()), ("lost", object())]}
    getattr(tally, call)(*arguments[call][0])
    tally.check(1)
    with pytest.raises(RuntimeError, match="1 of 2 callbacks told of a delivery, 0 of a failure"):
        tally.check(2)
    getattr(tally, call)(*arguments[call][1])
    with pytest.raises(RuntimeError, match=r"1 of a failure .*lost"):
        tally.check(1)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "the last line of a turn is JSON"),
        ("done", "'done'"),
        ("[]", r"\[\]"),
        ('{"seconds": 1}', "records"),
        ('{"records": 5}', "seconds"),
        ('{"records": 5, "seconds": 0}', "more than 0"),
        ('{"records": 5.5, "seconds": 1}', "whole numbers"),
        ('{"records": 5, "seconds": "1"}', "numbers from 0"),
        ('{"records": 5, "seconds": NaN}', "numbers from 0"),
        ('{"records": 5, "seconds": 1, "cpu_seconds": -1}', "numbers from 0"),
        ('{"records": 5, "seconds": 1, "settings": []}', "objects"),
    ],
)
def test_a_turn_that_does_not_tell_what_it_should(line, said):
    with pytest.raises(BenchError, match=rf"(?s)^g/row: .*{said}"):
        parse_turn("g/row", line)


def test_the_last_line_counts_and_more_may_be_told():
    found = parse_turn("row", 'hello\n{"records": 2000, "seconds": 0.5, "cpu_seconds": 0.1, "weather": "fine"}\n')
    assert [found.figure(name) for name in ("rate", "cpu_us", "p50_ms")] == [4.0, 50.0, None]


# Taking turns, with programs from outside and a broker that only counts


class CountingBroker:
    """Topics are files that a program writes its number of records into."""

    bootstrap = "host:1"

    def __init__(self, folder):
        self.folder = folder
        self.calls = []

    def check(self):
        pass

    def create(self, topic, partitions):
        self.calls.append(("create", topic, partitions))

    def delete(self, topic):
        self.calls.append(("delete", topic))

    def end(self, topic, partitions):
        path = self.folder / topic
        return sum(map(int, path.read_text().split())) if path.exists() else 0


PROGRAM = """
import json, sys
topic, records, values, keys, folder, sent = sys.argv[1:]
assert len(open(values, "rb").read()) >= 100 * int(records) and len(open(keys, "rb").read()) >= 10 * int(records)
open(folder + "/" + topic, "a").write(str(int(records) + int(sent)) + " ")
told = {"records": int(records), "seconds": 0.5, "cpu_seconds": 0.25, "warm_up": 3, "settings": {"a": topic}}
print(json.dumps(told))
"""


@pytest.fixture
def broker(tmp_path):
    return CountingBroker(tmp_path)


def program(tmp_path, text=PROGRAM, sent=3):
    """A command that says it has sent its records and three to warm up; sent: how many more than the former it did."""
    path = tmp_path / "program.py"
    path.write_text(text)
    return f"{sys.executable} {path} {{topic}} {{records}} {{values_file}} {{keys_file}} {tmp_path} {sent}"


def outside(name, command, records=100, **others):
    return Contender(name, "external", "external", records, command=command, **others)


def turns_of(group, broker, tmp_path, rounds=2):
    return run_group(group, rounds, broker, Payloads(tmp_path, [group]))


def test_contenders_go_in_reverse_every_other_round(tmp_path, broker):
    assert [order(3, number) for number in range(3)] == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
    one, other = (outside(name, program(tmp_path)) for name in ("one", "other"))
    group = Group("g", "", (one, other), partitions=4)
    found = turns_of(group, broker, tmp_path)
    topics = ["bench-g-0-0", "bench-g-0-1", "bench-g-1-1", "bench-g-1-0"]
    assert broker.calls == [call for topic in topics for call in (("create", topic, 4), ("delete", topic))]
    assert [turn.settings["a"] for turn in found["one"]] == ["bench-g-0-0", "bench-g-1-0"], "in the order of the rounds"
    assert [turn.figure("rate") for turn in found["other"]] == [0.2, 0.2]


def test_a_topic_of_many_partitions_stays_for_all_turns_and_what_is_added_counts(tmp_path, broker):
    one, other = (outside(name, program(tmp_path), partitions=1000) for name in ("one", "other"))
    found = turns_of(Group("g", "", (one, other)), broker, tmp_path)
    assert broker.calls == [("create", "bench-g-0-0", 1000), ("delete", "bench-g-0-0")]
    assert len(found["one"]) == len(found["other"]) == 2


@pytest.mark.parametrize("sent", [2, 4])
@pytest.mark.parametrize("partitions", [1, 1000])
def test_a_log_that_holds_other_records_than_were_sent_fails_the_run(tmp_path, broker, sent, partitions):
    group = Group("g", "", (outside("mine", program(tmp_path, sent=sent)),), partitions=partitions)
    with pytest.raises(BenchError, match=f"g/mine: sent 100 and 3 to warm up, and {100 + sent} are in the log"):
        turns_of(group, broker, tmp_path)
    assert broker.calls[-1][0] == "delete"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise SystemExit('no broker')", "exit code 1:\nno broker"),
        ("print('hello')", "the last line of a turn is JSON"),
        ('print(\'{"records": 99, "seconds": 1}\')', "sent 99 records, not 100"),
        ("import signal; signal.pause()", "not ended within"),
    ],
)
def test_a_contender_that_fails_is_named_and_its_topic_deleted(tmp_path, broker, monkeypatch, text, said):
    monkeypatch.setattr(runs, "TURN_SECONDS", 0.5 if "pause" in text else 60)
    with pytest.raises(BenchError, match=rf"(?s)^g/mine: .*{said}"):
        turns_of(Group("g", "", (outside("mine", program(tmp_path, text)),)), broker, tmp_path)
    assert broker.calls[-1] == ("delete", "bench-g-0-0")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/no/such/program {topic}", "cannot be run"),
        ("mine {topics}", "'topics' is not filled in: there are {bootstrap}"),
        ("mine {", "not filled in"),
        ("mine 'x", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_be(tmp_path, broker, command, said):
    with pytest.raises(BenchError) as raised:
        turns_of(Group("g", "", (outside("mine", command),)), broker, tmp_path)
    assert str(raised.value).startswith("g/mine: ")
    assert said in str(raised.value)


def test_an_external_program_is_held_against_kproto_and_the_first_peer():
    group = command.beside(GROUPS, [("mine", "./mine")])[0]
    mine = group.contenders[-1]
    assert [target.peer for target in mine.targets] == ["kproto on_delivery (growth 0)", "confluent-kafka"]
    assert mine.records == 500_000
    grown = command.beside(GROUPS, [("mine", "./mine")])
    assert {g.name for g in grown if g.contenders[-1].name == "mine"} == {g.name for g in GROUPS if g.figure is RATE}
    assert external(group, "other", "./other").contenders[-1].targets[1].peer == "confluent-kafka"


# What it comes to


def result_of(ours, theirs, figure=RATE, floor=0.8, aim=1.0):
    """Of two contenders, by the seconds of their rounds, in each 1,000 records and half of the time on a CPU."""
    target = Target(figure, "peer", floor, aim)
    contenders = (Contender("kproto", "kproto", "send", targets=(target,)), Contender("peer", "aiokafka", "send"))
    turns = {
        name: [TurnResult(1000, s, s / 2, s, s * 2, settings={"acks": "all"}) for s in seconds]
        for name, seconds in (("kproto", ours), ("peer", theirs))
    }
    return GroupResult(Group("g", "about [it]", contenders, figure=figure), turns)


def test_medians_and_ranges_of_the_rounds():
    result = result_of((1, 2, 4), (1, 1, 1))
    assert result.spread("kproto", RATE) == Spread(0.5, 0.25, 1)
    assert result.spread("kproto", CPU) == Spread(1000, 500, 2000)


def test_ratios_are_of_the_same_round():
    result = result_of((1, 2, 4), (1, 4, 4))
    (found,) = result.comparisons(result.group.contenders[0])
    assert found.spread == Spread(1, 1, 2), "not by the peer's median"


@pytest.mark.parametrize(
    ("figure", "ours", "floor", "aim", "met"),
    [
        (RATE, 1, 0.8, 1.0, (True, True)),
        (RATE, 1.2, 0.8, 1.0, (True, False)),
        (RATE, 1.5, 0.8, 1.0, (False, False)),
        (P50, 1.05, 1.6, 1.1, (True, True)),
        (P50, 1.5, 1.6, 1.1, (True, False)),
        (CPU, 1.7, 1.6, 1.2, (False, False)),
        (CPU, 1.7, None, None, (None, None)),
    ],
)
def test_floors_and_aims_of_a_figure_of_which_more_or_less_is_better(figure, ours, floor, aim, met):
    result = result_of((ours,) * 3, (1,) * 3, figure, floor, aim)
    (found,) = result.comparisons(result.group.contenders[0])
    assert found.verdict == met


def test_a_figure_without_a_peer_is_held_against_its_bound():
    result = result_of((4,), (1,))
    (found,) = result.comparisons(Contender("kproto", "kproto", "busy", targets=(Target(P50, None, 3, 1),)))
    assert found.spread.median == 4
    assert found.verdict == (False, False)


def test_a_peer_that_did_not_take_part_or_does_not_tell_is_left_out():
    result = result_of((1,), (1,))
    absent = Contender("kproto", "kproto", "send", targets=(Target(RATE, "nobody", 1, 1),))
    assert result.comparisons(absent) == []
    silent = replace(result, turns={**result.turns, "peer": [TurnResult(1000, 1)]})
    assert silent.comparisons(Contender("kproto", "kproto", "send", targets=(Target(CPU, "peer", 1, 1),))) == []
    assert silent.spread("peer", CPU) is None


def test_the_table_shows_verdicts_and_settings():
    out = StringIO()
    show([result_of((1, 2, 4), (1, 1, 1), floor=0.4)], ENVIRONMENT, 3, Console(file=out, width=200))
    lines = [line.split() for line in out.getvalue().splitlines()]
    figures = ["0.50", "[0.25-1.00]", "1,000", "[500-2,000]", "2.00", "[1.00-4.00]", "4.00", "[2.00-8.00]"]
    assert ["g", "kproto", *figures, "0.50", "[0.25-1.00]", "/", "peer", "0.4", "✓", "1", "✗"] in lines
    assert ["aiokafka:", "acks=all"] in lines
    assert ["g:", "about", "[it]"] in lines


def test_the_table_keeps_its_figures_on_a_terminal_of_160_columns():
    out = StringIO()
    long = [replace(one, name=f"{one.name} {'x' * 40}") for one in result_of((1,), (1,)).group.contenders]
    result = result_of((1e-4, 2e-4), (0.5e-4, 3e-4))
    turns = {one.name: result.turns[one.name.split()[0]] for one in long}
    show(
        [GroupResult(replace(result.group, contenders=tuple(long)), turns)],
        ENVIRONMENT,
        2,
        Console(file=out, width=160),
    )
    assert "…" not in out.getvalue()


@pytest.mark.parametrize(("value", "shown"), [(1234.5, "1,234"), (123.45, "123"), (12.345, "12.3"), (0.123, "0.12")])
def test_figures_have_three_digits(value, shown):
    assert number(value) == shown


def test_json_holds_every_turn():
    told = json.loads(json.dumps(to_dict([result_of((1, 2, 4), (1, 1, 1))], ENVIRONMENT, 3)))
    assert told["environment"] == ENVIRONMENT
    (group,) = told["groups"]
    assert (group["group"], group["value_bytes"], group["compression"], group["linger_ms"]) == ("g", 100, "none", 5)
    ours, theirs = group["contenders"]
    assert [turn["seconds"] for turn in ours["turns"]] == [1, 2, 4]
    assert ours["settings"] == {"acks": "all"}
    assert ours["figures"]["rate"] == {"median": 0.5, "low": 0.25, "high": 1}
    (compared,) = ours["comparisons"]
    assert (compared["peer"], compared["figure"], compared["median"]) == ("peer", "rate", 0.5)
    assert (compared["floor"], compared["floor_met"], compared["aim"], compared["aim_met"]) == (0.8, False, 1, False)
    assert theirs["comparisons"] == []


def test_the_picture_has_a_bar_and_a_range_for_each_contender():
    result = result_of((1, 2, 4), (1, 1, 1))
    named = replace(result.group.contenders[1], name="<peer> & co")
    group = replace(result.group, contenders=(result.group.contenders[0], named))
    drawn = draw([GroupResult(group, {"kproto": result.turns["kproto"], "<peer> & co": result.turns["peer"]})] * 2)
    root = ElementTree.fromstring(drawn)
    svg = "{http://www.w3.org/2000/svg}"
    bars = [one for one in root.iter(f"{svg}g") if one.find(f"{svg}rect") is not None]
    assert len(bars) == 4
    assert [bar.find(f"{svg}title").text.splitlines()[0] for bar in bars] == ["kproto", "<peer> & co"] * 2
    ours, theirs = (bar.find(f"{svg}rect") for bar in bars[:2])
    assert float(ours.get("width")) * 2 == pytest.approx(float(theirs.get("width")), abs=0.2), "0.5 beside 1"
    assert ours.get("class") != theirs.get("class")
    height = float(root.get("height"))
    assert all(float(one.get("y")) < height for one in root.iter(f"{svg}text"))
    assert "prefers-color-scheme:dark" in drawn


# The command line


def run(*arguments):
    return CliRunner().invoke(command.main, arguments)


def test_the_list_names_each_row():
    shown = [line.split("  ")[1] for line in run("--list").output.splitlines() if line.startswith("  ")]
    assert shown == [f"{group.name}/{one.name}" for group in GROUPS for one in group.contenders]


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        ("1P", {"1p": len(GROUPS[1].contenders)}),
        ("threads, idle", {"idle": 5, "threads": 2}),
        ("12p/kproto send (growth 0)", {"12p": 3}),  # with confluent-kafka and aiokafka
        ("1kib-lz4/confluent", {"1KiB-lz4": 1}),
        ("1000p/kproto 1000p equal", {"1000p": 2}),
    ],
)
def test_words_choose_groups_and_rows_with_their_peers(words, rows):
    assert {group.name: len(group.contenders) for group in command.chosen(words)} == rows


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rows", "thraeds"], "did you mean 'threads'?"),
        (["--rows", "qqqq"], "no row is called 'qqqq'. --list"),
        (["--rows", ","], "names no row"),
        (["--rounds", "0"], "x>=1"),
        (["--scale", "0"], "0.0001"),
        (["--beside", "mine"], "NAME=COMMAND"),
        (["--beside", "mine= "], "NAME=COMMAND"),
        (["--beside", "confluent-kafka=x"], "is a contender already"),
        (["--beside", "mine=x", "--beside", "mine=y"], "is a contender already"),
        (["--json", "/no/such/folder/file"], "No such file"),
    ],
)
def test_bad_input(arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_fewer_records_for_a_quick_look():
    scaled = GROUPS[0].scaled(0.001)
    assert {one.records for one in scaled.contenders} == {500, 100}


@pytest.fixture
def no_kafka(monkeypatch, broker):
    monkeypatch.setattr(command, "Cluster", lambda address: broker)
    monkeypatch.setattr(command, "environment", lambda: ENVIRONMENT)


@pytest.mark.usefixtures("no_kafka")
def test_a_run_of_external_programs_writes_the_table_json_and_picture(tmp_path, monkeypatch):
    ours = Contender("kproto", "kproto", "send", command=program(tmp_path))
    monkeypatch.setattr(command, "GROUPS", (Group("g", "it", (ours,)),))
    files = ["--json", str(tmp_path / "run.json"), "--svg", str(tmp_path / "run.svg")]
    done = run(
        "--bootstrap", "host:1", "--rounds", "2", "--scale", "0.001", "--beside", f"mine={program(tmp_path)}", *files
    )
    assert done.exit_code == 0, done.output
    assert "mine" in done.output
    told = json.loads((tmp_path / "run.json").read_text())
    assert [one["contender"] for one in told["groups"][0]["contenders"]] == ["kproto", "mine"]
    assert told["groups"][0]["contenders"][1]["comparisons"][0]["median"] == 1
    assert "mine" in (tmp_path / "run.svg").read_text()
    assert "\x1b" not in done.output, "colour is for terminals"


@pytest.mark.usefixtures("no_kafka")
def test_a_turn_that_counts_for_nothing_ends_the_run_with_1(tmp_path, monkeypatch):
    ours = Contender("kproto", "kproto", "send", command=program(tmp_path, sent=2))
    monkeypatch.setattr(command, "GROUPS", (Group("g", "it", (ours,)),))
    done = run("--bootstrap", "host:1", "--scale", "0.001")
    assert done.exit_code == 1
    assert "g/kproto: sent 500 and 3 to warm up, and 502 are in the log" in done.output


def test_a_broker_that_is_not_there_ends_the_run_with_1(monkeypatch):
    class Nowhere:
        def check(self):
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, "connection refused"))

    monkeypatch.setattr(command, "Cluster", lambda address: Nowhere())
    done = run("--bootstrap", "host:1", "--scale", "0.001")
    assert done.exit_code == 1
    assert done.output.strip() == "Error: no broker answers on host:1: connection refused"


@pytest.mark.broker
def test_a_row_on_a_real_kafka(tmp_path):
    done = run("--rows", "1p/kproto send_many", "--rounds", "1", "--scale", "0.01", "--json", "-")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [one["client"] for one in told["groups"][0]["contenders"]] == ["kproto", "confluent-kafka"]
    assert all(one["figures"]["cpu_us"]["median"] > 0 for one in told["groups"][0]["contenders"])
