"""One connection: its order, its time, and each fault on its way."""

from __future__ import annotations

import pytest
from client.talk import VERSIONS
from hypothesis import given
from hypothesis import strategies as st
from tools.judge.judging import METADATA, PRODUCE, JudgeTalk, batch, metadata_request, produce_request

from kproto.tools.judge import Fault, FaultPoint, JudgeCluster, JudgeViolation
from kproto.wire import ApiVersionsRequest, encode_request

PARSE, BEFORE, AFTER, REPLY = FaultPoint


@pytest.fixture
def cluster():
    return JudgeCluster(nodes=1, topics={"orders": 2})


@pytest.fixture
def talk(cluster):
    return JudgeTalk(cluster)


def written(cluster):
    return len(cluster.log("orders", 0))


def waits_until(talk, at_ms):
    """Nothing is said before this time, and something then."""
    assert talk.end.next_event_ms() == at_ms
    talk.end.advance(at_ms - 1)
    assert talk.silent()
    talk.end.advance(at_ms)
    return talk.payloads()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_requests_are_served_in_order_however_they_arrive(sizes):
    cluster = JudgeCluster(nodes=1, topics={"orders": 1})
    talk = JudgeTalk(cluster)
    data = b"".join(
        encode_request(produce_request({"orders": {0: batch(n)}}), 12, correlation_id=n, client_id="") for n in range(5)
    )
    while data:
        size = sizes[len(data) % len(sizes)]
        talk.end.receive(data[:size])
        data = data[size:]
    assert [int.from_bytes(payload[:4], "big") for payload in talk.payloads()] == list(range(5))
    assert [one.sequence for one in cluster.log("orders", 0)] == list(range(5))
    cluster.check()


def test_an_answer_takes_its_time_and_the_next_request_waits(cluster, talk):
    cluster.brokers[0].latency_ms = 10
    talk.now_ms = 100
    for sequence in range(3):
        talk.tell(batch(sequence))
    assert written(cluster) == 1
    for count, at_ms in enumerate((110, 120, 130), 1):
        assert len(waits_until(talk, at_ms)) == 1
        assert written(cluster) == min(3, count + 1)
    assert talk.end.next_event_ms() is None


def test_bytes_move_what_is_due(cluster, talk):
    cluster.brokers[0].latency_ms = 10
    talk.tell(batch(0))
    talk.now_ms = 30
    talk.tell(batch(1))
    assert len(talk.payloads()) == 1
    assert len(waits_until(talk, 40)) == 1


def test_a_schedule_is_told_when_to_wake_it(cluster, talk):
    calls = []
    cluster.schedule = lambda ms, call: calls.append((ms, call))
    cluster.brokers[0].latency_ms = 10
    talk.tell(batch(0))
    ((ms, wake),) = calls
    assert (ms, talk.silent()) == (10, True)
    wake()
    assert len(talk.payloads()) == 1


def test_a_throttled_connection_is_not_read(cluster, talk):
    cluster.fail(METADATA, Fault.throttle(50))
    assert talk.ask(metadata_request(), 12).throttle_time_ms == 50
    talk.tell(batch(0))
    assert (talk.silent(), written(cluster)) == (True, 0)
    assert len(waits_until(talk, 50)) == 1
    cluster.brokers[0].throttle_time_ms = 7
    assert talk.ask(metadata_request(), 12).throttle_time_ms == 7


@pytest.mark.parametrize(("point", "records"), [(PARSE, 0), (BEFORE, 0), (AFTER, 1), (REPLY, 1)])
@pytest.mark.parametrize("silent", [False, True])
def test_an_exchange_ends_at_each_point(cluster, talk, point, records, silent):
    cluster.fail(PRODUCE, Fault.silence(point) if silent else Fault.close(point))
    talk.tell(batch(0))
    talk.tell(batch(1))
    assert (talk.silent(), written(cluster)) == (True, records)
    assert (talk.end.closed, talk.end.silent) == (not silent, silent)
    again = JudgeTalk(cluster)
    assert again.produce(batch(0)).base_offset == 0
    assert written(cluster) == 1
    cluster.check()


@pytest.mark.parametrize("size", [0, 3, 4, 20])
def test_an_answer_breaks_off(cluster, talk, size):
    cluster.fail(PRODUCE, Fault.close(REPLY, reply_bytes=size))
    talk.tell(batch(0))
    assert len(talk.end.output()) == size
    assert talk.end.closed
    assert written(cluster) == 1


def test_faults_meet_the_partition_that_they_are_for(cluster, talk):
    cluster.fail(PRODUCE, Fault.close(AFTER, topic="orders", partition=1))
    assert talk.code(batch(0)) == 0
    with pytest.raises(ConnectionError):
        talk.code(batch(0), index=1)
    assert len(cluster.log("orders", 1)) == 1


def test_a_delayed_answer(cluster, talk):
    cluster.fail(PRODUCE, Fault.delay(25))
    talk.tell(batch(0))
    assert written(cluster) == 1
    assert len(waits_until(talk, 25)) == 1


def test_a_request_may_be_served_when_its_connection_has_ended(cluster, talk):
    """A broker that was stopped goes on with what it has read."""
    cluster.fail(PRODUCE, Fault.delay(25, BEFORE))
    talk.tell(batch(0))
    talk.end.closed = True
    assert written(cluster) == 0
    assert JudgeTalk(cluster).produce(batch(1)).base_offset == 0, "what was sent later overtakes it"
    assert cluster.next_event_ms() == 25
    cluster.advance(25)
    assert talk.silent()
    assert cluster.refusals[-1][4] == 45


def test_an_answer_to_an_ended_connection_is_dropped(cluster, talk):
    cluster.brokers[0].latency_ms = 10
    cluster.fail(PRODUCE, Fault.close(REPLY, reply_bytes=5), times=1)
    other = JudgeTalk(cluster)
    for one in (talk, other):
        one.tell(batch(0))
        one.end.closed = True
        one.end.advance(10)
        assert one.silent()


NO_REQUESTS = {
    "a length below 0": b"\xff\xff\xff\xff",
    "no header": b"\0\0\0\2\0\0",
    "HTTP": b"GET / HTTP/1.1\r\n\r\n",
    "a body that is cut": b"\0\0\0\x0a\0\3\0\1\0\0\0\1\0\0",
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_what_is_no_request_is_a_violation(cluster, talk, name):
    talk.end.receive(NO_REQUESTS[name])
    assert talk.end.closed
    assert talk.silent()
    with pytest.raises(JudgeViolation, match="connection 1"):
        cluster.check()
    talk.end.receive(b"more")
    assert len(cluster.violations) == 1


def test_bytes_behind_a_request_are_a_violation(cluster, talk):
    data = bytearray(encode_request(ApiVersionsRequest(), 0, correlation_id=1, client_id="") + b"\0")
    data[3] += 1
    talk.end.receive(bytes(data))
    assert talk.end.closed
    assert len(cluster.violations) == 1


def test_a_good_conversation_is_no_violation(cluster, talk):
    talk.ask(VERSIONS, 5)
    talk.metadata()
    talk.produce(batch(0))
    cluster.check()


def test_garbage_has_a_length_and_the_correlation_id(cluster, talk):
    cluster.fail(PRODUCE, Fault.garbage(b"abc"))
    talk.tell(batch(0))
    assert talk.payloads() == [b"\0\0\0\1abc"]
    assert written(cluster) == 1
    assert talk.code(batch(0)) == 0


@pytest.mark.parametrize(("number", "told"), [(1, b"\0\0\0\2"), (2**31 - 1, b"\0\0\0\0")])
def test_an_answer_to_another_request(cluster, talk, number, told):
    cluster.fail(PRODUCE, Fault.misnumber())
    talk.end.receive(
        encode_request(produce_request({"orders": {0: batch(0)}}), 12, correlation_id=number, client_id="")
    )
    assert talk.payloads()[0][:4] == told


def test_what_comes_behind_silence_is_not_kept(cluster, talk):
    cluster.fail(PRODUCE, Fault.silence(BEFORE))
    request = produce_request({"orders": {0: batch(0)}})
    frames = [encode_request(request, 12, correlation_id=number, client_id="") for number in range(3)]
    talk.end.receive(b"".join(frames))
    talk.tell(batch(0))
    assert talk.end.behind == 0
    assert talk.silent()


def test_requests_wait_behind_a_slow_one(cluster, talk):
    cluster.fail(PRODUCE, Fault.delay(10))
    for sequence in range(3):
        talk.tell(batch(sequence))
    assert talk.end.behind == 2
    assert cluster.requests[-1].correlation_id == 1
