"""The names of all metrics, each with what it is and how it is read off the counters; and those that Java has alone.

Layer: producer. A core. Names, groups and tags are Java's, so that dashboards fit; a name of our own says so.
Source: org.apache.kafka.clients.producer.internals.SenderMetricsRegistry, KafkaProducerMetrics, BufferPool;
org.apache.kafka.common.network.Selector (MET-3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final, NamedTuple

__all__ = [
    "ABSENT",
    "CLIENT_METRICS",
    "GAUGES",
    "NODE_METRICS",
    "OURS",
    "TOPIC_METRICS",
    "Absent",
    "Metric",
    "MetricTemplate",
    "describe",
    "metric_templates",
]

CLIENT: Final = "producer-metrics"
TOPIC: Final = "producer-topic-metrics"
NODE: Final = "producer-node-metrics"
TAGS: Final[Mapping[str, tuple[str, ...]]] = {
    CLIENT: ("client-id",),
    TOPIC: ("client-id", "topic"),
    NODE: ("client-id", "node-id"),
}


class MetricTemplate(NamedTuple):
    """A metric before there is any traffic. tags: the names of its tags."""

    name: str
    group: str
    tags: tuple[str, ...]
    description: str


class Metric(NamedTuple):
    """A row: the name, what it is, and how to read it off the counters of its scope at a time."""

    name: str
    about: str
    read: Callable[[Any, int], float]


class Absent(NamedTuple):
    """What Java's producer has and this one has not. names: words apart; group: where they stand; why: a phrase."""

    names: str
    group: str
    why: str


def mean(samples: str, column: str) -> Callable[[Any, int], float]:
    windows, of = attrgetter(samples), attrgetter(column)
    return lambda counters, now_ms: float(windows(counters).mean(of, now_ms))


def most(samples: str, column: str) -> Callable[[Any, int], float]:
    windows, of = attrgetter(samples), attrgetter(f"{column}_max")
    return lambda counters, now_ms: float(windows(counters).greatest(of, now_ms))


def rate(samples: str, column: str) -> Callable[[Any, int], float]:
    windows, of = attrgetter(samples), attrgetter(column)
    return lambda counters, now_ms: float(windows(counters).rate(of, now_ms))


def meters(*names: str, scale: float = 1.0) -> Callable[[Any, int], float]:
    """The rates of meters, added up."""
    found = [attrgetter(name) for name in names]
    return lambda counters, now_ms: scale * sum(meter(counters).rate(now_ms) for meter in found)


def total(*names: str) -> Callable[[Any, int], float]:
    """Counts since the start, added up."""
    found = [attrgetter(name) for name in names]
    return lambda counters, now_ms: float(sum(count(counters) for count in found))


RECORDS: Final = (
    Metric("record-retry-rate", "records queued for another attempt, a second", meters("retried")),
    Metric("record-retry-total", "records queued for another attempt", total("retried.total")),
    Metric("record-error-rate", "records that failed, or were refused by send, a second", meters("failed", "refused")),
    Metric(
        "record-error-total",
        "records that failed, or were refused by send",
        total("failed.total", "refused.total"),
    ),
)

REQUESTS: Final = (
    Metric("request-rate", "Produce requests sent, a second", rate("requests", "count")),
    Metric("request-total", "Produce requests sent", total("requests_total")),
    Metric("request-size-avg", "bytes of the batches in a Produce request", mean("requests", "size")),
    Metric("request-size-max", "the same, of the largest", most("requests", "size")),
    Metric("outgoing-byte-rate", "bytes of batches sent, a second", rate("requests", "size")),
    Metric("outgoing-byte-total", "bytes of batches sent", total("bytes_total")),
    Metric("response-rate", "answers to Produce requests, a second", rate("responses", "count")),
    Metric("response-total", "answers to Produce requests", total("responses_total")),
    Metric("request-latency-avg", "ms from a Produce request to its answer", mean("responses", "latency_ms")),
    Metric("request-latency-max", "the same, of the slowest", most("responses", "latency_ms")),
)

CLIENT_METRICS: Final = (
    Metric("batch-size-avg", "bytes of a batch as sent", mean("batches", "size")),
    Metric("batch-size-max", "the same, of the largest", most("batches", "size")),
    Metric("compression-rate-avg", "bytes of a batch as sent to those before compression", mean("batches", "ratio")),
    Metric("record-queue-time-avg", "ms from opening a batch to sending it", mean("batches", "queue_ms")),
    Metric("record-queue-time-max", "the same, of the slowest", most("batches", "queue_ms")),
    Metric("record-size-avg", "bytes of the largest record of a batch", mean("batches", "largest")),
    Metric("record-size-max", "bytes of the largest record", most("batches", "largest")),
    Metric("record-send-rate", "records sent, a second; each attempt counts", rate("requests", "records")),
    Metric("record-send-total", "records sent; each attempt counts", total("records_total")),
    Metric("records-per-request-avg", "records in a Produce request", mean("requests", "records")),
    *RECORDS,
    Metric("batch-split-rate", "batches split because a broker finds them too large, a second", meters("splits")),
    Metric("batch-split-total", "batches split because a broker finds them too large", total("splits.total")),
    *REQUESTS,
    Metric("produce-throttle-time-avg", "ms of pause that an answer asks for", mean("responses", "throttle_ms")),
    Metric("produce-throttle-time-max", "the same, of the longest", most("responses", "throttle_ms")),
    Metric(
        "bufferpool-wait-ratio",
        "time that threads waited for buffer_memory, to time; above 1 where several did",
        meters("buffer_wait_ns", scale=1e-9),
    ),
    Metric("bufferpool-wait-time-ns-total", "ns that threads waited for buffer_memory", total("buffer_wait_ns.total")),
    Metric("buffer-exhausted-rate", "sends that found no buffer_memory in time, a second", meters("exhausted")),
    Metric("buffer-exhausted-total", "sends that found no buffer_memory in time", total("exhausted.total")),
    Metric("metadata-wait-time-ns-total", "ns that threads waited for a topic's metadata", total("metadata_wait_ns")),
    Metric("flush-time-ns-total", "ns that threads spent in flush", total("flush_ns")),
)

TOPIC_METRICS: Final = (
    Metric("record-send-rate", "records sent, a second; each attempt counts", rate("batches", "records")),
    Metric("record-send-total", "records sent; each attempt counts", total("records_total")),
    Metric("byte-rate", "bytes of batches as sent, a second", rate("batches", "size")),
    Metric("byte-total", "bytes of batches as sent", total("bytes_total")),
    Metric("compression-rate", "bytes of a batch as sent to those before compression", mean("batches", "ratio")),
    *RECORDS,
)

NODE_METRICS: Final = REQUESTS

GAUGES: Final[Mapping[str, str]] = {
    "requests-in-flight": "requests without an answer yet",
    "metadata-age": "s since metadata was last updated",
    "waiting-threads": "threads that wait for buffer_memory",
    "buffer-total-bytes": "buffer_memory",
    "buffer-available-bytes": "bytes of it that are free",
    "connection-count": "connections",
    "batches-queued": "batches that wait to be sent",
}
"""What its owner knows: a number as it is now, not counted here."""

OURS: Final = frozenset({"batches-queued"})
"""Names that Java's producer does not have."""

CONNECTIONS: Final = "connections are counted while they are open: connection-count"
LOGINS: Final = "not counted: a failed login is an error that names its cause"
LOOP: Final = "about the loop of a selector thread; here any thread may do the work"

ABSENT: Final = (
    Absent("connection-creation-rate connection-creation-total", CLIENT, CONNECTIONS),
    Absent("connection-close-rate connection-close-total", CLIENT, CONNECTIONS),
    Absent("connections", CLIENT, "one for each cipher and version of TLS: the settings say which"),
    Absent("incoming-byte-rate incoming-byte-total", CLIENT, "answers are counted, their bytes are not"),
    Absent("incoming-byte-rate incoming-byte-total", NODE, "answers are counted, their bytes are not"),
    Absent("network-io-rate network-io-total", CLIENT, "what is sent and received, together: see the parts"),
    Absent("failed-authentication-rate failed-authentication-total", CLIENT, LOGINS),
    Absent("successful-authentication-rate successful-authentication-total", CLIENT, LOGINS),
    Absent("successful-authentication-no-reauth-total", CLIENT, LOGINS),
    Absent("failed-reauthentication-rate failed-reauthentication-total", CLIENT, LOGINS),
    Absent("successful-reauthentication-rate successful-reauthentication-total", CLIENT, LOGINS),
    Absent("reauthentication-latency-avg reauthentication-latency-max", CLIENT, LOGINS),
    Absent("select-rate select-total", CLIENT, LOOP),
    Absent("io-ratio io-time-ns-avg io-time-ns-total", CLIENT, LOOP),
    Absent("io-wait-ratio io-wait-time-ns-avg io-wait-time-ns-total", CLIENT, LOOP),
    Absent("txn-init-time-ns-total txn-begin-time-ns-total", CLIENT, "no transactions"),
    Absent("txn-send-offsets-time-ns-total txn-prepare-time-ns-total", CLIENT, "no transactions"),
    Absent("txn-commit-time-ns-total txn-abort-time-ns-total", CLIENT, "no transactions"),
    Absent("version commit-id start-time-ms", "app-info", "metrics are numbers"),
    Absent("count", "kafka-metrics-count", "the length of what `metrics` returns"),
)


def metric_templates() -> tuple[MetricTemplate, ...]:
    """Every metric there can be, before any traffic; those of topics and nodes once, without saying which."""
    scopes = ((CLIENT, CLIENT_METRICS), (TOPIC, TOPIC_METRICS), (NODE, NODE_METRICS))
    counted = [
        MetricTemplate(metric.name, group, TAGS[group], metric.about) for group, metrics in scopes for metric in metrics
    ]
    gauges = [MetricTemplate(name, CLIENT, TAGS[CLIENT], about) for name, about in GAUGES.items()]
    return (*gauges, *counted)


def describe() -> str:
    """Two tables in Markdown: what there is, and what Java's producer has beside it."""
    lines = ["| metric | group | tags | what it is |", "| --- | --- | --- | --- |"]
    for name, group, tags, description in metric_templates():
        own = "; not in Java" if name in OURS else ""
        lines.append(f"| `{name}` | {group} | {', '.join(tags)} | {description}{own} |")
    lines += ["", "| only in Java | group | why |", "| --- | --- | --- |"]
    for names, group, why in ABSENT:
        lines.append(f"| {', '.join(f'`{name}`' for name in names.split())} | {group} | {why} |")
    return "\n".join(lines) + "\n"
