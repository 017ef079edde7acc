"""Kafka's own partitioners as an oracle: KafkaPartitioner.java, compiled once, and run for a list of questions."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from brokers.jars import kafka_jars

from kproto.client import Cluster, Node, Partition, Topic

SOURCE = Path(__file__).with_name("KafkaPartitioner.java")
MAIN = "org.apache.kafka.clients.producer.internals.KafkaPartitioner"
TOPIC = "orders"
SECONDS = 120


def cluster_of(racks: Sequence[str | None]) -> Cluster:
    """The topic "orders". racks: of each partition's leader; "" for a leader without one, None for no leader."""
    nodes = {number: Node(number, "broker", 9092, rack) for number, rack in enumerate(racks) if rack is not None}
    partitions = {number: Partition(number, leader_id=number) for number in range(len(racks))}
    return Cluster(nodes=nodes, topics={TOPIC: Topic(TOPIC, partitions=partitions)})


def ask_kafka(questions: Iterable[dict[str, Any]]) -> list[list[Any]]:
    """The answers, one for each question; both are described in the Java source."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    answers = _run("-ea", "-cp", f"{_classes()}{os.pathsep}{_jars()}", MAIN, given=lines)
    return [json.loads(line) for line in answers.splitlines()]


def _jars() -> str:
    return os.pathsep.join(map(str, sorted(kafka_jars().glob("*.jar"))))  # the compiler takes no wildcards


@cache
def _classes() -> str:
    """A folder, for a class that Java runs from its source is in no package of the jar's."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    _run("--module", "jdk.compiler/com.sun.tools.javac.Main", "-cp", _jars(), "-d", folder.name, str(SOURCE))
    return folder.name


def _run(*arguments: str, given: str = "") -> str:
    command = ["java", "-XX:TieredStopAtLevel=1", *arguments]
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
