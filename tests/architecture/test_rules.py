"""docs/rules.md: each rule is named by a test, and each id that a test names is a rule."""

from __future__ import annotations

import re

import pytest

from .test_layers import ROOT

PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
RULES = re.findall(r"^\| ([A-Z]+-W?[0-9]+) \|", PAGE, re.MULTILINE)
FAMILIES = "|".join(sorted({rule.partition("-")[0].lower() for rule in RULES}))
TESTS = "\n".join(
    path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
    if path.parent.name != "architecture"
)
NAMED = {
    found.upper().replace("_", "-")
    for found in re.findall(rf"(?<![a-z])(?:{FAMILIES})[-_]w?[0-9]+(?![0-9])", TESTS, re.IGNORECASE)
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_is_named_by_a_test(rule):
    assert rule in NAMED


def test_each_id_that_a_test_names_is_a_rule():
    assert set(RULES) >= NAMED


def test_each_rule_stands_once():
    assert len(RULES) == len(set(RULES)) > 60
