"""The producer against Apache Kafka: what it sends is read by another client, and by Kafka's own DumpLogSegments."""

from __future__ import annotations

import random
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, count
from typing import Any

import pytest
import trustme
from brokers.consumed import Reader, read_topic
from brokers.kafka import SECURE_LISTENERS, USERS, secure_kafka
from brokers.log_dump import check_batches, dumped
from brokers.produced import Asked, Rec, check_delivered, send_all
from brokers.wire_session import KEEP, LONG_AGO_MS
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewPartitions
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.client import KafkaTimeoutError, TopicPartition
from kproto.client.versions import ApiVersions
from kproto.producer import (
    ClusterAuthorizationFailedError,
    DeliveryError,
    InvalidRecordError,
    MessageSizeTooLargeError,
    Producer,
    ProducerFatalError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    WriteStatus,
)
from kproto.wire import (
    ApiKey,
    ErrorCode,
    InitProducerIdRequest,
    MetadataRequest,
    ProduceRequest,
)
from kproto.wire.records import RecordBatchBuilder

pytestmark = [pytest.mark.broker, pytest.mark.java]

SECONDS = 30  # that a test waits for what has to happen
SEED = 20_240
CA = trustme.CA()
LEVELS = {
    "none": (None,),
    "gzip": (None, 1, 9),
    "snappy": (None,),
    "lz4": (None, 1, 12),
    "zstd": (None, -5, 19),
}
LIMIT = 10_000  # max.message.bytes of topics that have one of their own
ACLS = (  # principal, resource type, resource, operation, whether it is allowed
    ("User:*", ResourceType.TOPIC, "*", AclOperation.ALL, True),
    ("User:*", ResourceType.BROKER, "kafka-cluster", AclOperation.ALL, True),
    ("User:alice", ResourceType.TOPIC, "guarded", AclOperation.WRITE, False),
    ("User:alice", ResourceType.TOPIC, "hidden", AclOperation.DESCRIBE, False),
    ("User:bob", ResourceType.TOPIC, "*", AclOperation.WRITE, False),
    ("User:bob", ResourceType.BROKER, "kafka-cluster", AclOperation.IDEMPOTENT_WRITE, False),
)
numbers = count()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """Whoever comes without a login is a super user; the others have what ACLS gives them."""
    broker = secure_kafka(tmp_path_factory.mktemp("kafka"), CA)
    broker.settings["authorizer.class.name"] = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"
    broker.settings["super.users"] = "User:ANONYMOUS"
    with broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        acls = [
            AclBinding(
                kind,
                name,
                ResourcePatternType.LITERAL,
                principal,
                "*",
                operation,
                AclPermissionType.ALLOW if allowed else AclPermissionType.DENY,
            )
            for principal, kind, name, operation, allowed in ACLS
        ]
        for created in admin.create_acls(acls).values():
            created.result(timeout=SECONDS)
        yield broker


@pytest.fixture
def topic(kafka):
    """Creates topics with names of their own."""

    def create(partitions=1, **config):
        name = f"t{next(numbers)}"
        kafka.create_topic(name, partitions, **KEEP, **config)
        return name

    return create


def check_log(kafka, *topics):
    """Kafka's own reading of the topics; what it says of their batches."""
    found = dumped(kafka.folder / "data", *topics)
    for partitions in found.values():
        for batches in partitions.values():
            check_batches(batches)
    return found


def some_records(number, partitions=1):
    """Keys, values and headers that are none, empty, small, and larger than a batch; timestamps out of order."""
    rng = random.Random(SEED)
    print(f"seed {SEED}")
    headers = [
        (),
        (("trace", b"1"),),
        (("none", None), ("empty", b""), ("", b"x"), ("none", b"again"), ("naïve", b"\xff")),
    ]
    values = [None, b"", b"value", rng.randbytes(300), b"a" * 2_000]
    records = [
        Rec(
            rng.choice(values),
            rng.choice([None, b"", b"key", rng.randbytes(40)]),
            rng.choice(headers),
            rng.choice([None, 0, LONG_AGO_MS + rng.randrange(10**6)]),
            rng.choice([None, rng.randrange(partitions)]),
        )
        for _ in range(number)
    ]
    records[number // 2] = Rec(rng.randbytes(60_000), b"large")
    return records


keys_or_values = st.none() | st.binary(max_size=100) | st.binary(min_size=1, max_size=1).map(lambda one: one * 20_000)
records = st.lists(
    st.builds(
        Rec,
        keys_or_values,
        keys_or_values,
        st.lists(
            # librdkafka's headers are C strings
            st.tuples(
                st.text(st.characters(exclude_characters="\0", codec="utf-8")), st.none() | st.binary(max_size=50)
            )
        ).map(tuple),
        st.none() | st.integers(0, LONG_AGO_MS),
        st.none() | st.integers(0, 2),
    ),
    min_size=1,
    max_size=20,
)


@pytest.fixture(scope="class")
def long_lived(kafka):
    """A topic, a producer of each codec, and a reader that goes on where it was."""
    kafka.create_topic("any", 3, **KEEP)
    producers = {codec: Producer(kafka.bootstrap_servers, compression_type=codec) for codec in LEVELS}
    with Reader(kafka.bootstrap_servers) as reader:
        yield producers, reader
    for producer in producers.values():
        producer.close()


class TestWhatComesBack:
    @pytest.mark.parametrize("codec", LEVELS)
    def test_each_codec_and_level(self, kafka, topic, codec):
        name = topic(3)
        sent = []
        for level in LEVELS[codec]:
            with Producer(kafka.bootstrap_servers, compression_type=codec, compression_level=level) as producer:
                sent += send_all(producer, name, some_records(200, 3))
        check_delivered(read_topic(kafka.bootstrap_servers, name, 3), sent)
        batches = list(chain.from_iterable(check_log(kafka, name)[name].values()))
        assert {batch.codec for batch in batches} == {codec}
        assert len({batch.producer_id for batch in batches}) == len(LEVELS[codec])
        assert {batch.epoch for batch in batches} == {0}
        assert -1 not in {batch.base_sequence for batch in batches}

    @settings(max_examples=60)
    @given(records=records, codec=st.sampled_from(sorted(LEVELS)))
    def test_any_record_comes_back_as_it_was_sent(self, long_lived, records, codec):
        producers, reader = long_lived
        begins = reader.ends("any", 3)
        sent = send_all(producers[codec], "any", records)
        producers[codec].flush(SECONDS)
        check_delivered(reader.read("any", reader.ends("any", 3), begins), sent, begins)

    def test_the_brokers_own_timestamps(self, kafka, topic):
        name = topic(**{"message.timestamp.type": "LogAppendTime"})
        with Producer(kafka.bootstrap_servers) as producer:
            before_ms = time.time_ns() // 1_000_000
            sent = send_all(producer, name, [Rec(b"a", timestamp_ms=LONG_AGO_MS), Rec(b"b")])
            producer.flush(SECONDS)
            after_ms = time.time_ns() // 1_000_000
        found = read_topic(kafka.bootstrap_servers, name)[0]
        assert all(record.by_broker and before_ms <= record.timestamp_ms <= after_ms for record in found)
        assert [future.result(0).timestamp for _, future in sent] == [record.timestamp_ms for record in found]
        assert all(batch.by_broker for batch in check_log(kafka, name)[name][0])

    def test_send_many_and_send_batch(self, kafka, topic):
        name = topic(3)
        values = [b"%d" % index for index in range(5_000)]
        builder = RecordBatchBuilder("zstd")
        for index in range(10):
            builder.append(LONG_AGO_MS + index, b"k", b"by hand %d" % index)
        with Producer(kafka.bootstrap_servers) as producer:
            ranges = producer.send_many(name, values, [value[-1:] for value in values]).result(SECONDS)
            by_hand = producer.send_batch(name, 2, builder).result(SECONDS)
        log = read_topic(kafka.bootstrap_servers, name, 3)
        placed = {}
        for found in ranges:
            for at, index in enumerate(found.indices):
                placed[index] = found.metadata(at)
        assert [log[partition][offset].value for _, (partition, offset) in sorted(placed.items())] == values
        assert [one.value for one in log[2][by_hand.offset :][:10]] == [b"by hand %d" % index for index in range(10)]
        assert sum(map(len, log.values())) == 5_010
        check_log(kafka, name)

    def test_threads_topics_and_partitions(self, kafka, topic):
        """Of each thread the records of a partition are in its order; callbacks of a partition, too."""
        names = [topic(3), topic(2)]
        called = defaultdict(list)

        def work(thread):
            for index in range(600):
                name = names[index % 2]
                value = b"%d %d" % (thread, index)
                producer.send(
                    name,
                    value,
                    b"%d" % (index % 7),
                    on_delivery=lambda metadata, error: called[metadata.topic_partition].append(metadata.offset),
                )

        with Producer(kafka.bootstrap_servers, compression_type="lz4", batch_size=2_000) as producer:
            with ThreadPoolExecutor(4) as pool:
                for done in [pool.submit(work, thread) for thread in range(4)]:
                    done.result(SECONDS)
            producer.flush(SECONDS)
        total = 0
        for name, partitions in zip(names, (3, 2), strict=True):
            for partition, found in read_topic(kafka.bootstrap_servers, name, partitions).items():
                assert called[TopicPartition(name, partition)] == list(range(len(found)))
                total += len(found)
                by_thread = defaultdict(list)
                for record in found:
                    thread, index = map(int, record.value.split())
                    by_thread[thread].append(index)
                assert all(indices == sorted(set(indices)) for indices in by_thread.values())
        assert total == 4 * 600
        check_log(kafka, *names)


class TestAcknowledgements:
    @pytest.mark.parametrize("acks", [0, 1, "all"])
    def test_acks_without_idempotence(self, kafka, topic, acks):
        name = topic(2)
        with Producer(kafka.bootstrap_servers, acks=acks, enable_idempotence=False) as producer:
            sent = send_all(producer, name, some_records(300, 2))
            producer.flush(SECONDS)
        counts = Counter(future.result(0).partition for _, future in sent)
        log = read_topic(kafka.bootstrap_servers, name, ends=counts)
        if acks == 0:  # nobody tells the offset
            assert {future.result(0).offset for _, future in sent} == {-1}
            for partition, found in log.items():
                values = [record.value for record, future in sent if future.result(0).partition == partition]
                assert [record.value for record in found] == values
        else:
            check_delivered(log, sent)
        batches = list(chain.from_iterable(check_log(kafka, name)[name].values()))
        assert {(batch.producer_id, batch.epoch, batch.base_sequence) for batch in batches} == {(-1, -1, -1)}


class TestWhatKafkaRefuses:
    def test_split_5_a_record_that_is_too_large_alone_fails(self, kafka, topic):
        """Its neighbours are delivered, in one batch with it or not, and the sequences go on without a gap."""
        name = topic(**{"max.message.bytes": str(LIMIT)})
        large = random.Random(SEED).randbytes(2 * LIMIT)
        with Producer(kafka.bootstrap_servers, linger_ms=1_000, batch_size=5 * LIMIT) as producer:
            before = producer.send(name, b"before", partition=0)
            refused = producer.send(name, large, partition=0)
            behind = producer.send(name, b"behind", partition=0)
            producer.flush(SECONDS)
            alone = producer.send(name, large, partition=0)
            producer.flush(SECONDS)
            later = producer.send(name, b"later", partition=0)
            producer.flush(SECONDS)
        for future in (refused, alone):
            error = future.exception(0)
            assert type(error) is MessageSizeTooLargeError
            assert (error.partition, error.written, error.code) == (
                TopicPartition(name, 0),
                WriteStatus.NO,
                ErrorCode.MESSAGE_TOO_LARGE,
            )
            assert f"{name}-0" in str(error) and "max.message.bytes" in str(error)
        assert [future.result(0).offset for future in (before, behind, later)] == [0, 1, 2]
        values = [record.value for record in read_topic(kafka.bootstrap_servers, name)[0]]
        assert values == [b"before", b"behind", b"later"]
        check_log(kafka, name)

    @pytest.mark.parametrize("codec", ["none", "zstd"])
    def test_split_1_a_batch_that_is_too_large_is_split(self, kafka, topic, codec):
        name = topic(**{"max.message.bytes": str(LIMIT)})
        rng = random.Random(SEED)
        records = [Rec(rng.randbytes(rng.randrange(1_500)), b"%d" % index, partition=0) for index in range(300)]
        settings = {"compression_type": codec, "linger_ms": 1_000, "batch_size": 10 * LIMIT}
        with Producer(kafka.bootstrap_servers, **settings) as producer:
            sent = send_all(producer, name, records)
            producer.flush(SECONDS)
        check_delivered(read_topic(kafka.bootstrap_servers, name), sent)
        batches = check_log(kafka, name)[name][0]
        assert all(batch.size <= LIMIT for batch in batches)
        assert len({batch.producer_id for batch in batches}) == 1

    def test_a_record_without_a_key_on_a_compacted_topic(self, kafka, topic):
        name = topic(**{"cleanup.policy": "compact"})
        with Producer(kafka.bootstrap_servers) as producer:
            with pytest.raises(InvalidRecordError, match=name) as caught:
                producer.send(name, b"value").result(SECONDS)
            assert caught.value.written is WriteStatus.NO
            assert producer.send(name, b"value", b"key").result(SECONDS).offset == 0
        check_log(kafka, name)

    def test_a_timestamp_that_is_ahead_of_the_brokers_clock(self, kafka, topic):
        name = topic()
        day_ahead_ms = time.time_ns() // 1_000_000 + 86_400_000
        with Producer(kafka.bootstrap_servers) as producer:
            with pytest.raises(InvalidRecordError) as caught:
                producer.send(name, b"value", timestamp_ms=day_ahead_ms).result(SECONDS)
            assert (caught.value.code, caught.value.written) == (ErrorCode.INVALID_TIMESTAMP, WriteStatus.NO)
            assert producer.send(name, b"value").result(SECONDS).offset == 0
        check_log(kafka, name)


class TestTopics:
    def test_partitions_that_are_added(self, kafka, topic):
        """A record for a new one goes as soon as it is there; those without a key come to it some time later."""
        name = topic(1)
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        with Producer(kafka.bootstrap_servers, metadata_max_age_ms=100, batch_size=100, linger_ms=0) as producer:
            with (
                Producer(kafka.bootstrap_servers, max_block_ms=200) as impatient,
                pytest.raises(KafkaTimeoutError, match=f"partition 2 of topic {name}, which has 1"),
            ):
                impatient.send(name, b"too soon", partition=2)
            sent = send_all(producer, name, [Rec(b"first")])
            (created,) = admin.create_partitions([NewPartitions(name, 3)]).values()
            created.result(timeout=SECONDS)
            sent += send_all(producer, name, [Rec(b"named", partition=2)])
            deadline = time.monotonic() + SECONDS
            while len({future.result(SECONDS).partition for _, future in sent}) < 3:
                assert time.monotonic() < deadline
                sent += send_all(producer, name, [Rec(b"%d" % index * 60) for index in range(20)])
        check_delivered(read_topic(kafka.bootstrap_servers, name, 3), sent)
        check_log(kafka, name)

    def test_a_topic_is_created_by_the_first_record(self, kafka):
        name = f"made-{next(numbers)}"
        with Producer(kafka.bootstrap_servers) as producer:
            assert producer.send(name, b"value", partition=2).result(SECONDS).offset == 0
            assert len(producer.partitions_for(name)) == 3
        check_log(kafka, name)

    def test_a_topic_that_is_not_there_is_named_in_time(self, kafka):
        settings = {"allow_auto_create_topics": False, "max_block_ms": 700}
        with Producer(kafka.bootstrap_servers, **settings) as producer:
            producer.wait_ready(SECONDS)
            began = time.monotonic()
            with pytest.raises(KafkaTimeoutError, match=r"missing.*UNKNOWN_TOPIC_OR_PARTITION"):
                producer.send("missing", b"value")
            assert 0.69 < time.monotonic() - began < 1.5  # milliseconds are whole ones
        assert "missing" not in AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_topics().topics

    def test_a_topic_that_is_deleted_and_made_again(self, kafka, topic):
        """It has another id: what is sent from now on goes to the new one, as soon as that is known."""
        name = topic()
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers, "log_level": 0})
        with Producer(kafka.bootstrap_servers) as producer:
            for index in range(3):
                assert producer.send(name, b"old").result(SECONDS).offset == index
            (deleted,) = admin.delete_topics([name]).values()
            deleted.result(timeout=SECONDS)
            kafka.create_topic(name, **KEEP)
            try:
                offset = producer.send(name, b"new").result(SECONDS).offset
            except UnknownTopicOrPartitionError as error:
                assert error.written is WriteStatus.NO
                offset = producer.send(name, b"new").result(SECONDS).offset
            assert offset == 0
        assert [record.value for record in read_topic(kafka.bootstrap_servers, name)[0]] == [b"new"]


@pytest.fixture(scope="class")
def secured(kafka, tmp_path_factory):
    """The settings for a listener and mechanism."""
    folder = tmp_path_factory.mktemp("certificates")
    CA.cert_pem.write_to_path(folder / "ca.pem")
    CA.issue_cert("client.test").private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    kafka.create_topic("secured", **KEEP)

    def settings(listener, mechanism=None, user="alice"):
        protocol = SECURE_LISTENERS[listener]
        found: dict[str, Any] = {"bootstrap_servers": kafka.address(listener), "security_protocol": protocol}
        if protocol.endswith("SSL"):
            found["ssl_cafile"] = str(folder / "ca.pem")
        if listener == "MTLS":
            found["ssl_certfile"] = str(folder / "client.pem")
        if mechanism is not None:
            found |= {"sasl_mechanism": mechanism, "sasl_username": user, "sasl_password": USERS[user]}
        return found

    return settings


class TestWaysIn:
    @pytest.mark.parametrize(
        ("listener", "mechanism"),
        [
            ("SSL", None),
            ("MTLS", None),
            ("SASL_PLAINTEXT", "PLAIN"),
            ("SASL_PLAINTEXT", "SCRAM-SHA-256"),
            ("SASL_SSL", "SCRAM-SHA-512"),
        ],
    )
    def test_each_secure_listener(self, kafka, secured, listener, mechanism):
        with Producer(**secured(listener, mechanism)) as producer:
            first = producer.send("secured", listener.encode()).result(SECONDS).offset
            rest = [producer.send("secured", b"%d" % index * 100) for index in range(500)]
            assert [future.result(SECONDS).offset for future in rest] == list(range(first + 1, first + 501))
        check_log(kafka, "secured")

    def test_topics_that_are_not_ours(self, kafka, secured):
        for name in ("guarded", "hidden"):
            kafka.create_topic(name, **KEEP)
        with Producer(**secured("SASL_PLAINTEXT", "PLAIN")) as producer:
            refused = producer.send("guarded", b"value")
            error = refused.exception(SECONDS)
            assert type(error) is TopicAuthorizationFailedError
            assert (error.partition, error.written) == (TopicPartition("guarded", 0), WriteStatus.NO)
            with pytest.raises(TopicAuthorizationFailedError, match="hidden"):
                producer.send("hidden", b"value")
            assert producer.send("secured", b"value").result(SECONDS).offset >= 0
        check_log(kafka, "secured")

    def test_who_may_not_write_idempotently_is_told(self, secured):
        with Producer(**secured("SASL_PLAINTEXT", "PLAIN", user="bob")) as producer:
            with pytest.raises((ProducerFatalError, ClusterAuthorizationFailedError)) as caught:
                producer.send("secured", b"value").result(SECONDS)
            told = caught.value
            cause = told.cause if isinstance(told, ProducerFatalError) else told
            assert cause.code is ErrorCode.CLUSTER_AUTHORIZATION_FAILED
            if isinstance(told, DeliveryError):
                assert told.written is WriteStatus.NO


class TestVersions:
    def test_the_newest_of_each_api_are_in_use(self, kafka, topic):
        name = topic()
        asked = Asked()
        with Producer(kafka.bootstrap_servers, observer=asked) as producer:
            producer.send(name, b"value").result(SECONDS)
        assert asked.versions[ApiKey.PRODUCE] == {13}
        assert asked.versions[ApiKey.METADATA] == {13}
        assert asked.versions[ApiKey.INIT_PRODUCER_ID] == {5}

    @pytest.mark.parametrize(
        "api", [ProduceRequest, MetadataRequest, InitProducerIdRequest], ids=lambda api: api.__name__
    )
    def test_each_version_that_kafka_takes(self, kafka, topic, monkeypatch, api):
        """As if the broker announced one version alone. Metadata before 10 has no topic ids: Produce is 12 then."""
        name = topic()
        key = api.api_key
        announced = ApiVersions.of
        versions = range(3, 14) if api is ProduceRequest else api.versions[:6] if key == 22 else api.versions
        sent = []
        for version in versions:
            asked = Asked()

            def only(response, version=version):
                return ApiVersions({**announced(response).ranges, key: range(version, version + 1)})

            monkeypatch.setattr(ApiVersions, "of", only)
            with Producer(kafka.bootstrap_servers, observer=asked) as producer:
                sent += send_all(producer, name, [Rec(b"%d" % version, headers=(("v", None),))] * 3)
                producer.flush(SECONDS)
            assert asked.versions[key] == {version}
            if api is MetadataRequest:
                assert asked.versions[ApiKey.PRODUCE] == {13 if version >= 10 else 12}
        check_delivered(read_topic(kafka.bootstrap_servers, name), sent)
        check_log(kafka, name)
