"""Kafka's own metrics as an oracle: KafkaMetrics.java, run for a list of questions."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from brokers.jars import classpath

SOURCE = Path(__file__).with_name("KafkaMetrics.java")
SECONDS = 120


def ask_kafka(questions: Iterable[dict[str, Any]]) -> list[list[Any]]:
    """The answers, one for each question; both are described in the Java source."""
    lines = "".join(json.dumps(question) + "\n" for question in questions)
    command = ["java", "-XX:TieredStopAtLevel=1", "-cp", classpath(), str(SOURCE)]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]
