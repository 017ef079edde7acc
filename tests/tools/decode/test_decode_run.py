"""A run: who gets which frames, and what counts."""

from __future__ import annotations

from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from tools.decode.kafka_bytes import metadata, request, response
from tools.decode.packets import BROKER, Talk, pcap
from tools.decode.talk import Dialogue, codes
from tools.decode.test_line_frame import batch_of, produce

from kproto.tools.decode.conversation import Conversations
from kproto.tools.decode.decode_run import CheckRecords, DecodeRun
from kproto.tools.decode.filters import FrameFilter
from kproto.tools.decode.inputs import Input
from kproto.tools.decode.stats import Stats
from kproto.wire import encode_request


class Seen:
    def __init__(self):
        self.frames = []
        self.ended = 0

    def add(self, decoded):
        self.frames.append(decoded)

    def add_batch(self, number, raw, findings):
        self.frames.append(number)

    def end(self):
        self.ended += 1


def capture(damaged=False):
    talk = Talk().open()
    talk.ask(request(1)).answer(response(1))
    data = bytearray(batch_of("none"))
    data[17] ^= damaged
    message, version = produce(bytes(data))
    talk.ask(encode_request(message, version, correlation_id=2, client_id="app"))
    talk.ask(metadata(3))
    return Input("capture", BytesIO(pcap(talk.close().packets)).read)


def run(given, frame_filter=None, writers=(), watchers=(), **options):
    made = DecodeRun(Conversations(), frame_filter or FrameFilter(), list(writers), list(watchers), **options)
    made.run(given)
    made.end()
    return made


def test_writers_get_what_passes_and_watchers_everything():
    writer, watcher = Seen(), Seen()
    made = run(capture(), FrameFilter(api=[0]), [writer], [watcher])
    assert [each.api for each in writer.frames] == ["Produce"]
    assert [each.api for each in watcher.frames if not each.frame.bare] == [
        "InitProducerId",
        "InitProducerId",
        "Produce",
        "Metadata",
    ]
    assert (made.frames, writer.ended, watcher.ended) == (1, 1, 1)


def test_findings_count_where_the_frame_passes():
    assert run(capture()).findings == 2  # neither Produce nor Metadata is answered
    assert run(capture(), FrameFilter(api=[22])).findings == 0
    assert run(capture(damaged=True), watchers=[CheckRecords()]).findings == 3
    assert run(capture(damaged=True), FrameFilter(api=[0]), watchers=[CheckRecords()]).findings == 1


def test_progress_is_told():
    told = []
    run(capture(), progress=lambda: told.append(1))
    assert told


def test_a_segment_is_batches():
    data = batch_of("none") * 3
    given = Input("00000.log", BytesIO(data + data[:20]).read)
    seen = Seen()
    made = DecodeRun(Conversations(), FrameFilter(), [seen])
    findings = made.run_segment(given, seen)
    assert seen.frames == [1, 2, 3] and [each.code for each in findings] == ["segment-cut"]
    assert (made.frames, made.findings, made.notices) == (3, 1, 0)


def test_checksums_are_checked_where_nothing_else_does():
    damaged = bytearray(batch_of("gzip"))
    damaged[17] ^= 1
    decoded = Dialogue().ask(*produce(bytes(damaged), batch_of("none"), b"no batch"))
    check = CheckRecords()
    check.add(decoded)
    check.end()
    assert codes(decoded) == ["crc", "bad-records"]
    assert decoded.findings[0].path == "topic_data[0].partition_data[0].records"
    other = Dialogue().bare()
    check.add(other)
    assert codes(other) == []


@given(
    st.lists(st.tuples(st.sampled_from(["none", "gzip"]), st.integers(0, 120), st.integers(0, 255)), max_size=4),
    st.booleans(),
)
def test_what_the_statistics_check_themselves_is_what_checking_all_finds(sent, together):
    """Damage anywhere in a batch: the same findings, and the same statistics."""
    batches = []
    for codec, at, change in sent:
        data = bytearray(batch_of(codec))
        data[at % len(data)] ^= change
        batches.append(bytes(data))
    talk = Talk().open()
    message, version = produce(*([b"".join(batches)] if together else batches))
    talk.ask(encode_request(message, version, correlation_id=2, client_id="app"))
    file = pcap(talk.close().packets)
    plain, fast, seen, seen_fast = Stats(), Stats(CheckRecords().add), Seen(), Seen()
    first = run(Input("capture", BytesIO(file).read), writers=[plain, seen], watchers=[CheckRecords()])
    second = run(Input("capture", BytesIO(file).read), writers=[fast, seen_fast])
    assert [each.findings for each in seen_fast.frames] == [each.findings for each in seen.frames]
    assert (second.findings, second.notices) == (first.findings, first.notices)
    assert fast.to_dict() == plain.to_dict()


def test_the_broker_is_found():
    seen = Seen()
    run(capture(), writers=[seen])
    assert seen.frames[0].frame.broker == f"{BROKER[0]}:{BROKER[1]}"
