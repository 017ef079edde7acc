"""Kafka's own classes as a judge of bytes: one JVM that runs KafkaJudge.java, asked line by line.

`with Judge() as judge:` starts it, a second or two; then an answer takes well under a millisecond. Kafka's JSON has
camelCase keys, bytes as base64, uuids as base64 in the URL's alphabet without padding, and no unknown tags. A records
field is base64 for `encode`, yet `decode` says "" whatever it holds: `recode` and `batch` see its bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn

from brokers.jars import classpath

SOURCE = Path(__file__).with_name("KafkaJudge.java")
ANSWER_SECONDS = 60  # the first answer waits for the JVM to compile the source
WRITE_DEFAULTS: dict[str, Any] = {
    "base_offset": 0,
    "log_append_time": None,
    "producer_id": -1,
    "producer_epoch": -1,
    "base_sequence": -1,
    "transactional": False,
    "partition_leader_epoch": -1,
}


class JudgeError(Exception):
    """Kafka's classes refused: `kind` is the simple name of the Java exception."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class JudgeDied(Exception):
    """The JVM ended, or was ended because it did not answer in time. The text holds the end of its log."""


class ErrorRow(NamedTuple):
    """A row of org.apache.kafka.common.protocol.Errors."""

    code: int
    name: str
    retriable: bool
    invalid_metadata: bool


class ApiRow(NamedTuple):
    """A row of org.apache.kafka.common.protocol.ApiKeys; `versions` is empty for an API that is retired.

    header_versions: for each version that of its request header, and that of its response header.
    """

    key: int
    name: str
    message_name: str
    versions: range
    header_versions: dict[int, tuple[int, int]]


class Judge:
    """One question at a time; not thread-safe. Raises JudgeError for what Kafka refuses, JudgeDied for a dead JVM."""

    def __init__(self) -> None:
        command = ["java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", classpath(), str(SOURCE)]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._jvm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log)

    def __enter__(self) -> Judge:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def encode(self, message: str, version: int, fields: dict[str, Any]) -> bytes:
        """The body that Kafka writes for a message, such as "MetadataRequest", given as Kafka's JSON."""
        return bytes.fromhex(self._ask("encode", message, version, json.dumps(fields)))

    def decode(self, message: str, version: int, data: bytes) -> dict[str, Any]:
        """The message that Kafka reads, as Kafka's JSON. Raises JudgeError("TrailingBytes") where bytes remain."""
        found, remaining = self.decode_prefix(message, version, data)
        if remaining:
            raise JudgeError("TrailingBytes", f"{remaining} bytes remain after {message} v{version}")
        return found

    def decode_prefix(self, message: str, version: int, data: bytes) -> tuple[dict[str, Any], int]:
        """The message as Kafka's JSON, and how many bytes remain."""
        answer = json.loads(self._ask("decode", message, version, data.hex()))
        return answer["message"], answer["remaining"]

    def recode(self, message: str, version: int, data: bytes) -> bytes:
        """Read by Kafka and written again: the bytes themselves, where they are as Kafka would write them."""
        return bytes.fromhex(self._ask("recode", message, version, data.hex()))

    def batch(self, data: bytes) -> list[dict[str, Any]]:
        """The record batches that Kafka reads, each checked by `ensureValid`, with the fields of its header.

        Each of "records" is [offset, timestamp, key, value, [[key, value] of each header]], bytes as bytes or None.
        """
        batches: list[dict[str, Any]] = json.loads(self._ask("batch", data.hex()))
        for batch in batches:
            batch["records"] = [
                [offset, timestamp, _bytes(key), _bytes(value), [(name, _bytes(held)) for name, held in headers]]
                for offset, timestamp, key, value, headers in batch["records"]
            ]
        return batches

    def write(
        self,
        records: Sequence[tuple[int, int, bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]],
        *,
        magic: int = 2,
        compression: str = "none",
        **header: int | bool | None,
    ) -> bytes:
        """The records field that Kafka builds from (offset, timestamp, key, value, headers) of each record.

        header: base_offset, log_append_time (None for the records' own times), producer_id, producer_epoch,
        base_sequence, transactional, partition_leader_epoch.
        """
        rows = [
            [offset, timestamp, _hex(key), _hex(value), [[name, _hex(held)] for name, held in headers]]
            for offset, timestamp, key, value, headers in records
        ]
        batch = {**WRITE_DEFAULTS, **header, "records": rows}
        return bytes.fromhex(self._ask("write", magic, compression, json.dumps(batch)))

    def errors(self) -> list[ErrorRow]:
        """Kafka's table of errors, by code."""
        return [ErrorRow(*row) for row in json.loads(self._ask("errors"))]

    def api_keys(self) -> list[ApiRow]:
        """Kafka's table of APIs, by key; unstable versions are among the versions."""
        return [
            ApiRow(key, name, message_name, range(first, last + 1), dict(enumerate(map(tuple, headers), first)))
            for key, name, message_name, first, last, headers in json.loads(self._ask("apikeys"))
        ]

    def settings(self) -> list[str]:
        """The names of all settings of Kafka's producer."""
        names: list[str] = json.loads(self._ask("settings"))
        return names

    def config(self, properties: dict[str, str]) -> dict[str, str | None]:
        """What Kafka's producer makes of its properties, all as text. Raises JudgeError("ConfigException")."""
        values: dict[str, str | None] = json.loads(self._ask("config", json.dumps(properties).encode().hex()))
        return values

    def jaas(self, text: str) -> tuple[str, dict[str, str]]:
        """The login module of a sasl.jaas.config, and its options."""
        entry = json.loads(self._ask("jaas", text.encode().hex()))
        return entry["module"], entry["options"]

    def close(self) -> None:
        """End the JVM. May be called again."""
        if self._jvm.poll() is None:
            self._jvm.kill()  # it holds nothing that could be lost
        self._jvm.wait()
        for stream in (self._jvm.stdin, self._jvm.stdout, self._log):
            if stream is not None:
                _close(stream)

    def _ask(self, *words: object) -> str:
        stdin, stdout = self._jvm.stdin, self._jvm.stdout
        assert stdin is not None and stdout is not None
        try:
            stdin.write(" ".join(map(str, words)).encode() + b"\n")
            stdin.flush()
            if not select.select([stdout], [], [], ANSWER_SECONDS)[0]:
                self._jvm.kill()
            line = stdout.readline()
        except (OSError, ValueError):  # a broken pipe, or one that close() has closed
            line = b""
        if not line.endswith(b"\n"):
            self._died(words)
        answer = line[:-1].rstrip(b"\r").decode()
        if answer.startswith("error "):
            kind, _, message = answer.removeprefix("error ").partition(": ")
            raise JudgeError(kind, message)
        return answer

    def _died(self, words: tuple[object, ...]) -> NoReturn:
        question = " ".join(map(str, words))[:200]
        if self._log.closed:
            raise JudgeDied(f"the judge is closed; it was asked: {question}")
        code = self._jvm.wait()
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - 3000))
        tail = self._log.read().decode(errors="replace")
        raise JudgeDied(f"the JVM of KafkaJudge.java ended with {code}, asked: {question}\nthe end of its log:\n{tail}")


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _close(stream: Any) -> None:
    with contextlib.suppress(OSError):  # what was not flushed to a dead JVM
        stream.close()
