"""An observer that raises is told once, and harms nothing."""

from __future__ import annotations

import logging

from kproto.client import TopicPartition
from kproto.producer.events import BatchOpened
from kproto.producer.observing import GuardedBatchObserver

EVENT = BatchOpened(1, TopicPartition("orders", 0), 1)


def test_all_is_passed_on():
    heard = []
    observer = GuardedBatchObserver(heard.append)
    observer(EVENT)
    observer(EVENT)
    assert heard == [EVENT, EVENT]


def test_one_that_raises_is_told_once_and_hears_nothing_any_more(caplog):
    heard = []

    def refuses(event):
        heard.append(event)
        raise ValueError("no")

    observer = GuardedBatchObserver(refuses)
    with caplog.at_level(logging.WARNING, "kproto.producer"):
        observer(EVENT)
        observer(EVENT)
    (record,) = caplog.records
    assert "refuses raised, and hears nothing any more" in record.getMessage()
    assert heard == [EVENT]
