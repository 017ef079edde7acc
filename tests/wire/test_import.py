"""What `import kproto.wire` does to a process: nothing but define names."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

seen = []

def audit(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.fork", "os.exec", "os.system", "_thread.start", "urllib.")):
        seen.append(event)
    if event == "open":
        path, mode, _ = arguments
        if isinstance(mode, str) and set(mode) & set("wax+"):
            seen.append(f"open {path} {mode}")

sys.dont_write_bytecode = True
before = set(sys.modules)
sys.addaudithook(audit)
import kproto.wire
import kproto.wire.records
roots = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names)
print(sorted(roots), seen)
"""


def test_only_the_layers_own_dependencies_and_no_side_effects():
    """The codecs and the checksum come with their first use; hypothesis only with `strategies`."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == "['construct', 'kproto'] []"
