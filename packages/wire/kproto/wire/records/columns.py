"""Many records side by side, as columns: keys and values, for `RecordBatchBuilder.extend`.

Layer: wire. What a record costs one by one is mostly Python's steps from one to the next; here each step is taken for
all records at once. Sizes are worked out once, however many batches the records go into.
Source: org.apache.kafka.common.record.DefaultRecord.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

from kproto.wire.errors import EncodeError
from kproto.wire.records.header_writer import NULL, ZIGZAG, encode_headers
from kproto.wire.records.record_heads import ENTRIES_MAX, KEPT_DELTAS, record_heads
from kproto.wire.varint import encode_varint, encode_varlong, varint_size

__all__ = ["RecordColumns"]

# By length; the last entry is found by -1, the length of a null.
VARINTS: Final = [*ZIGZAG, NULL]
SIZED: Final = [*(size + varint_size(size) for size in range(len(ZIGZAG))), 1]  # a length and the bytes of its varint
NO_HEADERS: Final = b"\0"
BEHIND_NO_HEADERS: Final = [NO_HEADERS + varint for varint in ZIGZAG]
BEHIND_NO_KEY: Final = [NULL + varint for varint in VARINTS]
TABLED: Final = len(ZIGZAG)
NO_LENGTH: Final = -2
HEAD_MAX: Final = 1 + 10 + 5  # attributes and both deltas, at their longest
LENGTH_MAX: Final = 5
OFFSETS: Final = ((1 << 6, 1), (1 << 13, 2), (1 << 20, 3), (1 << 27, 4), (1 << 34, 5))  # below it, bytes of the varint


def _sized(length: int) -> int:
    """A length, -1 for that of a null, and the bytes of its varint."""
    return SIZED[length] if length < TABLED else length + varint_size(length)


class _Column(NamedTuple):
    """lengths: of each, -1 for a null; none where all are alike."""

    data: Sequence[bytes | None]
    lengths: list[int]
    longest: int
    shortest: int

    @classmethod
    def of(cls, data: Sequence[bytes | None], name: str) -> _Column:
        lengths = [len(each) for each in data if each.__class__ is bytes]
        if len(lengths) != len(data):
            lengths = [-1 if each is None else len(each) if each.__class__ is bytes else NO_LENGTH for each in data]
            if NO_LENGTH in lengths:
                raise EncodeError(f"Record {name}", data[lengths.index(NO_LENGTH)], "is neither bytes nor None")
        found = set(lengths)
        return cls(data, lengths if len(found) > 1 else [], max(found, default=0), min(found, default=0))

    def sizes(self, more: int) -> list[int]:
        """What each takes with the varint of its length, and so many bytes more; none where all are alike."""
        if self.longest < TABLED:
            return [SIZED[length] + more for length in self.lengths]
        return [_sized(length) + more for length in self.lengths]

    def lay(self, pieces: list[bytes], at: int, step: int, start: int, stop: int) -> None:
        """Put the data at every so-manyth place from `at` on, and their lengths in front, behind those of no keys."""
        before, table = (NULL, BEHIND_NO_KEY) if step == UNKEYED else (b"", VARINTS)
        data = self.data[start:stop]
        lengths = self.lengths[start:stop]
        if not lengths:
            pieces[at - 1 :: step] = [before + encode_varint(self.longest)] * len(data)
        elif self.longest < TABLED:
            pieces[at - 1 :: step] = [table[length] for length in lengths]
        else:
            pieces[at - 1 :: step] = [before + encode_varint(length) for length in lengths]
        pieces[at::step] = [each or b"" for each in data] if self.shortest < 0 else data  # type: ignore[assignment]


NO_KEYS: Final = _Column((), [], -1, -1)
UNKEYED: Final = 4  # pieces: size, head, lengths of key and value, value
KEYED: Final = 6  # pieces: size, head, length and key, length and value


class RecordColumns:
    """See the module. keys: as many as values, or None where no record has one; bytes or None each. headers: the same
    for all records. Raises EncodeError for anything else.

    Immutable, as long as the sequences are left alone: they are not copied. Thread-safe.
    """

    __slots__ = ("_bodies", "_ends", "_keys", "_largest", "_smallest", "_values", "headers", "keys", "values")

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
        self._keys = NO_KEYS if keys is None else _Column.of(keys, "key")
        self._values = _Column.of(values, "value")
        self._bodies = self._sizes_of_bodies()
        """Of each record, what stands behind its head; none where all are alike."""
        self._ends = list(accumulate(self._bodies))
        self._largest = len(self.headers) + _sized(self._keys.longest) + _sized(self._values.longest)
        """At most; of all where they are alike."""
        self._smallest = len(self.headers) + _sized(self._keys.shortest) + _sized(self._values.shortest)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def largest_max(self) -> int:
        """Bytes that the largest record takes at most."""
        return self._largest + HEAD_MAX + LENGTH_MAX

    def size_max(self, at: int) -> int:
        """Bytes that the record at this place takes at most."""
        return self._body(at) + HEAD_MAX + LENGTH_MAX

    def size_from(self, start: int) -> int:
        """Bytes that all records from this place on take at most."""
        count = len(self.values) - start
        return self._size(start, start + count) + count * (HEAD_MAX + LENGTH_MAX)

    def largest_of(self, start: int, stop: int) -> int:
        """Bytes that the largest of these records takes, give or take those of its offset."""
        return _sized(max(self._bodies[start:stop], default=self._largest) + 3)

    def take(self, start: int, stop: int | None, room: int, index: int, delta: int) -> tuple[int, bytes]:
        """As many records from `start` up to `stop` as fit into so many bytes: how many, and their bytes.

        index: of the first in its batch; delta: of their timestamp, in ms from the batch's first.
        """
        last = len(self.values) if stop is None else min(stop, len(self.values))
        fixed = 2 if 0 <= delta < 64 else 1 + varint_size(delta)
        least = _sized(self._smallest + fixed + 1)
        at, taken = start, []
        while at < last and room >= least:
            runs = self._fitting(at, last, room, index + at - start, fixed)
            if not runs:
                break
            data = self._encode(at, runs, index + at - start, delta)
            taken.append(data)
            room -= len(data)
            for count, _ in runs:
                at += count
        return max(0, at - start), b"".join(taken)

    def _sizes_of_bodies(self) -> list[int]:
        keys, values, more = self._keys, self._values, len(self.headers)
        if not keys.lengths:
            return values.sizes(more + _sized(keys.longest))
        if not values.lengths:
            return keys.sizes(more + _sized(values.longest))
        return [key + value for key, value in zip(keys.sizes(more), values.sizes(0), strict=True)]

    def _body(self, at: int) -> int:
        return self._bodies[at] if self._bodies else self._largest

    def _size(self, start: int, stop: int) -> int:
        """Of the bodies, `start` being below `stop`."""
        if not self._bodies:
            return self._largest * (stop - start)
        return self._ends[stop - 1] - (self._ends[start - 1] if start else 0)

    def _fitting(self, start: int, last: int, room: int, index: int, fixed: int) -> list[tuple[int, int]]:
        """Records that fit, in runs whose heads have one size: how many, and that size. Empty: not even one does.

        As many as there is room for if the length of each took as many bytes as that of the largest. It mostly does;
        else there is room left for more.
        """
        runs = []
        for end, offset_size in OFFSETS:
            if index >= end:
                continue
            head_size = fixed + offset_size
            beside = _sized(self._largest + head_size) - self._largest
            behind = min(last, start + end - index)
            size = self._size(start, behind) + beside * (behind - start)
            if size > room:
                behind = self._search(start, behind, room, beside)
            if behind > start:
                runs.append((behind - start, head_size))
            elif not runs and _sized(self._body(start) + head_size) <= room:
                return [(1, head_size)]
            if size > room or behind == last:
                break
            room, index, start = room - size, end, behind
        return runs

    def _search(self, start: int, high: int, room: int, beside: int) -> int:
        """The place below `high` where the room ends, if each takes so many bytes beside its body."""
        if not self._bodies:
            return start + room // (self._largest + beside)
        ends, low = self._ends, start
        room += (ends[start - 1] if start else 0) + beside * (start - 1)
        while low < high:
            middle = (low + high) >> 1
            if ends[middle] + beside * middle <= room:
                low = middle + 1
            else:
                high = middle
        return low

    def _encode(self, start: int, runs: list[tuple[int, int]], index: int, delta: int) -> bytes:
        sizes = self._sizes(start, runs)
        count, headers = len(sizes), self.headers
        stop, step = start + count, UNKEYED if self.keys is None else KEYED
        sizes[0] = sizes[0][len(headers) :]
        pieces = [headers] * (step * count + 1)
        pieces[0:-1:step] = sizes
        pieces[1::step] = _heads(index, index + count, delta)
        if self.keys is not None:
            self._keys.lay(pieces, 3, step, start, stop)
        self._values.lay(pieces, step - 1, step, start, stop)
        return b"".join(pieces)

    def _sizes(self, start: int, runs: list[tuple[int, int]]) -> list[bytes]:
        """The size of each record, behind the headers of the one before."""
        sizes: list[bytes] = []
        headers, bodies = self.headers, self._bodies
        for count, head_size in runs:
            if not bodies:
                sizes += [headers + encode_varint(self._largest + head_size)] * count
            elif self._largest + head_size >= TABLED:
                sizes += [headers + encode_varint(body + head_size) for body in bodies[start : start + count]]
            elif headers == NO_HEADERS:
                sizes += [BEHIND_NO_HEADERS[body + head_size] for body in bodies[start : start + count]]
            else:
                sizes += [headers + VARINTS[body + head_size] for body in bodies[start : start + count]]
            start += count
        return sizes


def _heads(index: int, stop: int, delta: int) -> list[bytes]:
    heads: list[bytes] = []
    if 0 <= delta < KEPT_DELTAS and index < ENTRIES_MAX:
        table = record_heads(delta, min(stop, ENTRIES_MAX) - 1)
        assert isinstance(table, list)
        heads = table[index:stop]
        index += len(heads)
    if index < stop:
        head = b"\0" + encode_varlong(delta)
        heads += [head + encode_varint(at) for at in range(index, stop)]
    return heads
