"""What happened in a run, line by line as NDJSON: byte for byte the same for a seed, on every Python and machine.

Nothing in it comes from an address, a hash or a set, and no error's text, which may differ.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from kproto.client.transitions import State
from kproto.producer.events import BatchEvent
from kproto.wire import KafkaError

__all__ = ["Trace"]


class Trace:
    """See the module. events: of the batches, for the timeline."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.events: list[BatchEvent] = []

    def line(self, at_ms: int, what: str, facts: dict[str, Any]) -> None:
        """Something happened."""
        self.lines.append(json.dumps({"ms": at_ms, "is": what, **{name: _plain(one) for name, one in facts.items()}}))

    def batch(self, at_ms: int, event: BatchEvent) -> None:
        """Something happened to a batch."""
        self.events.append(event)
        facts = {name: getattr(event, name) for name in event.__slots__ if name != "at_ms"}
        self.line(at_ms, type(event).__name__, facts)

    def text(self) -> str:
        """All lines."""
        return "".join(f"{line}\n" for line in self.lines)

    def digest(self) -> str:
        """What tells two traces apart."""
        return sha256(self.text().encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, State):
        return value.name
    if isinstance(value, KafkaError):
        return [type(value).__name__, int(getattr(value, "code", None) or 0)]
    if isinstance(value, tuple) and hasattr(value, "topic"):
        return f"{value.topic}-{value.partition}"
    return value
