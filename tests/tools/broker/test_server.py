"""Ports, time and bytes; `test_broker.py` has the whole."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest
from tools.broker.talking import SocketTalk
from tools.judge.judging import batch, fetch_request, metadata_request, produce_request

from kproto.tools.broker.broker import Broker
from kproto.tools.broker.server import JudgeServer, ServerError, address
from kproto.tools.judge import Fault, JudgeCluster
from kproto.wire import ApiKey, ApiVersionsRequest, ErrorCode, encode_request


def test_addresses():
    assert (address("me", 1), address("::1", 2)) == ("me:1", "[::1]:2")


def test_each_node_has_its_port():
    with Broker({"orders": 2}, nodes=2) as broker:
        addresses = broker.bootstrap_servers.split(",")
        for node, one in enumerate(addresses):
            with SocketTalk(one) as talk:
                answer = talk.ask(metadata_request("orders"), 12)
                assert [f"{each.host}:{each.port}" for each in answer.brokers] == addresses
                code = talk.ask(produce_request({"orders": {node: batch()}}), 12).responses[0].partition_responses[0]
                assert code.error_code == 0


def test_clients_are_told_another_host():
    with Broker(host="127.0.0.1", advertised="judge.test") as broker:
        assert broker.bootstrap_servers.startswith("judge.test:")
    assert JudgeServer(JudgeCluster(1), "0.0.0.0").advertised == "localhost"


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"127.0.0.1:{port}"):
            Broker(port=port).__enter__()
        with pytest.raises(ServerError, match=f"control channel at 127.0.0.1:{port}"):
            Broker(control=port).__enter__()


def test_a_delayed_answer_comes_by_itself():
    with Broker({"orders": 1}) as broker, SocketTalk(broker.bootstrap_servers) as talk:
        broker.faults.delay(30)
        began = time.monotonic()
        assert talk.ask(produce_request({"orders": {0: batch()}}), 12).responses
        assert time.monotonic() - began >= 0.029


def test_a_fetch_waits_for_records():
    with Broker({"orders": 1}) as broker, SocketTalk(broker.bootstrap_servers) as reader:
        reader.tell(fetch_request(("orders", 0, 0), max_wait_ms=20_000), 12)
        with SocketTalk(broker.bootstrap_servers) as writer:
            writer.ask(produce_request({"orders": {0: batch()}}), 12)
        began = time.monotonic()
        assert reader.payload()
        assert time.monotonic() - began < 10


def test_changes_go_out_at_once():
    with Broker() as broker, SocketTalk(broker.bootstrap_servers) as talk:
        talk.ask(ApiVersionsRequest(), 0)
        broker.do("close_connections")
        with pytest.raises(ConnectionError):
            talk.payload()


def test_steps_of_a_plan_happen():
    steps = [{"at_ms": 0, "do": "create_topic", "topic": "late"}, {"at_ms": 1, "do": "delete_topic", "topic": "lost"}]
    with Broker(plan={"steps": steps}, strict=False) as broker:
        deadline = time.monotonic() + 20
        while not broker.violations() and time.monotonic() < deadline:
            time.sleep(0.002)
        assert "late" in broker.do("state")["topics"]
        (only,) = broker.violations()
        assert "a step of the plan failed" in only and "topic: not 'lost'" in only


def test_a_defect_of_the_judge_is_told():
    with Broker({"orders": 1}, strict=False) as broker, SocketTalk(broker.bootstrap_servers) as talk:

        def broken(seen):
            raise RuntimeError("a defect")

        broker.cluster.faults.injector = broken
        talk.tell(ApiVersionsRequest(), 0)
        with pytest.raises(ConnectionError):
            talk.payload()
        assert "the judge itself failed: RuntimeError('a defect')" in broker.violations()[0]


def test_a_client_that_sends_and_does_not_wait_is_read_no_more():
    """So what the broker holds is bounded."""
    cluster = JudgeCluster(1, {"orders": 1})
    cluster.fail(ApiKey.PRODUCE, Fault.delay(3_000_000))

    async def run():
        server = JudgeServer(cluster)
        await server.start()
        (one,) = cluster.image.nodes.values()
        _, writer = await asyncio.open_connection(one.host, one.port)
        data = produce_request({"orders": {0: batch(value=bytes(50_000))}})
        frame = encode_request(data, 12, correlation_id=1, client_id="")
        writer.transport.set_write_buffer_limits(0)
        sent = 0
        try:
            while sent < 10_000:
                writer.write(frame)
                await asyncio.wait_for(writer.drain(), 0.3)
                sent += 1
        except TimeoutError:
            pass
        behind = cluster.brokers[0].connections[0].behind
        writer.transport.abort()
        await server.stop()
        await server.stop()
        return sent, behind

    sent, behind = asyncio.run(run())
    assert sent < 1_000
    assert behind < 100


def test_the_clock_is_the_walls():
    with Broker({"orders": 1}) as broker, SocketTalk(broker.bootstrap_servers) as talk:
        broker.do("configure", topic="orders", log_append_time=True)
        talk.ask(produce_request({"orders": {0: batch()}}), 12)
        (record,) = broker.records("orders")
        assert abs(record.timestamp - time.time() * 1000) < 60_000


def test_unknown_topics_are_made_if_they_shall_be():
    with Broker(auto_create=None) as broker, SocketTalk(broker.bootstrap_servers) as talk:
        for _ in range(2):
            answer = talk.ask(metadata_request("new", auto_create=True), 12)
            assert answer.topics[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
