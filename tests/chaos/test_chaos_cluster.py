"""The cluster of chaos, and whole rounds on it. Needs Java and Maven, and a minute or two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from brokers.jars import classpath
from chaos.cluster import KafkaCluster
from chaos.contenders import DEFAULT, SHORT
from chaos.proxy import Proxy
from chaos.rounds import run_round
from chaos.schedule import NODES, schedule_of
from confluent_kafka import Producer

pytestmark = [pytest.mark.broker, pytest.mark.java]

TESTS = Path(__file__).parents[1]
LOAD_MS = 4000


@pytest.fixture(scope="module")
def proxy():
    with Proxy() as made:
        yield made


@pytest.fixture(scope="module")
def cluster(proxy):
    with KafkaCluster(proxy.ports) as made:
        proxy.forward([node.client_port for node in made.nodes])
        yield made
        made.nodes[0].pause()
    assert not made.folder.exists() and not any(node.runs for node in made.nodes)
    made.close()


def produce(servers, topic, count=10):
    """How many records were not delivered in time."""
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "log_level": 0})
    for _ in range(count):
        producer.produce(topic, b"value")
    return producer.flush(30)


def test_clients_come_in_by_the_proxy_only(cluster, proxy):
    cluster.create_topic("by-proxy", 2 * NODES)
    before = proxy.accepted()
    assert produce(proxy.bootstrap_servers, "by-proxy", 100) == 0
    between = proxy.accepted()
    assert produce(cluster.bootstrap_servers, "by-proxy", 100) == 0
    assert between > before and proxy.accepted() == between


def test_a_node_that_is_killed_leaves_the_others_at_work_and_comes_back(cluster):
    cluster.create_topic("killed", 2 * NODES)
    node = cluster.nodes[1]
    node.kill()
    assert not node.runs
    assert produce(cluster.bootstrap_servers, "killed") == 0
    node.start()
    cluster.wait_whole(60, "killed")
    assert node.runs


@pytest.mark.parametrize(("seed", "timeouts"), [(0, SHORT), (1, DEFAULT), (2, SHORT)])
def test_java_is_clean_in_a_round(cluster, proxy, seed, timeouts):
    """The harness finds nothing where there is nothing to find."""
    made = run_round(cluster, proxy, "java", timeouts, schedule_of(seed, LOAD_MS))
    assert made.findings == {}, f"{made.verdict}\n{made.schedule}"
    assert made.verdict.acked + made.verdict.failed + made.verdict.refused >= LOAD_MS * 3


def test_a_cluster_that_does_not_come_up_tells_why(monkeypatch):
    monkeypatch.setattr(KafkaCluster, "properties", lambda cluster, node: {"process.roles": "broker"})
    with pytest.raises(RuntimeError, match=r"(?s)StorageTool could not format.*node 0"), KafkaCluster([1, 2, 3]):
        pass


def test_an_interrupted_run_takes_its_brokers_with_it(tmp_path):
    classpath()  # skips without Java
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    arguments = ["-W", "ignore", "-m", "chaos", "--contender", "java", "--load-ms", "1000", "--rounds", "9"]
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, env=environment) as run:
        lines = [run.stdout.readline(), run.stdout.readline()]  # the seeds, then a round
        assert lines[1].startswith("clean")
        run.send_signal(signal.SIGTERM)  # which is taken as Ctrl-C is
        assert "java" in run.stdout.read()  # the summary of what was done
        assert run.wait(30) == 130
    assert list(tmp_path.iterdir()) == []
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, check=False)
    assert left.stdout == b""
