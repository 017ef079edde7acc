"""One suite for the driver, with a core that does as it is told, on each kind of event loop and on real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import sys
import threading
import time
import weakref
from collections import defaultdict, deque
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from client.loopback import Loopback, has_ipv6
from client.loops import LOOPS, loop_factory
from client.other_ends import ClosingEnd, RawEnd

from kproto.client import driver as driver_module
from kproto.client import passes as passes_module
from kproto.client.driver import DRIVE_MS, Driver, monotonic_ms
from kproto.client.effects import Close, FetchToken, Open, Resolve
from kproto.client.errors import ConfigError
from kproto.client.link import Link, check_loop
from kproto.client.passes import DECISIONS_MAX, READS_MAX

SECONDS = 20  # that a test waits for what has to happen
THREADS = 4
CALLS = 10_000
FAR_MS = 3_600_000
LATER_NS = 1 << 62  # than any clock says
END_OF_TIME_S = 1e9


class EchoEnd(RawEnd):
    """Says what it hears."""

    def __init__(self):
        super().__init__(b"", close=False)

    def receive(self, data, now_ms=0):
        self._waiting += data


class ByteCore:
    """Its effects are in `effects`, its bytes in `outbound`, its deadline in `deadline_ms`; it notes what it hears."""

    def __init__(self):
        self.effects = []
        self.outbound = defaultdict(deque)
        self.deadline_ms = None
        self.told = []
        self.received = defaultdict(bytearray)
        self.reads = []
        self.writes = []
        self.polls = []
        self.on_data = lambda connection_id: None

    def resolved(self, host, addresses, now_ms):
        self.told.append(("resolved", host, tuple(addresses)))

    def connection_made(self, connection_id, now_ms):
        self.told.append(("made", connection_id))

    def data_received(self, connection_id, data, now_ms):
        self.received[connection_id] += data
        self.reads.append(len(data))
        self.on_data(connection_id)

    def connection_lost(self, connection_id, reason, now_ms):
        self.told.append(("lost", connection_id, reason))

    def token_fetched(self, connection_id, token, now_ms):
        self.told.append(("token", connection_id, token))

    def data_to_send(self, connection_id):
        return self.outbound[connection_id]

    def data_sent(self, connection_id, size, now_ms):
        self.writes.append(size)
        waiting = self.outbound[connection_id]
        while size:
            head = waiting.popleft()
            if size < len(head):
                waiting.appendleft(memoryview(head)[size:])
                return
            size -= len(head)

    def poll(self, now_ms):
        self.polls.append(now_ms)
        taken, self.effects = self.effects, []
        return taken

    def next_deadline_ms(self):
        return self.deadline_ms

    def wants_poll_after_write(self, now_ms):
        return True


class Observer:
    """Notes what it hears."""

    def __init__(self):
        self.heard = []

    def opened(self, connection_id, local, remote):
        self.heard.append(("opened", connection_id, local, remote))

    def frame(self, connection_id, sent, frame):
        raise AssertionError("frames are the core's")

    def closed(self, connection_id):
        self.heard.append(("closed", connection_id))


class World:
    """A core and its driver on the running loop. Made in a coroutine; `until` waits for what the passes bring."""

    def __init__(self, **settings):
        self.core = ByteCore()
        self.observer = Observer()
        self.loop = asyncio.get_running_loop()
        self.threads = []  # those that delivered
        self._passed = asyncio.Event()
        self.on_deliver = lambda: None
        self.driver = Driver(
            self.core,
            loop=self.loop,
            collect=lambda: len(self.core.told),
            deliver=self._deliver,
            **{"observer": self.observer, **settings},
        )

    def _deliver(self, collected):
        self.threads.append(threading.get_ident())
        self.on_deliver()
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._passed.set)

    async def until(self, condition):
        async with asyncio.timeout(SECONDS):
            while not condition():
                await self._passed.wait()
                self._passed.clear()

    async def connect(self, host, port, connection_id=1):
        self.do(Open(connection_id, host, port))
        await self.until(lambda: ("made", connection_id) in self.core.told)

    def do(self, *effects):
        """The effects are the core's next ones."""
        self.driver.call(lambda now_ms: self.core.effects.extend(effects))

    def send(self, data, connection_id=1):
        self.driver.call(lambda now_ms: self.core.outbound[connection_id].append(data))

    async def turns(self, times=5):
        """The loop goes round so often."""
        for _ in range(times):
            await asyncio.sleep(0)


@pytest.fixture(params=LOOPS)
def make_loop(request):
    """Makes loops of each kind."""
    return loop_factory(request.param)


@pytest.fixture
def run(make_loop):
    """Runs a coroutine on such a loop."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        yield runner.run


@pytest.fixture
def hectic():
    """Threads change as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def hosts():
    unbound = pytest.mark.skipif(not has_ipv6(), reason="::1 cannot be bound here")
    return pytest.mark.parametrize("host", ["127.0.0.1", pytest.param("::1", marks=unbound)])


@contextmanager
def full_listener():
    """A port that takes no more connections: the next one stays in the making. Linux drops what does not fit."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        try:
            for _ in range(3):
                one = socket.socket()
                one.setblocking(False)
                one.connect_ex(listener.getsockname())
                waiting.append(one)
            yield listener.getsockname()
        finally:
            for one in waiting:
                one.close()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@hosts()
def test_bytes_go_there_and_back(run, host):
    async def scenario():
        world = World()
        with Loopback(EchoEnd, host=host) as server:
            await world.connect(host, server.port)
            world.send(b"hello")
            await world.until(lambda: world.core.received[1] == b"hello")
            world.do(Close(1))
            ((opened, number, local, remote), closed) = world.observer.heard
            assert (opened, number, remote, closed) == ("opened", 1, (host, server.port), ("closed", 1))
            assert local[0] == host and local[1] != server.port
            assert world.core.told == [("made", 1)]
        world.driver.close()

    run(scenario())


def test_a_goodbye_is_written_before_the_socket_is_closed(run):
    async def scenario():
        world, ends = World(), []

        def accept():
            ends.append(RawEnd(b"", close=False))
            return ends[-1]

        with Loopback(accept) as server:
            await world.connect(server.host, server.port)
            world.do(Close(1, b"goodbye"))
            await world.turns()
            while not server.call(lambda: ends[0].closed):
                await asyncio.sleep(0)
            assert bytes(ends[0].received) == b"goodbye"
            assert world.core.told == [("made", 1)]
        world.driver.close()

    run(scenario())


def test_a_refused_connection_says_so(run):
    async def scenario():
        world = World()
        world.do(Open(1, "127.0.0.1", free_port()))
        await world.until(lambda: world.core.told)
        assert world.core.told == [("lost", 1, "connection refused")]
        assert world.observer.heard == []
        world.driver.close()

    run(scenario())


def test_an_address_that_cannot_be_connected_to_is_lost_at_once(run):
    async def scenario():
        world = World()
        world.do(Open(1, "255.255.255.255", 9))
        ((lost, number, reason),) = world.core.told
        assert (lost, number) == ("lost", 1) and reason
        world.driver.close()

    run(scenario())


def test_a_broker_that_accepts_and_closes(run):
    async def scenario():
        world = World()
        with Loopback(ClosingEnd) as server:
            await world.connect(server.host, server.port)
            await world.until(lambda: ("lost", 1, None) in world.core.told)
            assert world.observer.heard[-1] == ("closed", 1)
        world.driver.close()

    run(scenario())


def test_a_reset_connection_says_so(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            server.reset()
            await world.until(lambda: ("lost", 1, "connection reset by peer") in world.core.told)
        world.driver.close()

    run(scenario())


def test_a_connection_that_is_gone_once_it_is_made(run, monkeypatch):
    """The reset comes between the two questions after the attempt: how it ended, and with whom."""

    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            world.do(Open(1, server.host, server.port))
            link = world.driver._links[1]
            real = link.socket

            class Gone:
                def __getattr__(self, name):
                    return getattr(real, name)

                def getpeername(self):
                    raise OSError(107, "Transport endpoint is not connected")

            link.socket = Gone()
            await world.until(lambda: world.core.told)
            assert world.core.told == [("lost", 1, "transport endpoint is not connected")]
        world.driver.close()

    run(scenario())


def test_answers_may_come_byte_by_byte(run):
    async def scenario():
        world = World()
        said = bytes(range(256)) * 4
        with Loopback(EchoEnd, chunk=1) as server:
            await world.connect(server.host, server.port)
            world.send(said)
            await world.until(lambda: len(world.core.received[1]) == len(said))
            assert world.core.received[1] == said
        world.driver.close()

    run(scenario())


def test_megabytes_go_both_ways_through_small_buffers(run):
    async def scenario():
        world = World(send_buffer_bytes=8_192, receive_buffer_bytes=8_192)
        said = [os.urandom(3_000_000), b"tail"] + [b"%d" % index for index in range(1_000)]
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            world.driver.call(lambda now_ms: world.core.outbound[1].extend(said))
            assert world.driver._links[1].wants_write  # the system took a part of it
            whole = b"".join(said)
            await world.until(lambda: len(world.core.received[1]) == len(whole))
            assert world.core.received[1] == whole
            assert len(world.core.writes) > 10
            assert not world.driver._links[1].wants_write
        world.driver.close()

    run(scenario())


def test_one_busy_connection_leaves_the_others_their_turn(run, monkeypatch):
    monkeypatch.setattr(passes_module, "READ_SIZE", 10)

    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            world.send(bytes(10 * READS_MAX * 5))
            await world.until(lambda: len(world.core.received[1]) == 10 * READS_MAX * 5)
            most = 0
            for _ in range(3):
                world.core.reads.clear()
                world.driver.run_pass()
                most = max(most, len(world.core.reads))
            assert most <= READS_MAX
            world.core.reads.clear()
            world.send(bytes(10 * READS_MAX * 5))
            server.call(lambda: None)
            while not world.core.reads:
                world.driver.run_pass()
            assert len(world.core.reads) <= READS_MAX
            await world.until(lambda: len(world.core.received[1]) == 10 * READS_MAX * 10)
        world.driver.close()

    run(scenario())


def test_a_core_that_never_ends_deciding_leaves_the_loop_its_turn(run):
    async def scenario():
        world = World()
        more = count()
        real_poll = world.core.poll

        def poll(now_ms):
            real_poll(now_ms)
            return [Close(999)] if next(more) < 3 * DECISIONS_MAX else []

        world.core.poll = poll
        world.driver.run_pass()
        assert len(world.core.polls) == DECISIONS_MAX
        await world.until(lambda: next(more) > 3 * DECISIONS_MAX)
        world.driver.close()

    run(scenario())


def test_the_core_decides_again_after_it_has_written(run):
    """A request may follow one that is out, and one that gets no answer is complete."""

    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            world.core.polls.clear()
            world.send(b"x")
            assert len(world.core.polls) == 2
        world.driver.close()

    run(scenario())


def test_a_write_that_fails_loses_the_connection(run, monkeypatch):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)

            def send(self, buffers):
                raise BrokenPipeError(32, "Broken pipe")

            monkeypatch.setattr(Link, "send", send)
            world.send(b"x")
            assert world.core.told[-1] == ("lost", 1, "broken pipe")
        world.driver.close()

    run(scenario())


def test_closing_while_connecting_tells_nothing_more(run):
    async def scenario():
        world = World()
        with full_listener() as (host, port):
            world.do(Open(1, host, port))
            await world.turns()
            world.do(Close(1), Open(2, host, port), Close(2), Close(3))
            await world.turns()
            assert world.core.told == world.observer.heard == []
            assert not world.driver._links
        world.driver.close()

    run(scenario())


def test_a_connection_that_is_closed_as_it_becomes_writable_is_not_made(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            world.do(Open(1, server.host, server.port))
            link = world.driver._links[1]
            world.do(Close(1))
            world.driver._on_writable(link)  # as a loop does that had seen it before
            await world.turns()
            assert world.core.told == []
        world.driver.close()

    run(scenario())


def test_a_connection_is_made_once_however_often_the_loop_says_so(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            world.do(Open(1, server.host, server.port))
            link = world.driver._links[1]
            assert select.select([], [link.socket], [], SECONDS)[1]

            def twice(now_ms):  # as where another thread is inside while the loop goes round
                world.driver._on_writable(link)
                world.driver._on_writable(link)

            world.driver.call(twice)
            await world.turns()
            assert world.core.told == [("made", 1)]
        world.driver.close()

    run(scenario())


def test_deadlines_are_kept_and_nothing_is_done_between(run):
    async def scenario():
        world = World()
        deadline_ms = monotonic_ms() + 60

        def set_deadline(now_ms):
            world.core.deadline_ms = deadline_ms

        world.driver.call(set_deadline)
        world.core.polls.clear()
        real_poll = world.core.poll

        def poll(now_ms):
            if now_ms >= deadline_ms:
                world.core.deadline_ms = None
            return real_poll(now_ms)

        world.core.poll = poll
        await world.until(lambda: world.core.deadline_ms is None)
        assert len(world.core.polls) <= 3  # a loop may be early by its resolution
        assert world.core.polls[-1] >= deadline_ms
        world.driver.close()

    run(scenario())


def test_a_deadline_may_come_nearer_or_go_away(run):
    async def scenario():
        world = World()

        def at(deadline_ms):
            world.driver.call(lambda now_ms: setattr(world.core, "deadline_ms", deadline_ms))

        at(monotonic_ms() + FAR_MS)
        far = world.driver._timer
        near_ms = monotonic_ms() + 20
        at(near_ms)
        assert far.cancelled()
        polls = len(world.core.polls)
        real_poll = world.core.poll

        def poll(now_ms):
            if now_ms >= near_ms:
                world.core.deadline_ms = now_ms + FAR_MS
            return real_poll(now_ms)

        world.core.poll = poll
        await world.until(lambda: world.core.deadline_ms > near_ms)
        assert len(world.core.polls) - polls <= 3
        kept = world.driver._timer
        at(None)
        assert world.driver._timer is kept  # it would find nothing to do
        world.driver.close()
        assert kept.cancelled() and world.driver._timer is None

    run(scenario())


def test_another_thread_reads_answers_while_the_loop_is_blocked(run, hectic):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            answered = threading.Event()

            def busy():
                for index in range(100):
                    world.send(b"%3d" % index)
                while len(world.core.received[1]) < 300:
                    world.driver.run_pass()
                answered.set()

            world.threads.clear()
            thread = threading.Thread(target=busy)
            thread.start()
            assert answered.wait(SECONDS)  # and the loop with it
            thread.join()
            assert world.core.received[1] == b"".join(b"%3d" % index for index in range(100))
            assert set(world.threads) == {thread.ident}
        world.driver.close()

    run(scenario())


def test_another_threads_news_wakes_the_loop(run):
    """A connection to watch, one to forget, an earlier deadline: only the loop's thread can see to these."""

    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            for number in range(1, 20):
                thread = threading.Thread(target=world.do, args=[Open(number, server.host, server.port)])
                thread.start()
                await world.until(lambda number=number: ("made", number) in world.core.told)
                thread.join()
            socket_of_1 = world.driver._links[1].socket
            thread = threading.Thread(target=world.do, args=[Close(1)])
            thread.start()
            await world.until(lambda: socket_of_1.fileno() == -1)
            thread.join()
            fired = []

            def soon(now_ms):
                world.core.deadline_ms = now_ms + 10
                real_poll = world.core.poll

                def poll(at_ms):
                    if at_ms >= now_ms + 10:
                        world.core.deadline_ms = None
                        fired.append(threading.get_ident())
                    return real_poll(at_ms)

                world.core.poll = poll

            thread = threading.Thread(target=world.driver.call, args=[soon])
            thread.start()
            await world.until(lambda: fired)
            thread.join()
            assert fired[0] == threading.get_ident()
        world.driver.close()

    run(scenario())


def test_one_wake_up_is_pending_at_most(run, monkeypatch):
    async def scenario():
        world = World()
        woken = []
        monkeypatch.setattr(world.driver, "_on_wake", lambda: woken.append(1))
        for _ in range(10):
            world.driver.wake()
        await world.turns()
        assert woken == [1]
        monkeypatch.undo()
        world.driver.close()

    run(scenario())


def test_a_thread_with_nothing_new_leaves_the_loop_alone(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            await world.turns()
            thread = threading.Thread(target=world.driver.run_pass)
            thread.start()
            thread.join()
            assert not world.driver._woken
        world.driver.close()

    run(scenario())


def test_each_call_is_done_once_however_many_make_them(run, hectic):
    async def scenario():
        world = World()
        done = []
        inside = threading.Lock()

        def action(now_ms, what):
            assert inside.acquire(blocking=False), "two are inside the guard"
            done.append(what)
            inside.release()

        def work(worker):
            for index in range(CALLS // THREADS):
                world.driver.call(lambda now_ms, what=(worker, index): action(now_ms, what))

        threads = [threading.Thread(target=work, args=[worker]) for worker in range(THREADS)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            world.driver.run_pass()
        for thread in threads:
            thread.join()
        assert len(done) == CALLS  # all of them by now, and not with the next pass
        assert sorted(done) == [(worker, index) for worker in range(THREADS) for index in range(CALLS // THREADS)]
        for worker in range(THREADS):
            mine = [index for who, index in done if who == worker]
            assert mine == sorted(mine)
        world.driver.close()

    run(scenario())


def test_a_call_made_inside_the_guard_is_done_by_who_is_inside(run):
    async def scenario():
        world = World()
        done = []
        world.driver.call(lambda now_ms: (world.driver.call(lambda now_ms: done.append("inner")), done.append("outer")))
        assert done == ["outer", "inner"]
        world.driver.close()

    run(scenario())


def test_a_call_that_raises_lets_the_next_one_in(run):
    async def scenario():
        world = World()

        def broken(now_ms):
            raise RuntimeError("a bug")

        with pytest.raises(RuntimeError, match="a bug"):
            world.driver.call(broken)
        done = []
        world.driver.call(done.append)
        assert len(done) == 1
        world.driver.close()

    run(scenario())


def test_a_loop_that_watches_no_sockets_is_refused_with_what_to_do():
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, fd, callback, *args):
            raise NotImplementedError

    loop = Proactor()
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    with pytest.raises(ConfigError) as caught:
        Driver(ByteCore(), loop=loop, collect=list, deliver=list)
    assert str(caught.value) == (
        "the event loop Proactor cannot watch sockets (add_reader), as Windows' default cannot: "
        "use asyncio.run(main(), loop_factory=asyncio.SelectorEventLoop)"
    )
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    loop.close()


def test_the_loop_that_is_taken_is_left_as_it_was(run):
    async def scenario():
        loop = asyncio.get_running_loop()
        check_loop(loop)
        ours, theirs = socket.socketpair()
        with ours, theirs:  # the numbers of the probes, most likely
            assert not loop.remove_reader(ours.fileno())
            assert not loop.remove_reader(theirs.fileno())

    run(scenario())


def test_numeric_addresses_are_resolved_at_once(run):
    async def scenario():
        world = World()
        world.do(Resolve("127.0.0.1", 9092))
        assert world.core.told == [("resolved", "127.0.0.1", ("127.0.0.1",))]
        await world.turns()
        world.driver.close()

    run(scenario())


def test_names_are_resolved_by_another_thread(run, monkeypatch):
    async def scenario():
        world = World()
        answer = threading.Event()

        def look_up(host, port, done):
            threading.Thread(target=lambda: (answer.wait(SECONDS), done([f"{host}:{port}"]))).start()

        monkeypatch.setattr(passes_module, "look_up", look_up)
        world.do(Resolve("broker", 9092))
        assert world.core.told == []
        answer.set()
        await world.until(lambda: world.core.told)
        assert world.core.told == [("resolved", "broker", ("broker:9092",))]
        world.driver.close()

    run(scenario())


def test_tokens_come_from_the_source(run):
    async def scenario():
        class Source:
            def fetch(self, loop, done):
                assert loop is asyncio.get_running_loop()
                threading.Thread(target=done, args=["token"]).start()

        world = World(tokens=Source())
        world.do(FetchToken(7))
        await world.until(lambda: world.core.told)
        assert world.core.told == [("token", 7, "token")]
        world.driver.close()

    run(scenario())


def test_close_ends_everything_and_may_be_called_again(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            opened = world.driver._links[1].socket
            done = []
            world.driver._calls.append(done.append)  # as somebody does who finds the guard taken
            world.driver.close()
            assert len(done) == 1
            assert opened.fileno() == -1
            assert world.observer.heard[-1] == ("closed", 1)
            polls = len(world.core.polls)
            world.do(Open(2, server.host, server.port))
            world.driver.wake()
            await world.turns()
            assert len(world.core.polls) == polls and not world.driver._links
            world.driver.close()
            assert world.core.told == [("made", 1)]

    run(scenario())


def test_close_from_inside_a_callback(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            world.on_deliver = lambda: (setattr(world, "on_deliver", lambda: None), world.driver.close())
            world.send(b"x")
            assert not world.driver._links
            await world.turns()

    run(scenario())


def test_close_waits_for_the_thread_that_is_inside(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            opened = world.driver._links[1].socket
            inside, go = threading.Event(), threading.Event()
            seen = []

            def slow(now_ms):
                inside.set()
                go.wait(SECONDS)
                seen.append(opened.fileno())

            thread = threading.Thread(target=world.driver.call, args=[slow])
            thread.start()
            assert inside.wait(SECONDS)
            threading.Timer(0.02, go.set).start()
            world.driver.close()
            assert seen and seen[0] >= 0  # not closed under his hands
            assert opened.fileno() == -1
            thread.join()

    run(scenario())


def test_close_after_the_loop_is_closed(make_loop):
    worlds = []

    async def scenario():
        world = World()
        worlds.append(world)
        await world.connect(server.host, server.port)

    with Loopback(EchoEnd) as server:
        loop = make_loop()
        loop.run_until_complete(scenario())
        loop.close()
        (world,) = worlds
        world.driver.wake()  # nobody is left to be woken
        opened = world.driver._links[1].socket
        thread = threading.Thread(target=world.driver.close)
        thread.start()
        thread.join()
        assert opened.fileno() == -1


def test_without_an_observer_nobody_is_told(run):
    async def scenario():
        world = World(observer=None)
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            world.do(Close(1))
        world.driver.close()

    run(scenario())


def test_a_driver_that_is_closed_can_be_collected(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            world.driver.close()
        await world.turns()
        gone = weakref.ref(world.driver)
        del world
        gc.collect()
        assert gone() is None

    run(scenario())


def test_the_loop_is_woken_by_a_time_unless_its_timer_is_set_for_earlier(run):
    async def scenario():
        world = World()
        polls = world.core.polls
        world.driver.wake_by(FAR_MS)
        await world.turns()
        assert len(polls) == 1, "no timer was set"
        world.core.deadline_ms = monotonic_ms() + FAR_MS
        world.driver.run_pass()
        world.driver.wake_by(world.core.deadline_ms)
        await world.turns()
        assert len(polls) == 2, "its timer will do"
        world.driver.wake_by(world.core.deadline_ms - 1)
        await world.turns()
        assert len(polls) == 3
        world.driver.close()

    run(scenario())


def test_a_pass_and_a_wake_up_are_made_within_the_shield(run):
    async def scenario():
        inside = []

        @contextmanager
        def shield():
            inside.append(True)
            yield
            inside.append(False)

        world = World(shield=shield)
        world.on_deliver = lambda: inside.append("delivered")
        world.driver.run_pass()
        assert inside == [True, False, "delivered"]
        world.driver.wake()
        assert inside[3:] == [True, False]
        await world.turns()
        world.driver.close()

    run(scenario())


# The loop keeps away while others make passes


class Naps:
    """Waits, without sleeping, until the loop has looked again so often."""

    def __init__(self, driver, monkeypatch):
        self.over = asyncio.Event()
        on_nap_over = driver._on_nap_over

        def noted():
            on_nap_over()
            self.over.set()

        monkeypatch.setattr(driver, "_on_nap_over", noted)

    async def pass_by(self, times):
        async with asyncio.timeout(SECONDS):
            for _ in range(times):
                self.over.clear()
                await self.over.wait()


async def in_thread(function, *arguments):
    """Its thread, which has ended; the loop goes round meanwhile."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0)
    thread.join()
    return thread


def help_always(driver):
    """As if another thread made passes all the time; it makes those that the test says."""
    driver.helped_ns = LATER_NS


def test_the_loop_leaves_the_passes_to_those_who_help_and_comes_back(run, monkeypatch):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            naps, core, driver = Naps(world.driver, monkeypatch), world.core, world.driver
            help_always(driver)
            world.send(b"first")
            server.call(lambda: None)
            polls = len(core.polls)
            driver.wake()
            await naps.pass_by(3)
            assert len(core.polls) == polls and not core.received[1]
            assert driver._links[1]._watched == (False, False), "or it would be woken for nothing"
            thread = threading.Thread(target=driver.drive, args=(lambda: core.received[1] == b"first", END_OF_TIME_S))
            world.threads.clear()
            thread.start()
            thread.join()
            assert set(world.threads) == {thread.ident}
            driver.helped_ns = driver._driven_ns = 0
            await naps.pass_by(1)
            assert len(core.polls) > polls and driver._links[1]._watched == (True, False)
            world.threads.clear()
            await in_thread(world.send, b"second")
            await world.until(lambda: core.received[1] == b"firstsecond")
        driver.close()

    run(scenario())


def test_it_opens_and_closes_sockets_although_it_keeps_away(run, monkeypatch):
    """Nobody else can."""

    async def scenario():
        world = World()
        naps = Naps(world.driver, monkeypatch)
        with Loopback(EchoEnd) as server:
            help_always(world.driver)
            for number in (1, 2):
                await in_thread(world.do, Open(number, server.host, server.port))
                await world.until(lambda number=number: ("made", number) in world.core.told)
            opened = world.driver._links[1].socket
            await in_thread(world.do, Close(1))
            while opened.fileno() >= 0:
                await naps.pass_by(1)
            assert world.driver._napping and 2 in world.driver._links
        world.driver.close()

    run(scenario())


def test_a_deadline_does_not_bring_it_back_while_others_help(run, monkeypatch):
    async def scenario():
        world = World()
        naps = Naps(world.driver, monkeypatch)
        world.driver.call(lambda now_ms: setattr(world.core, "deadline_ms", now_ms + 5))
        help_always(world.driver)
        polls = len(world.core.polls)
        await naps.pass_by(3)
        assert len(world.core.polls) == polls and world.driver._timer is None
        world.core.deadline_ms = None
        world.driver.close()

    run(scenario())


def test_what_can_be_read_while_somebody_is_inside_calls_the_loop_once(run, monkeypatch):
    """Not again and again until he is out: the loop would take the interpreter from him."""

    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            naps, driver, called = Naps(world.driver, monkeypatch), world.driver, []
            monkeypatch.setattr(driver, "_look", lambda look=driver._look: (called.append(1), look()))
            help_always(driver)
            world.send(b"question")
            with driver._guard:
                server.call(lambda: None)
                await naps.pass_by(3)
                assert driver._links[1]._watched == (False, False)
            assert len(called) <= 5, "a nap each, and the socket once"
            driver.helped_ns = 0
            await world.until(lambda: world.core.received[1] == b"question")
        driver.close()

    run(scenario())


def test_one_nap_is_taken_at_a_time_however_often_the_loop_is_called(run, monkeypatch):
    async def scenario():
        world = World()
        later = []
        monkeypatch.setattr(world.driver._loop, "call_later", lambda *arguments: later.append(arguments), raising=False)
        help_always(world.driver)
        for _ in range(3):
            world.driver._look()
        monkeypatch.undo()
        assert len(later) == 1
        world.driver.close()

    run(scenario())


def test_who_stops_driving_leaves_the_loop_to_those_who_still_wait(run, monkeypatch):
    async def scenario():
        world = World()
        driver, woken = world.driver, []
        monkeypatch.setattr(driver, "wake", lambda: woken.append(driver._driven_ns))
        for awaited, expected in ((1, []), (2, [0])):
            driver.awaited, driver._driven_ns = awaited, 1
            driver.drive(lambda: True, END_OF_TIME_S)
            assert woken == expected
        driver.awaited = 0
        driver.close()

    run(scenario())


def test_while_somebody_is_inside_it_waits_for_nothing(run, monkeypatch):
    async def scenario():
        world = World()
        naps = Naps(world.driver, monkeypatch)
        polls = len(world.core.polls)
        with world.driver._guard:
            world.driver._look()
            assert world.driver._napping
            await naps.pass_by(2)
            assert len(world.core.polls) == polls
        await naps.pass_by(1)
        assert len(world.core.polls) > polls and not world.driver._napping
        world.driver.close()

    run(scenario())


def test_who_delivers_is_expected_back(run):
    async def scenario():
        world = World()
        polls = []

        def delivers():
            world.on_deliver = lambda: None
            assert world.driver._delivering_ns
            world.driver._delivering_ns = LATER_NS  # as where it has just begun, however busy the machine
            polls.append(len(world.core.polls))
            world.driver._look()
            polls.append(len(world.core.polls))
            world.driver._delivering_ns = 0  # as where it has taken long
            world.driver._look()
            polls.append(len(world.core.polls))

        world.on_deliver = delivers
        world.driver.run_pass()
        assert polls[0] == polls[1] < polls[2]
        assert not world.driver._delivering_ns
        world.driver.close()

    run(scenario())


def test_it_makes_passes_for_those_who_wait_and_who_begins_to_wait_ends_its_nap(run, monkeypatch):
    async def scenario():
        world = World()
        driver = world.driver
        help_always(driver)
        monkeypatch.setattr(driver, "_on_nap_over", lambda: None)  # a long nap
        driver._look()
        assert driver._napping
        polls = len(world.core.polls)
        driver.wake()
        driver.end_nap()
        assert not driver._woken, "those who help do it, and a nap is short"
        driver.awaited += 1
        driver.end_nap()
        assert driver._woken
        await world.turns()
        assert len(world.core.polls) > polls
        driver._driving = True
        driver.wake()
        assert not driver._woken, "he who waits makes the passes"
        driver._driving = driver._napping = False
        driver.end_nap()
        assert not driver._woken, "there is no nap to be ended"
        driver.close()

    run(scenario())


def test_who_drives_is_left_alone_though_somebody_waits_but_a_closed_driver_is_not(run):
    async def scenario():
        world = World()
        world.driver.awaited = 1
        world.driver._driven_ns = LATER_NS
        polls = len(world.core.polls)
        world.driver._look()
        assert len(world.core.polls) == polls and world.driver._napping
        world.driver.close()
        assert not world.driver._is_helped()
        help_always(world.driver)
        world.driver._driven_ns = 0
        assert not world.driver._is_helped()

    run(scenario())


# A thread that waits makes the passes


class Clock:
    """Says these seconds, one after the other, and then the last one again and again."""

    def __init__(self, *seconds):
        self._seconds = [*seconds]

    def monotonic(self):
        return self._seconds.pop(0) if len(self._seconds) > 1 else self._seconds[0]

    def monotonic_ns(self):
        return time.monotonic_ns()


def test_who_waits_reads_the_answer_in_his_own_thread(run):
    async def scenario():
        world = World()
        with Loopback(EchoEnd) as server:
            await world.connect(server.host, server.port)
            world.threads.clear()

            def ask():
                for index in range(20):
                    world.send(b"%2d" % index)
                    world.driver.drive(lambda index=index: len(world.core.received[1]) == 2 * index + 2, END_OF_TIME_S)

            thread = threading.Thread(target=ask)
            thread.start()
            thread.join(SECONDS)  # and the loop waits with it
            assert not thread.is_alive()
            assert world.core.received[1] == b"".join(b"%2d" % index for index in range(20))
            assert set(world.threads) == {thread.ident}
            assert not world.driver._driving
        world.driver.close()

    run(scenario())


@pytest.mark.parametrize(
    ("left_s", "deadline_in_ms", "expected_ms"),
    [(60, None, DRIVE_MS), (0.0005, None, 1), (60, 1, 1), (60, 0, 0), (60, -5, 0), (60, 5, DRIVE_MS)],
)
def test_it_waits_until_the_nearest_of_all_times(run, monkeypatch, left_s, deadline_in_ms, expected_ms):
    now_ms, waited = monotonic_ms(), []

    def noted(links, timeout_ms):
        waited.append((links, timeout_ms))

    monkeypatch.setattr(driver_module, "wait_readable", noted)
    monkeypatch.setattr(driver_module, "time", Clock(100.0))

    async def scenario():
        world = World(clock=lambda: now_ms)
        if deadline_in_ms is not None:
            world.driver._deadline_ms = now_ms + deadline_in_ms
        world.driver.drive(lambda: bool(waited), 100.0 + left_s)
        assert waited == [([], expected_ms)]
        world.driver.close()

    run(scenario())


def test_what_holds_already_or_a_time_that_is_over_makes_no_pass(run):
    async def scenario():
        world = World()
        polls = len(world.core.polls)
        world.driver.drive(lambda: True, END_OF_TIME_S)
        world.driver.drive(lambda: False, 0)
        assert len(world.core.polls) == polls and not world.driver._driving
        world.driver.close()

    run(scenario())


def test_it_ends_at_its_time(run, monkeypatch):
    monkeypatch.setattr(driver_module, "time", Clock(100.0, 100.001, 100.5, 101.0))

    async def scenario():
        world = World()
        asked = []
        world.driver.drive(lambda: asked.append(1), 101.0)
        assert len(asked) == 4 and len(world.core.polls) == 3
        world.driver.close()

    run(scenario())


def test_one_thread_drives_at_a_time(run):
    async def scenario():
        world = World()
        asked = []

        def wanted():
            asked.append(1)
            thread = threading.Thread(target=world.driver.drive, args=(lambda: asked.append("too"), END_OF_TIME_S))
            thread.start()
            thread.join(SECONDS)
            assert not thread.is_alive()
            return len(asked) > 2

        world.driver.drive(wanted, END_OF_TIME_S)
        assert asked == [1, 1, 1]
        world.driver.close()

    run(scenario())


def test_it_ends_when_the_driver_is_closed_and_does_not_begin_afterwards(run):
    async def scenario():
        world = World()
        asked = []

        def wanted():
            asked.append(1)
            if len(asked) == 2:
                world.driver.close()

        world.driver.drive(wanted, END_OF_TIME_S)
        assert asked == [1, 1] and not world.driver._driving
        world.driver.drive(wanted, END_OF_TIME_S)
        assert asked == [1, 1]

    run(scenario())


def test_who_is_interrupted_leaves_the_place_to_the_next(run):
    async def scenario():
        world = World()

        def interrupted():
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            world.driver.drive(interrupted, END_OF_TIME_S)
        asked = []
        world.driver.drive(lambda: asked.append(1) or len(asked) > 1, END_OF_TIME_S)
        assert asked == [1, 1]
        world.driver.close()

    run(scenario())


def test_where_sockets_cannot_be_waited_for_nobody_drives(run, monkeypatch):
    monkeypatch.setattr(driver_module, "CAN_WAIT", False)

    async def scenario():
        world = World()
        world.driver.drive(lambda: 1 / 0, END_OF_TIME_S)
        world.driver.close()

    run(scenario())
