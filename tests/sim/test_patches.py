"""What stands in for the product's own in a run is as good as that."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from sim.drawing import draw_plan
from sim.patches import compress_runs, patched
from sim.simulate import run_seed
from sim.world import World

from kproto.producer import producer_id
from kproto.producer.sequences import PartitionSequences
from kproto.tools.judge import partition_log
from kproto.wire.records import Compression, compression
from kproto.wire.records.compression import compress, decompress

RUNS = st.lists(st.tuples(st.binary(min_size=1, max_size=1), st.integers(1, 200)), max_size=30)


@given(RUNS)
def test_the_written_out_snappy_is_read_by_the_library(runs):
    from cramjam import snappy

    data = b"".join(byte * count for byte, count in runs)
    assert bytes(snappy.decompress_raw(compress_runs(data))) == data if data else compress_runs(data) == b"\0"


def test_it_is_what_batches_are_compressed_with_during_a_run():
    world = World(draw_plan(1))
    data = b"a" * 500 + b"bc"
    plain = compress(Compression.SNAPPY, data)
    with patched(world):
        packed = compress(Compression.SNAPPY, data)
        assert len(packed) < 100 and decompress(Compression.SNAPPY, packed, max_size=1_000) == data
    assert compress(Compression.SNAPPY, data) == plain


def test_a_run_leaves_the_product_as_it_was():
    def product():
        codec = compression.COMPRESSORS[Compression.SNAPPY]
        return codec, producer_id.EPOCH_MAX, PartitionSequences._adopt, partition_log.ProducerStates, random.getstate()

    before = product()
    seeds = [seed for seed in range(60) if draw_plan(seed).around.first_number and draw_plan(seed).around.epoch_max < 9]
    run_seed(seeds[0])
    assert product() == before
