"""Decoded frames by hand: a capture of producers and brokers, told request by request."""

from __future__ import annotations

from uuid import UUID

from kproto.tools.decode.model import DecodedFrame, Finding, Frame
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
    ProduceRequest,
    ProduceResponse,
    encode_request,
    encode_response,
)
from kproto.wire.records import RecordBatchBuilder

CLIENT, BROKER, OTHER_BROKER = "10.0.0.9:50001", "10.0.0.1:9092", "10.0.0.2:9092"
MS = 1_000_000
START_NS = 1_700_000_000 * 1000 * MS
Topic, Partition = ProduceRequest.TopicProduceData, ProduceRequest.PartitionProduceData


def batch(base=0, count=1, pid=7, epoch=0, value=b"value", compression=None, salt=0):
    """The bytes of one batch. salt: makes other bytes of it."""
    builder = RecordBatchBuilder(compression=compression)
    for index in range(count):
        builder.append(1_700_000_000_000 + index + salt, None, value)
    return builder.build(producer_id=pid, producer_epoch=epoch, base_sequence=base)


class Capture:
    """Makes frames one after the other; each is a millisecond later than the one before."""

    def __init__(self, client_id="app"):
        self.client_id = client_id
        self.number = 0
        self.now_ns = START_NS
        self.frames = []
        self._correlation = 0

    def wait(self, ms):
        """Let time pass."""
        self.now_ns += ms * MS

    def request(self, message, version, conn=1, broker=BROKER, findings=(), client_id=None, correlation_id=None):
        """The frame of a request."""
        self._correlation += 1
        correlation_id = self._correlation if correlation_id is None else correlation_id
        client_id = self.client_id if client_id is None else client_id
        data = encode_request(message, version, correlation_id=correlation_id, client_id=client_id)[4:]
        frame = self._frame(conn, broker, True, data, findings)
        name = ApiKey(message.api_key).message_name
        return self._add(
            DecodedFrame(
                frame, message.api_key, name, version, correlation_id, client_id, message, findings=[*findings]
            )
        )

    def response(self, message, request, findings=()):
        """The frame that answers."""
        data = encode_response(message, request.version, correlation_id=request.correlation_id)[4:]
        frame = self._frame(request.frame.conn, request.frame.broker, False, data, findings)
        latency_ms = (frame.time_ns - request.frame.time_ns) / MS
        head = request.api_key, request.api, request.version, request.correlation_id
        return self._add(
            DecodedFrame(frame, *head, message=message, request=request, latency_ms=latency_ms, findings=[*findings])
        )

    def produce(self, *batches, topic="orders", partition=0, acks=-1, version=9, topics=None, **more):
        """A Produce request. batches: bytes, all for one partition; topic: or its id, from version 13."""
        named = {"topic_id": topic} if isinstance(topic, UUID) else {"name": topic}
        data = [Partition(index=partition, records=b"".join(batches))]
        message = ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=[Topic(**named, partition_data=data)])
        made = self.request(message, version, **more)
        made.topics.update(topics or {})
        return made

    def ack(self, request, error=0, offset=0, throttle_ms=0, **more):
        """The answer to a Produce request, the same for each partition."""
        topics = [
            ProduceResponse.TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    ProduceResponse.PartitionProduceResponse(index=each.index, error_code=error, base_offset=offset)
                    for each in topic.partition_data
                ],
            )
            for topic in request.message.topic_data
        ]
        return self.response(ProduceResponse(responses=topics, throttle_time_ms=throttle_ms), request, **more)

    def api_versions(self, ranges, conn=1, broker=BROKER):
        """An exchange in which the broker says what it speaks. ranges: API key -> first and last version."""
        asked = self.request(ApiVersionsRequest(), 3, conn, broker)
        keys = [
            ApiVersionsResponse.ApiVersion(api_key=key, min_version=low, max_version=high)
            for key, (low, high) in ranges.items()
        ]
        return self.response(ApiVersionsResponse(api_keys=keys), asked)

    def init_producer_id(self, pid=7, epoch=0, error=0, conn=1, broker=BROKER):
        """An exchange that gives the producer its id."""
        asked = self.request(InitProducerIdRequest(), 4, conn, broker)
        return self.response(InitProducerIdResponse(error_code=error, producer_id=pid, producer_epoch=epoch), asked)

    def undeclared(self, api_key, name, conn=1, broker=BROKER):
        """A request of an API that is not declared, and its answer."""
        self._correlation += 1
        frame = self._frame(conn, broker, True, bytes(20), ())
        asked = self._add(DecodedFrame(frame, api_key, name, 0, self._correlation, self.client_id))
        frame = self._frame(conn, broker, False, bytes(10), ())
        head = api_key, name, 0, self._correlation
        return self._add(DecodedFrame(frame, *head, request=asked, latency_ms=1.0))

    def bare(self, conn=1, broker=BROKER, *findings, ended=False):
        """What is told of a connection without a frame."""
        frame = Frame(0, self.now_ns, conn, CLIENT, broker, True, b"", 0, findings, bare=True, ended=ended)
        return self._add(DecodedFrame(frame, findings=[*findings]))

    def close(self, conn=1, broker=BROKER):
        """The connection ends."""
        return self.bare(conn, broker, ended=True)

    def gap(self, conn=1, broker=BROKER):
        """Bytes are missing."""
        return self.bare(conn, broker, Finding("gap", "100 bytes are missing"))

    def _frame(self, conn, broker, request, data, findings):
        self.number += 1
        self.now_ns += MS
        client = f"10.0.0.9:{50_000 + conn}"
        return Frame(self.number, self.now_ns, conn, client, broker, request, data, len(data), tuple(findings))

    def _add(self, made):
        self.frames.append(made)
        return made
