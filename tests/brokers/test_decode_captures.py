"""`kproto decode` on captures of real producers and brokers, beside what was sent, and beside tshark field by field."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from brokers.captured import Captured
from brokers.jars import kafka_clients_jar
from brokers.kafka import ApacheKafka
from brokers.produced import Rec
from brokers.senders import WITH_KAFKA, WITH_TANSU, Planned
from brokers.tansu import Tansu
from brokers.test_wire_session import PLAIN
from brokers.tshark import UNSUPPORTED, TsharkFrame, tshark_frames, tshark_version
from brokers.tshark_fields import (
    FIELDS,
    MISREAD,
    MISSED,
    READ_ALIKE,
    RECORDS,
    REQUEST_HEADER,
    RESPONSE_HEADER,
    as_bytes,
    disagreements,
    frame_bytes,
    halves,
    moment,
)
from brokers.wire_session import KEEP, LONG_AGO_MS, WireSession, batch, metadata_request, produce_request
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from kproto.tools.decode.line_frame import frame_from_line
from kproto.tools.recorder import PcapngRecorder
from kproto.wire import (
    REQUESTS,
    ApiKey,
    ApiVersionsRequest,
    ErrorCode,
    ProduceRequest,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    decode_request,
    encode_request,
)

pytestmark = [pytest.mark.broker, pytest.mark.java]

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
PARTITIONS = 3
SEED = 7
DOCS = Path(__file__).parents[2] / "docs" / "decode.md"
WAYS = ("request", "response")
SENDERS = {"kafka": WITH_KAFKA, "tansu": WITH_TANSU}
EACH = [(kind, name) for kind, senders in SENDERS.items() for name in senders]
OLD_PRODUCE = 8  # the newest that tshark 4.0 reads
NEW = [(kind, name) for kind, name in EACH if not name.endswith("-2.3") and name != "aiokafka"]
ZSTD_BLOCK_MAX = 128 * 1024
TAGS_OF_TANSU = bytes.fromhex("04 000101 0108ffffffffffffffff 020101 030100")  # all have their defaults


def records_for(client: str) -> list[Rec]:
    """Text and bytes, null and empty, of all sizes, to all partitions. Not each client takes each."""
    rng = random.Random(SEED)
    made = []
    for index in range(60):
        noise = rng.randbytes(rng.randrange(2000))
        value = rng.choice([None, b"", b"value-%d" % index, "größe".encode(), b"\xff\xfe", noise])
        key = rng.choice([None, b"", b"key-%d" % (index % 7), b"\xff\xfe"]) if value is not None else b"gone"
        headers = rng.choice([(), (("trace", b"1"),), (("größe", b""), ("größe", b"\xff"), ("", b"x"))])
        made.append(Rec(value, key, headers, LONG_AGO_MS + index * 7 % 50, index % PARTITIONS))
    made.append(Rec(rng.randbytes(40) * 2000, b"compressible", (), LONG_AGO_MS, 0))
    made.append(Rec(rng.randbytes(150_000), b"of several segments", (), LONG_AGO_MS, 1))
    if not client.startswith("kafka-python"):
        made.append(Rec(b"value", b"key", (("none", None),), LONG_AGO_MS, 2))
        if client != "aiokafka":
            made.append(Rec(None, None, (), LONG_AGO_MS, 2))
    return made


class Capture:
    """A file, and what both read in it."""

    def __init__(self, path: Path, *ports: int) -> None:
        self.path = path
        self.ports = ports
        self.code, self.lines = decode(path, "--raw", "--show-secrets")
        self.frames = [line for line in self.lines if line["frame"] is not None]

    @cached_property
    def theirs(self) -> list[TsharkFrame]:
        return tshark_frames(self.path, *self.ports)

    @cached_property
    def clients(self) -> dict[int, str]:
        """Connection -> the client id of its requests."""
        return {line["conn"]: line["client_id"] for line in self.frames if line["direction"] == "request"}

    def of(self, client: str) -> list[dict[str, Any]]:
        """The frames of a client, and the answers to it."""
        found = [line for line in self.frames if self.clients[line["conn"]] == client]
        assert found, client
        return found

    @cached_property
    def pairs(self) -> dict[int, TsharkFrame]:
        """The number of each of our frames -> tshark's. Those of one direction of a connection have one order."""
        queues = defaultdict(list)
        for each in self.theirs:
            queues[each.source, each.target].append(each)
        found = {}
        for line in self.frames:
            ends = (line["client"], line["broker"])
            found[line["frame"]] = queues[ends if line["direction"] == "request" else ends[::-1]].pop(0)
        assert not any(queues.values())
        return found

    @cached_property
    def requests(self) -> dict[int, dict[str, Any]]:
        """The number of each answer -> its request."""
        asked, found = {}, {}
        for line in self.frames:
            name = line["conn"], line["correlation_id"]
            if line["direction"] == "request":
                asked[name] = line
            else:
                found[line["frame"]] = asked.pop(name)
        return found


def decode(path: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code of `kproto decode --format ndjson`, and its lines."""
    command = [sys.executable, "-m", "kproto.tools", "decode", str(path), "--format", "ndjson", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


class Talk(Capture):
    """All producers with one broker, Java's beside the others, and what they were told."""

    def __init__(self, path: Path, broker: ApacheKafka | Tansu, kind: str) -> None:
        self.plans = {
            name: {f"orders-{codec}": Planned(codec, records_for(name)) for codec in CODECS} for name in SENDERS[kind]
        }
        with Captured(path, broker.port) as captured, ThreadPoolExecutor(1) as pool:
            senders = SENDERS[kind]
            began = {  # a JVM takes its time to start
                name: pool.submit(send, name, broker.bootstrap_servers, self.plans[name])
                for name, send in senders.items()
                if name.startswith("java")
            }
            self.offsets = {
                name: send(name, broker.bootstrap_servers, self.plans[name])
                for name, send in senders.items()
                if name not in began
            }
            self.offsets.update({name: future.result() for name, future in began.items()})
        assert captured.packets > 0
        super().__init__(path, broker.port)

    def sent(self, client: str) -> dict[tuple[str, int, int], Rec]:
        """Topic, partition and offset, as the client was told -> the record."""
        return {
            (topic, record.partition or 0, offset): record
            for topic, planned in self.plans[client].items()
            for record, offset in zip(planned.records, self.offsets[client][topic], strict=True)
        }


def create_topics(broker: ApacheKafka | Tansu) -> None:
    if isinstance(broker, ApacheKafka):
        for codec in CODECS:
            broker.create_topic(f"orders-{codec}", PARTITIONS, **KEEP)
        return
    admin = AdminClient({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for created in admin.create_topics([NewTopic(f"orders-{codec}", PARTITIONS, 1) for codec in CODECS]).values():
        created.result(timeout=30)


@pytest.fixture(scope="module")
def kafka():
    with ApacheKafka(listeners={"SASL": "SASL_PLAINTEXT"}, settings=PLAIN) as broker:
        create_topics(broker)
        yield broker


@pytest.fixture(scope="module")
def talk(kafka, tmp_path_factory):
    """Kind of broker -> the talk with it; each is captured once."""
    folder = tmp_path_factory.mktemp("captures")
    talks = {"kafka": Talk(folder / "kafka.pcapng", kafka, "kafka")}
    with Tansu() as tansu:
        create_topics(tansu)
        talks["tansu"] = Talk(folder / "tansu.pcapng", tansu, "tansu")
    return talks.__getitem__


@pytest.fixture(scope="module")
def sweep(kafka, tmp_path_factory):
    """Every version that Kafka speaks of every declared API."""
    path = tmp_path_factory.mktemp("sweep") / "sweep.pcapng"
    kafka.create_topic("swept", 2, **KEEP)
    with Captured(path, kafka.port, kafka.ports["SASL"]):
        with WireSession(kafka.bootstrap_servers) as session:
            ask_in_every_version(session)
        for version, password in product(range(3), ("alice-secret", "wrong")):
            with WireSession(kafka.address("SASL")) as session:
                session.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1)
                session.ask(SaslAuthenticateRequest(auth_bytes=b"\0alice\0" + password.encode()), version)
        with WireSession(kafka.bootstrap_servers) as session:
            answer = session.ask(SaslHandshakeRequest(mechanism="PLAIN"), 0)
            assert answer.error_code == ErrorCode.ILLEGAL_SASL_STATE
    return Capture(path, kafka.port, kafka.ports["SASL"])


def ask_in_every_version(session: WireSession) -> None:
    for version in ApiVersionsRequest.versions:
        names = {"client_software_name": "kproto", "client_software_version": "0"} if version >= 3 else {}
        session.ask(ApiVersionsRequest(**names), version)
    for version in REQUESTS[3].versions:
        topic = session.ask(metadata_request("swept"), version).topics[0]
    for version in range(6):
        session.producer_id(version)
    for version, codec in zip(range(3, 14), CODECS * 3, strict=False):
        if codec == "zstd" and version < 7:
            codec = "lz4"  # Kafka takes zstd from Produce 7 on (KIP-110)
        stamp = (*session.producer_id(5), 0)
        request = produce_request("swept", topic.topic_id, version, batch([b"a", b"b" * 100], stamp, codec))
        answer = session.ask(request, version)
        assert answer.responses[0].partition_responses[0].error_code == ErrorCode.NONE


def is_dissected(line: dict[str, Any], theirs: TsharkFrame) -> bool:
    """Whether tshark reads the body of a frame: it knows the version, and what it shows can be right."""
    if "Request missing" in theirs.complaints or line["body"] is None:
        return False
    if (line["api"], line["version"]) in MISREAD:
        return False
    if not theirs.unsupported:
        return True
    return (line["api"], line["version"]) in READ_ALIKE and not is_broken(theirs)


def is_broken(theirs: TsharkFrame) -> bool:
    """Whether it complains of anything but the version."""
    return any(not UNSUPPORTED.match(each) for each in theirs.complaints)


def known_fields(line: dict[str, Any], theirs: TsharkFrame) -> dict[str, Any]:
    """The fields of tshark's that are compared."""
    if "Request missing" in theirs.complaints:
        return MISSED
    header = REQUEST_HEADER if line["direction"] == "request" else RESPONSE_HEADER
    return {**header, **FIELDS[line["api"], line["direction"]]} if is_dissected(line, theirs) else header


def large_zstd(line: dict[str, Any]) -> bool:
    """Whether there is a batch in zstd of more than a block."""
    if (line["api"], line["direction"]) != ("Produce", "request"):
        return False
    sizes = [
        sum(len(as_bytes(record["value"]) or b"") for record in each["records"])
        for topic in line["body"]["topic_data"]
        for partition in topic["partition_data"]
        for each in partition["records"]["batches"]
        if each["compression"] == "zstd"
    ]
    return max(sizes, default=0) > ZSTD_BLOCK_MAX


def compare(capture: Capture, lines: list[dict[str, Any]]) -> Counter[str]:
    """Each field of each frame. Returns how many frames and fields were compared, by what tshark makes of the frame."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    for line in lines:
        theirs = capture.pairs[line["frame"]]
        request = capture.requests.get(line["frame"])
        fields, known = theirs.fields, known_fields(line, theirs)
        whole = is_dissected(line, theirs)
        cut = whole and large_zstd(line)
        assert not whole or cut == is_broken(theirs), (line, theirs)
        if cut:
            fields = [each for each in fields if each[0] not in RECORDS and each[0] != "kafka.offset"]
        elif not whole:
            assert theirs.complaints, line["frame"]
            fields = [each for each in fields if each[0] in known]
        packet = capture.pairs[request["frame"]].packet if request else None
        compared, differences = disagreements(line, fields, known, packet, cut=cut)
        counts[f"{'whole' if whole else 'head'} frames"] += 1
        counts["fields"] += compared
        wrong += differences
    assert not wrong, "\n".join(wrong[:20])
    return counts


@pytest.mark.parametrize("kind", SENDERS)
def test_a_clean_capture_has_no_finding(talk, kind):
    """Neither in the frames nor in the ledger of each producer."""
    capture = talk(kind)
    assert capture.code == 0
    assert [line["findings"] for line in capture.lines if line["findings"]] == []
    assert len(capture.frames) == len(capture.theirs)
    code, (line,) = decode(capture.path, "--audit")
    audit = line["audit"]
    assert (code, audit["violations"]) == (0, 0)
    stamped = [name for name in SENDERS[kind] if (kind, name) != ("tansu", "aiokafka")]
    ledger = audit["partitions"]
    assert len(ledger) == len(stamped) * len(CODECS) * PARTITIONS
    assert sum(each["records"] for each in ledger) == sum(len(capture.sent(name)) for name in stamped)
    assert {(each["refused"], each["lost"], each["findings"]) for each in ledger} == {(0, 0, 0)}


@pytest.mark.parametrize(("kind", "client"), EACH)
def test_every_frame_is_decoded(talk, kind, client):
    lines = talk(kind).of(client)
    assert Counter(line["direction"] for line in lines) == {"request": len(lines) / 2, "response": len(lines) / 2}
    for line in lines:
        assert (line["body"] is None) == (line["api_key"] not in REQUESTS), line["frame"]
        assert line["size"] == len(frame_bytes(line))


@pytest.mark.parametrize(("kind", "client"), EACH)
def test_the_records_are_those_that_were_sent(talk, kind, client):
    capture = talk(kind)
    acknowledged, codecs = {}, set()
    for line in capture.of(client):
        if line["api"] != "Produce" or line["direction"] != "response":
            continue
        request = capture.requests[line["frame"]]
        found = {}
        for topic, partition in in_partitions(request["body"]["topic_data"], "partition_data", request):
            (found[topic, partition["index"]],) = partition["records"]["batches"]
        for topic, partition in in_partitions(line["body"]["responses"], "partition_responses", request):
            each = found.pop((topic, partition["index"]))
            assert each["crc_valid"]
            if partition["error_code"]:
                continue
            codecs.add((topic, each["compression"]))
            for record in each["records"]:
                place = topic, partition["index"], partition["base_offset"] + record["offset_delta"]
                headers = tuple((name, as_bytes(value)) for name, value in record["headers"])
                acknowledged[place] = Rec(
                    as_bytes(record["value"]), as_bytes(record["key"]), headers, record["timestamp"], place[1]
                )
        assert not found
    assert acknowledged == capture.sent(client)
    assert {(f"orders-{codec}", codec) for codec in CODECS} <= codecs


def in_partitions(topics, name, request):
    """Name of the topic, and partition, of each."""
    names = request.get("topics", {})
    return [(topic["name"] or names[topic["topic_id"]], partition) for topic in topics for partition in topic[name]]


@pytest.mark.parametrize(("kind", "client"), EACH)
def test_each_field_of_tshark_agrees(talk, kind, client):
    capture = talk(kind)
    counts = compare(capture, capture.of(client))
    print(f"\n{kind} {client}: {dict(counts)}")
    assert counts["fields"] > 500


@pytest.mark.parametrize(("kind", "client"), NEW)
def test_batches_behind_an_older_head_agree(talk, kind, client, tmp_path):
    """tshark does not read the newest Produce; the same batches in one that it knows are all read alike."""
    lines = [line for line in talk(kind).of(client) if (line["api"], line["direction"]) == ("Produce", "request")]
    assert {line["version"] > OLD_PRODUCE for line in lines} == {True}
    path = tmp_path / "older.pcapng"
    with PcapngRecorder(path) as recorder:
        recorder.opened(1, ("127.0.0.1", 50_000), ("127.0.0.1", 9092))
        for line in lines:
            recorder.frame(1, True, in_older_version(line))
        recorder.closed(1)
    capture = Capture(path, 9092)
    counts = compare(capture, capture.frames)
    print(f"\n{kind} {client}: {dict(counts)}")
    assert counts["whole frames"] == len(lines)
    assert [batches_of(line) for line in capture.frames] == [batches_of(line) for line in lines]


def in_older_version(line):
    header, message = decode_request(frame_bytes(line))
    topics = [
        ProduceRequest.TopicProduceData(
            name=each.name or line["topics"][str(each.topic_id)], partition_data=each.partition_data
        )
        for each in message.topic_data
    ]
    older = ProduceRequest(
        transactional_id=message.transactional_id, acks=message.acks, timeout_ms=message.timeout_ms, topic_data=topics
    )
    return encode_request(older, OLD_PRODUCE, correlation_id=header.correlation_id, client_id=header.client_id)


def batches_of(line):
    return [partition["records"] for topic in line["body"]["topic_data"] for partition in topic["partition_data"]]


@pytest.mark.parametrize("kind", SENDERS)
def test_frames_are_made_again_from_their_lines(talk, kind):
    """Clients and brokers of other hands write canonically, but for what they compress, and Tansu's tags."""
    made = 0
    for line in talk(kind).frames:
        if line["body"] is None or is_compressed(line):
            continue
        frame = frame_bytes(line)
        if kind == "tansu" and (line["api"], line["direction"]) == ("ApiVersions", "response") and line["version"] >= 3:
            assert frame.endswith(TAGS_OF_TANSU), frame[-20:].hex()
            frame = frame.removesuffix(TAGS_OF_TANSU) + b"\0"
        assert frame_from_line(line) == frame, line["frame"]
        made += 1
    assert made > 200


def is_compressed(line):
    return f"{line['api']} {line['direction']}" == "Produce request" and any(
        each["compression"] != "none" for records in batches_of(line) for each in records["batches"]
    )


def test_undeclared_apis_are_decoded_with_definitions(talk):
    capture = talk("tansu")
    undeclared = {line["frame"] for line in capture.frames if line["body"] is None}
    assert undeclared
    code, lines = decode(capture.path, "--definitions", str(kafka_clients_jar()))
    assert code == 0
    assert [line["frame"] for line in lines if line["body"] is None or line["findings"]] == []
    assert {line["api"] for line in lines if line["frame"] in undeclared} == {"GetTelemetrySubscriptions"}


def has_headers(line):
    return any(record["headers"] for records in batches_of(line) for record in records["batches"][0]["records"])


def test_a_value_that_differs_is_noticed(talk):
    """In each field, and a field that is in no table."""
    capture = talk("kafka")
    asked = [line for line in capture.of("kproto-2.3") if (line["api"], line["direction"]) == ("Produce", "request")]
    line = min((line for line in asked if has_headers(line)), key=lambda line: line["size"])
    theirs = capture.pairs[line["frame"]]
    known = known_fields(line, theirs)
    count = Counter(name for name, _ in theirs.fields)
    assert len(count) > 25
    for index, (name, shown) in {each[0]: (at, each) for at, each in enumerate(theirs.fields)}.values():
        changes = [[("kafka.new", "1")], [(name, shown)] * 2, [(name, shown + "0")]]
        if count[name] > 1:
            changes.append([])
        for change in changes:
            changed = [*theirs.fields[:index], *change, *theirs.fields[index + 1 :]]
            assert disagreements(line, changed, known, None)[1], (name, change)


def test_what_tshark_shows_of_a_batch_s_timestamps_is_wrong(talk):
    capture = talk("kafka")
    lines = [line for line in capture.of("aiokafka") if (line["api"], line["direction"]) == ("Produce", "request")]
    for line in lines:
        shown = [text for name, text in capture.pairs[line["frame"]].fields if name == "kafka.batch_first_timestamp"]
        times = [each["base_timestamp"] for records in batches_of(line) for each in records["batches"]]
        assert shown == [halves(ms) for ms in times[: len(shown)]]
        assert not {moment(ms) for ms in times} & set(shown)


def test_every_version_agrees_with_tshark(sweep):
    assert sweep.code == 0
    assert len(sweep.frames) == len(sweep.theirs)
    assert [line for line in sweep.frames if line["body"] is None or line["findings"]] == []
    counts = compare(sweep, sweep.frames)
    print(f"\nevery version: {dict(counts)}")
    asked = {(line["api"], line["version"]) for line in sweep.frames if line["direction"] == "request"}
    assert {name for name, _ in asked} == {str(ApiKey(key).message_name) for key in REQUESTS}


def test_what_tshark_fails_on_is_documented(sweep):
    """API by API; what the two say that they know, and what tshark knows and yet reads wrongly."""
    if not tshark_version().startswith("4.0."):
        pytest.skip(f"docs/decode.md tells of tshark 4.0, this is {tshark_version()}")
    found = []
    for key, cls in sorted(REQUESTS.items()):
        name = str(ApiKey(key).message_name)
        pairs = [(line["version"], sweep.pairs[line["frame"]]) for line in sweep.frames if line["api_key"] == key]
        told = {each for _, theirs in pairs for each in map(UNSUPPORTED.match, theirs.complaints) if each}
        bounds = {(int(each[2]), int(each[3] or each[2])) for each in told} or {(0, max(cls.versions))}
        ((first, last),) = bounds
        read = [version for version in range(first, last + 1) if (name, version) not in MISREAD]
        for version, theirs in pairs:
            assert (version in read) == (not theirs.complaints), (name, version, theirs)
            if name == "Produce" and version > last and "kafka.request_key" not in dict(theirs.fields):
                assert theirs.complaints == ["Request missing"]
        found.append((name, span(read), span(cls.versions)))
    beyond = {
        (line["api"], line["version"], line["direction"])
        for line in sweep.frames
        if sweep.pairs[line["frame"]].unsupported and is_dissected(line, sweep.pairs[line["frame"]])
    }
    assert beyond == {(*each, way) for each in READ_ALIKE for way in WAYS} - {("ApiVersions", 5, "request")}
    section = DOCS.read_text(encoding="utf-8").partition("\n## Beside tshark\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| ([A-Z]\w+) \| ([\d-]+) \| ([\d-]+) \|$", section, re.MULTILINE) == found


def span(versions):
    """Such as "0-8"."""
    return f"{min(versions)}-{max(versions)}" if len(versions) > 1 else str(min(versions))


class TestCaptured:
    def test_all_packets_of_the_block_are_there(self, tmp_path):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]

            def say(words: bytes) -> None:
                with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0]:
                    client.sendall(words)

            with Captured(tmp_path / "all.pcapng", port):
                say(b"the last words")
            say(b"behind the end")
        data = (tmp_path / "all.pcapng").read_bytes()
        assert b"the last words" in data and b"behind the end" not in data

    def test_what_is_missing_is_a_reason_to_skip_or_to_fail(self, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("KPROTO_REQUIRE_KAFKA", raising=False)
        with pytest.raises(pytest.skip.Exception, match="apt-get install tshark"), Captured(tmp_path / "none", 1):
            pass
        monkeypatch.setenv("KPROTO_REQUIRE_KAFKA", "1")
        with pytest.raises(pytest.fail.Exception, match="apt-get install tshark"), Captured(tmp_path / "none", 1):
            pass

    def test_a_capture_that_is_refused_tells_why(self, monkeypatch, tmp_path):
        monkeypatch.setenv("KPROTO_REQUIRE_KAFKA", "1")
        with (
            pytest.raises(pytest.fail.Exception, match=r"(?s)rights to capture.*none"),
            Captured(tmp_path / "none" / "file", 1),
        ):
            pass
