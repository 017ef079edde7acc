"""Damaged bytes and odd orders: a connection never raises, never hangs, and ends each request once."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest
from client.other_ends import TlsEnd
from client.scripted_broker import ScriptedBroker, ScriptedCluster
from client.scripted_sasl import SaslServer
from client.wired import ADDRESS, SERVER_CONTEXT, TLS, Wired, random_pieces
from fuzz import mutant
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.client.connection import ConnectionState
from kproto.client.errors import ClientClosedError, KafkaConnectionError, SaslAuthenticationError
from kproto.wire import ApiKey, KafkaError, MetadataRequest, MetadataResponse, ProduceRequest

SECONDS_MAX = 5  # of one conversation: SCRAM's count of iterations is the broker's word
MEMORY_MAX = 8 << 20  # bytes
SIZE_MAX = 100_000  # bytes of a frame
ASKED = 6
PLAIN = {"sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "pw"}
CONFIGS: dict[str, dict[str, object]] = {
    "plaintext": {},
    "tls": TLS,
    "plain": {"security_protocol": "SASL_PLAINTEXT", **PLAIN},
    "scram": {"security_protocol": "SASL_PLAINTEXT", **PLAIN, "sasl_mechanism": "SCRAM-SHA-256"},
    "oauthbearer": {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_provider": lambda: "t",
    },
}
EACH_CONFIG = pytest.mark.parametrize("config", CONFIGS)


def wire(config: str, rng: Random, tamper: Callable[[bytes], bytes] = bytes) -> Wired:
    """To a broker that speaks older versions, and whose sessions end."""
    server = None
    if config not in ("plaintext", "tls"):
        server = SaslServer(users={"u": "pw"}, tokens={"t": "u"}, session_lifetime_ms=10_000)
    broker = ScriptedBroker(ScriptedCluster(topics={"orders": 3}), sasl=server)
    broker.cluster.versions[ApiKey.API_VERSIONS] = range(rng.randint(1, 6))
    end = TlsEnd(broker.connect(), SERVER_CONTEXT) if config == "tls" else broker.connect()
    more = {"receive_message_max_bytes": SIZE_MAX, "tokens": ("t",) * 9, **CONFIGS[config]}
    return Wired(end, cut=random_pieces(rng), tamper=tamper, seed=rng.randint(0, 9), **more)


def converse(wired: Wired) -> Wired:
    """Some requests, pipelined, over a re-authentication; then time passes until nothing is under way."""
    start = time.perf_counter()
    wired.begin()
    for token in range(ASKED):
        if wired.connection.can_send():
            (wired.tell if token % 3 == 2 else wired.ask)(token)
        if token % 2:
            wired.pump()
        else:
            wired.write()
        wired.advance(3_000)
    for _ in range(100):
        if not wired.connection.in_flight and not wired.connection.outbound:
            break
        deadline_ms = wired.connection.next_deadline_ms()
        assert deadline_ms is not None, "hang: something is under way, and nothing will end it"
        wired.advance(max(0, deadline_ms - wired.now_ms))
    check(wired)
    assert time.perf_counter() - start < SECONDS_MAX
    return wired


def check(wired: Wired) -> None:
    """All that was sent has ended, once (`Wired` sees to that), and has an answer or the reason of the end."""
    connection = wired.connection
    assert sorted(map(str, wired.ended)) == sorted(map(str, wired.sent))
    for done in wired.ended.values():
        assert done.error is None or done.error is connection.error
        assert done.response is None or isinstance(done.response, MetadataResponse)
    if connection.state is ConnectionState.CLOSED:
        assert isinstance(connection.error, KafkaError)
        assert str(connection.error)
        assert connection.next_deadline_ms() is None
        assert not connection.outbound


def damaging(rng: Random, often: float) -> Callable[[bytes], bytes]:
    return lambda data: mutant(data, rng) if rng.random() < often else data


@EACH_CONFIG
def test_without_damage_all_is_answered_right(config):
    wired = converse(wire(config, Random(7)))
    assert wired.sent == list(range(ASKED))
    assert not any(done.error for done in wired.ended.values())
    answers = [done.response for done in wired.ended.values() if done.response is not None]
    assert len(answers) == 4
    assert {tuple(topic.name for topic in answer.topics) for answer in answers} == {("orders",)}


@pytest.mark.parametrize("config", [name for name in CONFIGS if name != "scram"])
@given(st.integers(), st.sampled_from([0.1, 0.3, 1.0]))
def test_damaged_bytes_end_in_answers_or_in_a_closed_connection(config, seed, often):
    rng = Random(seed)
    converse(wire(config, rng, damaging(rng, often)))


@settings(max_examples=20)  # slow on purpose
@given(st.integers())
def test_damaged_scram_ends_as_well(seed):
    rng = Random(seed)
    converse(wire("scram", rng, damaging(rng, 0.3)))


@given(st.binary(min_size=1, max_size=300), st.integers())
def test_f03_any_bytes_at_all_close_or_are_waited_out(data, seed):
    converse(wire("plaintext", Random(seed), lambda honest: data))


@EACH_CONFIG
def test_a_bounded_loop_with_seeds_keeps_memory_bounded(config):
    """`pytest -s` prints the seeds; a failure names its own."""
    first = 1_000
    tracemalloc.start()
    try:
        for seed in range(first, first + (10 if config == "scram" else 40)):
            rng = Random(seed)
            try:
                converse(wire(config, rng, damaging(rng, 0.3)))
            except Exception as error:
                raise AssertionError(f"{config}: seed {seed}") from error
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    print(f"{config}: seeds from {first}, peak {peak >> 10} KiB")
    assert peak < MEMORY_MAX


def test_a_broker_that_drips_a_huge_frame_costs_what_it_sends():
    wired = wire("plaintext", Random(0))
    wired.begin()
    wired.ask("a")
    wired.write()
    tracemalloc.start()
    try:
        wired.connection.data_received((SIZE_MAX).to_bytes(4, "big"), 0)
        for _ in range(100):
            wired.connection.data_received(bytes(100), 0)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    wired.collect()
    assert wired.ended == {}
    wired.advance(30_000)
    check(wired)


# Odd orders

STEPS = ["pump", "write", "partial", "ask", "tell", "bad", "advance", "long", "token", "no token", "noise", "honest"]
STEPS += ["lost", "reset", "close"]


class Chaos:
    """Steps as a driver and an owner may make them, in any order."""

    def __init__(self, config: str, seed: int) -> None:
        self.rng = Random(seed)
        self.wired = wire(config, self.rng)
        self.wired.connection.connection_made(0)

    def step(self, name: str) -> None:
        wired, connection, rng = self.wired, self.wired.connection, self.rng
        match name:
            case "pump":
                wired.pump()
            case "write":
                wired.write()
            case "partial" if connection.outbound:
                data = b"".join(connection.outbound)[: rng.randint(1, 30)]
                wired.end.receive(data, wired.now_ms)
                connection.data_sent(len(data), wired.now_ms)
            case "ask" | "tell" if connection.can_send():
                (wired.ask if name == "ask" else wired.tell)(len(wired.sent))
            case "bad" if connection.can_send():
                topic = MetadataRequest.MetadataRequestTopic(name="x" * 40_000)
                with pytest.raises(KafkaError):
                    wired.ask("bad", MetadataRequest(topics=[topic]))
            case "advance":
                wired.advance(rng.randint(0, 5_000))
            case "long":
                wired.advance(40_000)
            case "token":
                connection.token_fetched("t", wired.now_ms)
            case "no token":
                connection.token_fetched(SaslAuthenticationError("provider", "none"), wired.now_ms)
            case "noise":
                connection.data_received(rng.randbytes(rng.randint(0, 60)), wired.now_ms)
            case "honest":
                connection.data_received(wired.end.output(), wired.now_ms)
            case "lost" | "reset":
                connection.connection_lost(None if name == "lost" else "reset", wired.now_ms)
            case "close":
                connection.close(ClientClosedError())
        wired.collect()


@EACH_CONFIG
@settings(max_examples=50)
@given(st.integers(), st.lists(st.sampled_from(STEPS[:9]) | st.sampled_from(STEPS), max_size=30))
def test_any_order_of_events_ends_each_request_once(config, seed, steps):
    chaos = Chaos(config, seed)
    for step in steps:
        chaos.step(step)
    chaos.wired.connection.close(KafkaConnectionError(ADDRESS, "the test is over"))
    chaos.wired.collect()
    check(chaos.wired)


def test_what_is_chaos_is_known():
    chaos = Chaos("plaintext", 0)
    for step in ("pump", "ask", "write", "tell", "partial", "pump", "bad", "advance", "long"):
        chaos.step(step)
    assert chaos.wired.state is ConnectionState.READY
    assert chaos.wired.answers() == [(1, "NoneType"), (0, "MetadataResponse")]
    assert ProduceRequest in {type(request) for _, request in chaos.wired.end.requests}
