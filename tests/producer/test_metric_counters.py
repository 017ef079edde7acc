"""Counters: each event adds to its sums, maxima and totals, and to nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kproto.producer.metric_counters import ClientCounters, NodeCounters, TopicCounters
from kproto.producer.metric_window import Sampling

HOUR = Sampling(3_600_000, 2, 0)
NUMBERS = st.integers(0, 10**9)
RATIOS = st.floats(0.001, 2)


def read(counters, *paths):
    """The values at dotted paths below the counters."""
    found = []
    for path in paths:
        value = counters
        for name in path.split("."):
            value = getattr(value, name)
        found.append(value)
    return found


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_requests_are_counted_with_their_records_and_bytes(requests):
    counters = NodeCounters(HOUR)
    for records, size in requests:
        counters.request_sent(records, size, 0)
    records, sizes = zip(*requests, strict=True)
    sample = counters.requests.at(0)
    assert read(sample, "count", "records", "size", "size_max") == [
        len(requests) + 1,
        sum(records),
        sum(sizes),
        max(sizes),
    ]
    assert read(counters, "requests_total", "records_total", "bytes_total") == [len(requests), sum(records), sum(sizes)]
    assert counters.responses_total == 0


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1))
def test_sender_25_answers_are_counted_with_their_latency_and_throttle(responses):
    counters = NodeCounters(HOUR)
    for latency_ms, throttle_ms in responses:
        counters.response_received(latency_ms, throttle_ms, 0)
    latencies, throttles = zip(*responses, strict=True)
    sample = counters.responses.at(0)
    assert read(sample, "latency_ms", "latency_ms_max") == [sum(latencies), max(latencies)]
    assert read(sample, "throttle_ms", "throttle_ms_max") == [sum(throttles), max(throttles)]
    assert read(counters, "responses_total", "requests_total", "bytes_total") == [len(responses), 0, 0]


@given(st.lists(st.tuples(NUMBERS, RATIOS, NUMBERS, NUMBERS), min_size=1))
def test_batches_are_counted_with_what_they_weigh_and_how_long_they_waited(batches):
    counters = ClientCounters(HOUR)
    for size, ratio, queue_ms, largest in batches:
        counters.batch_sent(size, ratio, queue_ms, largest, 0)
    sizes, ratios, queues, largest = zip(*batches, strict=True)
    sample = counters.batches.at(0)
    assert read(sample, "size", "size_max", "ratio") == [sum(sizes), max(sizes), sum(ratios)]
    assert read(sample, "queue_ms", "queue_ms_max") == [sum(queues), max(queues)]
    assert read(sample, "largest", "largest_max") == [sum(largest), max(largest)]
    assert read(counters, "requests_total", "records_total") == [0, 0], "those are the requests' to count"


@given(st.lists(st.tuples(NUMBERS, NUMBERS, RATIOS), min_size=1))
def test_a_topics_batches_are_counted_with_their_records(batches):
    counters = TopicCounters(HOUR)
    for count, size, ratio in batches:
        counters.batch_sent(count, size, ratio, 0)
    counts, sizes, ratios = zip(*batches, strict=True)
    assert read(counters.batches.at(0), "records", "size", "ratio") == [sum(counts), sum(sizes), sum(ratios)]
    assert read(counters, "records_total", "bytes_total") == [sum(counts), sum(sizes)]
    assert read(counters, "retried.total", "failed.total", "refused.total") == [0, 0, 0]


def test_nothing_of_one_scope_is_shared_with_another():
    one, other = ClientCounters(HOUR), ClientCounters(HOUR)
    one.failed.add(3, 0)
    one.batch_sent(1, 1.0, 1, 1, 0)
    assert other.failed.total == 0 == other.batches.at(0).size


def test_a_node_and_a_topic_hold_no_dictionary():
    """They are made for each of them, and a cluster may have thousands."""
    assert not [kind for kind in (NodeCounters, TopicCounters, ClientCounters) if hasattr(kind(HOUR), "__dict__")]
