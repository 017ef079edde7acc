"""The examples of docs/decode.md: each `$` line is run, and what it prints stands below it.

`PYTHONPATH=tests python -m tools.decode.documented` writes them anew.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from tempfile import TemporaryDirectory

from click.testing import CliRunner
from tools.decode.packets import pcap
from tools.decode.test_decode_command import clean

from kproto.tools.cli import kproto

PAGE = Path(__file__).parents[3] / "docs" / "decode.md"
FENCE = re.compile(r"^```\n(\$ .*?)^```$", re.MULTILINE | re.DOTALL)


def filled(page: str) -> str:
    """The page with the output of its commands."""
    with TemporaryDirectory() as folder:
        capture = Path(folder) / "capture.pcap"
        capture.write_bytes(pcap(clean(), start_ns=1_700_000_000 * 10**9))
        return FENCE.sub(lambda match: _filled(match[1], str(capture)), page)


def _filled(block: str, capture: str) -> str:
    shown = []
    for line in block.splitlines():
        if line.startswith("$ "):
            words = ["".join(word.replace("capture.pcap", capture)) for word in shlex.split(line[2:])]
            result = CliRunner().invoke(kproto, words[1:], prog_name="kproto")
            assert result.exit_code == 0, (line, result.output)
            shown += [line, *(each.rstrip() for each in result.stdout.splitlines())]
    return "```\n" + "\n".join(shown) + "\n```"


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
