"""What is wrong in a log, planted and found."""

from __future__ import annotations

import pytest
from tools.judge.judging import SOME_ID, batch

from kproto.tools.judge import JudgeViolation, StoredBatch, TopicConfig, TopicImage
from kproto.tools.judge import invariants as module
from kproto.tools.judge.invariants import Resends, log_violations, repeated_records
from kproto.tools.judge.partition_log import Leadership, PartitionLog
from kproto.tools.judge.validator import only_batch

TOPIC = TopicImage("orders", 1, ())


def history(*batches):
    """A log that has swallowed all of them, whatever a broker would have said."""
    stored: list[StoredBatch] = []
    for data in batches:
        log = PartitionLog()
        log.end_offset = stored[-1].last_offset + 1 if stored else 0
        log.append(only_batch(data, 12), TopicConfig(), Leadership(0, 0, 0, 0))
        stored += log.history
    return stored


def found(*batches, from_zero=True):
    return list(log_violations("orders-0", history(*batches), from_zero=from_zero))


def test_a_good_log():
    assert found(batch(0, 3), batch(), batch(3), batch(0, epoch=1), batch(0, producer_id=2), batch(1, epoch=1)) == []
    assert found(batch(2**31 - 2, 2), batch(0), from_zero=False) == []


@pytest.mark.parametrize(
    ("batches", "word"),
    [
        ([batch(1)], "sequence 1, where 0"),
        ([batch(0), batch(2)], "sequence 2, where 1"),
        ([batch(0), batch(0)], "sequence 0, where 1"),
        ([batch(0), batch(0, epoch=1), batch(1)], "comes behind epoch 1"),
        ([batch(0), batch(1, epoch=1)], "sequence 1, where 0"),
    ],
)
def test_what_is_wrong_is_found(batches, word):
    (only,) = found(*batches)
    assert word in only
    assert str(SOME_ID) in only


def test_a_gap_in_offsets_is_found():
    stored = history(batch(), batch(), batch())
    assert list(log_violations("orders-0", [stored[0], stored[2]], from_zero=True)) == [
        "orders-0: offset 2, where 1 is next"
    ]


def test_repeated_records_are_found():
    stored = history(batch(value=b"a"), batch(value=b"b"), batch(value=b"a"))
    assert list(repeated_records("orders-0", stored, lambda record: record.value)) == [
        "orders-0: b'a' stands at offset 0 and at 2"
    ]


class Resending:
    def __init__(self):
        self.violations = []
        self.resends = Resends(self.violations.append)

    def came(self, data, refused=None, index=0):
        read = only_batch(data, 12)
        self.resends.came(TOPIC, index, read)
        if refused is not None:
            self.resends.judged(TOPIC, index, read, refused=refused)
        return len(self.violations)


@pytest.mark.parametrize("refused", [None, False])
def test_a_batch_is_sent_again_as_it_was(refused):
    sending = Resending()
    assert sending.came(batch(0), refused) == sending.came(batch(0), refused) == 0
    assert sending.came(batch(0, value=b"other"), index=1) == 0
    assert sending.came(batch(0, value=b"other", epoch=1)) == 0
    assert sending.came(batch(0, value=b"other")) == 1
    assert "other bytes" in sending.violations[0]


def test_a_refused_batch_may_be_another():
    sending = Resending()
    assert sending.came(batch(0, 2), refused=True) == sending.came(batch(0, 1)) == 0


def test_a_written_batch_may_not_though_a_duplicate_was_refused():
    sending = Resending()
    sending.came(batch(0), refused=False)
    sending.came(batch(0), refused=True)
    assert sending.came(batch(0, 2)) == 1


def test_batches_without_producer_are_nobodys():
    sending = Resending()
    assert sending.came(batch(value=b"a"), False) == sending.came(batch(value=b"b"), False) == 0


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    sending = Resending()
    for sequence in range(5):
        sending.came(batch(sequence), refused=False)
    assert sending.came(batch(0, value=b"forgotten")) == 0
    assert sending.came(batch(4, value=b"known")) == 1


def test_an_error_shows_the_first_violations():
    text = str(JudgeViolation(tuple(f"wrong {number}." for number in range(15))))
    assert text.startswith("wrong 0.\n")
    assert text.endswith("wrong 9.\nand 5 more")
    assert str(JudgeViolation(("one",))) == "one"
