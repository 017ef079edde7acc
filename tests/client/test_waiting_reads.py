"""A thread that waits for sockets itself: which of them it marks, and when it waits no longer."""

from __future__ import annotations

import select
import socket
from types import SimpleNamespace

import pytest

from kproto.client import waiting_reads as module
from kproto.client.waiting_reads import CAN_WAIT, wait_readable

SECONDS_MS = 20_000

pytestmark = pytest.mark.skipif(not CAN_WAIT, reason="no poll here")


@pytest.fixture
def pair():
    """A link, and the other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield linked(ours), theirs


@pytest.fixture
def other():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield linked(ours), theirs


def linked(ours, connected=True):
    return SimpleNamespace(socket=ours, connected=connected, readable=False)


def test_what_has_come_is_found_and_only_there(pair, other):
    (link, theirs), (silent, _) = pair, other
    theirs.send(b"x")
    assert wait_readable([silent, link], SECONDS_MS)
    assert link.readable and not silent.readable
    assert link.socket.recv(10) == b"x", "it is not read"


def test_all_that_can_be_read_are_marked(pair, other):
    for _, theirs in (pair, other):
        theirs.send(b"x")
    assert wait_readable((link for link, _ in (pair, other)), SECONDS_MS)
    assert pair[0].readable and other[0].readable


def test_an_end_that_is_closed_can_be_read(pair):
    link, theirs = pair
    theirs.close()
    assert wait_readable([link], SECONDS_MS)
    assert link.readable and link.socket.recv(1) == b""


@pytest.mark.parametrize("timeout_ms", [0, 1])
def test_where_nothing_comes_it_waits_no_longer_than_it_is_told(pair, timeout_ms):
    link, _ = pair
    assert not wait_readable([link], timeout_ms)
    assert not wait_readable([], timeout_ms)
    assert not link.readable


def test_a_mark_that_was_there_stays(pair):
    link, _ = pair
    link.readable = True
    assert not wait_readable([link], 0)
    assert link.readable


def test_what_is_not_connected_or_is_closed_is_not_waited_for(pair, other):
    (connecting, theirs), (closed, _) = pair, other
    connecting.connected = False
    theirs.send(b"x")
    closed.socket.close()
    assert not wait_readable([connecting, closed], 0)
    assert not connecting.readable and not closed.readable


def test_the_time_is_in_milliseconds_and_only_reading_is_waited_for(pair, monkeypatch):
    """A socket that can be written to would end every wait at once."""
    asked = []

    class Poll:
        def register(self, number, events):
            asked.append((number, events))

        def poll(self, timeout_ms):
            asked.append(timeout_ms)
            return []

    monkeypatch.setattr(module.select, "poll", Poll)
    link, _ = pair
    assert not wait_readable([link], 7)
    assert asked == [(link.socket.fileno(), select.POLLIN), 7]
