"""What the judge's tests share: batches, and a conversation with a broker of its cluster."""

from __future__ import annotations

from struct import pack_into

from client.talk import Talk

from kproto.tools.judge import JudgeCluster
from kproto.tools.judge.consumer_messages import FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse
from kproto.tools.judge.topic_messages import CreateTopicsResponse, DeleteTopicsResponse
from kproto.wire import (
    ApiKey,
    InitProducerIdRequest,
    MetadataRequest,
    ProduceRequest,
    decode_response,
    encode_request,
)
from kproto.wire.records import RecordBatchBuilder
from kproto.wire.records.crc import crc32c

AT_MS = 1_700_000_000_000
SOME_ID = 77
PRODUCE, METADATA, INIT = ApiKey.PRODUCE, ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID


def batch(sequence=-1, records=1, *, producer_id=None, epoch=0, key=b"k", value=b"v", compression="none", at_ms=AT_MS):
    """sequence: of the first record; without one, the batch has no producer."""
    builder = RecordBatchBuilder(compression)
    for index in range(records):
        builder.append(at_ms + index, key, value)
    if sequence < 0:
        return builder.build()
    return builder.build(SOME_ID if producer_id is None else producer_id, epoch, sequence)


def changed(data, at, layout, value):
    """The batch with one field of its header set, and a checksum that is right."""
    made = bytearray(data)
    pack_into(layout, made, at, value)
    pack_into(">I", made, 17, crc32c(memoryview(made)[21:]))
    return bytes(made)


def produce_request(batches, version=12, acks=-1, cluster=None):
    """batches: topic -> {partition: batch}. cluster: knows the topics' ids, for version 13."""
    asked = ProduceRequest.TopicProduceData
    topics = []
    for name, partitions in batches.items():
        data = [ProduceRequest.PartitionProduceData(index=index, records=one) for index, one in partitions.items()]
        named = {"topic_id": cluster.image.topics[name].topic_id} if version >= 13 else {"name": name}
        topics.append(asked(partition_data=data, **named))
    return ProduceRequest(acks=acks, timeout_ms=1000, topic_data=topics)


def metadata_request(*names, auto_create=False, **fields):
    asked = MetadataRequest.MetadataRequestTopic
    topics = [asked(name=name) for name in names] if names else None
    return MetadataRequest(topics=topics, allow_auto_topic_creation=auto_create, **fields)


def fetch_request(*asked, epoch=-1, max_wait_ms=0, min_bytes=1, max_bytes=1 << 20, partition_max_bytes=1 << 20):
    """asked: (topic, partition, offset) of each."""
    topic, partition = FetchRequest.FetchTopic, FetchRequest.FetchPartition
    return FetchRequest(
        max_wait_ms=max_wait_ms,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        topics=[
            topic(
                topic=name,
                partitions=[
                    partition(
                        partition=index,
                        fetch_offset=offset,
                        current_leader_epoch=epoch,
                        partition_max_bytes=partition_max_bytes,
                    )
                ],
            )
            for name, index, offset in asked
        ],
    )


def list_request(topic, partition, timestamp, epoch=-1):
    asked = ListOffsetsRequest.ListOffsetsPartition(
        partition_index=partition, timestamp=timestamp, current_leader_epoch=epoch
    )
    topics = [ListOffsetsRequest.ListOffsetsTopic(name=topic, partitions=[asked])]
    return ListOffsetsRequest(replica_id=-1, topics=topics)


ANSWERS = {
    ApiKey.FETCH: FetchResponse,
    ApiKey.LIST_OFFSETS: ListOffsetsResponse,
    ApiKey.CREATE_TOPICS: CreateTopicsResponse,
    ApiKey.DELETE_TOPICS: DeleteTopicsResponse,
}


class JudgeTalk(Talk):
    """To node `node` of a cluster; `now_ms` is the time."""

    def __init__(self, cluster: JudgeCluster, node: int = 0) -> None:
        super().__init__(cluster.brokers[node])
        self.cluster = cluster

    def ask(self, request, version):
        """The answer, also of what only the judge declares."""
        if request.api_key not in ANSWERS:
            return super().ask(request, version)
        data = encode_request(request, version, correlation_id=1, client_id="me")
        return decode_response(self.exchange(data), ANSWERS[request.api_key], version)[1]

    def fetch(self, *asked, version=12, **options):
        """What the broker has of each partition."""
        answer = self.ask(fetch_request(*asked, **options), version)
        return [one for topic in answer.responses for one in topic.partitions]

    def offset(self, timestamp, topic="orders", index=0, *, version=7, epoch=-1):
        """What the broker says of a time."""
        answer = self.ask(list_request(topic, index, timestamp, epoch), version)
        return answer.topics[0].partitions[0]

    def produce(self, records, topic="orders", index=0, *, version=12, acks=-1):
        """What the broker says of one batch."""
        request = produce_request({topic: {index: records}}, version, acks, self.cluster)
        (answered,) = self.ask(request, version).responses
        return answered.partition_responses[0]

    def code(self, records, topic="orders", index=0, **options):
        """The error code alone."""
        return self.produce(records, topic, index, **options).error_code

    def tell(self, records, topic="orders", index=0, *, version=12, acks=-1):
        """Produce, and do not wait."""
        self.send(produce_request({topic: {index: records}}, version, acks, self.cluster), version)

    def metadata(self, *names, version=12, **fields):
        """topic -> (error code, leaders), of the answer."""
        answer = self.ask(metadata_request(*names, **fields), version)
        return {one.name: (one.error_code, [p.leader_id for p in one.partitions]) for one in answer.topics}

    def new_producer_id(self):
        return self.ask(InitProducerIdRequest(), 4)

    def silent(self):
        """Whether nothing has come."""
        return not self.payloads()
