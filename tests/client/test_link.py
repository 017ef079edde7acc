"""One socket of the driver: what it is set to, what the loop watches of it, and how it fails."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from itertools import product

import pytest
from client.loopback import has_ipv6

from kproto.client.effects import Open
from kproto.client.errors import ConfigError
from kproto.client.link import Link, check_loop, reason_of

SECONDS = 20


class NotedLoop:
    """Notes what it is asked to watch."""

    def __init__(self, closed=False):
        self.closed = closed
        self.noted = []

    def is_closed(self):
        return self.closed

    def add_reader(self, fd, callback):
        self.noted.append(("+read", fd, callback))

    def add_writer(self, fd, callback):
        self.noted.append(("+write", fd, callback))

    def remove_reader(self, fd):
        self.noted.append(("-read", fd))

    def remove_writer(self, fd):
        self.noted.append(("-write", fd))

    def taken(self):
        taken, self.noted = self.noted, []
        return [entry[0] for entry in taken]


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def link(listener):
    made = Link(Open(7, *listener.getsockname()), -1, -1)
    yield made
    made.socket.close()


def finished(link):
    """The addresses, once the system says that the attempt has ended."""
    assert select.select([], [link.socket], [], SECONDS)[1]
    return link.finish()


def test_a_link_connects_to_what_it_is_told(link, listener):
    assert (link.connection_id, link.connected, link.wants_write) == (7, False, True)
    ours, theirs = finished(link)
    assert theirs == listener.getsockname()
    assert ours == link.socket.getsockname()
    assert (link.connected, link.wants_write) == (True, False)


@pytest.mark.skipif(not has_ipv6(), reason="::1 cannot be bound here")
def test_an_ipv6_address_is_host_and_port_too():
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        link = Link(Open(1, "::1", port), -1, -1)
        ours, theirs = finished(link)
        assert theirs == ("::1", port) and len(ours) == 2
        link.socket.close()


def test_conn_17_sockets_send_at_once_and_notice_the_dead(link):
    assert link.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert link.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert not link.socket.getblocking()


def test_conn_17_buffers_are_the_systems_or_those_asked_for(listener):
    asked = Link(Open(1, *listener.getsockname()), 20_000, 30_000)
    usual = Link(Open(2, *listener.getsockname()), -1, -1)
    for option, size in [(socket.SO_SNDBUF, 20_000), (socket.SO_RCVBUF, 30_000)]:
        assert size <= asked.socket.getsockopt(socket.SOL_SOCKET, option) <= 2 * size  # Linux doubles
        with socket.socket() as untouched:
            assert usual.socket.getsockopt(socket.SOL_SOCKET, option) >= untouched.getsockopt(socket.SOL_SOCKET, option)
    asked.socket.close()
    usual.socket.close()


def test_a_refused_attempt_raises_when_it_has_ended():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = listener.getsockname()
    link = Link(Open(1, host, port), -1, -1)
    with pytest.raises(OSError, match="Connection refused"):
        finished(link)
    assert not link.connected
    link.socket.close()


def test_an_attempt_that_cannot_begin_raises_and_leaves_no_socket(monkeypatch):
    made = []

    class Noted(socket.socket):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(socket, "socket", Noted)
    with pytest.raises(OSError):  # noqa: PT011  # systems say it differently: unreachable, permission denied
        Link(Open(1, "255.255.255.255", 9), -1, -1)
    assert [one.fileno() for one in made] == [-1]


def test_buffers_are_written_in_order_by_one_call_or_by_one_each(link, listener):
    finished(link)
    accepted, _ = listener.accept()
    with accepted:
        assert link.send([b"one ", bytearray(b"two "), memoryview(b"three")]) == 13
        assert accepted.recv(100) == b"one two three"
        real = link.socket

        class WithoutSendmsg:  # as on Windows
            def send(self, data):
                return real.send(data)

        link.socket = WithoutSendmsg()
        assert link.send([b"four", b"five"]) == 4
        assert accepted.recv(100) == b"four"
        link.socket = real


def fill(link):
    while link.send([bytes(100_000)]):
        pass


def test_a_full_buffer_is_for_the_driver_to_wait_for(link):
    finished(link)
    with pytest.raises(BlockingIOError):
        fill(link)


def test_a_goodbye_is_written_if_it_can_be_and_nobody_waits_for_it(link, listener):
    link.say_goodbye(b"not connected yet")
    finished(link)
    accepted, _ = listener.accept()
    with accepted:
        link.say_goodbye(b"")
        link.say_goodbye(b"bye")
        assert accepted.recv(100) == b"bye"
        with pytest.raises(BlockingIOError):
            fill(link)
        link.say_goodbye(b"no room")
    link.socket.close()
    link.say_goodbye(b"it is gone")


@pytest.mark.parametrize(("before", "after"), list(product(product([False, True], repeat=2), repeat=2)))
def test_the_loop_watches_what_matters_now(link, before, after):
    loop = NotedLoop()
    link.connected, link.wants_write = before
    link.watch(loop, print, repr)
    loop.taken()
    if before[0] and not after[0]:
        return  # a link that is no longer connected is closed
    link.connected, link.wants_write = after
    assert link.watched == (before == after)
    link.watch(loop, print, repr)
    expected = (["+read"] if after[0] and not before[0] else []) + (
        [] if before[1] == after[1] else ["+write" if after[1] else "-write"]
    )
    assert loop.taken() == expected
    assert link.watched


@pytest.mark.parametrize("wants_write", [False, True])
def test_a_link_that_rests_is_left_alone_until_it_rests_no_more(link, wants_write):
    loop = NotedLoop()
    link.connected, link.wants_write = True, wants_write
    link.watch(loop, print, repr)
    loop.taken()
    for resting, sign in ((True, "-"), (False, "+"), (True, "-")):
        link.resting = resting
        assert not link.watched
        link.watch(loop, print, repr)
        assert loop.taken() == [f"{sign}read"] + [f"{sign}write"] * wants_write
        assert link.watched
    link.close(loop)
    assert loop.taken() == [], "it was forgotten before"


def test_a_link_that_is_connecting_does_not_rest(link):
    """Nobody but the loop hears that it has connected."""
    loop = NotedLoop()
    link.resting = True
    link.watch(loop, print, repr)
    assert loop.taken() == ["+write"]


def test_readable_and_writable_have_their_own_callbacks(link):
    loop = NotedLoop()
    link.connected = True
    link.watch(loop, print, repr)
    number = link.socket.fileno()
    assert loop.noted == [("+read", number, print), ("+write", number, repr)]


@pytest.mark.parametrize(("connected", "wants_write"), list(product([False, True], repeat=2)))
@pytest.mark.parametrize("closed", [False, True])
def test_the_loop_forgets_a_socket_before_it_is_closed(link, connected, wants_write, closed):
    loop = NotedLoop()
    link.connected, link.wants_write = connected, wants_write
    link.watch(loop, print, repr)
    loop.taken()
    loop.closed = closed
    link.connected = False  # as the driver has it by then
    link.close(loop)
    assert loop.taken() == ([] if closed else ["-read"] * connected + ["-write"] * wants_write)
    assert link.socket.fileno() == -1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (OSError("A text of its own"), "a text of its own"),
        (OSError(), "OSError"),
        (TimeoutError(110, "Connection timed out"), "connection timed out"),
    ],
)
def test_a_reason_begins_like_the_middle_of_a_sentence(error, reason):
    assert reason_of(error) == reason


def test_a_real_loop_takes_it(link):
    async def scenario():
        loop = asyncio.get_running_loop()
        writable = asyncio.Event()
        link.watch(loop, writable.clear, writable.set)
        async with asyncio.timeout(SECONDS):
            await writable.wait()
        link.finish()
        link.watch(loop, writable.clear, writable.set)
        link.close(loop)

    asyncio.run(scenario())


def test_a_loop_that_watches_sockets_is_left_as_it_was():
    loop = NotedLoop()
    check_loop(loop)
    (added, fd, _), (removed, same) = loop.noted
    assert (added, removed) == ("+read", "-read") and fd == same
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_loop_that_watches_no_sockets_is_refused_with_what_to_do_and_no_probe_is_left():
    probes = []

    class Proactor(NotedLoop):
        def add_reader(self, fd, callback):
            probes.append(fd)
            raise NotImplementedError

    with pytest.raises(ConfigError, match=r"the event loop Proactor cannot watch sockets .*SelectorEventLoop"):
        check_loop(Proactor())
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(probes[0])
