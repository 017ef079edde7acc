"""The event loops that the client's driver has to live on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import pytest

__all__ = ["LOOPS", "loop_factory"]

LOOPS = [
    "asyncio",
    pytest.param(
        "uvloop", marks=pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop has no wheel for this platform")
    ),
]


def loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Makes new loops of that kind. On Windows it is the selector loop: the default one watches no sockets."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.SelectorEventLoop
    return factory if name == "asyncio" else import_module("uvloop").new_event_loop
