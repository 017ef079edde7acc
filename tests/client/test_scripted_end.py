"""A real Kafka and the scripted broker answer the same scripts alike, down to where the connection ends."""

from __future__ import annotations

from uuid import UUID

import pytest
import trustme
from brokers.kafka import USERS, secure_kafka
from brokers.wire_session import WireSession
from client.scripted_broker import SaslServer, ScriptedBroker, ScriptedCluster
from client.talk import ALL_TOPICS, VERSIONS, Talk

from kproto.wire import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    MetadataRequest,
    MetadataResponse,
    RequestHeader,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    frame,
)

pytestmark = [pytest.mark.broker, pytest.mark.java]

Asked = MetadataRequest.MetadataRequestTopic
ALICE = b"\0alice\0alice-secret"

# Scripts that a real Kafka and the scripted one have to answer alike: listener, then requests with their versions.
# A line of answers ends where the connection does.

HELLO = (VERSIONS, 3)
UNKNOWN_VERSION = frame(
    RequestHeader(request_api_key=18, request_api_version=99, correlation_id=7, client_id="x").encode(2) + b"\1\1\0"
)


def shake(mechanism, version=1):
    return SaslHandshakeRequest(mechanism=mechanism), version


def token(data):
    return SaslAuthenticateRequest(auth_bytes=data), 2


GOOD = token(ALICE)
SCRIPTS = {
    "metadata without login": ("SASL_PLAINTEXT", (ALL_TOPICS, 12)),
    "a token first": ("SASL_PLAINTEXT", GOOD),
    "versions twice": ("SASL_PLAINTEXT", HELLO, HELLO),
    "an unknown version, then versions": ("SASL_PLAINTEXT", UNKNOWN_VERSION, HELLO, shake("PLAIN")),
    "a mechanism that is off": ("SASL_PLAINTEXT", HELLO, shake("GSSAPI"), shake("PLAIN")),
    "PLAIN": ("SASL_PLAINTEXT", HELLO, shake("PLAIN"), GOOD, HELLO, HELLO, (ALL_TOPICS, 12)),
    "PLAIN with a wrong password": ("SASL_PLAINTEXT", shake("PLAIN"), token(b"\0alice\0x"), HELLO),
    "PLAIN with a part": ("SASL_PLAINTEXT", shake("PLAIN"), token(b"alice"), HELLO),
    "PLAIN for another": ("SASL_PLAINTEXT", shake("PLAIN"), token(b"bob\0alice\0alice-secret"), HELLO),
    "bare tokens": ("SASL_PLAINTEXT", shake("PLAIN", 0), frame(ALICE), (ALL_TOPICS, 12)),
    "a bare token that is wrong": ("SASL_PLAINTEXT", shake("PLAIN", 0), frame(b"\0alice\0x"), HELLO),
    "metadata instead of a token": ("SASL_PLAINTEXT", shake("PLAIN"), (ALL_TOPICS, 12), GOOD),
    "a handshake instead of a token": ("SASL_PLAINTEXT", shake("PLAIN"), shake("PLAIN"), GOOD),
    "SCRAM for nobody": ("SASL_PLAINTEXT", shake("SCRAM-SHA-256"), token(b"n,,n=eve,r=abc"), HELLO),
    "a bad bearer token": ("OAUTH", shake("OAUTHBEARER"), token(b"n,,\1auth=Bearer abc\1\1"), token(b"\1"), HELLO),
    "login again": ("SASL_PLAINTEXT", shake("PLAIN"), GOOD, shake("PLAIN"), GOOD, (ALL_TOPICS, 12)),
    "login again, half": ("SASL_PLAINTEXT", shake("PLAIN"), GOOD, shake("PLAIN"), (ALL_TOPICS, 12), GOOD),
    "login again as another": (
        "SASL_PLAINTEXT",
        *(shake("PLAIN"), GOOD, shake("PLAIN"), token(b"\0bob\0bob-secret"), (ALL_TOPICS, 12)),
    ),
    "login again in another way": (
        "SASL_PLAINTEXT",
        *(shake("PLAIN"), GOOD, shake("SCRAM-SHA-256"), token(b"n,,n=alice,r=abc"), HELLO),
    ),
    "login again in no way": ("SASL_PLAINTEXT", shake("PLAIN"), GOOD, shake("GSSAPI"), HELLO),
    "login where there is none": ("PLAINTEXT", shake("PLAIN"), GOOD, HELLO),
    "no software name": ("PLAINTEXT", (ApiVersionsRequest(), 3), (ALL_TOPICS, 1)),
    "another cluster": ("PLAINTEXT", (VERSIONS.replace(cluster_id="x", node_id=0), 5), HELLO),
    "a cluster and no node": ("PLAINTEXT", (VERSIONS.replace(cluster_id="x"), 5), HELLO),
    "topics that are not there": (
        "PLAINTEXT",
        (MetadataRequest(topics=[Asked(name="lost")], allow_auto_topic_creation=False), 13),
        (MetadataRequest(topics=[Asked(topic_id=UUID(int=5), name=None)]), 12),
        (MetadataRequest(topics=[Asked(topic_id=UUID(int=5), name=None)]), 10),
        (MetadataRequest(topics=[Asked(name="a b")]), 1),
    ),
}


def told(response):
    """What is compared: codes, messages, names; not the addresses, nor which APIs a broker has."""
    facts = {"error": getattr(response, "error_code", None), "lifetime": getattr(response, "session_lifetime_ms", 0)}
    if isinstance(response, MetadataResponse):
        facts["topics"] = [(topic.name, topic.topic_id, topic.error_code) for topic in response.topics]
        facts["brokers"] = [broker.node_id for broker in response.brokers]
    elif isinstance(response, ApiVersionsResponse):
        facts["some"] = bool(response.api_keys)
    elif isinstance(response, SaslAuthenticateResponse):
        facts |= {"message": response.error_message, "token": response.auth_bytes}
    else:
        facts["mechanisms"] = sorted(response.mechanisms)
    return facts


def answers(talk, script):
    lines = []
    try:
        for step in script:
            answer = talk.exchange(step).hex() if isinstance(step, bytes) else told(talk.ask(*step))
            lines.append(answer)  # not a comprehension: what came before the end counts
    except ConnectionError:
        lines.append("the end")
    return lines


SCRIPTED = {
    "PLAINTEXT": None,
    "SASL_PLAINTEXT": SaslServer(
        USERS, mechanisms=("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"), session_lifetime_ms=60_000
    ),
    "OAUTH": SaslServer(mechanisms=("OAUTHBEARER",), session_lifetime_ms=60_000),
}


def scripted(name):
    listener, *script = SCRIPTS[name]
    cluster = ScriptedCluster()
    return answers(Talk(ScriptedBroker(cluster, sasl=SCRIPTED[listener])), script)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    with secure_kafka(tmp_path_factory.mktemp("kafka"), trustme.CA(), reauth_ms=60_000) as started:
        yield started


@pytest.mark.parametrize("name", SCRIPTS)
def test_kafka_answers_the_same(kafka, name):
    listener, *script = SCRIPTS[name]
    with WireSession(kafka.address(listener)) as session:
        real = answers(session, script)
    assert real == scripted(name)
