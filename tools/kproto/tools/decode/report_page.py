"""The page of a report: one file of HTML that needs nothing else, and that asks the network for nothing.

Layer: tools. Holds no key and no value of a record. Everything that came over the wire is escaped here, or is data of
the script, which puts it on the page as text. `report.css` and `report.js` stand beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any, Final

from kproto.tools.decode.audit_view import LEDGER_COLUMNS, AuditFacts, AuditFinding, ledger_cells
from kproto.tools.decode.message_errors import error_name
from kproto.tools.decode.report_bars import Bar
from kproto.tools.decode.report_charts import histogram_chart, trend_chart
from kproto.tools.decode.report_trend import Trend
from kproto.tools.decode.stats_view import (
    TALLY_COLUMNS,
    TOPIC_COLUMNS,
    StatsFacts,
    batch_lines,
    stats_heading,
    tally_cells,
    topic_cells,
)
from kproto.tools.decode.texts import clock_text, counted, ms_text, size_text

__all__ = ["ReportFacts", "report_page"]

ROWS_MAX: Final = 200  # of a table
ANSWERS_MIN: Final = 10  # that make a chart
HISTOGRAMS_MAX: Final = 3
NAMES_MAX: Final = 400  # connections and partitions that have a row of their own
NAME_LETTERS_MAX: Final = 200
TEXT_LETTERS_MAX: Final = 400
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
LEGEND: Final = ("answered", "answered with an error", "never answered", "open at the end", "no answer asked for")


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What a page shows. findings: the first ones of findings_total; bars: those that are drawn of `requests`.

    every: of requests without trouble, one in so many is drawn; notable_left_out: with trouble, and not drawn for it.
    """

    title: str
    stats: StatsFacts
    audit: AuditFacts
    findings: list[AuditFinding]
    findings_total: int
    bars: list[Bar]
    requests: int
    every: int
    notable_left_out: int
    trends: dict[str, Trend]


def report_page(facts: ReportFacts) -> str:
    """The whole page."""
    title = escape(_short(facts.title))
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        f"<title>{title}: kproto decode</title><style>{_resource('report.css')}</style></head><body><main>",
        f"<header><h1>{title}</h1><p>{escape(stats_heading(facts.stats))}</p></header>",
        *_tiles(facts),
        *_timeline(facts),
        *_findings(facts),
        *_latency(facts),
        *_tables(facts),
        "<footer>Made by kproto decode --report. Keys and values of records are not in this page.</footer></main>",
        f'<script type="application/json" id="data">{_data(facts)}</script>',
        f"<script>{_resource('report.js')}</script></body></html>\n",
    ]
    return "\n".join(parts)


def _resource(name: str) -> str:
    return files("kproto.tools.decode").joinpath(name).read_text(encoding="utf-8")


def _short(words: str) -> str:
    return words if len(words) <= NAME_LETTERS_MAX else words[: NAME_LETTERS_MAX - 1] + "…"


def _tiles(facts: ReportFacts) -> Iterator[str]:
    stats = facts.stats
    latency = stats.apis["Produce"].latency if "Produce" in stats.apis else stats.total.latency
    errors = sum(row[3] for row in stats.errors)
    violations = facts.audit.violations
    own = facts.findings_total - sum(facts.audit.codes.values())
    tiles = [
        ("requests", f"{stats.total.requests:,}", ""),
        ("records", f"{stats.total.batches.records.total:,}", ""),
        ("sent", size_text(stats.total.request_bytes), ""),
        ("median latency", f"{ms_text(latency.percentile(50))} ms" if latency.count else "none", ""),
        ("99th percentile", f"{ms_text(latency.percentile(99))} ms" if latency.count else "none", ""),
        ("error codes", f"{errors:,}", "warn" if errors else "good"),
        ("audit violations", f"{violations:,}", "bad" if violations else "good"),
        ("other findings", f"{own:,}", "warn" if own else "good"),
    ]
    yield '<section class="tiles">'
    for name, number, style in tiles:
        yield f'<div class="tile {style}"><b>{escape(number)}</b><span>{name}</span></div>'
    yield "</section>"


def _timeline(facts: ReportFacts) -> Iterator[str]:
    yield '<section id="timeline"><h2>Timeline</h2><div class="tools"><span class="group" role="group">'
    yield '<button data-by="conn" aria-pressed="true">connections</button>'
    yield '<button data-by="partition">partitions</button>'
    yield '</span><span class="group" role="group"><button data-zoom="in" aria-label="zoom in">+</button>'
    yield '<button data-zoom="out" aria-label="zoom out">&minus;</button><button data-zoom="all">whole</button></span>'
    yield (
        '<span class="legend">'
        + "".join(f'<span><i class="end{at}"></i>{name}</span>' for at, name in enumerate(LEGEND))
        + '<span><i class="found"></i>a finding</span></span></div>'
    )
    yield '<div id="scroll" tabindex="0" aria-label="timeline"><canvas></canvas><div id="room"></div></div>'
    yield '<div id="detail" aria-live="polite"></div>'
    yield "<noscript>The timeline needs JavaScript; all else is here without.</noscript>"
    drawn = f"{len(facts.bars):,} of {counted(facts.requests, 'request')}"
    if facts.every > 1:
        drawn += f": 1 in {facts.every:,}, and those with trouble"
    if facts.notable_left_out:
        drawn += f", of which {facts.notable_left_out:,} more are not drawn each"
    yield f'<p class="note">Drawn: {drawn}.</p></section>'


def _findings(facts: ReportFacts) -> Iterator[str]:
    total = f"{len(facts.findings):,} of {facts.findings_total:,}" if facts.findings_total else "none"
    yield f'<section id="findings"><h2>Findings <small>{total}</small></h2>'
    if facts.findings:
        yield '<div class="table"><table><thead><tr><th>frame</th><th>time</th><th>conn</th><th>what</th>'
        yield "<th></th></tr></thead><tbody>"
        for each in facts.findings:
            frame = "" if each.frame is None else f'<a href="#frame-{each.frame}">{each.frame}</a>'
            time = "" if each.time_ns is None else clock_text(each.time_ns)
            conn = each.conn or ""
            style = "notice" if each.finding.notice else "violation"
            cells = f"<td>{frame}</td><td>{time}</td><td>{conn}</td>"
            cells += f"<td><code>{escape(_short(each.finding.code))}</code></td>"
            text = escape(each.finding.text[:TEXT_LETTERS_MAX])
            yield f'<tr class="{style}">{cells}<td class="text">{text}</td></tr>'
        yield "</tbody></table></div>"
    yield "</section>"


def _latency(facts: ReportFacts) -> Iterator[str]:
    charts = [trend_chart(name, trend) for name, trend in facts.trends.items() if trend.count >= ANSWERS_MIN]
    many = [(name, tally.latency) for name, tally in facts.stats.apis.items() if tally.latency.count >= ANSWERS_MIN]
    charts += [histogram_chart(name, latency) for name, latency in many[:HISTOGRAMS_MAX]]
    if any(charts):
        yield '<section id="latency"><h2>Latency</h2><p class="legend"><span><i class="p50"></i>median</span>'
        yield '<span><i class="p99"></i>99 %</span><span><i class="max"></i>longest</span>'
        yield '<span><i class="end1"></i>errors</span></p><div class="charts">'
        yield from charts
        yield "</div></section>"


def _tables(facts: ReportFacts) -> Iterator[str]:
    stats = facts.stats
    for title, tallies in (("APIs", stats.apis), ("Brokers", stats.brokers), ("Clients", stats.clients)):
        rows = [[name, *tally_cells(tally, title == "APIs")] for name, tally in tallies.items()]
        yield from _table(title, ["", *TALLY_COLUMNS], rows)
    rows = [[name, *topic_cells(tally.batches)] for name, tally in stats.topics.items()]
    yield from _table("Topics", ["", *TOPIC_COLUMNS], rows, " · ".join(batch_lines(stats.total.batches)))
    errors = sorted(stats.errors, key=lambda row: -row[3])
    rows = [[name, str(code), api, f"{many:,}", str(first), str(last)] for api, name, code, many, first, last in errors]
    yield from _table("Errors", ["", "code", "API", "times", "first frame", "last frame"], rows)
    ledgers = sorted(facts.audit.ledgers, key=lambda row: -row[3].findings)
    rows = [[f"{topic}-{index}", str(pid), *ledger_cells(ledger)] for pid, topic, index, ledger in ledgers]
    yield from _table("Sequences", ["", "producer", *LEDGER_COLUMNS], rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> Iterator[str]:
    if not rows:
        return
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    yield f'<section><h2>{title}</h2><div class="table"><table><thead><tr>{head}</tr></thead><tbody>'
    for row in rows[:ROWS_MAX]:
        yield "<tr>" + "".join(f"<td>{escape(_short(cell))}</td>" for cell in row) + "</tr>"
    more = f"{len(rows) - ROWS_MAX:,} more are not shown. " if len(rows) > ROWS_MAX else ""
    yield f'</tbody></table></div><p class="note">{more}{escape(note)}</p></section>'


class _Names:
    """Numbers for names, in the order of appearance; those beyond NAMES_MAX share one."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._numbers: dict[Any, int] = {}

    def number(self, key: Any, name: str) -> int:
        """Of the key, which is shown by this name."""
        if key not in self._numbers and len(self.names) >= NAMES_MAX:
            key, name = None, "(others)"
        if key not in self._numbers:
            self._numbers[key] = len(self.names)
            self.names.append(_short(name))
        return self._numbers[key]


class _Drawn:
    """Bars as rows of numbers; `report.js` says what each place holds. Times in microseconds from `origin_ns`."""

    def __init__(self, origin_ns: int) -> None:
        self.origin_ns = origin_ns
        self.conns, self.partitions, self.apis, self.errors = _Names(), _Names(), _Names(), _Names()
        self.errors.number(0, "")
        self.requests: list[list[int]] = []
        self.batches: list[list[int]] = []

    def add(self, bar: Bar) -> None:
        """A request, and its batches."""
        for each in bar.batches:
            place = self.partitions.number((each.name, each.partition), f"{each.name}-{each.partition}")
            error = self._error(bar.errors.get((each.topic, each.partition), 0))
            identity = (each.producer_id, each.epoch, each.base_sequence)
            self.batches.append([len(self.requests), place, *identity, each.records, each.size, error])
        who = f"{bar.client} → {bar.broker}{f' · {bar.client_id}' if bar.client_id else ''}"
        self.requests.append(
            [
                self.conns.number(bar.conn, f"{bar.conn}: {who}"),
                (bar.from_ns - self.origin_ns) // 1000,
                -1 if bar.until_ns is None else max(0, bar.until_ns - bar.from_ns) // 1000,
                self.apis.number((bar.api, bar.version), f"{bar.api} {bar.version}"),
                bar.end.value,
                bar.frame,
                bar.answer or 0,
                bar.size,
                bar.answer_size,
                self._error(bar.error),
                bar.more_batches,
                int(bar.found),
            ]
        )

    def _error(self, code: int) -> int:
        return self.errors.number(code, error_name(code)) if code else 0


def _data(facts: ReportFacts) -> str:
    origin_ns = facts.stats.from_ns or 0
    drawn = _Drawn(origin_ns)
    for bar in facts.bars:
        drawn.add(bar)
    return _json(
        origin=origin_ns // 1000,
        span=max(1, ((facts.stats.to_ns or 0) - origin_ns) // 1000),
        conns=drawn.conns.names,
        partitions=drawn.partitions.names,
        apis=drawn.apis.names,
        errors=drawn.errors.names,
        requests=drawn.requests,
        batches=drawn.batches,
    )


def _json(**data: Any) -> str:
    """For a script element: nothing in it can end the element."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
