"""Many records side by side, as columns: keys and values, for `RecordBatchBuilder.extend`.

Layer: wire. What a record costs one by one is mostly Python's steps from one to the next; here the steps are those of
`map`, `accumulate` and slices, in C. Sizes are worked out once, however many batches the records go into.
Source: org.apache.kafka.common.record.DefaultRecord.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, repeat
from operator import add
from types import NoneType
from typing import Final

from kproto.wire.errors import EncodeError
from kproto.wire.records.header_writer import NULL, ZIGZAG, encode_headers
from kproto.wire.records.record_heads import ENTRIES_MAX, record_heads
from kproto.wire.varint import encode_varint, encode_varlong, varint_size

__all__ = ["RecordColumns"]

# Lists: `map` asks them twice as fast as tuples.
VARINTS: Final = list(ZIGZAG)  # by length
SIZED: Final = [size + varint_size(size) for size in range(len(ZIGZAG))]  # a length and the bytes of its varint
HEAD_MAX: Final = 1 + 10 + 5  # attributes and both deltas, at their longest
LENGTH_MAX: Final = 5
RECORD_SIZE_MIN: Final = 7


def _sized(size: int) -> int:
    return SIZED[size] if size < len(SIZED) else size + varint_size(size)


class RecordColumns:
    """See the module. keys: as many as values, or None where no record has one; bytes or None each. headers: the same
    for all records. Raises EncodeError for anything else.

    Immutable, as long as the sequences are left alone: they are not copied.
    """

    __slots__ = ("_bodies", "_ends", "_key_size", "_value_size", "headers", "keys", "largest", "values")

    def __init__(
        self,
        keys: Sequence[bytes | None] | None,
        values: Sequence[bytes | None],
        headers: Iterable[tuple[str, bytes | None]] = (),
    ) -> None:
        if keys is not None and len(keys) != len(values):
            raise EncodeError("Records", len(keys), f"keys, for {len(values)} values")
        self.keys, self.values = keys, values
        self.headers = encode_headers(headers)
        key_sizes, self._key_size = _sizes(keys, "key")
        value_sizes, self._value_size = _sizes(values, "value")
        tail = len(self.headers)
        if self._key_size is not None and self._value_size is not None:
            self._bodies: list[int] | None = None  # all alike
            self.largest = self._key_size + self._value_size + tail
            self._ends: Sequence[int] = ()
        else:
            key_bytes = key_sizes if self._key_size is None else repeat(self._key_size)
            value_bytes = value_sizes if self._value_size is None else repeat(self._value_size)
            self._bodies = list(map(add, map(add, key_bytes, value_bytes), repeat(tail)))
            self.largest = max(self._bodies, default=0)
            self._ends = list(accumulate(self._bodies))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def largest_max(self) -> int:
        """Bytes that the largest record takes at most."""
        return self.largest + HEAD_MAX + LENGTH_MAX

    def size_max(self, at: int) -> int:
        """Bytes that the record at this place takes at most."""
        body = self.largest if self._bodies is None else self._bodies[at]
        return body + HEAD_MAX + LENGTH_MAX

    def size_from(self, start: int) -> int:
        """Bytes that all records from this place on take at most."""
        beside = (len(self.values) - start) * (HEAD_MAX + LENGTH_MAX)
        if self._bodies is None:
            return (len(self.values) - start) * self.largest + beside
        return (self._ends[-1] if self._ends else 0) - (self._ends[start - 1] if start else 0) + beside

    def take(self, start: int, stop: int | None, room: int, index: int, delta: int) -> tuple[int, bytes]:
        """As many records from `start` up to `stop` as fit into so many bytes: how many, and their bytes.

        index: of the first in its batch; delta: of their timestamp, in ms from the batch's first.
        """
        last = len(self.values) if stop is None else min(stop, len(self.values))
        end = min(last, self._surely_fitting(start, room, index, delta))
        taken = self._encode(start, end, index, delta)
        while end < last:
            index_of_next = index + end - start
            if len(taken) + self._record_size(end, index_of_next, delta) > room:
                break
            taken += self._encode(end, end + 1, index_of_next, delta)
            end += 1
        return end - start, taken

    def largest_of(self, start: int, stop: int) -> int:
        """Bytes that the largest of these records takes, give or take those of its offset."""
        body = self.largest if self._bodies is None else max(self._bodies[start:stop])
        return _sized(body + 3)

    def _surely_fitting(self, start: int, room: int, index: int, delta: int) -> int:
        """The end of those that fit if each takes as much beside its body as any does: of nearly all that fit."""
        last = min(len(self.values), start + max(0, room) // RECORD_SIZE_MIN)
        beside = varint_size(self.largest + HEAD_MAX) + 1 + varint_size(delta) + varint_size(index + last - start)
        if self._bodies is None:
            return min(last, start + max(0, room) // (self.largest + beside))
        ends = self._ends
        before = ends[start - 1] if start else 0
        low, high = start, last
        while low < high:
            middle = (low + high + 1) // 2
            if ends[middle - 1] - before + beside * (middle - start) <= room:
                low = middle
            else:
                high = middle - 1
        return low

    def _record_size(self, at: int, index: int, delta: int) -> int:
        body = self.largest if self._bodies is None else self._bodies[at]
        return _sized(body + 1 + varint_size(delta) + varint_size(index))

    def _encode(self, start: int, stop: int, index: int, delta: int) -> bytes:
        pieces: list[bytes] = []
        for first, last, head_size in _runs(index, index + stop - start, delta):
            pieces += self._run(start + first - index, start + last - index, first, delta, head_size)
        return b"".join(pieces)

    def _run(self, start: int, stop: int, index: int, delta: int, head_size: int) -> list[bytes]:
        """The pieces of records whose heads are equally long."""
        count = stop - start
        step, value_at = (6, 3) if self.keys is None else (7, 4)
        pieces = [self.headers] * (step * count)
        pieces[1::step] = _heads(index, index + count, delta)
        if self._bodies is None:
            pieces[0::step] = [encode_varint(self.largest + head_size)] * count
        elif self.largest + head_size < len(VARINTS):
            sizes = map(add, self._bodies[start:stop], repeat(head_size))
            pieces[0::step] = map(VARINTS.__getitem__, sizes)
        else:
            pieces[0::step] = [encode_varint(body + head_size) for body in self._bodies[start:stop]]
        if self.keys is None:
            pieces[2::step] = [NULL] * count
        else:
            _lay(pieces, 2, step, self.keys[start:stop], self._key_size)
        _lay(pieces, value_at, step, self.values[start:stop], self._value_size)
        return pieces


def _lay(pieces: list[bytes], at: int, step: int, column: Sequence[bytes | None], size: int | None) -> None:
    """The column, and its lengths in front of it. size: where all are alike, see `_sizes`."""
    if size is not None and column[0] is not None:
        pieces[at::step] = [encode_varint(len(column[0]))] * len(column)
        pieces[at + 1 :: step] = column  # type: ignore[assignment]
        return
    try:
        lengths = map(len, column)  # type: ignore[arg-type]
        pieces[at::step] = map(VARINTS.__getitem__, lengths)
        pieces[at + 1 :: step] = column  # type: ignore[assignment]
    except (TypeError, IndexError):  # a null, or one that is longer than the table
        pieces[at::step] = [NULL if data is None else encode_varint(len(data)) for data in column]
        pieces[at + 1 :: step] = [data or b"" for data in column]


def _sizes(column: Sequence[bytes | None] | None, name: str) -> tuple[list[int], int | None]:
    """Bytes of each and of its length; the one size of all in its place where they are alike."""
    if column is None:
        return [], 1
    types = set(map(type, column))
    if not types <= {bytes, NoneType}:
        found = next(data for data in column if type(data) not in (bytes, NoneType))
        raise EncodeError(f"Record {name}", found, "is neither bytes nor None")
    if NoneType in types:
        sizes = [1 if data is None else _sized(len(data)) for data in column]
        return sizes, None
    lengths = set(map(len, column))  # type: ignore[arg-type]
    if len(lengths) == 1:
        return [], _sized(lengths.pop())
    if max(lengths, default=0) < len(SIZED):
        return list(map(SIZED.__getitem__, map(len, column))), None  # type: ignore[arg-type]
    return [_sized(len(data or b"")) for data in column], None


def _heads(index: int, stop: int, delta: int) -> Sequence[bytes]:
    if delta >= 0 and stop <= ENTRIES_MAX:
        table = record_heads(delta, stop - 1)
        if len(table) >= stop:
            return table[index:stop]
    head = b"\0" + encode_varlong(delta)
    return [head + encode_varint(at) for at in range(index, stop)]


def _runs(index: int, stop: int, delta: int) -> list[tuple[int, int, int]]:
    """From `index` to `stop` in pieces in which the head of a record has one size: first, end, size."""
    fixed = 1 + varint_size(delta)
    found = []
    for end, size in ((1 << 6, 1), (1 << 13, 2), (1 << 20, 3), (1 << 27, 4), (1 << 34, 5)):
        if index < end and index < stop:
            last = min(end, stop)
            found.append((index, last, fixed + size))
            index = last
    return found
