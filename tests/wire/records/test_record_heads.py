"""The bytes in front of a key, as tables: equal to what is encoded one by one, and whole for every thread."""

from __future__ import annotations

import sys
import threading
from importlib import import_module

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.wire.records import record_heads, sized_bytes
from kproto.wire.records.record_heads import ENTRIES_MAX, KEPT_DELTAS, STEP, STEP_OF_LATE
from kproto.wire.varint import encode_varint, encode_varlong

LAST = ENTRIES_MAX - 1
INDICES = st.one_of(st.sampled_from([0, 1, 63, 64, STEP - 1, STEP, 8063, 8064, LAST]), st.integers(0, LAST))
DELTAS = st.one_of(
    st.integers(0, KEPT_DELTAS + 2), st.sampled_from([8191, 8192, 2**31, 2**63 - 1]), st.integers(0, 2**63 - 1)
)

# The package has the function under the module's name.
module = import_module("kproto.wire.records.record_heads")


@pytest.fixture
def empty(monkeypatch):
    """Tables as they are at first."""
    tables = [[] for _ in range(KEPT_DELTAS)]
    monkeypatch.setattr(module, "_tables", tables)
    return tables


def encoded(delta, index):
    return b"\0" + encode_varlong(delta) + encode_varint(index)


@given(DELTAS, INDICES)
def test_an_entry_is_what_is_encoded_piece_by_piece(delta, index):
    assert record_heads(delta, index)[index] == encoded(delta, index)


@pytest.mark.parametrize("delta", [0, 1, KEPT_DELTAS - 1])
def test_a_table_has_every_entry_up_to_the_one_asked_for(delta):
    assert record_heads(delta, LAST) == [encoded(delta, index) for index in range(ENTRIES_MAX)]


@given(st.lists(INDICES, min_size=1, max_size=8))
def test_in_whatever_order_it_grows_it_stays_right_and_never_shrinks(indices):
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_tables", [[] for _ in range(KEPT_DELTAS)])
        size, first = 0, None
        for index in indices:
            table = record_heads(5, index)
            first = first if first is not None else table
            assert table is first and len(table) >= max(size, min(index + 1, ENTRIES_MAX))
            size = len(table)
        assert size <= max(indices) + STEP
        assert table == [encoded(5, index) for index in range(size)]


def test_a_new_millisecond_costs_one_step(empty):
    assert len(record_heads(7, 0)) == STEP
    assert [len(table) for table in empty] == [STEP if delta == 7 else 0 for delta in range(KEPT_DELTAS)]


def test_a_table_ends_and_who_goes_further_finds_none(empty):
    for index in (ENTRIES_MAX, ENTRIES_MAX + 1, 10**6):
        assert len(record_heads(0, index)) == ENTRIES_MAX
        assert record_heads(KEPT_DELTAS, index) == {}
    assert len(empty[0]) == ENTRIES_MAX


@pytest.mark.parametrize("index", [0, 700, LAST])
def test_late_in_a_batch_a_table_begins_with_the_entry_that_is_asked_for(index):
    table = record_heads(KEPT_DELTAS, index)
    assert list(table) == list(range(index, min(index + STEP_OF_LATE, ENTRIES_MAX)))
    assert list(table.values()) == [encoded(KEPT_DELTAS, at) for at in table]


def test_what_few_batches_need_is_not_kept(empty):
    assert record_heads(KEPT_DELTAS, 3) is not record_heads(KEPT_DELTAS, 3)
    assert not any(empty)
    assert record_heads(KEPT_DELTAS - 1, 3) is record_heads(KEPT_DELTAS - 1, 3)


def test_threads_that_grow_it_at_once_all_find_their_entries(empty):
    """Tables of a few steps, so that they meet; each thread asks for its own places."""
    wrong, begin = [], threading.Barrier(6)

    def work(number):
        begin.wait()
        for delta in range(KEPT_DELTAS):
            for index in range(number * 17, 1_200, 101 + number):
                head = record_heads(delta, index)[index]
                if head != encoded(delta, index):
                    wrong.append((delta, index, head))

    threads = [threading.Thread(target=work, args=[number]) for number in range(6)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    for delta, table in enumerate(empty):
        assert table == [encoded(delta, index) for index in range(len(table))]


@given(st.one_of(st.none(), st.binary(max_size=80), st.sampled_from([bytes(8190), bytes(8191), bytes(8192)])))
def test_a_key_stands_behind_its_length(key):
    assert sized_bytes(key) == encode_varint(-1 if key is None else len(key)) + (key or b"")
