"""The producer's metrics: each event where it belongs, under Java's names."""

from __future__ import annotations

import json
import pickle
from math import isnan, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.producer.metrics import MetricName, ProducerMetrics, as_dict, describe, metric_templates

CLIENT = "producer-metrics"
TAGS = (("client-id", "kproto"),)
GAUGES = {"requests-in-flight": 3, "metadata-age": 1.5, "waiting-threads": 0, "batches-queued": 7}


def metrics(**options):
    return ProducerMetrics(**{"window_ms": 30_000, "samples": 2, "now_ms": 0, **options})


def values(found, now_ms=0, topic=None, node=None):
    """Name to value, of the client or of a topic or node."""
    tags = TAGS
    if topic is not None:
        tags = (*TAGS, ("topic", topic))
    elif node is not None:
        tags = (*TAGS, ("node-id", f"node-{node}"))
    return {name.name: value for name, value in found.snapshot(now_ms, {}).items() if name.tags == tags}


def assert_holds(found, **expected):
    assert {name: found[name.replace("_", "-")] for name in expected} == pytest.approx(expected, nan_ok=True)


def test_met_1_a_batch_counts_when_it_is_sent_and_again_with_each_attempt():
    found = metrics()
    for _ in range(2):
        found.batch_sent("orders", 10, 400, 1000, 7, 90, 0)
        found.request_sent(1, 10, 400, 0)
    found.records_retried("orders", 10, 0)
    assert_holds(values(found), record_send_total=20, record_retry_total=10, response_total=0, record_error_total=0)
    assert_holds(values(found, topic="orders"), record_send_total=20, byte_total=800, record_retry_total=10)


def test_met_2_throttle_times_have_the_mean_and_maximum_of_kafkas_vector():
    found = metrics()
    for throttle_ms in (400, 100, 200, 300):
        found.response_received(1, 1, throttle_ms, 0)
    assert_holds(values(found), produce_throttle_time_avg=250, produce_throttle_time_max=400)


def test_sender_25_an_answer_without_throttle_counts_as_none():
    found = metrics()
    found.response_received(1, 1, 0, 0)
    found.response_received(1, 1, 300, 0)
    assert_holds(values(found), produce_throttle_time_avg=150, produce_throttle_time_max=300)


def test_err_2_what_send_refuses_counts_among_the_errors():
    found = metrics()
    found.records_failed("orders", 5, 0)
    found.record_refused("orders", 0)
    assert_holds(values(found, 1_000), record_error_total=6, record_error_rate=6 / 31)
    assert_holds(values(found, 1_000, topic="orders"), record_error_total=6, record_error_rate=6 / 31)


def test_err_2_a_topic_that_nothing_was_sent_to_takes_no_memory_when_it_refuses():
    """A misspelt name in a loop of many must not be kept for ever."""
    found = metrics()
    before = len(found.snapshot(0, {}))
    for number in range(100):
        found.record_refused(f"typo-{number}", 0)
    assert len(found.snapshot(0, {})) == before
    assert_holds(values(found), record_error_total=100)


def test_met_3_a_snapshot_holds_what_the_templates_say_and_nothing_else():
    found = metrics()
    idle = found.snapshot(0, GAUGES)
    assert {(name.name, name.group) for name in idle} == {
        (template.name, template.group) for template in metric_templates() if template.group == CLIENT
    }
    found.batch_sent("orders", 1, 70, 70, 0, 9, 0)
    found.request_sent(2, 1, 70, 0)
    busy = found.snapshot(0, GAUGES)
    assert {(name.name, name.group, tuple(tag for tag, _ in name.tags)) for name in busy} == {
        template[:3] for template in metric_templates()
    }
    assert all(isinstance(value, float) for value in busy.values())


def test_every_batch_request_and_answer_is_seen_where_it_belongs():
    """Numbers that are all different: a column that is taken for another shows."""
    found = metrics()
    found.batch_sent("orders", 10, 400, 1000, 7, 90, 0)
    found.batch_sent("events", 3, 200, 250, 15, 60, 0)
    found.request_sent(1, 13, 600, 0)
    found.request_sent(2, 4, 120, 0)
    found.response_received(1, 25, 0, 0)
    found.response_received(1, 11, 0, 0)
    found.batch_split(0)
    assert_holds(
        values(found),
        batch_size_avg=300,
        batch_size_max=400,
        compression_rate_avg=0.6,
        record_queue_time_avg=11,
        record_queue_time_max=15,
        record_size_avg=75,
        record_size_max=90,
        record_send_rate=17 / 30,
        record_send_total=17,
        records_per_request_avg=8.5,
        batch_split_rate=1 / 30,
        batch_split_total=1,
        request_rate=2 / 30,
        request_total=2,
        request_size_avg=360,
        request_size_max=600,
        outgoing_byte_rate=24,
        outgoing_byte_total=720,
        response_rate=2 / 30,
        response_total=2,
        request_latency_avg=18,
        request_latency_max=25,
    )
    assert_holds(
        values(found, topic="orders"),
        record_send_rate=10 / 30,
        record_send_total=10,
        byte_rate=400 / 30,
        byte_total=400,
        compression_rate=0.4,
        record_retry_rate=0,
        record_error_rate=0,
    )
    assert_holds(values(found, topic="events"), record_send_total=3, byte_total=200, compression_rate=0.8)
    assert_holds(
        values(found, node=1),
        request_rate=1 / 30,
        request_total=1,
        request_size_avg=600,
        request_size_max=600,
        outgoing_byte_rate=20,
        outgoing_byte_total=600,
        response_rate=2 / 30,
        response_total=2,
        request_latency_avg=18,
        request_latency_max=25,
    )
    assert_holds(values(found, node=2), request_total=1, outgoing_byte_total=120, response_total=0)
    assert isnan(values(found, node=2)["request-latency-avg"])


def test_what_threads_waited_for_is_added_up():
    found = metrics()
    found.memory_wait(3_000_000_000, 0)
    found.memory_wait(6_000_000_000, 0)
    found.buffer_exhausted(0)
    found.metadata_wait(5)
    found.metadata_wait(6)
    found.flush_time(7)
    found.flush_time(9)
    assert_holds(
        values(found),
        bufferpool_wait_time_ns_total=9_000_000_000,
        bufferpool_wait_ratio=9 / 30,
        buffer_exhausted_total=1,
        buffer_exhausted_rate=1 / 30,
        metadata_wait_time_ns_total=11,
        flush_time_ns_total=16,
        record_error_total=0,
    )


def test_retries_have_a_rate():
    found = metrics()
    found.records_retried("orders", 6, 0)
    assert_holds(values(found, 30_000), record_retry_rate=6 / 30)
    assert_holds(values(found, 30_000, topic="orders"), record_retry_rate=6 / 30)


def test_windows_pass_and_totals_stay():
    found = metrics(window_ms=100, samples=3, now_ms=5_000)
    found.batch_sent("orders", 10, 400, 1000, 7, 90, 5_000)
    found.request_sent(1, 10, 400, 5_000)
    assert_holds(values(found, 5_299), record_send_rate=10 / 0.299, batch_size_avg=400)
    assert_holds(values(found, 5_300), record_send_rate=0, record_send_total=10, batch_size_avg=nan, batch_size_max=nan)


COUNTS = st.integers(1, 50)
TOPICS = st.sampled_from(["a", "b", "c"])
EVENTS = st.one_of(
    st.tuples(st.just("batch_sent"), TOPICS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS),
    st.tuples(st.just("records_retried"), TOPICS, COUNTS),
    st.tuples(st.just("records_failed"), TOPICS, COUNTS),
    st.tuples(st.just("request_sent"), st.integers(1, 3), COUNTS, COUNTS),
    st.tuples(st.just("response_received"), st.integers(1, 3), COUNTS, COUNTS),
)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 40_000))))
def test_topics_and_nodes_add_up_to_the_client(events):
    found, now_ms = metrics(), 0
    for (name, *arguments), pause_ms in events:
        now_ms += pause_ms
        getattr(found, name)(*arguments, now_ms)
    client = values(found, now_ms)
    topics = [values(found, now_ms, topic=topic) for topic in "abc"]
    nodes = [values(found, now_ms, node=node) for node in (1, 2, 3)]
    for name in ("record-retry-total", "record-error-total"):
        assert client[name] == sum(topic.get(name, 0) for topic in topics)
    for name in ("request-total", "outgoing-byte-total", "response-total"):
        assert client[name] == sum(node.get(name, 0) for node in nodes)
    for name in ("request-latency-max", "request-size-max"):
        lately = [node[name] for node in nodes if not isnan(node.get(name, nan))]
        assert not lately or client[name] >= max(lately)


def test_a_gauge_is_shown_as_it_is_and_one_that_is_not_given_is_nan():
    found = metrics().snapshot(0, GAUGES)
    assert found[MetricName("batches-queued", CLIENT, TAGS)] == 7.0
    assert found[MetricName("metadata-age", CLIENT, TAGS)] == 1.5
    assert isnan(found[MetricName("connection-count", CLIENT, TAGS)])


def test_a_gauge_that_no_template_names_is_refused():
    with pytest.raises(ValueError, match=r"no such gauges: batch-size-avg, uptime; known are requests-in-flight"):
        metrics().snapshot(0, {**GAUGES, "uptime": 1, "batch-size-avg": 2})


@pytest.mark.parametrize(("client_id", "tag"), [("mine", "mine"), (None, ""), ("", "")])
def test_the_clients_name_is_the_first_tag(client_id, tag):
    found = metrics(client_id=client_id)
    found.request_sent(0, 1, 1, 0)
    assert {name.tags[0] for name in found.snapshot(0, {})} == {("client-id", tag)}


def test_a_name_is_a_key_that_can_be_sent():
    name = MetricName("byte-rate", "producer-topic-metrics", (*TAGS, ("topic", "orders")))
    assert {pickle.loads(pickle.dumps(name)): 1}[name] == 1


class Meddler(str):
    """A topic whose hash, which the snapshot needs, lets the sender in between."""

    meddle = None

    def __hash__(self):
        if self.meddle is not None:
            self.meddle()
        return super().__hash__()


class MeddlingNode(int):
    """A node whose name does the same."""

    meddle = None

    def __format__(self, spec):
        if self.meddle is not None:
            self.meddle()
        return super().__format__(spec)


def test_a_snapshot_does_not_mind_topics_and_nodes_that_come_meanwhile():
    found, topic, node = metrics(), Meddler("orders"), MeddlingNode(1)
    found.batch_sent(topic, 1, 70, 70, 0, 9, 0)
    found.request_sent(node, 1, 70, 0)
    before = len(found.snapshot(0, {}))
    came = iter(range(10**6))
    topic.meddle = lambda: found.batch_sent(f"new-{next(came)}", 1, 70, 70, 0, 9, 0)
    node.meddle = lambda: found.request_sent(next(came) + 100, 1, 70, 0)
    assert len(found.snapshot(0, {})) == before
    assert next(came) > 1, "nobody came in between"
    topic.meddle = node.meddle = None
    assert len(found.snapshot(0, {})) > before


def test_people_see_groups_then_topics_and_nodes():
    found = metrics()
    found.batch_sent("orders", 10, 400, 1000, 7, 90, 0)
    found.request_sent(2, 10, 400, 0)
    nested = as_dict(found.snapshot(0, GAUGES))
    assert set(nested) == {template.group for template in metric_templates()}
    assert nested[CLIENT]["batches-queued"] == 7.0
    assert nested[CLIENT]["request-latency-avg"] is None
    assert nested["producer-topic-metrics"]["orders"]["byte-total"] == 400.0
    assert nested["producer-node-metrics"]["node-2"]["request-total"] == 1.0
    assert json.loads(json.dumps(nested, allow_nan=False)) == nested


def test_the_page_is_at_hand():
    assert describe().startswith("| metric |")
