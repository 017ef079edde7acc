"""The recorder: what went in comes out, for tshark, for dpkt, and after the process was killed."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import threading
from ipaddress import ip_address
from itertools import count, pairwise

import dpkt
import pytest
from dpkt.tcp import TH_ACK, TH_FIN, TH_PUSH, TH_SYN

from kproto.tools.recorder import SEGMENT_SIZE_MAX, PcapngRecorder
from kproto.wire import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    MetadataRequest,
    MetadataResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    encode_request,
    encode_response,
    frame,
)

LOCAL, REMOTE = ("127.0.0.1", 40001), ("127.0.0.1", 9092)
LOCAL6, REMOTE6 = ("::1", 40001), ("fe80::2%lo", 9092)
START_NS = 1_700_000_000_123_456_789
STEP_NS = 1_001

tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is missing: apt-get install tshark")


def clock():
    """Each look is a step later."""
    return count(START_NS, STEP_NS).__next__


def asked(correlation_id, client_id="p"):
    return encode_request(ApiVersionsRequest(), 3, correlation_id=correlation_id, client_id=client_id)


def answered(correlation_id):
    return encode_response(ApiVersionsResponse(), 3, correlation_id=correlation_id)


def record(frames, local=LOCAL, remote=REMOTE, **settings):
    """The capture of one connection with these (sent, frame)."""
    file = io.BytesIO()
    with PcapngRecorder(file, clock_ns=clock(), **settings) as recorder:
        recorder.opened(1, local, remote)
        for sent, data in frames:
            recorder.frame(1, sent, data)
        recorder.closed(1)
    return file.getvalue()


def packets(capture):
    """The IP packets, as dpkt reads them."""
    reader = dpkt.pcapng.Reader(io.BytesIO(capture))
    assert reader.datalink() == 101
    return [dpkt.ip6.IP6(data) if data[0] >> 4 == 6 else dpkt.ip.IP(data) for _, data in reader]


def streams(capture):
    """(source port, target port) -> the bytes in that direction; checks that they follow one another."""
    joined, expected = {}, {}
    for packet in packets(capture):
        tcp = packet.data
        way = tcp.sport, tcp.dport
        assert tcp.seq == expected.get(way, tcp.seq)
        if tcp.flags & TH_ACK:
            assert tcp.ack == expected[way[::-1]]
        joined[way] = joined.get(way, b"") + tcp.data
        expected[way] = (tcp.seq + len(tcp.data) + bool(tcp.flags & (TH_SYN | TH_FIN))) % 2**32
    return joined


def dissect(path, *fields, port=9092, keep=""):
    """A row of the fields for each packet that tshark lets through."""
    command = ["tshark", "-r", str(path), "-n", "-d", f"tcp.port=={port},kafka", "-T", "fields"]
    command += ["-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-E", "separator=|"]
    for name in fields:
        command += ["-e", name]
    run = subprocess.run([*command, *(["-Y", keep] if keep else [])], capture_output=True, text=True, check=True)
    return [tuple(line.split("|")) for line in run.stdout.splitlines()]


def findings(path):
    """What an expert looks at twice: damage, bad checksums, and TCP that is not in order."""
    bad = "_ws.malformed || tcp.analysis.flags || tcp.checksum.status == 0 || ip.checksum.status == 0"
    return dissect(path, "frame.number", "_ws.expert.message", "_ws.col.Info", keep=bad)


def save(tmp_path, capture):
    path = tmp_path / "session.pcapng"
    path.write_bytes(capture)
    return path


SESSION = [(True, asked(1)), (True, asked(2)), (False, answered(1)), (False, answered(2))]


@tshark
@pytest.mark.parametrize(("local", "remote"), [(LOCAL, REMOTE), (LOCAL6, REMOTE6)], ids=["IPv4", "IPv6"])
def test_tshark_reads_the_requests_and_answers(tmp_path, local, remote):
    metadata = encode_request(MetadataRequest(), 8, correlation_id=3, client_id="p")
    brokers = [MetadataResponse.MetadataResponseBroker(node_id=1, host="localhost", port=9092)]
    answer = encode_response(MetadataResponse(brokers=brokers), 8, correlation_id=3)
    path = save(tmp_path, record([*SESSION, (True, metadata), (False, answer)], local, remote))
    rows = dissect(path, "kafka.api_key", "kafka.api_version", "kafka.correlation_id", "tcp.dstport", keep="kafka")
    keys = [("18", "3", "1"), ("18", "3", "2"), ("3", "8", "3")]
    assert [row[:3] for row in rows if row[3] == "9092"] == keys
    assert [row[2] for row in rows if row[3] == "40001"] == ["1", "2", "3"]
    assert dissect(path, "kafka.host", keep="kafka.host") == [("localhost",)]
    assert findings(path) == []


@tshark
def test_tshark_reads_a_handshake_and_an_end_of_both_sides(tmp_path):
    path = save(tmp_path, record(SESSION))
    flags = [row[0].strip("·") for row in dissect(path, "tcp.flags.str")]
    assert flags[:3] == ["S", "A··S", "A"]
    assert flags[-3:] == ["A···F", "A···F", "A"]
    assert set(flags[3:-3]) == {"AP"}
    assert dissect(path, "tcp.completeness")[-1] == ("31",)  # SYN, SYN-ACK, ACK, data, FIN


@tshark
def test_tshark_puts_a_frame_of_many_segments_together(tmp_path):
    long = encode_request(MetadataRequest(), 8, correlation_id=5, client_id="x" * 32_000)
    names = [f"mechanism {number:05}" for number in range(12_500)]
    answer = encode_response(SaslHandshakeResponse(mechanisms=names), 1, correlation_id=6)
    assert len(answer) > 200_000
    handshake = encode_request(SaslHandshakeRequest(mechanism="PLAIN"), 1, correlation_id=6, client_id="p")
    frames = [(True, long), (True, handshake), (False, encode_response(MetadataResponse(), 8, correlation_id=5))]
    path = save(tmp_path, record([*frames, (False, answer)]))
    rows = dissect(path, "kafka.correlation_id", "kafka.len", keep="kafka")
    assert rows == [
        (str(number), str(len(data) - 4))
        for number, (_, data) in zip([5, 6, 5, 6], [*frames, (0, answer)], strict=True)
    ]
    assert len(dissect(path, "frame.number", keep="tcp.srcport == 9092 && tcp.len > 0")) == 5
    assert findings(path) == []


@tshark
def test_tshark_tells_interleaved_connections_apart(tmp_path):
    file = io.BytesIO()
    with PcapngRecorder(file, clock_ns=clock()) as recorder:
        recorder.opened(1, LOCAL, REMOTE)
        recorder.opened(2, ("127.0.0.1", 40002), REMOTE)
        recorder.frame(1, True, asked(10))
        recorder.frame(2, True, asked(20))
        recorder.frame(2, False, answered(20))
        recorder.closed(2)
        recorder.frame(1, False, answered(10))
        recorder.closed(1)
    path = save(tmp_path, file.getvalue())
    rows = dissect(path, "tcp.stream", "kafka.correlation_id", "kafka.api_key", keep="kafka")
    assert [row[:2] for row in rows] == [("0", "10"), ("1", "20"), ("1", "20"), ("0", "10")]
    assert findings(path) == []


@tshark
def test_tshark_follows_sequence_numbers_past_their_end(tmp_path):
    frames = [(True, asked(number, "c" * 90)) for number in range(4)] + [(False, answered(n)) for n in range(4)]
    capture = record(frames, initial_sequence=2**32 - 150)
    path = save(tmp_path, capture)
    assert [row[0] for row in dissect(path, "kafka.correlation_id", keep="kafka")] == ["0", "1", "2", "3"] * 2
    assert findings(path) == []
    raw = [packet.data.seq for packet in packets(capture) if packet.data.dport == 9092]
    assert max(raw) > 2**32 - 151 > 1000 > min(raw)


@tshark
def test_tshark_finds_nothing_when_the_same_ports_connect_again(tmp_path):
    file = io.BytesIO()
    with PcapngRecorder(file, clock_ns=clock()) as recorder:
        for connection_id in (1, 2):
            recorder.opened(connection_id, LOCAL, REMOTE)
            recorder.frame(connection_id, True, asked(connection_id))
            recorder.closed(connection_id)
    path = save(tmp_path, file.getvalue())
    assert dissect(path, "tcp.stream", "kafka.correlation_id", keep="kafka") == [("0", "1"), ("1", "2")]
    (found,) = findings(path)  # which is true, and no retransmission
    assert "a new tcp session is started with the same ports" in found[1].lower()


@tshark
def test_tshark_shows_the_nanoseconds_of_the_clock(tmp_path):
    path = save(tmp_path, record(SESSION))
    times = [row[0] for row in dissect(path, "frame.time_epoch")]
    looks = [0, 0, 0, 1, 2, 3, 4, 5, 5, 5]  # one for each call
    assert times == [f"1700000000.{123_456_789 + look * STEP_NS:09}" for look in looks]


@tshark
def test_tshark_finds_nothing_in_megabytes_that_nobody_answers(tmp_path):
    produced = [(True, frame(asked(number)[4:] + bytes(900_000))) for number in range(5)]
    capture = record(produced)
    rows = dissect(save(tmp_path, capture), "frame.number", "_ws.col.Info", keep="tcp.analysis.flags")
    assert rows == []
    pure = [packet for packet in packets(capture) if packet.data.sport == 9092 and packet.data.flags == TH_ACK]
    assert len(pure) == 2  # one for each mebibyte that was passed


@pytest.mark.parametrize(("local", "remote"), [(LOCAL, REMOTE), (LOCAL6, REMOTE6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("size", [4, 5, SEGMENT_SIZE_MAX, SEGMENT_SIZE_MAX + 1, 200_001])
def test_dpkt_reads_every_byte_back(local, remote, size):
    sent, received = bytes(range(256)) * (size // 256 + 1), b"\xff" * size
    capture = record([(True, sent[:size]), (False, received)], local, remote)
    assert streams(capture) == {(40001, 9092): sent[:size], (9092, 40001): received}
    read = packets(capture)
    assert read[0].src == ip_address(local[0]).packed
    assert read[0].dst == ip_address(remote[0]).packed
    data = [packet.data for packet in read if packet.data.data]
    assert all(len(bytes(packet)) <= 65_535 for packet in read)
    pushed = [bool(tcp.flags & TH_PUSH) for tcp in data]
    assert pushed.count(True) == 2
    assert pushed[-1]


@pytest.mark.parametrize(("local", "remote"), [(LOCAL, REMOTE), (LOCAL6, REMOTE6)], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("size", range(40, 60))
def test_checksums_are_those_that_dpkt_computes(local, remote, size):
    for packet in packets(record([(True, bytes(range(size)))], local, remote)):
        written = packet.data.sum
        packet.data.sum = 0
        if isinstance(packet, dpkt.ip.IP):
            packet.sum = 0
        bytes(packet)  # fills in what is zero
        assert packet.data.sum == written


def test_timestamps_follow_the_clock_of_the_system_by_default(tmp_path):
    with PcapngRecorder(str(tmp_path / "a.pcapng")) as recorder:
        for connection_id in range(3):
            recorder.opened(connection_id, LOCAL, REMOTE)
    with (tmp_path / "a.pcapng").open("rb") as file:
        times = [time for time, _ in dpkt.pcapng.Reader(file)]
    assert len(times) == 9
    assert times[0] > 1_700_000_000
    assert all(before <= after for before, after in pairwise(times))


def test_what_has_no_connection_is_not_recorded():
    file = io.BytesIO()
    with PcapngRecorder(file) as recorder:
        empty = file.getvalue()
        recorder.frame(1, True, asked(1))
        recorder.closed(1)
        assert file.getvalue() == empty
        recorder.opened(1, LOCAL, REMOTE)
        recorder.closed(1)
        ended = file.getvalue()
        recorder.frame(1, True, asked(1))
        recorder.closed(1)
        assert recorder._connections == {}
    recorder.opened(2, LOCAL, REMOTE)
    recorder.frame(2, True, asked(1))
    recorder.close()
    assert file.getvalue() == ended
    assert not file.closed


def test_an_id_that_is_still_open_begins_anew():
    file = io.BytesIO()
    with PcapngRecorder(file) as recorder:
        recorder.opened(1, LOCAL, REMOTE)
        recorder.opened(1, ("127.0.0.1", 40002), REMOTE)
        recorder.frame(1, True, b"data")
    assert streams(file.getvalue())[40002, 9092] == b"data"


def test_a_path_is_opened_and_closed(tmp_path):
    path = tmp_path / "session.pcapng"
    path.write_bytes(b"what was there before")
    with PcapngRecorder(path) as recorder:
        recorder.opened(1, LOCAL, REMOTE)
        recorder.frame(1, True, b"\0\0\0\1x")
        assert streams(path.read_bytes())[40001, 9092] == b"\0\0\0\1x"
    assert recorder._file.closed
    recorder.close()


def test_a_file_that_cannot_be_written_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"session\.pcapng"):
        PcapngRecorder(tmp_path / "missing" / "session.pcapng")


@pytest.mark.parametrize(
    ("local", "remote", "message"),
    [
        (LOCAL, ("broker", 9092), "'broker' does not appear to be an IPv4 or IPv6 address"),
        (LOCAL, REMOTE6, "127.0.0.1 and fe80::2%lo are of two families: give both as IPv4 or as IPv6"),
    ],
)
def test_an_address_that_is_none_is_refused(local, remote, message):
    file = io.BytesIO()
    with PcapngRecorder(file) as recorder:
        empty = file.getvalue()
        with pytest.raises(ValueError, match=message):
            recorder.opened(1, local, remote)
        recorder.frame(1, True, b"data")
        assert file.getvalue() == empty


KILLED = """
import os, sys
from kproto.tools.recorder import PcapngRecorder
recorder = PcapngRecorder(sys.argv[1])
recorder.opened(1, ("127.0.0.1", 40001), ("127.0.0.1", 9092))
recorder.frame(1, True, bytes(100_000))
recorder.frame(1, False, bytes(10))
os._exit(9)
"""


def test_a_process_that_is_killed_leaves_a_file_that_can_be_read(tmp_path):
    path = tmp_path / "killed.pcapng"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == 9
    assert streams(path.read_bytes()) == {(40001, 9092): bytes(100_000), (9092, 40001): bytes(10)}


def test_threads_do_not_mix_their_packets():
    file = io.BytesIO()
    with PcapngRecorder(file) as recorder:

        def work(number):
            recorder.opened(number, ("127.0.0.1", 40000 + number), REMOTE)
            for _ in range(40):
                recorder.frame(number, True, bytes([number]) * 100)
                recorder.frame(number, False, bytes([number]) * 50)
            recorder.closed(number)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert recorder._connections == {}
    joined = streams(file.getvalue())
    for number in range(8):
        assert joined[40000 + number, 9092] == bytes([number]) * 4000
        assert joined[9092, 40000 + number] == bytes([number]) * 2000
