"""What `make chaos` prints and writes."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from chaos.__main__ import chaos, show_round, summary, write
from chaos.rounds import Round
from chaos.schedule import schedule_of
from chaos.verdict import Verdict
from click.testing import CliRunner
from rich.console import Console


def a_round(contender, *, seed=7, may_fail=True, **counts):
    errors = {"TimeoutException": counts["failed"]} if "failed" in counts else {}
    return Round(contender, may_fail, schedule_of(seed), Verdict(**counts), 20, {"load": 12.0}, errors)


def printed(show):
    console = Console(width=200, record=True, file=StringIO())
    show(console)
    return console.export_text()


def test_a_clean_round_is_a_line():
    text = printed(lambda console: show_round(console, a_round("java", acked=36018)))
    assert text == "clean  seed 7 java (pause): 36018 acked; recovered in 20 ms, 12 s\n"


def test_a_broken_round_shows_its_seed_and_schedule():
    text = printed(lambda console: show_round(console, a_round("confluent", acked=5, failed=3, doubled=263)))
    assert "BROKEN seed 7 confluent" in text and "3 TimeoutException" in text and "found: 263 doubled" in text
    assert str(schedule_of(7)) in text


def test_the_summary_compares_contenders_by_the_median():
    rounds = [a_round("java", seed=seed, acked=10, failed=failed) for seed, failed in enumerate((1, 500, 9))]
    rounds += [a_round("kproto", seed=seed, acked=10) for seed in range(3)]
    rounds[0] = a_round("java", seed=0, acked=10, failed=1, hung=4)
    text = printed(lambda console: console.print(summary(rounds)))
    java, kproto = (next(line for line in text.splitlines() if name in line) for name in ("java", "kproto"))
    assert [cell.strip() for cell in java.split("│")[2:9]] == ["3", "2", "30", "510", "9", "0", "20 ms"]
    assert "4 hung" in java and "nothing" in kproto


def test_json_is_a_line_for_each_round(tmp_path):
    file = tmp_path / "chaos.jsonl"
    write(None, a_round("java"))
    write(file, a_round("java"))
    write(file, a_round("kproto", lost=1))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [(line["contender"], line["clean"]) for line in lines] == [("java", True), ("kproto", False)]


@pytest.mark.parametrize("arguments", [["--contender", "sarama"], ["--timeouts", "long"], ["--load-ms", "10"]])
def test_bad_input_is_told_before_anything_starts(arguments):
    result = CliRunner().invoke(chaos, arguments)
    assert result.exit_code == 2 and "Invalid value" in result.output


def test_without_java_it_says_what_to_install(monkeypatch):
    from brokers.jars import MISSING, kafka_jars

    monkeypatch.setattr("brokers.jars.shutil.which", lambda name: None)
    kafka_jars.cache_clear()
    result = CliRunner().invoke(chaos, ["--seed", "1"])
    kafka_jars.cache_clear()
    assert result.exit_code == 3 and MISSING in result.output and "seeds 1 to 3" in result.output
