"""What requests and their answers add up to: counts, sizes, durations, errors. Tallies of parts add up to that of all.

Layer: tools. Memory: histograms, and as many names as the bounds here allow, whatever comes.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from kproto.tools.decode.histogram import Histogram
from kproto.wire import DecodeError
from kproto.wire.records import Compression, LegacyBatch, RecordBatch

__all__ = ["BatchTally", "Tally", "count_in"]

NAMES_MAX: Final = 256
OTHERS: Final = "(others)"
CODEC_BITS: Final = 7  # of the attributes, whose meaning is checked where a batch is read


def count_in(counter: Counter[str], name: str, many: int = 1) -> None:
    """One more of the name; of `(others)` where there are too many names."""
    counter[name if name in counter or len(counter) < NAMES_MAX else OTHERS] += many


class BatchTally:
    """sizes: bytes as sent, with the header. records: of each batch. codecs: batches by the number of their codec.

    sampled: batches that were decompressed, from packed to unpacked bytes. bad_crc, damaged: batches, of which damaged
    ones are in nothing else.
    """

    __slots__ = ("bad_crc", "codecs", "damaged", "packed", "records", "sampled", "sizes", "unpacked")

    def __init__(self) -> None:
        self.sizes = Histogram()
        self.records = Histogram()
        self.codecs: Counter[int] = Counter()
        self.sampled = 0
        self.packed = 0
        self.unpacked = 0
        self.bad_crc = 0
        self.damaged = 0

    @property
    def codec_names(self) -> dict[str, int]:
        """Batches by the name of their codec, the commonest first."""
        return {str(Compression(codec)): many for codec, many in self.codecs.most_common()}

    @property
    def ratio(self) -> float | None:
        """Unpacked bytes for each packed one, over the sampled batches; None where there are none."""
        return self.unpacked / self.packed if self.packed else None

    def add(self, batch: RecordBatch | LegacyBatch | DecodeError) -> bool:
        """Another batch, or why it is none; whether it is whole."""
        if isinstance(batch, DecodeError):
            self.damaged += 1
            return False
        try:
            count = batch.count  # a legacy wrapper decompresses to know
        except DecodeError:
            self.damaged += 1
            return False
        self.sizes.add(batch.size)
        self.records.add(count)
        self.codecs[batch.attributes & CODEC_BITS] += 1
        if batch.crc_valid:
            return True
        self.bad_crc += 1
        return False

    def sample(self, packed: int, unpacked: int) -> None:
        """A batch was decompressed."""
        self.sampled += 1
        self.packed += packed
        self.unpacked += unpacked

    def merge(self, other: BatchTally) -> None:
        """All of the other's, too."""
        self.sizes.merge(other.sizes)
        self.records.merge(other.records)
        self.codecs += other.codecs
        self.sampled += other.sampled
        self.packed += other.packed
        self.unpacked += other.unpacked
        self.bad_crc += other.bad_crc
        self.damaged += other.damaged


class Tally:
    """Requests and responses of one kind.

    sizes of requests and responses: bytes without the length; latency: in us; in_flight: on its connection as each
    request was sent, itself included, where an answer was due. throttled: in ms, of those that were. errors: by name.
    """

    __slots__ = (
        "batches",
        "errors",
        "in_flight",
        "latency",
        "request_bytes",
        "requests",
        "response_bytes",
        "responses",
        "throttled",
        "versions",
    )

    def __init__(self) -> None:
        self.requests = 0
        self.responses = 0
        self.request_bytes = 0
        self.response_bytes = 0
        self.latency = Histogram()
        self.in_flight = Histogram()
        self.throttled = Histogram()
        self.errors: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.batches = BatchTally()

    def merge(self, other: Tally) -> None:
        """All of the other's, too."""
        self.requests += other.requests
        self.responses += other.responses
        self.request_bytes += other.request_bytes
        self.response_bytes += other.response_bytes
        self.latency.merge(other.latency)
        self.in_flight.merge(other.in_flight)
        self.throttled.merge(other.throttled)
        for mine, theirs in ((self.errors, other.errors), (self.versions, other.versions)):
            for name, many in theirs.items():
                count_in(mine, name, many)
        self.batches.merge(other.batches)
