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
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

import trustme
from brokers.jars import classpath
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

START_SECONDS = 120
STOP_SECONDS = 30
ADMIN_SECONDS = 30
LOG_TAIL = 3000  # characters of its log that a failure shows
SECURE_LISTENERS = {  # beside PLAINTEXT
    "SSL": "SSL",
    "MTLS": "SSL",  # the client has to show a certificate
    "SASL_PLAINTEXT": "SASL_PLAINTEXT",
    "SASL_SSL": "SASL_SSL",
    "OAUTH": "SASL_PLAINTEXT",
    "OAUTH_SSL": "SASL_SSL",
}
USERS = {"alice": "alice-secret", "bob": "bob-secret"}
SECURITY = "org.apache.kafka.common.security"


def free_ports(count: int) -> list[int]:
    """Ports of the loopback, each a different one: all are held until the last is found."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def cluster_id() -> str:
    """22 characters that StorageTool takes; one that begins with - would be an option."""
    while True:
        made = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not made.startswith("-"):
            return made


class ApacheKafka:
    """`with ApacheKafka() as kafka:` starts a broker, waits until it answers, and takes all of it away at the end.

    listeners: beside PLAINTEXT, name -> security protocol, such as {"OAUTH": "SASL_PLAINTEXT"}; `address` says where.
    settings: lines of server.properties that are added, or that replace the ones here.
    scram: user -> password, for both SCRAM mechanisms.
    Raises RuntimeError with the end of the broker's log where it does not come up.
    """

    def __init__(
        self,
        *,
        listeners: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
        scram: Mapping[str, str] | None = None,
    ) -> None:
        self.protocols = {"PLAINTEXT": "PLAINTEXT", **(listeners or {})}
        self.controller_port, *ports = free_ports(1 + len(self.protocols))
        self.ports = dict(zip(self.protocols, ports, strict=True))
        self.port = self.ports["PLAINTEXT"]
        self.bootstrap_servers = f"127.0.0.1:{self.port}"
        self.settings = dict(settings or {})
        self.scram = dict(scram or {})
        self.folder = Path(tempfile.mkdtemp(prefix="kproto-kafka-"))
        self.log = self.folder / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, listener: str) -> str:
        """The bootstrap server of a listener; the name is localhost, as certificates have it."""
        return f"localhost:{self.ports[listener]}"

    def properties(self) -> dict[str, str]:
        """server.properties: one node that is broker and controller, all replication factors 1."""
        advertised = {name: f"{name}://localhost:{port}" for name, port in self.ports.items()}
        advertised["PLAINTEXT"] = f"PLAINTEXT://{self.bootstrap_servers}"
        open_at = ",".join(f"{name}://127.0.0.1:{port}" for name, port in self.ports.items())
        protocols = ",".join(f"{name}:{protocol}" for name, protocol in self.protocols.items())
        return {
            "process.roles": "broker,controller",
            "node.id": "0",
            "controller.quorum.voters": f"0@127.0.0.1:{self.controller_port}",
            "listeners": f"{open_at},CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": ",".join(advertised.values()),
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "num.partitions": "3",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "log.index.size.max.bytes": "1048576",
            **self.settings,
        }

    def __enter__(self) -> ApacheKafka:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        config = self.folder / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in self.properties().items()))
        java = ["java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath()]
        formatting = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id(), "-c", str(config)]
        for user, password in self.scram.items():
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512"):
                formatting += ["--add-scram", f"{mechanism}=[name={user},password={password}]"]
        # In English, and with the same tools' messages, wherever it runs.
        environment = {**os.environ, "LC_ALL": "C"}
        with self.log.open("wb") as log:
            formatted = subprocess.run(
                formatting, stdout=log, stderr=log, env=environment, timeout=START_SECONDS, check=False
            )
            if formatted.returncode:
                raise RuntimeError(f"StorageTool could not format the log folder:\n{self.log_tail()}")
            self._process = subprocess.Popen(
                [*java, "kafka.Kafka", str(config)], stdout=log, stderr=log, env=environment
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        if not self._poll(lambda: bool(admin.list_topics(timeout=1).brokers), START_SECONDS):
            raise RuntimeError(f"Apache Kafka did not answer on {self.bootstrap_servers}:\n{self.log_tail()}")

    def _poll(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Ask until it is ready; false where time runs out or the broker ends. An error of Kafka's is "not yet"."""
        deadline = time.monotonic() + seconds
        pause = threading.Event()
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            with suppress(KafkaException):
                if ready():
                    return True
            pause.wait(0.02)
        return False

    def log_tail(self) -> str:
        """The end of what the broker has printed."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:]

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> None:
        """Returns once every partition is served by its leader: the controller's answer comes a moment before that."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        for created in admin.create_topics([NewTopic(name, partitions, 1, config=config)]).values():
            created.result(timeout=ADMIN_SECONDS)
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "created", "log_level": 0})

        def served() -> bool:
            for index in range(partitions):
                consumer.get_watermark_offsets(TopicPartition(name, index), timeout=ADMIN_SECONDS)
            return True

        try:
            if not self._poll(served, ADMIN_SECONDS):
                raise RuntimeError(f"nobody leads {name} after {ADMIN_SECONDS} s:\n{self.log_tail()}")
        finally:
            consumer.close()

    def close(self) -> None:
        """End the broker with SIGTERM, or kill it when it takes too long; remove its data. May be called again."""
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


def secure_kafka(folder: Path, authority: trustme.CA, *, reauth_ms: int = 0) -> ApacheKafka:
    """A broker with all ways in: PLAINTEXT, and those of SECURE_LISTENERS; not yet started.

    PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 know USERS; OAUTHBEARER takes unsecured tokens (RFC 7515, "alg": "none").
    folder: for its keystore. authority: signs its certificate, for localhost and 127.0.0.1, and is the one that MTLS
    trusts. reauth_ms: connections.max.reauth.ms; 0 for sessions without end.
    """
    settings = {
        **_keystore(folder, authority),
        "listener.name.mtls.ssl.client.auth": "required",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "connections.max.reauth.ms": str(reauth_ms),
    }
    users = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
    for listener in ("sasl_plaintext", "sasl_ssl"):
        jaas = f"listener.name.{listener}"
        settings[f"{jaas}.plain.sasl.jaas.config"] = f"{SECURITY}.plain.PlainLoginModule required {users};"
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            settings[f"{jaas}.{mechanism}.sasl.jaas.config"] = f"{SECURITY}.scram.ScramLoginModule required;"
    for listener in ("oauth", "oauth_ssl"):
        settings[f"listener.name.{listener}.sasl.enabled.mechanisms"] = "OAUTHBEARER"
        settings[f"listener.name.{listener}.oauthbearer.sasl.jaas.config"] = (
            f'{SECURITY}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="admin";'
        )
    return ApacheKafka(listeners=SECURE_LISTENERS, settings=settings, scram=USERS)


def _keystore(folder: Path, authority: trustme.CA) -> dict[str, str]:
    """Kafka reads PEM, but of private keys only PKCS #8, which is not what trustme writes."""
    issued = authority.issue_cert("localhost", "127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    keystore, truststore = folder / "keystore.pem", folder / "truststore.pem"
    keystore.write_bytes(pem + b"".join(part.bytes() for part in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(truststore)
    return {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(truststore),
    }
