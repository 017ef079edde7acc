"""Every way into a secure Kafka is open to librdkafka, and to nobody else."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode

import pytest
import trustme
from brokers.kafka import SECURE_LISTENERS, secure_kafka
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

pytestmark = [pytest.mark.broker, pytest.mark.java]

AUTHORITY = trustme.CA()
ALICE = {"sasl.username": "alice", "sasl.password": "alice-secret"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("secure")
    AUTHORITY.cert_pem.write_to_path(made / "ca.pem")
    AUTHORITY.issue_cert("alice@example.org").private_key_and_cert_chain_pem.write_to_path(made / "alice.pem")
    return made


@pytest.fixture(scope="module")
def kafka(folder):
    with secure_kafka(folder, AUTHORITY, reauth_ms=60_000) as started:
        yield started


def unsecured_token(_):
    """RFC 7515 with "alg": "none", and when it ends, in seconds since the epoch."""
    now = time.time()
    parts = ({"alg": "none"}, {"sub": "alice", "iat": now, "exp": now + 3600})
    token = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{token}.", now + 3600


def nodes(kafka, listener, **settings):
    """The brokers that a client finds through a listener."""
    admin = AdminClient({"bootstrap.servers": kafka.address(listener), "log_level": 0, **settings})
    admin.poll(0)
    return list(admin.list_topics(timeout=10).brokers)


@pytest.mark.parametrize("listener", ["PLAINTEXT", *SECURE_LISTENERS])
@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_listener_lets_in_who_has_what_it_asks_for(kafka, folder, listener, mechanism):
    settings = {"security.protocol": SECURE_LISTENERS.get(listener, "PLAINTEXT")}
    if settings["security.protocol"].endswith("SSL"):
        settings["ssl.ca.location"] = str(folder / "ca.pem")
    if listener == "MTLS":
        settings |= {name: str(folder / "alice.pem") for name in ("ssl.certificate.location", "ssl.key.location")}
    if listener.startswith("OAUTH"):
        settings |= {"sasl.mechanism": "OAUTHBEARER", "oauth_cb": unsecured_token}
    elif listener.startswith("SASL"):
        settings |= {"sasl.mechanism": mechanism, **ALICE}
    assert nodes(kafka, listener, **settings) == [0]


def test_a_listener_keeps_out_who_has_not(kafka, folder):
    ca = {"ssl.ca.location": str(folder / "ca.pem")}
    wrong = {"sasl.mechanism": "PLAIN", **ALICE, "sasl.password": "wrong"}
    for listener, settings in (("SSL", {}), ("MTLS", ca), ("SASL_PLAINTEXT", wrong)):
        protocol = {"security.protocol": SECURE_LISTENERS[listener]}
        admin = AdminClient(
            {"bootstrap.servers": kafka.address(listener), "log_level": 0, "error_cb": str, **protocol, **settings}
        )
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
