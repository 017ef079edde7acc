"""The client against real brokers: Apache Kafka with every way in, Tansu, and librdkafka's mock cluster."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
import time
from base64 import urlsafe_b64encode
from collections import Counter

import pytest
import trustme
from brokers.jars import kafka_clients_jar
from brokers.kafka import SECURE_LISTENERS, USERS, free_ports, secure_kafka
from brokers.mock_cluster import MockCluster
from brokers.tansu import Tansu
from brokers.wire_session import KEEP, batch, produce_request
from client.loops import LOOPS, loop_factory

from kproto.client import (
    Client,
    ConnectionObserver,
    KafkaError,
    KafkaTimeoutError,
    NoBrokersAvailable,
    NotKafkaError,
    SaslAuthenticationError,
    SslAuthenticationError,
    TopicPartition,
    UnsupportedSaslMechanismError,
    UnsupportedVersionError,
)
from kproto.client import passes as passes_module
from kproto.tools.recorder import PcapngRecorder
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    ErrorCode,
    InitProducerIdRequest,
    MetadataRequest,
    ProduceRequest,
    RequestHeader,
)
from kproto.wire.definitions import load

SECONDS = 60  # that a test waits for what has to happen
BRIEF = 1  # seconds in which a broker has said what is wrong, however busy the machine is
REAUTH_MS = 3_000
REAUTHS = 2  # logins of a connection that a test waits for, after the first
VERSIONS = ApiVersionsRequest()
CA = trustme.CA()
OTHER_CA = trustme.CA()
PASSWORD = USERS["alice"]
LOGIN = {"sasl_username": "alice", "sasl_password": PASSWORD}

apache = [pytest.mark.broker, pytest.mark.java]
tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is missing: apt-get install tshark")


def run(coroutine, loop="asyncio"):
    async def limited():
        async with asyncio.timeout(SECONDS):
            return await coroutine

    with asyncio.Runner(loop_factory=loop_factory(loop)) as runner:
        return runner.run(limited())


async def failure(servers, *, timeout=None, **settings):
    """Why a client cannot start. timeout: of the start, where it would try on for ever."""
    client = Client(servers, **settings)
    try:
        await client.start(timeout)
    except KafkaError as error:
        assert PASSWORD not in f"{error!s}{error!r}"
        return error
    finally:
        await client.close()
    raise AssertionError("it started")


def unsecured_token():
    """What Kafka takes where nobody has set up keys: a token that nobody has signed (RFC 7515, "none")."""
    now_s = int(time.time())
    parts = [{"alg": "none"}, {"sub": "alice", "iat": now_s, "exp": now_s + 3600}]
    coded = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*coded, ""]), 3600.0


async def unsecured_token_later():
    return unsecured_token()


BEARER = {"sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": unsecured_token}


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """The PEM file of the broker's authority."""
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    CA.cert_pem.write_to_path(file)
    return str(file)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """Sessions end after REAUTH_MS: whoever stays for longer logs in again."""
    with secure_kafka(tmp_path_factory.mktemp("kafka"), CA, reauth_ms=REAUTH_MS) as broker:
        broker.create_topic("orders", 3, **KEEP)
        yield broker


@pytest.fixture
def way_in(kafka, authority, tmp_path):
    """The settings for a listener of SECURE_LISTENERS, or PLAINTEXT."""

    def settings(listener, mechanism=None, **changed):
        protocol = SECURE_LISTENERS.get(listener, listener)
        found = {"bootstrap_servers": kafka.address(listener), "security_protocol": protocol}
        if protocol.endswith("SSL"):
            found["ssl_cafile"] = authority
        if listener == "MTLS":
            certificate = CA.issue_cert("client.test")
            certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
            found["ssl_certfile"] = str(tmp_path / "client.pem")
        if listener.startswith("OAUTH"):
            found |= BEARER
        elif protocol.startswith("SASL"):
            found |= {"sasl_mechanism": mechanism, **LOGIN}
        return {**found, **changed}

    return settings


MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
LOGINS = [(listener, mechanism) for listener in ("SASL_PLAINTEXT", "SASL_SSL") for mechanism in MECHANISMS]
WAYS_IN = [("PLAINTEXT", None), ("SSL", None), ("MTLS", None), *LOGINS, ("OAUTH", None), ("OAUTH_SSL", None)]


class TestApacheKafka:
    pytestmark = apache

    @pytest.mark.parametrize(("listener", "mechanism"), WAYS_IN)
    def test_every_way_in_leads_to_a_record_that_is_written(self, way_in, kafka, listener, mechanism):
        async def scenario():
            async with Client(**way_in(listener, mechanism)) as client:
                cluster = await client.metadata("orders")
                assert cluster.partition_count("orders") == 3
                leader = cluster.leader_for(TopicPartition("orders", 0))
                assert (leader.node_id, leader.port) == (0, kafka.ports[listener])
                offsets = []
                for version in (9, 12, 13):
                    request = produce_request("orders", cluster.topic_id("orders"), version, batch([b"a", b"b"]))
                    response = await client.send(request, node=leader, version=version)
                    (answered,) = response.responses[0].partition_responses
                    assert answered.error_code == 0
                    offsets.append(answered.base_offset)
                assert offsets == list(range(offsets[0], offsets[0] + 6, 2))

        run(scenario())

    @pytest.mark.parametrize("loop", LOOPS)
    def test_both_loops_and_an_async_token_provider(self, way_in, loop):
        async def scenario():
            settings = way_in("OAUTH_SSL", sasl_oauth_token_provider=unsecured_token_later)
            async with Client(**settings) as client:
                answers = await asyncio.gather(*(client.send(VERSIONS, node=0, version=0) for _ in range(100)))
                assert all(len(answer.api_keys) > 20 for answer in answers)

        run(scenario(), loop)

    def test_conn_13_acks_0_gets_no_answer_and_is_written(self, way_in, kafka):
        async def scenario():
            kafka.create_topic("unacknowledged", **KEEP)
            async with Client(**way_in("PLAINTEXT")) as client:
                cluster = await client.metadata("unacknowledged")
                request = produce_request("unacknowledged", cluster.topic_id("unacknowledged"), 12, batch([b"a"]))
                assert await client.send(request.replace(acks=0), node=0, version=12) is None
                response = await client.send(request, node=0, version=12)  # behind it, on the same connection
                assert response.responses[0].partition_responses[0].base_offset == 1

        run(scenario())

    def test_an_api_that_is_not_declared_comes_from_kafkas_own_definitions(self, way_in):
        async def scenario():
            kafkas = load(kafka_clients_jar())
            asked, answer = kafkas["DescribeClusterRequest"], kafkas["DescribeClusterResponse"]
            async with Client(**way_in("PLAINTEXT")) as client:
                response = await client.send(asked(), response=answer)
                assert isinstance(response, answer)
                assert response.cluster_id == client.cluster.cluster_id
                assert [broker.broker_id for broker in response.brokers] == [0]

        run(scenario())

    def test_meta_3_unknown_and_invalid_topics(self, way_in):
        async def scenario():
            async with Client(**way_in("PLAINTEXT")) as client:
                cluster = await client.metadata(["orders", "no such name"])
                assert cluster.invalid_topics == {"no such name"}
                assert "orders" in cluster.topics
                assert "orders" in (await client.metadata(None)).topics

        run(scenario())

    def test_versions_that_the_broker_lacks(self, way_in):
        async def scenario():
            async with Client(**way_in("PLAINTEXT")) as client:
                with pytest.raises(UnsupportedVersionError, match=r"^InitProducerId: we speak 6-6, the broker 0-5"):
                    await client.send(InitProducerIdRequest(), node=0, version=6)
                for version in MetadataRequest.versions:
                    answer = await client.send(MetadataRequest(topics=()), node=0, version=version)
                    assert [broker.node_id for broker in answer.brokers] == [0]

        run(scenario())

    @pytest.mark.parametrize(("listener", "mechanism"), LOGINS)
    def test_sasl_4_a_wrong_password_is_told_at_once(self, way_in, listener, mechanism):
        error = run(failure(way_in(listener)["bootstrap_servers"], **self.without(way_in, listener, mechanism)))
        assert type(error) is SaslAuthenticationError
        assert "sasl_password" in str(error)
        assert "wrong-secret" not in f"{error!s}{error!r}"

    @staticmethod
    def without(way_in, listener, mechanism):
        settings = way_in(listener, mechanism, sasl_password="wrong-secret")
        del settings["bootstrap_servers"]
        return settings

    def test_sasl_7_a_token_that_the_broker_refuses_is_told_at_once(self, way_in):
        settings = way_in("OAUTH", sasl_oauth_token_provider=lambda: "no.such.token")
        error = run(failure(settings.pop("bootstrap_servers"), **settings))
        assert type(error) is SaslAuthenticationError
        assert "no.such.token" not in f"{error!s}{error!r}"

    @pytest.mark.parametrize(
        ("listener", "settings", "offered"),
        [
            ("SASL_PLAINTEXT", BEARER, MECHANISMS),
            ("OAUTH", {"sasl_mechanism": "PLAIN", **LOGIN}, ["OAUTHBEARER"]),
        ],
    )
    def test_sasl_4_a_mechanism_that_the_broker_lacks_is_told_with_those_it_has(
        self, kafka, listener, settings, offered
    ):
        error = run(failure(kafka.address(listener), security_protocol="SASL_PLAINTEXT", **settings))
        assert type(error) is UnsupportedSaslMechanismError
        assert set(error.offered) == set(offered)
        assert str(error).endswith("set sasl_mechanism")

    @pytest.mark.parametrize("listener", [name for name, kind in SECURE_LISTENERS.items() if kind.endswith("SSL")])
    @pytest.mark.parametrize("login", [{}, {"sasl_mechanism": "PLAIN", **LOGIN}], ids=["no login", "login"])
    def test_plain_text_to_a_tls_port_is_told_at_once(self, kafka, listener, login):
        protocol = "SASL_PLAINTEXT" if login else "PLAINTEXT"
        error = run(failure(kafka.address(listener), security_protocol=protocol, **login))
        assert type(error) is NotKafkaError
        assert str(error).endswith("the listener speaks TLS: set security_protocol to SSL or SASL_SSL")

    @pytest.mark.parametrize("listener", ["PLAINTEXT", "SASL_PLAINTEXT"])
    def test_tls_to_a_plain_text_port_names_the_next_step(self, kafka, authority, listener):
        settings = {"security_protocol": "SSL", "ssl_cafile": authority}
        error = run(failure(kafka.address(listener), timeout=BRIEF, **settings))
        assert type(error) is NoBrokersAvailable
        assert "use security_protocol=PLAINTEXT or another port" in str(error)

    @pytest.mark.parametrize(
        ("listener", "protocol"), [("SASL_PLAINTEXT", "PLAINTEXT"), ("OAUTH", "PLAINTEXT"), ("SASL_SSL", "SSL")]
    )
    def test_no_login_where_one_is_expected_names_the_next_step(self, kafka, authority, listener, protocol):
        settings = {"security_protocol": protocol, "ssl_cafile": authority if protocol == "SSL" else None}
        error = run(failure(kafka.address(listener), timeout=BRIEF, **settings))
        assert type(error) is NoBrokersAvailable
        assert "set security_protocol to SASL_PLAINTEXT or SASL_SSL, and sasl_mechanism" in str(error)

    @pytest.mark.parametrize(("listener", "protocol"), [("PLAINTEXT", "SASL_PLAINTEXT"), ("SSL", "SASL_SSL")])
    def test_a_login_where_none_is_expected_names_the_next_step(self, kafka, authority, listener, protocol):
        settings = {"ssl_cafile": authority} if protocol == "SASL_SSL" else {}
        error = run(
            failure(kafka.address(listener), security_protocol=protocol, sasl_mechanism="PLAIN", **LOGIN, **settings)
        )
        assert type(error) is SaslAuthenticationError
        assert "set security_protocol to what it speaks" in str(error)

    def test_an_authority_that_is_not_ours_is_told_at_once(self, kafka, tmp_path):
        OTHER_CA.cert_pem.write_to_path(tmp_path / "other.pem")
        for settings in ({}, {"ssl_cafile": str(tmp_path / "other.pem")}):
            error = run(failure(kafka.address("SSL"), security_protocol="SSL", **settings))
            assert type(error) is SslAuthenticationError
            assert "set ssl_cafile" in str(error)

    def test_another_hosts_certificate_is_told_at_once_unless_names_do_not_matter(self, kafka, authority, monkeypatch):
        monkeypatch.setattr(passes_module, "look_up", lambda host, port, done: done(["127.0.0.1"]))
        servers = f"kafka.test:{kafka.ports['SSL']}"
        settings = {"security_protocol": "SSL", "ssl_cafile": authority}
        error = run(failure(servers, **settings))
        assert type(error) is SslAuthenticationError
        assert "kafka.test" in str(error)

        async def scenario():
            async with Client(servers, ssl_check_hostname=False, **settings) as client:
                assert 0 in client.cluster.nodes

        run(scenario())

    @pytest.mark.parametrize("stranger", [None, OTHER_CA], ids=["none", "another authority's"])
    def test_a_client_certificate_that_the_broker_refuses(self, kafka, authority, tmp_path, stranger):
        settings = {"security_protocol": "SSL", "ssl_cafile": authority}
        if stranger is not None:
            certificate = stranger.issue_cert("client.test")
            certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "client.pem")
            settings["ssl_certfile"] = str(tmp_path / "client.pem")
        error = run(failure(kafka.address("MTLS"), timeout=BRIEF, **settings))
        assert type(error) is SslAuthenticationError
        assert "ssl_certfile" in str(error)

    def test_nobody_listens(self):
        (port,) = free_ports(1)
        error = run(failure(f"localhost:{port}", timeout=0.5))
        assert str(error) == f"no broker could be reached: localhost:{port}: connection refused"

    def test_sasl_8_logins_are_renewed_and_no_request_is_lost(self, way_in):
        """KIP-368, with as many requests under way as the connection takes: each is answered, on one connection."""
        ways = [("SASL_PLAINTEXT", "PLAIN"), ("SASL_PLAINTEXT", "SCRAM-SHA-256"), ("SASL_SSL", "SCRAM-SHA-512")]
        ways += [("OAUTH", None), ("OAUTH_SSL", None)]

        async def ask_until_renewed(listener, mechanism):
            logins = Logins()
            answered = 0

            async def ask_on():
                nonlocal answered
                while logins.most < 1 + REAUTHS:
                    response = await client.send(VERSIONS, node=0, version=0, timeout=SECONDS)
                    assert response.error_code == 0
                    answered += 1

            async with Client(**way_in(listener, mechanism), observer=logins) as client:
                await client.metadata()
                await asyncio.gather(*(ask_on() for _ in range(8)))
                assert (await client.send(VERSIONS, node=0, version=0)).error_code == 0
            return answered, logins

        async def scenario():
            return await asyncio.gather(*(ask_until_renewed(*way) for way in ways))

        for answered, logins in run(scenario()):
            assert answered > 100
            assert logins.connections == 2  # to the bootstrap server, and to the node: neither was lost
            assert logins.sent[ApiKey.API_VERSIONS] >= answered

    @tshark
    @pytest.mark.parametrize(("listener", "mechanism"), [*LOGINS, ("OAUTH", None)])
    def test_a_recording_is_read_by_tshark_and_has_no_secret(self, way_in, kafka, tmp_path, listener, mechanism):
        token, _ = unsecured_token()
        file = tmp_path / "session.pcapng"

        async def scenario():
            settings = way_in(listener, mechanism)
            if listener == "OAUTH":
                settings["sasl_oauth_token_provider"] = lambda: token
            with PcapngRecorder(file) as recorder:
                async with Client(**settings, observer=recorder) as client:
                    cluster = await client.metadata("orders")
                    request = produce_request("orders", cluster.topic_id("orders"), 12, batch([b"recorded"]))
                    await client.send(request, node=0, version=12)

        run(scenario())
        data = file.read_bytes()
        assert b"recorded" in data
        for secret in (PASSWORD.encode(), token.encode(), b"alice\0"):
            assert secret not in data
        command = ["tshark", "-r", str(file), "-n", "-d", f"tcp.port=={kafka.ports[listener]},kafka"]
        command += ["-T", "fields", "-e", "kafka.api_key", "-e", "_ws.malformed"]
        command += ["-Y", "kafka && tcp.dstport == " + str(kafka.ports[listener])]
        read = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        rows = [line.split("\t") for line in read.stdout.splitlines()]
        seen = {int(key) for row in rows for key in row[0].split(",") if key}
        assert {
            ApiKey.API_VERSIONS,
            ApiKey.SASL_HANDSHAKE,
            ApiKey.SASL_AUTHENTICATE,
            ApiKey.METADATA,
            ApiKey.PRODUCE,
        } <= seen

    def test_a_busy_thread_keeps_the_cluster_asked(self, way_in):
        """The pass has an entrance for other threads: answers come while the loop stands still."""

        async def scenario():
            async with Client(**way_in("PLAINTEXT")) as client:
                await client.send(VERSIONS, node=0, version=0)
                core, driver = client._core, client._driver
                futures = [asyncio.get_running_loop().create_future() for _ in range(50)]

                def ask(now_ms):
                    for future in futures:
                        core.enqueue(
                            VERSIONS, future, now_ms, timeout_ms=30_000, response=type(answer), node_id=0, version=0
                        )

                answer = await client.send(VERSIONS, node=0, version=0)
                sent = threading.Event()
                received = []
                real = client._waiters.deliver
                driver._deliver = lambda found: (received.extend(found), real(found))

                def busy():
                    driver.call(ask)
                    while len(received) < len(futures):
                        driver.run_pass()
                    sent.set()

                thread = threading.Thread(target=busy)
                thread.start()
                assert sent.wait(SECONDS)  # the loop stands still
                thread.join()
                assert not any(future.done() for future in futures)
                answers = await asyncio.gather(*futures)
                assert all(len(each.api_keys) > 20 for each in answers)

        run(scenario())


class Logins(ConnectionObserver):
    """Counts handshakes of each connection, and requests of each API."""

    def __init__(self):
        self.connections = 0
        self.handshakes = Counter()
        self.sent = Counter()

    @property
    def most(self):
        return max(self.handshakes.values(), default=0)

    def opened(self, connection_id, local, remote):
        self.connections += 1

    def closed(self, connection_id):
        pass

    def frame(self, connection_id, sent, frame):
        if sent:
            header, _ = RequestHeader.decode_prefix(frame[4:], 0)
            self.sent[header.request_api_key] += 1
            self.handshakes[connection_id] += header.request_api_key == ApiKey.SASL_HANDSHAKE


@pytest.mark.broker
class TestTansu:
    @pytest.fixture
    def tansu(self):
        with Tansu() as broker:
            yield broker

    def test_the_cluster_is_learned(self, tansu):
        async def scenario():
            async with Client(tansu.bootstrap_servers) as client:
                (node,) = client.cluster.nodes.values()
                assert node.address == tansu.bootstrap_servers

        run(scenario())

    def test_it_is_asked_in_the_versions_that_it_speaks(self, tansu):
        async def scenario():
            async with Client(tansu.bootstrap_servers, request_timeout_ms=2_000) as client:
                (node,) = client.cluster.nodes
                answer = await client.send(VERSIONS, node=node, version=0)
                assert {ApiKey.PRODUCE, ApiKey.METADATA} <= {api.api_key for api in answer.api_keys}
                cluster = await client.metadata("missing")
                assert "missing" in {*cluster.topics, *cluster.topic_errors}
                with pytest.raises(UnsupportedVersionError, match="Metadata: we speak 13-13"):
                    await client.send(MetadataRequest(topics=()), version=13)

        run(scenario())


@pytest.mark.broker
class TestMockCluster:
    @pytest.fixture
    def mock(self):
        with MockCluster(brokers=3) as started:
            started.create_topic("orders", 3)
            yield started

    def test_each_node_is_asked(self, mock):
        async def scenario():
            async with Client(mock.bootstrap_servers) as client:
                cluster = await client.metadata("orders")
                assert sorted(cluster.nodes) == [1, 2, 3]
                ask = InitProducerIdRequest(transaction_timeout_ms=1000)
                for node in cluster.nodes.values():
                    assert (await client.send(ask, node=node)).error_code == 0
                for index in range(3):
                    leader = cluster.leader_for(TopicPartition("orders", index))
                    request = at_partition(produce_request("orders", None, 7, batch([b"a"])), index)
                    response = await client.send(request, node=leader, version=7)
                    assert response.responses[0].partition_responses[0].error_code == 0

        run(scenario())

    def test_a_broker_that_dies_and_comes_back(self, mock):
        async def scenario():
            async with Client(mock.bootstrap_servers) as client:
                ask = InitProducerIdRequest(transaction_timeout_ms=1000)
                assert (await client.send(ask, node=1)).error_code == 0
                mock.set_down(1)
                with pytest.raises((KafkaTimeoutError, KafkaError)):
                    await client.send(ask, node=1, timeout=1)
                assert (await client.send(ask)).error_code == 0
                mock.set_up(1)
                while True:
                    try:
                        assert (await client.send(ask, node=1, timeout=1)).error_code == 0
                        break
                    except KafkaError:
                        continue

        run(scenario())

    def test_a_leader_that_moves_is_found(self, mock):
        async def scenario():
            async with Client(mock.bootstrap_servers) as client:
                for leader in (1, 2, 3):
                    mock.set_leader("orders", 0, leader)
                    cluster = await client.metadata("orders")
                    assert cluster.leader_for(TopicPartition("orders", 0)).node_id == leader

        run(scenario())

    def test_an_error_code_in_an_answer_is_the_callers(self, mock):
        async def scenario():
            async with Client(mock.bootstrap_servers) as client:
                mock.push_errors(ApiKey.INIT_PRODUCER_ID, [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS])
                answer = await client.send(InitProducerIdRequest(transaction_timeout_ms=1000), node=1)
                assert answer.error_code == ErrorCode.COORDINATOR_LOAD_IN_PROGRESS

        run(scenario())


def at_partition(request: ProduceRequest, index: int) -> ProduceRequest:
    """The same records for another partition."""
    (topic,) = request.topic_data
    (partition,) = topic.partition_data
    return request.replace(topic_data=[topic.replace(partition_data=[partition.replace(index=index)])])
