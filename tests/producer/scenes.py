"""What the scenarios of the producer share: a small world, faults in turn, and what to look at afterwards."""

from __future__ import annotations

from producer.simulated_producer import ProducerWorld

from kproto.client import TopicPartition
from kproto.producer.events import ProducerIdChanged
from kproto.wire import ApiKey

TOPIC = "orders"
SLOW = {"latency_ms": 10}
QUICK = {
    "linger_ms": 0,
    "batch_size": 1,
    "request_timeout_ms": 1_000,
    "retry_backoff_ms": 50,
    "retry_backoff_max_ms": 200,
}


def world_of(partitions=1, *, nodes=1, cluster=None, network=SLOW, **settings):
    return ProducerWorld(nodes, {TOPIC: partitions}, cluster=cluster, network=network, **{**QUICK, **settings})


def fail_produce(world, *faults, **scope):
    """Each of these meets one Produce request, in turn."""
    for fault in faults:
        world.cluster.fail(ApiKey.PRODUCE, fault, **scope)


def each(letters):
    """One value for each letter."""
    return [bytes([letter]) for letter in letters]


def send_all(world, *values, partition=0):
    """Each in a batch of its own."""
    return [world.send(TOPIC, value, partition=partition) for value in values]


def stamps(world, partition=0):
    """Epoch and sequence of each batch that went out."""
    return [(event.producer_epoch, event.sequence) for event in world.produced(TOPIC, partition)]


def state(world, partition=0):
    return world.sender.lanes.state(TopicPartition(TOPIC, partition))


def bumps(world):
    """Every producer id and epoch there was."""
    return [(one.producer_id, one.producer_epoch) for one in world.events if isinstance(one, ProducerIdChanged)]


def finish(world, *, bumped=0):
    """All is delivered, or has failed, as the tests before this say; and it took no more epochs than that."""
    world.flush()
    world.advance(5_000)
    assert len(bumps(world)) == 1 + bumped
    world.check()
    world.check_at_rest()


def one_batch(world, *values):
    """All in one batch, if they fit."""
    sent = [world.append(TOPIC, value, partition=0) for value in values]
    world.advance(0)
    return sent
