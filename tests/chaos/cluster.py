"""A real Apache Kafka of three nodes, each a process that can be killed, paused, stopped and started again.

Each node is broker and controller. Clients come in by the listener CLIENT, which is advertised as the port of a proxy;
brokers, admin and reader use PLAINTEXT. Linux and macOS.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from brokers.jars import classpath
from brokers.kafka import ADMIN_SECONDS, LOG_TAIL, START_SECONDS, STOP_SECONDS, cluster_id
from chaos.ports import steady_ports
from chaos.schedule import NODES
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

SESSION_MS = 6000  # until the controller moves the leaders of a node that it hears nothing of; Kafka's default is 9000
WHOLE_SECONDS = 60
JAVA = ("java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
ENVIRONMENT = {**os.environ, "LC_ALL": "C"}


class Node:
    """One broker: a process, its ports and its folder. Not thread-safe."""

    def __init__(self, node_id: int, folder: Path) -> None:
        self.node_id = node_id
        self.port, self.controller_port, self.client_port = steady_ports(3)
        self.folder = folder / f"node-{node_id}"
        self.folder.mkdir()
        self.config = self.folder / "server.properties"
        self.log = self.folder / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    def format(self, properties: dict[str, str], cluster: str) -> subprocess.Popen[bytes]:
        """Write the configuration and format the log folder: a process that is under way."""
        self.config.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return self._run("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self.config))

    def start(self) -> None:
        """Start the process; it takes seconds until it serves. Nothing happens while it runs."""
        if not self.runs:
            self._process = self._run("kafka.Kafka", str(self.config))

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C is for the test run, which then ends the nodes in its own order.
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*JAVA, "-cp", classpath(), *command], stdout=log, stderr=log, env=ENVIRONMENT, start_new_session=True
            )

    @property
    def runs(self) -> bool:
        """Whether there is a process; a paused one counts."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9; returns when it is gone. A paused one is killed too."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def pause(self) -> None:
        """SIGSTOP: its connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM: it hands over its leaders, and ends some time later."""
        self._signal(signal.SIGTERM)

    def wait_stopped(self) -> None:
        """Until it has ended; it is killed when it takes too long."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
            self.kill()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)  # to a process that has ended: nothing

    def log_tail(self) -> str:
        """The end of what it has printed."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:] if self.log.exists() else ""


class KafkaCluster:
    """`with KafkaCluster(proxy.ports) as cluster:` starts three nodes, waits until all serve, and takes them away.

    advertised_ports: what the listener CLIENT of each node tells clients to connect to.
    Raises RuntimeError with the end of the nodes' logs where the cluster does not come up, or not back.
    """

    def __init__(self, advertised_ports: Sequence[int]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kproto-chaos-"))
        self.nodes = [Node(node_id, self.folder) for node_id in range(NODES)]
        self.advertised_ports = list(advertised_ports)
        self.bootstrap_servers = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self._admin: AdminClient | None = None

    def properties(self, node: Node) -> dict[str, str]:
        """server.properties of a node: what is acknowledged is on two of three, and no clock is as slow as Kafka's."""
        advertised = self.advertised_ports[node.node_id]
        return {
            "process.roles": "broker,controller",
            "node.id": str(node.node_id),
            "controller.quorum.voters": ",".join(f"{n.node_id}@127.0.0.1:{n.controller_port}" for n in self.nodes),
            "listeners": (
                f"PLAINTEXT://127.0.0.1:{node.port},CLIENT://127.0.0.1:{node.client_port},"
                f"CONTROLLER://127.0.0.1:{node.controller_port}"
            ),
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{node.port},CLIENT://127.0.0.1:{advertised}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(node.folder / "data"),
            "default.replication.factor": str(NODES),
            "min.insync.replicas": "2",
            "unclean.leader.election.enable": "false",
            "broker.session.timeout.ms": str(SESSION_MS),
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": str(NODES),
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": str(NODES),
            "log.index.size.max.bytes": "1048576",
            "log.segment.delete.delay.ms": "1000",
        }

    def __enter__(self) -> KafkaCluster:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        cluster = cluster_id()
        formatting = [node.format(self.properties(node), cluster) for node in self.nodes]
        codes = [one.wait(START_SECONDS) for one in formatting]  # of all of them, before their folder goes
        if any(codes):
            raise RuntimeError(f"StorageTool could not format the log folder:\n{self.log_tails()}")
        for node in self.nodes:
            node.start()
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        self.wait_whole(START_SECONDS)

    def create_topic(self, name: str, partitions: int) -> None:
        """Returns once all nodes hold every partition in sync. Partition p is led by node p modulo 3, in every run."""
        assert self._admin is not None
        replicas = [[(partition + place) % NODES for place in range(NODES)] for partition in range(partitions)]
        topic = NewTopic(name, num_partitions=partitions, replica_assignment=replicas)
        for created in self._admin.create_topics([topic]).values():
            created.result(timeout=ADMIN_SECONDS)
        self.wait_whole(WHOLE_SECONDS, name)

    def delete_topic(self, name: str) -> None:
        """Takes the data of a topic away, some time later."""
        assert self._admin is not None
        for deleted in self._admin.delete_topics([name]).values():
            deleted.result(timeout=ADMIN_SECONDS)

    def wait_whole(self, seconds: float, topic: str | None = None) -> None:
        """Until all nodes serve, and all of them are in sync for every partition of the topic."""
        if not self._poll(lambda: self._is_whole(topic), seconds):
            raise RuntimeError(f"the cluster is not whole after {seconds:.0f} s:\n{self.log_tails()}")

    def _is_whole(self, topic: str | None) -> bool:
        assert self._admin is not None
        metadata = self._admin.list_topics(topic=topic, timeout=2)
        partitions = [] if topic is None else list(metadata.topics[topic].partitions.values())
        in_sync = all(len(one.isrs) == NODES and one.leader >= 0 for one in partitions)
        return len(metadata.brokers) == NODES and in_sync and bool(partitions or topic is None)

    def _poll(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Ask until it is so; false where time runs out or a node has ended. An error of Kafka's is "not yet"."""
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while time.monotonic() < deadline and all(node.runs for node in self.nodes):
            with suppress(KafkaException):
                if ready():
                    return True
            pause.wait(0.1)
        return False

    def log_tails(self) -> str:
        """The end of what each node has printed."""
        return "\n".join(f"node {node.node_id}:\n{node.log_tail()}" for node in self.nodes)

    def close(self) -> None:
        """Kill the nodes and remove their data. May be called again."""
        self._admin = None
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
