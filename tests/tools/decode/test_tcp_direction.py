"""One direction: what waits, what is dropped, where it ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.tcp_direction import Connection

KEY, BACK = b"aabb0011", b"bbaa1100"
DATA = bytes(range(200))


def direction(first=100, *, client="a:1"):
    connection = Connection(7, KEY, BACK, ("a:1", "b:2"))
    connection.client = client
    found = connection.directions[0]
    found.next, found.seen = first, True
    return found


def accepted(side, sequence, data=b"", missing=0, fin=False):
    pieces = side.accept(sequence % 2**32, memoryview(data), missing, fin, 5)
    return [(piece.gap, bytes(piece.data), piece.ended) for piece in pieces]


def test_the_two_directions_know_each_other():
    there, back = Connection(7, KEY, BACK, ("a:1", "b:2")).directions
    assert (there.sender, there.receiver, back.sender, back.receiver) == ("a:1", "b:2", "b:2", "a:1")
    assert there.peer is back and back.peer is there
    assert (there.next, there.seen, there.total) == (-1, False, 0)


@pytest.mark.parametrize("first", [100, 2**32 - 10, 2**31 - 10, 0])
def test_sequences_wrap(first):
    side = direction(first)
    assert side.distance((first + 5) % 2**32) == 5
    assert side.distance((first - 5) % 2**32) == -5
    assert accepted(side, first + 10, DATA[10:20]) == []
    assert accepted(side, first, DATA[:10]) == [(0, DATA[:10], False), (0, DATA[10:20], False)]
    assert (side.total, side.next, side.later_size) == (20, (first + 20) % 2**32, 0)


@given(st.lists(st.tuples(st.integers(0, 199), st.integers(1, 60)), max_size=40))
def test_overlaps_are_given_once(segments):
    side = direction()
    pieces = [piece for start, size in segments for piece in accepted(side, 100 + start, DATA[start : start + size])]
    given_ = b"".join(data for _, data, _ in pieces)
    assert DATA.startswith(given_) and len(given_) == side.total
    reached = 0
    for start, size in sorted(segments):
        if start <= reached:
            reached = max(reached, min(start + size, len(DATA)))
    assert len(given_) == reached


def test_an_end_waits_for_what_is_before_it():
    side = direction()
    assert accepted(side, 110, b"xy", fin=True) == []
    assert accepted(side, 100, DATA[:10]) == [(0, DATA[:10], False), (0, b"xy", False), (0, b"", True)]
    assert side.next == 113
    assert accepted(side, 112, b"behind") == []


def test_skipping_gives_gaps_and_what_stands_between_them():
    side = direction()
    accepted(side, 105, b"five")
    accepted(side, 120, b"twenty")
    pieces = side.skip_to(15, 6)
    assert [(piece.gap, bytes(piece.data)) for piece in pieces] == [(5, b""), (0, b"five"), (6, b"")]
    pieces = side.flush(7)
    assert [(piece.gap, bytes(piece.data), piece.cut) for piece in pieces] == [(5, b"", False), (0, b"twenty", False)]
    assert side.later == [] and side.later_size == 0


def test_skipping_stops_at_the_end():
    side = direction()
    accepted(side, 110, fin=True)
    pieces = side.skip_to(400, 6)
    assert [(piece.gap, piece.ended) for piece in pieces] == [(10, False), (0, True)]


def test_what_the_capture_cut_is_a_gap_of_its_own_kind():
    side = direction()
    pieces = side.accept(100, memoryview(b"ab"), 8, False, 5)
    assert [(piece.gap, bytes(piece.data), piece.cut) for piece in pieces] == [(0, b"ab", False), (8, b"", True)]
    pieces = side.accept(105, memoryview(b"ab"), 8, False, 5)
    assert [(piece.gap, bytes(piece.data), piece.cut) for piece in pieces] == [(5, b"", True)]
    assert side.total == 15


def test_the_first_bytes_of_a_stream_that_nobody_saw_begin():
    side = direction(client=None)
    side.seen = False
    assert accepted(side, 150, b"x") == [(0, b"x", False)]
    side = direction()
    side.seen = False
    assert accepted(side, 150, b"x") == []
