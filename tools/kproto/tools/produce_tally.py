"""What `kproto produce` counts while it runs, for its progress and its summary.

Layer: tools. Each number has one thread that changes it at a time; any may read it.
"""

from __future__ import annotations

from kproto.producer import ProducerRecord
from kproto.producer.events import BatchEvent, BatchRetried, BatchSent
from kproto.tools.latency import LatencyHistogram

__all__ = ["ProduceTally", "record_size"]


def record_size(record: ProducerRecord) -> int:
    """Bytes of key, value and headers."""
    size = len(record.value or b"") + len(record.key or b"")
    for name, data in record.headers:
        size += len(name.encode()) + len(data or b"")
    return size


class ProduceTally:
    """Its own numbers are of records: read, delivered, failed; size: bytes of those delivered; latency: of those, too.

    As a BatchObserver it counts batches and sent_size, their bytes as sent, each once, and retries: times that one was
    sent again.
    """

    def __init__(self) -> None:
        self.read = 0
        self.delivered = 0
        self.failed = 0
        self.size = 0
        self.latency = LatencyHistogram()
        self.batches = 0
        self.sent_size = 0
        self.retries = 0

    def __call__(self, event: BatchEvent) -> None:
        if isinstance(event, BatchSent):
            if event.attempt == 1:
                self.batches += 1
                self.sent_size += event.size
        elif isinstance(event, BatchRetried):
            self.retries += 1
