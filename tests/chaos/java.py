"""Kafka's own producer as a contender: a JVM that runs ChaosProducer.java."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from brokers.jars import classpath
from chaos.records import SentRecord

SOURCE = Path(__file__).with_name("ChaosProducer.java")
START_SECONDS = 60  # the JVM compiles the source
CLOSE_SECONDS = 30


class JavaProducer:
    """One JVM with one producer. Raises RuntimeError where it does not come up; used by one thread."""

    def __init__(self, servers: str, topic: str, settings: Mapping[str, int]) -> None:
        configuration = {"bootstrap.servers": servers, "acks": "all", "enable.idempotence": "true", **settings}
        self._records: dict[str, SentRecord] = {}
        self._numbers = count()
        self._ready = threading.Event()
        self._jvm = subprocess.Popen(
            [
                *("java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classpath(), str(SOURCE)),
                *(topic, *(f"{name}={value}" for name, value in configuration.items())),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="java-answers", daemon=True)
        self._reader.start()
        if not self._ready.wait(START_SECONDS):
            self._jvm.kill()
            raise RuntimeError(f"{SOURCE.name} did not begin: run it by hand to see why")

    def send(self, record: SentRecord) -> None:
        number = str(next(self._numbers))
        self._records[number] = record
        assert self._jvm.stdin is not None
        try:
            self._jvm.stdin.write(b"%s %d %s\n" % (number.encode(), record.partition, record.value))
            self._jvm.stdin.flush()
        except OSError as error:
            record.refused = repr(error)

    def _read(self) -> None:
        assert self._jvm.stdout is not None
        for line in self._jvm.stdout:
            match line.decode("ascii").split():
                case ["acked", number, offset]:
                    self._records[number].acked(int(offset))
                case ["failed", number, error]:
                    self._records[number].failed(error)
                case ["refused", number, error]:
                    self._records[number].refused = error
                case ["ready"]:
                    self._ready.set()
        self._ready.set()  # also of a JVM that died: the first record is refused

    def close(self) -> None:
        """Records that it abandons fail; the JVM is killed when it takes too long."""
        assert self._jvm.stdin is not None and self._jvm.stdout is not None
        with suppress(OSError):
            self._jvm.stdin.write(b"close\n")
        with suppress(OSError):
            self._jvm.stdin.close()
        try:
            self._jvm.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._jvm.kill()
            self._jvm.wait()
        self._reader.join(CLOSE_SECONDS)
        self._jvm.stdout.close()
