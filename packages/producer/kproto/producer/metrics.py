"""The producer's metrics: counted as things happen, under Java's names when somebody looks.

Layer: producer. A core. Each event is one call, a batch or a request at a time, never a record at a time.
Source: org.apache.kafka.clients.producer.internals.Sender.SenderMetrics (MET-1 to MET-4, ERR-2, SENDER-25).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial
from math import isnan, nan
from typing import Any, NamedTuple

from kproto.producer.metric_counters import ClientCounters, NodeCounters, TopicCounters
from kproto.producer.metric_templates import (
    CLIENT,
    CLIENT_METRICS,
    GAUGES,
    NODE,
    NODE_METRICS,
    TOPIC,
    TOPIC_METRICS,
    Metric,
    describe,
    metric_templates,
)
from kproto.producer.metric_window import Sampling

__all__ = ["MetricName", "ProducerMetrics", "as_dict", "describe", "metric_templates"]


class MetricName(NamedTuple):
    """The key of a metric, as Java has it. tags: names with their values, the client's first."""

    name: str
    group: str
    tags: tuple[tuple[str, str], ...]


class ProducerMetrics:
    """See the module.

    window_ms, samples: rates, means and maxima cover so many windows of this length; now_ms: monotonic, as everywhere.
    Written by the sender, inside the driver's guard; `record_refused`, `memory_wait`, `buffer_exhausted`,
    `metadata_wait` and `flush_time` are for any thread that holds the accumulator's lock, and touch nothing that the
    sender writes. `snapshot` is for any thread, and takes no lock: it may miss a part of what happens at that moment.
    A topic takes 2 KB from its first batch on, a node 1 KB from its first request on.
    """

    def __init__(self, client_id: str | None = "kproto", *, window_ms: int, samples: int, now_ms: int) -> None:
        self._tags = (("client-id", client_id or ""),)
        sampling = Sampling(window_ms, samples, now_ms)
        self._client = ClientCounters(sampling)
        self._topics: defaultdict[str, TopicCounters] = defaultdict(partial(TopicCounters, sampling))
        self._nodes: defaultdict[int, NodeCounters] = defaultdict(partial(NodeCounters, sampling))

    # The sender's

    def batch_sent(
        self, topic: str, count: int, size: int, raw_size: int, queue_ms: int, largest_record: int, now_ms: int
    ) -> None:
        """A batch is in a request; each attempt counts.

        count: records; size: bytes as sent; raw_size: bytes before compression, from 1; queue_ms: since it was opened;
        largest_record: bytes.
        """
        ratio = size / raw_size
        self._client.batch_sent(size, ratio, queue_ms, largest_record, now_ms)
        self._topics[topic].batch_sent(count, size, ratio, now_ms)

    def request_sent(self, node_id: int, records: int, size: int, now_ms: int) -> None:
        """A Produce request went out. size: bytes of its batches."""
        self._client.request_sent(records, size, now_ms)
        self._nodes[node_id].request_sent(records, size, now_ms)

    def response_received(self, node_id: int, latency_ms: int, throttle_ms: int, now_ms: int) -> None:
        """Its answer came. throttle_ms: the pause that it asks for, whether or not we are the one to keep it."""
        self._client.response_received(latency_ms, throttle_ms, now_ms)
        self._nodes[node_id].response_received(latency_ms, throttle_ms, now_ms)

    def records_retried(self, topic: str, count: int, now_ms: int) -> None:
        """A batch of so many records is queued again."""
        self._client.retried.add(count, now_ms)
        self._topics[topic].retried.add(count, now_ms)

    def records_failed(self, topic: str, count: int, now_ms: int) -> None:
        """A batch of so many accepted records was given up."""
        self._client.failed.add(count, now_ms)
        self._topics[topic].failed.add(count, now_ms)

    def batch_split(self, now_ms: int) -> None:
        """A broker found a batch too large, and it goes on in parts."""
        self._client.splits.add(1, now_ms)

    # Any thread's that holds the accumulator's lock

    def record_refused(self, topic: str, now_ms: int) -> None:
        """A send has raised. The topic counts it only once it has metrics: misspelt names must not fill the memory."""
        self._client.refused.add(1, now_ms)
        found = self._topics.get(topic)
        if found is not None:
            found.refused.add(1, now_ms)

    def memory_wait(self, waited_ns: int, now_ms: int) -> None:
        """A thread has waited for buffer memory, whether or not it got it."""
        self._client.buffer_wait_ns.add(waited_ns, now_ms)

    def buffer_exhausted(self, now_ms: int) -> None:
        """It did not get it in time."""
        self._client.exhausted.add(1, now_ms)

    def metadata_wait(self, waited_ns: int) -> None:
        """A thread has waited for the metadata of a topic."""
        self._client.metadata_wait_ns += waited_ns

    def flush_time(self, waited_ns: int) -> None:
        """A flush has ended."""
        self._client.flush_ns += waited_ns

    # Any thread's

    def snapshot(self, now_ms: int, gauges: Mapping[str, float]) -> dict[MetricName, float]:
        """All metrics now; nan for a mean or a maximum of nothing, and for a gauge that is not given.

        gauges: by the names of `GAUGES`. Raises ValueError for any other.
        """
        if unknown := gauges.keys() - GAUGES.keys():
            raise ValueError(f"no such gauges: {', '.join(sorted(unknown))}; known are {', '.join(GAUGES)}")
        found = {MetricName(name, CLIENT, self._tags): float(gauges.get(name, nan)) for name in GAUGES}
        found.update(_read(CLIENT, self._tags, CLIENT_METRICS, self._client, now_ms))
        for topic, of_topic in self._topics.copy().items():  # the sender may add to them meanwhile
            found.update(_read(TOPIC, (*self._tags, ("topic", topic)), TOPIC_METRICS, of_topic, now_ms))
        for node_id, of_node in self._nodes.copy().items():
            found.update(_read(NODE, (*self._tags, ("node-id", f"node-{node_id}")), NODE_METRICS, of_node, now_ms))
        return found


def _read(
    group: str, tags: tuple[tuple[str, str], ...], metrics: tuple[Metric, ...], counters: Any, now_ms: int
) -> Iterator[tuple[MetricName, float]]:
    for name, _, read in metrics:
        yield MetricName(name, group, tags), read(counters, now_ms)


def as_dict(snapshot: Mapping[MetricName, float]) -> dict[str, Any]:
    """A snapshot for people and for JSON: group, then the topic or node where there is one, then name to number.

    None stands for nan, which JSON does not have.
    """
    nested: dict[str, Any] = {}
    for (name, group, tags), value in snapshot.items():
        inner = nested.setdefault(group, {})
        for _, tag in tags[1:]:
            inner = inner.setdefault(tag, {})
        inner[name] = None if isnan(value) else value
    return nested
