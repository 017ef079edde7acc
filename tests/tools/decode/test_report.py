"""The report of a capture: what it gathers, that it is bounded, and that a real browser shows it without complaint."""

from __future__ import annotations

import re
import shutil
import subprocess
from random import Random

import pytest
from tools.decode.decoded import Capture, batch
from tools.decode.invented import invented

from kproto.tools.decode import report_bars
from kproto.tools.decode.audit import Audit
from kproto.tools.decode.model import Finding
from kproto.tools.decode.report import Report
from kproto.tools.decode.stats import Stats

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PAGE_SIZE_MAX = 5_000_000


def report_of(frames):
    report = Report()
    for each in frames:
        report.add(each)
    report.end()
    return report


def test_it_holds_the_statistics_and_the_audit_of_the_same_frames():
    frames = invented(Random(3))
    stats, audit = Stats(), Audit()
    found = []
    report = Report()
    for each in frames:
        stats.add(each)
        assert report.add(each) == audit.add(each)
    found = report.end()
    assert found == audit.end()
    assert report.stats.to_dict() == stats.to_dict()
    assert report.audit.to_dict() == audit.to_dict()


def test_findings_of_frames_and_of_the_audit():
    capture = Capture()
    finding = Finding("lies", "a count")
    capture.ack(capture.produce(batch(0, 5), findings=[finding]))
    capture.produce(batch(0, 5))
    capture.bare(1, "b:1", Finding("tls", "seen", notice=True), ended=True)
    page = report_of(capture.frames).html("x")
    assert re.findall("<code>(.*?)</code>", page) == ["lies", "duplicate", "tls", "unanswered"], "each once"
    assert "Findings <small>4 of 4</small>" in page


def test_requests_end_as_they_do():
    capture = Capture()
    capture.ack(capture.produce(batch(0)), 6)
    capture.produce(batch(0), acks=0)
    capture.undeclared(1, "Fetch")
    capture.produce(batch(0))
    capture.close()
    capture.produce(batch(0), conn=2)
    bars = report_of(capture.frames)._bars.kept()
    assert [(bar.api, bar.end.name, bar.error) for bar in bars] == [
        ("Produce", "FAILED", 6),
        ("Produce", "UNASKED", 0),
        ("Fetch", "ANSWERED", 0),
        ("Produce", "UNANSWERED", 0),
        ("Produce", "OPEN", 0),
    ]


def test_what_an_answer_shows_is_marked_too():
    capture = Capture()
    first, second = capture.produce(batch(0)), capture.produce(batch(1))
    capture.ack(second)
    capture.ack(first, findings=[Finding("lies", "a count")])
    assert [bar.found for bar in report_of(capture.frames)._bars.kept()] == [True, True]
    assert not any(bar.found for bar in report_of(invented(Random(1), 5))._bars.kept())


def test_a_request_of_many_batches_shows_some():
    capture = Capture()
    capture.ack(capture.produce(*(batch(base) for base in range(40))))
    (bar,) = report_of(capture.frames)._bars.kept()
    assert (len(bar.batches), bar.more_batches) == (report_bars.BATCHES_MAX, 40 - report_bars.BATCHES_MAX)


@pytest.mark.parametrize("error", [0, 7])
def test_the_page_stays_small_however_long_the_capture(error):
    """A page of full tables, times what of it grows: rows, each as long as it can be."""
    capture = Capture(client_id="c" * 50)
    for number in range(2_000):
        capture.now_ns += 10**12
        capture.ack(capture.produce(batch(2**30 + number), topic="t" * 249, partition=number), error)
    report = report_of(capture.frames)
    page = report.html("x")
    rows = sum(bar.rows for bar in report._bars.kept())
    most = report_bars.ROWS_MAX + 2 * report_bars.NOTABLE_MAX
    assert len(page) + (most - rows) * len(page[page.index('"requests":') :]) / rows < PAGE_SIZE_MAX


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("part", ["conn", "partition"])
def test_a_browser_shows_it_without_complaint(tmp_path, part):
    capture = Capture(client_id="</script><b>app")
    for base in range(0, 300, 10):
        capture.ack(capture.produce(batch(base, 10), partition=base % 3), error=7 if base == 50 else 0)
    asked = capture.produce(batch(500, 10))
    capture.close()
    page = report_of(capture.frames).html("a <capture>")
    page = page.replace('let by = "conn"', f'let by = "{part}"')
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", f"{path.as_uri()}#frame-{asked.frame.number}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    detail = re.search(r'<div id="detail"[^>]*>(.*?)</div>', done.stdout, re.DOTALL)[1]
    assert detail.startswith(f"Produce 9: frame {asked.frame.number} (")
    assert "never answered" in detail and "sequences 500-509" in detail
    assert done.stdout.count("<b>app") == 0
