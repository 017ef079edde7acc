"""What is shown of an audit; test_audit.py compares the whole of it."""

from __future__ import annotations

import json

from kproto.tools.console import PipedConsole
from kproto.tools.decode.audit_view import (
    LEDGER_COLUMNS,
    AuditFacts,
    AuditFinding,
    audit_dict,
    ledger_cells,
    render_audit,
)
from kproto.tools.decode.ledger import Ledger
from kproto.tools.decode.model import Finding


def shown(facts):
    console = PipedConsole(width=250, color_system=None, soft_wrap=True)
    with console.capture() as captured:
        render_audit(facts, console)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_clean_capture():
    facts = AuditFacts([], {}, 0, [], 0)
    assert shown(facts) == ["audit: no violations, 0 notices, 0 sequence ledgers"]
    assert audit_dict(facts)["violations"] == 0


def test_findings_beyond_those_that_are_kept_are_counted():
    found = [
        AuditFinding(Finding("duplicate", "twice\n"), 3, 5_000_000_000, 1),
        AuditFinding(Finding("x", "y", True), *[None] * 3),
    ]
    facts = AuditFacts(found, {"duplicate": 500, "x": 1}, 500, [], 7)
    lines = shown(facts)
    assert lines[0] == "audit: 500 violations, 1 notice, 0 sequence ledgers"
    assert lines[1] == "duplicate frame 3, 00:00:05.000000, connection 1: twice\\n"
    assert lines[2] == "x y"
    assert lines[3] == "(499 more; in all: duplicate 500, x 1)"
    assert lines[4].startswith("7 ledgers were forgotten")
    assert json.dumps(audit_dict(facts))


def test_a_ledger_has_a_cell_for_each_column():
    ledger = Ledger()
    assert len(ledger_cells(ledger)) == len(LEDGER_COLUMNS)
    ledger.epochs = (2, 5)
    assert ledger_cells(ledger)[0] == "2-5"
    assert len(shown(AuditFacts([], {}, 0, [(number, "orders", 0, ledger) for number in range(150)], 0))) == 104
