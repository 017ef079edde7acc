"""Kafka's own reading of its log files: DumpLogSegments, as values.

Its jars are not among the broker's, and their version is an older one, which reads the same logs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from brokers.jars import _alone, cache_folder, kafka_jars

TOOLS_VERSION = "4.3.1"
POM = Path(__file__).with_name("tools_pom.xml")
JAVA = ("java", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
DUMP_SECONDS = 60
FACT = re.compile(r"(\w+): (\S+)")


class DumpedBatch(NamedTuple):
    """What Kafka says of a batch in its log. codec: as compression_type has it; valid: its CRC is right.

    producer_id, epoch, base_sequence: -1 for none. size: bytes. by_broker: whether the timestamps are the broker's.
    """

    base_offset: int
    count: int
    producer_id: int
    epoch: int
    base_sequence: int
    codec: str
    size: int
    valid: bool
    transactional: bool
    by_broker: bool


Dump = dict[int, list[DumpedBatch]]  # partition -> its batches in order


@cache
def tools_classpath() -> str:
    """For `java -cp`. Skips or fails the test as `kafka_jars` does."""
    kafka_jars()
    folder = cache_folder().with_name(f"kafka-tools-{TOOLS_VERSION}")
    if not folder.is_dir():
        with _alone(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _bring(folder)
    return f"{folder}{os.sep}*"


def _bring(folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        jars = Path(scratch) / "jars"
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.fail(f"Maven could not bring Kafka's tools:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        shutil.move(jars, folder)


def dumped(data: Path, *topics: str) -> dict[str, Dump]:
    """The batches of topics, from the log folder of a node; every record is read, so what is compressed is, too.

    Raises AssertionError for what Kafka finds wrong in them.
    """
    found: dict[str, Dump] = {}
    files = {
        str(file): found.setdefault(topic, {}).setdefault(int(folder.name.removeprefix(f"{topic}-")), [])
        for topic in topics
        for folder in sorted(data.glob(f"{topic}-[0-9]*"))
        if folder.name.removeprefix(f"{topic}-").isdigit()
        for file in sorted(folder.glob("*.log"))
    }
    assert files, f"no log of {topics} in {data}"
    command = [*JAVA, "-cp", tools_classpath(), "org.apache.kafka.tools.DumpLogSegments"]
    command += ["--deep-iteration", "--files", ",".join(files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DUMP_SECONDS, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    batches: list[DumpedBatch] = []
    for line in done.stdout.splitlines():
        if line.startswith("Dumping "):
            batches = files[line.removeprefix("Dumping ")]
        elif line.startswith("baseOffset: "):
            batches.append(_batch(dict(FACT.findall(line))))
        else:
            assert line.startswith(("| ", "Log starting offset: ")), f"Kafka finds in its log: {line}"
    return found


def _batch(facts: dict[str, str]) -> DumpedBatch:
    batch = DumpedBatch(
        int(facts["baseOffset"]),
        int(facts["count"]),
        int(facts["producerId"]),
        int(facts["producerEpoch"]),
        int(facts["baseSequence"]),
        facts["compresscodec"],
        int(facts["size"]),
        facts["isvalid"] == "true",
        facts["isTransactional"] == "true",
        "LogAppendTime" in facts,
    )
    assert facts["magic"] == "2" and facts["isControl"] == "false"
    assert int(facts["lastOffset"]) - batch.base_offset + 1 == batch.count
    return batch


def check_batches(batches: list[DumpedBatch]) -> None:
    """Valid, offsets without a gap from 0 on, and of each producer id and epoch the sequences without one from 0 on."""
    offset = 0
    sequences: dict[tuple[int, int], int] = {}
    for batch in batches:
        assert batch.valid and not batch.transactional, batch
        assert batch.base_offset == offset, batch
        offset += batch.count
        if batch.producer_id >= 0:
            identity = (batch.producer_id, batch.epoch)
            assert batch.base_sequence == sequences.get(identity, 0), batch
            sequences[identity] = batch.base_sequence + batch.count
