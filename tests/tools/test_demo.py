"""The demonstration on the judge, read back by a reader that is given; tests/brokers has the whole."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from tools.judge_server import JudgeServer

from kproto.tools import demo as demo_module
from kproto.tools.demo import Demo
from kproto.tools.judge import Fault
from kproto.tools.read_back import ReadBack
from kproto.wire import ApiKey, ErrorCode

RECORDS = 700


class Reader:
    """In place of librdkafka: makes the topic at the judge, and reads the judge's log."""

    def __init__(self, server, lose=0):
        self.server = server
        self.lose = lose
        self.deleted = []

    def __call__(self, settings):
        assert settings["bootstrap_servers"] == self.server.bootstrap_servers
        return self

    def create_topic(self, name, partitions):
        self.server.loopback.call(lambda: self.server.cluster.create_topic(name, partitions))

    def delete_topic(self, name):
        self.deleted.append(name)

    def read(self, topic, ends, progress):
        for partition, end in ends.items():
            for record in self.server.records(topic, partition)[self.lose : end]:
                yield ReadBack(partition, record.offset, record.key, record.value)
        progress(RECORDS)


@pytest.fixture
def server():
    with JudgeServer({}) as made:
        yield made


def shown(server, monkeypatch, reader, terminal=False, **settings):
    monkeypatch.setattr(demo_module, "Librdkafka", reader)
    out = io.StringIO()
    console = Console(file=out, width=200, force_terminal=terminal, color_system=None)
    code = Demo(console, {"bootstrap_servers": server.bootstrap_servers, **settings}, RECORDS).run()
    return code, out.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_all_of_it(server, monkeypatch, terminal):
    reader = Reader(server)
    code, text = shown(server, monkeypatch, reader, terminal)
    assert code == 0
    assert f"700 lines of an access log to the cluster at {server.bootstrap_servers}, idempotently" in text
    assert "700 records delivered: " in text
    assert "recorded; --record FILE keeps them for Wireshark" in text
    assert "InitProducerId 5 request" in text
    assert "Produce 1" in text
    assert "#n batch of a partition" in text
    for check in ("all acknowledged", "all read back", "none twice", "in order", "where the producer said"):
        assert f"{check} " in text
    assert text.count("yes") == 5
    assert text.rstrip().endswith("s in all")
    assert len(reader.deleted) == 1


def test_a_lost_record_is_found(server, monkeypatch):
    code, text = shown(server, monkeypatch, Reader(server, lose=1))
    assert code == 1
    assert "697 read, 3 missing" in text
    assert text.count("NO") >= 2


def test_what_is_not_delivered_ends_it(server, monkeypatch):
    fault = Fault.error(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    server.loopback.call(lambda: server.cluster.fail(ApiKey.PRODUCE, fault, times=None))
    reader = Reader(server)
    code, text = shown(server, monkeypatch, reader)
    assert code == 1
    assert "700 records were not delivered" in text
    assert "Read back" not in text
    assert len(reader.deleted) == 1


def test_the_recording_can_be_kept(server, monkeypatch, tmp_path):
    monkeypatch.setattr(demo_module, "Librdkafka", Reader(server))
    out = io.StringIO()
    path = tmp_path / "session.pcapng"
    settings = {"bootstrap_servers": server.bootstrap_servers}
    assert Demo(Console(file=out, width=200), settings, 10, path).run() == 0
    assert f"in {path}, for Wireshark" in out.getvalue()
    assert path.stat().st_size > 1000
