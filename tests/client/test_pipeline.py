"""Requests numbered, sent and matched in order; what cannot be sent leaves no trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import CorrelationMismatch
from kproto.client.frame_stream import FrameStream
from kproto.client.pipeline import CORRELATION_ID_MAX, Pipeline
from kproto.wire import (
    DecodeError,
    EncodeError,
    FrameReader,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    decode_request,
    encode_response,
)

ALL_TOPICS = MetadataRequest()
UNENCODABLE = MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="x" * 40_000)])
IDS = st.integers(-(2**31), 2**31 - 1)


class Sent:
    """A pipeline over plain text, and what an observer hears."""

    def __init__(self, client_id: str | None = "me") -> None:
        self.observed: list[tuple[bool, bytes]] = []
        self.stream = FrameStream("b:9092", None, 10_000)
        self.pipeline = Pipeline(self.stream, client_id, lambda sent, data: self.observed.append((sent, data)))

    def ask(self, token="t", *, timeout_ms=1000, request=ALL_TOPICS) -> None:
        self.pipeline.send(request, 9, token, response=MetadataResponse, now_ms=0, timeout_ms=timeout_ms)

    def tell(self, token="t", *, timeout_ms=1000) -> None:
        """A request that is not answered."""
        self.pipeline.send(ProduceRequest(acks=0), 9, token, response=None, now_ms=0, timeout_ms=timeout_ms)

    def ids(self) -> list[int]:
        """The correlation ids that wait to be written."""
        frames = FrameReader().feed(b"".join(self.stream.outbound))
        return [decode_request(payload)[0].correlation_id for payload in frames]


def payload(correlation_id: int, response=None, version: int = 9) -> bytes:
    return encode_response(response or MetadataResponse(), version, correlation_id=correlation_id)[4:]


def test_conn_11_correlation_ids_count_from_0():
    sent = Sent()
    for _ in range(3):
        sent.ask()
    assert sent.ids() == [0, 1, 2]


def test_conn_11_after_the_highest_id_comes_0():
    sent = Sent()
    sent.pipeline._correlation_id = CORRELATION_ID_MAX - 1
    for _ in range(3):
        sent.ask()
    assert sent.ids() == [2**31 - 2, 2**31 - 1, 0]
    for expected in sent.ids():
        assert sent.pipeline.match(payload(expected)).correlation_id == expected
        sent.pipeline.in_flight.complete_oldest()


@pytest.mark.parametrize("client_id", [None, "", "me", "é" * 100])
def test_the_client_id_is_in_the_header(client_id):
    sent = Sent(client_id)
    sent.ask()
    (data,) = sent.stream.outbound
    header, request = decode_request(data[4:])
    assert (header.client_id, header.request_api_version) == (client_id, 9)
    assert request == MetadataRequest()


def test_conn_10_an_answer_belongs_to_the_oldest_request_which_stays_in_flight():
    sent = Sent()
    sent.ask("first")
    sent.ask("second")
    assert sent.pipeline.match(payload(0)).token == "first"
    assert sent.pipeline.match(payload(0)).token == "first"
    sent.pipeline.in_flight.complete_oldest()
    assert sent.pipeline.match(payload(1)).token == "second"


@pytest.mark.parametrize("received", [1, 2, -1, 2**31 - 1])
def test_f04_another_id_than_the_oldest_is_a_mismatch(received):
    sent = Sent()
    sent.ask()
    sent.ask()
    with pytest.raises(CorrelationMismatch) as caught:
        sent.pipeline.match(payload(received))
    said = f"an answer with correlation id {received}, where the oldest request has 0"
    assert str(caught.value) == f"b:9092: {said}"


def test_f04_an_answer_where_nothing_was_asked_is_a_mismatch():
    sent = Sent()
    sent.tell()
    with pytest.raises(CorrelationMismatch, match="correlation id 0, where no request is unanswered"):
        sent.pipeline.match(payload(0))


@pytest.mark.parametrize("size", range(4))
def test_a_frame_without_a_correlation_id_is_no_answer(size):
    sent = Sent()
    sent.ask()
    with pytest.raises(DecodeError, match=f"expected a correlation id of 4 bytes, found {size} bytes"):
        sent.pipeline.match(bytes(size))


def test_what_cannot_be_encoded_leaves_no_trace():
    sent = Sent()
    sent.ask()
    with pytest.raises(EncodeError):
        sent.ask(request=UNENCODABLE)
    assert sent.ids() == [0]
    assert len(sent.pipeline.in_flight) == len(sent.observed) == 1
    sent.ask()
    assert sent.ids() == [0, 1], "its number is not lost"


def test_what_the_stream_does_not_take_leaves_no_trace():
    sent = Sent()

    def refuse(buffers):
        raise CorrelationMismatch("b:9092", None, 0)

    sent.stream.write = refuse
    with pytest.raises(CorrelationMismatch):
        sent.ask()
    assert not sent.pipeline.close()
    assert not sent.observed
    assert sent.pipeline._correlation_id == 0


def test_conn_13_a_request_without_answer_is_complete_when_all_of_it_is_written():
    sent = Sent()
    sent.tell("quiet")
    (data,) = sent.stream.outbound
    assert sent.pipeline.written(1) == []
    assert sent.pipeline.written(len(data) - 2) == []
    assert [request.token for request in sent.pipeline.written(1)] == ["quiet"]
    assert sent.pipeline.written(0) == []
    assert sent.pipeline.close() == []


def test_conn_13_one_with_an_answer_is_not_complete_by_being_written():
    sent = Sent()
    sent.ask()
    (data,) = sent.stream.outbound
    assert sent.pipeline.written(len(data)) == []
    assert len(sent.pipeline.in_flight) == 1


def test_conn_12_deadlines_are_those_of_both_kinds():
    sent = Sent()
    assert sent.pipeline.next_deadline_ms() is None
    assert sent.pipeline.overdue(10**9) is None
    sent.ask("asked", timeout_ms=2000)
    assert sent.pipeline.next_deadline_ms() == 2000
    sent.tell("told", timeout_ms=1000)
    assert sent.pipeline.next_deadline_ms() == 1000
    assert sent.pipeline.overdue(999) is None
    assert sent.pipeline.overdue(1000).token == "told"
    assert sent.pipeline.overdue(2000).token == "asked"


def test_conn_14_a_throttle_extends_both_kinds():
    sent = Sent()
    sent.ask(timeout_ms=10)
    sent.tell(timeout_ms=20)
    sent.pipeline.extend(0)
    sent.pipeline.extend(500)
    assert [request.deadline_ms for request in sent.pipeline.close()] == [510, 520]


def test_close_gives_all_oldest_first_and_leaves_nothing_to_write():
    sent = Sent()
    sent.ask("a")
    sent.ask("b")
    sent.tell("c")
    assert [request.token for request in sent.pipeline.close()] == ["a", "b", "c"]
    assert not sent.stream.outbound
    assert sent.pipeline.close() == []


def test_an_observer_hears_of_each_frame_with_its_length_and_without_secrets():
    sent = Sent()
    request = SaslAuthenticateRequest(auth_bytes=b"\0alice\0hunter2")
    sent.pipeline.send(request, 2, "t", response=SaslAuthenticateResponse, now_ms=0, timeout_ms=1000)
    answer = SaslAuthenticateResponse(auth_bytes=b"v=proof", session_lifetime_ms=5)
    sent.pipeline.match(payload(0, answer, 2))
    (out, asked), (back, answered) = sent.observed
    assert (out, back) == (True, False)
    assert b"hunter2" not in asked and b"proof" not in answered
    assert len(asked) == len(b"".join(sent.stream.outbound))
    assert decode_request(asked[4:])[0].correlation_id == 0
    assert answered[4:8] == bytes(4)


def test_nobody_need_observe():
    stream = FrameStream("b:9092", None, 1000)
    pipeline = Pipeline(stream, None, None)
    pipeline.send(MetadataRequest(), 9, "t", response=MetadataResponse, now_ms=0, timeout_ms=1000)
    assert pipeline.match(payload(0)).api == "MetadataRequest v9"


@given(st.lists(st.booleans(), max_size=10), st.lists(IDS, max_size=5))
def test_conn_10_only_the_next_id_is_ever_matched(asked, received):
    sent = Sent()
    for is_asked in asked:
        (sent.ask if is_asked else sent.tell)()
    expected = [number for number, is_asked in enumerate(asked) if is_asked]
    for correlation_id in received + expected:
        if expected and correlation_id == expected[0]:
            assert sent.pipeline.match(payload(correlation_id)).correlation_id == correlation_id
            sent.pipeline.in_flight.complete_oldest()
            expected = expected[1:]
        else:
            with pytest.raises(CorrelationMismatch):
                sent.pipeline.match(payload(correlation_id))
