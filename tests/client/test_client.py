"""The face, against scripted brokers behind real sockets, on each kind of event loop."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
import threading
import tracemalloc
import warnings
import weakref
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
from client.loopback import Loopback, has_ipv6
from client.loops import LOOPS, loop_factory
from client.other_ends import ClosingEnd, RawEnd, SilentEnd, TlsEnd
from client.scripted_broker import SaslServer, ScriptedBroker, ScriptedCluster

from kproto.client import (
    Client,
    ClientClosedError,
    ConfigError,
    KafkaConnectionError,
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
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    EncodeError,
    ErrorCode,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    ProduceRequest,
    Request,
    encode_response,
    frame,
)

BRIEF = 0.3  # seconds after which a test gives up what must not happen
PAUSE = 0.001  # seconds between two looks at what another thread does
CYCLES = int(os.environ.get("KPROTO_CYCLES", "60"))  # of connecting and closing; CI does more
CYCLES_WARM = 20
SECONDS = 20 + CYCLES / 10  # that a test waits for what has to happen
GROWTH_MAX = 256 * 1024  # bytes held after all cycles: the free lists of the interpreter grow, a client has more
PASSWORD = "alice-secret"
USERS = SaslServer(users={"alice": PASSWORD}, tokens={"good-token": "alice"})
ASK_ID = InitProducerIdRequest(transaction_timeout_ms=1000)
HTTP = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
CA = trustme.CA()

counted = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are counted in /proc")


@pytest.fixture(params=LOOPS)
def run(request):
    """Runs a coroutine on a loop of each kind, and ends one that hangs."""

    async def limited(coroutine):
        async with asyncio.timeout(SECONDS):
            return await coroutine

    with asyncio.Runner(loop_factory=loop_factory(request.param)) as runner:
        yield lambda coroutine: runner.run(limited(coroutine))


@pytest.fixture
def cluster():
    return ScriptedCluster(topics={"orders": 3, "users": 1})


@pytest.fixture
def broker(cluster):
    return ScriptedBroker(cluster)


@pytest.fixture
def server(broker):
    with Loopback(broker) as served:
        yield served


def server_context(*names):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    return context


def client_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    CA.configure_trust(context)
    return context


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def asked(broker, api):
    return len(broker.asked(api))


async def until(condition):
    """Until something that the server's thread does. The loop goes on; `run` ends a wait that is too long."""
    while not condition():
        await asyncio.sleep(PAUSE)


async def failure(**settings):
    """Why a client cannot start. timeout: of the start, else it has to fail by itself."""
    timeout = settings.pop("timeout", None)
    client = Client(**settings)
    try:
        await client.start(timeout)
    except KafkaError as error:
        return error
    finally:
        await client.close()
    raise AssertionError("it started")


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


# Start


def test_a_client_knows_the_cluster_once_it_has_started(run, server, broker):
    async def scenario():
        client = Client(server.bootstrap_servers)
        assert client.cluster.nodes == {}
        async with client as entered:
            assert entered is client
            assert client.cluster.cluster_id == "scripted"
            assert [node.address for node in client.cluster.nodes.values()] == [server.bootstrap_servers]
            await client.start()  # as often as one likes
        await until(lambda: all(end.closed for end in broker.connections))

    run(scenario())


def test_several_servers_are_given_as_a_list_or_with_commas(run, server):
    async def scenario():
        refused = f"127.0.0.1:{free_port()}"
        for servers in ([refused, server.bootstrap_servers], f"{refused},{server.bootstrap_servers}"):
            async with Client(servers) as client:
                assert client.cluster.cluster_id == "scripted"

    run(scenario())


@pytest.mark.skipif(not has_ipv6(), reason="::1 cannot be bound here")
def test_a_broker_on_ipv6(run, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            assert await client.send(ASK_ID, node=0)
            assert client.cluster.nodes[0].address == f"[::1]:{server.port}"

    with Loopback(broker, host="::1") as server:
        run(scenario())


def test_all_addresses_of_a_name_are_tried(run, server, broker, monkeypatch):
    looked_up = []

    def look_up(host, port, done):
        looked_up.append(host)
        done(["127.0.0.3", "::1", "127.0.0.2", "127.0.0.1"])  # the loopback's port is open at the last alone

    monkeypatch.setattr(passes_module, "look_up", look_up)
    broker.cluster.nodes[0].host = "kafka.test"

    async def scenario():
        async with Client(f"kafka.test:{server.port}", reconnect_backoff_ms=10_000) as client:
            assert (await client.send(ASK_ID, node=0)).error_code == 0

    run(scenario())
    assert set(looked_up) == {"kafka.test"}


def test_nobody_listens_and_the_error_has_each_server(run):
    ports = [free_port(), free_port()]
    servers = [f"127.0.0.1:{port}" for port in ports]
    error = run(failure(bootstrap_servers=servers, timeout=BRIEF))
    assert type(error) is NoBrokersAvailable
    assert sorted(map(str, error.attempts)) == sorted(f"{server}: connection refused" for server in servers)
    assert str(error).startswith("no broker could be reached: 127.0.0.1:")


@counted
def test_a_context_that_cannot_begin_leaves_nothing_open(run):
    async def scenario():
        server.call(lambda: None)  # its thread has opened what it needs
        before = descriptors()
        with pytest.raises(NotKafkaError):
            async with Client(server.bootstrap_servers) as client:
                raise AssertionError(client)
        await until(lambda: descriptors() <= before)  # the server closes its end a moment later

    with Loopback(lambda: RawEnd(HTTP)) as server:
        run(scenario())


def test_a_name_that_is_not_known(run):
    error = run(failure(bootstrap_servers="no.such.host.invalid", timeout=BRIEF))
    assert type(error) in (NoBrokersAvailable, KafkaTimeoutError)
    if isinstance(error, NoBrokersAvailable):  # a resolver may take its time
        assert "no.such.host.invalid:9092: the name cannot be resolved: " in str(error)


def test_a_broker_that_accepts_and_closes(run):
    with Loopback(ClosingEnd) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers, timeout=BRIEF))
    assert type(error) is NoBrokersAvailable
    assert "the broker closed the connection" in str(error) or "connection reset by peer" in str(error)


def test_a_silent_broker_is_given_the_time_of_start(run):
    with Loopback(SilentEnd) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers, timeout=BRIEF))
    assert type(error) is KafkaTimeoutError
    assert str(error) == "the first answer of a broker: nothing within 300 ms"


def test_a_silent_broker_is_given_the_time_of_a_request(run):
    with Loopback(SilentEnd) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers, request_timeout_ms=100, timeout=BRIEF))
    assert type(error) is NoBrokersAvailable
    assert f"{server.bootstrap_servers}: an answer to ApiVersionsRequest v" in str(error)


def test_a_web_server_is_no_broker_and_that_is_said_at_once(run):
    with Loopback(lambda: RawEnd(HTTP)) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers))
    assert type(error) is NotKafkaError
    assert str(error) == (
        f"{server.bootstrap_servers}: an HTTP server answers: this is not the port of a Kafka listener"
    )


def test_two_web_servers_are_both_named(run):
    with Loopback(lambda: RawEnd(HTTP)) as one, Loopback(lambda: RawEnd(HTTP)) as other:
        servers = [one.bootstrap_servers, other.bootstrap_servers]
        error = run(failure(bootstrap_servers=servers))
    assert type(error) is NoBrokersAvailable
    assert {attempt.address for attempt in error.attempts} == set(servers)
    assert all(type(attempt) is NotKafkaError for attempt in error.attempts)


@pytest.mark.parametrize("seed", range(4))
def test_a_web_server_among_brokers_is_passed_over(run, server, monkeypatch, seed):
    """Whichever chance has tried first."""
    monkeypatch.setattr("secrets.randbits", lambda bits: seed)

    async def scenario():
        async with Client([web.bootstrap_servers, server.bootstrap_servers]) as client:
            assert client.cluster.cluster_id == "scripted"

    with Loopback(lambda: RawEnd(HTTP)) as web:
        run(scenario())


def test_a_listener_that_speaks_tls_is_told_from_its_first_bytes(run):
    with Loopback(lambda: RawEnd(bytes.fromhex("15030300020250"))) as server:  # Kafka's alert: internal error
        error = run(failure(bootstrap_servers=server.bootstrap_servers))
    assert type(error) is NotKafkaError
    assert str(error) == (
        f"{server.bootstrap_servers}: the listener speaks TLS: set security_protocol to SSL or SASL_SSL"
    )


def test_a_listener_that_may_speak_tls_is_suspected_where_it_only_closes(run, broker):
    with Loopback(broker, tls=server_context()) as server:  # as OpenSSL does
        error = run(failure(bootstrap_servers=server.bootstrap_servers, timeout=BRIEF))
    assert type(error) is NoBrokersAvailable
    assert "the listener may expect TLS (security_protocol=SSL)" in str(error)


def test_a_listener_that_does_not_speak_tls_is_told(run, server):
    settings = {"security_protocol": "SSL", "ssl_context": client_context(), "timeout": BRIEF}
    error = run(failure(bootstrap_servers=server.bootstrap_servers, **settings))
    assert isinstance(error, KafkaConnectionError)
    assert "security_protocol=PLAINTEXT" in str(error)


def test_a_broker_too_old_for_metadata_is_told_at_once(run, cluster):
    broker = ScriptedBroker(cluster, versions={ApiKey.API_VERSIONS: range(5), ApiKey.METADATA: range(90, 92)})
    with Loopback(broker) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers))
    assert type(error) is UnsupportedVersionError
    assert str(error) == "Metadata: we speak 0-13, the broker 90-91; use a broker or a kproto whose versions overlap"


PLAIN = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "PLAIN",
    "sasl_username": "alice",
    "sasl_password": PASSWORD,
}


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_4_refused_credentials_are_told_at_once(run, cluster, mechanism):
    broker = ScriptedBroker(cluster, sasl=USERS)
    settings = {**PLAIN, "sasl_mechanism": mechanism, "sasl_password": "wrong-secret"}
    with Loopback(broker) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers, **settings))
    assert type(error) is SaslAuthenticationError
    assert "wrong-secret" not in f"{error!s}{error!r}"
    assert str(error).startswith(f"{server.bootstrap_servers}: ")


def test_sasl_4_a_mechanism_that_the_broker_lacks_is_told_with_those_it_has(run, cluster):
    broker = ScriptedBroker(cluster, sasl=SaslServer(users=USERS.users, mechanisms=("SCRAM-SHA-512",)))
    with Loopback(broker) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers, **PLAIN))
    assert type(error) is UnsupportedSaslMechanismError
    assert error.offered == ("SCRAM-SHA-512",)


def test_another_hosts_certificate_is_told_at_once(run, broker):
    settings = {"security_protocol": "SSL", "ssl_context": client_context()}
    with Loopback(broker, tls=server_context("elsewhere.test")) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers, **settings))
    assert type(error) is SslAuthenticationError


async def good_token():
    return "good-token", 3600.0


SECURE = [
    PLAIN,
    {**PLAIN, "sasl_mechanism": "SCRAM-SHA-256"},
    {**PLAIN, "sasl_mechanism": "SCRAM-SHA-512"},
    {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "OAUTHBEARER",
        "sasl_oauth_token_provider": lambda: "good-token",
    },
    {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "OAUTHBEARER", "sasl_oauth_token_provider": good_token},
]


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain text", "TLS"])
@pytest.mark.parametrize("settings", SECURE, ids=["PLAIN", "SCRAM-256", "SCRAM-512", "OAUTH", "OAUTH async"])
def test_every_way_to_log_in(run, cluster, settings, encrypted):
    broker = ScriptedBroker(cluster, sasl=USERS)
    tls = server_context() if encrypted else None
    if encrypted:
        settings = {**settings, "security_protocol": "SASL_SSL", "ssl_context": client_context()}

    async def scenario():
        async with Client(server.bootstrap_servers, **settings) as client:
            assert (await client.metadata("orders")).partition_count("orders") == 3
            assert (await client.send(ASK_ID, node=0)).error_code == 0
        assert {end.user for end in broker.connections} == {"alice"}

    with Loopback(broker, tls=tls) as server:
        run(scenario())


def test_tls_without_a_login_and_byte_by_byte(run, broker):
    async def scenario():
        settings = {"security_protocol": "SSL", "ssl_context": client_context()}
        async with Client(server.bootstrap_servers, **settings) as client:
            assert (await client.send(ASK_ID, node=0)).error_code == 0

    with Loopback(broker, tls=server_context(), chunk=1) as server:
        run(scenario())


def test_a_token_provider_that_raises_is_named_and_not_quoted(run, cluster):
    def provider():
        raise ValueError("the token is s3cr3t")

    settings = {**SECURE[3], "sasl_oauth_token_provider": provider}
    with Loopback(ScriptedBroker(cluster, sasl=USERS)) as server:
        error = run(failure(bootstrap_servers=server.bootstrap_servers, **settings))
    assert str(error) == "sasl_oauth_token_provider: the provider raised ValueError"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"bootstrap_server": "b"}, "there is no setting 'bootstrap_server': did you mean 'bootstrap_servers'?"),
        ({"request_timeout_ms": 0}, "request_timeout_ms"),
        ({"sasl_username": "alice"}, "sasl_username with security_protocol=PLAINTEXT"),
        ({"bootstrap_servers": "b:0"}, "bootstrap_servers"),
    ],
)
def test_settings_that_cannot_be_are_named(settings, text):
    with pytest.raises(ConfigError) as caught:
        Client(**settings)
    assert text in str(caught.value)


def test_certificates_that_cannot_be_read_are_told_at_the_start(run, tmp_path):
    missing = str(tmp_path / "missing.pem")
    error = run(failure(bootstrap_servers="127.0.0.1:9", security_protocol="SSL", ssl_cafile=missing))
    assert type(error) is ConfigError
    assert missing in str(error)


def test_a_loop_that_watches_no_sockets_is_refused():
    class Proactor(asyncio.SelectorEventLoop):
        def add_reader(self, fd, callback, *args):
            if callback.__name__ != "_read_from_self":
                raise NotImplementedError
            return super().add_reader(fd, callback, *args)

    with asyncio.Runner(loop_factory=Proactor) as runner:
        error = runner.run(failure(bootstrap_servers="127.0.0.1:9"))
    assert type(error) is ConfigError
    assert "loop_factory=asyncio.SelectorEventLoop" in str(error)


def test_an_advertised_listener_that_is_wrong_is_told_with_what_to_set(run, server, broker):
    broker.cluster.nodes[0].port = free_port()

    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            with pytest.raises(KafkaTimeoutError) as caught:
                await client.send(ASK_ID, node=0, timeout=BRIEF)
        text = str(caught.value)
        assert "connection refused" in text
        assert f"asked at {server.bootstrap_servers}, advertises for this node" in text
        assert "set advertised.listeners on the broker" in text

    run(scenario())


# Metadata


def test_metadata_of_one_topic_many_all_and_of_the_cluster_alone(run, server):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            assert (await client.metadata()).topics == {}
            one = await client.metadata("orders")
            assert set(one.topics) == {"orders"}
            assert one.leader_for(TopicPartition("orders", 2)).node_id == 0
            assert set((await client.metadata(["users"])).topics) == {"orders", "users"}
            server.call(lambda: server.server.cluster.create_topic("news"))
            assert set((await client.metadata(None)).topics) == {"news", "orders", "users"}
            assert client.cluster.partition_count("news") == 1

    run(scenario())


def test_meta_3_a_topic_that_does_not_exist_is_an_error_in_the_picture(run, server):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            cluster = await client.metadata(["missing", "orders", "not a name"])
            assert cluster.topic_errors == {
                "missing": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                "not a name": ErrorCode.INVALID_TOPIC_EXCEPTION,
            }
            assert set(cluster.topics) == {"orders"}

    run(scenario())


def test_callers_at_the_same_time_share_their_requests(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            before = asked(broker, ApiKey.METADATA)
            topics = ["orders", "users"] * 20
            pictures = await asyncio.gather(*(client.metadata(topic) for topic in topics))
            for topic, cluster in zip(topics, pictures, strict=True):
                assert topic in cluster.topics
            assert asked(broker, ApiKey.METADATA) - before <= 3

    run(scenario())


def test_meta_7_an_answer_on_its_way_is_none_to_a_later_question(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            before = asked(broker, ApiKey.METADATA)
            broker.fail(ApiKey.METADATA, "hold")
            one = asyncio.create_task(client.metadata("orders"))
            await until(lambda: asked(broker, ApiKey.METADATA) == before + 1)
            other = asyncio.create_task(client.metadata("users"))
            await asyncio.sleep(0)
            server.call(broker.release)
            assert set((await one).topics) == {"orders"}
            assert set((await other).topics) == {"orders", "users"}

    run(scenario())


def test_a_metadata_request_that_fails_is_repeated_until_the_time_is_over(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            broker.fail(ApiKey.METADATA, "close", "half", "wrong correlation id")
            assert "orders" in (await client.metadata("orders")).topics
            broker.always[ApiKey.METADATA] = "close"
            with pytest.raises(KafkaTimeoutError) as caught:
                await client.metadata("users", BRIEF)
            assert str(caught.value).startswith("metadata of users: nothing within 300 ms; last error: ")
            assert isinstance(caught.value.cause, KafkaConnectionError)
            with pytest.raises(KafkaTimeoutError, match=r"^metadata of all topics: nothing"):
                await client.metadata(None, 0.01)
            with pytest.raises(KafkaTimeoutError, match=r"^metadata of the cluster: nothing"):
                await client.metadata(timeout=0.01)

    run(scenario())


def test_meta_14_refused_credentials_reach_everybody_who_waits_and_later_ones_try_again(run, cluster):
    sasl = SaslServer(users={"alice": PASSWORD})
    broker = ScriptedBroker(cluster, sasl=sasl)

    async def scenario():
        async with Client(server.bootstrap_servers, **PLAIN) as client:
            sasl.users = {}
            server.reset()
            results = await asyncio.gather(*(client.metadata("orders") for _ in range(5)), return_exceptions=True)
            assert [type(result) for result in results] == [SaslAuthenticationError] * 5
            sasl.users = {"alice": PASSWORD}
            while True:
                try:
                    assert "orders" in (await client.metadata("orders")).topics
                    break
                except SaslAuthenticationError:  # of an attempt before the password was back
                    continue

    with Loopback(broker) as server:
        run(scenario())


def test_c10_who_leaves_takes_nothing_from_those_who_stay(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            broker.fail(ApiKey.METADATA, "hold")
            broker.fail(ApiKey.INIT_PRODUCER_ID, "hold")
            tasks = [asyncio.create_task(client.metadata("orders")) for _ in range(3)]
            tasks += [asyncio.create_task(client.send(ASK_ID, node=0)) for _ in range(3)]
            await until(lambda: asked(broker, ApiKey.INIT_PRODUCER_ID) == 3)
            for task in tasks[::3]:
                task.cancel()
            await asyncio.sleep(0)
            server.call(broker.release)
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [isinstance(result, asyncio.CancelledError) for result in results] == [True, False, False] * 2
            assert all("orders" in result.topics for result in results[1:3])
            assert all(type(result) is InitProducerIdResponse for result in results[4:])
            assert len(client._waiters) == 0

    run(scenario())


def test_who_cancels_the_start_may_start_again(run, broker):
    async def scenario():
        client = Client(server.bootstrap_servers)
        broker.fail(ApiKey.API_VERSIONS, "hold")
        task = asyncio.create_task(client.start())
        await until(lambda: asked(broker, ApiKey.API_VERSIONS))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        server.call(broker.release)
        await client.start()
        assert client.cluster.cluster_id == "scripted"
        await client.close()

    with Loopback(broker) as server:
        run(scenario())


def test_a_warning_is_logged_once(run, server, broker, caplog):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            server.call(lambda: setattr(broker.cluster, "cluster_id", "another"))
            await client.metadata()
            await client.metadata()

    with caplog.at_level(logging.WARNING, "kproto.client"):
        run(scenario())
    assert [record.getMessage() for record in caplog.records] == [
        "metadata now comes from cluster another, before from scripted: "
        "check that all bootstrap_servers belong to one cluster"
    ]


def test_f11_bytes_behind_answers_are_logged_once_for_an_address(run, server, broker, caplog):
    def longer(header, request, usual):
        payload = encode_response(usual, header.request_api_version, correlation_id=header.correlation_id)[4:]
        return frame(payload + b"x")

    broker.always[ApiKey.INIT_PRODUCER_ID] = longer

    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            for _ in range(3):
                await client.send(ASK_ID, node=0)

    with caplog.at_level(logging.WARNING, "kproto.client"):
        run(scenario())
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{server.bootstrap_servers}: bytes follow its answers")


def test_tls_2_the_broker_hears_when_a_client_leaves(run, broker):
    ends = []

    def accept():
        ends.append(TlsEnd(broker.connect(), server_context()))
        return ends[-1]

    async def scenario():
        broker.cluster.nodes[0].host, broker.cluster.nodes[0].port = server.host, server.port
        async with Client(server.bootstrap_servers, security_protocol="SSL", ssl_context=client_context()) as client:
            assert (await client.send(ASK_ID)).error_code == 0
        await until(lambda: ends and all(end.closed for end in ends))
        assert all(end.goodbye and end.error is None for end in ends)

    with Loopback(accept) as server:
        run(scenario())


# Requests


def test_a_request_goes_to_the_node_that_is_named_or_to_any(run):
    cluster = ScriptedCluster(nodes=3, topics={"orders": 3})
    brokers = [ScriptedBroker(cluster, node_id) for node_id in range(3)]

    async def scenario():
        async with Client(servers[0].bootstrap_servers) as client:
            for node_id in range(3):
                for node in (node_id, client.cluster.nodes[node_id]):
                    ids = (await client.send(ASK_ID, node=node)).producer_id
                    assert ids // 1000 == node_id + 1
            assert (await client.send(ASK_ID)).producer_id

    with ExitStack() as stack:
        servers = [stack.enter_context(Loopback(broker)) for broker in brokers]
        run(scenario())


def test_many_requests_at_once_are_pipelined_and_each_gets_its_own_answer(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            broker.fail(ApiKey.INIT_PRODUCER_ID, "hold")
            tasks = [asyncio.create_task(client.send(ASK_ID, node=0)) for _ in range(50)]
            await until(lambda: asked(broker, ApiKey.INIT_PRODUCER_ID) == 5)  # max_in_flight_requests_per_connection
            await asyncio.sleep(0)
            assert asked(broker, ApiKey.INIT_PRODUCER_ID) == 5
            server.call(broker.release)
            found = [(await task).producer_id for task in tasks]
            assert found == list(range(found[0], found[0] + 50))

    run(scenario())


def test_requests_that_waited_for_the_connection_go_out_together(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            broker.fail(ApiKey.INIT_PRODUCER_ID, "hold")
            tasks = [asyncio.create_task(client.send(ASK_ID, node=0)) for _ in range(5)]
            await asyncio.sleep(0)  # all are in line before there is a connection to node 0
            await until(lambda: asked(broker, ApiKey.INIT_PRODUCER_ID) == 5)
            server.call(broker.release)
            await asyncio.gather(*tasks)

    run(scenario())


def test_a_node_that_the_cluster_lacks(run, server):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            with pytest.raises(KafkaConnectionError, match=r"^node 7: is not in the cluster; its nodes are 0$"):
                await client.send(ASK_ID, node=7)

    run(scenario())


def test_a_version_may_be_named(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            for version in (0, 3, None):
                await client.send(ASK_ID, node=0, version=version)
            sent = [header for header, _ in broker.requests if header.request_api_key == ApiKey.INIT_PRODUCER_ID]
            assert [header.request_api_version for header in sent] == [0, 3, 5]
            with pytest.raises(UnsupportedVersionError, match=r"^InitProducerId: we speak 6-6, the broker 0-5"):
                await client.send(ASK_ID, node=0, version=6)

    run(scenario())


def test_a_request_that_cannot_be_written_fails_alone(run, server):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            with pytest.raises(EncodeError, match="producer_id"):
                await client.send(InitProducerIdRequest(producer_id=5), node=0, version=0)
            assert (await client.send(ASK_ID, node=0)).error_code == 0

    run(scenario())


def produce_request(acks):
    return ProduceRequest(acks=acks, timeout_ms=1000, topic_data=[])


def test_conn_13_a_request_without_an_answer_gives_none_once_it_is_out(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            assert await client.send(produce_request(0), node=0) is None
            assert (await client.send(produce_request(-1), node=0)).responses == ()
            assert asked(broker, ApiKey.PRODUCE) == 2

    run(scenario())


def test_an_error_code_is_part_of_the_answer(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            broker.fail(ApiKey.INIT_PRODUCER_ID, ErrorCode.COORDINATOR_NOT_AVAILABLE)
            assert (await client.send(ASK_ID, node=0)).error_code == ErrorCode.COORDINATOR_NOT_AVAILABLE

    run(scenario())


class UndeclaredRequest(Request, api_key=60, versions="0", flexible="0+"):
    """What kproto.wire does not declare."""


def test_the_answer_to_an_undeclared_request_has_to_be_named(run, server):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            with pytest.raises(TypeError, match=r"UndeclaredRequest is not declared in kproto.wire: name the class"):
                await client.send(UndeclaredRequest(), node=0)
            named = client.send(UndeclaredRequest(), node=0, response=ApiVersionsResponse)
            with pytest.raises(UnsupportedVersionError, match="the broker does not speak"):
                await named

    run(scenario())


def test_the_time_is_for_all_of_a_request(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            broker.fail(ApiKey.INIT_PRODUCER_ID, "silence")
            with pytest.raises(KafkaTimeoutError) as caught:
                await client.send(ASK_ID, node=0, timeout=0.1)
            assert str(caught.value) == "an answer to InitProducerIdRequest: nothing within 100 ms"
            server.reset()
            assert (await client.send(ASK_ID, node=0)).error_code == 0

    run(scenario())


def test_conn_12_an_answer_that_does_not_come_ends_the_connection_and_all_on_it(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers, request_timeout_ms=200) as client:
            broker.fail(ApiKey.INIT_PRODUCER_ID, "silence")
            tasks = [client.send(ASK_ID, node=0, timeout=5) for _ in range(3)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(result) for result in results} == {KafkaTimeoutError}
            assert f"{server.bootstrap_servers}: an answer to InitProducerIdRequest v5" in str(results[0])
            assert (await client.send(ASK_ID, node=0, timeout=5)).error_code == 0

    run(scenario())


def test_a_connection_that_is_lost_fails_what_was_under_way(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            broker.fail(ApiKey.INIT_PRODUCER_ID, "close")
            with pytest.raises(KafkaConnectionError) as caught:
                await client.send(ASK_ID, node=0)
            assert str(caught.value).startswith(f"{server.bootstrap_servers}: the broker closed the connection")
            assert (await client.send(ASK_ID, node=0)).error_code == 0

    run(scenario())


def test_a_request_to_any_node_times_out_with_each_nodes_error(run, broker):
    async def scenario():
        client = Client(f"127.0.0.1:{free_port()}")
        with pytest.raises(NoBrokersAvailable):
            await client.start(0.01)
        with pytest.raises(KafkaTimeoutError) as caught:
            await client.send(ASK_ID, timeout=0.1)
        assert "a connection to send InitProducerIdRequest to any node" in str(caught.value)
        assert type(caught.value.cause) is NoBrokersAvailable
        await client.close()

    run(scenario())


def test_big_answers_come_whole(run, server, broker):
    async def scenario():
        cluster = broker.cluster
        for index in range(2_000):
            cluster.create_topic(f"{index:04}-{'x' * 240}", 8)
        async with Client(server.bootstrap_servers) as client:
            assert len((await client.metadata(None)).topics) == 2_002

    run(scenario())


# Life


def test_before_the_start_and_after_the_close_nothing_can_be_asked(run, server):
    async def scenario():
        client = Client(server.bootstrap_servers)
        for ask in (client.metadata, lambda: client.send(ASK_ID)):
            with pytest.raises(ClientClosedError, match="not started: use async with, or await start"):
                await ask()
        async with client:
            pass
        for ask in (client.metadata, lambda: client.send(ASK_ID), client.start):
            with pytest.raises(ClientClosedError, match=r"^the client is closed$"):
                await ask()
        await client.close()
        assert client.cluster.cluster_id == "scripted"  # what it knew last
        unused = Client(server.bootstrap_servers)
        await unused.close()
        with pytest.raises(ClientClosedError):
            await unused.start()

    run(scenario())


def test_close_ends_every_wait(run, server, broker):
    async def scenario():
        client = Client(server.bootstrap_servers)
        await client.start()
        broker.always = dict.fromkeys([ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID], "silence")
        waits = [client.metadata("orders"), client.send(ASK_ID, node=0), client.send(ASK_ID), client.send(ASK_ID)]
        tasks = [asyncio.create_task(wait) for wait in waits]
        await until(lambda: asked(broker, ApiKey.INIT_PRODUCER_ID))
        await client.close()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(result) for result in results} == {ClientClosedError}

    run(scenario())


def test_close_ends_a_start(run):
    async def scenario():
        client = Client(server.bootstrap_servers)
        task = asyncio.create_task(client.start())
        await until(lambda: server.accepted)
        await client.close()
        with pytest.raises(ClientClosedError, match=r"^the client was closed meanwhile$"):
            await task

    with Loopback(SilentEnd) as server:
        run(scenario())


@counted
def test_close_while_a_name_is_looked_up(run, monkeypatch):
    waiting = []
    monkeypatch.setattr(passes_module, "look_up", lambda host, port, done: waiting.append(done))

    async def scenario():
        before = descriptors()
        client = Client("kafka.test:9092")
        task = asyncio.create_task(client.start())
        await until(lambda: waiting)
        await client.close()
        with pytest.raises(ClientClosedError):
            await task
        waiting[0](["127.0.0.1"])
        await asyncio.sleep(0)
        assert descriptors() <= before  # what earlier tests left to the garbage collector may have gone meanwhile

    run(scenario())


def test_close_from_a_callback_of_an_answer(run, server):
    async def scenario():
        client = Client(server.bootstrap_servers)
        await client.start()
        closed = []
        task = asyncio.create_task(client.send(ASK_ID, node=0))
        task.add_done_callback(lambda done: closed.append(asyncio.ensure_future(client.close())))
        assert (await task).error_code == 0
        await until(lambda: closed)
        await closed[0]

    run(scenario())


def test_an_observer_that_raises_is_dropped_with_one_line(run, server, caplog):
    class Broken:
        heard = 0

        def opened(self, *arguments):
            self.heard += 1
            raise OSError("No space left on device")

        frame = closed = opened

    observer = Broken()

    async def scenario():
        async with Client(server.bootstrap_servers, observer=observer) as client:
            assert (await client.send(ASK_ID, node=0)).error_code == 0

    with caplog.at_level(logging.WARNING, "kproto.client"):
        run(scenario())
    assert observer.heard == 1
    assert [record.getMessage() for record in caplog.records] == [
        "the observer Broken raised, and hears nothing any more"
    ]


def test_an_observer_hears_each_connection_and_frame(run, server, broker):
    heard = []

    class Noted:
        def opened(self, connection_id, local, remote):
            heard.append((connection_id, "opened", remote))

        def frame(self, connection_id, sent, frame):
            heard.append((connection_id, sent, int.from_bytes(frame[4:6], "big") if sent else None))

        def closed(self, connection_id):
            heard.append((connection_id, "closed", None))

    async def scenario():
        async with Client(server.bootstrap_servers, observer=Noted()) as client:
            await client.send(ASK_ID, node=0)

    run(scenario())
    first = [entry[1:] for entry in heard if entry[0] == 1]
    assert first == [
        ("opened", (server.host, server.port)),
        (True, ApiKey.API_VERSIONS),
        (False, None),
        (True, ApiKey.METADATA),
        (False, None),
        ("closed", None),
    ]
    assert [entry[1] for entry in heard if entry[0] == 2] == ["opened", True, False, True, False, "closed"]


def test_a_repr_names_the_servers_and_no_secret():
    client = Client("b1:9092,b2", **PLAIN)
    assert repr(client) == "<Client of b1:9092, b2:9092>"
    assert PASSWORD not in repr(client.config)


def drop(clients):
    """What is warned of when the one client of a list is dropped. It is to be gone at once, without a collection."""
    gone = weakref.ref(clients[0])
    told = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, category, *where: told.append((category, str(message)))
        clients.clear()
    assert gone() is None
    return told


def test_a_client_that_is_dropped_unclosed_is_told_and_closed(run, server, broker):
    async def scenario():
        clients = [Client(server.bootstrap_servers)]
        await clients[0].start()
        assert drop(clients) == [
            (ResourceWarning, f"unclosed <Client of {server.bootstrap_servers}>: use async with, or await close()")
        ]
        await until(lambda: all(end.closed for end in broker.connections))

    run(scenario())


def test_a_client_that_outlives_its_loop_is_told_and_closed(server, broker):
    async def scenario():
        client = Client(server.bootstrap_servers)
        await client.start()
        return [client]

    assert [category for category, _ in drop(asyncio.run(scenario()))] == [ResourceWarning]

    async def closed():
        async with asyncio.timeout(SECONDS):
            await until(lambda: all(end.closed for end in broker.connections))

    asyncio.run(closed())


def test_a_client_that_never_started_or_never_was_is_dropped_in_silence():
    assert drop([Client("b")]) == []
    with pytest.raises(ConfigError):
        Client("b", no_such=1)
    gc.collect()


@counted
def test_connecting_and_closing_leaves_nothing_behind(run, server, broker):
    async def cycle():
        async with Client(server.bootstrap_servers) as client:
            await client.send(ASK_ID, node=0)

    def forget():
        broker.connections.clear()
        broker.requests.clear()

    async def held():
        await until(lambda: all(end.closed for end in broker.connections))
        server.call(forget)
        gc.collect()
        files, tasks, threads = descriptors(), len(asyncio.all_tasks()), threading.active_count()
        return files, tasks, threads, tracemalloc.get_traced_memory()[0]

    async def scenario():
        for _ in range(CYCLES_WARM):
            await cycle()
        before = await held()
        for _ in range(CYCLES):
            await cycle()
        after = await held()
        assert after[:3] == before[:3]
        assert after[3] - before[3] < GROWTH_MAX, after[3] - before[3]

    tracemalloc.start()
    try:
        run(scenario())
    finally:
        tracemalloc.stop()


def test_meta_2_asking_about_a_topic_names_it_and_does_not_create_it(run, server, broker):
    async def scenario():
        async with Client(server.bootstrap_servers) as client:
            await client.metadata("orders")
            request = broker.asked(ApiKey.METADATA)[-1]
            assert isinstance(request, MetadataRequest)
            assert [topic.name for topic in request.topics] == ["orders"]
            assert not request.allow_auto_topic_creation
            versions = [head.request_api_version for head, asked in broker.requests if asked is request]
            assert versions == [13]
            assert isinstance(await client.send(ApiVersionsRequest(), node=0, version=0), ApiVersionsResponse)

    run(scenario())
