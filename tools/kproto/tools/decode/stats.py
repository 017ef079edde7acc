"""What a capture adds up to, by API, broker, client and topic: `kproto decode --stats`.

Layer: tools. Memory is bounded by the bounds here, whatever the capture holds; `stats_view` shows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from kproto.tools.decode.message_errors import error_codes, error_name
from kproto.tools.decode.model import DecodedFrame, Frame
from kproto.tools.decode.produced import Produced, produced, topic_name
from kproto.tools.decode.records_view import has_records
from kproto.tools.decode.tally import CODEC_BITS, OTHERS, Tally, count_in
from kproto.wire import ApiKey, DecodeError, ProduceRequest
from kproto.wire.records import RECORD_BATCH_OVERHEAD, Compression, RecordBatch

if TYPE_CHECKING:
    from rich.console import Console

    from kproto.tools.decode.stats_view import StatsFacts

__all__ = ["Stats"]

CELLS_MAX: Final = 2_048  # of API, broker and client: some 20 MB
TOPICS_MAX: Final = 1_024
ERRORS_MAX: Final = 512
APIS_MAX: Final = 128  # of a connection, whose cells are at hand
CONNECTIONS_MAX: Final = 65_536  # open at a time, of which depth and client are known
NO_CLIENT: Final = "(no client id)"
SAMPLED_FIRST: Final = 16  # batches of each codec, and then every
SAMPLED_EVERY: Final = 64
SAMPLE_SIZE_MAX: Final = 8 << 20  # bytes, decompressed


class _Key(NamedTuple):
    api: str
    broker: str
    client: str


class _Connection:
    """depth: requests whose answer is due; client: id, as the last request said it; cells: of that, by API."""

    __slots__ = ("cells", "client", "depth")

    def __init__(self) -> None:
        self.client = NO_CLIENT
        self.depth = 0
        self.cells: dict[str, Tally] = {}


class Stats:
    """Add frames in capture order, then `end`. Not thread-safe. Raises nothing, whatever the frames say.

    check: called with frames of which a batch is not whole, and with answers that carry records: it finds out what is
    wrong with them. Without, somebody else does so. bad_batches: of Produce requests, those with a wrong checksum, and
    those that cannot be read.
    """

    def __init__(self, check: Callable[[DecodedFrame], object] | None = None) -> None:
        self.bad_batches = 0
        self._check = check
        self._cells: dict[_Key, Tally] = {}
        self._connections: dict[int, _Connection] = {}
        self._topics: dict[str, Tally] = {}
        self._errors: dict[tuple[str, int], list[int]] = {}
        self._findings: Counter[str] = Counter()
        self._compressed: Counter[Compression] = Counter()
        self._frames = self._bytes = self._seen_connections = 0
        self._from_ns: int | None = None
        self._to_ns = 0

    @staticmethod
    def wants_message(api_key: int | None, request: bool) -> bool:
        """Whether a frame of this API is to be decoded for the statistics; of others the header is enough."""
        return not request or api_key == ApiKey.PRODUCE

    def add(self, decoded: DecodedFrame) -> None:
        """The next frame; findings of a bare one count."""
        frame = decoded.frame
        if frame.bare:
            if frame.ended:
                self._connections.pop(frame.conn, None)
        else:
            self._frame(decoded, frame)
        if frame.findings or decoded.findings:
            for finding in {*frame.findings, *decoded.findings}:
                if not finding.notice:
                    count_in(self._findings, finding.code)

    def _frame(self, decoded: DecodedFrame, frame: Frame) -> None:
        self._frames += 1
        self._bytes += frame.size
        if self._from_ns is None or frame.time_ns < self._from_ns:
            self._from_ns = frame.time_ns
        if frame.time_ns > self._to_ns:
            self._to_ns = frame.time_ns
        if frame.request:
            self._request(decoded, frame)
        else:
            self._response(decoded, frame)

    def end(self) -> None:
        """No frame comes any more."""
        self._connections.clear()

    def render(self, console: Console) -> None:
        """Print tables and bars."""
        from kproto.tools.decode.stats_view import render_stats

        render_stats(self.facts(), console)

    def to_dict(self) -> dict[str, Any]:
        """The same for programs; see `stats_dict`."""
        from kproto.tools.decode.stats_view import stats_dict

        return stats_dict(self.facts())

    def facts(self) -> StatsFacts:
        """So far; tallies are by name, the greatest first."""
        from kproto.tools.decode.stats_view import StatsFacts  # with rich, which takes a while

        span_ns = 0 if self._from_ns is None else self._to_ns - self._from_ns
        return StatsFacts(
            frames=self._frames,
            size=self._bytes,
            connections=self._seen_connections,
            from_ns=self._from_ns,
            to_ns=None if self._from_ns is None else self._to_ns,
            seconds=span_ns / 1_000_000_000,
            total=_merged(self._cells, lambda _: "").get("", Tally()),
            apis=_merged(self._cells, lambda key: key.api),
            brokers=_merged(self._cells, lambda key: key.broker),
            clients=_merged(self._cells, lambda key: key.client),
            topics=dict(sorted(self._topics.items(), key=lambda item: -item[1].batches.sizes.total)),
            errors=[
                (api, error_name(code), code, seen[0], seen[1], seen[2]) for (api, code), seen in self._errors.items()
            ],
            findings=dict(self._findings.most_common()),
        )

    def _connection(self, conn: int) -> _Connection:
        found = self._connections.get(conn)
        if found is None:
            if len(self._connections) >= CONNECTIONS_MAX:
                self._connections.pop(next(iter(self._connections)))
            found = self._connections[conn] = _Connection()
            self._seen_connections += 1
        return found

    def _cell_of(self, connection: _Connection, api: str, broker: str) -> Tally:
        """The one of its client."""
        cell = connection.cells.get(api)
        if cell is None:
            cell = self._cell(api, broker, connection.client)
            if len(connection.cells) < APIS_MAX:
                connection.cells[api] = cell
        return cell

    def _cell(self, api: str, broker: str, client: str) -> Tally:
        key = _Key(api, broker, client)
        found = self._cells.get(key)
        if found is None:
            if len(self._cells) >= CELLS_MAX:
                key = _Key(api, OTHERS, OTHERS)
                if key not in self._cells and len(self._cells) >= 2 * CELLS_MAX:
                    key = _Key(OTHERS, OTHERS, OTHERS)
            found = self._cells.setdefault(key, Tally())
        return found

    def _request(self, decoded: DecodedFrame, frame: Frame) -> None:
        connection = self._connection(frame.conn)
        client = decoded.client_id or NO_CLIENT
        if client != connection.client:
            connection.client = client
            connection.cells.clear()
        cell = self._cell_of(connection, _api(decoded), frame.broker)
        cell.requests += 1
        cell.request_bytes += frame.size
        if decoded.version is not None:
            count_in(cell.versions, str(decoded.version))
        message = decoded.message
        if isinstance(message, ProduceRequest):
            before = self.bad_batches
            for each in produced(message):
                self._batch(each, cell, decoded)
            if self._check is not None and self.bad_batches > before:
                self._check(decoded)
            if message.acks == 0:
                return
        connection.depth += 1
        cell.in_flight.add(connection.depth)

    def _batch(self, each: Produced, cell: Tally, decoded: DecodedFrame) -> None:
        if not cell.batches.add(each.batch):
            self.bad_batches += 1
        name = topic_name(each.topic, decoded)
        if name not in self._topics and len(self._topics) >= TOPICS_MAX:
            name = OTHERS
        topic = self._topics.get(name)
        if topic is None:
            topic = self._topics[name] = Tally()
        if isinstance(each.batch, DecodeError):
            topic.batches.damaged += 1
            return
        topic.batches.sizes.add(each.batch.size)
        if isinstance(each.batch, RecordBatch):
            topic.batches.records.add(each.batch.count)
            if each.batch.attributes & CODEC_BITS:
                self._sample(each.batch, cell, topic)

    def _sample(self, batch: RecordBatch, cell: Tally, topic: Tally) -> None:
        """Decompression costs more than all else: a few batches stand for all."""
        number = self._compressed[batch.compression]
        self._compressed[batch.compression] += 1
        if number >= SAMPLED_FIRST and number % SAMPLED_EVERY:
            return
        batch.max_size = SAMPLE_SIZE_MAX
        try:
            _, start, stop = batch.body()
        except (DecodeError, ImportError):
            return
        for tally in (cell, topic):
            tally.batches.sample(batch.size, stop - start + RECORD_BATCH_OVERHEAD)

    def _response(self, decoded: DecodedFrame, frame: Frame) -> None:
        connection = self._connection(frame.conn)
        if decoded.request is not None:
            connection.depth = max(0, connection.depth - 1)
        client = decoded.request.client_id or NO_CLIENT if decoded.request is not None else connection.client
        api = _api(decoded)
        same = client == connection.client
        cell = self._cell_of(connection, api, frame.broker) if same else self._cell(api, frame.broker, client)
        cell.responses += 1
        cell.response_bytes += frame.size
        if decoded.latency_ms is not None:
            cell.latency.add(round(decoded.latency_ms * 1000))
        message = decoded.message
        if message is None:
            return
        throttle_ms = getattr(message, "throttle_time_ms", 0)
        if throttle_ms:
            cell.throttled.add(throttle_ms)
        for code in error_codes(message):
            count_in(cell.errors, error_name(code))
            self._error(api, code, frame.number)
        if self._check is not None and has_records(type(message)):
            self._check(decoded)

    def _error(self, api: str, code: int, frame: int) -> None:
        """Count it, and remember the first and the last frame."""
        seen = self._errors.get((api, code))
        if seen is not None:
            seen[0] += 1
            seen[2] = frame
        elif len(self._errors) < ERRORS_MAX:
            self._errors[api, code] = [1, frame, frame]


def _api(decoded: DecodedFrame) -> str:
    if decoded.api is not None:
        return decoded.api
    return "(unknown)" if decoded.api_key is None else f"API {decoded.api_key}"


def _merged(cells: dict[_Key, Tally], name_of: Callable[[_Key], str]) -> dict[str, Tally]:
    found: dict[str, Tally] = {}
    for key, cell in cells.items():
        found.setdefault(name_of(key), Tally()).merge(cell)
    return dict(sorted(found.items(), key=lambda item: (-item[1].requests - item[1].responses, item[0])))
