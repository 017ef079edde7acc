"""`kproto demo`: what the demonstration is told, and a recorded session."""

from __future__ import annotations

from click.testing import CliRunner

from kproto.tools import demo_command
from kproto.tools.cli import kproto

RECORDED = ("demo", "--recorded")


def run(*arguments):
    return CliRunner().invoke(kproto, list(arguments), prog_name="kproto")


class ToldDemo:
    """In place of the demonstration, which needs a broker: says what it was told."""

    def __init__(self, console, settings, records, recording, every, broker):
        console.print(settings.get("bootstrap_servers", broker or "any broker"), records, recording, every)

    def run(self):
        return 0


def test_demo_is_told_what_it_shall_do(monkeypatch, tmp_path):
    monkeypatch.setattr(demo_command, "Demo", ToldDemo)
    assert run("demo").output == "any broker 200000 None False\n"
    assert run("demo", "--broker", "judge").output == "judge 200000 None False\n"
    assert run("demo", "--broker", "judge", "-b", "me:1").exit_code == 2
    path = tmp_path / "a.pcapng"
    told = run("demo", "-b", "me:1", "--records", "5", "--record", str(path), "--all").output
    assert told == f"me:1 5 {path} True\n"


def test_demo_is_plain_when_piped():
    assert "0006  4e                                                  api_keys" in run(*RECORDED).output
    assert "\x1b" not in run(*RECORDED).output
    assert len(run(*RECORDED, "--all").output) > 2 * len(run(*RECORDED).output)


def test_demo_is_coloured_on_a_terminal_unless_it_shall_be_plain(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[36m" in run(*RECORDED).output
    assert "\x1b" not in run(*RECORDED, "--plain").output
