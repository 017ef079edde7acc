"""Samples: what a rate, a mean and a maximum are made of."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from math import isnan, nan
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.kafka_metrics import ask_kafka

from kproto.producer.metric_window import Meter, Sample, Samples, Sampling

SCRIPTS = 400


@dataclass(slots=True, eq=False)
class Values(Sample):
    value: int = 0
    value_max: int = 0


def recorded(sampling, events):
    """Samples, and a meter, in which these events happened."""
    samples, meter = Samples(Values, sampling), Meter(sampling)
    for at_ms, value in events:
        sample = samples.at(at_ms)
        sample.value += value
        sample.value_max = max(sample.value_max, value)
        meter.add(value, at_ms)
    return samples, meter


def measured(sampling, events, now_ms):
    """Rate, rate of the count, share of ns, mean, maximum, total: what the Java source answers, in its order."""
    samples, meter = recorded(sampling, events)
    rate = samples.rate(lambda sample: sample.value, now_ms)
    assert meter.rate(now_ms) == rate
    return [
        rate,
        samples.rate(lambda sample: sample.count, now_ms),
        rate / 1e9,
        samples.mean(lambda sample: sample.value, now_ms),
        samples.greatest(lambda sample: sample.value_max, now_ms),
        float(meter.total),
    ]


TWO = Sampling(30_000, 2, 0)
# Each as Kafka measures it; the test with Java holds them against it.
MEASURED_BY_KAFKA = [
    (TWO, [], 1_000, (0.0, 0.0, nan, nan)),
    (TWO, [(0, 10), (100, 20)], 1_000, (30 / 31, 2 / 31, 15.0, 20.0)),
    (TWO, [(0, 10)], 0, (1 / 3, 1 / 30, 10.0, 10.0)),
    (TWO, [(0, 10)], 30_000, (1 / 3, 1 / 30, 10.0, 10.0)),
    (TWO, [(0, 10), (30_000, 50)], 30_000, (2.0, 2 / 30, 30.0, 50.0)),
    (TWO, [(0, 10), (29_999, 50)], 89_998, (60 / 89.998, 2 / 89.998, 30.0, 50.0)),
    (TWO, [(0, 10)], 59_999, (10 / 59.999, 1 / 59.999, 10.0, 10.0)),
    (TWO, [(0, 10)], 60_000, (0.0, 0.0, nan, nan)),
    (TWO, [(0, 90), (29_000, 90), (31_000, 1), (62_000, 1)], 62_000, (182 / 62, 4 / 62, 45.5, 90.0)),
    (TWO, [(0, 90), (2_000_000, 6)], 2_000_001, (6 / 30.001, 1 / 30.001, 6.0, 6.0)),
    (Sampling(30_000, 1, 0), [(5, 5)], 5, (5_000.0, 1_000.0, 5.0, 5.0)),
    (Sampling(1_000, 5, 0), [(0, 8), (900, 8), (1_800, 8), (4_999, 1)], 5_000, (5.0, 0.8, 6.25, 8.0)),
]


def question(sampling, events, now_ms):
    return {"window_ms": sampling.window_ms, "samples": sampling.samples, "events": events, "now_ms": now_ms}


@pytest.mark.parametrize(("sampling", "events", "now_ms", "expected"), MEASURED_BY_KAFKA)
def test_samples_are_cut_and_forgotten_as_kafka_does(sampling, events, now_ms, expected):
    rate, count_rate, _, mean, greatest, total = measured(sampling, events, now_ms)
    assert (rate, count_rate, mean, greatest) == pytest.approx(expected, nan_ok=True)
    assert total == sum(value for _, value in events)


@pytest.mark.java
def test_samples_equal_kafkas():
    rng = Random(11)
    scripts = [case[:3] for case in MEASURED_BY_KAFKA] + [script(rng) for _ in range(SCRIPTS)]
    answers = ask_kafka(question(*asked) for asked in scripts)
    for asked, answer in zip(scripts, answers, strict=True):
        kafkas = [float(text) for text in answer]
        assert measured(*asked) == pytest.approx(kafkas, rel=1e-12, nan_ok=True), asked


def script(rng):
    """A sampling, events with pauses about as long as a window or as all of them, and a time to look."""
    sampling = Sampling(rng.choice([1, 10, 30_000]), rng.randint(1, 5), 0)
    window_ms, samples, _ = sampling

    def pause():
        return rng.choice([0, 1, window_ms // 3, window_ms - 1, window_ms, window_ms + 1, window_ms * samples])

    times = accumulate(pause() for _ in range(rng.randint(0, 30)))
    events = [(at_ms, rng.randint(0, 1000)) for at_ms in times]
    return sampling, events, (events[-1][0] if events else 0) + pause()


SAMPLINGS = st.builds(Sampling, st.integers(1, 50), st.integers(1, 4), st.just(0))
EVENTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 100)), max_size=30).map(
    lambda drawn: list(zip(accumulate(pause for pause, _ in drawn), (value for _, value in drawn), strict=True))
)


@given(SAMPLINGS, EVENTS, st.integers(0, 300))
def test_every_event_of_the_time_looked_at_is_in_and_none_that_is_a_window_older(sampling, events, after_ms):
    now_ms = (events[-1][0] if events else 0) + after_ms
    span_ms = sampling.window_ms * sampling.samples
    certain = [value for at_ms, value in events if now_ms - at_ms < span_ms]
    possible = [value for at_ms, value in events if now_ms - at_ms < span_ms + sampling.window_ms]
    samples, _ = recorded(sampling, events)
    greatest = samples.greatest(lambda sample: sample.value_max, now_ms)
    if not certain:
        assert isnan(greatest) and isnan(samples.mean(lambda sample: sample.value, now_ms))
        assert samples.rate(lambda sample: sample.value, now_ms) == 0.0
        return
    assert max(certain) <= greatest <= max(possible)
    assert min(possible) <= samples.mean(lambda sample: sample.value, now_ms) <= max(possible)
    longest_s = (span_ms + sampling.window_ms) / 1000
    shortest_s = max(1, (sampling.samples - 1) * sampling.window_ms) / 1000
    assert sum(certain) / longest_s <= samples.rate(lambda sample: sample.value, now_ms) + 1e-9
    assert samples.rate(lambda sample: sample.value, now_ms) <= sum(possible) / shortest_s + 1e-9


@given(SAMPLINGS, EVENTS, st.lists(st.integers(0, 400)))
def test_reading_changes_nothing(sampling, events, looks_ms):
    """Kafka's rates depend on when they were read before: what is obsolete begins anew at that moment."""
    now_ms = (events[-1][0] if events else 0) + 7
    samples, _ = recorded(sampling, [])
    for at_ms, value in events:
        samples.at(at_ms).value += value
        for after_ms in looks_ms:
            samples.rate(lambda sample: sample.value, at_ms + after_ms)
    unread, _ = recorded(sampling, events)
    assert samples.rate(lambda s: s.value, now_ms) == unread.rate(lambda s: s.value, now_ms)
    assert samples.mean(lambda s: s.value, now_ms) == pytest.approx(unread.mean(lambda s: s.value, now_ms), nan_ok=True)


@given(SAMPLINGS, EVENTS)
def test_no_more_samples_are_kept_than_windows_can_overlap(sampling, events):
    """One more than asked for: the oldest may have begun before the time that is looked at."""
    samples = Samples(Values, sampling)
    for at_ms, _ in events:
        samples.at(at_ms)
        assert len(samples._kept) <= sampling.samples + 1


def test_a_look_from_before_the_latest_event_is_no_negative_time():
    """A reader may have read the clock before the writer."""
    samples, meter = recorded(Sampling(10, 2, 0), [(1_000, 5)])
    assert (
        meter.rate(999) == meter.rate(990) == pytest.approx(500.0) == samples.rate(lambda sample: sample.value, 1_000)
    )


def test_a_clock_may_begin_anywhere():
    samples, _ = recorded(Sampling(10, 2, -500), [(-500, 5), (-495, 7)])
    assert samples.mean(lambda sample: sample.value, -495) == 6.0
