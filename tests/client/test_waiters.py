"""Who waits for an answer gets it once, on his own loop, and only if it is one to what he asked."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.backoff import ExponentialBackoff
from kproto.client.errors import ClientClosedError, KafkaError, SaslAuthenticationError
from kproto.client.in_flight import Completion
from kproto.client.metadata import Metadata
from kproto.client.metadata_state import IN_FLIGHT
from kproto.client.waiters import LOGGED_MAX, Waiters, make_news_check
from kproto.wire import MetadataResponse

SECONDS = 20
REFUSED = SaslAuthenticationError("b:9092", "no")
ANSWER = MetadataResponse(
    brokers=[MetadataResponse.MetadataResponseBroker(node_id=0, host="b", port=9092)], cluster_id="c"
)


@dataclass
class Core:
    """What `Waiters` knows of a core; it is its own metadata."""

    completions: list[Completion] = field(default_factory=list)
    fatal: KafkaError | None = None
    warnings: tuple[Any, ...] = ()
    connections: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(warnings=()))

    @property
    def metadata(self):
        return self

    def take_completions(self):
        taken, self.completions = self.completions, []
        return taken

    def take_fatal_error(self):
        taken, self.fatal = self.fatal, None
        return taken


def waiting(scenario):
    """Runs a coroutine that is given a core and its waiters."""

    async def main():
        core = Core()
        await scenario(core, Waiters(core, asyncio.get_running_loop()))

    asyncio.run(main())


def outcome(future):
    return future.exception() or future.result() if future.done() else None


def test_a_waiter_gets_the_first_value_that_there_is():
    async def scenario(core, waiters):
        values = [None, None, "seven", "eight"]
        future = waiters.add(lambda: values.pop(0))
        for found in [None, None, "seven", "seven"]:
            waiters.deliver(waiters.collect())
            assert outcome(future) == found
        assert values == ["eight"] and len(waiters) == 0

    waiting(scenario)


def test_a_check_that_raises_is_for_its_waiter_alone():
    async def scenario(core, waiters):
        def broken():
            raise REFUSED

        one, other = waiters.add(broken), waiters.add(lambda: None)
        waiters.deliver(waiters.collect())
        assert outcome(one) is REFUSED
        assert outcome(other) is None and len(waiters) == 1

    waiting(scenario)


def test_what_no_waiting_cures_ends_all_waits_but_those_that_have_what_they_want():
    async def scenario(core, waiters):
        core.fatal = REFUSED
        assert waiters.collect() == [] and core.fatal is REFUSED  # kept for who comes
        futures = [waiters.add(lambda value=value: value) for value in (None, "there", None)]
        waiters.deliver(waiters.collect())
        assert [outcome(future) for future in futures] == [REFUSED, "there", REFUSED]
        later = waiters.add(lambda: None)
        waiters.deliver(waiters.collect())
        assert outcome(later) is None

    waiting(scenario)


def test_completions_end_the_futures_that_are_their_tokens():
    async def scenario(core, waiters):
        loop = asyncio.get_running_loop()
        answered, failed, unanswered, cancelled = (loop.create_future() for _ in range(4))
        cancelled.cancel()
        core.completions = [
            Completion(answered, ANSWER, None, 1),
            Completion(failed, None, REFUSED, 1),
            Completion(unanswered, None, None, 1),
            Completion(cancelled, ANSWER, None, 1),
        ]
        waiters.deliver(waiters.collect())
        assert answered.result() is ANSWER
        assert failed.exception() is REFUSED
        assert unanswered.result() is None
        assert cancelled.cancelled()

    waiting(scenario)


def test_another_thread_delivers_in_the_loops():
    async def scenario(core, waiters):
        future = waiters.add(threading.get_ident)
        other = threading.Thread(target=lambda: waiters.deliver(waiters.collect()))
        other.start()
        other.join()
        assert not future.done()  # not before the loop's turn
        async with asyncio.timeout(SECONDS):
            assert await future == other.ident

    waiting(scenario)


def test_nothing_found_wakes_nobody():
    async def scenario(core, waiters):
        waiters._loop = None
        waiters._thread = None
        waiters.deliver([])

    waiting(scenario)


def test_all_fail_with_the_same_error_and_who_left_does_not():
    async def scenario(core, waiters):
        staying, leaving = waiters.add(lambda: None), waiters.add(lambda: None)
        waiters.discard(leaving)
        waiters.discard(leaving)
        error = ClientClosedError()
        waiters.fail(error)
        assert outcome(staying) is error
        assert not leaving.done() and len(waiters) == 0

    waiting(scenario)


def test_each_warning_is_logged_once(caplog):
    async def scenario(core, waiters):
        core.warnings = ("odd", "odder")
        for _ in range(3):
            waiters.collect()
        core.warnings = ("odder", "oddest")
        core.connections.warnings = ("of a connection",)
        for _ in range(2):
            waiters.collect()

    with caplog.at_level(logging.WARNING, "kproto.client"):
        waiting(scenario)
    assert [record.getMessage() for record in caplog.records] == ["odd", "odder", "oddest", "of a connection"]


def test_what_was_logged_is_forgotten_in_the_end():
    async def scenario(core, waiters):
        for index in range(3 * LOGGED_MAX):
            core.warnings = (index,)
            waiters.collect()
        assert len(waiters._logged) == LOGGED_MAX

    waiting(scenario)


def made_metadata():
    return Metadata(
        refresh_backoff=ExponentialBackoff(0, 0),
        max_age_ms=300_000,
        max_idle_ms=300_000,
        rng=Random(1),
        rebootstrap_trigger_ms=300_000,
    )


class Asked:
    """Metadata, and what is in flight: requests are numbered, answers remember to which they are."""

    def __init__(self):
        self.metadata = made_metadata()
        self.begun = 0
        self.answered = []
        self._generation = None

    def event(self, name):
        in_flight = self.metadata.state in IN_FLIGHT
        if name == "send" and not in_flight:
            self.metadata.request_update()
            _, self._generation = self.metadata.begin_request(0)
            self.begun += 1
        elif name == "answer" and in_flight:
            self.metadata.handle_response(self._generation, ANSWER, 12, 0)
            self.answered.append(self.begun)
        elif name == "fail" and in_flight:
            self.metadata.failed_update(0, KafkaError("lost"))


EVENTS = st.lists(st.sampled_from(["send", "answer", "fail"]), max_size=8)
PASSES = st.lists(  # what one pass may bring: an answer or a failure, and then the next request
    st.sampled_from([["answer"], ["fail"], ["send"], ["answer", "send"], ["fail", "send"]]), max_size=12
)


@given(EVENTS, PASSES)
def test_meta_7_news_is_an_answer_to_a_request_that_began_after_the_question(before, passes):
    asked = Asked()
    for name in before:
        asked.event(name)
    asked.metadata.request_update(reset=True)
    has_come = make_news_check(asked.metadata)
    begun = asked.begun
    assert not has_come()
    for events in passes:
        for name in events:
            asked.event(name)
        assert has_come() == any(number > begun for number in asked.answered)


@pytest.mark.parametrize("ending", ["answer", "fail"])
def test_meta_7_the_end_of_an_earlier_request_is_no_news(ending):
    asked = Asked()
    asked.event("send")
    has_come = make_news_check(asked.metadata)
    asked.event(ending)
    assert not has_come()
    asked.event("send")
    assert not has_come()
    asked.event("answer")
    assert has_come()
