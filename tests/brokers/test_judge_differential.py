"""The judge of kproto.tools.judge against Apache Kafka: the same requests, the same answers."""

from __future__ import annotations

from itertools import count
from struct import pack, pack_into
from uuid import UUID
from zlib import crc32

import pytest
from brokers.kafka import ApacheKafka
from brokers.wire_session import KEEP, LONG_AGO_MS, WireSession
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.tools.judge import JudgeCluster, Node, TopicConfig
from kproto.wire import (
    ApiVersionsRequest,
    ErrorCode,
    FrameReader,
    InitProducerIdRequest,
    MetadataRequest,
    ProduceRequest,
)
from kproto.wire.records import Compression, RecordBatchBuilder
from kproto.wire.records.compression import compress
from kproto.wire.records.crc import crc32c

pytestmark = [pytest.mark.broker, pytest.mark.java]

EXAMPLES = 150
STEPS = 14
TOPICS = {
    "plain": (TopicConfig(), {}),
    "compacted": (TopicConfig(compacted=True), {"cleanup.policy": "compact"}),
    "small": (TopicConfig(max_message_bytes=200), {"max.message.bytes": "200"}),
    "stamped": (TopicConfig(log_append_time=True), {"message.timestamp.type": "LogAppendTime"}),
    "replicated": (TopicConfig(min_insync_replicas=2), {"min.insync.replicas": "2"}),
    "strict": (TopicConfig(), {}),
    "punctual": (TopicConfig(timestamp_after_max_ms=3_600_000), {}),
}
producers = count(5_000)  # ids that neither side has seen: Kafka takes any


class JudgeSession(WireSession):
    """The same calls to the judge, as to Kafka over a socket."""

    def __init__(self, cluster):
        self.connection = cluster.brokers[0].connect()
        self.frames = []
        self._reader = FrameReader()
        self._correlation_id = 0

    def exchange(self, frame):
        self.connection.receive(frame)
        payloads = self._reader.feed(self.connection.output())
        if not payloads:
            raise ConnectionError("the judge closed the connection")
        return payloads[0]


class Pair:
    """Kafka and the judge, in step: each request goes to both."""

    def __init__(self, kafka, address):
        self.address = address
        host, _, port = address.rpartition(":")
        self.cluster = JudgeCluster({0: Node(host, int(port))}, epoch_ms=LONG_AGO_MS, auto_create_partitions=3)
        for name, (config, told_kafka) in TOPICS.items():
            kafka.create_topic(name, 2, **KEEP, **told_kafka)
            self.cluster.create_topic(name, 2, config)
        self.ends = self.connected()
        topics = self.ends[0].ask(MetadataRequest(topics=None), 13).topics
        judged = self.cluster.image.topics.values()
        self.ids = [{one.name: one.topic_id for one in side} for side in (topics, judged)]

    def connected(self):
        return WireSession(self.address), JudgeSession(self.cluster)

    def close(self):
        self.ends[0].socket.close()

    def ask(self, *requests, version):
        """Both answers to a request, or to one for each; "closed" for an end that closes. Then both connect anew."""
        answers = []
        for end, request in zip(self.ends, requests if len(requests) > 1 else requests * 2, strict=True):
            try:
                answers.append(end.ask(request, version))
            except ConnectionError:
                answers.append("closed")
        if "closed" in answers:
            self.close()
            self.ends = self.connected()
        return answers

    def produce(self, records, *, topic="plain", index=0, version=12, acks=-1, topic_id=None):
        """What both say of the batch, as far as it can be the same."""

        def request(ids):
            named = {"topic_id": topic_id or ids[topic]} if version >= 13 else {"name": topic}
            partition = ProduceRequest.PartitionProduceData(index=index, records=records)
            data = ProduceRequest.TopicProduceData(partition_data=[partition], **named)
            return ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=[data])

        return [told(one) for one in self.ask(*map(request, self.ids), version=version)]


def told(answer):
    if answer == "closed":
        return answer
    (topic,) = answer.responses
    (one,) = topic.partition_responses
    errors = [error.batch_index for error in one.record_errors]
    return (one.error_code, one.base_offset, one.log_append_time_ms, one.log_start_offset, errors)


def agree(answers):
    """Kafka's answer, which is the judge's, too."""
    kafka, judge = answers
    assert judge == kafka, f"Kafka says {kafka}, the judge {judge}"
    return kafka


@pytest.fixture(scope="module")
def pair():
    with ApacheKafka() as kafka:
        opened = Pair(kafka, kafka.bootstrap_servers)
        yield opened
        opened.close()


def batch(stamp=(-1, -1, -1), records=1, *, key=b"k", value=b"v", compression="none", at_ms=LONG_AGO_MS):
    builder = RecordBatchBuilder(compression)
    for index in range(records):
        builder.append(at_ms + index, key, value)
    return builder.build(*stamp)


def changed(data, at, layout, value):
    """The batch with one field of its header set, and a checksum that is right."""
    made = bytearray(data)
    pack_into(layout, made, at, value)
    pack_into(">I", made, 17, crc32c(memoryview(made)[21:]))
    return bytes(made)


def with_gap(compression):
    """Two records, the second with offset delta 2."""
    data = batch(records=2)
    body = bytearray(data[61:])
    body[len(body) // 2 + 3] = 4  # the zigzag of 2
    packed = compress(Compression.of(compression), bytes(body), None)
    made = changed(data[:61] + packed, 8, ">i", 49 + len(packed))
    return changed(made, 21, ">h", Compression.of(compression))


STEP = st.one_of(
    st.tuples(st.just("next"), st.integers(1, 4)),
    st.tuples(st.just("next"), st.integers(1, 4)),
    st.tuples(st.just("again"), st.integers(1, 8)),
    st.tuples(st.just("longer"), st.integers(1, 6)),
    st.tuples(st.just("gap"), st.integers(1, 5)),
    st.tuples(st.just("back"), st.integers(1, 5)),
    st.tuples(st.just("bump"), st.integers(0, 2)),
    st.tuples(st.just("old epoch"), st.integers(1, 2)),
)
FIRST = st.sampled_from([0, 0, 0, 1, 7, 2**31 - 3, 2**31 - 1])
SENT_BEFORE = st.integers(0, 8)  # batches of one record, so that some are beyond the last five


class Numbering:
    """What one producer sends: mostly what is next, as if all so far had been taken."""

    def __init__(self, first):
        self.producer_id, self.epoch, self.next, self.sent = next(producers), 0, first, []

    def step(self, kind, number):
        """(epoch, sequence, records) of the next batch."""
        again = self.sent[-min(number, len(self.sent))] if self.sent else (self.epoch, self.next, 1)
        match kind:
            case "again":
                return again
            case "longer":
                return (*again[:2], again[2] + 1)
            case "gap":
                return self.epoch, (self.next + number) % 2**31, 1
            case "back":
                return self.epoch, (self.next - number) % 2**31, 1
            case "old epoch":
                return max(0, self.epoch - number), self.next, 1
            case "bump":
                self.epoch, self.next = self.epoch + 1, number
                number = 1
        made = self.epoch, self.next, number
        self.next = (self.next + number) % 2**31
        self.sent.append(made)
        return made


@settings(max_examples=EXAMPLES)
@given(st.tuples(FIRST, FIRST), SENT_BEFORE, st.lists(st.tuples(st.booleans(), STEP), min_size=1, max_size=STEPS))
def test_sequences_are_judged_as_kafka_does(pair, firsts, before, steps):
    """IDEM-10: duplicates within five and beyond, gaps, epochs, the wrap; two producers, one log."""
    begins = [offset for _, offset, *_ in pair.produce(batch())]  # apart only after an example that failed
    numbered = [Numbering(first) for first in firsts]
    again = [(second, ("again", number)) for second in (False, True) for number in range(8, 0, -1)]
    for second, step in [(False, ("next", 1))] * before + steps + again:
        one = numbered[second]
        epoch, sequence, records = one.step(*step)
        answers = pair.produce(batch((one.producer_id, epoch, sequence), records))
        agree(
            [
                (code, max(-1, offset - begin), *rest)
                for (code, offset, *rest), begin in zip(answers, begins, strict=True)
            ]
        )


def test_a_duplicate_gets_its_old_offset_and_a_log_append_time(pair):
    """IDEM-10"""
    stamp = (next(producers), 0, 0)
    first = agree(pair.produce(batch(stamp, 3)))
    agree(pair.produce(batch()))
    again = agree(pair.produce(batch(stamp, 3)))
    assert (first[0], first[2]) == (0, -1)
    assert again[:3] == (0, first[1], LONG_AGO_MS + 2)


def test_a_duplicate_beyond_five_is_out_of_order(pair):
    """IDEM-10"""
    producer_id = next(producers)
    for sequence in range(7):
        assert agree(pair.produce(batch((producer_id, 0, sequence))))[0] == 0
    found = [agree(pair.produce(batch((producer_id, 0, sequence))))[0] for sequence in range(7)]
    assert found == [ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER] * 2 + [0] * 5


def test_an_empty_partition_takes_any_first_sequence(pair):
    """KAFKA-15591 is about a broker that would not."""
    for sequence in (5, 0, 2**31 - 1):
        assert agree(pair.produce(batch((next(producers), 0, sequence)), topic="punctual", index=1))[0] == 0


def message_of_magic_1():
    """What brokers before 0.11 took."""
    covered = pack(">bbqi4si5s", 1, 0, LONG_AGO_MS, 4, b"keys", 5, b"value")
    return pack(">qiI", 0, 4 + len(covered), crc32(covered)) + covered


LIES = {
    "crc": lambda data: data[:17] + b"\0\0\0\0" + data[21:],
    "base offset": lambda data: changed(data, 0, ">q", 5),
    "leader epoch": lambda data: changed(data, 12, ">i", 0),
    "a message of magic 1": lambda data: message_of_magic_1(),
    "magic 1": lambda data: changed(data, 16, ">b", 1),
    "magic 3": lambda data: changed(data, 16, ">b", 3),
    "control": lambda data: changed(data, 21, ">h", 0x20),
    "transactional": lambda data: changed(data, 21, ">h", 0x10),
    "last offset delta": lambda data: changed(data, 23, ">i", 5),
    "more records": lambda data: changed(changed(data, 57, ">i", 5), 23, ">i", 4),
    "fewer records": lambda data: changed(changed(data, 57, ">i", 1), 23, ">i", 0),
    "no records": lambda data: changed(changed(data, 57, ">i", 0), 23, ">i", -1),
    "sequence": lambda data: changed(changed(data, 43, ">q", 77), 51, ">h", 0),
    "two batches": lambda data: data + data,
    "cut": lambda data: data[:-1],
    "short": lambda data: data[:15],
    "empty": lambda data: b"",
    "length": lambda data: changed(data, 8, ">i", 20),
    "gzip": lambda data: changed(data, 21, ">h", 1),
    "lz4": lambda data: changed(data, 21, ">h", 3),
    "zstd": lambda data: changed(data, 21, ">h", 4),
    "max timestamp": lambda data: changed(data, 35, ">q", 5),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("version", [3, 12])
def test_what_is_wrong_with_a_batch(pair, lie, version):
    """BATCH-W8"""
    agree(pair.produce(LIES[lie](batch(records=2)), version=version))


STRICTER = {
    "log append time": lambda data: changed(data, 21, ">h", 8),
    "offsets": lambda data: changed(data, 64, ">b", 2),
    "something behind": lambda data: data + b"behind",
}


@pytest.mark.parametrize("lie", STRICTER)
def test_where_the_judge_is_stricter(pair, lie):
    """BATCH-W8"""
    kafka, judge = pair.produce(STRICTER[lie](batch(records=2)), topic="strict")
    assert (kafka[0], judge[0]) == (0, ErrorCode.INVALID_RECORD)


@pytest.mark.parametrize("compression", ["gzip", "snappy", "lz4", "zstd"])
def test_gaps_in_offsets_of_a_compressed_batch(pair, compression):
    """BATCH-W8"""
    assert agree(pair.produce(with_gap(compression)))[0] == ErrorCode.UNKNOWN_SERVER_ERROR


@pytest.mark.parametrize("version", range(13))
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_versions(pair, version, compression):
    """BATCH-W8"""
    agree(pair.produce(batch(compression=compression), version=version))


PLACES = st.dictionaries(
    st.tuples(st.sampled_from(["plain", "compacted", "small", "lost"]), st.integers(-1, 2)),
    st.tuples(st.sampled_from(["nothing", "null key", "large", *sorted(LIES)]), st.integers(1, 3)),
    max_size=5,
)


@settings(max_examples=EXAMPLES)
@given(places=PLACES, version=st.integers(3, 12), acks=st.sampled_from([-1, 1, -1, 2]))
def test_each_partition_of_a_request_is_judged_on_its_own(pair, places, version, acks):
    """BATCH-W8: what is wrong with one says nothing of the others; the order of the answers says nothing."""
    topics: dict[str, list] = {}
    for (topic, index), (lie, records) in places.items():
        key, value = (None if lie == "null key" else b"k"), bytes(300) if lie == "large" else b"v"
        made = LIES.get(lie, lambda data: data)(batch(records=records, key=key, value=value))
        topics.setdefault(topic, []).append(ProduceRequest.PartitionProduceData(index=index, records=made))
    data = [ProduceRequest.TopicProduceData(name=name, partition_data=parts) for name, parts in topics.items()]

    def each(answer):
        if answer == "closed":
            return answer
        return {
            (topic.name, one.index): (one.error_code, [error.batch_index for error in one.record_errors])
            for topic in answer.responses
            for one in topic.partition_responses
        }

    request = ProduceRequest(acks=acks, timeout_ms=30_000, topic_data=data)
    agree([each(answer) for answer in pair.ask(request, version=version)])


def test_topics(pair):
    null_keys = batch(records=3, key=None)
    assert agree(pair.produce(null_keys, topic="compacted"))[4] == [0, 1, 2]
    agree(pair.produce(batch(records=3), topic="compacted"))
    agree(pair.produce(batch(value=bytes(300)), topic="small"))
    agree(pair.produce(LIES["crc"](batch(value=bytes(300))), topic="small"))
    agree(pair.produce(batch(), topic="replicated"))
    agree(pair.produce(batch(), topic="replicated", acks=1))
    agree(pair.produce(batch(), topic="lost"))
    agree(pair.produce(batch(), index=2))
    agree(pair.produce(batch(), index=-1))
    agree(pair.produce(batch(), version=13, topic_id=UUID(int=77)))
    agree(pair.produce(batch(), version=13))
    agree(pair.produce(batch(), version=13, index=9))
    agree(pair.produce(batch(), acks=2))
    agree(pair.produce(batch(at_ms=LONG_AGO_MS * 3), topic="punctual"))
    agree(pair.produce(LIES["crc"](batch()), acks=0))


def test_log_append_time(pair):
    kafka, judge = pair.produce(batch(), topic="stamped")
    assert (kafka[0], judge[0]) == (0, 0)
    assert kafka[2] > LONG_AGO_MS
    assert judge[2] == LONG_AGO_MS


@pytest.mark.parametrize("version", range(6))
def test_producer_ids(pair, version):
    for fields in ({}, {"producer_id": 5}, {"producer_epoch": 5}, {"producer_id": 5, "producer_epoch": 3}):
        if version >= 3 or not fields:
            kafka, judge = pair.ask(InitProducerIdRequest(transaction_timeout_ms=2**31 - 1, **fields), version=version)
            if ErrorCode.of(kafka.error_code) is not ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
                assert (judge.error_code, judge.producer_epoch) == (kafka.error_code, kafka.producer_epoch)


@pytest.mark.parametrize("version", MetadataRequest.versions)
def test_metadata(pair, version):
    asked = MetadataRequest.MetadataRequestTopic
    names = [asked(name=name) for name in ("plain", f"lost-{version}", "a b", "..")]

    def shown(answer):
        return [
            (one.error_code, one.name, [(p.error_code, p.partition_index, p.leader_id) for p in one.partitions])
            for one in answer.topics
        ]

    kafka, judge = pair.ask(MetadataRequest(topics=names), version=version)
    assert sorted(map(repr, shown(judge))) == sorted(map(repr, shown(kafka)))
    assert [(one.node_id, one.host, one.port) for one in judge.brokers] == [
        (one.node_id, one.host, one.port) for one in kafka.brokers
    ]


def test_both_refuse_the_same_versions_of_api_versions(pair):
    for fields in ({"client_software_name": "", "client_software_version": ""}, {"client_software_name": "a b"}):
        kafka, judge = pair.ask(ApiVersionsRequest(**fields), version=4)
        assert kafka.error_code == judge.error_code == ErrorCode.INVALID_REQUEST
