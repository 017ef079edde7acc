"""Whatever happens for a while: once it stops, all that was asked has ended, each once, and new requests succeed.

The number of a case is its seed, and the whole bug report: `chaos(7)` runs the same again. `make soak SEEDS=1000` runs
more of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import pytest
from client.other_ends import ClosingEnd, RawEnd, SilentEnd
from client.scripted_broker import Node, SaslServer
from client.simulated_client import PORT, World, address_of

from kproto.client.errors import KafkaConnectionError
from kproto.wire import ApiKey, ErrorCode

SEEDS = range(int(os.environ.get("KPROTO_SEEDS", "16")))
NODES = 3
CHAOS_MS = 30_000
REQUEST_TIMEOUT_MS = 3_000
WAIT_MS_MAX = 8_000
THROTTLE_MS_MAX = 2_000
APIS = (ApiKey.API_VERSIONS, ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID, ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE)
CODES = (ErrorCode.REBOOTSTRAP_REQUIRED, ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.INVALID_REQUEST, 9_999)
FAULTS = ("close", "silence", "hold", "twice", "half", "wrong correlation id", b"\0\0\0\2xx", b"HTTP/1.1 400", *CODES)
UNKNOWN = KafkaConnectionError("x:1", "the name is not known")
LOGIN = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "SCRAM-SHA-256",
    "sasl_username": "ann",
    "sasl_password": "secret-of-ann",
}


class Chaos:
    """One run. Whatever is drawn comes from the seed."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = Random(seed)
        logs_in = rng.random() < 0.3
        sasl = SaslServer(users={"ann": "secret-of-ann"}, session_lifetime_ms=rng.choice([0, 4_000]))
        names = {"bootstrap.test": [address_of(node_id) for node_id in range(NODES)]}
        slowest_ms = rng.choice([0, 3, 40])
        self.world = World(
            nodes=NODES,
            topics={"orders": 4},
            servers=rng.choice(["bootstrap.test", "broker-0.test,broker-1.test,broker-2.test"]),
            seed=seed,
            sasl=sasl if logs_in else None,
            network={
                "names": names,
                "chunking": rng.choice(["whole", "whole", "random"]),
                "window": rng.choice([None, None, 30]),
                "latency_ms": lambda rng: 1 + int(rng.random() * slowest_ms),
            },
            request_timeout_ms=REQUEST_TIMEOUT_MS,
            socket_connection_setup_timeout_ms=1_000,
            socket_connection_setup_timeout_max_ms=2_000,
            connections_max_idle_ms=rng.choice([-1, 2_000, 60_000]),
            metadata_max_age_ms=rng.choice([3_000, 300_000]),
            metadata_recovery_rebootstrap_trigger_ms=10_000,
            **(LOGIN if logs_in else {}),
        )
        self.world.client.metadata.add_topic("orders", 0)

    def node(self) -> int:
        return self.rng.randrange(NODES)

    # What may happen

    def ask(self) -> None:
        node_id = self.rng.choice([None, *range(NODES), 7])
        timeout_ms = self.rng.randrange(1, WAIT_MS_MAX)
        for _ in range(self.rng.randrange(1, 9)):
            self.world.ask(node_id=node_id, timeout_ms=timeout_ms)

    def cut(self) -> None:
        self.world.cut(self.node(), reason=self.rng.choice(["Connection reset by peer", None]))

    def cut_soon(self) -> None:
        direction = self.rng.choice(["sent", "received"])
        self.world.network.cut_after(address_of(self.node()), PORT, **{direction: self.rng.randrange(300)})

    def unplug(self) -> None:
        self.world.network.unplug(address_of(self.node()), PORT)

    def down(self) -> None:
        self.world.down(self.node())

    def up(self) -> None:
        self.world.up(self.node())

    def all_down(self) -> None:
        self.world.down(*range(NODES))

    def hang(self) -> None:
        self.world.network.serve(address_of(self.node()), PORT, "hang")

    def strange(self) -> None:
        server = self.rng.choice([ClosingEnd, SilentEnd, lambda: RawEnd(b"SSH-2.0-OpenSSH_9.6\r\n", at_once=True)])
        self.world.network.serve(address_of(self.node()), PORT, server)

    def serve(self) -> None:
        node_id = self.node()
        self.world.serve(node_id, self.world.brokers[node_id])

    def fail(self) -> None:
        self.world.brokers[self.node()].fail(self.rng.choice(APIS), self.rng.choice(FAULTS))

    def always(self) -> None:
        always = self.world.brokers[self.node()].always
        if self.rng.random() < 0.5:
            always[self.rng.choice(APIS)] = self.rng.choice(FAULTS)
        else:
            always.clear()

    def release(self) -> None:
        self.world.brokers[self.node()].release()

    def throttle(self) -> None:
        self.world.brokers[self.node()].throttle_time_ms = self.rng.choice([0, 100, THROTTLE_MS_MAX])

    def name(self) -> None:
        name = self.rng.choice(["bootstrap.test", "broker-0.test", "broker-1.test", "broker-2.test"])
        addresses = [address_of(self.node()), "10.9.9.9"]
        self.world.network.names[name] = self.rng.choice([UNKNOWN, [], ["10.9.9.9"], addresses])

    def move_leader(self) -> None:
        self.world.cluster.move_leader("orders", self.rng.randrange(4), self.rng.choice([-1, *range(NODES)]))

    def remove_node(self) -> None:
        if len(self.world.cluster.nodes) > 1:
            self.world.cluster.nodes.pop(self.node(), None)

    def move_node(self) -> None:
        self.world.cluster.nodes[self.node()] = Node(self.rng.choice(["broker-1.test", "lost.test", "10.9.9.9"]), PORT)

    def metadata(self) -> None:
        self.world.client.metadata.request_update(reset=self.rng.random() < 0.5)

    # The run

    def run(self) -> None:
        happenings: list[Callable[[], None]] = [
            *[self.ask] * 8,
            *[self.cut] * 2,
            *[self.up] * 3,
            *[self.serve] * 3,
            *[self.fail] * 3,
            self.cut_soon,
            self.unplug,
            self.down,
            self.all_down,
            self.hang,
            self.strange,
            self.always,
            self.release,
            self.throttle,
            self.name,
            self.move_leader,
            self.remove_node,
            self.move_node,
            self.metadata,
        ]
        at_ms = 0
        while at_ms < CHAOS_MS:
            self.world.network.at_time(at_ms, self.rng.choice(happenings))
            at_ms += int(self.rng.expovariate(1 / 150))
        self.world.network.advance(CHAOS_MS)

    def stop(self) -> None:
        """All is well again, but for what is broken already."""
        world = self.world
        names = world.network.names
        names["bootstrap.test"] = [address_of(node_id) for node_id in range(NODES)]
        for node_id in range(NODES):
            names[f"broker-{node_id}.test"] = [address_of(node_id)]
            world.cluster.nodes[node_id] = Node(f"broker-{node_id}.test", PORT)
            world.start_broker(node_id)
        for partition in range(4):
            world.cluster.move_leader("orders", partition, NODES - 1)
        world.up(*range(NODES))
        world.network.note("all is well again")


def chaos(seed: int) -> Chaos:
    """A run with all that is asserted of any."""
    print(f"seed {seed}")
    run = Chaos(seed)
    world, client = run.world, run.world.client
    run.run()
    run.stop()
    ends_within(run, WAIT_MS_MAX + REQUEST_TIMEOUT_MS + 2 * THROTTLE_MS_MAX + 2_000)
    succeeds_within(run, 60_000)
    stays_calm(run)
    assert client.polls < 3 * world.network.events + 500, "two for each thing that happens, and some for deadlines"
    assert sorted(client.ended) == list(range(1, world.asked + 1)), "each ends, and only once"
    assert not any("already gone" in line for line in world.network.log), "what is lost needs no closing"
    client.close(world.now_ms)
    world.network.advance(10)
    assert world.network.links == {}
    return run


def ends_within(run: Chaos, ms: int) -> None:
    """Nobody waits longer than for a connection and for an answer."""
    world = run.world
    world.network.run_until(lambda: len(world.client.ended) == world.asked, ms)


def succeeds_within(run: Chaos, ms: int) -> None:
    """Requests may still meet connections that are dead and do not know it yet; each node answers before long."""
    world = run.world
    deadline_ms = world.now_ms + ms
    for node_id in (*range(NODES), None):
        while world.completion(world.ask(node_id=node_id, timeout_ms=ms)).error is not None:
            if world.now_ms > deadline_ms:
                raise world.network.failure(f"node {node_id} does not answer")
            world.network.advance(100)
    world.learn(limit_ms=10_000)
    assert sorted(world.client.cluster.nodes) == list(range(NODES))
    assert {leader.leader_id for leader in world.client.cluster.partitions_for("orders")} == {NODES - 1}


def stays_calm(run: Chaos) -> None:
    """With nothing to do, little is done."""
    world = run.world
    world.network.advance(20_000)
    polls, events, opened = world.client.polls, world.network.events, len(world.opened())
    world.network.advance(60_000)
    assert world.client.polls - polls < 3 * (world.network.events - events) + 100
    assert len(world.opened()) - opened <= 80
    assert len(world.client.connections.open) <= 2 * NODES + 1


@pytest.mark.parametrize("seed", SEEDS)
def test_once_the_trouble_is_over_every_request_has_ended_once_and_new_ones_succeed(seed):
    chaos(seed)


def test_the_same_seed_gives_the_same_run():
    one, other = chaos(1), chaos(1)
    assert one.world.network.log == other.world.network.log
    assert list(one.world.client.ended) == list(other.world.client.ended)
