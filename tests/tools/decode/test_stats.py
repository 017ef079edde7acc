"""Statistics of hand-made captures, counted again by other means."""

from __future__ import annotations

from random import Random
from uuid import UUID

import pytest
from tools.decode.decoded import BROKER, OTHER_BROKER, Capture, batch
from tools.decode.invented import invented

from kproto.tools.decode import stats as module
from kproto.tools.decode.model import Finding
from kproto.tools.decode.stats import Stats


def counted(frames):
    stats = Stats()
    for each in frames:
        stats.add(each)
    stats.end()
    return stats.facts()


def test_counts_and_bytes_by_api_broker_and_client():
    capture = Capture()
    capture.api_versions({0: (0, 13)})
    capture.ack(capture.produce(batch(0)))
    capture.ack(capture.produce(batch(1), conn=2, broker=OTHER_BROKER, client_id="other"))
    facts = counted(capture.frames)
    sizes = [each.frame.size for each in capture.frames]
    assert (facts.frames, facts.size, facts.connections) == (6, sum(sizes), 2)
    assert {name: (each.requests, each.responses) for name, each in facts.apis.items()} == {
        "Produce": (2, 2),
        "ApiVersions": (1, 1),
    }
    assert facts.apis["Produce"].request_bytes == sizes[2] + sizes[4]
    assert facts.brokers[OTHER_BROKER].response_bytes == sizes[5]
    assert {name: each.requests for name, each in facts.clients.items()} == {"app": 2, "other": 1}
    assert facts.apis["Produce"].versions == {"9": 2}
    assert facts.seconds == pytest.approx(0.005)


def test_a_connection_whose_client_id_changes():
    """Answers count for the client that asked."""
    capture = Capture()
    first = capture.produce(batch(0), client_id="one")
    second = capture.produce(batch(1), client_id="two")
    capture.ack(first)
    capture.ack(second)
    capture.ack(capture.produce(batch(2), client_id="one"))
    clients = counted(capture.frames).clients
    assert {name: (each.requests, each.responses) for name, each in clients.items()} == {"one": (2, 2), "two": (1, 1)}


def test_latency_and_depth():
    capture = Capture()
    first, second = capture.produce(batch(0)), capture.produce(batch(1))
    capture.wait(10)
    capture.ack(first)
    capture.ack(second)
    capture.ack(capture.produce(batch(2)))
    produce = counted(capture.frames).apis["Produce"]
    assert sorted(produce.latency._buckets.values()) == [1, 2]
    assert (produce.latency.total, produce.latency.most) == (12_000 + 12_000 + 1_000, 12_000)
    assert (produce.in_flight.count, produce.in_flight.total, produce.in_flight.most) == (3, 1 + 2 + 1, 2)


def test_without_acks_nothing_is_in_flight():
    capture = Capture()
    capture.produce(batch(0), acks=0)
    assert counted(capture.frames).apis["Produce"].in_flight.count == 0


def test_batches_by_topic_also_by_id():
    topic = UUID(int=3)
    capture = Capture()
    capture.produce(batch(0, 5), batch(5, 7))
    capture.produce(batch(0, 2), topic=topic, version=13, topics={topic: "by id"})
    capture.produce(batch(0, 2)[:-1])
    facts = counted(capture.frames)
    assert {name: each.batches.records.total for name, each in facts.topics.items()} == {"orders": 12, "by id": 2}
    assert facts.topics["orders"].batches.damaged == 1
    damaged = bytearray(batch(0, 2))
    damaged[-1] ^= 1
    capture.produce(bytes(damaged))
    stats = Stats()
    for each in capture.frames:
        stats.add(each)
    assert stats.bad_batches == 2
    assert facts.total.batches.sizes.count == 3


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_the_ratio_is_that_of_the_bytes(codec):
    plain, packed = batch(0, 20, value=b"x" * 100), batch(0, 20, value=b"x" * 100, compression=codec)
    capture = Capture()
    capture.produce(packed)
    batches = counted(capture.frames).total.batches
    assert batches.ratio == len(plain) / len(packed)


def test_only_a_sample_is_decompressed():
    capture = Capture()
    for base in range(200):
        capture.produce(batch(base, compression="gzip"))
    batches = counted(capture.frames).total.batches
    assert (batches.sizes.count, batches.sampled) == (200, 16 + 3)


def test_what_does_not_decompress_has_no_ratio():
    data = bytearray(batch(0, 3, compression="gzip"))
    data[70:75] = b"wrong"
    capture = Capture()
    capture.produce(bytes(data))
    batches = counted(capture.frames).total.batches
    assert (batches.ratio, batches.bad_crc, batches.sizes.count) == (None, 1, 1)


def test_errors_and_throttling():
    capture = Capture()
    for error in (0, 6, 0, 6, 7):
        capture.ack(capture.produce(batch(0)), error, throttle_ms=error and 30)
    facts = counted(capture.frames)
    assert facts.errors == [
        ("Produce", "NOT_LEADER_OR_FOLLOWER", 6, 2, 4, 8),
        ("Produce", "REQUEST_TIMED_OUT", 7, 1, 10, 10),
    ]
    produce = facts.apis["Produce"]
    assert produce.errors == {"NOT_LEADER_OR_FOLLOWER": 2, "REQUEST_TIMED_OUT": 1}
    assert (produce.throttled.count, produce.throttled.most) == (3, 30)


def test_what_is_not_decoded_is_counted():
    capture = Capture()
    capture.undeclared(1, "Fetch")
    asked = capture.produce(batch(0))
    capture.ack(asked).message = None
    asked.message = None
    facts = counted(capture.frames)
    assert {name: each.responses for name, each in facts.apis.items()} == {"Fetch": 1, "Produce": 1}


def test_answers_whose_request_is_not_in_the_capture():
    capture = Capture()
    answer = capture.ack(capture.produce(batch(0)))
    answer.request = answer.latency_ms = answer.api = answer.api_key = None
    facts = counted([answer])
    assert {name: each.responses for name, each in facts.apis.items()} == {"(unknown)": 1}
    assert list(facts.clients) == ["(no client id)"]


def test_findings_are_counted_once_and_notices_not_at_all():
    capture = Capture()
    capture.produce(batch(0), findings=[Finding("crc", "wrong"), Finding("tls", "seen", notice=True)])
    capture.gap()
    assert counted(capture.frames).findings == {"crc": 1, "gap": 1}


def test_only_what_is_shown_is_to_be_decoded():
    assert Stats.wants_message(0, request=True)
    assert not Stats.wants_message(1, request=True)
    assert Stats.wants_message(1, request=False)


@pytest.mark.parametrize("seed", range(5))
def test_parts_add_up_to_the_whole(seed):
    facts = counted(invented(Random(seed)))
    for parts in (facts.apis, facts.brokers, facts.clients):
        for name in ("requests", "responses", "request_bytes", "response_bytes"):
            assert sum(getattr(each, name) for each in parts.values()) == getattr(facts.total, name)
        assert sum(each.latency.total for each in parts.values()) == facts.total.latency.total
    assert facts.total.request_bytes + facts.total.response_bytes == facts.size
    assert set(facts.brokers) == {BROKER, OTHER_BROKER}


def test_memory_is_bounded(monkeypatch):
    for name, most in (("CELLS_MAX", 8), ("TOPICS_MAX", 4), ("ERRORS_MAX", 2), ("CONNECTIONS_MAX", 3)):
        monkeypatch.setattr(module, name, most)
    capture = Capture()
    for number in range(40):
        more = {"conn": number, "broker": f"b:{number}", "client_id": f"c{number}", "topic": f"t{number}"}
        capture.ack(capture.produce(batch(0), **more), error=number)
        capture.undeclared(number + 1, f"api{number}", conn=number)
    stats = Stats()
    for each in capture.frames:
        stats.add(each)
    facts = stats.facts()
    assert len(stats._cells) <= 2 * 8 + 1
    assert len(stats._connections) == 3
    assert facts.total.requests == 80
    assert len(facts.topics) == 5 and sum(each.batches.sizes.count for each in facts.topics.values()) == 40
    assert len(facts.errors) == 2
