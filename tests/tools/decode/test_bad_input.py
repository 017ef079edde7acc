"""The error names cause and place, and survives what errors go through."""

from __future__ import annotations

import pickle

from kproto.tools.decode.bad_input import BadInput
from kproto.wire import KafkaError


def test_it_names_cause_and_place():
    error = BadInput("no capture", 7)
    assert isinstance(error, KafkaError) and str(error) == "no capture (at byte 7)"
    again = pickle.loads(pickle.dumps(error))
    assert (again.why, again.offset) == ("no capture", 7)
