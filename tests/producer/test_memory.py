"""What a producer's process takes while its broker answers nothing: `buffer_memory`, not much more, then send raises.

Growth of RSS measured with buffer_memory of 32 MB, as a part of it (CPython 3.11, Linux, glibc):
1 KiB values: 1.01, and 1.10 with all futures kept; 100 B values: 1.01, and 1.84 with all 268,000 futures kept, each of
which is about 100 bytes of its owner's. One partition or a hundred: the same. With a callback for each record 0.85 and
0.47, as its charge is that of a large one.
"""

from __future__ import annotations

import json
import sys

import pytest
from producer.judged_loopback import JudgedLoopback, Program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/statm")

BLOCK_MS = 300
MEGABYTE = 1 << 20
FUTURE_BYTES = 130  # of one that is kept, and its place in a list that grows: the caller's own
FILL = """
import gc, json, os, time
from kproto.wire.records import RecordBatchBuilder

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

wanted = json.loads(sys.argv[2])
producer = Producer(servers, max_block_ms=wanted["block_ms"], buffer_memory=wanted["memory"], **wanted["settings"])
producer.wait_ready(30)
producer.partitions_for("orders")
size = wanted["size"] - 8
rest = bytes(size) if wanted["alike"] else os.urandom(size)
builder = RecordBatchBuilder(producer.config.compression_type)  # the codec's own library is not what is measured
builder.append(0, None, bytes(100_000))
builder.build()
del builder
count, kept, on_delivery = 0, [], (lambda metadata, error: None) if wanted["callbacks"] else None
gc.collect()
before = resident()
try:
    while True:
        began = time.monotonic()
        future = producer.send("orders", count.to_bytes(8, "big") + rest, on_delivery=on_delivery)
        if wanted["keep"]:
            kept.append(future)
        count += 1
except BufferFullError as error:
    waited_ms = (time.monotonic() - began) * 1000
    grown = resident() - before
    told = [error.capacity, error.waited_ms]
    report(json.dumps({"count": count, "grown": grown, "waited_ms": waited_ms, "told": told}))
os._exit(0)
"""


def fill(size, *, memory=32 * MEGABYTE, keep=False, alike=False, callbacks=False, partitions=3, **settings):
    """Send values of so many bytes until there is no room. alike: they compress well."""
    wanted = {
        "size": size,
        "memory": memory,
        "keep": keep,
        "alike": alike,
        "callbacks": callbacks,
        "settings": settings,
        "block_ms": BLOCK_MS,
    }
    with JudgedLoopback({"orders": partitions}) as broker:
        broker.stall()
        with Program(FILL, broker.bootstrap_servers, json.dumps(wanted)) as program:
            ended = program.end()
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    print(f"{found['grown'] / memory:.2f} of buffer_memory, {found['count']} records")
    assert found["told"][0] == memory
    assert found["told"][1] <= BLOCK_MS  # what is left of max_block_ms after the wait for metadata
    assert BLOCK_MS - 5 < found["waited_ms"] < BLOCK_MS + 500
    return found["grown"], found["count"]


@pytest.mark.parametrize("keep", [False, True], ids=["", "futures kept"])
def test_pool_2_a_stalled_broker_costs_no_more_than_buffer_memory(keep):
    grown, count = fill(1024, keep=keep)
    assert count * 1024 > 24 * MEGABYTE
    assert grown < 1.3 * 32 * MEGABYTE


@pytest.mark.parametrize("keep", [False, True], ids=["", "futures kept"])
def test_pool_2_small_records_cost_no_more(keep):
    """Their futures do, where they are kept: those are as large as the records."""
    grown, count = fill(100, keep=keep, memory=8 * MEGABYTE)
    assert count * 100 > 6 * MEGABYTE
    assert grown < 1.3 * 8 * MEGABYTE + keep * count * FUTURE_BYTES


def test_pool_2_the_number_of_partitions_changes_nothing():
    grown, _ = fill(1024, partitions=100, memory=16 * MEGABYTE)
    assert grown < 1.3 * 16 * MEGABYTE


@pytest.mark.parametrize("settings", [{"callbacks": True}, {"batch_size": 0}], ids=["callbacks", "batches of one"])
def test_pool_2_what_a_record_takes_beside_its_bytes_is_charged(settings):
    grown, _ = fill(100, memory=8 * MEGABYTE, **settings)
    assert grown < 1.3 * 8 * MEGABYTE


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_pool_2_what_is_compressed_is_charged_at_its_size_then(codec):
    """So much more is accepted: and what it takes beside its bytes is charged as well."""
    grown, count = fill(4096, alike=True, compression_type=codec, memory=4 * MEGABYTE)
    assert count * 4096 > 20 * MEGABYTE
    assert grown < 1.3 * 4 * MEGABYTE
