"""What a producer counts: for itself, for each topic, and for each node.

Layer: producer. A core: the sender writes; user threads write the few of theirs under the accumulator's lock. What
happens in one event is one call and one sample, which is what keeps an event below a microsecond.
Source: org.apache.kafka.clients.producer.internals.SenderMetricsRegistry, Sender.SenderMetrics, BufferPool (MET-1).
"""

from __future__ import annotations

from dataclasses import dataclass

from kproto.producer.metric_window import Meter, Sample, Samples, Sampling

__all__ = ["ClientCounters", "NodeCounters", "TopicCounters"]


@dataclass(slots=True, eq=False)
class BatchSample(Sample):
    """Batches that went out. size, largest: bytes; ratio: of the bytes as sent to those before compression."""

    size: int = 0
    size_max: int = 0
    ratio: float = 0.0
    queue_ms: int = 0
    queue_ms_max: int = 0
    largest: int = 0
    largest_max: int = 0


@dataclass(slots=True, eq=False)
class TopicSample(Sample):
    """Batches of one topic that went out."""

    records: int = 0
    size: int = 0
    ratio: float = 0.0


@dataclass(slots=True, eq=False)
class RequestSample(Sample):
    """Produce requests. size: bytes of their batches."""

    records: int = 0
    size: int = 0
    size_max: int = 0


@dataclass(slots=True, eq=False)
class ResponseSample(Sample):
    """Answers to them."""

    latency_ms: int = 0
    latency_ms_max: int = 0
    throttle_ms: int = 0
    throttle_ms_max: int = 0


class NodeCounters:
    """Requests to a node, or to all of them, and the answers."""

    __slots__ = ("bytes_total", "records_total", "requests", "requests_total", "responses", "responses_total")

    def __init__(self, sampling: Sampling) -> None:
        self.requests = Samples(RequestSample, sampling)
        self.responses = Samples(ResponseSample, sampling)
        self.requests_total = 0
        self.records_total = 0
        self.bytes_total = 0
        self.responses_total = 0

    def request_sent(self, records: int, size: int, now_ms: int) -> None:
        """size: bytes of its batches."""
        sample = self.requests.at(now_ms)
        sample.records += records
        sample.size += size
        if size > sample.size_max:
            sample.size_max = size
        self.requests_total += 1
        self.records_total += records
        self.bytes_total += size

    def response_received(self, latency_ms: int, throttle_ms: int, now_ms: int) -> None:
        """latency_ms: from the request to its answer; throttle_ms: the pause that the broker asks for."""
        sample = self.responses.at(now_ms)
        sample.latency_ms += latency_ms
        if latency_ms > sample.latency_ms_max:
            sample.latency_ms_max = latency_ms
        sample.throttle_ms += throttle_ms
        if throttle_ms > sample.throttle_ms_max:
            sample.throttle_ms_max = throttle_ms
        self.responses_total += 1


class TopicCounters:
    """Records of a topic. Those `refused` are counted by user threads, the rest by the sender."""

    __slots__ = ("batches", "bytes_total", "failed", "records_total", "refused", "retried")

    def __init__(self, sampling: Sampling) -> None:
        self.batches = Samples(TopicSample, sampling)
        self.records_total = 0
        self.bytes_total = 0
        self.retried = Meter(sampling)
        self.failed = Meter(sampling)
        self.refused = Meter(sampling)

    def batch_sent(self, count: int, size: int, ratio: float, now_ms: int) -> None:
        """count: records; size: bytes as sent; ratio: to those before compression."""
        sample = self.batches.at(now_ms)
        sample.records += count
        sample.size += size
        sample.ratio += ratio
        self.records_total += count
        self.bytes_total += size


class ClientCounters(NodeCounters):
    """All of the producer: the requests to any node, the batches of any topic, and what threads waited for.

    User threads count refused, buffer_wait_ns, exhausted, metadata_wait_ns and flush_ns; the sender counts the rest.
    """

    __slots__ = (
        "batches",
        "buffer_wait_ns",
        "exhausted",
        "failed",
        "flush_ns",
        "metadata_wait_ns",
        "refused",
        "retried",
        "splits",
    )

    def __init__(self, sampling: Sampling) -> None:
        super().__init__(sampling)
        self.batches = Samples(BatchSample, sampling)
        self.retried = Meter(sampling)
        self.failed = Meter(sampling)
        self.refused = Meter(sampling)
        self.splits = Meter(sampling)
        self.exhausted = Meter(sampling)
        self.buffer_wait_ns = Meter(sampling)
        self.metadata_wait_ns = 0
        self.flush_ns = 0

    def batch_sent(self, size: int, ratio: float, queue_ms: int, largest: int, now_ms: int) -> None:
        """size: bytes as sent; queue_ms: since it was opened; largest: bytes of its largest record."""
        sample = self.batches.at(now_ms)
        sample.size += size
        if size > sample.size_max:
            sample.size_max = size
        sample.ratio += ratio
        sample.queue_ms += queue_ms
        if queue_ms > sample.queue_ms_max:
            sample.queue_ms_max = queue_ms
        sample.largest += largest
        if largest > sample.largest_max:
            sample.largest_max = largest
