"""For each promise that a producer can break, a capture in which it does, and a twin in which it does not."""

from __future__ import annotations

import json
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.decoded import OTHER_BROKER, Capture, batch
from tools.decode.invented import invented

from kproto.tools.console import PipedConsole
from kproto.tools.decode import audit as module
from kproto.tools.decode.audit import Audit
from kproto.tools.decode.model import Finding

WRAP = 2**31


def audited(frames):
    audit = Audit()
    for each in frames:
        audit.add(each)
    audit.end()
    return audit


def codes(frames):
    return [each.finding.code for each in audited(frames).findings if not each.finding.notice]


def notices(frames):
    return [each.finding for each in audited(frames).findings if each.finding.notice]


def begun():
    """A capture that has the producer's begin, so that each sequence is known."""
    capture = Capture()
    capture.init_producer_id()
    return capture


def test_audit_1_a_gap_in_the_sequences():
    capture = begun()
    capture.ack(capture.produce(batch(0, 5)))
    capture.ack(capture.produce(batch(5, 5)))
    assert codes(capture.frames) == []
    broken = capture.produce(batch(12, 5))
    (found,) = audited(capture.frames).findings
    assert (found.finding.code, found.frame, found.conn, found.time_ns) == ("sequence-gap", 7, 1, broken.frame.time_ns)
    assert (
        "orders-0, producer 7 epoch 0: sequence 10 was due, but 12-16 (frame 7) came: 2 missing" in found.finding.text
    )


def test_audit_1_the_first_sequence_is_0():
    capture = begun()
    capture.produce(batch(1, 5))
    assert codes(capture.frames) == ["epoch-restart"]


def test_audit_1_an_id_that_was_refused_is_no_begin():
    capture = Capture()
    capture.init_producer_id(error=14)
    capture.produce(batch(1, 5))
    assert codes(capture.frames) == []


def test_audit_1_what_was_taken_before_the_capture_began_may_come_again():
    capture = Capture()
    for base in (0, 10, 5):
        capture.ack(capture.produce(batch(base, 5)))
    assert codes(capture.frames) == []


def test_audit_1_in_mid_stream_five_batches_may_lack_their_neighbours():
    """The first of the capture may be sent again, and what stood behind it may have been taken before it began."""
    capture = Capture()
    for base in (0, 10, 20, 30, 40, 50):
        capture.ack(capture.produce(batch(base, 5)))
    assert codes(capture.frames) == []
    capture.produce(batch(60, 5))
    assert codes(capture.frames) == ["sequence-gap"]


def test_audit_1_a_gap_of_the_capture_is_none_of_the_sequences():
    capture = begun()
    capture.ack(capture.produce(batch(0, 5)))
    capture.gap()
    for base in (12, 17, 22, 27, 32, 37):
        capture.ack(capture.produce(batch(base, 5)))
    assert codes(capture.frames) == []
    capture.produce(batch(7, 5))
    assert codes(capture.frames) == [], "again, after it was sent in the gap"
    capture.produce(batch(50, 5))
    assert codes(capture.frames) == ["sequence-gap"], "the gap is not forgiven for ever"


@pytest.mark.parametrize("place", [0, 2])
def test_audit_1_only_the_connection_that_lacks_bytes_is_forgiven(place):
    capture = begun()
    capture.ack(capture.produce(batch(0, 5)))
    capture.gap(place)
    capture.produce(batch(12, 5))
    assert codes(capture.frames) == (["sequence-gap"] if place else [])


def test_audit_1_a_capture_that_begins_in_mid_stream():
    capture = Capture()
    capture.ack(capture.produce(batch(1000, 5)))
    capture.ack(capture.produce(batch(990, 10)))  # sent before the capture began, and again now
    capture.ack(capture.produce(batch(1005, 5)))
    assert codes(capture.frames) == []


def test_audit_2_an_acknowledged_batch_again():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)))
    capture.produce(batch(0, 5))
    assert codes(capture.frames) == ["duplicate"]


@pytest.mark.parametrize("error", [6, 45, 7, 19, 20])
def test_audit_2_a_refused_batch_again(error):
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)), error)
    capture.ack(capture.produce(batch(0, 5)))
    assert codes(capture.frames) == []


def test_audit_2_a_batch_again_whose_answer_was_lost():
    capture = Capture()
    capture.produce(batch(0, 5))
    capture.close()
    capture.ack(capture.produce(batch(0, 5), conn=2))
    assert codes(capture.frames) == ["unanswered"]


def test_audit_2_a_batch_again_before_it_is_answered():
    capture = Capture()
    capture.produce(batch(0, 5))
    capture.produce(batch(0, 5))
    assert codes(capture.frames) == ["duplicate"]
    capture = Capture()
    capture.produce(batch(0, 5))
    capture.produce(batch(0, 5), conn=2, broker=OTHER_BROKER)
    assert [each.code for each in notices(capture.frames)] == ["still-waiting"]


def test_audit_2_a_batch_of_long_ago_again():
    capture = Capture()
    for base in range(0, 500, 5):
        capture.ack(capture.produce(batch(base, 5)))
    assert codes(capture.frames) == []
    capture.produce(batch(5, 5))
    assert codes(capture.frames) == ["duplicate"]


def test_audit_3_other_bytes_under_the_same_sequence():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)), 7)  # may be written
    capture.produce(batch(0, 5, value=b"other"))
    assert codes(capture.frames) == ["resent-differs"]


def test_audit_3_a_batch_that_was_too_large_is_split():
    capture = Capture()
    first, second = capture.produce(batch(0, 10)), capture.produce(batch(10, 10))
    capture.ack(first, 10)
    capture.ack(second, 45)
    for each in (batch(0, 5), batch(5, 5, salt=1), batch(10, 10)):
        capture.ack(capture.produce(each))
    assert codes(capture.frames) == []


def test_audit_3_a_batch_is_split_while_the_next_one_waits():
    capture = begun()
    first, second = capture.produce(batch(0, 10)), capture.produce(batch(10, 10))
    capture.ack(first, 10)
    capture.produce(batch(0, 5))
    capture.produce(batch(5, 5, salt=1))
    capture.ack(second, 45)
    assert codes(capture.frames) == []
    capture.produce(batch(5, 6, salt=2))
    assert codes(capture.frames) == ["resent-differs"]


@pytest.mark.parametrize("error", [0, 6])
def test_audit_3_a_part_of_a_batch_alone(error):
    capture = begun()
    capture.ack(capture.produce(batch(0, 10)), error)
    capture.produce(batch(5, 5))
    assert codes(capture.frames) == ["overlap"]


def test_audit_3_sequences_that_overlap():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 10)))
    capture.produce(batch(5, 10))
    assert codes(capture.frames) == ["overlap"]


@pytest.mark.parametrize("many", [5, 6])
def test_audit_4_five_in_flight_and_no_more(many):
    capture = Capture()
    for base in range(many):
        capture.produce(batch(base))
    assert codes(capture.frames) == ["in-flight"] * (many - 5)


def test_audit_4_it_is_told_once_for_each_time():
    capture = Capture()
    requests = [capture.produce(batch(base)) for base in range(8)]
    for each in requests:
        capture.ack(each)
    for base in range(8, 14):
        capture.produce(batch(base))
    assert codes(capture.frames) == ["in-flight"] * 2


def test_audit_5_answers_come_in_the_order_of_requests():
    capture = Capture()
    first, second = capture.produce(batch(0)), capture.produce(batch(1))
    capture.ack(first)
    capture.ack(second)
    assert codes(capture.frames) == []
    capture = Capture()
    first, second = capture.produce(batch(0)), capture.produce(batch(1))
    capture.ack(second)
    capture.ack(first)
    (found,) = audited(capture.frames).findings
    text = "answers Produce 9 of frame 2 before Produce 9 of frame 1, which was asked earlier"
    assert found.finding == Finding("answer-order", text)


def test_audit_5_without_acks_nothing_is_waited_for():
    capture = Capture()
    capture.produce(batch(-1, pid=-1, epoch=-1), acks=0)
    capture.ack(capture.produce(batch(0)))
    capture.close()
    assert codes(capture.frames) == []


CAUSES = {
    "a gap": lambda capture: capture.ack(capture.produce(batch(9, 5)), 45),
    "the leader moved away from 10.0.0.1:9092": lambda capture: capture.ack(capture.produce(batch(5, 5)), 6),
    "the answer for 5-9 (frame 5) was lost": lambda capture: (capture.produce(batch(5, 5)), capture.close()),
    "REQUEST_TIMED_OUT for 5-9": lambda capture: capture.ack(capture.produce(batch(5, 5)), 7),
    "5-9 (frame 5) was refused: MESSAGE_TOO_LARGE": lambda capture: capture.ack(capture.produce(batch(5, 5)), 10),
    "epoch 0 ended, and 1 began": lambda capture: capture.ack(capture.produce(batch(0, 5, epoch=1))),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_audit_6_the_nearest_cause_of_a_batch_that_is_out_of_order(cause):
    capture = begun()
    capture.ack(capture.produce(batch(0, 5)))
    CAUSES[cause](capture)
    epoch = capture.frames[-1].request is not None and "epoch" in cause
    follower = batch(5, 5, epoch=1) if epoch else batch(14 if cause == "a gap" else 10, 5)
    capture.ack(capture.produce(follower, conn=3), 45)
    found = notices(capture.frames)[-1]
    assert found.code == "out-of-sequence"
    assert f"nearest earlier cause: {cause}" in found.text


def test_audit_6_the_nearest_of_several_causes():
    capture = begun()
    capture.ack(capture.produce(batch(0, 5)), 7)
    capture.ack(capture.produce(batch(5, 5)), 6)
    capture.ack(capture.produce(batch(10, 5)), 45)
    assert "NOT_LEADER_OR_FOLLOWER for 5-9 (frame 5), in frame 6" in notices(capture.frames)[-1].text


def test_audit_6_a_cause_that_was_not_captured():
    capture = Capture()
    capture.ack(capture.produce(batch(50, 5)), 45)
    (found,) = notices(capture.frames)
    assert "no cause in the capture" in found.text


def test_audit_7_sequences_wrap_to_zero():
    capture = Capture()
    for base in (WRAP - 15, WRAP - 5, 5):
        capture.ack(capture.produce(batch(base, 10)))
    assert codes(capture.frames) == []
    capture = Capture()
    capture.ack(capture.produce(batch(WRAP - 5, 10)))
    capture.produce(batch(0, 10))
    assert codes(capture.frames) == ["overlap"], "a producer that drops what is behind the wrap"
    capture = Capture()
    for base in range(WRAP - 30, WRAP, 5):
        capture.ack(capture.produce(batch(base, 5)))
    capture.produce(batch(1, 5))
    assert codes(capture.frames) == ["sequence-gap"]


def test_audit_7_a_negative_sequence(monkeypatch):
    capture = Capture()
    capture.ack(capture.produce(batch(WRAP - 5, 5)))
    data = bytearray(batch(0, 5))
    data[53:57] = (-WRAP).to_bytes(4, "big", signed=True)
    monkeypatch.setattr("kproto.wire.records.RecordBatch.crc_valid", True)
    capture.produce(bytes(data))
    assert codes(capture.frames) == ["bad-sequence"]


def test_audit_8_a_new_epoch_begins_with_zero():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)))
    capture.ack(capture.produce(batch(0, 5, epoch=1, salt=1)))
    capture.ack(capture.produce(batch(5, 5, epoch=1, salt=2)))
    assert codes(capture.frames) == []
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)))
    capture.produce(batch(5, 5, epoch=1, salt=1))
    assert codes(capture.frames) == ["epoch-restart"]


def test_audit_8_an_epoch_that_has_passed():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)))
    capture.ack(capture.produce(batch(0, 5, epoch=1, salt=1)))
    capture.produce(batch(5, 5, epoch=0))
    assert codes(capture.frames) == ["old-epoch"]
    partitions = Capture()
    partitions.ack(partitions.produce(batch(0, 5, epoch=1)))
    partitions.ack(partitions.produce(batch(0, 5, epoch=0), partition=1))
    assert codes(partitions.frames) == [], "each partition goes over to the new epoch when it has nothing in flight"


@pytest.mark.parametrize(("error", "found"), [(7, ["rewritten"]), (0, ["rewritten"]), (45, []), (10, [])])
def test_audit_8_records_whose_fate_is_open_go_again_under_a_new_epoch(error, found):
    """What puts records into the log twice, and no broker can see."""
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)), error)
    capture.ack(capture.produce(batch(0, 5, epoch=1)))
    assert codes(capture.frames) == found
    assert [each.code for each in notices(capture.frames)][-1:] == (
        ["epoch-while-open"] if error == 7 else ["out-of-sequence"] if error == 45 else []
    )


def test_audit_8_records_that_are_all_alike_tell_nothing_of_where_they_went_before():
    capture = Capture()
    for base in (0, 5):
        capture.ack(capture.produce(batch(base, 5)))
    capture.ack(capture.produce(batch(0, 5, epoch=1)))
    assert codes(capture.frames) == []


def test_audit_8_a_refused_follower_tells_that_a_batch_was_not_written():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)), 7)
    capture.ack(capture.produce(batch(5, 5, salt=1)), 45)
    capture.ack(capture.produce(batch(0, 5, epoch=1)))
    assert codes(capture.frames) == []


def test_audit_9_a_wrong_crc():
    capture = Capture()
    capture.ack(capture.produce(batch(0, 5)))
    damaged = bytearray(batch(5, 5))
    damaged[-1] ^= 1
    capture.ack(capture.produce(bytes(damaged)), 2)
    capture.ack(capture.produce(batch(5, 5)))
    assert codes(capture.frames) == ["crc"]
    capture = Capture()
    capture.produce(bytes(damaged), findings=[Finding("bad-crc", "told already")])
    assert codes(capture.frames) == []


def test_audit_9_what_a_damaged_batch_says_is_not_believed():
    capture = begun()
    capture.ack(capture.produce(batch(0, 5)))
    damaged = bytearray(batch(5, 5))
    damaged[-1] ^= 1
    capture.produce(bytes(damaged))
    capture.produce(batch(10, 5))
    assert codes(capture.frames) == ["crc"]


def test_audit_10_a_request_that_is_never_answered():
    capture = Capture()
    capture.ack(capture.produce(batch(0)))
    capture.produce(batch(1))
    assert codes(capture.frames) == [], "the capture ends, not the connection"
    capture.close()
    (found,) = audited(capture.frames).findings
    assert found.finding.text == "Produce 9 of frame 3 was never answered: the connection ended"
    assert (found.frame, found.conn) == (3, 1)
    capture = Capture()
    capture.produce(batch(1))
    capture.bare(1, "b:1", Finding("unanswered", "told already"), ended=True)
    assert codes(capture.frames) == []


def test_audit_10_answers_that_a_gap_may_have_swallowed_are_not_missed():
    capture = Capture()
    first, second = capture.produce(batch(0)), capture.produce(batch(1))
    capture.gap()
    capture.ack(second)
    capture.close()
    assert codes(capture.frames) == []
    assert first.frame.number == 1


def test_audit_10_a_partition_that_the_answer_leaves_out():
    capture = Capture()
    asked = capture.produce(batch(0))
    other = capture.produce(batch(0), partition=1)
    capture.ack(asked)
    capture.response(capture.frames[-1].message, other)
    assert codes(capture.frames) == ["not-answered"]


def test_audit_11_a_version_that_the_broker_does_not_offer():
    capture = Capture()
    capture.api_versions({0: (3, 9), 18: (0, 3)})
    capture.ack(capture.produce(batch(0)))
    assert codes(capture.frames) == []
    capture.ack(capture.produce(batch(1), version=10))
    capture.ack(capture.produce(batch(2), version=10))
    capture.ack(capture.produce(batch(3), version=11, conn=2))  # the same broker
    capture.ack(capture.produce(batch(4), version=11, conn=3, broker=OTHER_BROKER))  # of which nothing is known
    capture.undeclared(1, "Fetch")
    texts = [each.finding.text for each in audited(capture.frames).findings]
    assert texts == [
        "Produce 10 is asked, but the broker offers 3 to 9",
        "Produce 11 is asked, but the broker offers 3 to 9",
        "Fetch 0 is asked, but the broker offers none",
    ]


@pytest.mark.parametrize(("count", "wait_ms", "told"), [(1, 0, True), (2, 0, False), (1, 200, False)])
def test_audit_12_batches_of_one_record_that_a_linger_would_join(count, wait_ms, told):
    capture = Capture()
    for index in range(100):
        capture.ack(capture.produce(batch(index * count, count)))
        capture.wait(wait_ms)
    assert codes(capture.frames) == []
    assert [each.code for each in notices(capture.frames)] == ["linger-of-one"] * told
    if told:
        assert notices(capture.frames)[0].text == (
            "app sent 100 of 100 batches to orders-0 with one record, 2.0 ms apart on average: "
            "a larger linger.ms would join them"
        )


def test_audit_13_a_batch_that_counts_wrongly(monkeypatch):
    data = bytearray(batch(0, 5))
    data[57:61] = (6).to_bytes(4, "big")
    monkeypatch.setattr("kproto.wire.records.RecordBatch.crc_valid", True)
    capture = Capture()
    capture.produce(bytes(data))
    assert codes(capture.frames) == ["record-count"]


def test_topics_by_id_have_their_names():
    topic = UUID(int=5)
    capture = begun()
    capture.ack(capture.produce(batch(0), topic=topic, version=13))
    capture.ack(capture.produce(batch(5), topic=topic, version=13, topics={topic: "orders"}))
    audit = audited(capture.frames)
    assert audit.findings[0].finding.text.startswith("orders-0, producer 7")
    assert audit.to_dict()["partitions"][0]["topic"] == "orders"


@pytest.mark.parametrize("seed", range(40))
def test_producers_that_keep_their_promises_are_found_to_do_so(seed):
    """Whatever is lost, moved, timed out or pipelined: an idempotent producer by the book breaks no promise."""
    frames = invented(Random(seed))
    found = {each.finding.code for each in audited(frames).findings if not each.finding.notice}
    assert found <= {"unanswered"}


@given(st.integers(0, 1000), st.integers(0, 200))
def test_a_capture_may_begin_and_end_anywhere(seed, begin):
    frames = invented(Random(seed), batches=30)
    kept = frames[begin:]
    seen = {each.frame.number for each in kept}
    for each in kept:
        if each.request is not None and each.request.frame.number not in seen:
            each.request = None
            each.message = None
    assert set(codes(kept)) <= {"unanswered"}


@given(st.integers(0, 1000), st.data())
def test_a_request_that_is_left_out_of_the_middle_is_missed(seed, data):
    """The property above has teeth: take one first attempt out of a quiet capture, and there is a gap."""
    capture = begun()
    for base in range(10):
        capture.ack(capture.produce(batch(base, salt=seed)))
    place = data.draw(st.integers(2, 9)) * 2
    assert codes(capture.frames[:place] + capture.frames[place + 2 :]) == ["sequence-gap"]


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "LEDGERS_MAX", 5)
    monkeypatch.setattr(module, "FINDINGS_MAX", 3)
    capture = begun()
    for partition in range(20):
        capture.ack(capture.produce(batch(0), partition=partition))
        capture.ack(capture.produce(batch(0), partition=partition))
    audit = audited(capture.frames)
    facts = audit.facts()
    assert (len(facts.ledgers), facts.dropped, len(audit.findings), audit.violations) == (5, 15, 3, 20)


def test_what_is_shown_and_told_to_programs():
    capture = begun()
    capture.ack(capture.produce(batch(0, 5), topic="or\x1b[31mders"))
    capture.ack(capture.produce(batch(7, 5), topic="or\x1b[31mders"))
    audit = audited(capture.frames)
    console = PipedConsole(width=250, color_system=None, soft_wrap=True)
    with console.capture() as captured:
        audit.render(console)
    shown = captured.get()
    assert shown.startswith(
        "audit: 1 violation, 0 notices, 1 sequence ledger\nsequence-gap     frame 5, 22:13:20.005000, "
    )
    assert "\x1b" not in shown and "or\\x1b[31mders-0" in shown
    told = json.loads(json.dumps(audit.to_dict()))
    assert told["violations"] == 1 and told["codes"] == {"sequence-gap": 1}
    assert told["findings"][0]["frame"] == 5
    assert told["partitions"] == [
        {
            "producer_id": 7,
            "topic": "or\x1b[31mders",
            "partition": 0,
            "epochs": [0, 0],
            "first_sequence": 0,
            "next_sequence": 12,
            "batches": 2,
            "records": 10,
            "acknowledged": 2,
            "refused": 0,
            "lost": 0,
            "again": 0,
            "findings": 1,
        }
    ]
