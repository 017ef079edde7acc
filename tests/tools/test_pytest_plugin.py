"""The fixture `kproto_broker`, as a test of an application has it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from kproto.tools import pytest_plugin

TESTS = """
import socket, pytest

def connect(broker):
    host, port = broker.bootstrap_servers.split(":")
    return socket.create_connection((host, int(port)))

def test_good(kproto_broker):
    kproto_broker.faults.close("Produce")
    assert "orders" not in kproto_broker.do("state")["topics"]
    connect(kproto_broker).close()

@pytest.mark.kproto_broker({"orders": 2}, nodes=2)
def test_marked(kproto_broker):
    state = kproto_broker.do("state")
    assert len(state["topics"]["orders"]) == len(state["nodes"]) == 2

def test_bad(kproto_broker):
    with connect(kproto_broker) as one:
        one.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n")
        assert one.recv(10) == b""
"""


def test_the_entry_point_is_there():
    (found,) = entry_points(group="pytest11", name="kproto")
    assert found.load() is pytest_plugin


def test_a_client_that_does_wrong_fails_its_test(tmp_path):
    (tmp_path / "test_app.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", "-W", "error"]
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, encoding="utf-8", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "3 passed, 1 error" in done.stdout, done.stdout
    assert "JudgeViolation" in done.stdout


def test_a_test_without_a_broker_imports_none():
    code = "import sys, kproto.tools.pytest_plugin; print([m for m in sys.modules if 'broker' in m or 'wire' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "[]\n"


@pytest.mark.kproto_broker({"orders": 1})
def test_here(kproto_broker):
    assert kproto_broker.records("orders") == []
