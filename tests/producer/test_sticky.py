"""Records without a key: one partition at a time, by bytes, with chances that fall as queues grow."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from producer.kafka_partitioner import ask_kafka, cluster_of

from kproto.producer.partitioner import partition_choices
from kproto.producer.sticky import StickyPartitioner, partition_load

BATCH = 16_384
QUEUES = st.dictionaries(st.integers(0, 20), st.integers(0, 50), max_size=8)


class Draw(float):
    """A draw that is taken modulo, as Java takes its draws, where ours are a share of the whole."""

    def __mul__(self, size):
        return int(self) % size


class Draws(Random):
    """Draws what it was given, in order; after that it raises."""

    def __init__(self, drawn):
        super().__init__(0)
        self.left = list(drawn)

    def random(self):
        return Draw(self.left.pop(0))


def sticky(*drawn, batch_size=BATCH):
    return StickyPartitioner(batch_size=batch_size, rng=Draws(drawn))


def test_part_8_the_choice_stays_until_enough_is_there():
    partitioner = sticky(1)
    assert partitioner.current is None
    assert [partitioner.partition((4, 5, 6)) for _ in range(5)] == [5] * 5
    assert partitioner.current == 5


@pytest.mark.parametrize("batch_size", [0, 1])
def test_part_7_a_batch_size_of_nothing_is_one_byte(batch_size):
    partitioner = sticky(0, 1, 2, batch_size=batch_size)
    assert partitioner.partition((0, 1, 2)) == 0
    assert not partitioner.produced(0, (0, 1, 2), all_full=True), "or it would switch for ever without a record"
    assert partitioner.produced(1, (0, 1, 2), all_full=True)
    assert partitioner.current == 1


@pytest.mark.parametrize(
    ("size", "all_full", "switched"),
    [
        (BATCH - 1, True, False),
        (BATCH, True, True),
        (BATCH, False, False),
        (2 * BATCH - 1, False, False),
        (2 * BATCH, False, True),
    ],
)
def test_part_10_it_switches_at_a_batch_size_and_at_two_whatever_is_open(size, all_full, switched):
    partitioner = sticky(0, 1)
    partitioner.partition((0, 1))
    assert partitioner.produced(size, (0, 1), all_full=all_full) is switched
    assert (partitioner.current, partitioner.produced_bytes) == ((1, 0) if switched else (0, size))


def test_part_10_kafkas_scripted_sequence():
    """A small record and one as large as a batch to the first, for the small one's batch was open; then one each."""
    partitioner = sticky(0, 1, 2, 3)
    taken = []
    for size, all_full in [(100, False), (BATCH, True), (BATCH, True), (BATCH, True), (BATCH, False)]:
        taken.append(partitioner.partition((1, 2, 3)))
        partitioner.produced(size, (1, 2, 3), all_full=all_full)
    assert taken == [1, 1, 2, 3, 1]


def test_part_11_a_choice_that_was_put_off_is_made_when_all_is_full():
    partitioner = sticky(0, 1)
    partitioner.partition((0, 1))
    assert not partitioner.produced(BATCH + 10, (0, 1), all_full=False)
    assert partitioner.produced(0, (0, 1), all_full=True)
    assert partitioner.current == 1


@given(st.integers(1, 1000), st.lists(st.tuples(st.integers(1, 400), st.booleans()), min_size=1), st.integers(0, 2**32))
def test_part_10_part_11_between_one_and_two_batch_sizes_go_to_a_partition(batch_size, appends, seed):
    """Plus the record that passes the mark, which is never split."""
    partitioner = StickyPartitioner(batch_size=batch_size, rng=Random(seed))
    partitioner.partition((0, 1, 2))
    there = 0
    for size, all_full in appends:
        before = partitioner.current
        there += size
        if partitioner.produced(size, (0, 1, 2), all_full=all_full):
            assert batch_size <= there
            there = 0
        else:
            assert partitioner.current == before
            assert there < (batch_size if all_full else 2 * batch_size)


def linger_batches(always_full):
    """How many records each batch had: 16 fit in one, of which 12 come until it must leave."""
    partitioner = StickyPartitioner(batch_size=16, rng=Random(1))
    candidates = tuple(range(50))
    partition = partitioner.partition(candidates)
    batches, opened = [], {}
    for tick in range(5000):
        batches += [count for begun, count in opened.values() if tick - begun >= 12]
        opened = {number: batch for number, batch in opened.items() if tick - batch[0] < 12}
        if partition not in opened:
            partitioner.produced(0, candidates, all_full=True)
            partition = partitioner.partition(candidates)
        begun, count = opened.get(partition, (tick, 0))
        opened[partition] = begun, count + 1
        partitioner.produced(1, candidates, all_full=always_full or count + 1 == 16)
        partition = partitioner.partition(candidates)
    return batches


def test_part_11_no_fraction_of_a_batch_is_left_behind():
    assert set(linger_batches(always_full=False)) == {12}
    assert min(linger_batches(always_full=True)) < 12, "what would be, were the choice not put off"


def choices_made(partitioner, candidates, count):
    made = Counter()
    for _ in range(count):
        partitioner.produced(BATCH, candidates, all_full=True)
        made[partitioner.current] += 1
    return made


@pytest.mark.parametrize("seed", range(5))
def test_part_12_without_load_all_candidates_are_equal(seed):
    """Four standard deviations either way."""
    made = choices_made(StickyPartitioner(batch_size=BATCH, rng=Random(seed)), (3, 5, 7, 9), 10_000)
    assert set(made) == {3, 5, 7, 9}
    assert all(abs(count - 2500) < 4 * (10_000 * 0.25 * 0.75) ** 0.5 for count in made.values())


@given(st.lists(st.integers(0, 99), min_size=1, unique=True), st.sampled_from([0.0, 0.5, 1 - 2**-53]))
def test_part_12_the_ends_of_chance_are_candidates(candidates, drawn):
    class Fixed(Random):
        def random(self):
            return drawn

    assert StickyPartitioner(batch_size=1, rng=Fixed(0)).partition(candidates) in candidates


def frequencies(load):
    """How often each partition is chosen, when each draw comes once."""
    return Counter(load.partition_at(drawn) for drawn in range(load.sums[-1]))


def test_part_13_kafkas_example():
    load = partition_load({0: 0, 1: 3, 2: 1}, 3)
    assert (load.partitions, load.sums) == ((0, 1, 2), (4, 5, 8))
    assert [load.partition_at(drawn) for drawn in range(8)] == [0, 0, 0, 0, 1, 2, 2, 2]


@given(QUEUES, st.integers(0, 10), st.sets(st.integers(0, 20)))
def test_part_13_part_15_the_weight_is_how_much_shorter_than_the_longest_a_queue_is(queues, more, local):
    load = partition_load(queues, len(queues) + more, local)
    if load is not None:
        weighed = {number: length for number, length in queues.items() if number in local} or queues
        assert frequencies(load) == {number: max(weighed.values()) + 1 - length for number, length in weighed.items()}


@given(QUEUES, st.integers(0, 3))
def test_part_14_load_counts_where_there_is_a_difference(queues, excluded):
    none = not queues or len(queues) + excluded < 2 or (not excluded and min(queues.values()) == max(queues.values()))
    assert (partition_load(queues, len(queues) + excluded) is None) == none


def test_part_14_what_is_excluded_is_not_chosen_even_where_queues_are_equal():
    partitioner = StickyPartitioner(batch_size=BATCH, rng=Random(3))
    partitioner.update_load({0: 2, 2: 2}, 3)
    assert set(choices_made(partitioner, (0, 1, 2), 100)) == {0, 2}
    partitioner.update_load({0: 2, 1: 2, 2: 2}, 3)
    assert set(choices_made(partitioner, (0, 1, 2), 100)) == {0, 1, 2}


def test_part_14_without_statistics_chances_are_equal_again():
    partitioner = sticky(*range(8), *range(3))
    partitioner.update_load({0: 0, 1: 3, 2: 1}, 3)
    assert choices_made(partitioner, (0, 1, 2), 8) == {0: 4, 1: 1, 2: 3}
    partitioner.update_load(None, 3)
    assert choices_made(partitioner, (0, 1, 2), 3) == {0: 1, 1: 1, 2: 1}


def test_part_14_new_statistics_wait_for_the_next_choice():
    partitioner = sticky(0)
    assert partitioner.partition((0, 1)) == 0
    partitioner.update_load({0: 9, 1: 0}, 2)
    assert partitioner.partition((0, 1)) == 0


def test_part_15_the_load_of_the_rack_is_weighed_alone():
    load = partition_load({0: 0, 1: 3, 2: 1, 3: 9}, 4, local=(1, 2))
    assert frequencies(load) == {1: 1, 2: 3}
    assert frequencies(partition_load({0: 0, 3: 1}, 4, local=(1, 2))) == {0: 2, 3: 1}, "the rack has nothing to offer"


def test_a_partition_that_is_gone_can_be_forgotten():
    partitioner = sticky(5, 1)
    partitioner.update_load({0: 0, 1: 3, 2: 1, 5: 1}, 6)
    assert partitioner.partition(range(6)) == 2
    partitioner.produced(10, range(6), all_full=False)
    partitioner.forget()
    assert partitioner.current is None
    assert (partitioner.partition((0, 1)), partitioner.produced_bytes) == (1, 0)


def scenario(rng):
    """What happens to one topic: a cluster, then appends, statistics and other clusters. `None` is no leader."""
    count = rng.randint(1, 6)
    steps = []
    racks = []
    for number in range(40):
        kind = rng.choice(["produced"] * 6 + ["load", "load", "cluster"]) if number else "cluster"
        if kind == "cluster":
            racks = [rng.choice([None, "", "a", "a", "b"]) for _ in range(count)]
            steps.append(("cluster", racks))
        elif kind == "produced":
            steps.append(("produced", rng.randint(0, 60), rng.random() < 0.5))
        else:
            led = [number for number, rack in enumerate(racks) if rack is not None and rng.random() < 0.8]
            steps.append(("load", {number: rng.randint(0, 4) for number in led} if rng.random() < 0.9 else None, racks))
    return {
        "batch_size": rng.randint(1, 60),
        "rack": rng.choice(["", "a"]),
        "draws": [rng.randrange(2**31) for _ in range(50)],
        "steps": steps,
    }


def asked_of_kafka(found):
    count = len(found["steps"][0][1])
    steps = []
    for kind, *details in found["steps"]:
        if kind == "cluster":
            steps.append([kind, [False if rack is None else rack for rack in details[0]]])
        elif kind == "produced":
            steps.append([kind, *details])
        elif details[0] is None:
            steps.append([kind])
        else:
            queues, racks = details
            steps.append([kind, list(queues.values()), list(queues), [racks[number] for number in queues], count])
    return {**found, "steps": steps}


def ours(found):
    """The current partition after each step."""
    partitioner = sticky(*found["draws"], batch_size=found["batch_size"])
    choices = None
    for kind, *details in found["steps"]:
        if kind == "cluster":
            choices = partition_choices(cluster_of(details[0]), "orders", found["rack"])
        elif kind == "produced":
            partitioner.produced(details[0], choices.candidates, all_full=details[1])
        else:
            partitioner.update_load(details[0], len(choices.partitions), choices.local)
        yield partitioner.partition(choices.candidates)


@pytest.mark.java
def test_part_10_to_part_15_kafkas_own_class_goes_the_same_way():
    scenarios = [scenario(Random(seed)) for seed in range(1000)]
    answers = ask_kafka(map(asked_of_kafka, scenarios))
    for seed, (found, answer) in enumerate(zip(scenarios, answers, strict=True)):
        assert list(ours(found)) == answer, f"seed {seed}"
    moves = sum(before != after for answer in answers for before, after in pairwise(answer))
    assert moves > 1000, "scenarios in which nothing happens prove nothing"
