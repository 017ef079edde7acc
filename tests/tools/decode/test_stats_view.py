"""What is shown of statistics, to people and to programs."""

from __future__ import annotations

import json

from tools.decode.decoded import Capture, batch

from kproto.tools.console import PipedConsole
from kproto.tools.decode.histogram import Histogram
from kproto.tools.decode.model import Finding
from kproto.tools.decode.stats import Stats
from kproto.tools.decode.stats_view import histogram_lines
from kproto.tools.decode.texts import size_text


def stats_of(capture):
    stats = Stats()
    for each in capture.frames:
        stats.add(each)
    stats.end()
    return stats


def shown(stats):
    console = PipedConsole(width=250, color_system=None, soft_wrap=True)
    with console.capture() as captured:
        stats.render(console)
    return captured.get()


def busy():
    capture = Capture(client_id="a[bold]pp\x1b[2J")
    for base in range(0, 60, 10):
        capture.ack(
            capture.produce(batch(base, 10, compression="gzip")), error=6 if base == 30 else 0, throttle_ms=base
        )
        capture.wait(100)
    capture.produce(batch(90, 3), findings=[Finding("crc", "wrong")])
    return capture


def test_the_tables():
    stats = stats_of(busy())
    text = shown(stats)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    size, total = size_text(stats.facts().size), stats.facts().total
    sent, received = size_text(total.request_bytes), size_text(total.response_bytes)
    assert lines[0].startswith(f"13 frames of {size} on 1 connection in 0.6 s from 2023-11-14 22:13:20 UTC: ")
    assert any(
        line.startswith(f"Produce 7 6 {sent} {received} 1.0 1.0 1.0 1.0 1, max 1 9 5x, max 50 ms NOT_")
        for line in lines
    )
    assert any(line.startswith("a[bold]pp\\x1b[2J 7 6 ") for line in lines), "neither markup nor escapes do anything"
    assert any(line.startswith("orders 7 ") for line in lines)
    assert "compression: gzip 6, none 1" in lines
    assert any(line.endswith("of 6 of 6 compressed batches, as a sample") for line in lines)
    assert "NOT_LEADER_OR_FOLLOWER 6 Produce 1 8 8" in lines
    assert "findings: crc 1" in lines
    assert "\x1b" not in text


def test_nothing_at_all():
    assert shown(Stats()) == "no frames\n"
    assert json.loads(json.dumps(Stats().to_dict()))["frames"] == 0


def test_for_programs():
    told = json.loads(json.dumps(stats_of(busy()).to_dict()))
    produce = told["apis"]["Produce"]
    assert produce == told["total"]
    assert (produce["requests"], produce["responses"], produce["versions"]) == (7, 6, {"9": 7})
    assert produce["latency_ms"] == {
        "count": 6,
        "mean": 1.0,
        "p50": 1.0,
        "p90": 1.0,
        "p99": 1.0,
        "max": 1.0,
        "histogram": [[0.512, 1.023, 6]],
    }
    assert produce["throttle_ms"]["count"] == 5
    assert produce["batches"]["compression"] == {"gzip": 6, "none": 1}
    assert produce["batches"]["compression_sampled"] == 6
    assert told["errors"] == [
        {
            "api": "Produce",
            "error": "NOT_LEADER_OR_FOLLOWER",
            "error_code": 6,
            "count": 1,
            "first_frame": 8,
            "last_frame": 8,
        }
    ]
    assert told["findings"] == {"crc": 1}
    assert told["topics"]["orders"]["records"]["count"] == 7


def test_bars_are_as_long_as_their_counts():
    latency = Histogram()
    for number in [1000] * 80 + [3000] * 40 + [9000]:
        latency.add(number)
    lines = list(histogram_lines(latency))
    assert [line.count("█") for line in lines] == [40, 0, 20, 0, 0]
    assert [line.split()[-1] for line in lines] == ["80", "0", "40", "0", "1"]
    assert "▌" in lines[4]
    assert list(histogram_lines(Histogram())) == []
