"""What a run sees of the product that nobody could wait for: numbers near their end, and a codec that is the same
everywhere.

Sequences wrap after 2**31 records, and epochs after 2**15 failures: a plan may begin near there. Compressors give other
bytes on another machine, and with them other sizes and other batches: here snappy, whose format is simple, is written
by a few lines of Python.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from kproto.producer import producer_id
from kproto.producer.sequences import PartitionSequences
from kproto.tools.judge import partition_log
from kproto.tools.judge.producer_state import ProducerStates, Stamp
from kproto.wire.records import Compression, compression

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["compress_runs", "patched"]

RUN_MIN: Final = 8
COPY_MAX: Final = 64  # bytes of one copy element
LITERAL_MAX: Final = 60


@contextmanager
def patched(world: World) -> Iterator[None]:
    """For the time of a run."""
    around = world.plan.around
    with ExitStack() as stack:
        stack.enter_context(patch.dict(compression.COMPRESSORS, {Compression.SNAPPY: _xerial}))
        if around.epoch_max != producer_id.EPOCH_MAX:
            stack.enter_context(patch.object(producer_id, "EPOCH_MAX", around.epoch_max))
        if around.first_number:
            _begin_at(stack, around.first_number)
        yield


def _begin_at(stack: ExitStack, first: int) -> None:
    """Both sides begin each epoch with this number instead of 0."""
    adopt = PartitionSequences._adopt

    def adopt_and_begin(self: PartitionSequences, *arguments: Any) -> None:
        adopt(self, *arguments)
        self.next_sequence = first

    class Shifted(ProducerStates):
        """Kafka's rules, for numbers that begin elsewhere."""

        def duplicate_of(self, stamp: Stamp) -> Any:
            return super().duplicate_of(shifted(stamp))

        def error_of(self, stamp: Stamp) -> int:
            return super().error_of(shifted(stamp))

        def add(self, stamp: Stamp, base_offset: int, timestamp: int) -> None:
            super().add(shifted(stamp), base_offset, timestamp)

    def shifted(stamp: Stamp) -> Stamp:
        return stamp._replace(
            first_sequence=(stamp.first_sequence - first) % 2**31, last_sequence=(stamp.last_sequence - first) % 2**31
        )

    stack.enter_context(patch.object(PartitionSequences, "_adopt", adopt_and_begin))
    stack.enter_context(patch.object(partition_log, "ProducerStates", Shifted))


def _xerial(data: bytes, level: int | None) -> bytes:
    block = compress_runs(data)
    return compression.XERIAL_HEADER + len(block).to_bytes(4, "big") + block


def compress_runs(data: bytes) -> bytes:
    """A block of snappy that is shorter only where a byte is repeated."""
    out = bytearray(_varint(len(data)))
    start = at = 0
    while at < len(data):
        end = at + 1
        while end < len(data) and data[end] == data[at]:
            end += 1
        if end - at >= RUN_MIN:
            _literal(out, data[start : at + 1])
            left = end - at - 1
            while left:
                size = min(left, COPY_MAX)
                out += bytes(((size - 1) << 2 | 2, 1, 0))  # a copy with an offset of two bytes: the byte before
                left -= size
            start = end
        at = end
    _literal(out, data[start:])
    return bytes(out)


def _literal(out: bytearray, data: bytes) -> None:
    for at in range(0, len(data), LITERAL_MAX):
        piece = data[at : at + LITERAL_MAX]
        out.append((len(piece) - 1) << 2)
        out += piece


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes((*out, value))
