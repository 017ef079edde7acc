"""Whether producers kept their promises: `kproto decode --audit`.

Layer: tools. Knows the wire only: it works for any client, and from captures that begin in mid-stream. Memory: bounded
by the bounds here, in ledger.py and in audit_connection.py.
Source: KIP-98, KIP-360; the rules are those of ledger.py and audit_connection.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from rich.console import Console

from kproto.tools.decode.audit_connection import AuditConnection, Ranges, Waiting, offered
from kproto.tools.decode.audit_view import AuditFacts, AuditFinding, audit_dict, render_audit
from kproto.tools.decode.ledger import Ledger
from kproto.tools.decode.linger import LingerOfOne
from kproto.tools.decode.model import DecodedFrame, Finding, Frame
from kproto.tools.decode.produced import Produced, TopicKey, produced, topic_key, topic_name
from kproto.tools.decode.sent_batch import SentBatch
from kproto.wire import (
    NO_PRODUCER_ID,
    ApiVersionsResponse,
    DecodeError,
    InitProducerIdResponse,
    ProduceRequest,
    ProduceResponse,
)
from kproto.wire.records import RECORD_BATCH_OVERHEAD, RecordBatch
from kproto.wire.records.crc import crc32c

__all__ = ["Audit", "AuditFinding"]

LEDGERS_MAX: Final = 2_000
CONNECTIONS_MAX: Final = 16_384
BROKERS_MAX: Final = 1_024
FINDINGS_MAX: Final = 1_000
BORN_MAX: Final = 16_384  # producers whose begin is in the capture
CODES_MAX: Final = 256
LOSSES: Final = frozenset(
    {"gap", "cut", "too-much", "impossible-frame", "unfinished", "capture-damaged", "capture-cut"}
)
"""Findings after which a request or an answer may have passed unseen."""


class _LedgerKey(NamedTuple):
    producer_id: int
    topic: TopicKey
    partition: int


class Audit:
    """Add frames in capture order, then `end`; each returns what was found. Not thread-safe; raises nothing.

    findings: the first FINDINGS_MAX of them, notices included; violations: how many there were that are no notices.
    """

    def __init__(self) -> None:
        self.findings: list[AuditFinding] = []
        self.violations = 0
        self._codes: Counter[str] = Counter()
        self._ledgers: dict[_LedgerKey, Ledger] = {}
        self._names: dict[TopicKey, str] = {}
        self._connections: dict[int, AuditConnection] = {}
        self._brokers: dict[str, Ranges] = {}
        self._losses: dict[int, int] = {}
        self._born: dict[int, int] = {}
        self._seen: dict[_LedgerKey, int] = {}
        self._order = 0
        self._linger = LingerOfOne()
        self._dropped = 0

    def add(self, decoded: DecodedFrame) -> list[AuditFinding]:
        """The next frame."""
        self._order += 1
        frame = decoded.frame
        lossy = any(each.code in LOSSES for each in (*frame.findings, *decoded.findings))
        if lossy:
            self._lost(frame)
        if frame.bare:
            return self._ended(decoded) if frame.ended else []
        if decoded.message is None and decoded.request is None and frame.request:
            self._unread(decoded)
        if frame.request:
            return self._found(self._request(decoded, frame), frame)
        return self._found(self._response(decoded, frame), frame)

    def end(self) -> list[AuditFinding]:
        """No frame comes any more. What waits for an answer on a connection that is still open is no finding."""
        return self._found(self._linger.notices(), None)

    def render(self, console: Console) -> None:
        """Print the findings, and a line for each partition."""
        render_audit(self.facts(), console)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs."""
        return audit_dict(self.facts())

    def facts(self) -> AuditFacts:
        """So far."""
        rows = [
            (key.producer_id, self._names.get(key.topic, str(key.topic)), key.partition, ledger)
            for key, ledger in self._ledgers.items()
        ]
        rows.sort(key=lambda row: row[:3])
        return AuditFacts(self.findings, dict(self._codes.most_common()), self.violations, rows, self._dropped)

    def _found(self, findings: Iterable[Finding], frame: Frame | None, number: int = 0) -> list[AuditFinding]:
        """number: of the frame that is told, where it is another."""
        found = []
        for each in findings:
            place = (None, None, None) if frame is None else (number or frame.number, frame.time_ns, frame.conn)
            found.append(AuditFinding(each, *place))
            self.violations += not each.notice
            if each.code in self._codes or len(self._codes) < CODES_MAX:
                self._codes[each.code] += 1
        self.findings += found[: max(0, FINDINGS_MAX - len(self.findings))]
        return found

    def _connection(self, conn: int) -> AuditConnection:
        found = self._connections.get(conn)
        if found is None:
            if len(self._connections) >= CONNECTIONS_MAX:
                self._connections.pop(next(iter(self._connections)))
            found = self._connections[conn] = AuditConnection()
        return found

    def _lost(self, frame: Frame) -> None:
        """Something is missing: nothing that follows from its absence is a violation."""
        if len(self._losses) >= CONNECTIONS_MAX and frame.conn not in self._losses:
            self._losses.pop(next(iter(self._losses)))
        self._losses[frame.conn] = self._order
        for conn in [frame.conn] if frame.conn else list(self._connections):
            if conn in self._connections:
                self._give_up(self._connections[conn].fade(), frame.number, "it is not in the capture")

    def _unread(self, decoded: DecodedFrame) -> None:
        """A Produce request that could not be decoded may have held any batch."""
        if decoded.api_key == ProduceRequest.api_key:
            self._losses[decoded.frame.conn] = self._order

    def _ended(self, decoded: DecodedFrame) -> list[AuditFinding]:
        """The frame that is told is the request."""
        frame = decoded.frame
        connection = self._connections.pop(frame.conn, None)
        if connection is None:
            return []
        waiting = list(connection.waiting.values())
        told = any(each.code == "unanswered" for each in (*frame.findings, *decoded.findings))
        found = []
        for each in () if told else waiting:
            text = f"{each.what} of frame {each.frame} was never answered: the connection ended"
            found += self._found([Finding("unanswered", text)], frame, each.frame)
        last = max((each.frame for each in waiting), default=0)
        self._give_up(waiting, last, f"connection {frame.conn} ended")
        return found

    def _give_up(self, waiting: list[Waiting], frame: int, why: str) -> None:
        for each in waiting:
            for _, _, ledger, sent in each.sent:
                ledger.lose(sent, max(frame, each.frame), why)

    def _request(self, decoded: DecodedFrame, frame: Frame) -> Iterator[Finding]:
        connection = self._connection(frame.conn)
        yield from connection.version(decoded, self._brokers.get(frame.broker))
        sent: list[tuple[TopicKey, int, Ledger, SentBatch]] = []
        if isinstance(decoded.message, ProduceRequest):
            told = any("crc" in each.code for each in (*frame.findings, *decoded.findings))
            for each in produced(decoded.message):
                yield from self._batch(each, decoded, sent, told)
        connection.ask(decoded, sent)

    def _batch(
        self, each: Produced, decoded: DecodedFrame, sent: list[tuple[TopicKey, int, Ledger, SentBatch]], told: bool
    ) -> Iterator[Finding]:
        """told: whether the frame has findings about its checksums already."""
        frame, batch = decoded.frame, each.batch
        name = topic_name(each.topic, decoded)
        where = f"{name}-{each.partition}"
        if isinstance(batch, DecodeError):
            self._losses[frame.conn] = self._order
            return
        if not batch.crc_valid:
            if not told:
                yield Finding("crc", f"{where}: the batch has CRC {batch.crc:#010x}, which its bytes do not have")
            self._losses[frame.conn] = self._order
            return
        if not isinstance(batch, RecordBatch):
            return
        self._linger.add(decoded.client_id or frame.client, name, each.partition, batch.count, frame.time_ns)
        if batch.last_offset_delta != batch.count - 1:
            text = f"{where}: the batch counts {batch.count} records, and its last one is {batch.last_offset_delta}"
            yield Finding("record-count", text)
        if batch.producer_id == NO_PRODUCER_ID:
            return
        key = _LedgerKey(batch.producer_id, each.topic, each.partition)
        ledger = self._ledger(key, name)
        body = memoryview(each.records)[batch.offset + RECORD_BATCH_OVERHEAD : batch.offset + batch.size]
        attempt = SentBatch.of(batch, crc32c(body), frame.number, frame.conn, frame.broker)
        born = not self._dropped and self._born.get(batch.producer_id) == batch.producer_epoch
        who = f"{where}, producer {batch.producer_id} epoch {batch.producer_epoch}"
        for found in ledger.put(attempt, self._certain(key, ledger, frame.conn), born):
            yield _told(found, who)
        ledger.conn = frame.conn
        self._seen[key] = self._order
        sent.append((each.topic, each.partition, ledger, attempt))

    def _certain(self, key: _LedgerKey, ledger: Ledger, conn: int) -> bool:
        """Whether nothing was lost since the ledger's last batch on the connections that it used."""
        last = self._seen.get(key, self._order)
        return all(self._losses.get(each, 0) < last for each in (0, conn, ledger.conn))

    def _ledger(self, key: _LedgerKey, name: str) -> Ledger:
        self._names[key.topic] = name
        found = self._ledgers.get(key)
        if found is None:
            if len(self._ledgers) >= LEDGERS_MAX:
                gone = next(iter(self._ledgers))
                del self._ledgers[gone]
                self._seen.pop(gone, None)
                self._dropped += 1
            found = self._ledgers[key] = Ledger()
        return found

    def _response(self, decoded: DecodedFrame, frame: Frame) -> Iterator[Finding]:
        connection = self._connection(frame.conn)
        waiting, found = connection.answered(decoded)
        yield from found
        message = decoded.message
        if isinstance(message, ApiVersionsResponse) and message.api_keys and not message.error_code:
            connection.ranges = offered(message)
            if len(self._brokers) < BROKERS_MAX:
                self._brokers[frame.broker] = connection.ranges
        if isinstance(message, InitProducerIdResponse) and not message.error_code and len(self._born) < BORN_MAX:
            self._born[message.producer_id] = message.producer_epoch
        if waiting is not None and isinstance(message, ProduceResponse):
            yield from _answers(message, waiting, frame, decoded)


def _answers(message: ProduceResponse, waiting: Waiting, frame: Frame, decoded: DecodedFrame) -> Iterator[Finding]:
    """What the answer says of the batches of its request."""
    errors = {
        (topic_key(topic), each.index): each.error_code
        for topic in message.responses
        for each in topic.partition_responses
    }
    for topic, partition, ledger, sent in waiting.sent:
        error = errors.get((topic, partition))
        name = topic_name(topic, decoded)
        if error is None:
            ledger.lose(sent, frame.number, "it is not in the answer")
            yield Finding("not-answered", f"{name}-{partition}: the answer says nothing of {sent}")
            continue
        for found in ledger.answer(sent, error, frame.number):
            yield _told(found, f"{name}-{partition}")


def _told(found: Finding, who: str) -> Finding:
    return Finding(found.code, f"{who}: {found.text}", found.notice)
