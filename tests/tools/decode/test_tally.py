"""Tallies of parts, and of the whole."""

from __future__ import annotations

from collections import Counter

from tools.decode.decoded import Capture, batch

from kproto.tools.decode.produced import produced
from kproto.tools.decode.tally import NAMES_MAX, BatchTally, Tally, count_in


def batches(*data):
    return [each.batch for each in produced(Capture().produce(*data).message)]


def test_batches_by_size_records_and_codec():
    tally = BatchTally()
    made = [batch(0, 3), batch(3, 5, compression="gzip"), batch(8, 1)[:-1]]
    for each in batches(*made):
        tally.add(each)
    assert (tally.sizes.total, tally.records.total, tally.damaged, tally.bad_crc) == (len(made[0] + made[1]), 8, 1, 0)
    assert tally.codec_names == {"none": 1, "gzip": 1}
    assert tally.ratio is None


def test_a_wrong_checksum_is_counted():
    data = bytearray(batch(0, 3))
    data[-1] ^= 1
    tally = BatchTally()
    tally.add(batches(bytes(data))[0])
    assert tally.bad_crc == 1


def test_the_ratio_is_of_the_sample():
    tally = BatchTally()
    tally.sample(100, 400)
    tally.sample(100, 200)
    assert tally.ratio == 3


def test_parts_add_up():
    one, other = Tally(), Tally()
    for tally, number in ((one, 1), (other, 2)):
        tally.requests = tally.responses = tally.request_bytes = tally.response_bytes = number
        tally.latency.add(number)
        tally.errors["NONE"] += number
        tally.versions["9"] += number
        tally.batches.add(batches(batch(0, number))[0])
        tally.batches.sample(10, 10 * number)
    one.merge(other)
    assert (one.requests, one.responses, one.request_bytes, one.response_bytes, one.latency.total) == (3, 3, 3, 3, 3)
    assert (one.errors, one.versions) == ({"NONE": 3}, {"9": 3})
    assert (one.batches.records.total, one.batches.sampled, one.batches.ratio) == (3, 2, 1.5)


def test_names_are_bounded():
    counter = Counter()
    for number in range(2 * NAMES_MAX):
        count_in(counter, str(number))
    assert len(counter) == NAMES_MAX + 1 and counter["(others)"] == NAMES_MAX
