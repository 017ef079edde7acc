"""What an audit found, as text for people and as a dictionary for programs.

Layer: tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kproto.tools.decode.ledger import Ledger
from kproto.tools.decode.model import Finding
from kproto.tools.decode.texts import clock_text, counted, printable

__all__ = ["LEDGER_COLUMNS", "AuditFacts", "AuditFinding", "audit_dict", "ledger_cells", "render_audit"]

ROWS_MAX: Final = 100
LEDGER_COLUMNS: Final = (
    "epochs",
    "sequences",
    "batches",
    "records",
    "acknowledged",
    "refused",
    "lost",
    "again",
    "findings",
)


class AuditFinding(NamedTuple):
    """A finding, and where: the frame that showed it, its time and connection.

    None for what the capture as a whole shows.
    """

    finding: Finding
    frame: int | None
    time_ns: int | None
    conn: int | None


@dataclass(frozen=True, slots=True)
class AuditFacts:
    """findings: the first ones; codes: how many there were of each; ledgers: producer id, topic, partition and ledger.

    dropped: ledgers that were forgotten for want of room.
    """

    findings: list[AuditFinding]
    codes: dict[str, int]
    violations: int
    ledgers: list[tuple[int, str, int, Ledger]]
    dropped: int


def audit_dict(facts: AuditFacts) -> dict[str, Any]:
    """For JSON."""
    return {
        "violations": facts.violations,
        "codes": facts.codes,
        "findings": [
            {
                "code": each.finding.code,
                "text": each.finding.text,
                "notice": each.finding.notice,
                "frame": each.frame,
                "time": None if each.time_ns is None else each.time_ns / 1_000_000_000,
                "conn": each.conn,
            }
            for each in facts.findings
        ],
        "partitions": [
            {
                "producer_id": producer_id,
                "topic": topic,
                "partition": partition,
                "epochs": list(ledger.epochs or ()),
                "first_sequence": ledger.first,
                "next_sequence": ledger.next,
                "batches": ledger.batches,
                "records": ledger.records,
                "acknowledged": ledger.written,
                "refused": ledger.refused,
                "lost": ledger.lost,
                "again": ledger.again,
                "findings": ledger.findings,
            }
            for producer_id, topic, partition, ledger in facts.ledgers
        ],
        "partitions_dropped": facts.dropped,
    }


def render_audit(facts: AuditFacts, console: Console) -> None:
    """Print the verdict, each finding, and a line for each partition of each producer."""
    notices = sum(facts.codes.values()) - facts.violations
    verdict = counted(facts.violations, "violation") if facts.violations else "no violations"
    style = "bold red" if facts.violations else "bold green"
    ledgers = counted(len(facts.ledgers), "sequence ledger")
    console.print(Text(f"audit: {verdict}, {counted(notices, 'notice')}, {ledgers}", style=style))
    for each in facts.findings[:ROWS_MAX]:
        place = "" if each.frame is None else f"frame {each.frame}, "
        when = "" if each.time_ns is None else f"{clock_text(each.time_ns)}, connection {each.conn}: "
        mark = Text(f"{each.finding.code:<16} ", style="yellow" if each.finding.notice else "red")
        console.print(Text.assemble(mark, place, when, printable(each.finding.text)))
    more = sum(facts.codes.values()) - min(len(facts.findings), ROWS_MAX)
    if more > 0:
        told = ", ".join(f"{code} {count:,}" for code, count in facts.codes.items())
        console.print(Text(f"({more:,} more; in all: {told})", style="dim"))
    if facts.ledgers:
        console.print()
        console.print(_table(facts))
    if facts.dropped:
        text = (
            f"{counted(facts.dropped, 'ledger')} were forgotten for want of room: what is told of them is not complete"
        )
        console.print(Text(text, style="dim"))


def ledger_cells(ledger: Ledger) -> list[str]:
    """What stands in LEDGER_COLUMNS."""
    first, last = ledger.epochs or (0, 0)
    numbers = ledger.batches, ledger.records, ledger.written, ledger.refused, ledger.lost, ledger.again, ledger.findings
    return [
        str(first) if first == last else f"{first}-{last}",
        f"from {ledger.first}, next {ledger.next}",
        *(f"{number:,}" for number in numbers),
    ]


def _table(facts: AuditFacts) -> Table:
    table = Table("partition", box=None, header_style="bold", pad_edge=False)
    for column in ("producer", *LEDGER_COLUMNS):
        table.add_column(column, justify="right")
    ranked = sorted(facts.ledgers, key=lambda row: -row[3].findings)
    for producer_id, topic, partition, ledger in ranked[:ROWS_MAX]:
        style = "red" if ledger.findings else ""
        table.add_row(printable(f"{topic}-{partition}"), str(producer_id), *ledger_cells(ledger), style=style)
    if len(ranked) > ROWS_MAX:
        table.add_row(f"({len(ranked) - ROWS_MAX:,} more)")
    return table
