"""Faults by name, for tests: what happens to the next requests of a client.

Layer: tools. Each method is a command of the control channel; docs/broker.md tells what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["BrokerFaults"]


class BrokerFaults:
    """See the module; as thread-safe as `do`.

    Every method takes `api` (Produce, Metadata, ...) and by name: times (1; None for all requests), node, and, where a
    request has them, topic and partition. at: before_parse, before_append, after_append or mid_reply.
    Raises PlanError.
    """

    def __init__(self, do: Callable[..., Any]) -> None:
        self._do = do

    def add(self, fault: str, api: str = "Produce", **fields: Any) -> None:
        """Any of them, as its JSON says it."""
        self._do("fail", fault=fault, api=api, **fields)

    def error(self, error: str, api: str = "Produce", **fields: Any) -> None:
        """An error of Kafka's, by name, as the answer; at="after_append": although it is done."""
        self.add("error", api, error=error, **fields)

    def close(self, api: str = "Produce", **fields: Any) -> None:
        """The connection ends; at="after_append", as it is unless told: it is done, and the client cannot know."""
        self.add("close", api, **fields)

    def silence(self, api: str = "Produce", **fields: Any) -> None:
        """No answer, to this request and to all behind it on its connection."""
        self.add("silence", api, **fields)

    def delay(self, ms: int, api: str = "Produce", **fields: Any) -> None:
        """Answered later; at="before_append": served later, too."""
        self.add("delay", api, ms=ms, **fields)

    def throttle(self, ms: int, api: str = "Produce", **fields: Any) -> None:
        """The client is told to be quiet for so long, and not read in the meantime."""
        self.add("throttle", api, ms=ms, **fields)

    def garbage(self, api: str = "Produce", **fields: Any) -> None:
        """The answer is nonsense behind its length and correlation id; hex: which."""
        self.add("garbage", api, **fields)

    def misnumber(self, api: str = "Produce", **fields: Any) -> None:
        """The answer has the correlation id of another request."""
        self.add("misnumber", api, **fields)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._do("clear_faults")

    @property
    def waiting(self) -> int:
        """Faults that have not met all their requests yet."""
        return int(self._do("state")["faults_waiting"])
