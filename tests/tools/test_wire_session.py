"""The captured session: all of it is shown, and it holds nothing but the loopback."""

from __future__ import annotations

import struct
from collections import Counter

import pytest

from kproto.tools.wire_session import annotated, read_events, shipped_capture
from kproto.wire import ErrorCode


@pytest.fixture(scope="module")
def events():
    return list(read_events(shipped_capture()))


def split(capture):
    """The head of a pcap file, and its packets."""
    packets, at = [], 24
    while at < len(capture):
        size = 16 + struct.unpack_from("<I", capture, at + 8)[0]
        packets.append(capture[at : at + size])
        at += size
    return capture[:24], packets


def test_each_packet_with_data_is_a_step(events):
    _, packets = split(shipped_capture())
    with_data = [each for each in packets if len(each) - 16 > 66]
    kinds = Counter(event.kind for event in events)
    assert sum(event.frame is not None for event in events) == len(with_data) - 4  # SYN and its answer have options
    assert kinds["open"] == 2 and kinds["close"] == 1
    assert sum(len(event.packets) for event in events) == 2 * 3 + 6


def test_it_is_a_clean_idempotent_session(events):
    for event in events:
        if event.frame is not None:
            assert not event.frame.findings
            assert getattr(event.frame.message, "error_code", 0) == ErrorCode.NONE


def test_it_was_had_on_the_loopback_and_is_small():
    capture = shipped_capture()
    assert len(capture) < 8_192
    for packet in split(capture)[1]:
        ethernet, addresses = packet[16:30], packet[42:50]
        assert ethernet == bytes(12) + b"\x08\0" and addresses == bytes([127, 0, 0, 1]) * 2


def test_every_byte_of_a_frame_is_shown_once(events):
    for event in events:
        if event.frame is None or len(event.frame.frame.data) > 500:
            continue
        at = 0
        for line in annotated(event.frame, elements=1_000).splitlines()[1:]:
            assert int(line[:4], 16) == at
            shown = line[6:56].strip()
            at += len(bytes.fromhex(shown)) if not shown.endswith("...") else 0
            if shown.endswith("..."):
                break
        else:
            assert at == len(event.frame.frame.data)


def test_long_arrays_are_cut(events):
    answer = events[2].frame
    assert annotated(answer, 1).count("\n") < annotated(answer, 3).count("\n") < 100
    assert "--all" not in annotated(answer, 1)


def test_another_capture_is_refused():
    head, packets = split(shipped_capture())
    with pytest.raises(ValueError, match="does not hold one frame"):
        list(read_events(head + b"".join([*packets[:3], packets[7], *packets[3:7]])))
    with pytest.raises(ValueError, match="packet 1 is no TCP"):
        list(read_events(head + packets[0][:39] + b"\x11" + packets[0][40:]))
