"""Numbers as sentences, and a bar that reads the tally by itself."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from tools.timeline_events import classic

from kproto.producer import ProducerFatalError
from kproto.tools.interrupts import Interrupted
from kproto.tools.produce import Outcome
from kproto.tools.produce_input import InputError, InputForm, InputFormat, RecordReader, Source
from kproto.tools.produce_report import explanation, last_batches, produce_progress, summary_lines, trouble_lines
from kproto.tools.produce_tally import ProduceTally
from kproto.tools.timeline import EventLog, timeline_of


def tally(**numbers):
    made = ProduceTally()
    for name, number in numbers.items():
        setattr(made, name, number)
    return made


def test_the_summary():
    made = tally(delivered=2_000, size=1_000_000, batches=10, sent_size=500_000, retries=2)
    for duration_us in range(1000, 101_000, 1000):
        made.latency.add(duration_us)
    delivered, batches, latency = summary_lines(made, 2.0)
    assert delivered == "2,000 records delivered: 1.0 MB in 2.0 s, 1,000 records/s, 500.0 kB/s"
    assert batches == "10 batches of 50.0 kB on average as sent; 2 retries"
    assert latency == "from send to acknowledgement: 50 % 50.2 ms, 95 % 96.3 ms, 99 % 100.0 ms, longest 100.0 ms"


@pytest.mark.parametrize(("retries", "says"), [(0, "no retries"), (1, "1 retry"), (2, "2 retries")])
def test_retries(retries, says):
    assert [*summary_lines(tally(batches=1, retries=retries), 1)][1].endswith(f"; {says}")


def test_the_summary_of_nothing():
    assert [*summary_lines(tally(), 0.0)] == ["0 records delivered: 0 B in 0.0 s"]
    assert next(iter(summary_lines(tally(delivered=1), 1.0))).startswith("1 record delivered: ")


SPARE = SimpleNamespace(topic="orders", path=Path("spare"), spilled=0)


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (Outcome(), []),
        (
            Outcome(bad_input=InputError("stdin", "line 3", "is none")),
            ["stdin, line 3: is none; what follows was not read"],
        ),
        (
            Outcome(hopeless=ProducerFatalError(ValueError("x"))),
            [f"stopped behind stdin, line 2: {ProducerFatalError(ValueError('x'))}"],
        ),
        (Outcome(interrupted=Interrupted(2)), ["interrupted behind stdin, line 2; what follows was not sent"]),
        (
            Outcome(1),
            [
                "1 record was not delivered; see spare for the reason. To send it again: "
                "kproto produce orders spare --format ndjson"
            ],
        ),
        (
            Outcome(1200),
            [
                "1,200 records were not delivered; see spare for the reasons. To send them again: "
                "kproto produce orders spare --format ndjson"
            ],
        ),
    ],
)
def test_trouble_is_told_with_the_next_step(outcome, says):
    assert [*trouble_lines(outcome, SPARE, "stdin, line 2")] == says


def test_what_went_to_stderr_is_told():
    lines = [
        *trouble_lines(Outcome(3), SimpleNamespace(topic="orders", path=Path("spare"), spilled=2), "stdin, line 2")
    ]
    assert lines[-1] == "2 of them could not be written there, and stand above"


def test_exit_codes():
    assert [Outcome().exit_code, Outcome(1).exit_code, Outcome(hopeless=KeyError()).exit_code] == [0, 1, 1]
    assert Outcome(1, InputError("", "", "")).exit_code == 2
    assert Outcome(1, InputError("", "", ""), None, Interrupted(2)).exit_code == 130


def shown(**made):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system=None)
    with produce_progress(console, tally(read=1500, delivered=1000, failed=200), **made):
        pass
    return out.getvalue()


def test_the_bar_reads_the_tally():
    text = shown(records=2000)
    assert "1,000 delivered, 300 under way" in text
    assert ", 200 not delivered" in text
    assert text.count("\u2501") > 10


def test_a_pipe_has_no_share():
    form = InputForm(InputFormat.LINES, None)
    assert "\u2501" not in shown(reader=RecordReader([Source("stdin", io.BytesIO())], form))
    half = RecordReader([Source("a", io.BytesIO(), 10)], form)
    half.bytes_read = 5
    assert "\u2501" in shown(reader=half)
    assert "\u2501" in shown(reader=RecordReader([Source("a", io.BytesIO(), 0)], form))


def test_the_end_of_a_timeline():
    timeline = timeline_of(classic())
    opened = sorted(batch.opened_ms for each in timeline.batches.values() for batch in each)
    assert last_batches(timeline, 2).from_ms == opened[-2]
    assert last_batches(timeline, 1000).from_ms == 0


def test_the_explanation_says_of_how_much_it_is():
    logs = EventLog(), EventLog(5)
    for event in classic():
        for log in logs:
            log(event)
    whole, part = map(explanation, logs)
    assert "left by" in whole
    assert "of the last events" not in whole
    assert part.endswith(f"(of the last events; {len(list(classic())) - 5} before are not kept)")
