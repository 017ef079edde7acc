"""Tokens of the user's provider: sync or async, kept while they are good, and never in a text."""

from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import SaslAuthenticationError
from kproto.client.tokens import REFRESH_WINDOW, TokenSource

SECONDS = 20
SECRET = "a.very.secret-token"


class Clock:
    def __init__(self):
        self.now_ms = 1_000

    def __call__(self):
        return self.now_ms


async def fetched(source):
    """What is fetched, and by which thread it is told."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    told = []

    def done(token):
        told.append(threading.current_thread())
        loop.call_soon_threadsafe(future.set_result, token)

    source.fetch(loop, done)
    async with asyncio.timeout(SECONDS):
        token = await future
    if told[0] is not threading.current_thread():
        told[0].join(SECONDS)
    (thread,) = told
    return token, thread


def test_a_sync_provider_runs_in_a_daemon_thread():
    threads = []

    def provider():
        threads.append(threading.current_thread())
        return SECRET

    token, thread = asyncio.run(fetched(TokenSource(provider, Clock())))
    assert token == SECRET
    assert threads == [thread]
    assert thread.daemon and thread.name == "kproto-token"


def test_an_async_provider_runs_on_the_loop():
    async def scenario():
        threads = []

        async def provider():
            await asyncio.sleep(0)
            threads.append(threading.current_thread())
            return SECRET, 60.0

        token, _ = await fetched(TokenSource(provider, Clock()))
        assert token == SECRET
        assert threads == [threading.current_thread()]

    asyncio.run(scenario())


@given(st.integers(1, 100_000), st.integers(0, 200))
def test_a_token_is_kept_for_a_part_of_its_lifetime(lifetime_s, percent):
    async def scenario():
        given_out = []
        clock = Clock()

        def provider():
            given_out.append(f"token {len(given_out)}")
            return given_out[-1], lifetime_s

        source = TokenSource(provider, clock)
        assert (await fetched(source))[0] == "token 0"
        clock.now_ms += lifetime_s * 10 * percent
        token, thread = await fetched(source)
        good = percent / 100 < REFRESH_WINDOW
        assert token == f"token {0 if good else 1}"
        assert (thread is threading.current_thread()) == good  # then at once

    asyncio.run(scenario())


@pytest.mark.parametrize("given_out", [SECRET, (SECRET, 0), (SECRET, -5)], ids=["bare", "zero", "negative"])
def test_a_token_without_a_lifetime_is_used_once(given_out):
    async def scenario():
        calls = []
        source = TokenSource(lambda: (calls.append(1), given_out)[1], Clock())
        for _ in range(3):
            assert (await fetched(source))[0] == SECRET
        assert len(calls) == 3

    asyncio.run(scenario())


class ProviderBug(Exception):
    pass


def raises():
    raise ProviderBug(f"cannot refresh {SECRET}")


async def raises_later():
    raise ProviderBug(f"cannot refresh {SECRET}")


@pytest.mark.parametrize(
    ("provider", "cause"),
    [
        (raises, ProviderBug),
        (raises_later, ProviderBug),
        (lambda: SECRET.encode(), TypeError),
        (lambda: None, TypeError),
        (lambda: (SECRET, "long"), ValueError),
        (lambda: (SECRET, 1, 2), ValueError),
    ],
    ids=["raises", "raises later", "bytes", "nothing", "no number", "too many"],
)
def test_a_provider_that_fails_is_named_without_its_text(provider, cause):
    error, _ = asyncio.run(fetched(TokenSource(provider, Clock())))
    assert isinstance(error, SaslAuthenticationError)
    assert isinstance(error.__cause__, cause)
    assert str(error) == f"sasl_oauth_token_provider: the provider raised {cause.__name__}"
    assert SECRET not in f"{error!s}{error!r}"


def test_a_provider_that_failed_is_asked_again():
    async def scenario():
        answers = [ProviderBug(), (SECRET, 60)]

        def provider():
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        source = TokenSource(provider, Clock())
        assert isinstance((await fetched(source))[0], SaslAuthenticationError)
        assert (await fetched(source))[0] == SECRET

    asyncio.run(scenario())


def test_no_secret_in_a_repr():
    source = TokenSource(lambda: (SECRET, 60), Clock())
    asyncio.run(fetched(source))
    assert SECRET not in repr(source)


def test_a_loop_that_ends_while_the_provider_waits_ends_the_wait():
    told = []
    done = threading.Event()

    async def provider():
        await asyncio.Event().wait()

    async def scenario():
        started = asyncio.Event()

        async def noted():
            started.set()
            await provider()

        source = TokenSource(noted, Clock())
        source.fetch(asyncio.get_running_loop(), lambda token: (told.append(token), done.set()))
        async with asyncio.timeout(SECONDS):
            await started.wait()

    asyncio.run(scenario())
    assert done.wait(SECONDS)
    assert str(told[0]) == "sasl_oauth_token_provider: the provider raised CancelledError"
