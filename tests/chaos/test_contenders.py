"""How a contender's answers become outcomes of records."""

from __future__ import annotations

from asyncio import CancelledError
from concurrent.futures import Future

import pytest
from chaos.contenders import CONTENDERS, DEFAULT, SHORT, AioKafka, Kproto
from chaos.records import SentRecord, Written


def test_timeouts_are_spelled_as_the_producer_does():
    assert SHORT.named(delivery="delivery.timeout.ms", request=["request.timeout.ms", "socket.timeout.ms"]) == {
        "delivery.timeout.ms": 4000,
        "request.timeout.ms": 1500,
        "socket.timeout.ms": 1500,
    }
    assert SHORT.named(request=["request_timeout_ms"]) == {"request_timeout_ms": 1500}
    assert DEFAULT.named(delivery="delivery_timeout_ms", request=["request_timeout_ms"]) == {}


def test_all_contenders_are_known():
    assert set(CONTENDERS) == {"kproto", "java", "confluent", "aiokafka", "kafka-python"}


class Failed(Exception):
    def __init__(self, written):
        super().__init__(written)
        self.written = written


class FakeProducer:
    """Gives out futures that the test ends, or refuses."""

    def __init__(self, refusal=None):
        self.refusal = refusal
        self.futures = []
        self.sent = []

    def send(self, topic, value, *, partition):
        if self.refusal is not None:
            raise self.refusal
        self.sent.append((topic, value, partition))
        self.futures.append(Future())
        return self.futures[-1]


def kproto_with(producer):
    made = object.__new__(Kproto)
    made._topic, made._producer = "orders", producer
    made._statuses = {"NO": Written.NO, "POSSIBLY": Written.POSSIBLY}
    return made


def test_kproto_acks_with_the_offset_of_the_future():
    producer, record = FakeProducer(), SentRecord(2, 0)
    kproto_with(producer).send(record)
    assert producer.sent == [("orders", record.value, 2)] and record.is_open

    class Metadata:
        offset = 41

    producer.futures[0].set_result(Metadata)
    assert record.is_acked and record.offset == 41 and record.ended == 1


@pytest.mark.parametrize(("said", "written"), [("NO", Written.NO), ("POSSIBLY", Written.POSSIBLY), (None, Written.NO)])
def test_kproto_fails_with_what_the_error_says_of_the_log(said, written):
    """An error that says nothing is taken at "not written", so that it cannot hide."""
    producer, record = FakeProducer(), SentRecord(2, 0)
    kproto_with(producer).send(record)
    producer.futures[0].set_exception(Failed(said))
    assert (record.error, record.written, record.ended) == ("Failed", written, 1)


def test_what_send_raises_is_a_refusal():
    record = SentRecord(2, 0)
    kproto_with(FakeProducer(refusal=BufferError("full"))).send(record)
    assert record.refused == "BufferError('full')" and not record.is_open and not record.ended


def test_a_cancelled_future_of_aiokafka_is_a_failure():
    record, future = SentRecord(0, 0), Future()
    future.cancel()
    AioKafka._done(record, future)
    assert record.error == CancelledError.__name__
