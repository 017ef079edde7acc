"""The events: values that can be kept, compared and told apart."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import get_args

import pytest

from kproto.client import TopicPartition
from kproto.producer import events
from kproto.producer.events import BatchEvent, BatchHeld, BatchSent, HeldReason, SendReason

ORDERS = TopicPartition("orders", 0)


def test_every_kind_of_event_is_a_frozen_value_with_its_time_first():
    for kind in get_args(BatchEvent):
        assert kind.__name__ in events.__all__
        assert kind.__dataclass_params__.frozen and "__dict__" not in dir(kind)
        assert dataclasses.fields(kind)[0].name == "at_ms"


def test_an_event_can_be_hashed_pickled_and_compared():
    held = BatchHeld(7, ORDERS, 1, HeldReason.BACKOFF, 9)
    sent = BatchSent(7, ORDERS, 1, SendReason.FULL, 0, 2, 100, 1, 4000, 0, 0)
    for event in (held, sent):
        assert pickle.loads(pickle.dumps(event)) == event
        assert len({event, dataclasses.replace(event)}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        held.at_ms = 8


def test_reasons_are_told_apart_by_name_and_each_is_explained():
    source = Path(events.__file__).read_text(encoding="utf-8")
    for reason in (*SendReason, *HeldReason):
        line = f"    {reason.name} = auto()\n"
        assert source[source.index(line) + len(line) :].startswith('    """'), f"{reason} is not explained"
