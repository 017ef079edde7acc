"""A real Apache Kafka of one node, from its published jars, on free ports of the loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path
from types import TracebackType

from brokers.jars import classpath
from confluent_kafka.admin import AdminClient, NewTopic

START_SECONDS = 120
STOP_SECONDS = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cluster_id() -> str:
    """22 characters that StorageTool takes; one that begins with - would be an option."""
    while True:
        made = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made


class ApacheKafka:
    """`with ApacheKafka() as kafka:` starts a broker, waits until it answers, and takes all of it away at the end."""

    def __init__(self) -> None:
        self.port = free_port()
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self.folder = Path(tempfile.mkdtemp(prefix="kproto-kafka-"))
        self.log = self.folder / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    def properties(self) -> dict[str, str]:
        controller = free_port()
        return {
            "process.roles": "broker,controller",
            "node.id": "0",
            "controller.quorum.voters": f"0@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "num.partitions": "3",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.index.size.max.bytes": "1048576",
        }

    def __enter__(self) -> ApacheKafka:
        config = self.folder / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in self.properties().items()))
        java = ["java", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath()]
        formatting = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(config)]
        try:
            subprocess.run(formatting, check=True, capture_output=True, timeout=START_SECONDS)
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(
                    [*java[:1], "-Xmx512m", *java[1:], "kafka.Kafka", str(config)],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "LC_ALL": "C"},
                )
            self._wait_until_it_answers()
        except BaseException:
            self.close()
            raise
        return self

    def _wait_until_it_answers(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        deadline = time.monotonic() + START_SECONDS
        pause = threading.Event()
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except Exception:  # not yet: the client's own error for a refused connection
                pause.wait(0.1)
        tail = self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""
        raise RuntimeError(f"Apache Kafka did not answer on {self.bootstrap_servers}; the end of its log:\n{tail}")

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Returns once the topic exists."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        for future in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
            future.result(timeout=30)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
