"""What the producer's tests against brokers share: records as they are sent, and whether they came back so."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from brokers.consumed import ReadRecord

from kproto.client import ConnectionObserver
from kproto.wire import RESPONSES, ApiKey, RequestHeader, decode_response


class Rec(NamedTuple):
    """A record as it is given to send."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
    partition: int | None = None


def send_all(producer, topic, records):
    return [
        (
            record,
            producer.send(
                topic,
                record.value,
                record.key,
                partition=record.partition,
                timestamp_ms=record.timestamp_ms,
                headers=record.headers,
            ),
        )
        for record in records
    ]


def check_delivered(log, sent, begins=None):
    """Each record is where its future says, as it was sent, and behind those of its partition that were sent before."""
    last = defaultdict(lambda: -1)
    for record, future in sent:
        metadata = future.result(0)
        found = log[metadata.partition][metadata.offset - (begins or {}).get(metadata.partition, 0)]
        timestamp_ms = metadata.timestamp if record.timestamp_ms is None else record.timestamp_ms
        assert metadata.timestamp == timestamp_ms
        assert found == ReadRecord(metadata.offset, timestamp_ms, record.key, record.value, record.headers, False)
        assert metadata.offset > last[metadata.partition]
        last[metadata.partition] = metadata.offset
        assert record.partition in (None, metadata.partition)
    assert sum(map(len, log.values())) == len(sent)


class Asked(ConnectionObserver):
    """Versions of each API that were asked for, and the answers to Produce."""

    def __init__(self):
        self.versions = defaultdict(set)
        self.answers = []
        self._open = {}

    def opened(self, connection_id, local, remote):
        self._open[connection_id] = {}

    def closed(self, connection_id):
        pass

    def frame(self, connection_id, sent, frame):
        if sent:
            header, _ = RequestHeader.decode_prefix(frame[4:], 0)
            self.versions[header.request_api_key].add(header.request_api_version)
            self._open[connection_id][header.correlation_id] = (header.request_api_key, header.request_api_version)
        else:
            api, version = self._open[connection_id].pop(int.from_bytes(frame[4:8], "big"))
            if api == ApiKey.PRODUCE:
                self.answers.append(decode_response(frame[4:], RESPONSES[api], version)[1])
