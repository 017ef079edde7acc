"""Where the records of a key go: as the partitioner says, remembered up to a bound, and never of a choice that is
over."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.queueing import accumulator_of

from kproto.producer import routes as module
from kproto.producer.partitioner import PartitionChoices, choose_by_key
from kproto.producer.routes import TopicRoutes
from kproto.wire.varint import encode_varint

KEYS = st.one_of(st.binary(max_size=40), st.integers(0, 9000).map(bytes))


def topic_of(partitions=3, *, queues=True):
    """A topic of which every partition was sent to, or none."""
    topic = accumulator_of().topic("orders")
    topic.choices = PartitionChoices(tuple(range(partitions)))
    for number in range(partitions if queues else 0):
        topic.queue(number)
    return topic


@given(st.lists(KEYS, min_size=1), st.integers(1, 12))
def test_part_4_a_key_goes_where_the_partitioner_says(keys, partitions):
    topic = topic_of(partitions)
    for key in keys:
        route = topic.routes[key]
        assert route.queue is topic.partitions[choose_by_key("orders", key, topic.choices)]
        assert route.key == encode_varint(len(key)) + key
        assert route.key_size == len(route.key) + 1
        assert route.unkeyed is None
        assert topic.routes[key] is route, "it is remembered"


def test_without_a_key_it_is_the_sticky_partition():
    topic = topic_of()
    topic.sticky.current = 2
    route = topic.routes[None]
    assert (route.queue, route.key, route.key_size, route.unkeyed) == (topic.partitions[2], encode_varint(-1), 2, topic)
    assert topic.routes[None] is route


@pytest.mark.parametrize("key", ["k", bytearray(b"k"), memoryview(b"k"), 5, (), type("Key", (bytes,), {})(b"k")])
def test_what_is_no_bytes_has_no_route(key):
    routes = topic_of().routes
    with pytest.raises((KeyError, TypeError)):
        routes[key]
    assert not routes


def test_a_partition_that_nothing_was_sent_to_yet_has_no_route():
    topic = topic_of(queues=False)
    topic.sticky.current = 1
    for key in (b"k", None):
        with pytest.raises(KeyError):
            topic.routes[key]
    topic.queue(choose_by_key("orders", b"k", topic.choices))
    assert topic.routes[b"k"].queue.partition.partition == choose_by_key("orders", b"k", topic.choices)


def test_a_topic_without_a_sticky_partition_yet_has_no_route_for_none():
    topic = topic_of()
    assert topic.sticky.current is None
    with pytest.raises(KeyError):
        topic.routes[None]


@given(st.one_of(st.none(), KEYS), st.integers(0, 2))
def test_part_2_a_partition_that_is_given_is_where_it_goes(key, partition):
    topic = topic_of()
    route = topic.routes.to_partition(partition, key)
    part = encode_varint(-1) if key is None else encode_varint(len(key)) + key
    assert route == (topic.partitions[partition], part, len(part) + 1, None)
    assert not topic.routes, "there is nothing to be remembered"


@pytest.mark.parametrize(
    ("partition", "key"),
    [(3, b"k"), (-1, None), (True, b"k"), ("0", b"k"), (0, "k"), (0, bytearray(b"k")), (0, memoryview(b"k"))],
)
def test_nor_has_a_partition_without_a_queue_or_a_key_that_is_no_bytes(partition, key):
    topic = topic_of()
    with pytest.raises(KeyError):
        topic.routes.to_partition(partition, key)
    assert len(topic.partitions) == 3


def test_a_full_cache_takes_no_more_and_throws_nothing_away(monkeypatch):
    monkeypatch.setattr(module, "ROUTES_MAX", 5)
    topic = topic_of()
    kept = [topic.routes[b"%d" % number] for number in range(5)]
    for number in range(5, 20):
        key = b"%d" % number
        route = topic.routes[key]
        assert route.queue is topic.partitions[choose_by_key("orders", key, topic.choices)]
        assert topic.routes[key] is not route
    assert len(topic.routes) == 5
    assert [topic.routes[b"%d" % number] for number in range(5)] == kept
    topic.sticky.current = 0
    assert topic.routes[None] is topic.routes[None], "there is but one of these: it has its place all the same"
    assert len(topic.routes) == 6


class Meanwhile:
    """A lock; something happens to the topic before it is had."""

    def __init__(self, action):
        self.action = action

    def __enter__(self):
        self.action()

    def __exit__(self, *exception):
        pass


def test_a_route_of_choices_that_are_no_more_is_not_kept():
    topic = topic_of()

    def grow():
        topic.choices = PartitionChoices(tuple(range(7)))

    routes = TopicRoutes(topic, Meanwhile(grow))
    for key in (b"k", None):
        topic.choices = PartitionChoices((0, 1, 2))
        topic.sticky.current = 0
        assert routes[key].queue in topic.partitions.values()
        assert not routes


def test_nor_is_that_of_a_sticky_partition_which_has_changed():
    topic = topic_of()
    topic.sticky.current = 0
    routes = TopicRoutes(topic, Meanwhile(lambda: setattr(topic.sticky, "current", 1)))
    assert routes[None].queue is topic.partitions[0]
    assert not routes
    assert routes[None].queue is topic.partitions[1] and None in routes
    topic.sticky.current = 0
    assert routes[b"k"] is routes[b"k"], "a key cares for no sticky partition"


def test_an_equal_choice_that_is_another_one_counts_as_another():
    """It was made of newer metadata, whatever it says."""
    topic = topic_of()
    routes = TopicRoutes(topic, Meanwhile(lambda: setattr(topic, "choices", PartitionChoices((0, 1, 2)))))
    assert routes[b"k"] and not routes


def test_many_threads_get_equal_routes():
    topic = topic_of()
    routes, found = TopicRoutes(topic, threading.Lock()), []
    keys = [b"%d" % number for number in range(300)]
    begin = threading.Barrier(4)

    def look():
        begin.wait()
        found.append([routes[key] for key in keys])

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reference = TopicRoutes(topic, nullcontext())
    assert found == [[reference[key] for key in keys]] * 4
    assert len(routes) == len(keys)
