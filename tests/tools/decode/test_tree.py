"""Lines for people: what stands there, and what only stands there if asked for."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from tools.decode.talk import Dialogue, codes
from tools.decode.test_line_frame import batch_of, legacy, produce

from kproto.tools.decode.log_segments import RawBatch
from kproto.tools.decode.model import Finding
from kproto.tools.decode.tree import TreeWriter, shown_bytes
from kproto.wire import (
    ErrorCode,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
)
from kproto.wire.records import RecordBatchBuilder
from kproto.wire.strategies import request_frames


def tree(*decoded, **options):
    lines = []
    writer = TreeWriter(lambda line: lines.append(line.plain), **options)
    for each in decoded:
        writer.add(each)
    writer.end()
    return "\n".join(lines)


def test_a_frame_has_a_line_and_what_it_says_below():
    dialogue = Dialogue()
    asked = tree(dialogue.ask(*produce(batch_of("none")), correlation_id=7))
    assert asked.splitlines() == [
        "     1  22:13:20.001000  10.0.0.9:50001 -> 10.0.0.1:9092  Produce 9 request #7  114 B  client app",
        "  acks=-1  timeout_ms=0",
        "  topic_data[0]",
        "    name=orders",
        "    partition_data[0]",
        "      index=0",
        "      batch of 1 record, 76 B  crc ok  offsets 0 to 0  00:00:00.001000",
        "             0  key <3 bytes>  value <5 bytes>",
    ]
    partition = ProduceResponse.PartitionProduceResponse(index=2, error_code=ErrorCode.NOT_LEADER_OR_FOLLOWER)
    answer = ProduceResponse.TopicProduceResponse(name="orders", partition_responses=[partition])
    heard = tree(dialogue.answer(ProduceResponse(responses=[answer]), 9, 7))
    assert "<- 10.0.0.1:9092  Produce 9 response #7" in heard and "1.0 ms after frame 1" in heard
    assert "index=2  error_code=NOT_LEADER_OR_FOLLOWER" in heard


def test_values_are_shown_if_asked_for():
    builder = RecordBatchBuilder()
    builder.append(1, b"a key", b"a value", [("trace", b"an id")])
    decoded = Dialogue().ask(*produce(builder.build()))
    hidden, shown = tree(decoded), tree(decoded, show_values=True)
    assert "trace=<5 bytes>" in hidden
    assert not any(value in hidden for value in ("a key", "a value", "an id"))
    assert all(value in shown for value in ("a key", "a value", "an id"))


def test_bytes_as_sizes_or_shortened():
    assert shown_bytes(None, show=True).plain == "null"
    assert shown_bytes(b"1", show=False).plain == "<1 byte>"
    assert shown_bytes(b"\xff\x00", show=True).plain == "0xff00"
    assert shown_bytes("é".encode() * 1_000, show=True).plain == "é" * 100 + "..."
    assert shown_bytes(b"\xff" * 1_000, show=True).plain == "0x" + "f" * 98 + "..."
    assert shown_bytes(b"\x1b[2J", show=True).plain == "\\x1b[2J"


def test_long_arrays_and_batches_are_cut_unless_all_is_asked_for():
    topics = [MetadataRequest.MetadataRequestTopic(name=f"topic-{number}") for number in range(30)]
    builder = RecordBatchBuilder()
    for _ in range(9):
        builder.append(1, None, b"v")
    metadata = Dialogue().ask(MetadataRequest(topics=topics), 9)
    batch = Dialogue().ask(*produce(builder.build()))
    assert "topics: 10 more; --all shows them" in tree(metadata) and "topic-20" not in tree(metadata)
    assert "topic-29" in tree(metadata, every=True)
    assert "4 more" in tree(batch) and tree(batch, every=True).count("value <1 byte>") == 9


def test_what_is_wrong_in_what_is_not_shown_is_told():
    damaged = bytearray(batch_of("none"))
    damaged[17] ^= 1
    decoded = Dialogue().ask(*produce(*[None] * 25, bytes(damaged)))
    assert "partition_data: 6 more" in tree(decoded)
    assert codes(decoded) == ["crc"]


def test_findings_stand_below():
    damaged = bytearray(batch_of("none"))
    damaged[17] ^= 1
    text = tree(Dialogue().ask(*produce(bytes(damaged) + b"rest")))
    assert "CRC WRONG" in text and "4 bytes that are no batch" in text
    assert "  FINDING crc: topic_data[0].partition_data[0].records" in text
    dialogue = Dialogue()
    text = tree(dialogue.bare(Finding("gap", "10 bytes")), dialogue.bare(Finding("gzip", "damaged"), conn=0))
    assert "connection 1" in text and "the capture" in text
    assert tree(dialogue.bare()) == ""
    assert "notice mid-stream: 5 bytes" in tree(dialogue.bare(Finding("mid-stream", "5 bytes", notice=True)))


def test_batches_of_all_kinds():
    data = bytearray(batch_of("gzip"))
    text = tree(Dialogue().ask(*produce(legacy(1, b"k", b"v"), bytes(data), version=2)))
    assert "magic 1  offset 3" in text and ", gzip" in text
    builder = RecordBatchBuilder()
    builder.append(-1, None, None)
    data = bytearray(builder.build(7, 1, 40, transactional=True))
    data[22] |= 0x28
    text = tree(Dialogue().ask(*produce(bytes(data))))
    assert "producer 7 epoch 1 sequence 40  transactional  control  log append time" in text
    assert "no time" in text and "key null  value null" in text
    assert "records: no batch" in tree(Dialogue().ask(*produce(b"")))


def test_secrets_are_sizes():
    dialogue = Dialogue()
    assert "auth_bytes=<secret, 6 bytes>" in tree(dialogue.ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2))
    dialogue.ask(SaslHandshakeRequest(mechanism="PLAIN"), 0)
    token = tree(dialogue.frame(b"\0user\0password", request=True))
    assert "token of SASL" in token and "password" not in token
    shown = Dialogue(show_secrets=True).ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2)
    assert "auth_bytes=secret" in tree(shown, show_values=True)


def test_names_of_topic_ids_and_unknown_tags():
    ids = UUID(int=1), UUID(int=2)
    decoded = Dialogue().ask(
        ProduceRequest(topic_data=[ProduceRequest.TopicProduceData(topic_id=id_) for id_ in ids]), 13
    )
    decoded.topics = {ids[0]: "orders"}
    assert f"topic_id={ids[0]} (orders)" in tree(decoded) and f"topic_id={ids[1]}\n" in tree(decoded) + "\n"
    assert "unknown_tags=7, 9" in tree(Dialogue().ask(MetadataRequest(unknown_tags={7: b"", 9: b""}), 9))


def test_undeclared_frames_say_so():
    decoded = Dialogue().frame(b"\0\1\0\5\0\0\0\7\xff\xff", request=True)
    assert "Fetch 5 request #7  10 B  (not decoded)" in tree(decoded)


def test_nothing_from_the_wire_moves_the_cursor():
    decoded = Dialogue().ask(MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="\x1b[2J")]), 9)
    answer = Dialogue().ask(MetadataRequest(), 9, client_id="\x1b[2J")
    assert "\x1b" not in tree(decoded) + tree(answer)


@given(request_frames())
def test_every_request_can_be_shown(drawn):
    _, _, frame = drawn
    assert tree(Dialogue().frame(frame[4:], request=True), show_values=True, every=True)


def test_brokers_are_shown():
    dialogue = Dialogue()
    dialogue.ask(MetadataRequest(), 9)
    brokers = [MetadataResponse.MetadataResponseBroker(node_id=1, host="a", port=9092)]
    assert "node_id=1  host=a  port=9092" in tree(dialogue.answer(MetadataResponse(brokers=brokers), 9))


def test_a_batch_of_a_segment():
    lines, findings = [], []
    writer = TreeWriter(lambda line: lines.append(line.plain))
    writer.add_batch(3, RawBatch(100, 0, batch_of("none") + b"rest"), findings)
    assert "at byte 100" in lines[0] and "batch of 1 record" in lines[1]
    assert [each.code for each in findings] == ["bad-records"] and "FINDING" in lines[-1]
