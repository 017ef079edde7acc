"""The first exchange of each API is kept, and everything is passed on."""

from __future__ import annotations

from kproto.tools.frame_log import FrameLog
from kproto.wire import ApiKey, InitProducerIdRequest, InitProducerIdResponse, encode_request, encode_response

INIT = ApiKey.INIT_PRODUCER_ID


class Onward:
    def __init__(self):
        self.heard = []

    def opened(self, *given):
        self.heard.append(given)

    def frame(self, *given):
        self.heard.append(given)

    def closed(self, *given):
        self.heard.append(given)


def asked(correlation_id, timeout_ms=1):
    request = InitProducerIdRequest(transaction_timeout_ms=timeout_ms)
    return encode_request(request, 4, correlation_id=correlation_id, client_id="me")


def answered(correlation_id, producer_id=7):
    return encode_response(InitProducerIdResponse(producer_id=producer_id), 4, correlation_id=correlation_id)


def values(log, name):
    return [span.value for frame in log.exchange(INIT) for span in frame.spans if span.path == name]


def test_everything_is_passed_on():
    onward = Onward()
    log = FrameLog(onward)
    told = [(1, ("127.0.0.1", 1), ("127.0.0.1", 2)), (1, True, asked(1)), (1, False, answered(1)), (1,)]
    log.opened(*told[0])
    log.frame(*told[1])
    log.frame(*told[2])
    log.closed(*told[3])
    assert onward.heard == told
    assert log.frames == 2


def test_the_first_exchange_is_kept_with_its_own_answer():
    log = FrameLog(Onward())
    assert log.exchange(INIT) == []
    log.frame(1, True, asked(5, timeout_ms=11))
    log.frame(2, True, asked(5, timeout_ms=12))
    log.frame(2, False, answered(5, producer_id=12))
    assert [frame.direction for frame in log.exchange(INIT)] == [">"]
    log.frame(1, False, answered(5, producer_id=11))
    log.frame(1, False, answered(6, producer_id=13))
    request, response = log.exchange(INIT, "Who am I?")
    assert (request.title, request.purpose, response.title) == (
        "InitProducerId 4 request",
        "Who am I?",
        "InitProducerId 4 response",
    )
    assert (values(log, "transaction_timeout_ms"), values(log, "producer_id")) == ([11], [-1, 11])


def test_a_request_that_is_never_answered_makes_room_for_the_next():
    log = FrameLog(Onward())
    log.frame(1, True, asked(1, timeout_ms=1))
    log.closed(1)
    assert log.exchange(INIT) == []
    log.frame(2, True, asked(1, timeout_ms=2))
    log.frame(2, False, answered(1))
    assert values(log, "transaction_timeout_ms") == [2]
    log.closed(2)
    assert len(log.exchange(INIT)) == 2
