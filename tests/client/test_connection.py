"""A connection of plain text: ready, asked, throttled, timed out, and closed as a whole.

Logins and TLS are in test_connection_login.py, damaged bytes in test_connection_fuzz.py.
"""

from __future__ import annotations

from random import Random
from struct import pack

import pytest
from client.other_ends import ClosingEnd, RawEnd, SilentEnd
from client.scripted_broker import ScriptedBroker, ScriptedCluster
from client.scripted_sasl import SaslServer
from client.wired import ALL_TOPICS, TLS, Wired, random_pieces, single, whole
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.connection import Connection, ConnectionSettings, ConnectionState
from kproto.client.connection_state import Readiness
from kproto.client.errors import (
    BrokerError,
    ClientClosedError,
    CorrelationMismatch,
    KafkaConnectionError,
    KafkaTimeoutError,
    NotKafkaError,
)
from kproto.client.security import Security
from kproto.client.throttle import THROTTLE_MS_MAX
from kproto.wire import (
    ApiKey,
    ApiVersionsRequest,
    EncodeError,
    ErrorCode,
    MetadataRequest,
    MetadataResponse,
    encode_response,
    frame,
)

S = ConnectionState
NEWEST = ApiVersionsRequest.versions[-1]


def broker(**more: object) -> ScriptedBroker:
    return ScriptedBroker(ScriptedCluster(topics={"orders": 2}), **more)


def ready(server: ScriptedBroker | None = None, **more: object) -> Wired:
    wired = Wired((server or broker()).connect(), **more).begin()
    assert wired.state is S.READY
    return wired


def metadata(correlation_id: int, **fields: object) -> bytes:
    return encode_response(MetadataResponse(**fields), 9, correlation_id=correlation_id)


# Ready


def test_apiv_1_the_first_request_asks_for_the_versions():
    server = broker()
    wired = ready(server)
    ((header, request),) = server.requests
    assert (header.request_api_key, header.request_api_version) == (ApiKey.API_VERSIONS, NEWEST)
    assert (header.client_id, header.correlation_id) == ("me", 0)
    assert (request.client_software_name, request.client_software_version) == ("kproto", "0")
    assert wired.connection.versions.ranges[ApiKey.METADATA] == range(14)
    assert wired.connection.next_deadline_ms() is None, "nothing is left that can be late"


def test_kip_1242_the_node_that_is_believed_to_answer_is_named():
    server = broker()
    ready(server, cluster_id="scripted", node_id=0)
    ((_, request),) = server.requests
    assert (request.cluster_id, request.node_id) == ("scripted", 0)


def test_kip_1242_another_node_than_believed_is_told_by_error_129():
    wired = Wired(broker().connect(), cluster_id="scripted", node_id=7).begin()
    assert wired.error.startswith("BrokerError: ApiVersions of b:9092: REBOOTSTRAP_REQUIRED (129), ")
    assert isinstance(wired.connection.error, BrokerError)


@pytest.mark.parametrize("unsupported", ["named", "unnamed", "junk"])
@pytest.mark.parametrize("theirs", [range(1), range(3), range(4)], ids=lambda theirs: f"0-{theirs[-1]}")
def test_apiv_3_f05_a_broker_with_lower_versions_is_asked_again(unsupported, theirs):
    server = broker(unsupported=unsupported)
    server.cluster.versions[ApiKey.API_VERSIONS] = theirs
    ready(server)
    asked = [header.request_api_version for header, _ in server.requests]
    assert asked == [NEWEST, theirs[-1] if unsupported == "named" else 0]


@pytest.mark.parametrize("top", [NEWEST, NEWEST + 1, 32_767, -1])
def test_f05_a_hint_that_is_not_lower_ends_at_version_0(top):
    def unsupported(header, request, response):
        entry = pack(">ihihhh", header.correlation_id, ErrorCode.UNSUPPORTED_VERSION, 1, ApiKey.API_VERSIONS, 0, top)
        return frame(entry)

    server = broker()
    server.always[ApiKey.API_VERSIONS] = unsupported
    wired = Wired(server.connect()).begin()
    assert [header.request_api_version for header, _ in server.requests] == [NEWEST, 0]
    assert wired.error.startswith("UnsupportedVersionError: the broker does not speak ApiVersions (we speak 0-5)")


@pytest.mark.parametrize("code", [ErrorCode.INVALID_REQUEST, ErrorCode.REBOOTSTRAP_REQUIRED, 12_345])
def test_apiv_3_any_other_error_closes(code):
    server = broker()
    server.fail(ApiKey.API_VERSIONS, code)
    wired = Wired(server.connect()).begin()
    assert wired.error.startswith("BrokerError: ApiVersions of b:9092: ")
    assert wired.connection.error.code == code


def test_a_client_id_that_no_header_carries_is_told_as_our_own_fault():
    """Settings refuse it; who makes a connection by hand learns it from the connection."""
    wired = Wired(broker().connect())
    security: Security = wired.connection.settings.security
    settings = ConnectionSettings("x" * 40_000, 1000, 5, 10_000, security, "0")
    connection = Connection(settings, "b", "b:9092", rng=None, now_ms=0, setup_timeout_ms=1000)
    connection.connection_made(0)
    assert isinstance(connection.error, EncodeError)


# Requests and answers


def test_conn_9_it_can_send_when_ready_when_all_is_written_and_while_few_are_unanswered():
    server = broker()
    wired = Wired(server.connect(), max_in_flight_requests_per_connection=2)
    assert not wired.connection.can_send()
    wired.begin()
    server.fail(ApiKey.METADATA, "hold")
    wired.ask("a")
    assert not wired.connection.can_send(), "it is not written"
    wired.pump()
    wired.ask("b")
    wired.pump()
    assert not wired.connection.can_send(), "two are unanswered"
    server.release()
    wired.pump()
    assert wired.connection.can_send()
    assert wired.answers() == [("a", "MetadataResponse"), ("b", "MetadataResponse")]


def test_conn_9_it_says_why_nothing_can_be_sent_now():
    server = broker()
    wired = Wired(server.connect(), max_in_flight_requests_per_connection=1)
    readiness = wired.connection.readiness
    assert readiness() is Readiness.NOT_CONNECTED, "it is connecting"
    wired.begin()
    assert readiness() is Readiness.READY
    server.fail(ApiKey.METADATA, "hold")
    wired.ask("a")
    assert readiness() is Readiness.WRITING, "before the limit, which may be lower then"
    wired.pump()
    assert readiness() is Readiness.IN_FLIGHT_LIMIT
    server.throttle_time_ms = 2_000
    server.release()
    wired.pump()
    assert wired.state is S.READY and readiness() is Readiness.READY, "what was held was not throttled"
    wired.ask("b")
    wired.pump()
    assert readiness() is Readiness.THROTTLED
    wired.advance(2_000)
    assert readiness() is Readiness.READY
    wired.connection.close(ClientClosedError())
    assert readiness() is Readiness.NOT_CONNECTED


@pytest.mark.parametrize("cut", [whole, single], ids=["coalesced", "byte by byte"])
def test_f02_conn_10_pipelined_answers_come_in_order(cut):
    server = broker()
    wired = ready(server, cut=cut)
    server.fail(ApiKey.METADATA, "hold")
    for token in "abcde":
        wired.ask(token)
        wired.write()
    server.release()
    wired.pump()
    assert wired.answers() == [(token, "MetadataResponse") for token in "abcde"]
    assert {done.response.topics[0].name for done in wired.ended.values()} == {"orders"}
    assert {done.version for done in wired.ended.values()} == {9}


def test_an_answer_is_that_of_the_version_asked():
    wired = ready()
    for version in MetadataRequest.versions[1:]:
        wired.ask(version, version=version)
        wired.pump()
    assert [done.version for done in wired.ended.values()] == list(MetadataRequest.versions[1:])
    assert [done.response.cluster_id for done in wired.ended.values()] == [None] + ["scripted"] * 12


@pytest.mark.parametrize(
    ("answer", "expected", "received"),
    [
        pytest.param(metadata(99), 1, 99, id="unknown"),
        pytest.param(metadata(0), 1, 0, id="that of an answered request"),
        pytest.param(metadata(2), 1, 2, id="reordered"),
        pytest.param(metadata(-1), 1, -1, id="negative"),
        pytest.param(metadata(1) + metadata(1), 2, 1, id="repeated"),
        pytest.param(metadata(1) + metadata(2) + metadata(3), None, 3, id="one more"),
    ],
)
def test_f04_conn_10_an_answer_to_another_request_than_the_oldest_closes(answer, expected, received):
    wired = ready(broker())
    wired.end = SilentEnd()
    wired.ask("a")
    wired.pump()
    wired.ask("b")
    wired.pump()
    wired.connection.data_received(answer, 0)
    wired.collect()
    error = wired.connection.error
    assert type(error) is CorrelationMismatch
    assert (error.expected, error.received) == (expected, received)
    assert set(wired.ended) == {"a", "b"}
    answered = {None: 2, 2: 1, 1: 0}[expected]
    assert [done.error for done in wired.ended.values()] == [None] * answered + [error] * (2 - answered)


def test_f04_an_answer_before_anything_was_asked_closes():
    wired = ready()
    wired.connection.data_received(metadata(1), 0)
    assert wired.error == (
        "CorrelationMismatch: b:9092: an answer with correlation id 1, where no request is unanswered"
    )


def test_conn_11_the_ids_wrap_and_answers_still_match():
    server = broker()
    wired = ready(server)
    wired.connection._pipeline._correlation_id = 2**31 - 2
    for token in "abc":
        wired.ask(token)
        wired.pump()
    assert [header.correlation_id for header, _ in server.requests] == [0, 2**31 - 2, 2**31 - 1, 0]
    assert wired.answers() == [(token, "MetadataResponse") for token in "abc"]


def test_a_request_that_cannot_be_encoded_leaves_no_trace():
    server = broker()
    wired = ready(server)
    unencodable = MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="x" * 40_000)])
    with pytest.raises(EncodeError):
        wired.ask("bad", unencodable)
    assert wired.connection.can_send()
    assert wired.connection.next_deadline_ms() is None
    wired.ask("good")
    wired.pump()
    assert [header.correlation_id for header, _ in server.requests] == [0, 1]
    assert wired.answers() == [("good", "MetadataResponse")]


def test_conn_13_without_an_answer_a_request_is_complete_when_it_is_written():
    server = broker()
    wired = ready(server)
    wired.tell("quiet")
    (data,) = wired.connection.outbound
    for size in (1, len(data) - 2):
        wired.connection.data_sent(size, 0)
        assert wired.connection.take_completions() == []
        assert not wired.connection.can_send()
    wired.connection.data_sent(1, 0)
    wired.collect()
    (done,) = wired.ended.values()
    assert (done.token, done.response, done.error, done.version) == ("quiet", None, None, 9)
    assert wired.connection.can_send()


def test_conn_13_such_a_request_that_is_not_written_fails_with_the_connection():
    wired = ready()
    wired.tell("quiet")
    wired.connection.data_sent(5, 0)
    wired.connection.connection_lost("Connection reset by peer", 0)
    wired.collect()
    assert wired.answers() == [("quiet", "KafkaConnectionError")]


def test_conn_13_such_a_request_is_not_waited_for_for_ever():
    wired = ready()
    wired.tell("quiet")
    assert wired.connection.next_deadline_ms() == 30_000
    wired.connection.poll(29_999)
    assert wired.state is S.READY
    wired.connection.poll(30_000)
    wired.collect()
    assert wired.error == "KafkaTimeoutError: b:9092: room to send ProduceRequest v9: nothing within 30000 ms"
    assert wired.answers() == [("quiet", "KafkaTimeoutError")]


# Too late


def test_conn_12_one_late_answer_closes_all_oldest_first():
    server = broker()
    wired = ready(server, now_ms=1_000)
    server.fail(ApiKey.METADATA, "silence")
    wired.ask("a")
    wired.pump()
    wired.advance(10_000)
    wired.ask("b")
    wired.pump()
    assert wired.connection.next_deadline_ms() == 31_000
    wired.advance(19_999)
    assert wired.state is S.READY
    wired.advance(1)
    assert wired.error == "KafkaTimeoutError: b:9092: an answer to MetadataRequest v9: nothing within 30000 ms"
    assert wired.answers() == [("a", "KafkaTimeoutError"), ("b", "KafkaTimeoutError")]
    assert {done.error for done in wired.ended.values()} == {wired.connection.error}


def test_conn_12_a_request_with_less_time_closes_before_an_older_one_is_late():
    server = broker()
    wired = ready(server)
    server.fail(ApiKey.METADATA, "silence")
    wired.ask("patient")
    wired.pump()
    wired.ask("hasty", timeout_ms=500)
    wired.pump()
    assert wired.connection.next_deadline_ms() == 500
    wired.advance(500)
    assert wired.error.endswith("an answer to MetadataRequest v9: nothing within 500 ms")
    assert list(wired.ended) == ["patient", "hasty"]


SASL = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_username": "u", "sasl_password": "pw"}
BEARER = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "OAUTHBEARER",
    "sasl_oauth_token_provider": lambda: "t",
}


@pytest.mark.parametrize(
    ("state", "settings", "begin"),
    [
        (S.CONNECTING, {}, False),
        (S.CONNECTING, TLS, False),
        (S.TLS_HANDSHAKE, TLS, True),
        (S.AUTHENTICATING, SASL, True),
        (S.AUTHENTICATING, BEARER, True),
        (S.CHECKING_API_VERSIONS, {}, True),
    ],
)
def test_conn_5_each_state_before_ready_has_the_setup_timeout(state, settings, begin):
    wired = Wired(SilentEnd(), setup_timeout_ms=7_000, now_ms=500, **settings)
    if begin:
        wired.begin()
    assert wired.state is state
    assert wired.connection.next_deadline_ms() == 7_500
    wired.advance(6_999)
    assert wired.state is state
    wired.advance(1)
    doing = state.name.lower().replace("_", " ")
    assert wired.error == f"KafkaTimeoutError: b:9092: a ready connection, still {doing}: nothing within 7000 ms"
    assert wired.connection.next_deadline_ms() is None
    assert not wired.connection.wants_token


def test_conn_12_a_shorter_request_timeout_holds_before_it_is_ready_too():
    wired = Wired(SilentEnd(), request_timeout_ms=2_000).begin()
    wired.advance(2_000)
    assert wired.error == "KafkaTimeoutError: b:9092: an answer to ApiVersionsRequest v5: nothing within 2000 ms"
    assert wired.ended == {}


# Throttled


def test_conn_14_nothing_is_sent_until_the_throttle_is_over():
    server = broker()
    wired = ready(server)
    server.throttle_time_ms = 2_000
    wired.ask("a")
    wired.pump()
    assert wired.answers() == [("a", "MetadataResponse")]
    assert wired.state is S.THROTTLED
    assert not wired.connection.can_send()
    assert wired.connection.next_deadline_ms() == 2_000
    wired.advance(1_999)
    assert wired.state is S.THROTTLED
    wired.advance(1)
    assert wired.state is S.READY
    assert wired.connection.can_send()


@pytest.mark.parametrize(("version", "state"), [(3, S.READY), (5, S.READY), (6, S.THROTTLED), (13, S.THROTTLED)])
def test_conn_14_below_the_flagged_version_the_broker_has_waited_itself(version, state):
    server = broker()
    wired = ready(server)
    server.throttle_time_ms = 2_000
    wired.ask("a", version=version)
    wired.pump()
    assert wired.state is state


@pytest.mark.parametrize(("theirs", "state"), [(range(6), S.THROTTLED), (range(3), S.THROTTLED), (range(2), S.READY)])
def test_conn_14_the_first_answer_may_throttle_as_well(theirs, state):
    server = broker()
    server.cluster.versions[ApiKey.API_VERSIONS] = theirs
    server.throttle_time_ms = 2_000
    wired = Wired(server.connect()).begin()
    assert wired.state is state
    assert wired.connection.can_send() == (state is S.READY)
    wired.advance(2_000)
    assert wired.connection.can_send()


def test_conn_14_a_smaller_later_value_does_not_shorten_it_and_a_larger_one_adds_to_it():
    wired = ready()
    wired.end = SilentEnd()
    for token in "abc":
        wired.ask(token)
        wired.pump()
    connection = wired.connection
    connection.data_received(metadata(1, throttle_time_ms=1_000), 0)
    assert connection.next_deadline_ms() == 1_000
    connection.data_received(metadata(2, throttle_time_ms=10), 500)
    assert connection.next_deadline_ms() == 1_000
    connection.data_received(metadata(3, throttle_time_ms=1_000), 500)
    assert connection.next_deadline_ms() == 1_500


def test_conn_14_what_is_in_flight_is_given_the_time_on_top():
    wired = ready()
    wired.end = SilentEnd()
    for token in "ab":
        wired.ask(token)
        wired.pump()
    wired.connection.data_received(metadata(1, throttle_time_ms=40_000), 0)
    wired.advance(40_000)
    assert wired.state is S.READY
    assert wired.connection.next_deadline_ms() == 70_000
    wired.advance(30_000)
    assert wired.answers() == [("a", "MetadataResponse"), ("b", "KafkaTimeoutError")]


@pytest.mark.parametrize("hostile", [2**31 - 1, THROTTLE_MS_MAX + 1])
def test_conn_14_a_hostile_throttle_is_an_hour_at_most(hostile):
    wired = ready()
    wired.end = SilentEnd()
    wired.ask("a")
    wired.pump()
    wired.connection.data_received(metadata(1, throttle_time_ms=hostile), 0)
    assert wired.connection.next_deadline_ms() == THROTTLE_MS_MAX


@pytest.mark.parametrize("odd", [0, -1, -(2**31)])
def test_conn_14_a_throttle_below_one_is_none(odd):
    wired = ready()
    wired.end = SilentEnd()
    wired.ask("a")
    wired.pump()
    wired.connection.data_received(metadata(1, throttle_time_ms=odd), 0)
    assert wired.state is S.READY


# What is no answer


@pytest.mark.parametrize("cut", [whole, single], ids=["at once", "byte by byte"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answers: this is not the port of a Kafka listener"),
        (b"<!DOCTYPE html>", "a web server answers: this is not the port of a Kafka listener"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH server answers: this is not the port of a Kafka listener"),
        (b"\x15\x03\x03\x00\x02\x02\x50", "the listener speaks TLS: set security_protocol to SSL or SASL_SSL"),
        (b"220 mail.example ESMTP\r\n", "a mail or FTP server answers: this is not the port of a Kafka listener"),
        (pack(">i", -1), "what came is no answer of Kafka's: frame at byte 0: expected a length of 0 to 104857600, "),
        (pack(">i", 104_857_601), "what came is no answer of Kafka's: frame at byte 0: expected a length of 0 to "),
        (bytes(4), "what came is no answer of Kafka's: ResponseHeader at byte 0: expected a correlation id of 4 "),
        (frame(b"\0\0\0\0"), "what came is no answer of Kafka's: ApiVersionsResponse v5"),
        (frame(b"\0\0\0\0\0\0\x7f"), "what came is no answer of Kafka's: ApiVersionsResponse v5"),
    ],
)
def test_f03_bytes_of_another_protocol_are_told_in_words(data, said, cut):
    for at_once in (True, False):
        wired = Wired(RawEnd(data, at_once=at_once, close=False), cut=cut).begin()
        assert type(wired.connection.error) is NotKafkaError
        assert wired.error.startswith(f"NotKafkaError: b:9092: {said}")


def test_f03_the_largest_frame_is_a_setting():
    wired = Wired(RawEnd(pack(">i", 1_001), close=False), receive_message_max_bytes=1_000).begin()
    assert "expected a length of 0 to 1000, found 1001" in wired.error


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (frame(metadata(1)[4:-1]), "an answer that cannot be read: MetadataResponse v9"),
        (frame(b""), "an answer that cannot be read: ResponseHeader at byte 0: expected a correlation id of 4 bytes, "),
        (b"HTTP/1.1", "what came is no answer of Kafka's: frame at byte "),
    ],
)
def test_f11_what_cannot_be_read_closes_and_fails_what_was_asked(data, said):
    wired = ready()
    wired.end = RawEnd(data, close=False)
    wired.ask("a")
    wired.pump()
    assert said in wired.error
    assert isinstance(wired.connection.error, KafkaConnectionError)
    assert wired.connection.error.retriable
    assert wired.answers() == [("a", type(wired.connection.error).__name__)]


def test_f11_bytes_behind_an_answer_are_counted_and_harm_nothing():
    """librdkafka's mock cluster writes one too many behind Metadata; Kafka's own clients ignore them."""
    wired = ready()
    wired.end = RawEnd(frame(metadata(1)[4:] + b"xyz"), close=False)
    wired.ask("a")
    wired.pump()
    assert isinstance(wired.ended["a"].response, MetadataResponse)
    assert wired.connection.surplus_bytes == 3
    assert wired.state is S.READY


def test_f11_unknown_tags_pass():
    server = broker()
    server.fail(ApiKey.METADATA, lambda header, request, response: response.replace(unknown_tags={500: b"new"}))
    wired = ready(server)
    wired.ask("a")
    wired.pump()
    assert wired.ended["a"].response.unknown_tags == {500: b"new"}
    assert wired.state is S.READY


@pytest.mark.parametrize("behind", [pack(">i", -1), pack(">i", 2**31 - 1), b"HTTP"])
def test_good_answers_before_a_broken_frame_count_and_then_it_closes_at_once(behind):
    wired = ready()
    wired.end = SilentEnd()
    for token in "ab":
        wired.ask(token)
        wired.pump()
    wired.connection.data_received(metadata(1) + behind, 0)
    wired.collect()
    assert wired.answers() == [("a", "MetadataResponse"), ("b", "NotKafkaError")]
    assert wired.state is S.CLOSED


# The end


@pytest.mark.parametrize(
    ("reason", "how"), [(None, "the broker closed the connection"), ("Connection reset by peer",) * 2]
)
def test_the_end_says_in_which_state_it_came(reason, how):
    tls_hint = "; the listener may expect TLS (security_protocol=SSL), or is none of Kafka's"
    wired = Wired(SilentEnd())
    wired.connection.connection_lost(reason, 0)
    expected = "the broker closed the connection at once" if reason is None else reason
    assert wired.error == f"KafkaConnectionError: b:9092: {expected}"
    wired = Wired(SilentEnd()).begin()
    wired.connection.connection_lost(reason, 0)
    assert wired.error == f"KafkaConnectionError: b:9092: {how} instead of an answer to ApiVersions{tls_hint}"
    wired = ready()
    wired.connection.connection_lost(reason, 0)
    assert wired.error == f"KafkaConnectionError: b:9092: {how} while it was idle"
    wired = ready()
    wired.ask("a")
    wired.pump()
    wired.end = SilentEnd()
    wired.ask("b")
    wired.pump()
    wired.connection.connection_lost(reason, 0)
    assert wired.error == f"KafkaConnectionError: b:9092: {how} with 1 unanswered request"


def test_a_broker_that_closes_at_the_first_request_may_want_a_login():
    server = broker()
    server.fail(ApiKey.METADATA, "close")
    wired = ready(server)
    wired.ask("a")
    wired.pump()
    assert wired.error.endswith(
        "with 1 unanswered request; the listener may expect a login: set security_protocol to SASL_PLAINTEXT or "
        "SASL_SSL, and sasl_mechanism"
    )


def test_a_port_that_accepts_and_closes():
    assert "instead of an answer to ApiVersions" in Wired(ClosingEnd()).begin().error


def test_close_fails_all_with_its_error_and_what_was_closed_stays_as_it_is():
    wired = ready()
    wired.end = SilentEnd()
    wired.ask("a")
    wired.pump()
    wired.tell("b")
    error = ClientClosedError()
    wired.connection.close(error)
    assert wired.state is S.CLOSED
    assert wired.connection.error is error
    assert not wired.connection.outbound
    assert [(done.token, done.error) for done in wired.connection.take_completions()] == [("a", error), ("b", error)]
    assert wired.connection.take_completions() == []
    assert wired.connection.next_deadline_ms() is None
    assert not wired.connection.can_send()


@pytest.mark.parametrize("settings", [{}, TLS, SASL, BEARER], ids=["plain", "tls", "sasl", "token"])
@pytest.mark.parametrize("begun", [True, False])
def test_nothing_that_comes_later_wakes_a_closed_connection(settings, begun):
    wired = Wired(SilentEnd(), **settings)
    if begun:
        wired.begin()
    error = ClientClosedError()
    wired.connection.close(error)
    wired.connection.connection_made(1)
    wired.connection.data_received(b"anything", 1)
    wired.connection.token_fetched("t", 1)
    wired.connection.token_fetched(KafkaTimeoutError("a token", 1), 1)
    wired.connection.connection_lost(None, 1)
    wired.connection.connection_lost("reset", 1)
    wired.connection.poll(10**9)
    wired.connection.close(KafkaTimeoutError("again", 1))
    assert wired.connection.error is error
    assert wired.connection.take_completions() == []
    assert not wired.connection.outbound
    assert not wired.connection.wants_token


def test_a_token_that_nobody_wants_is_left_alone():
    wired = ready()
    wired.connection.token_fetched("t", 0)
    wired.connection.token_fetched(KafkaTimeoutError("a token", 1), 0)
    assert wired.state is S.READY


def test_it_is_used_when_something_is_sent_or_comes():
    wired = ready(now_ms=10)
    assert wired.connection.last_used_ms == 10
    wired.advance(5)
    assert wired.connection.last_used_ms == 10
    wired.end = SilentEnd()
    wired.ask("a")
    wired.pump()
    assert wired.connection.last_used_ms == 15
    wired.connection.data_received(metadata(1), 20)
    assert wired.connection.last_used_ms == 20


def test_an_observer_hears_of_all_frames_in_order():
    heard: list[tuple[bool, int]] = []
    wired = ready(observe=lambda sent, data: heard.append((sent, len(data))))
    wired.ask("a")
    wired.pump()
    assert [sent for sent, _ in heard] == [True, False, True, False]
    stream = wired.connection.stream
    assert sum(size for sent, size in heard if sent) == stream.bytes_sent
    assert sum(size for sent, size in heard if not sent) == stream.bytes_received


# Every split, every cut


def conversation(cut, limit: int | None = None) -> Wired:
    """Versions in two steps, three requests; broken off after so many bytes of the broker's."""
    server = broker()
    server.cluster.versions[ApiKey.API_VERSIONS] = range(4)
    left = [limit]

    def cut_off(data: bytes) -> bytes:
        if left[0] is None:
            return data
        kept = data[: left[0]]
        left[0] -= len(kept)
        return kept

    wired = Wired(server.connect(), cut=cut, tamper=cut_off).begin()
    for token in range(3):
        if wired.connection.can_send():
            wired.ask(token)
            wired.pump()
    return wired


HONEST = conversation(whole)
SIZE = HONEST.connection.stream.bytes_received


def test_f01_broken_off_after_any_byte_each_request_ends_once():
    for limit in range(SIZE + 1):
        wired = conversation(whole, limit)
        wired.connection.connection_lost(None, 0)
        wired.collect()
        known = [done for done in wired.ended.values() if done.error is None]
        assert [done.response for done in known] == [done.response for done in HONEST.ended.values()][: len(known)]
        assert list(wired.ended) == wired.sent
        assert (len(known) == 3) == (limit == SIZE)


@given(st.integers())
def test_f02_however_the_bytes_are_split_the_answers_are_the_same(seed):
    wired = conversation(random_pieces(Random(seed)))
    assert {token: done.response for token, done in wired.ended.items()} == {
        token: done.response for token, done in HONEST.ended.items()
    }
    assert wired.connection.stream.bytes_received == SIZE


def test_f02_byte_by_byte_the_answers_are_the_same():
    assert conversation(single).ended == HONEST.ended


def test_sasl_spoken_to_a_listener_without_it_is_told():
    wired = Wired(broker().connect(), **SASL).begin()
    assert "this is probably no SASL listener; set security_protocol" in wired.error


def test_no_login_where_one_is_wanted_is_told():
    wired = Wired(broker(sasl=SaslServer(users={"u": "pw"})).connect()).begin()
    assert wired.state is S.READY, "a broker tells its versions to anybody"
    wired.ask("a", ALL_TOPICS)
    wired.pump()
    assert "the listener may expect a login" in wired.error
