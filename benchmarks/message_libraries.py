"""Requests and responses through each library: Metadata read, the request header and Produce written."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, NamedTuple

from aiokafka.protocol.metadata import MetadataResponse_v5 as AiokafkaMetadata
from kafka.protocol.api_header import RequestHeader as KafkaPythonHeader
from kafka.protocol.metadata import MetadataResponse as KafkaPythonMetadata
from kafka.protocol.producer import ProduceRequest as KafkaPythonProduce
from kio.schema.metadata.v12.response import MetadataResponse as KioMetadata
from kio.schema.produce.v9 import request as kio_produce
from kio.schema.request_header.v2 import header as kio_header
from kio.serial import entity_reader, entity_writer

from kproto.wire import ApiKey, MetadataResponse, ProduceRequest, RequestHeader, encode_request

__all__ = ["HEADER", "METADATA_V5", "METADATA_V12", "PRODUCE", "shown_metadata", "shown_metadata_v5"]

VERSION: Final = 9  # of Produce
HEADER_VERSION: Final = 2
CORRELATION_ID: Final = 4711
CLIENT_ID: Final = "orders-service"
TOPIC: Final = "orders"
ACKS: Final = -1
TIMEOUT_MS: Final = 30_000
FRAME_LENGTH: Final = struct.Struct(">i")

Batches = tuple[bytes, ...]
"""One for each partition, from 0 on."""

# kio's phantom types are made of plain values at run time, which the type checker cannot see.
KioHeader: Any = kio_header.RequestHeader
KioPartition: Any = kio_produce.PartitionProduceData
KioTopic: Any = kio_produce.TopicProduceData
KioProduce: Any = kio_produce.ProduceRequest

kio_metadata_reader = entity_reader(KioMetadata)
kio_header_writer = entity_writer(kio_header.RequestHeader)
kio_produce_writer = entity_writer(kio_produce.ProduceRequest)

METADATA_V12: Final[dict[str, Callable[[bytes], Any]]] = {
    "kproto": lambda data: MetadataResponse.decode(data, 12),
    "kafka-python": lambda data: KafkaPythonMetadata.decode(data, version=12),
    "kio": lambda data: kio_metadata_reader(data, 0)[0],
}

METADATA_V5: Final[dict[str, Callable[[bytes], Any]]] = {
    "kproto": lambda data: MetadataResponse.decode(data, 5),
    "kafka-python": lambda data: KafkaPythonMetadata.decode(data, version=5),
    "aiokafka": AiokafkaMetadata.decode,
}


def shown_metadata(response: Any) -> list[Any]:
    """What a producer reads of it, of version 12, as plain tuples."""
    topics = [
        (int(topic.error_code), topic.name, topic.topic_id, topic.is_internal, [*map(_partition, topic.partitions)])
        for topic in response.topics
    ]
    return [response.cluster_id, response.controller_id, [*map(_broker, response.brokers)], topics]


def shown_metadata_v5(response: Any) -> list[Any]:
    """The same of version 5, which has no topic ids and no leader epochs. aiokafka gives tuples."""
    if not isinstance(response, AiokafkaMetadata):
        cluster_id, controller_id, brokers, topics = shown_metadata(response)
        topics = [
            (code, name, internal, [(*head, *lists) for *head, _, lists in partitions])
            for code, name, _, internal, partitions in topics
        ]
        return [cluster_id, controller_id, brokers, topics]
    topics = [
        (code, name, internal, [(*head, *map(tuple, lists)) for *head, lists in map(_split, partitions)])
        for code, name, internal, partitions in response.topics
    ]
    return [response.cluster_id, response.controller_id, response.brokers, topics]


def _broker(broker: Any) -> tuple[Any, ...]:
    return broker.node_id, broker.host, broker.port, broker.rack


def _partition(partition: Any) -> tuple[Any, ...]:
    lists = (partition.replica_nodes, partition.isr_nodes, partition.offline_replicas)
    return (
        int(partition.error_code),
        partition.partition_index,
        partition.leader_id,
        partition.leader_epoch,
        [*map(tuple, lists)],
    )


def _split(partition: tuple[Any, ...]) -> tuple[Any, ...]:
    return *partition[:3], partition[3:]


def header_by_kproto() -> bytes:
    """The object and its bytes: each request has a correlation id of its own. So below."""
    return RequestHeader(
        request_api_key=ApiKey.PRODUCE,
        request_api_version=VERSION,
        correlation_id=CORRELATION_ID,
        client_id=CLIENT_ID,
    ).encode(HEADER_VERSION)


def header_by_kafka_python() -> Any:
    return KafkaPythonHeader(
        request_api_key=ApiKey.PRODUCE,
        request_api_version=VERSION,
        correlation_id=CORRELATION_ID,
        client_id=CLIENT_ID,
    ).encode(flexible=True)


def header_by_kio() -> bytes:
    out = io.BytesIO()
    kio_header_writer(out, _kio_header())
    return out.getvalue()


def _kio_header() -> Any:
    return KioHeader(
        request_api_key=int(ApiKey.PRODUCE),
        request_api_version=VERSION,
        correlation_id=CORRELATION_ID,
        client_id=CLIENT_ID,
    )


HEADER: Final[dict[str, Callable[[], Any]]] = {
    "kproto": header_by_kproto,
    "kafka-python": header_by_kafka_python,
    "kio": header_by_kio,
}


class Produce(NamedTuple):
    """make: the objects of the body. encode: them to a frame, with the length and a header made anew."""

    make: Callable[[Batches], Any]
    encode: Callable[[Any], Any]


def produce_of_kproto(batches: Batches) -> ProduceRequest:
    partition = ProduceRequest.PartitionProduceData
    partitions = [partition(index=index, records=batch) for index, batch in enumerate(batches)]
    topic = ProduceRequest.TopicProduceData(name=TOPIC, partition_data=partitions)
    return ProduceRequest(acks=ACKS, timeout_ms=TIMEOUT_MS, topic_data=[topic])


def encode_by_kproto(request: ProduceRequest) -> bytes:
    return encode_request(request, VERSION, correlation_id=CORRELATION_ID, client_id=CLIENT_ID)


def produce_of_kafka_python(batches: Batches) -> Any:
    partition = KafkaPythonProduce.TopicProduceData.PartitionProduceData
    partitions = [partition(index=index, records=batch) for index, batch in enumerate(batches)]
    topic = KafkaPythonProduce.TopicProduceData(name=TOPIC, partition_data=partitions)
    return KafkaPythonProduce(acks=ACKS, timeout_ms=TIMEOUT_MS, topic_data=[topic])


def encode_by_kafka_python(request: Any) -> Any:
    request.API_VERSION = VERSION
    request.with_header(correlation_id=CORRELATION_ID, client_id=CLIENT_ID)
    return request.encode(header=True, framed=True)


def produce_of_kio(batches: Batches) -> Any:
    partitions = tuple(KioPartition(index=index, records=batch) for index, batch in enumerate(batches))
    topic = KioTopic(name=TOPIC, partition_data=partitions)
    return KioProduce(acks=ACKS, timeout=timedelta(milliseconds=TIMEOUT_MS), topic_data=(topic,))


def encode_by_kio(request: Any) -> bytes:
    """It has no framing of its own."""
    out = io.BytesIO()
    out.seek(FRAME_LENGTH.size)
    kio_header_writer(out, _kio_header())
    kio_produce_writer(out, request)
    size = out.tell() - FRAME_LENGTH.size
    out.seek(0)
    out.write(FRAME_LENGTH.pack(size))
    return out.getvalue()


PRODUCE: Final = {
    "kproto": Produce(produce_of_kproto, encode_by_kproto),
    "kafka-python": Produce(produce_of_kafka_python, encode_by_kafka_python),
    "kio": Produce(produce_of_kio, encode_by_kio),
}
