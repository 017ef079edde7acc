"""Scenarios of authorization, login, quota and TLS (G01 to G04)."""

from __future__ import annotations

import datetime
import ssl
from functools import partial

import pytest
import trustme
from client.other_ends import TlsEnd
from client.scripted_broker import SaslServer
from client.simulated_client import PORT, World, address_of

from kproto.client.errors import (
    ClientClosedError,
    KafkaConnectionError,
    NoBrokersAvailable,
    NotKafkaError,
    SaslAuthenticationError,
    SslAuthenticationError,
    UnsupportedSaslMechanismError,
)
from kproto.wire import ApiKey, ApiVersionsRequest, ErrorCode, InitProducerIdRequest, SaslHandshakeRequest

CA = trustme.CA()
OTHER_CA = trustme.CA()
USERS = {"ann": "secret-of-ann"}
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
LIFETIME_MS = 10_000


def login(mechanism: str, **server) -> dict:
    """Options of a world whose client logs in as ann."""
    options = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": mechanism}
    if mechanism == "OAUTHBEARER":
        options |= {"sasl_oauth_token_provider": str, "network": {"tokens": ["token-of-ann"]}}
    else:
        options |= {"sasl_username": "ann", "sasl_password": "secret-of-ann"}
    return {"sasl": SaslServer(**{"users": USERS, "tokens": {"token-of-ann": "ann"}, **server}), **options}


# G01: what the principal may not see


def test_g01_a_topic_that_may_not_be_seen_is_told_with_its_error_and_not_asked_for_in_a_loop():
    world = World(topics={"orders": 1, "secret": 2})
    world.cluster.topics["secret"].error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    world.learn("orders", "secret")
    cluster = world.client.cluster
    assert cluster.unauthorized_topics == {"secret"}
    assert cluster.partition_count("orders") == 1
    assert str(world.client.metadata.topic_error("secret")) == (
        "topic secret: TOPIC_AUTHORIZATION_FAILED (29), " + ErrorCode.TOPIC_AUTHORIZATION_FAILED.description
    )
    asked = len(world.brokers[0].asked(ApiKey.METADATA))
    world.network.advance(60_000)
    assert len(world.brokers[0].asked(ApiKey.METADATA)) == asked
    world.cluster.topics["secret"].error_code = 0
    world.learn()
    assert world.client.metadata.topic_error("secret") is None
    assert world.client.cluster.partition_count("secret") == 2


def test_g01_a_topic_that_was_known_and_may_not_be_seen_any_more():
    world = World(topics={"orders": 1})
    world.learn("orders")
    world.cluster.topics["orders"].error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    world.learn()
    assert world.client.cluster.partition_count("orders") is None
    assert world.client.cluster.unauthorized_topics == {"orders"}


def test_g01_a_request_that_is_not_authorized_is_answered_so_and_the_connection_stays():
    world = World()
    world.connect(0)
    world.brokers[0].always[ApiKey.INIT_PRODUCER_ID] = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    for _ in range(3):
        assert world.answer(world.ask(node_id=0)).error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    assert len(world.opened()) == 2


# G02: logins that end


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_g02_a_login_is_renewed_in_the_midst_of_pipelined_requests_and_nothing_is_lost(mechanism):
    """KIP-368: hundreds of requests over five lifetimes, always some in flight; on one connection."""
    world = World(**login(mechanism, session_lifetime_ms=LIFETIME_MS))
    world.connect(0)
    numbers = []
    for delay_ms in range(0, 5 * LIFETIME_MS, 333):
        world.network.at(delay_ms, lambda: numbers.extend(world.ask(node_id=0) for _ in range(3)))
    world.network.advance(5 * LIFETIME_MS + 500)
    ids = [world.client.ended[number].response.producer_id for number in numbers]
    assert ids == sorted(ids) and len(set(ids)) == len(ids) > 450
    end = world.brokers[0].connections[-1]
    assert (end.user, end.login.logins) == ("ann", 6)
    assert len(world.opened()) == 2
    world.check_pace()


@pytest.mark.parametrize("chunking", ["bytes", "random"])
def test_g02_a_renewal_in_pieces_with_slow_answers(chunking):
    """Answers to earlier requests come between those of the login, each byte at its own time."""
    for seed in range(2 if chunking == "random" else 1):
        world = World(seed=seed, **login("SCRAM-SHA-256", session_lifetime_ms=LIFETIME_MS))
        world.network.chunking = chunking
        world.network.latency_ms = lambda rng: 1 + int(rng.random() * 30)
        world.connect(0)
        for delay_ms in range(0, 2 * LIFETIME_MS, 300):
            world.network.at(delay_ms, partial(world.ask, node_id=0))
        world.network.advance(2 * LIFETIME_MS)
        ids = [world.answer(number).producer_id for number in range(1, world.asked + 1)]
        assert ids == sorted(ids)
        assert len(world.opened()) == 2


def test_g02_requests_that_wait_while_a_login_is_renewed_are_sent_after_it():
    world = World(**login("PLAIN", session_lifetime_ms=LIFETIME_MS))
    world.connect(0)
    seen = len(world.brokers[0].connections[-1].requests)
    world.network.latency_ms = 300
    world.network.advance(7_000)
    numbers = []
    for delay_ms in range(0, 3_000, 100):
        world.network.at(delay_ms, lambda: numbers.append(world.ask(node_id=0)))
    world.network.advance(3_000)
    for number in numbers:
        world.answer(number)
    apis = [header.request_api_key for header, _ in world.brokers[0].connections[-1].requests][seen:]
    begin = apis.index(ApiKey.SASL_HANDSHAKE)
    assert apis[begin : begin + 3] == [ApiKey.SASL_HANDSHAKE, ApiKey.SASL_AUTHENTICATE, ApiKey.INIT_PRODUCER_ID]


def test_g02_credentials_that_changed_meanwhile_are_told_to_who_asks_and_tried_again():
    world = World(**login("PLAIN", session_lifetime_ms=LIFETIME_MS))
    world.connect(0)
    world.sasl.users = {}
    world.network.run_until(lambda: isinstance(world.client.connection_error(), NoBrokersAvailable))
    assert world.now_ms < LIFETIME_MS, "the broker was not the one to end the session"
    for number in (world.ask(node_id=0), world.ask()):
        error = world.error(number, limit_ms=1_000)
        assert isinstance(error, SaslAuthenticationError)
        assert "Authentication failed: Invalid username or password" in str(error)
        assert "secret" not in f"{error!r}{error}"
    world.sasl.users = USERS
    world.answer(world.ask(node_id=0), limit_ms=3_000)


def test_g02_a_renewal_that_the_broker_never_answers_ends_the_connection():
    world = World(request_timeout_ms=2_000, **login("PLAIN", session_lifetime_ms=LIFETIME_MS))
    world.connect(0)
    world.brokers[0].always[ApiKey.SASL_HANDSHAKE] = "silence"
    world.network.run_until(lambda: not world.client.connections.get(0).was_ready)
    assert str(world.client.connections.get(0).last_error) == (
        "broker-0.test:9092: an answer to SaslHandshakeRequest v1: nothing within 2000 ms"
    )
    world.brokers[0].always.clear()
    world.answer(world.ask(node_id=0), limit_ms=15_000)


def test_a_mechanism_that_the_broker_does_not_offer_is_told_with_those_that_it_does():
    world = World(**login("SCRAM-SHA-512", mechanisms=("PLAIN", "OAUTHBEARER")))
    error = world.error(world.ask(), limit_ms=100)
    assert isinstance(error, UnsupportedSaslMechanismError)
    assert str(error) == (
        "broker-0.test:9092: the broker does not offer the SASL mechanism SCRAM-SHA-512; "
        "it offers PLAIN, OAUTHBEARER: set sasl_mechanism"
    )


def test_a_token_that_the_provider_cannot_give_ends_the_attempt_and_is_asked_for_again():
    failure = SaslAuthenticationError("broker-0.test:9092", "the token provider raised OSError")
    options = login("OAUTHBEARER")
    options["network"] = {"tokens": [failure, "token-of-ann"]}
    world = World(**options)
    assert world.error(world.ask(), limit_ms=100) is failure
    world.answer(world.ask(), limit_ms=500)


def test_conn_1_a_refused_login_counts_as_a_lost_connection_and_is_not_tried_in_a_loop():
    world = World(**login("PLAIN", users={}))
    world.network.advance(30_000)
    assert len(world.opened()) <= 40
    world.check_pace()


# G03: quotas


@pytest.mark.parametrize("version", [0, 1, 5])
def test_g03_the_time_that_a_broker_asks_for_is_waited_for_before_the_next_request(version):
    """KIP-219: below InitProducerId 1 the broker has waited already; sending is not delayed a second time."""
    world = World(request_timeout_ms=1_000)
    world.connect(0)
    world.brokers[0].throttle_time_ms = 5_000
    world.answer(world.ask(node_id=0, version=version))
    told_ms = world.now_ms
    number = world.ask(node_id=0, version=version)
    world.answer(number)
    assert world.now_ms - told_ms == (2 if version == 0 else 5_002)
    assert len(world.opened()) == 2
    world.check_pace()


def test_g03_what_was_in_flight_when_the_broker_throttled_gets_that_much_more_time():
    world = World(request_timeout_ms=1_000)
    world.connect(0)
    world.brokers[0].throttle_time_ms = 5_000
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, lambda header, request, usual: usual, "hold")
    first, second = world.ask(node_id=0), world.ask(node_id=0)
    world.answer(first)
    world.network.advance(5_500)
    assert not world.ended(second)
    world.brokers[0].release()
    world.answer(second)


def test_g03_another_node_is_asked_meanwhile():
    world = World(nodes=2)
    world.connect(0, 1)
    world.brokers[0].throttle_time_ms = 5_000
    world.answer(world.ask(node_id=0))
    for _ in range(20):
        assert world.answer(world.ask(), limit_ms=10).producer_id > 2_000
    at_ms = world.now_ms
    world.learn(limit_ms=1_000)
    assert world.now_ms - at_ms <= 110, "metadata too"


def test_g03_a_throttled_node_is_still_closed_when_it_is_idle_and_not_before():
    world = World(connections_max_idle_ms=60_000, metadata_max_age_ms=3_600_000)
    world.connect(0)
    world.brokers[0].throttle_time_ms = 50_000
    world.answer(world.ask(node_id=0))
    waiting = world.ask(node_id=0, timeout_ms=100_000)
    world.answer(waiting, limit_ms=51_000)
    assert len(world.opened()) == 2


# G04: TLS


def client_context(ca: trustme.CA = CA, **cert) -> ssl.SSLContext:
    context = ssl.create_default_context()
    ca.configure_trust(context)
    if cert:
        cert["cert"].configure_cert(context)
    return context


def server_context(cert: trustme.LeafCert, client_ca: trustme.CA | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    cert.configure_cert(context)
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


OURS = CA.issue_cert("broker-0.test")
EXPIRED = CA.issue_cert(
    "broker-0.test",
    not_before=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
    not_after=datetime.datetime(2021, 1, 1, tzinfo=datetime.UTC),
)
TLS = {"security_protocol": "SSL", "ssl_context": client_context()}


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (server_context(CA.issue_cert("other.test")), "the broker's certificate is for other names than broker-0.test"),
        (server_context(EXPIRED), "the broker's certificate has expired: renew it on the broker"),
        (
            server_context(OTHER_CA.issue_cert("broker-0.test")),
            "is of an authority that is not trusted: set ssl_cafile",
        ),
    ],
    ids=["wrong host", "expired", "unknown authority"],
)
def test_g04_a_certificate_that_is_no_good_is_told_at_once_to_who_waits(server, words):
    world = World(tls=server, **TLS)
    error = world.error(world.ask(), limit_ms=100)
    assert isinstance(error, SslAuthenticationError)
    assert error.address == "broker-0.test:9092"
    assert words in str(error)
    world.network.advance(30_000)
    assert len(world.opened()) <= 40
    world.tls = server_context(OURS)
    world.serve(0, world.brokers[0])
    world.answer(world.ask(), limit_ms=2_000)


def tls_world(server: ssl.SSLContext, **options) -> tuple[World, list[TlsEnd]]:
    """And the server's end of each connection."""
    world, ends = World(tls=server, **TLS, **options), []

    def accept():
        ends.append(TlsEnd(world.brokers[0].connect(), server))
        return ends[-1]

    world.network.serve(address_of(0), PORT, accept)
    return world, ends


@pytest.mark.parametrize("chunking", ["whole", "bytes", "random"])
def test_tls_2_the_broker_gets_our_close_notify(chunking):
    world, ends = tls_world(server_context(OURS), network={"chunking": chunking})
    world.connect(0)
    assert len(ends) == 2 and not any(end.closed for end in ends)
    world.client.close(world.now_ms)
    world.network.advance(2_000)
    assert all(end.goodbye and end.error is None for end in ends)


def test_tls_2_a_connection_that_is_idle_is_left_with_a_close_notify():
    world, ends = tls_world(server_context(OURS), connections_max_idle_ms=5_000)
    world.connect(0)
    world.network.advance(20_000)
    assert len(ends) == 2 and all(end.goodbye for end in ends)


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_tls_2_the_broker_is_told_why_its_certificate_is_refused(highest):
    server = server_context(OTHER_CA.issue_cert("broker-0.test"))
    server.maximum_version = highest
    world, ends = tls_world(server)
    world.error(world.ask(), limit_ms=100)
    world.network.advance(1)
    assert "ALERT_UNKNOWN_CA" in str(ends[0].error)


def test_tls_2_what_is_not_written_stays_so():
    """A window of a few bytes: behind half a request a close_notify would be taken for the rest of it."""
    world, ends = tls_world(server_context(OURS))
    world.connect(0)
    link, end = world.network.links[2], ends[1].end
    sent, requests = link.sent, len(end.requests)
    world.network.window, world.network.latency_ms = 30, 100
    number = world.ask(node_id=0)
    world.network.advance(50)
    world.network.window = None  # a goodbye would go out
    world.client.close(world.now_ms)
    world.network.advance(2_000)
    assert isinstance(world.error(number), ClientClosedError)
    assert (link.sent - sent, len(end.requests)) == (30, requests)
    assert ends[1].closed and not ends[1].goodbye
    assert ends[0].goodbye


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_g04_a_missing_client_certificate_is_told(highest):
    """In TLS 1.3 the refusal comes after the handshake, where the first answer should."""
    server = server_context(OURS, client_ca=CA)
    server.maximum_version = highest
    world = World(tls=server, **TLS)
    error = world.error(world.ask(timeout_ms=3_000))
    assert "set ssl_certfile and ssl_keyfile" in str(error) or "ssl_certfile and ssl_keyfile here" in str(error)


def test_g04_a_client_certificate_that_is_trusted():
    server = server_context(OURS, client_ca=CA)
    context = client_context(cert=CA.issue_cert("ann"))
    world = World(tls=server, security_protocol="SSL", ssl_context=context)
    world.answer(world.ask(node_id=0))


def test_g04_a_plaintext_client_at_a_tls_port_is_told_to_use_tls():
    world = World(tls=server_context(OURS))
    error = world.error(world.ask(node_id=-1, timeout_ms=2_000))
    (attempt,) = {type(error.cause): error.cause}.values()
    assert isinstance(attempt, KafkaConnectionError)
    assert "security_protocol" in str(attempt) and "TLS" in str(attempt)
    assert len(world.opened()) < 12


def test_g04_a_tls_client_at_a_plaintext_port_is_told_so():
    world = World(**TLS)
    error = world.error(world.ask(node_id=-1, timeout_ms=2_000))
    assert "use security_protocol=PLAINTEXT or another port" in str(error.cause)
    world.network.serve(address_of(0), PORT, lambda: TlsEnd(world.brokers[0].connect(), server_context(OURS)))
    world.answer(world.ask())


def test_g04_a_client_without_login_at_a_port_that_wants_one():
    """Kafka tells its versions, and closes at the first other request."""
    world = World(sasl=SaslServer(users=USERS))
    error = world.error(world.ask(node_id=-1, timeout_ms=3_000))
    assert not isinstance(error, NotKafkaError)
    found = world.client.metadata.last_error
    assert "the listener may expect a login: set security_protocol to SASL_PLAINTEXT or SASL_SSL" in f"{error}{found}"
    assert len(world.opened()) < 60
    world.check_pace()


def test_requests_of_sasl_and_versions_may_be_asked_like_any_other():
    """They are public: what the client asks by itself is told apart by its token, not by its class."""
    world = World()
    world.connect(0)
    world.answer(world.ask(ApiVersionsRequest(client_software_name="x", client_software_version="1"), 0))
    assert world.answer(world.ask(SaslHandshakeRequest(mechanism="PLAIN"), 0)).error_code == (
        ErrorCode.ILLEGAL_SASL_STATE
    )
    world.answer(world.ask(InitProducerIdRequest(), 0))
