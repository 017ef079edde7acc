"""Apache Kafka's published jars, brought by Maven into a cache outside the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

KAFKA_VERSION = "4.4.0"
MISSING = "Java and Maven are missing: apt-get install default-jre-headless maven"
POM = Path(__file__).with_name("pom.xml")


def cache_folder() -> Path:
    """$KPROTO_CACHE, or a folder of the user's; keyed by version, shared by all test runs of a machine."""
    root = os.environ.get("KPROTO_CACHE") or Path.home() / ".cache" / "kproto"
    return Path(root) / f"kafka-{KAFKA_VERSION}"


@cache
def kafka_jars() -> Path:
    """The folder of jars. Skips the test where Java or Maven is missing, but with KPROTO_REQUIRE_KAFKA=1 fails."""
    if shutil.which("java") is None or shutil.which("mvn") is None:
        if os.environ.get("KPROTO_REQUIRE_KAFKA"):
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    folder = cache_folder()
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _bring(folder)
    return folder


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One run at a time: two Mavens would damage the local repository that they share. The lock dies with its run."""
    import fcntl  # here, so that the tests that need no jars run where it is missing

    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _bring(folder: Path) -> None:
    """Into a folder of its own first, so that another run never sees half of it."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        shutil.copy(POM, scratch)
        jars = Path(scratch) / "jars"
        command = [
            "mvn",
            "-q",
            "-B",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={jars}",
            "-DincludeScope=runtime",
        ]
        done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.fail(f"Maven could not bring Kafka's jars:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        jars.rename(folder)


def kafka_clients_jar() -> Path:
    """The jar with Kafka's message definitions and their Java classes."""
    return kafka_jars() / f"kafka-clients-{KAFKA_VERSION}.jar"


def classpath() -> str:
    """All jars, for `java -cp`."""
    return f"{kafka_jars()}{os.sep}*"
