"""Names are looked up by threads that nobody waits for."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time

import pytest

from kproto.client import lookup
from kproto.client.errors import KafkaConnectionError
from kproto.client.lookup import look_up

SECONDS = 20


def found(host, port=9092):
    """What is found, and by which thread."""
    told, thread = [], []
    done = threading.Event()

    def note(result):
        told.append(result)
        thread.append(threading.current_thread())
        done.set()

    look_up(host, port, note)
    assert done.wait(SECONDS)
    if thread[0] is not threading.current_thread():
        thread[0].join(SECONDS)
    (result,) = told
    return result, thread[0]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2001:db8::7"])
def test_a_numeric_address_is_itself_at_once(address):
    assert found(address) == ([address], threading.current_thread())


def answers(monkeypatch, addresses):
    """Let the system's resolver say this for names; a numeric one it is asked for first."""
    asked = []

    def getaddrinfo(host, port, *, type, proto, flags):  # noqa: A002  # its name
        asked.append((host, port, type, proto, flags))
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if isinstance(addresses, Exception):
            raise addresses
        return [(0, type, proto, "", (address, port)) for address in addresses]

    monkeypatch.setattr(lookup.socket, "getaddrinfo", getaddrinfo)
    return asked


def test_a_name_is_all_its_addresses_in_the_systems_order(monkeypatch):
    asked = answers(monkeypatch, ["::1", "10.0.0.2", "10.0.0.1", "::1"])
    result, thread = found("broker", 9093)
    assert result == ["::1", "10.0.0.2", "10.0.0.1"]
    assert thread.daemon and thread.name == "kproto-lookup-broker"
    tcp = (socket.SOCK_STREAM, socket.IPPROTO_TCP)
    assert asked == [("broker", 9093, *tcp, socket.AI_NUMERICHOST), ("broker", 9093, *tcp, 0)]


def test_the_systems_own_resolver_knows_localhost():
    result, _ = found("localhost")
    assert set(result) <= {"127.0.0.1", "::1"} and result


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (OSError("no resolver"), "no resolver"),
        (UnicodeError("label empty or too long"), "label empty or too long"),
    ],
)
def test_a_name_that_cannot_be_resolved_says_why(monkeypatch, error, why):
    answers(monkeypatch, error)
    result, _ = found("no.such.broker", 9092)
    assert isinstance(result, KafkaConnectionError)
    assert str(result) == f"no.such.broker:9092: the name cannot be resolved: {why}"


def test_a_name_that_is_none_says_why():
    """Python itself refuses a label of more than 63 letters."""
    result, _ = found("x" * 64 + ".test")
    assert isinstance(result, KafkaConnectionError) and "the name cannot be resolved" in str(result)


def test_a_resolver_that_hangs_does_not_delay_the_exit_of_the_interpreter():
    program = """
import asyncio, socket, threading
real = socket.getaddrinfo

def hang(host, *arguments, **settings):
    if host == "localhost" and not settings.get("flags"):
        threading.Event().wait()
    return real(host, *arguments, **settings)

socket.getaddrinfo = hang
from kproto.client import Client, KafkaError

async def main():
    client = Client("localhost:9092")
    try:
        await client.start(0.1)
    except KafkaError as error:
        print(error)
    await client.close()
    print(sum(thread.name == "kproto-lookup-localhost" for thread in threading.enumerate()))

asyncio.run(main())
"""
    before = time.monotonic()
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == (
        "the first answer of a broker: nothing within 100 ms\n1\n",
        "",
        0,
    )
    assert time.monotonic() - before < 30
