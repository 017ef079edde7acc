"""A batch that is too large is split: nothing of its records changes, and it ends for any broker's limit."""

from __future__ import annotations

from itertools import count
from random import Random

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from producer.some_batches import AT, START_MS, batch_of, records_of

from kproto.producer.batch_state import BatchState
from kproto.producer.record_size import record_size_bound
from kproto.producer.splitting import split
from kproto.wire.records import RECORD_BATCH_OVERHEAD, read_record_batches

HEADERS = st.lists(st.tuples(st.text(max_size=4), st.none() | st.binary(max_size=8)), max_size=3).map(tuple)
TIMESTAMPS = st.integers(0, 2**40) | st.integers(-1, 5) | st.just(START_MS)
RECORDS = st.lists(
    st.tuples(TIMESTAMPS, st.none() | st.binary(max_size=8), st.none() | st.binary(max_size=200), HEADERS),
    min_size=2,
    max_size=12,
)
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def split_up(batch, batch_size, numbers=None):
    numbers = numbers or count(batch.number + 1)
    parts = split(batch, batch_size, numbers.__next__, None)
    assert len(parts) > 1, "or it would be split for ever"
    assert all(part.count >= 1 for part in parts)
    return parts


@given(RECORDS, st.integers(1, 2_000), st.sampled_from(CODECS))
@example([(START_MS, None, b"", ())] * 2, 1, "none")
@example([(START_MS, None, None, ())] * 2, 2_000, "zstd")
def test_split_1_every_record_is_kept_in_order_with_all_it_has(records, batch_size, codec):
    batch = batch_of(*records, compression=codec, created_ms=77)
    parts = split_up(batch, batch_size)
    assert [record for part in parts for record in records_of(part)] == records
    assert sum(part.count for part in parts) == batch.count
    for part in parts:
        (whole,) = read_record_batches(part.bytes())
        (old,) = read_record_batches(batch.bytes())
        assert whole.compression is old.compression
        assert (part.partition, part.created_ms, part.attempts) == (AT, 77, 0), "its age is that of the batch"
        assert part.state is BatchState.WAITING
        assert part.sealed
        assert part.size == len(part.bytes())
    assert len({part.number for part in parts} | {batch.number}) == len(parts) + 1


@given(RECORDS, st.integers(70, 400))
def test_split_1_parts_have_the_configured_size_or_that_of_the_largest_record(records, batch_size):
    batch = batch_of(*records)
    assume(batch.size > batch_size)
    largest = max(record_size_bound(*record[1:]) for record in records)
    for part in split_up(batch, batch_size):
        assert part.size <= max(batch_size, largest + RECORD_BATCH_OVERHEAD)


@given(RECORDS, st.integers(0, 600), st.integers(1, 2_000), st.sampled_from(["none", "zstd"]))
def test_split_4_it_ends_for_any_limit_of_a_broker(records, limit, batch_size, codec):
    """Each part that is too large is split again, until it fits or is one record (SPLIT-5)."""
    root = batch_of(*records, compression=codec)
    numbers = count(2)
    done, waiting, rounds = [], [root], 0
    while waiting:
        batch = waiting.pop(0)
        if batch.size <= limit or batch.count == 1:
            done.append(batch)
            continue
        rounds += 1
        parts = split_up(batch, batch_size, numbers)
        for part in parts:
            part._root = root
        waiting = [*parts, *waiting]
    assert [record for batch in done for record in records_of(batch)] == records
    assert rounds <= len(records) - 1


def test_split_4_a_part_is_halved_and_so_is_a_batch_that_is_no_larger_than_it_should_be():
    batch = batch_of(*[b"x" * 10] * 8)
    assert [part.count for part in split_up(batch, 10_000)] == [4, 4]
    part = batch_of(*[b"x" * 10] * 8, number=2)
    part._root = batch
    assert [each.count for each in split_up(part, 80)] == [4, 4], "also where batch_size would make more of it"


def test_split_1_a_compressed_batch_is_split_by_its_size_before_compression():
    rng = Random(1)
    batch = batch_of(*[rng.randbytes(20) + b"x" * 80 for _ in range(40)], compression="zstd")
    parts = split_up(batch, 1_000)
    assert batch.size > 1_000
    assert {part.count for part in parts[:-1]} == {7}


def test_split_4_a_batch_that_its_codec_has_made_larger_is_split_all_the_same():
    """Its records would fit into one batch of the configured size, if only they were not compressed."""
    rng = Random(1)
    records = [(START_MS, None, rng.randbytes(60_000), ()) for _ in range(2)]
    batch = batch_of(*records, compression="gzip")
    batch_size = batch.size - 1
    assert sum(record_size_bound(*record[1:]) for record in records) <= batch_size - RECORD_BATCH_OVERHEAD
    assert [part.count for part in split_up(batch, batch_size)] == [1, 1]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1, 300, 1), [1, 1, 1]),
        ((300, 1, 1), [1, 2]),
        ((1, 1, 300), [2, 1]),
        ((100, 100), [1, 1]),
        ((1, 1, 1, 1), [2, 2]),
        ((1, 1, 1), [1, 1, 1]),
    ],
)
def test_split_1_a_large_record_goes_alone(sizes, expected):
    assert [part.count for part in split_up(batch_of(*(b"x" * size for size in sizes)), 10_000)] == expected


def test_a_split_batch_may_be_larger_than_readers_take_by_default():
    """64 MiB and more of records that a codec makes nothing of."""
    batch = batch_of(*[b"\0" * (17 << 20)] * 4, compression="zstd", limit=1 << 30)
    assert batch.size < 1 << 20
    assert [part.count for part in split_up(batch, 16_384)] == [2, 2]
