"""When metadata is asked for, what for, and what an answer or a failure changes."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from metadata_answers import answer, partition, topic

from kproto.client.backoff import ExponentialBackoff
from kproto.client.cluster import Node, TopicPartition
from kproto.client.errors import BrokerError, SaslAuthenticationError
from kproto.client.metadata import NEVER_MS, ClusterIdChanged, Metadata, MetadataState, RequestGeneration
from kproto.client.metadata_state import IN_FLIGHT, WANTED
from kproto.client.transitions import IllegalTransition
from kproto.wire import ErrorCode, FieldUnavailable, KafkaError, MetadataRequest

MAX_AGE_MS = 300_000
MAX_IDLE_MS = 60_000
TRIGGER_MS = 20_000
DENIED = SaslAuthenticationError("b1:9092", "credentials were refused")


def new_metadata(seed: int = 1, **options) -> Metadata:
    settings = {
        "refresh_backoff": ExponentialBackoff(100, 1000),
        "max_age_ms": MAX_AGE_MS,
        "max_idle_ms": MAX_IDLE_MS,
        "rng": Random(seed),
        "rebootstrap_trigger_ms": TRIGGER_MS,
    }
    return Metadata(**(settings | options))


def good(*names: str, epoch: int = 5):
    return answer(*(topic(name, partition(0, epoch=epoch), uuid=sum(name.encode())) for name in names))


def names(request: MetadataRequest) -> list[str | None] | None:
    return None if request.topics is None else [it.name for it in request.topics]


def refresh(metadata: Metadata, now_ms: int = 0, response=None) -> RequestGeneration:
    """A request, and an answer about what it names, or this one."""
    request, generation = metadata.begin_request(now_ms)
    metadata.handle_response(generation, response or good(*names(request) or ()), 12, now_ms)
    return generation


def fresh(*topics: str, now_ms: int = 0, **options) -> Metadata:
    metadata = new_metadata(**options)
    for name in topics:
        metadata.add_topic(name, now_ms)
    refresh(metadata, now_ms)
    assert metadata.state is MetadataState.FRESH
    return metadata


# What is asked for


def test_meta_2_the_first_request_goes_at_once_and_names_all_topics():
    metadata = new_metadata()
    assert metadata.time_to_next_update_ms(50) == 0
    metadata.add_topic("a", 50)
    metadata.add_topic("b", 50)
    request, generation = metadata.begin_request(50)
    assert names(request) == ["a", "b"] and request.allow_auto_topic_creation
    assert generation == RequestGeneration(1, partial=False)
    assert metadata.topics == ("a", "b")


def test_meta_2_one_request_at_a_time():
    metadata = new_metadata()
    metadata.begin_request(0)
    metadata.request_update()
    assert metadata.time_to_next_update_ms(10**9) == NEVER_MS
    with pytest.raises(IllegalTransition, match="in state FULL_THEN_FULL there is no step for SEND"):
        metadata.begin_request(1)


def test_a_request_that_nobody_wants_is_a_bug():
    with pytest.raises(IllegalTransition, match="in state FRESH there is no step for SEND"):
        fresh("a").begin_request(1)


def test_meta_2_auto_creation_can_be_turned_off():
    request, _ = new_metadata(allow_auto_topic_creation=False).begin_request(0)
    assert not request.allow_auto_topic_creation
    with pytest.raises(FieldUnavailable, match="allow_auto_topic_creation"):
        request.encode(3)


@pytest.mark.parametrize(("version", "asked"), [(0, ()), (1, None), (13, None)])
def test_all_topics_are_asked_for_as_the_version_says_it(version, asked):
    metadata = new_metadata(all_topics=True)
    metadata.add_topic("a", 0)
    request, _ = metadata.begin_request(0, version)
    assert request.topics == asked
    request.encode(version)


def test_all_topics_are_kept_and_a_new_one_is_still_asked_for_by_name():
    metadata = fresh(all_topics=True)
    metadata.request_update()
    refresh(metadata, 1000, good("a", "b"))
    assert set(metadata.cluster.topics) == {"a", "b"}
    metadata.add_topic("c", 1000)
    request, generation = metadata.begin_request(1000)
    assert names(request) == ["c"] and generation.partial
    metadata.all_topics = False
    metadata.handle_response(generation, good("c"), 12, 1000)
    assert set(metadata.cluster.topics) == {"c"}, "the others are of no interest now"


def test_meta_9_a_new_topic_is_asked_for_alone_and_others_stay():
    metadata = fresh("a")
    metadata.add_topic("b", 500)
    request, generation = metadata.begin_request(500)
    assert names(request) == ["b"] and generation.partial
    metadata.handle_response(generation, good("b"), 12, 500)
    assert set(metadata.cluster.topics) == {"a", "b"}
    assert metadata.state is MetadataState.FRESH


def test_meta_9_all_are_asked_for_where_a_full_update_is_wanted_too():
    metadata = fresh("a")
    metadata.add_topic("b", 500)
    metadata.request_update()
    assert names(metadata.begin_request(500)[0]) == ["a", "b"]


def test_meta_9_all_are_asked_for_where_what_is_known_is_too_old():
    metadata = fresh("a")
    metadata.add_topic("b", MAX_AGE_MS)
    assert names(metadata.begin_request(MAX_AGE_MS)[0]) == ["a", "b"]


def test_meta_9_all_are_asked_for_where_the_new_topic_was_answered_unasked():
    metadata = fresh("a")
    metadata.request_update()
    _, generation = metadata.begin_request(200)
    metadata.add_topic("b", 200)
    metadata.handle_response(generation, good("a", "b"), 12, 200)
    request, generation = metadata.begin_request(400)
    assert names(request) == ["a", "b"] and not generation.partial


def test_meta_9_a_partial_answer_does_not_make_the_rest_younger():
    metadata = fresh("a")
    metadata.add_topic("b", MAX_AGE_MS - 1000)
    refresh(metadata, MAX_AGE_MS - 1000)
    assert metadata.time_to_next_update_ms(MAX_AGE_MS - 1000) == 1000


# When


def test_meta_10_what_is_fresh_is_renewed_after_its_age():
    metadata = fresh("a", now_ms=7)
    assert metadata.time_to_next_update_ms(7) == MAX_AGE_MS
    assert metadata.time_to_next_update_ms(7 + MAX_AGE_MS - 1) == 1
    assert metadata.time_to_next_update_ms(7 + MAX_AGE_MS) == 0
    refresh(metadata, 7 + MAX_AGE_MS)
    assert metadata.time_to_next_update_ms(7 + MAX_AGE_MS) == MAX_AGE_MS


def test_meta_10_a_wanted_update_waits_for_the_backoff():
    metadata = fresh("a")
    metadata.request_update()
    wait_ms = metadata.time_to_next_update_ms(0)
    assert 80 <= wait_ms <= 120
    assert metadata.time_to_next_update_ms(wait_ms - 1) == 1
    assert metadata.time_to_next_update_ms(wait_ms) == 0


def wait_ms(metadata: Metadata, now_ms: int) -> int:
    metadata.request_update()
    return metadata.time_to_next_update_ms(now_ms)


def test_c03_trap_73_answers_without_news_slow_down_and_a_new_epoch_ends_that():
    metadata = fresh("a")
    waits, now_ms = [], 0
    for _ in range(5):
        now_ms += wait_ms(metadata, now_ms)
        refresh(metadata, now_ms)
        waits.append(wait_ms(metadata, now_ms))
    assert waits == sorted(waits) and waits[-1] >= 800
    assert metadata.request_update(reset=True) == 6
    assert metadata.time_to_next_update_ms(now_ms) <= 120
    refresh(metadata, now_ms + 200, good("a", epoch=6))
    assert wait_ms(metadata, now_ms + 200) <= 120


def test_meta_10_a_renewal_by_age_does_not_mind_answers_without_news():
    metadata = fresh("a")
    for now_ms in (1000, 2000, 3000, 4000):
        metadata.request_update()
        refresh(metadata, now_ms)
    due_ms = 4000 + MAX_AGE_MS
    assert metadata.time_to_next_update_ms(due_ms) == 0
    refresh(metadata, due_ms)
    assert wait_ms(metadata, due_ms) <= 120


def test_meta_11_a_new_topic_is_asked_for_at_once_whatever_happened():
    metadata = fresh("a")
    for now_ms in (1000, 1001, 1002):
        metadata.failed_update(now_ms)
    assert metadata.time_to_next_update_ms(1002) > 0
    metadata.add_topic("b", 1002)
    assert metadata.time_to_next_update_ms(1002) == 0
    metadata.failed_update(1002)
    metadata.add_topic("b", 1002)
    assert metadata.time_to_next_update_ms(1002) >= 640, "it is new but once, and failures were not forgotten"


def test_meta_11_a_topic_that_comes_while_a_request_is_out_is_asked_for_right_after():
    metadata = new_metadata()
    _, generation = metadata.begin_request(0)
    metadata.add_topic("a", 1)
    metadata.handle_response(generation, good(), 12, 2)
    assert metadata.state is MetadataState.PARTIAL_WANTED
    assert metadata.time_to_next_update_ms(2) == 0
    request, generation = metadata.begin_request(2)
    assert names(request) == ["a"]
    metadata.handle_response(generation, answer(), 12, 3)
    metadata.request_update_for_topic("a")
    assert metadata.time_to_next_update_ms(3) >= 80, "a broker that leaves it out is not asked in a loop"


def test_meta_12_failures_slow_down_and_keep_what_is_known():
    metadata = fresh("a")
    before, waits = metadata.cluster, []
    for _ in range(5):
        metadata.request_update()
        metadata.begin_request(1000)
        metadata.failed_update(1000, DENIED)
        waits.append(metadata.time_to_next_update_ms(1000))
    assert waits == sorted(waits) and waits[0] <= 120 and waits[-1] >= 800
    assert metadata.cluster is before and metadata.update_version == 1
    assert metadata.last_error is DENIED
    refresh(metadata, 3000)
    assert metadata.last_error is None
    assert wait_ms(metadata, 3000) <= 120


def test_meta_12_a_failed_partial_update_is_wanted_again():
    metadata = fresh("a")
    metadata.add_topic("b", 200)
    metadata.begin_request(200)
    metadata.failed_update(200)
    request, generation = metadata.begin_request(400)
    assert names(request) == ["b"] and generation.partial


# Who waits


def test_c10_any_number_of_waiters_share_one_request_and_one_that_leaves_changes_nothing():
    metadata = fresh("a")
    metadata.add_topic("b", 200)
    versions = {metadata.request_update_for_topic("b") for _ in range(3)}
    _, generation = metadata.begin_request(200)
    versions |= {metadata.request_update_for_topic("b") for _ in range(3)}
    assert versions == {1}
    metadata.handle_response(generation, good("b"), 12, 210)
    assert metadata.update_version == 2
    assert metadata.state is MetadataState.FRESH, "the answer was for all of them"


def test_meta_wait_4_a_topic_that_was_answered_is_asked_for_with_all_others():
    metadata = fresh("a")
    assert metadata.request_update_for_topic("a") == 1
    assert metadata.state is MetadataState.FULL_WANTED


def test_meta_wait_4_a_topic_that_is_new_is_asked_for_alone():
    metadata = fresh("a")
    metadata.add_topic("b", 0)
    refresh(metadata, 200, answer())
    assert metadata.state is MetadataState.FRESH
    metadata.request_update_for_topic("b")
    assert metadata.state is MetadataState.PARTIAL_WANTED


def test_meta_7_trap_72_an_answer_does_not_settle_what_was_wanted_after_its_request():
    metadata = fresh("a")
    metadata.request_update()
    _, generation = metadata.begin_request(200)
    metadata.request_update()
    metadata.handle_response(generation, good("a", epoch=6), 12, 210)
    assert metadata.state is MetadataState.FULL_WANTED
    assert metadata.cluster.partitions_for("a")[0].leader_epoch == 6


def test_meta_7_an_answer_to_a_request_that_was_given_up_is_ignored():
    metadata = fresh("a")
    metadata.request_update()
    _, old = metadata.begin_request(200)
    metadata.failed_update(210)
    before = metadata.cluster
    metadata.handle_response(old, good("a", epoch=6), 12, 220)
    assert metadata.cluster is before and metadata.state is MetadataState.FULL_WANTED
    metadata.begin_request(500)
    metadata.handle_response(old, good("a", epoch=6), 12, 510)
    assert metadata.cluster is before and metadata.state is MetadataState.FULL_IN_FLIGHT


def test_meta_14_a_fatal_error_reaches_one_waiter():
    metadata = new_metadata()
    metadata.fatal_error(DENIED)
    assert metadata.take_fatal_error() is DENIED
    assert metadata.take_fatal_error() is None
    metadata.fatal_error(DENIED)
    refresh(metadata)
    assert metadata.take_fatal_error() is None, "it was overcome"


# What an answer says


def test_meta_4_trap_75_an_answer_without_brokers_is_a_failure():
    metadata = fresh("a")
    metadata.request_update()
    before = metadata.cluster
    refresh(metadata, 200, answer(brokers=()))
    assert metadata.cluster is before and metadata.update_version == 1
    assert metadata.state is MetadataState.FULL_WANTED
    assert str(metadata.last_error) == (
        "metadata: the answer names no broker that can be reached; check advertised.listeners there"
    )


def test_an_error_for_the_whole_answer_is_a_failure():
    metadata = new_metadata()
    refresh(metadata, 0, answer(error=ErrorCode.UNKNOWN_SERVER_ERROR))
    assert "metadata: UNKNOWN_SERVER_ERROR (-1)" in str(metadata.last_error)
    assert metadata.update_version == 0
    assert metadata.time_to_rebootstrap_ms(0) == TRIGGER_MS


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "topic a: UNKNOWN_TOPIC_OR_PARTITION (3)"),
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, "topic a: TOPIC_AUTHORIZATION_FAILED (29)"),
        (ErrorCode.INVALID_TOPIC_EXCEPTION, "topic a: INVALID_TOPIC_EXCEPTION (17)"),
    ],
)
def test_meta_3_a_topic_can_say_why_it_is_not_there(code, text):
    metadata = new_metadata()
    metadata.add_topic("a", 0)
    refresh(metadata, 0, answer(topic("a", error=code)))
    error = metadata.topic_error("a")
    assert isinstance(error, BrokerError) and text in str(error)
    assert (metadata.state is MetadataState.FULL_WANTED) is (code is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    metadata.request_update()
    refresh(metadata, 200)
    assert metadata.topic_error("a") is None


def test_c06_a_topic_without_partitions_says_so_and_is_asked_for_again():
    metadata = new_metadata()
    metadata.add_topic("a", 0)
    refresh(metadata, 0, answer(topic("a")))
    assert metadata.cluster.partition_count("a") is None
    assert metadata.state is MetadataState.FULL_WANTED
    error = metadata.topic_error("a")
    assert type(error) is KafkaError
    assert str(error) == "topic a: the broker lists it without partitions; it may still be creating them"
    assert metadata.topic_error("unknown") is None


def test_meta_8_a_topic_that_nobody_writes_to_is_dropped_when_an_answer_comes():
    metadata = fresh("a", "b")
    metadata.add_topic("b", 30_000)
    metadata.request_update()
    refresh(metadata, MAX_IDLE_MS - 1)
    assert metadata.topics == ("a", "b")
    metadata.request_update()
    refresh(metadata, MAX_IDLE_MS)
    assert metadata.topics == ("b",) and set(metadata.cluster.topics) == {"b"}


def test_meta_8_a_topic_is_not_dropped_before_its_first_answer():
    metadata = fresh()
    metadata.add_topic("a", 0)
    refresh(metadata, MAX_IDLE_MS * 2, answer())
    assert metadata.topics == ("a",)
    metadata.request_update_for_topic("a")
    refresh(metadata, MAX_IDLE_MS * 3)
    assert metadata.topics == ("a",) and metadata.cluster.partition_count("a") == 1


def test_meta_6_a_hint_changes_leaders_and_nothing_else():
    metadata = fresh("a")
    at = TopicPartition("a", 0)
    assert metadata.update_leadership({at: (9, 6)}, [Node(9, "b9", 9092)]) == {at}
    assert metadata.cluster.leader_for(at) == Node(9, "b9", 9092)
    assert metadata.update_version == 1 and metadata.state is MetadataState.FRESH
    assert metadata.update_leadership({at: (1, 6)}, []) == set()


def test_c02_metadata_older_than_a_hint_does_not_move_the_partition_back():
    metadata = fresh("a")
    at = TopicPartition("a", 0)
    metadata.update_leadership({at: (2, 6)}, [])
    metadata.request_update()
    refresh(metadata, 200)
    assert metadata.cluster.leader_for(at) == Node(2, "b2", 9092)


def test_meta_6_a_hint_for_a_topic_of_no_interest_is_ignored():
    metadata = fresh("a", all_topics=True)
    metadata.request_update()
    refresh(metadata, 200, good("a", "b"))
    metadata.all_topics = False
    hints = {TopicPartition("b", 0): (2, 6)}
    assert metadata.update_leadership(hints, []) == set()
    metadata.all_topics = True
    assert metadata.update_leadership(hints, []) == set(hints)


def test_c14_answers_from_two_clusters_leave_a_warning():
    metadata = fresh("a")
    for number in range(20):
        metadata.request_update()
        refresh(metadata, 1000 * number, answer(cluster_id="d" if number % 2 else "c"))
    assert len(metadata.warnings) == 8
    assert metadata.warnings[-1] == ClusterIdChanged("c", "d")
    assert str(metadata.warnings[-1]) == (
        "metadata now comes from cluster d, before from c: check that all bootstrap_servers belong to one cluster"
    )


# Beginning again


def test_meta_15_without_an_answer_for_too_long_a_rebootstrap_is_needed():
    metadata = new_metadata()
    assert metadata.time_to_rebootstrap_ms(10**9) == NEVER_MS, "nothing was tried"
    metadata.failed_update(1000)
    metadata.begin_request(5000)
    assert metadata.time_to_rebootstrap_ms(5000) == TRIGGER_MS - 4000
    assert metadata.time_to_rebootstrap_ms(1000 + TRIGGER_MS + 5) == 0
    metadata.rebootstrap([Node(-1, "seed", 9092)], 30_000)
    assert metadata.time_to_rebootstrap_ms(30_000) == TRIGGER_MS
    metadata.failed_update(30_500)
    assert metadata.time_to_rebootstrap_ms(30_500) == TRIGGER_MS - 500
    refresh(metadata, 40_000)
    assert metadata.time_to_rebootstrap_ms(10**9) == NEVER_MS


def test_meta_15_a_broker_may_ask_for_a_rebootstrap():
    metadata = fresh("a")
    metadata.request_update()
    refresh(metadata, 200, answer(brokers=(), error=ErrorCode.REBOOTSTRAP_REQUIRED))
    assert metadata.time_to_rebootstrap_ms(200) == 0
    assert "REBOOTSTRAP_REQUIRED (129)" in str(metadata.last_error)
    metadata.rebootstrap([Node(-1, "seed", 9092)], 200)
    assert metadata.time_to_rebootstrap_ms(200) == TRIGGER_MS


def test_c12_a_broker_that_always_asks_for_it_is_asked_less_and_less():
    metadata = new_metadata()
    waits, now_ms = [], 0
    for _ in range(6):
        refresh(metadata, now_ms, answer(error=ErrorCode.REBOOTSTRAP_REQUIRED))
        metadata.rebootstrap([Node(-1, "seed", 9092)], now_ms)
        waits.append(metadata.time_to_next_update_ms(now_ms))
        now_ms += waits[-1]
    assert waits[0] >= 80 and waits[-1] >= 800


def test_meta_15_a_rebootstrap_keeps_topics_but_no_leaders():
    metadata = fresh("a")
    metadata.rebootstrap([Node(-1, "seed", 9092), Node(-2, "other", 9092)], 100)
    assert set(metadata.cluster.nodes) == {-1, -2} and metadata.cluster.controller is None
    assert metadata.cluster.partition_count("a") == 1
    assert metadata.cluster.leader_for(TopicPartition("a", 0)) is None
    assert metadata.state is MetadataState.FULL_WANTED
    refresh(metadata, 300)
    assert set(metadata.cluster.nodes) == {1, 2, 3}, "CONN-7: bootstrap servers vanish with the first answer"
    assert metadata.cluster.leader_for(TopicPartition("a", 0)) == Node(1, "b1", 9092)


def test_it_reads_well():
    assert repr(fresh("a")) == "<Metadata FRESH, version 1: <Cluster c: 3 brokers, 1 topic>>"


# Whatever happens


@given(st.integers(0, 2**32), st.lists(st.integers(0, 500), min_size=1, max_size=30))
def test_meta_10_requests_without_new_topics_are_never_closer_than_the_backoff(seed, gaps):
    metadata = fresh("a", seed=seed)
    now_ms = sent_ms = 0
    for gap_ms in gaps:
        now_ms += gap_ms
        metadata.request_update()
        if metadata.time_to_next_update_ms(now_ms) == 0:
            assert now_ms - sent_ms >= 80
            refresh(metadata, now_ms)
            sent_ms = now_ms


class MetadataLife(RuleBasedStateMachine):
    """Users, a network and brokers do as they like; what is wanted is tracked by counting."""

    def __init__(self):
        super().__init__()
        self.metadata = new_metadata(max_idle_ms=5000)
        self.now_ms = 0
        self.epochs: dict[str, int] = {}
        self.flying: RequestGeneration | None = None
        self.old: list[RequestGeneration] = []
        self.wanted_since_sent = False
        self.versions = 0
        self.expires_ms = 0

    @rule(ms=st.sampled_from([0, 1, 50, 200, 2000, MAX_AGE_MS]))
    def time_passes(self, ms):
        self.now_ms += ms

    @rule(name=st.sampled_from("abcd"))
    def somebody_sends(self, name):
        self.wanted_since_sent |= name not in self.metadata.topics
        self.metadata.add_topic(name, self.now_ms)

    @rule(reset=st.booleans())
    def somebody_wants_news(self, reset):
        assert self.metadata.request_update(reset) == self.versions
        self.wanted_since_sent = True

    @rule(name=st.sampled_from("abcd"))
    def somebody_waits(self, name):
        assert self.metadata.request_update_for_topic(name) == self.versions

    @precondition(lambda self: self.metadata.time_to_next_update_ms(self.now_ms) == 0)
    @rule()
    def a_request_goes_out(self):
        request, self.flying = self.metadata.begin_request(self.now_ms)
        assert set(names(request)) <= set(self.metadata.topics)
        assert self.flying.partial or set(names(request)) == set(self.metadata.topics)
        assert names(request) or not self.flying.partial
        self.old.append(self.flying)
        self.wanted_since_sent = False

    @rule(error=st.sampled_from([None, DENIED]))
    def it_fails(self, error):
        self.metadata.failed_update(self.now_ms, error)
        self.flying = None
        assert self.metadata.state in WANTED

    @precondition(lambda self: self.flying)
    @rule(epochs=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)))
    def it_is_answered(self, epochs):
        before = self.metadata.cluster
        response = answer(*(topic(name, partition(0, epoch=epoch), uuid=1) for name, epoch in epochs.items()))
        self.metadata.handle_response(self.flying, response, 12, self.now_ms)
        self.versions += 1
        if self.wanted_since_sent:
            assert self.metadata.state in WANTED, "META-7"
        if self.flying.partial:
            kept = {name for name in before.topics if name in self.metadata.topics}
            assert kept <= set(self.metadata.cluster.topics), "trap 74"
        else:
            self.expires_ms = self.now_ms + MAX_AGE_MS
        self.flying = None

    @precondition(lambda self: len(self.old) > 1)
    @rule(which=st.integers(0, 100))
    def an_answer_comes_too_late(self, which):
        late = self.old[which % (len(self.old) - 1)]
        before = self.metadata.cluster, self.metadata.state
        self.metadata.handle_response(late, good("a", "b"), 12, self.now_ms)
        assert (self.metadata.cluster, self.metadata.state) == before, "META-7"

    @rule(name=st.sampled_from("abcd"), epoch=st.integers(-1, 6), leader=st.integers(-1, 4))
    def a_hint_comes(self, name, epoch, leader):
        self.metadata.update_leadership({TopicPartition(name, 0): (leader, epoch)}, [])

    @rule()
    def it_begins_again(self):
        self.metadata.rebootstrap([Node(-1, "seed", 9092)], self.now_ms)
        self.wanted_since_sent = True

    @invariant()
    def epochs_do_not_go_back(self):
        now = {name: it.partitions[0].leader_epoch for name, it in self.metadata.cluster.topics.items()}
        for name, epoch in now.items():
            assert epoch >= self.epochs.get(name, -1)
        self.epochs = now

    @invariant()
    def what_is_known_is_of_interest_and_versions_count_answers(self):
        assert set(self.metadata.cluster.topics) <= set(self.metadata.topics)
        assert self.metadata.update_version == self.versions

    @invariant()
    def an_update_is_due_only_where_it_is_wanted_or_all_is_old(self):
        wait_ms = self.metadata.time_to_next_update_ms(self.now_ms)
        assert wait_ms >= 0
        in_flight = self.metadata.state in IN_FLIGHT
        assert in_flight is (self.flying is not None)
        assert (wait_ms == NEVER_MS) is in_flight
        assert wait_ms or self.metadata.state in WANTED or self.now_ms >= self.expires_ms


TestMetadataLife = MetadataLife.TestCase
TestMetadataLife.settings = settings(max_examples=50, stateful_step_count=40)


def test_old_versions_always_create_topics():
    """Metadata below 4 has no say in it (KIP-204); to send False there would be refused."""
    for version in MetadataRequest.versions:
        request, _ = new_metadata(allow_auto_topic_creation=False).begin_request(0, version)
        assert request.allow_auto_topic_creation == (version < 4)
        assert request.encode(version)


def test_its_age_counts_from_the_last_full_answer():
    metadata = new_metadata()
    assert metadata.age_ms(50) == 50, "none came yet"
    refresh(metadata, 100)
    assert metadata.age_ms(350) == 250
