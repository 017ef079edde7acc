"""A client made of nothing but kproto.wire and a socket; run as a program, it records a session with Apache Kafka.

python tests/brokers/wire_session.py tools/kproto/tools/session.txt
"""

from __future__ import annotations

import socket
import sys
import threading
from pathlib import Path
from types import TracebackType

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from kproto.wire import (
    RESPONSES,
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    FrameReader,
    InitProducerIdRequest,
    MetadataRequest,
    ProduceRequest,
    Request,
    Response,
    decode_response,
    encode_request,
)
from kproto.wire.records import RecordBatchBuilder

LONG_AGO_MS = 1_700_000_000_000  # not ahead of any clock: a broker refuses timestamps of more than an hour to come
KEEP = {"retention.ms": "-1"}  # the settings of a topic that keeps records of long ago
HEAD = """\
# A session between kproto.wire and Apache Kafka 4.4.0, as tests/brokers/wire_session.py recorded it.
# A line is a frame: > for a request or < for a response, hex without the length prefix, and what it is for."""
PURPOSES = (
    "Which versions of which APIs do you speak?",
    "These: each API with its first and last version.",
    "Who leads the partitions of the topic?",
    "The brokers, and for each partition its leader and replicas.",
    "An id, please, so that you can tell a repeated batch from a new one.",
    "The producer id and its epoch.",
    "Two records for a topic by its name, stamped with id, epoch and sequence 0.",
    "They are written to all replicas; the first got offset 0.",
    "One more for the topic by its id, with sequence 2.",
    "It got offset 2.",
)


class WireSession:
    """One connection; one request in flight."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        self.frames: list[tuple[str, bytes]] = []
        self._reader = FrameReader()
        self._correlation_id = 0

    def __enter__(self) -> WireSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def exchange(self, frame: bytes) -> bytes:
        """Send a frame with its length; the payload that comes back. Raises ConnectionError where none does."""
        self.socket.sendall(frame)
        self.frames.append((">", frame[4:]))
        while True:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("the broker closed the connection")
            for payload in self._reader.feed(data):
                self.frames.append(("<", payload))
                return payload

    def ask(self, request: Request, version: int) -> Response:
        """The answer to a request."""
        self._correlation_id += 1
        frame = encode_request(request, version, correlation_id=self._correlation_id, client_id="kproto")
        payload = self.exchange(frame)
        header, response = decode_response(payload, RESPONSES[request.api_key or 0], version)
        assert header.correlation_id == self._correlation_id
        return response

    def announced(self) -> dict[int, range]:
        """API key -> the versions that the broker speaks."""
        request = ApiVersionsRequest(client_software_name="kproto", client_software_version="0.1.0")
        response = self.ask(request, ApiVersionsRequest.versions[-1])
        assert isinstance(response, ApiVersionsResponse)
        return {api.api_key: range(api.min_version, api.max_version + 1) for api in response.api_keys}

    def producer_id(self, version: int) -> tuple[int, int]:
        """A new producer id and epoch; a young broker answers that its coordinator is still loading."""
        pause = threading.Event()
        for _ in range(100):
            response = self.ask(InitProducerIdRequest(transaction_timeout_ms=60_000), version)
            if response.error_code == ErrorCode.NONE:
                return response.producer_id, response.producer_epoch
            assert ErrorCode.of(response.error_code).retriable, response
            del self.frames[-2:]
            pause.wait(0.1)
        raise AssertionError("the coordinator went on loading")


def batch(values: list[bytes], stamp: tuple[int, int, int] = (-1, -1, -1), compression: str = "none") -> bytes:
    """Records a millisecond apart. stamp: producer id, epoch, sequence. Topics need retention.ms=-1 to keep them."""
    builder = RecordBatchBuilder(compression)
    for index, value in enumerate(values):
        builder.append(LONG_AGO_MS + index, b"key", value, [("trace", b"1")])
    return builder.build(*stamp)


def produce_request(topic: str, topic_id: object, version: int, records: bytes) -> ProduceRequest:
    partition = ProduceRequest.PartitionProduceData(index=0, records=records)
    named = {"topic_id": topic_id} if version >= 13 else {"name": topic}
    return ProduceRequest(
        acks=-1, timeout_ms=30_000, topic_data=[ProduceRequest.TopicProduceData(partition_data=[partition], **named)]
    )


def metadata_request(topic: str) -> MetadataRequest:
    return MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name=topic)])


def record(path: Path) -> None:
    """The session that the demonstration shows. Raises AssertionError where the broker answers with an error."""
    from brokers.kafka import ApacheKafka

    with ApacheKafka() as kafka:
        kafka.create_topic("orders", **KEEP)
        with WireSession(kafka.bootstrap_servers) as session:
            session.announced()
            topic = session.ask(metadata_request("orders"), 13).topics[0]
            producer_id, epoch = session.producer_id(5)
            for version, sequence, values in ((12, 0, [b"first", b"second"]), (13, 2, [b"third"])):
                records = batch(values, (producer_id, epoch, sequence))
                answer = session.ask(produce_request("orders", topic.topic_id, version, records), version)
                (found,) = answer.responses[0].partition_responses
                assert (found.error_code, found.base_offset) == (0, sequence), found
    assert len(session.frames) == len(PURPOSES)
    lines = [
        f"{direction} {payload.hex()} {purpose}"
        for (direction, payload), purpose in zip(session.frames, PURPOSES, strict=True)
    ]
    path.write_text("\n".join([HEAD, *lines]) + "\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
