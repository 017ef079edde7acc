"""`kproto produce` and `kproto demo` with real brokers; librdkafka reads back."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from uuid import uuid4

import pytest
from brokers.kafka import ApacheKafka
from brokers.tansu import Tansu
from confluent_kafka.admin import AdminClient

from kproto.tools.access_log import access_log
from kproto.tools.read_back import Librdkafka

pytestmark = pytest.mark.broker
COMMAND = [sys.executable, "-m", "kproto.tools"]
CHECKS = ("all acknowledged", "all read back", "none twice", "in order", "where the producer said")
DEMO_S_MAX = 60


@pytest.fixture(scope="module", params=[Tansu, ApacheKafka])
def broker(request):
    with request.param() as started:
        yield started


@pytest.fixture
def topic(broker):
    name = f"produce-{uuid4().hex[:8]}"
    Librdkafka({"bootstrap_servers": broker.bootstrap_servers}).create_topic(name, 3)
    return name


def kproto(*arguments, folder, data=b""):
    return subprocess.run([*COMMAND, *arguments], input=data, capture_output=True, cwd=folder, check=False)


def read(broker, topic, records):
    """By partition, all of them; where each partition ends is asked of the broker that read them."""
    reader = Librdkafka({"bootstrap_servers": broker.bootstrap_servers})
    found = defaultdict(list)
    ends = dict.fromkeys(range(3), 1 << 40)
    for record in reader.read(topic, ends):
        found[record.partition].append(record)
        records -= 1
        if not records:
            break
    return found


@pytest.mark.parametrize(
    "settings", [[], ["-X", "compression_type=lz4", "-X", "linger_ms=20", "-X", "batch_size=60000"]]
)
def test_a_file_arrives_once_and_in_order(broker, topic, tmp_path, settings):
    count = 10_000
    lines = [key + b"\t" + line for key, line in access_log(count)]
    (tmp_path / "access.log").write_bytes(b"\n".join(lines))
    command = ["produce", topic, "access.log", "-K", r"\t", "-b", broker.bootstrap_servers, *settings]
    done = kproto(*command, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"10,000 records delivered: ")
    found = read(broker, topic, count)
    numbers = {line: number for number, line in enumerate(lines)}
    read_back = [[numbers[record.key + b"\t" + record.value] for record in records] for records in found.values()]
    assert sorted(number for each in read_back for number in each) == [*range(count)]
    assert all(each == sorted(each) for each in read_back)
    assert [path.name for path in tmp_path.iterdir()] == ["access.log"]


def test_a_record_that_the_broker_refuses_is_kept(broker, topic, tmp_path):
    """Too large for the broker, not for us: it comes back with the broker's error, and the others arrive."""
    if isinstance(broker, Tansu):
        pytest.skip("Tansu takes any size")
    large = b"x" * 1_100_000
    done = kproto(
        "produce",
        topic,
        "-b",
        broker.bootstrap_servers,
        "-X",
        "max_request_size=5000000",
        folder=tmp_path,
        data=b"first\n" + large + b"\nlast\n",
    )
    assert done.returncode == 1
    (path,) = tmp_path.iterdir()
    assert b"MESSAGE_TOO_LARGE" in path.read_bytes()
    assert large in path.read_bytes()
    found = read(broker, topic, 2)
    assert sorted(record.value for records in found.values() for record in records) == [b"first", b"last"]


def _checked(done):
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    text = done.stdout.decode()
    for check in CHECKS:
        assert re.search(rf"^{check} +yes ", text, re.MULTILINE), check
    return text


def test_the_demonstration_with_its_own_broker(tmp_path):
    text = _checked(kproto("demo", folder=tmp_path))
    assert "200,000 records delivered" in text
    assert "200,000 read, 0 missing" in text
    seconds = float(re.search(r"^([0-9.]+) s in all$", text, re.MULTILINE)[1])
    print(f"kproto demo: {seconds} s")
    if not os.environ.get("PYTEST_XDIST_WORKER"):  # alone on the machine
        assert seconds < DEMO_S_MAX
    assert [*tmp_path.iterdir()] == []


def test_the_demonstration_with_a_cluster_leaves_no_topic_there(broker, tmp_path):
    recording = tmp_path / "session.pcapng"
    command = ["demo", "--bootstrap", broker.bootstrap_servers, "--records", "2000", "--record", str(recording)]
    text = _checked(kproto(*command, folder=tmp_path))
    assert f"the cluster at {broker.bootstrap_servers}" in text
    assert Path(recording).stat().st_size > 200_000
    topics = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0}).list_topics(timeout=30).topics
    assert not [name for name in topics if name.startswith("kproto-demo-")]
