"""The README can not lie: its Python is run, its commands exist, its links lead somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tools.judge_server import JudgeServer

from kproto.tools.cli import kproto

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", README, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ ([^#\n]+?)(?: +#.*)?$", README, re.MULTILINE)


def test_the_examples_print_what_is_shown():
    found = doctest.DocTestParser().get_doctest(README, {}, "README.md", "README.md", 0)
    assert len(found.examples) > 15
    runner = doctest.DocTestRunner()
    output: list[str] = []
    runner.run(found, out=output.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(output)


@pytest.fixture(scope="module")
def broker():
    """Where the examples' localhost:9092 is."""
    with JudgeServer({"orders": 3}) as server:
        yield server.bootstrap_servers


@pytest.mark.parametrize("block", [block for block in BLOCKS if ">>>" not in block[0]])
def test_the_programs_run_and_print_what_is_shown(block, broker, capsys, monkeypatch, tmp_path):
    """A function in them that is a test is called."""
    monkeypatch.chdir(tmp_path)
    program, shown = block
    scope: dict[str, Any] = {"__name__": "readme"}
    exec(compile(program.replace("localhost:9092", broker), "README.md", "exec"), scope)
    for name, value in list(scope.items()):
        if name.startswith("test_"):
            value()
    assert capsys.readouterr().out.replace(broker, "localhost:9092") == shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_exists(command, broker, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "access.log").write_text("GET /\nGET /orders\n")
    program, *arguments = command.split()
    if program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert arguments[0] in targets
    elif program == "kproto":
        done = CliRunner().invoke(kproto, [argument.replace("localhost:9092", broker) for argument in arguments])
        assert done.exit_code == 0, done.output
    else:
        pytest.fail(f"no test runs {program}")


def test_the_links_lead_to_files():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_the_changelog_tells_of_every_command():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    for name in kproto.commands:
        assert f"`{name}" in changelog, name
