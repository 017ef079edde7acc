"""Lets a thread that waits for an answer read it itself: what the loop's thread would hand on comes later.

Layer: client. Part of the driver: it waits for sockets.
"""

from __future__ import annotations

import select
from collections.abc import Iterable

from kproto.client.link import Link

__all__ = ["CAN_WAIT", "wait_readable"]

CAN_WAIT = hasattr(select, "poll")


def wait_readable(links: Iterable[Link], timeout_ms: int) -> bool:
    """Wait until one of these can be read, and mark those that can; whether any can."""
    poll = select.poll()
    by_number = {}
    for link in links:
        number = link.socket.fileno()
        if link.connected and number >= 0:
            by_number[number] = link
            poll.register(number, select.POLLIN)
    ready = poll.poll(timeout_ms)
    for number, _ in ready:
        by_number[number].readable = True
    return bool(ready)
