"""Arithmetic of sequences, beside that of plain integers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.decoded import Capture, batch

from kproto.tools.decode.produced import produced
from kproto.tools.decode.sent_batch import Fate, SentBatch, after, distance, fate_of

SEQUENCES = st.integers(0, 2**31 - 1)


def sent(base, count):
    return SentBatch(0, base, count, (0, 0), (0, 0, 0, 0), 1, 1, "b:1")


@given(SEQUENCES, st.integers(-(2**30), 2**30 - 1))
def test_audit_7_distance_undoes_after(sequence, steps):
    assert distance(sequence, after(sequence, steps)) == steps


@given(SEQUENCES, st.integers(1, 100), st.integers(1, 100), st.integers(-200, 200))
def test_audit_3_overlap_is_that_of_the_sequences(base, count, others, shift):
    one, other = sent(base, count), sent(after(base, shift), others)
    shared = {after(base, at) for at in range(count)} & {after(other.base, at) for at in range(others)}
    assert one.overlaps(other) == other.overlaps(one) == bool(shared)


@pytest.mark.parametrize(
    ("error", "fate"),
    [(0, Fate.WRITTEN), (46, Fate.WRITTEN), (7, Fate.LOST), (20, Fate.LOST), (6, Fate.REFUSED), (9999, Fate.REFUSED)],
)
def test_fates(error, fate):
    assert fate_of(error) is fate


def test_words():
    assert [str(sent(*each)) for each in ((5, 1), (5, 3), (2**31 - 1, 2), (5, 0))] == [
        "5 (frame 1)",
        "5-7 (frame 1)",
        "2147483647-0 (frame 1)",
        "5 (frame 1)",
    ]
    assert sent(2**31 - 1, 2).behind == 1


def test_the_same_records_under_another_identity_have_the_same_body():
    one, other, third = (
        SentBatch.of(next(produced(Capture().produce(data).message)).batch, len(data[61:]), 1, 1, "b:1")
        for data in (batch(0, 3), batch(9, 3, pid=8, epoch=2), batch(0, 3, salt=1))
    )
    assert one.body_id == other.body_id != third.body_id
    assert one.bytes_id != other.bytes_id
    assert replace(one, frame=2).bytes_id == one.bytes_id
