"""The recorded session: whole, public, and shown without a gap."""

import io
import ipaddress
import re
from pathlib import Path

import pytest
from rich.console import Console

from kproto.tools.session import read_session, shipped_session, show_frame, show_session
from kproto.wire import DecodeError, ErrorCode, MetadataRequest, MetadataResponse, encode_request, encode_response
from kproto.wire.records import read_record_batches

ASKED = encode_request(MetadataRequest(), 12, correlation_id=5, client_id="p")[4:].hex()
ANSWERED = encode_response(MetadataResponse(), 12, correlation_id=5)[4:].hex()


@pytest.fixture(scope="module")
def frames():
    return list(read_session(shipped_session()))


def shown(every, color_system=None):
    out = io.StringIO()
    show_session(
        shipped_session(),
        Console(
            file=out, width=300, soft_wrap=True, color_system=color_system, force_terminal=color_system is not None
        ),
        every=every,
    )
    return out.getvalue()


def values(frames, name):
    """Of the fields that have this name, in all frames."""
    return [span.value for frame in frames for span in frame.spans if re.split(r"[.\]]", span.path)[-1] == name]


def test_each_request_is_answered_and_each_frame_has_a_purpose(frames):
    assert [(frame.direction, frame.title) for frame in frames] == [
        (direction, f"{name} {kind}")
        for name in ("ApiVersions 5", "Metadata 13", "InitProducerId 5", "Produce 12", "Produce 13")
        for direction, kind in ((">", "request"), ("<", "response"))
    ]
    assert all(re.fullmatch(r"[A-Z][^.?]*[.?]", frame.purpose) for frame in frames)


def test_the_broker_found_no_fault(frames):
    codes = values(frames, "error_code")
    assert len(codes) == 7
    assert set(codes) == {ErrorCode.NONE}
    assert values(frames, "base_offset")[1::2] == [0, 2]  # of the answers; the batches themselves begin at 0


def test_the_batches_are_whole(frames):
    for frame in frames[6::2]:
        (prefix,) = (span for span in frame.spans if span.path.endswith(".records"))
        (batch,) = read_record_batches(frame.payload[prefix.stop : prefix.stop + prefix.value])
        batch.check_crc()
        assert [record.value for record in batch] in ([b"first", b"second"], [b"third"])


def test_the_session_names_no_machine_but_the_loopback(frames):
    hosts = values(frames, "host")
    assert hosts
    assert all(host == "localhost" or ipaddress.ip_address(host).is_loopback for host in hosts)
    assert set(values(frames, "rack")) == {None}
    # Neither a secret nor a path: what a broker that was started by a test might have let slip.
    for text in (shipped_session(), *(frame.payload.decode("latin-1") for frame in frames)):
        assert not re.search(r"(?i)password|secret", text)
        assert str(Path.home()) not in text
        assert str(Path(__file__).parents[2]) not in text


def test_all_bytes_are_shown(frames):
    _, *blocks = shown(every=True).split("\n\n")
    assert len(blocks) == len(frames)
    for block, frame in zip(blocks, frames, strict=True):
        lines = [line for line in block.splitlines() if re.match("[0-9a-f]{4}  ", line)]
        assert [int(line[:4], 16) for line in lines] == [span.start for span in frame.spans]
        assert [0, *(span.stop for span in frame.spans)] == [*(span.start for span in frame.spans), len(frame.payload)]


def test_what_is_left_out_is_counted(frames):
    lines = shown(every=False).splitlines()
    left_out = [line for line in lines if line.endswith("--all shows them")]
    assert re.fullmatch(r"001c  \.\.\. 518 bytes: api_keys\[3\] to api_keys\[76\]; --all shows them", left_out[0])
    assert len(left_out) == 3
    complete = shown(every=True).splitlines()
    assert [line for line in lines if line not in left_out] == [line for line in complete if line in lines]
    behind = lines[lines.index(left_out[0]) + 1]
    assert int(behind[:4], 16) == 0x1C + 518


def test_one_element_is_left_out_by_its_name():
    broker = MetadataResponse.MetadataResponseBroker(host="h")
    answer = encode_response(MetadataResponse(brokers=[broker] * 4), 12, correlation_id=5)[4:].hex()
    out = io.StringIO()
    show_session(f"> {ASKED}\n< {answer}\n", Console(file=out, width=300))
    assert "bytes: brokers[3]; --all shows them" in out.getvalue()
    assert "response, " in out.getvalue()


def test_colour_changes_no_text():
    assert re.sub(r"\x1b\[[0-9;]*m", "", shown(True, "standard")) == shown(True)
    assert "\x1b[36m" in shown(True, "standard")
    assert "\x1b" not in shown(True)


def test_comments_and_purposes_are_optional():
    asked, answered = read_session(f"# a comment\n\n> {ASKED}\n< {ANSWERED} so there\n")
    assert (asked.purpose, answered.purpose) == ("", "so there")
    assert (asked.title, answered.title) == ("Metadata 12 request", "Metadata 12 response")


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("? 00", ValueError, "line 1 is no frame"),
        ("> 0", ValueError, "line 1 is no frame"),
        ("# x\n> zz", ValueError, "line 2 is no frame"),
        (f"< {ANSWERED}", ValueError, "line 1 answers no request: correlation id 5"),
        (f"> {ASKED}\n< {ANSWERED}\n< {ANSWERED}", ValueError, "line 3 answers no request"),
        (f"> {ASKED}00", DecodeError, "found 1 more bytes"),
        (f"> {ASKED}\n< {ANSWERED[:-2]}", DecodeError, "need"),
        ("> 0063000000000000", DecodeError, "expected a declared API"),
    ],
)
def test_damaged_recordings(text, error, says):
    with pytest.raises(error, match=says):
        list(read_session(text))


@pytest.mark.parametrize(("elements", "left_out"), [(None, 0), (3, 0), (1, 1)])
def test_elements_are_left_out_at_any_depth(frames, elements, left_out):
    out = io.StringIO()
    show_frame(frames[6], Console(file=out, width=300), elements=elements)
    lines = [line for line in out.getvalue().splitlines() if line.endswith("--all shows them")]
    assert len(lines) == left_out
    for line in lines:
        assert line.endswith("bytes: topic_data[0].partition_data[0].records[0].records[1]; --all shows them")
