"""The simulated network is TCP: bytes keep their order, or the connection breaks; nothing else happens to them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sim.network import END, Stream
from sim.plan import Plan, Surroundings
from sim.world import World


def world_of(**around):
    settings = {"enable_idempotence": True, "acks": "all", "bootstrap_servers": "b0.sim:9092"}
    return World(Plan(1, settings, replace(Surroundings(nodes=2), **around), (), (), (), 0))


def run(world, until_ms=10**9):
    """All that is to happen, up to a time."""
    heap = world._heap
    while heap and heap[0][0] <= until_ms:
        import heapq

        world.now_ms, _, _, happen = heapq.heappop(heap)
        happen()


PIECES = st.lists(st.binary(min_size=1, max_size=50), max_size=12)


@given(PIECES, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([(0, 0), (0, 9), (3, 60)]), st.integers(0, 40))
def test_bytes_arrive_in_order_whatever_delays_and_cuts_them(pieces, splits, latency_ms, stall_ms):
    world = world_of(splits=splits, latency_ms=latency_ms)
    arrived = []
    stream = Stream(world.network, arrived.append, lambda: 0)
    for number, piece in enumerate(pieces):
        stream.send(piece)
        if number == len(pieces) // 2:
            stream.stalled_ms = world.now_ms + stall_ms
        run(world, world.now_ms + 1)
    stream.send(END)
    run(world)
    assert arrived[-1] == END and arrived.count(END) == 1
    assert b"".join(arrived) == b"".join(pieces)
    assert stream.under_way == 0


def test_a_stalled_stream_delivers_nothing_before_its_time():
    world = world_of(latency_ms=(1, 1))
    times = []
    stream = Stream(world.network, lambda piece: times.append(world.now_ms), lambda: 0)
    stream.send(b"before")
    stream.stalled_ms = 30
    stream.send(b"after")
    run(world)
    assert times == [30, 30]


def test_what_is_under_way_is_lost_with_its_connection():
    world = world_of(latency_ms=(5, 5))
    arrived = []
    stream = Stream(world.network, arrived.append, lambda: 0)
    stream.send(b"lost")
    stream.drop()
    stream.send(b"lost, too")
    run(world)
    assert arrived == []


class Core:
    """Hears what the network tells."""

    def __init__(self):
        self.told = []

    def connection_made(self, number, now_ms):
        self.told.append("made")

    def connection_lost(self, number, reason, now_ms):
        self.told.append(reason or "closed")

    def data_received(self, number, data, now_ms):
        self.told.append(bytes(data))


def connected(**around):
    world = world_of(**around)
    world.core = Core()
    world.network._open(1, 0)
    run(world)
    return world, world.network.connections[1]


def test_a_broker_that_is_down_refuses_and_one_that_hangs_says_nothing():
    for how, told in (("down", ["Connection refused"]), ("hang", [])):
        world = world_of()
        world.core = Core()
        getattr(world.network, how)(0)
        world.network._open(1, 0)
        run(world)
        assert world.core.told == told


def test_a_cut_tells_both_sides():
    world, connection = connected()
    world.network.cut(0)
    assert world.core.told == ["made", "Connection reset by peer"]
    assert connection.end.closed and not connection.held


def test_a_half_close_lets_arrive_what_was_sent():
    world, connection = connected(latency_ms=(5, 5))
    connection.to_broker.send(b"\0\0\0")
    world.network.half_close(0)
    run(world, 9)
    assert not connection.end.closed
    run(world)
    assert world.core.told == ["made", "closed"]
    assert connection.to_broker.carried == 3


def test_an_unplugged_connection_carries_nothing_and_nobody_is_told():
    world, connection = connected()
    world.network.unplug(0, both=False)
    connection.to_core.send(b"answer")
    connection.to_broker.send(b"\0")
    run(world)
    assert world.core.told == ["made"]
    assert connection.to_broker.carried == 1, "one way is left"


@pytest.mark.parametrize(("to_broker", "carried"), [(True, 3), (False, 0)])
def test_a_connection_may_break_at_any_byte(to_broker, carried):
    world = world_of()
    world.core = Core()
    world.network.cut_after(0, to_broker=to_broker, size=3)
    world.network._open(1, 0)
    run(world)
    connection = world.network.connections[1]
    (connection.to_broker if to_broker else connection.to_core).send(b"\0\0\0\0\0")
    run(world)
    assert world.core.told == ["made", *([] if to_broker else [b"\0\0\0"]), "Connection reset by peer"]
    assert connection.to_broker.carried == carried


def test_a_process_that_does_not_run_hears_of_it_later():
    world, connection = connected()
    world.freeze(50)
    connection.to_core.send(b"answer")
    world.network.cut(1)
    run(world, world.now_ms + 20)
    assert world.core.told == ["made"]
    run(world)
    assert world.core.told == ["made", b"answer"]


def test_events_of_one_time_come_in_an_order_that_the_seed_draws():
    orders = set()
    for seed in range(10):
        settings = {"enable_idempotence": True, "acks": "all"}
        world = World(Plan(seed, settings, Surroundings(), (), (), (), 0))
        came = []
        for name in "abcd":
            world.at(5, lambda name=name, came=came: came.append(name))
        run(world)
        orders.add("".join(came))
    assert len(orders) > 4
