"""The simulated network, driven by a core of a few lines: each thing that can happen to it, and each way to fail."""

from __future__ import annotations

import pytest
from client import simulation
from client.other_ends import ClosingEnd, RawEnd, SilentEnd
from client.scripted_broker import ScriptedBroker, ScriptedCluster
from client.simulation import SimulatedNetwork, SimulationFailure
from client.talk import VERSIONS
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.effects import Close, FetchToken, Open, Resolve
from kproto.client.errors import KafkaConnectionError
from kproto.wire import ApiKey, FrameReader, KafkaError, encode_request

HOST, ADDRESS, PORT = "broker-0.test", "10.0.0.1", 9092
RETRY_MS = 100
TIMEOUT_MS = 1000


class Core:
    """Connects, asks for versions over and over until it has so many answers, and tries again when that fails.

    extra: effects that it emits once, besides. A test may stop it, or make it break its contract.
    """

    ask = encode_request(VERSIONS, 5, correlation_id=1, client_id="c")

    def __init__(self, host=HOST, answers=1, extra=()):
        self.host, self.wanted, self.extra = host, answers, list(extra)
        self.answers, self.errors, self.tokens, self.reads = [], [], [], []
        self.address = self.reader = None
        self.asked_name = False
        self.connection = self.opened = 0
        self.retry_ms, self.timeout_ms = 0, None
        self.waiting = b""

    @property
    def done(self):
        return len(self.answers) >= self.wanted

    def resolved(self, host, addresses, now_ms):
        self.asked_name = False
        if isinstance(addresses, KafkaError):
            self.failed(addresses, now_ms)
        else:
            self.address = addresses[0]

    def connection_made(self, connection_id, now_ms):
        assert connection_id == self.connection
        self.reader = FrameReader()
        self.waiting = self.ask

    def data_received(self, connection_id, data, now_ms):
        assert connection_id == self.connection
        self.reads.append(len(data))
        for payload in self.reader.feed(data):
            self.answers.append(payload)
            self.waiting = b"" if self.done else self.ask
            self.timeout_ms = None if self.done else now_ms + TIMEOUT_MS

    def connection_lost(self, connection_id, reason, now_ms):
        assert connection_id == self.connection
        self.failed(reason, now_ms)

    def token_fetched(self, connection_id, token, now_ms):
        self.tokens.append(token)

    def failed(self, error, now_ms):
        self.errors.append((now_ms, error))
        self.connection, self.address, self.waiting = 0, None, b""
        self.retry_ms, self.timeout_ms = now_ms + RETRY_MS, None

    def data_to_send(self, connection_id):
        return [self.waiting[:10], self.waiting[10:]] if self.waiting else []

    def data_sent(self, connection_id, size, now_ms):
        self.waiting = self.waiting[size:]

    def poll(self, now_ms):
        effects, self.extra = self.extra, []
        if self.timeout_ms is not None and now_ms >= self.timeout_ms:
            effects.append(Close(self.connection))
            self.failed("timed out", now_ms)
        if not self.done and not self.connection and not self.asked_name and now_ms >= self.retry_ms:
            if self.address is None:
                self.asked_name = True
                effects.append(Resolve(self.host, PORT))
            else:
                self.opened += 1
                self.connection, self.timeout_ms = self.opened, now_ms + TIMEOUT_MS
                effects.append(Open(self.connection, self.address, PORT))
        return effects

    def next_deadline_ms(self):
        if self.done or self.asked_name:
            return None
        return self.timeout_ms if self.connection else self.retry_ms


@pytest.fixture
def broker():
    return ScriptedBroker(ScriptedCluster(topics={"orders": 1}))


def network_of(core, server, **settings):
    network = SimulatedNetwork(core, **{"names": {HOST: [ADDRESS]}, **settings})
    network.serve(ADDRESS, PORT, server)
    return network


@pytest.mark.parametrize("chunking", ["whole", "bytes", "random"])
@pytest.mark.parametrize("latency_ms", [0, 1, 50])
def test_bytes_go_there_and_back(broker, chunking, latency_ms):
    core = Core(answers=3)
    network = network_of(core, broker, chunking=chunking, latency_ms=latency_ms)
    network.run_until(lambda: core.done)
    assert network.now_ms == latency_ms * (1 + 1 + 3 * 2)  # a look-up, an opening, and three questions
    assert len(broker.requests) == 3
    size = sum(map(len, core.answers)) + 3 * 4
    if chunking == "whole":
        assert len(core.reads) == 3
    elif chunking == "bytes":
        assert core.reads == [1] * size
    assert sum(core.reads) == size


@given(st.integers(0, 2**32), st.sampled_from(["whole", "bytes", "random"]))
def test_a_seed_is_the_whole_story(seed, chunking):
    def story():
        core = Core(answers=5)
        network = network_of(
            core,
            ScriptedBroker(ScriptedCluster()),
            seed=seed,
            chunking=chunking,
            latency_ms=lambda rng: int(rng.random() * 20),
        )
        network.cut_after(ADDRESS, PORT, received=100)
        network.run_until(lambda: core.done)
        return network.log, core.reads, core.errors

    assert story() == story()


def test_latency_that_varies_never_changes_the_order():
    for seed in range(50):
        core = Core(answers=5)
        network = network_of(
            core,
            ScriptedBroker(ScriptedCluster()),
            seed=seed,
            chunking="random",
            latency_ms=lambda rng: int(rng.random() * 100),
        )
        network.run_until(lambda core=core: core.done)
        assert len(set(core.answers)) == 1
        assert core.errors == []


def test_names_and_what_becomes_of_them(broker):
    unknown = Core("nowhere.test")
    network = network_of(unknown, broker)
    network.advance(150)
    assert [str(error) for _, error in unknown.errors] == ["nowhere.test:9092: the name is not known"] * 2
    failing = Core()
    refused = KafkaConnectionError(HOST, "try again later")
    network = network_of(failing, broker, names={HOST: refused})
    network.advance(1)
    assert failing.errors == [(1, refused)]
    network.names[HOST] = [ADDRESS]
    network.run_until(lambda: failing.done)
    for numeric in (ADDRESS, "::1"):
        core = Core(numeric)
        network = network_of(core, broker, names={})
        network.serve(numeric, PORT, broker)
        network.run_until(lambda core=core: core.done)
    with pytest.raises(SimulationFailure, match=r"(?s)no event and no deadline is left.*resolve broker-0.test: hang"):
        network_of(Core(), broker, names={HOST: "hang"}).run_until(lambda: False)


def test_f07_ports_that_refuse_or_say_nothing_at_all(broker):
    core = Core()
    network = network_of(core, "refuse")
    network.advance(1 + 1)
    assert core.errors == [(2, "Connection refused")]
    network.serve(ADDRESS, PORT, "hang")
    network.run_until(lambda: len(core.errors) == 2)
    assert core.errors[1] == (102 + 1 + TIMEOUT_MS, "timed out")
    assert network.links == {}
    network.serve(ADDRESS, PORT, broker)
    network.run_until(lambda: core.done)
    assert len(broker.connections) == 1


def test_a_core_that_gives_up_before_the_port_answers(broker):
    core = Core()
    network = network_of(core, broker, latency_ms=TIMEOUT_MS + 1)
    network.run_until(lambda: len(core.errors) == 1, limit_ms=3000)
    network.advance(3000)
    assert broker.connections == []


def test_servers_that_are_no_brokers():
    for server, error in ((ClosingEnd, None), (SilentEnd, "timed out"), (lambda: RawEnd(b"\0\0"), None)):
        core = Core()
        network = network_of(core, server)
        network.run_until(lambda core=core: core.errors)
        assert core.errors[0][1] == error


def test_a_broker_dies_and_comes_back(broker):
    core = Core(answers=2)
    network = network_of(core, broker)
    network.run_until(lambda: len(core.answers) == 1)
    network.down(ADDRESS, PORT)
    assert broker.connections[0].closed
    network.advance(RETRY_MS + 2)
    assert [error for _, error in core.errors] == ["Connection reset by peer", "Connection refused"]
    network.up(ADDRESS, PORT)
    network.run_until(lambda: core.done)
    assert len(broker.connections) == 2


def test_connections_are_cut_in_bad_or_good_order(broker):
    for reason in ("Connection reset by peer", None):
        core = Core(answers=9)
        network = network_of(core, broker)
        network.run_until(lambda core=core: core.answers)
        network.cut(ADDRESS, PORT, reason)
        assert core.errors[0][1] == reason
        network.cut("10.0.0.9", PORT)
        network.run_until(lambda core=core: core.done)


def test_a_broker_that_closes_is_seen_after_its_last_bytes(broker):
    broker.fail(ApiKey.API_VERSIONS, "half")
    core = Core()
    network = network_of(core, broker)
    network.run_until(lambda: core.errors)
    assert core.errors == [(4, None)]
    assert len(core.reads) == 1


@pytest.mark.parametrize("chunking", ["whole", "bytes", "random"])
def test_f01_a_connection_breaks_at_every_byte_of_both_directions(broker, chunking):
    asked = len(Core().ask)
    for sent, received in [(n, None) for n in range(asked + 1)] + [(None, n) for n in range(0, 60, 7)]:
        core = Core(answers=2)
        network = network_of(core, ScriptedBroker(broker.cluster), chunking=chunking)
        network.cut_after(ADDRESS, PORT, sent=sent, received=received)
        network.cut_after(ADDRESS, PORT, sent=sent, received=received, how=None)
        network.run_until(lambda core=core: core.done)
        assert [error for _, error in core.errors] == ["Connection reset by peer", None]
        if received is not None:
            assert sum(core.reads) == 2 * received + sum(map(len, core.answers)) + 4 * len(core.answers)


def test_what_is_unplugged_hears_nothing_more(broker):
    core = Core(answers=2)
    network = network_of(core, broker)
    network.run_until(lambda: core.answers)
    network.unplug(ADDRESS, PORT)
    broker.close_connections()
    network.run_until(lambda: core.errors)
    assert core.errors[0][1] == "timed out"
    assert len(broker.connections[0].requests) == 1
    network.run_until(lambda: core.done)


def test_conn_9_a_window_lets_only_so_much_be_under_way(broker):
    core = Core()
    network = network_of(core, broker, window=16, latency_ms=10)
    network.run_until(lambda: core.done)
    rounds = -(-len(core.ask) // 16)
    assert network.now_ms == 10 * (2 + rounds + 1)
    assert max(int(line.split()[3]) for line in network.log if "->" in line) == 16


def test_bytes_on_the_way_arrive_after_the_core_has_closed(broker):
    core = Core()
    network = network_of(core, broker, latency_ms=5)
    network.run_until(lambda: core.connection and not core.waiting and broker.connections)
    core.extra = [Close(core.connection), Close(core.connection), Close(77)]
    core.wanted = 0
    network.advance(4)
    assert (len(broker.requests), broker.connections[0].closed) == (0, False)
    network.advance(1)
    assert (len(broker.requests), broker.connections[0].closed) == (1, True)
    network.advance(100)
    assert core.answers == []
    assert [line.split(maxsplit=1)[1] for line in network.log[-3:]] == [
        "#1 close",
        "#1 close, already gone",
        "#77 close, already gone",
    ]


def test_held_answers_and_what_the_test_does_at_a_time(broker):
    broker.fail(ApiKey.API_VERSIONS, "hold")
    core = Core()
    network = network_of(core, broker)
    network.at(500, broker.release)
    network.run_until(lambda: core.done)
    assert network.now_ms == 501
    network.advance(250)
    assert network.now_ms == 751


def test_tokens_come_in_turn_and_the_last_one_for_ever(broker):
    refused = KafkaConnectionError("idp.test", "refused")
    core = Core(extra=[FetchToken(1)] * 4)
    network = network_of(core, broker, tokens=["first", refused, "last"])
    network.advance(1)
    assert core.tokens == ["first", refused, "last", "last"]


def test_a_hang_is_a_failure_with_the_log(broker):
    network = network_of(Core(), broker)
    network.at(502, lambda: None)
    late = r"(?s)did not come within 500 ms; next would be 502 ms\nat \d+ ms, after:.*resolve .*10\.0\.0\.1.*#1 made"
    with pytest.raises(SimulationFailure, match=late):
        network.run_until(lambda: False, limit_ms=500)
    with pytest.raises(SimulationFailure, match="no event and no deadline is left"):
        network.run_until(lambda: False)


def test_livelocks_are_failures(broker, monkeypatch):
    core = Core()
    core.next_deadline_ms = lambda: 0
    core.wanted = 0
    with pytest.raises(SimulationFailure, match=r"livelock: polled 100 times with nothing to do, deadline 0 ms"):
        network_of(core, broker).advance(10)
    core = Core(answers=10**9)
    monkeypatch.setattr(simulation, "EVENTS_MAX", 1000)
    with pytest.raises(SimulationFailure, match="livelock: 1000 events at one millisecond"):
        network_of(core, broker, latency_ms=0).advance(10)
    core = Core()
    core.poll = lambda now_ms: [Close(1)]
    with pytest.raises(SimulationFailure, match="polled 100 times"):
        network_of(core, broker).advance(1)


def test_a_test_may_look_as_often_as_it_likes(broker):
    network = network_of(Core(), broker)
    for _ in range(500):
        network.advance(0)
    assert network.now_ms == 0


@pytest.mark.parametrize(
    ("effects", "message"),
    [
        ([Resolve("a.test", 1), Resolve("a.test", 2)], "a.test is asked for again before it was answered"),
        ([Open(5, ADDRESS, PORT), Open(5, ADDRESS, PORT)], "connection #5 is opened a second time"),
        ([FetchToken(5)], "#5 fetches a token, and the test has none"),
    ],
)
def test_a_core_that_breaks_its_contract(broker, effects, message):
    with pytest.raises(SimulationFailure, match=message):
        network_of(Core(extra=effects), broker).advance(1)
