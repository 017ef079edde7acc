"""The fixture `kproto_broker`: a judge for a test, on a free port, and the test fails where its client did wrong.

    @pytest.mark.kproto_broker(topics={"orders": 3}, nodes=3)
    def test_orders(kproto_broker):
        kproto_broker.faults.close("Produce")
        ...  # give kproto_broker.bootstrap_servers to the application

Layer: tools. pytest finds it by its entry point. Imports the rest only for a test that asks for a broker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kproto.tools.broker import Broker

__all__ = ["kproto_broker", "pytest_configure"]


def pytest_configure(config: pytest.Config) -> None:
    """Tell of the marker."""
    config.addinivalue_line(
        "markers", "kproto_broker(topics=None, **settings): what the fixture of this name gives to Broker"
    )


@pytest.fixture
def kproto_broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """A broker in this process, as kproto.tools.broker.Broker has it; new for each test."""
    from kproto.tools.broker import Broker

    marker = request.node.get_closest_marker("kproto_broker")
    arguments, settings = ((), {}) if marker is None else (marker.args, marker.kwargs)
    with Broker(*arguments, **settings) as broker:
        yield broker
