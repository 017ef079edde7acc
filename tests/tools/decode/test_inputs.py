"""What an input is, is found out; all forms of the same conversation give the same frames."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata, request, response, versions
from tools.decode.packets import Talk, block, pcap, pcapng
from tools.decode.test_hex_input import tcpdump, xxd
from tools.decode.test_log_segments import BATCHES

from kproto.tools.decode.bad_input import BadInput
from kproto.tools.decode.inputs import Input, InputKind, open_input
from kproto.tools.recorder import PcapngRecorder

FRAMES = [*versions(0), request(1), response(1)]
EXPECTED = [(number % 2 == 0, frame[4:]) for number, frame in enumerate(FRAMES)]


def packets(size=20):
    talk = Talk().open()
    for number, frame in enumerate(FRAMES):
        talk.send(talk.broker if number % 2 else talk.client, frame, size=size)
    return talk.close().packets


def told(source, **given_):
    return [(frame.request, bytes(frame.data)) for frame in source.frames(**given_) if not frame.bare]


def opened(data, at_once=1 << 20):
    file = io.BytesIO(data)
    return Input("made up", lambda size: file.read(min(size, at_once)))


@pytest.fixture
def path(tmp_path):
    def write(data):
        file = tmp_path / "input"
        file.write_bytes(data)
        return str(file)

    return write


def dumped():
    return "".join(f"12:00:00.{number:06} IP a > b\n{tcpdump(data)}" for number, data in enumerate(packets())).encode()


def logged():
    return "".join(f"{'Recv' if n % 2 else 'Send'}: {bytearray(frame)!r}\n" for n, frame in enumerate(FRAMES)).encode()


FORMS = {
    "pcap": (lambda: pcap(packets()), InputKind.CAPTURE),
    "pcapng": (lambda: pcapng(packets()), InputKind.CAPTURE),
    "pcap.gz": (lambda: gzip.compress(pcap(packets())), InputKind.CAPTURE),
    "pcap.gz.gz": (lambda: gzip.compress(gzip.compress(pcap(packets()))), InputKind.CAPTURE),
    "frames": (lambda: b"".join(FRAMES), InputKind.FRAMES),
    "tcpdump -X": (dumped, InputKind.HEX),
    "xxd of a capture": (lambda: xxd(pcap(packets())).encode(), InputKind.HEX),
    "xxd of frames": (lambda: xxd(b"".join(FRAMES)).encode(), InputKind.HEX),
    "frames in hex": (lambda: b"\n\n".join(frame.hex().encode() for frame in FRAMES), InputKind.HEX),
    "a log": (logged, InputKind.LOG),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("at_once", [7, 1 << 20])
def test_each_form_gives_the_same_frames(form, at_once):
    made, kind = FORMS[form]
    source = opened(made(), at_once)
    assert source.kind is kind
    found = list(source.frames(outstanding=lambda conn: [0, 1]))
    assert [(frame.request, frame.data) for frame in found if not frame.bare] == EXPECTED
    assert not [finding for frame in found for finding in frame.findings]


@pytest.mark.parametrize("form", FORMS)
def test_files_and_standard_input(form, path):
    data = FORMS[form][0]()
    with open_input(path(data)) as source:
        assert source.size == len(data)
        assert told(source) == EXPECTED
        assert source.offset == len(data)
    assert told(open_input("-", io.BytesIO(data))) == EXPECTED
    assert told(open_input("-", io.BufferedReader(io.BytesIO(data)))) == EXPECTED


def test_frames_come_out_of_a_pipe_as_packets_go_in():
    reading, writing = os.pipe()
    file = pcap(packets(size=1_460))
    with open(reading, "rb") as inlet, open(writing, "wb", buffering=0) as outlet:  # noqa: PTH123  # descriptors
        outlet.write(file[:24])
        with open_input("-", inlet) as source:
            frames = source.frames()
            at = 24
            seen = []
            for packet in packets(size=1_460):
                outlet.write(file[at : at + 16 + len(packet)])
                at += 16 + len(packet)
                if len(packet) > 40:
                    seen.append(next(frames).data)
            assert seen == [data for _, data in EXPECTED]


def test_a_segment_has_batches_and_no_frames(path):
    with open_input(path(b"".join(BATCHES[:3]))) as source:
        assert source.kind is InputKind.SEGMENT
        assert [batch.data for batch in source.batches()] == BATCHES[:3]
        assert list(source.frames()) == []
    source = opened(BATCHES[0] + BATCHES[1][:-1])
    assert len(list(source.batches())) == 1
    assert [finding.code for finding in source.findings] == ["segment-cut"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pcap(packets())[:-3], "capture-cut"),
        (pcapng(packets()) + block(6, b""), "capture-damaged"),
        (gzip.compress(pcap(packets()), mtime=0)[:-20], "gzip"),
        (b"".join(FRAMES) + b"\xff\xff\xff\xff", "impossible-frame"),
        (logged() + b"Send: b'\\x0", "log-line"),
    ],
)
def test_damage_of_the_input_comes_with_a_bare_frame(data, code):
    found = list(opened(data).frames())
    first = next(frame for frame in found if frame.bare and frame.conn == 0)
    assert first.findings[0].code == code


def test_ports_are_passed_on():
    data = pcap(packets())
    assert told(opened(data), ports=[9_092]) == EXPECTED
    assert told(opened(data), ports=[9_093]) == []


@pytest.mark.parametrize("data", [b"", b"hello\n", b"\0\0\0\0", b"\xff" * 100, gzip.compress(b"", mtime=0)])
def test_what_is_no_input(data, path):
    with pytest.raises(BadInput, match=r"is empty|is none of"):
        open_input(path(data))


def test_what_cannot_be_opened(tmp_path):
    for name in (tmp_path, tmp_path / "missing"):
        with pytest.raises(BadInput, match="cannot be read"):
            open_input(str(name))


def test_a_line_is_bounded(monkeypatch):
    monkeypatch.setattr("kproto.tools.decode.inputs.LINE_SIZE_MAX", 100_000)
    with pytest.raises(BadInput, match="a line of more"):
        told(opened(b"b'" + b"a" * 200_000, 1_000))


def test_what_the_recorder_writes_is_read():
    for local, remote in ((("127.0.0.1", 40_000), ("127.0.0.1", 9_092)), (("::1", 40_000), ("::1", 9_092))):
        file = io.BytesIO()
        with PcapngRecorder(file, clock_ns=lambda: 10**18 + 7) as recorder:
            recorder.opened(1, local, remote)
            for number, frame in enumerate(FRAMES):
                recorder.frame(1, number % 2 == 0, frame)
            recorder.closed(1)
        frames = list(opened(file.getvalue()).frames())
        assert [(frame.request, frame.data) for frame in frames if not frame.bare] == EXPECTED
        assert {frame.time_ns for frame in frames} == {10**18 + 7}
        assert not [finding for frame in frames for finding in frame.findings]


@pytest.mark.parametrize("form", ["pcap", "nsecpcap", "pcapng"])
def test_what_editcap_writes_is_read(form, path, tmp_path):
    """Wireshark's own writer is the judge."""
    if shutil.which("editcap") is None:
        pytest.skip("no editcap here")
    written = tmp_path / "written"
    command = ["editcap", "-F", form, path(pcap(packets(), nanoseconds=True)), str(written)]
    subprocess.run(command, check=True, capture_output=True)
    with open_input(str(written)) as source:
        assert told(source) == EXPECTED


@given(st.data())
def test_any_bytes_are_read_or_refused(data):
    made = bytearray(FORMS[data.draw(st.sampled_from(list(FORMS)))][0]())
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(made) - 1), st.integers(0, 255)), max_size=6)):
        made[at] = value
    made = bytes(made[: data.draw(st.integers(0, len(made)))]) + data.draw(st.binary(max_size=20))
    try:
        source = opened(made, data.draw(st.integers(1, 500)))
        for frame in source.frames(outstanding=lambda conn: [0, 1]):
            assert frame.bare or frame.size >= len(frame.data)
        if source.kind is InputKind.SEGMENT:
            list(source.batches())
    except BadInput as error:
        assert error.offset >= 0 and str(error)


def test_metadata_alone_in_hex_without_its_length():
    assert told(opened(metadata(1)[4:].hex().encode())) == [(True, metadata(1)[4:])]
