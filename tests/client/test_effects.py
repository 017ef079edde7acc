"""The seam: whoever is driven, or observes, has the methods that the protocols name, with their parameters."""

from __future__ import annotations

import inspect
from random import Random
from typing import Any

import pytest

from kproto.client.config import ClientConfig
from kproto.client.effects import Close, ConnectionObserver, FetchToken, Open, Resolve, SansIO
from kproto.client.network import NetworkClient
from kproto.client.observing import GuardedObserver


def parameters(cls: type[Any], name: str) -> list[str]:
    return list(inspect.signature(getattr(cls, name)).parameters)


def methods(protocol: type[Any]) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


@pytest.mark.parametrize("name", methods(SansIO))
def test_the_network_client_can_be_driven(name):
    assert parameters(NetworkClient, name) == parameters(SansIO, name)


@pytest.mark.parametrize("name", methods(ConnectionObserver))
def test_the_guarded_observer_can_observe(name):
    assert parameters(GuardedObserver, name) == parameters(ConnectionObserver, name)


def test_effects_are_values_that_say_what_they_are():
    assert Open(1, "10.0.0.1", 9092) == Open(1, "10.0.0.1", 9092) != Open(2, "10.0.0.1", 9092)
    shown = [repr(effect) for effect in (Resolve("b", 9092), Close(1, b"bye"), FetchToken(1))]
    assert shown == [
        "Resolve(host='b', port=9092)",
        "Close(connection_id=1, goodbye=b'bye')",
        "FetchToken(connection_id=1)",
    ]
    assert Close(1) == Close(1, b"")


def test_a_core_asks_for_nothing_before_it_is_polled_and_then_for_its_name():
    core: SansIO = NetworkClient(
        ClientConfig.of(bootstrap_servers="b:9092"), rng=Random(0), make_nonce=lambda: "n", now_ms=0
    )
    assert core.poll(0) == [Resolve("b", 9092)]
    assert core.poll(0) == [], "a name is asked once until it is answered"
    assert not core.data_to_send(1)
