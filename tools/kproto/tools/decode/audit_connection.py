"""What is audited of one connection: the order of answers, answers that never came, versions that were not offered.

Layer: tools. Memory: WAITING_MAX requests, and a range for each API that the broker offers.
Source: KIP-35 (versions), https://kafka.apache.org/protocol#protocol_network (answers come in the order of requests).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from kproto.tools.decode.ledger import Ledger
from kproto.tools.decode.model import DecodedFrame, Finding
from kproto.tools.decode.produced import TopicKey
from kproto.tools.decode.sent_batch import SentBatch
from kproto.wire import ApiKey, ApiVersionsResponse, ProduceRequest

__all__ = ["AuditConnection", "Waiting", "offered"]

WAITING_MAX: Final = 1_024
APIS_MAX: Final = 512

Ranges = Mapping[int, tuple[int, int]]
"""API key -> first and last version, both included."""


class Waiting(NamedTuple):
    """A request whose answer is due, and the batches that it carries."""

    frame: int
    time_ns: int
    what: str
    sent: list[tuple[TopicKey, int, Ledger, SentBatch]]


def offered(message: ApiVersionsResponse) -> Ranges:
    """What a broker says that it speaks."""
    return {each.api_key: (each.min_version, each.max_version) for each in message.api_keys[:APIS_MAX]}


class AuditConnection:
    """ranges: that the broker told on this connection, None before it did. waiting: by the number of the frame.

    faded: requests of which nobody knows whether they were answered, as something of the connection was not captured.
    """

    __slots__ = ("_told", "faded", "ranges", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[int, Waiting] = {}
        self.ranges: Ranges | None = None
        self.faded: dict[int, Waiting] = {}
        self._told: set[tuple[int, int]] = set()

    def ask(self, decoded: DecodedFrame, sent: list[tuple[TopicKey, int, Ledger, SentBatch]]) -> None:
        """A request was sent; one that nobody answers is not waited for."""
        if isinstance(decoded.message, ProduceRequest) and decoded.message.acks == 0:
            return
        if len(self.waiting) >= WAITING_MAX:
            del self.waiting[next(iter(self.waiting))]
        frame = decoded.frame
        what = f"{decoded.api or 'request'} {'' if decoded.version is None else decoded.version}".strip()
        self.waiting[frame.number] = Waiting(frame.number, frame.time_ns, what, sent)

    def answered(self, decoded: DecodedFrame) -> tuple[Waiting | None, list[Finding]]:
        """The request that this answers, where it was waited for, and whether it was its turn."""
        if decoded.request is None:
            return None, []
        number = decoded.request.frame.number
        waiting = self.waiting.get(number)
        if waiting is None:
            return self.faded.pop(number, None), []
        first = next(iter(self.waiting.values()))
        del self.waiting[waiting.frame]
        if first is waiting:
            return waiting, []
        text = f"answers {waiting.what} of frame {waiting.frame} before {first.what} of frame {first.frame}"
        return waiting, [Finding("answer-order", f"{text}, which was asked earlier")]

    def fade(self) -> list[Waiting]:
        """Nobody knows any more what was answered: the requests that waited. An answer that comes still counts."""
        waiting = list(self.waiting.values())
        self.faded = self.waiting
        self.waiting = {}
        return waiting

    def version(self, decoded: DecodedFrame, ranges: Ranges | None) -> Iterator[Finding]:
        """Whether the broker offered the version of this request; told once for each API and version.

        ranges: what it said on another connection. ApiVersions itself may be asked in any version.
        """
        key, version = decoded.api_key, decoded.version
        known = self.ranges or ranges
        if known is None or key is None or version is None or key == ApiKey.API_VERSIONS:
            return
        low, high = known.get(key, (0, -1))
        if low <= version <= high or (key, version) in self._told or len(self._told) >= APIS_MAX:
            return
        self._told.add((key, version))
        name = decoded.api or f"API {key}"
        range_ = f"{low} to {high}" if low <= high else "none"
        yield Finding("version", f"{name} {version} is asked, but the broker offers {range_}")
