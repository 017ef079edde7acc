"""The `kproto` command: what it prints, and how it ends."""

import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import entry_points, version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tools.decode.packets import pcap
from tools.decode.test_decode_command import clean
from tools.judge_server import JudgeServer
from tools.test_demo_command import ToldDemo

from kproto.tools import demo_command
from kproto.tools.broker import broker_command
from kproto.tools.cli import COMMANDS, kproto, main

COMMAND = [sys.executable, "-m", "kproto.tools"]


RECORDED = ("demo", "--recorded")


def run(*arguments, data=b""):
    return CliRunner().invoke(kproto, list(arguments), prog_name="kproto", input=data)


def commands(command=kproto, path=()):
    yield command, path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from commands(command.get_command(context, name), (*path, name))


def ended(monkeypatch, *arguments):
    """The exit code of `main`."""
    monkeypatch.setattr(sys, "argv", ["kproto", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    return exited.value.code


@pytest.fixture
def cluster():
    with JudgeServer({"orders": 2, "payments": 2}) as server:
        yield server


@pytest.mark.parametrize("path", [path for _, path in commands()], ids=" ".join)
def test_every_help_has_examples_that_work(path, cluster, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_command, "Demo", ToldDemo)
    monkeypatch.setattr(broker_command, "until_interrupted", lambda: None)
    Path("plan.json").write_text('{"topics": {"orders": 1}}')
    Path("client.properties").write_text("client.id = me\n")
    Path("access.log").write_text("one\ntwo\n")
    Path("pairs.txt").write_text("a:1\nb:2\n")
    Path("records.ndjson").write_text('{"value": "a"}\n')
    Path("capture.pcap").write_bytes(pcap(clean(), step_ns=100_000_000))
    shown = run(*path, "--help")
    assert shown.exit_code == 0
    examples = re.findall(
        r"^ +(?:echo (\w+) \| )?kproto ([^|<\n]+?)(?: \| less)?(?: < (\S+))?$", help_of(shown), re.MULTILINE
    )
    assert len(examples) == len(help_of(shown).strip().splitlines())
    for echoed, example, source in examples:
        data = Path(source).read_bytes() if source else f"{echoed}\n".encode()
        here = example.replace("localhost:9092", cluster.bootstrap_servers).replace("--port 9092", "--port 0")
        arguments = shlex.split(here)
        result = run(*arguments, data=data)
        assert result.exit_code == 0, (example, result.output)
        assert result.output


def help_of(shown):
    """The examples, a line each."""
    return shown.output.partition("Examples:\n")[2].partition("\n\n")[0]


def test_version():
    assert run("--version").output == f"kproto, version {version('kproto')}\n"


def loaded_by(*arguments):
    """The modules that a command has imported when it ends."""
    code = (
        "import sys\nfrom kproto.tools.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nprint(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True, encoding="utf-8")
    assert done.stdout
    return set(done.stderr.split())


def test_a_command_imports_no_other(tmp_path):
    heavy = {"asyncio", "kproto.client", "kproto.producer", "dpkt", "rich.console"}
    assert not loaded_by("--version") & {*heavy, "construct", "kproto.wire"}
    capture = tmp_path / "capture.pcap"
    capture.write_bytes(pcap(clean(), step_ns=100_000_000))
    assert not loaded_by("decode", str(capture), "--format", "ndjson") & heavy
    assert not loaded_by("decode", str(capture), "--stats") & {*heavy, "rich.progress"} - {"rich.console"}
    assert not loaded_by("schema", "matrix") & {"asyncio", "kproto.client", "kproto.producer"}


def test_the_table_of_commands_names_each_once():
    context = click.Context(kproto)
    for name in COMMANDS:
        assert kproto.get_command(context, name).name == name


def test_the_command_is_installed():
    (found,) = entry_points(group="console_scripts", name="kproto")
    assert found.load() is main


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("schema", "show", "Prodce"), "no declared API 'Prodce': did you mean 'Produce'?"),
        (("schema", "show", "99"), "no declared API '99'"),
        (("schema", "show", "\u00b2"), "no declared API"),
        (("schema", "show", "Produce", "14"), "ProduceRequest has versions 0-13, not 14"),
        (("schema", "show", "Produce", "x"), "not a valid integer"),
        (("schema", "diff", "Produce", "8", "14"), "ProduceRequest has versions 0-13, not 14"),
        (("schema", "diff", "Produce", "9", "8"), "9 comes behind 8"),
        (("nonsense",), "No such command 'nonsense'"),
        (("demo", "--nonsense"), "No such option"),
    ],
)
def test_bad_input_ends_with_2(monkeypatch, capsys, arguments, says):
    assert ended(monkeypatch, *arguments) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("arguments", [RECORDED, ("--help",), ("schema", "matrix"), ("--version",)])
def test_what_is_fine_ends_with_0(monkeypatch, capsys, arguments):
    assert ended(monkeypatch, *arguments) == 0
    assert capsys.readouterr().out


def test_a_damaged_frame_is_bad_input(monkeypatch, capsys):
    monkeypatch.setattr(demo_command, "shipped_session", lambda: "> 0063000000000000")
    assert ended(monkeypatch, *RECORDED) == 2
    assert capsys.readouterr().err == (
        "Error: RequestHeader request_api_key at byte 0: expected a declared API, found 99\n"
    )


def test_an_interrupt_ends_with_130(monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(demo_command, "shipped_session", interrupt)
    assert ended(monkeypatch, *RECORDED) == 130


def test_a_finding_keeps_its_code(monkeypatch):
    monkeypatch.setattr(demo_command, "shipped_session", lambda: click.get_current_context().exit(1))
    assert ended(monkeypatch, *RECORDED) == 1


def test_a_pipe_gets_what_the_terminal_gets():
    environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    done = subprocess.run([*COMMAND, *RECORDED], capture_output=True, check=True, env=environment, encoding="utf-8")
    assert done.stdout == run(*RECORDED).output
    assert done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a shell with head")
def test_a_reader_who_leaves_ends_it_silently():
    line = f"{shlex.join(COMMAND)} demo --recorded --all | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=False, encoding="utf-8")
    assert done.stdout == run(*RECORDED).output.partition("\n")[0] + "\n"
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name != "posix", reason="pipes end differently")
@pytest.mark.parametrize("arguments", [RECORDED, ("--help",), ("schema", "matrix")])
def test_a_reader_who_has_left_before_ends_it_silently(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, *arguments], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_output_in_ascii_is_no_error():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments in (RECORDED, ("schema", "matrix")):
        done = subprocess.run([*COMMAND, *arguments], capture_output=True, check=True, env=environment)
        assert done.stdout.isascii()
