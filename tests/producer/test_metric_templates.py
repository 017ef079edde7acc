"""The names of metrics: Java's, complete, each with a reading or a reason why there is none."""

from __future__ import annotations

import pytest
from producer.kafka_metrics import ask_kafka

from kproto.producer.metric_counters import ClientCounters, NodeCounters, TopicCounters
from kproto.producer.metric_templates import (
    ABSENT,
    CLIENT_METRICS,
    GAUGES,
    NODE_METRICS,
    OURS,
    TOPIC_METRICS,
    describe,
    metric_templates,
)
from kproto.producer.metric_window import Sampling

ABSENT_NAMES = {(name, row.group) for row in ABSENT for name in row.names.split()}
ONLY_WITH_TLS = {("connections", "producer-metrics")}
RETIRED = {"bufferpool-wait-time-total", "iotime-total", "io-waittime-total"}
# What SenderMetrics of Kafka 1.1 has; later versions have added names and taken none of these away.
SENDER_1_1 = """batch-size-avg batch-size-max compression-rate-avg record-queue-time-avg record-queue-time-max
    request-latency-avg request-latency-max produce-throttle-time-avg produce-throttle-time-max record-send-rate
    record-send-total records-per-request-avg record-retry-rate record-retry-total record-error-rate record-error-total
    record-size-max record-size-avg requests-in-flight metadata-age batch-split-rate batch-split-total"""
TOPIC_1_1 = """record-send-rate record-send-total byte-rate byte-total compression-rate record-retry-rate
    record-retry-total record-error-rate record-error-total"""


def names(group):
    return {template.name for template in metric_templates() if template.group == group}


def test_met_3_every_name_is_there_before_any_traffic_once_and_with_words():
    templates = metric_templates()
    assert len({(template.name, template.group) for template in templates}) == len(templates) >= 60
    assert all(template.description and template.tags[0] == "client-id" for template in templates)


def test_met_4_the_names_of_kafka_1_1_are_there():
    assert set(SENDER_1_1.split()) <= names("producer-metrics")
    assert set(TOPIC_1_1.split()) == names("producer-topic-metrics")


def test_met_4_the_nanosecond_totals_replace_the_older_ones():
    every = {template.name for template in metric_templates()} | {name for name, _ in ABSENT_NAMES}
    assert not every & RETIRED
    assert {"bufferpool-wait-time-ns-total", "flush-time-ns-total", "metadata-wait-time-ns-total"} <= every


@pytest.mark.java
def test_met_3_names_groups_and_tags_are_those_of_kafkas_producer():
    (answer,) = ask_kafka([{}])
    kafkas = {(name, group, tuple(sorted(tags.split()))) for name, group, tags in answer}
    ours = {(template.name, template.group, tuple(sorted(template.tags))) for template in metric_templates()}
    assert {name for name, _, _ in ours - kafkas} == OURS
    assert {(name, group) for name, group, _ in kafkas - ours} == ABSENT_NAMES - ONLY_WITH_TLS


def test_a_name_is_either_there_or_absent_for_a_reason():
    there = {(template.name, template.group) for template in metric_templates()}
    assert not there & ABSENT_NAMES
    assert all(row.why for row in ABSENT)
    assert names("producer-metrics") >= OURS


@pytest.mark.parametrize(
    ("make", "metrics"),
    [(ClientCounters, CLIENT_METRICS), (TopicCounters, TOPIC_METRICS), (NodeCounters, NODE_METRICS)],
)
def test_every_metric_can_be_read_before_anything_was_counted(make, metrics):
    counters = make(Sampling(30_000, 2, 0))
    for metric in metrics:
        value = metric.read(counters, 0)
        assert isinstance(value, float), metric.name
        counts = metric.name.endswith(("-total", "-rate", "-ratio")) and metric.name != "compression-rate"
        assert (value == 0.0) is counts, f"{metric.name} is {value}"


def test_each_rate_of_a_count_has_its_total():
    for metrics in (CLIENT_METRICS, TOPIC_METRICS, NODE_METRICS):
        found = {metric.name for metric in metrics}
        rates = {name.removesuffix("-rate") for name in found if name.endswith("-rate")} - {"compression"}
        assert {f"{name}-total" for name in rates} <= found


def test_the_page_shows_every_name_in_whole_rows():
    ours, absent = describe().split("\n\n")
    assert ours.count("\n") + 1 == 2 + len(metric_templates())
    assert absent.count("\n") == 2 + len(ABSENT)
    assert all(row.count("|") == 5 for row in ours.splitlines())
    assert all(row.count("|") == 4 for row in absent.splitlines())
    assert all(f"| `{name}` |" in ours for name in GAUGES)
    assert all(f"`{name}`" in absent for name, _ in ABSENT_NAMES)
    assert [row for row in ours.splitlines() if "not in Java" in row and "batches-queued" in row]
