"""Statistics as tables and bars for people, and as a dictionary for programs.

Layer: tools. Numbers come from tallies; here they become text. Durations in milliseconds, sizes in bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kproto.tools.decode.histogram import Histogram
from kproto.tools.decode.tally import BatchTally, Tally
from kproto.tools.decode.texts import counted, date_text, ms_text, printable, size_text
from kproto.wire.records import Compression

__all__ = [
    "TALLY_COLUMNS",
    "TOPIC_COLUMNS",
    "StatsFacts",
    "batch_lines",
    "histogram_lines",
    "render_stats",
    "stats_dict",
    "stats_heading",
    "tally_cells",
    "topic_cells",
]

WORDY_COLUMNS: Final = 3  # the last ones
TALLY_COLUMNS: Final = (
    *("requests", "answers", "sent", "received", "p50 ms", "p90 ms", "p99 ms", "max ms", "in flight"),
    *("versions", "throttled", "errors"),
)
TOPIC_COLUMNS: Final = (
    *("batches", "bytes", "batch p50", "batch max", "records", "p50 a batch", "max a batch", "ratio"),
)

BAR_WIDTH: Final = 40
ROWS_MAX: Final = 40  # of a table; the dictionary has them all
HISTOGRAMS_MAX: Final = 4
EIGHTHS: Final = "▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class StatsFacts:
    """What is shown. errors: API, name, code, how many, first and last frame. size: bytes of all frames.

    topics: their tallies hold batches only. findings: by code.
    """

    frames: int
    size: int
    connections: int
    from_ns: int | None
    to_ns: int | None
    seconds: float
    total: Tally
    apis: dict[str, Tally]
    brokers: dict[str, Tally]
    clients: dict[str, Tally]
    topics: dict[str, Tally]
    errors: list[tuple[str, str, int, int, int, int]]
    findings: dict[str, int]


def stats_dict(facts: StatsFacts) -> dict[str, Any]:
    """For JSON. Each histogram is a list of [from, to, count], both ends included."""
    return {
        "frames": facts.frames,
        "size": facts.size,
        "connections": facts.connections,
        "from": None if facts.from_ns is None else facts.from_ns / 1_000_000_000,
        "to": None if facts.to_ns is None else facts.to_ns / 1_000_000_000,
        "seconds": facts.seconds,
        "total": _tally_dict(facts.total),
        "apis": {name: _tally_dict(tally) for name, tally in facts.apis.items()},
        "brokers": {name: _tally_dict(tally) for name, tally in facts.brokers.items()},
        "clients": {name: _tally_dict(tally) for name, tally in facts.clients.items()},
        "topics": {name: _batches_dict(tally.batches) for name, tally in facts.topics.items()},
        "errors": [
            {"api": api, "error": name, "error_code": code, "count": count, "first_frame": first, "last_frame": last}
            for api, name, code, count, first, last in facts.errors
        ],
        "findings": facts.findings,
    }


def _tally_dict(tally: Tally) -> dict[str, Any]:
    return {
        "requests": tally.requests,
        "responses": tally.responses,
        "request_bytes": tally.request_bytes,
        "response_bytes": tally.response_bytes,
        "versions": dict(tally.versions),
        "latency_ms": _histogram_dict(tally.latency, 1000),
        "in_flight": _histogram_dict(tally.in_flight),
        "throttle_ms": _histogram_dict(tally.throttled),
        "errors": dict(tally.errors),
        "batches": _batches_dict(tally.batches),
    }


def _batches_dict(batches: BatchTally) -> dict[str, Any]:
    return {
        "size": _histogram_dict(batches.sizes),
        "records": _histogram_dict(batches.records),
        "compression": batches.codec_names,
        "compression_ratio": batches.ratio,
        "compression_sampled": batches.sampled,
        "bad_crc": batches.bad_crc,
        "damaged": batches.damaged,
    }


def _histogram_dict(histogram: Histogram, unit: int = 1) -> dict[str, Any]:
    if not histogram.count:
        return {"count": 0}
    percentiles = {f"p{percent}": histogram.percentile(percent) / unit for percent in (50, 90, 99)}
    bars = [[bar.low / unit, bar.high / unit, bar.many] for bar in histogram.bars()]
    return {
        "count": histogram.count,
        "mean": histogram.mean / unit,
        **percentiles,
        "max": histogram.most / unit,
        "histogram": bars,
    }


def render_stats(facts: StatsFacts, console: Console) -> None:
    """Print: what there is, by API, broker, client, topic; how long answers took; errors."""
    console.print(Text(stats_heading(facts), style="bold"))
    if not facts.frames:
        return
    for title, tallies in (("API", facts.apis), ("broker", facts.brokers), ("client", facts.clients)):
        console.print()
        console.print(_tallies_table(title, tallies))
    if facts.topics:
        console.print()
        console.print(_topics_table(facts))
        for line in batch_lines(facts.total.batches):
            console.print(Text(line, style="dim"))
    answered = [(name, tally.latency) for name, tally in facts.apis.items() if tally.latency.count]
    for name, latency in answered[:HISTOGRAMS_MAX]:
        console.print()
        console.print(Text.assemble(printable(name), ": milliseconds to the answer", style="bold"))
        for line in histogram_lines(latency):
            console.print(Text(line))
    if facts.errors:
        console.print()
        console.print(_errors_table(facts))
    if facts.findings:
        console.print()
        found = ", ".join(f"{code} {count:,}" for code, count in facts.findings.items())
        console.print(Text(f"findings: {found}", style="bold red"))


def stats_heading(facts: StatsFacts) -> str:
    """How much, for how long, and how fast."""
    if facts.from_ns is None:
        return "no frames"
    heading = (
        f"{counted(facts.frames, 'frame')} of {size_text(facts.size)} on {counted(facts.connections, 'connection')}"
    )
    if not facts.seconds:
        return f"{heading}, {date_text(facts.from_ns)}"
    rate = f"{facts.frames / facts.seconds:,.0f} frames/s, {size_text(facts.size / facts.seconds)}/s"
    return f"{heading} in {facts.seconds:,.1f} s from {date_text(facts.from_ns)}: {rate}"


def tally_cells(tally: Tally, versions: bool) -> list[str]:
    """What stands in TALLY_COLUMNS. versions: whether to tell those that were asked."""
    throttled = tally.throttled
    asked = sorted(tally.versions, key=lambda version: (len(version), version)) if versions else []
    return [
        f"{tally.requests:,}",
        f"{tally.responses:,}",
        size_text(tally.request_bytes),
        size_text(tally.response_bytes),
        *_latencies(tally.latency),
        f"{tally.in_flight.percentile(50)}, max {tally.in_flight.most}" if tally.in_flight.count else "",
        " ".join(asked),
        f"{throttled.count:,}x, max {throttled.most:,} ms" if throttled.count else "",
        ", ".join(f"{error} {count:,}" for error, count in tally.errors.most_common(3)),
    ]


def topic_cells(batches: BatchTally) -> list[str]:
    """What stands in TOPIC_COLUMNS."""
    return [
        f"{batches.sizes.count:,}",
        size_text(batches.sizes.total),
        size_text(batches.sizes.percentile(50)),
        size_text(batches.sizes.most),
        f"{batches.records.total:,}",
        f"{batches.records.percentile(50):,}",
        f"{batches.records.most:,}",
        "" if batches.ratio is None else f"{batches.ratio:.2f}",
    ]


def _tallies_table(title: str, tallies: dict[str, Tally]) -> Table:
    table = Table(title, box=None, header_style="bold", pad_edge=False)
    for index, column in enumerate(TALLY_COLUMNS):
        table.add_column(column, justify="right" if index < len(TALLY_COLUMNS) - WORDY_COLUMNS else "left")
    for name, tally in list(tallies.items())[:ROWS_MAX]:
        table.add_row(printable(name), *tally_cells(tally, title == "API"))
    if len(tallies) > ROWS_MAX:
        table.add_row(f"({len(tallies) - ROWS_MAX:,} more)")
    return table


def _latencies(latency: Histogram) -> list[str]:
    if not latency.count:
        return [""] * 4
    return [*(ms_text(latency.percentile(percent)) for percent in (50, 90, 99)), ms_text(latency.most)]


def _topics_table(facts: StatsFacts) -> Table:
    table = Table("topic", box=None, header_style="bold", pad_edge=False)
    for column in TOPIC_COLUMNS:
        table.add_column(column, justify="right")
    for name, tally in list(facts.topics.items())[:ROWS_MAX]:
        table.add_row(printable(name), *topic_cells(tally.batches))
    if len(facts.topics) > ROWS_MAX:
        table.add_row(f"({len(facts.topics) - ROWS_MAX:,} more)")
    return table


def batch_lines(batches: BatchTally) -> Iterator[str]:
    """How the batches were compressed, and what is wrong with some."""
    codecs = ", ".join(f"{codec} {count:,}" for codec, count in batches.codec_names.items())
    if codecs:
        yield f"compression: {codecs}"
    compressed = batches.sizes.count - batches.codecs[Compression.NONE]
    if batches.ratio is not None:
        yield f"ratio {batches.ratio:.2f}: of {batches.sampled:,} of {compressed:,} compressed batches, as a sample"
    elif compressed:
        yield "ratio not known: no batch could be decompressed"
    if batches.bad_crc:
        yield f"{counted(batches.bad_crc, 'batch')} with a wrong CRC"
    if batches.damaged:
        yield f"{counted(batches.damaged, 'batch')} that cannot be read, and are left out"


def histogram_lines(latency: Histogram) -> Iterator[str]:
    """A bar for each power of two of microseconds, told in milliseconds."""
    bars = latency.bars()
    most = max((bar.many for bar in bars), default=0)
    for bar in bars:
        eighths = max(1, round(bar.many * BAR_WIDTH * 8 / most)) if bar.many else 0
        drawn = EIGHTHS[-1] * (eighths // 8) + (EIGHTHS[eighths % 8 - 1] if eighths % 8 else "")
        yield f"{ms_text(bar.low):>9} - {ms_text(bar.high):>9}  {drawn:<{BAR_WIDTH}} {bar.many:,}"


def _errors_table(facts: StatsFacts) -> Table:
    table = Table("error", "code", "API", "times", "first frame", "last frame", box=None, header_style="bold")
    table.pad_edge = False
    for api, name, code, count, first, last in sorted(facts.errors, key=lambda row: -row[3])[:ROWS_MAX]:
        table.add_row(name, str(code), printable(api), f"{count:,}", str(first), str(last))
    return table
