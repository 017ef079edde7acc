"""Odd brokers, in words that name the next step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.connection_state import ConnectionState
from kproto.client.diagnosis import GREETINGS, advertised_hint, lost, not_kafka, surplus
from kproto.client.errors import KafkaConnectionError, NotKafkaError
from kproto.wire import BadCount

ERROR = BadCount("frame", 0, "a length of 0 to 100", "1213486160")
STATES = st.sampled_from(ConnectionState)


@pytest.mark.parametrize(
    ("first_bytes", "said"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x50", "the listener speaks TLS: set security_protocol to SSL or SASL_SSL"),
        (b"\x16\x03\x01\x02\x00", "the listener speaks TLS: set security_protocol to SSL or SASL_SSL"),
        (b"HTTP/1.1 400 Bad Request", "an HTTP server answers: this is not the port of a Kafka listener"),
        (b"<html>", "a web server answers: this is not the port of a Kafka listener"),
        (b"SSH-2.0-OpenSSH_9.6", "an SSH server answers: this is not the port of a Kafka listener"),
        (b"220 mail ESMTP", "a mail or FTP server answers: this is not the port of a Kafka listener"),
        (b"", f"what came is no answer of Kafka's: {ERROR}"),
        (b"\x00\x00\x00\x05HTTP/", f"what came is no answer of Kafka's: {ERROR}"),
    ],
)
def test_f03_the_first_bytes_tell_who_answers(first_bytes, said):
    error = not_kafka("b:9092", first_bytes, ERROR)
    assert type(error) is NotKafkaError
    assert str(error) == f"b:9092: {said}"


@given(st.sampled_from([greeting for greeting, _ in GREETINGS]), st.binary(max_size=20))
def test_f03_what_follows_a_greeting_does_not_matter(greeting, rest):
    assert not_kafka("b:9092", greeting, ERROR).reason == not_kafka("b:9092", greeting + rest, ERROR).reason


def died(state, reason=None, unanswered=0, *, encrypted=False, at_first_request=False, **more) -> str:
    error = lost("b:9092", state, reason, unanswered, encrypted=encrypted, at_first_request=at_first_request, **more)
    assert type(error) is KafkaConnectionError
    assert error.retriable
    assert error.address == "b:9092"
    return error.reason


TLS = "; the listener may expect TLS (security_protocol=SSL), or is none of Kafka's"
LOGIN = "; the listener may expect a login: set security_protocol to SASL_PLAINTEXT or SASL_SSL, and sasl_mechanism"


@pytest.mark.parametrize(
    ("state", "more", "said"),
    [
        ("CONNECTING", {}, "the broker closed the connection at once"),
        ("CONNECTING", {"reason": "Connection refused"}, "Connection refused"),
        ("TLS_HANDSHAKE", {}, "the broker closed the connection during the TLS handshake"),
        ("TLS_HANDSHAKE", {"reason": "reset"}, "reset during the TLS handshake"),
        (
            "AUTHENTICATING",
            {},
            "the broker closed the connection during the login; the listener may not be one for SASL, or expect TLS: "
            "see security_protocol",
        ),
        (
            "AUTHENTICATING",
            {"agreed": True},
            "the broker closed the connection during the login; it may not be able to read the credentials: check "
            "them, and the broker's log",
        ),
        ("CHECKING_API_VERSIONS", {}, f"the broker closed the connection instead of an answer to ApiVersions{TLS}"),
        ("CHECKING_API_VERSIONS", {"reason": "reset", "encrypted": True}, "reset instead of an answer to ApiVersions"),
        ("READY", {}, "the broker closed the connection while it was idle"),
        ("READY", {"unanswered": 1}, "the broker closed the connection with 1 unanswered request"),
        ("READY", {"unanswered": 2, "reason": "reset"}, "reset with 2 unanswered requests"),
        ("THROTTLED", {"unanswered": 3}, "the broker closed the connection with 3 unanswered requests"),
        ("REAUTHENTICATING", {"unanswered": 1}, "the broker closed the connection with 1 unanswered request"),
        (
            "READY",
            {"unanswered": 1, "at_first_request": True},
            f"the broker closed the connection with 1 unanswered request{LOGIN}",
        ),
    ],
)
def test_the_state_tells_what_the_end_means(state, more, said):
    assert died(ConnectionState[state], **more) == said


@given(STATES, st.none() | st.text(min_size=1), st.integers(0, 9), st.booleans(), st.booleans())
def test_what_the_system_says_is_never_left_out(state, reason, unanswered, encrypted, at_first_request):
    text = died(state, reason, unanswered, encrypted=encrypted, at_first_request=at_first_request)
    assert text.startswith("the broker closed the connection" if reason is None else reason)


def test_the_hint_names_the_address_the_origin_and_the_setting():
    assert advertised_hint("b7:9092", "localhost:9092") == (
        "b7:9092 is what the cluster, asked at localhost:9092, advertises for this node: if it is wrong from here, "
        "set advertised.listeners on the broker"
    )


def test_f11_a_warning_about_bytes_behind_answers_names_the_address_and_the_next_step():
    assert surplus("b7:9092") == (
        "b7:9092: bytes follow its answers that their versions do not have, and are ignored. Apache Kafka writes "
        "none: the broker, or a proxy before it, may not keep to the versions that it offers; if answers look wrong, "
        "tell its makers"
    )
