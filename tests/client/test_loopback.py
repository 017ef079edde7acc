"""The loopback server, and through it the scripted broker, by clients that others wrote."""

from __future__ import annotations

import socket
import ssl
import threading

import pytest
import trustme
from brokers.wire_session import WireSession
from client.loopback import Loopback, has_ipv6
from client.other_ends import ClosingEnd, RawEnd, SilentEnd
from client.scripted_broker import SaslServer, ScriptedBroker, ScriptedCluster
from client.scripted_cluster import KAFKA_VERSIONS
from client.talk import ALL_TOPICS, VERSIONS
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import KafkaAdminClient

from kproto.wire import ApiKey

TOPICS = {"orders": 3, "payments": 1}
SERVER = SaslServer({"alice": "alice=secret,1"}, {"good-token": "alice"}, iterations=4096)
LOGIN = {"sasl.username": "alice", "sasl.password": "alice=secret,1"}


def scripted(**settings):
    return ScriptedBroker(ScriptedCluster(1, TOPICS), strict=False, **settings)


def listed(server, **settings):
    """Topics with their counts of partitions, as librdkafka sees them."""
    admin = AdminClient({"bootstrap.servers": server.bootstrap_servers, "log_level": 0, **settings})
    admin.poll(0)  # fetches a token, where one is needed
    return {name: len(topic.partitions) for name, topic in admin.list_topics(timeout=20).topics.items()}


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert "loopback" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize("unsupported", ["named", "unnamed", "junk"])
@pytest.mark.parametrize("chunk", [1, 1 << 16])
def test_librdkafka_lists_the_topics(chunk, unsupported):
    broker = scripted(unsupported=unsupported)
    broker.cluster.versions[ApiKey.API_VERSIONS] = range(3)
    with Loopback(broker, chunk=chunk) as server:
        assert listed(server) == TOPICS
    assert broker.asked(ApiKey.API_VERSIONS)[0] is None  # it began with version 3 or later


def test_kafka_python_lists_the_topics():
    broker = scripted()
    with Loopback(broker) as server:
        admin = KafkaAdminClient(bootstrap_servers=server.bootstrap_servers)
        try:
            assert sorted(admin.list_topics()) == sorted(TOPICS)
        finally:
            admin.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_librdkafka_logs_in(mechanism):
    broker = scripted(sasl=SERVER)
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, **LOGIN}
    with Loopback(broker) as server:
        assert listed(server, **settings) == TOPICS
        users = server.call(lambda: {end.user for end in broker.connections})
    assert "alice" in users
    assert broker.asked(ApiKey.SASL_AUTHENTICATE)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_librdkafka_is_refused_with_a_wrong_password(mechanism):
    broker = scripted(sasl=SERVER)
    errors = []
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, **LOGIN, "sasl.password": "x"}
    with Loopback(broker) as server:
        admin = AdminClient(
            {"bootstrap.servers": server.bootstrap_servers, "log_level": 0, "error_cb": errors.append, **settings}
        )
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
        admin.poll(1)
    assert "Authentication failed" in str(errors[0])


def test_librdkafka_logs_in_with_a_token():
    settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}
    with Loopback(scripted(sasl=SERVER)) as server:
        assert listed(server, oauth_cb=lambda _: ("good-token", 4_000_000_000.0), **settings) == TOPICS


def test_librdkafka_through_tls(tmp_path):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    settings = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "ssl.ca.location": str(tmp_path / "ca.pem")}
    with Loopback(scripted(sasl=SERVER), tls=context, chunk=7) as server:
        assert listed(server, **settings, **LOGIN) == TOPICS


def test_the_node_is_where_the_server_is():
    broker = scripted()
    with Loopback(broker) as server, WireSession(server.bootstrap_servers) as session:
        assert session.announced() == KAFKA_VERSIONS
        (node,) = session.ask(ALL_TOPICS, 12).brokers
        assert (node.host, node.port) == ("127.0.0.1", server.port)
        assert server.accepted == 1


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_ipv6():
    with Loopback(scripted(), host="::1") as server:
        assert server.bootstrap_servers == f"[::1]:{server.port}"
        assert listed(server) == TOPICS


def test_held_answers_come_when_they_are_released():
    broker = scripted()
    broker.fail(ApiKey.METADATA, "hold")
    with Loopback(broker) as server, WireSession(server.bootstrap_servers) as session:
        session.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            session.ask(ALL_TOPICS, 12)
        session.socket.settimeout(20)
        server.call(broker.release)
        assert session.socket.recv(1)


def test_a_broker_may_close_or_reset_at_any_time():
    broker = scripted()
    with Loopback(broker) as server:
        with WireSession(server.bootstrap_servers) as session:
            assert session.announced()
            server.call(broker.close_connections)
            assert session.socket.recv(1) == b""
        with WireSession(server.bootstrap_servers) as session:
            assert session.announced()
            server.reset()
            with pytest.raises(ConnectionResetError):
                session.socket.recv(1)


@pytest.mark.parametrize(("sent", "received"), [(0, None), (1, None), (7, None), (None, 1), (None, 12)])
def test_f01_a_connection_is_reset_after_so_many_bytes(sent, received):
    with Loopback(scripted(), cut_sent=sent, cut_received=received) as server:
        with pytest.raises(ConnectionError), WireSession(server.bootstrap_servers) as session:
            session.ask(VERSIONS, 5)
        with socket.create_connection(("127.0.0.1", server.port)) as again:  # and so is the next one
            assert again.fileno()


@pytest.mark.parametrize(
    "data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28", b""], ids=["http", "alert", "none"]
)
def test_f03_servers_that_do_not_speak_kafka(data):
    with Loopback(lambda: RawEnd(data)) as server, WireSession(server.bootstrap_servers) as session:
        session.socket.sendall(b"x")
        said = b""
        while part := session.socket.recv(100):
            said += part
        assert said == data


def test_f07_servers_that_close_or_are_silent():
    with Loopback(ClosingEnd) as server, WireSession(server.bootstrap_servers) as session:
        assert session.socket.recv(1) == b""
    with Loopback(SilentEnd) as server, WireSession(server.bootstrap_servers) as session:
        session.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            session.ask(VERSIONS, 5)


def test_an_error_in_the_thread_is_the_tests():
    def broken():
        raise ValueError("no end")

    def run():
        with Loopback(broken) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as opened:
                assert opened.recv(1) == b""
            with pytest.raises(RuntimeError, match="the loopback thread has ended"):
                server.call(lambda: None)

    with pytest.raises(ValueError, match="no end"):
        run()


def test_an_error_in_a_call_is_the_callers_alone():
    with Loopback(scripted()) as server:
        with pytest.raises(ZeroDivisionError):
            server.call(lambda: 1 // 0)
        assert server.call(lambda: 7) == 7
