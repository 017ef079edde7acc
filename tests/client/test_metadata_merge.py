"""What an answer changes: errors, epochs, topic ids, partial answers, leaders named by a Produce answer."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metadata_answers import BROKERS, Broker, answer, partition, topic

from kproto.client.cluster import NO_CLUSTER, Cluster, Node, Topic, TopicPartition
from kproto.client.metadata_merge import Merged, merge, merge_leaders
from kproto.wire import ErrorCode, MetadataResponse
from kproto.wire.strategies import messages

ZERO = TopicPartition("orders", 0)


def merged(*responses, version=12, partial=False, retains=lambda topic: True) -> Merged:
    """After these answers, one after the other."""
    last = Merged(NO_CLUSTER, {}, frozenset(), False, False)
    for response in responses:
        last = merge(last.cluster, last.seen, response, version, partial=partial, retains=retains)
    return last


def orders(*epochs, leader=1, uuid=7):
    return topic("orders", *(partition(number, leader, epoch) for number, epoch in enumerate(epochs)), uuid=uuid)


def epochs(cluster: Cluster) -> list[int]:
    return [it.leader_epoch for it in cluster.partitions_for("orders")]


def test_meta_1_the_picture_is_the_answer():
    one = topic("orders", partition(1, 2, 6, ErrorCode.LISTENER_NOT_FOUND), partition(0), uuid=7, internal=True)
    cluster = merged(answer(one)).cluster
    assert (cluster.cluster_id, cluster.controller_id, set(cluster.nodes)) == ("c", 1, {1, 2, 3})
    assert cluster.nodes[1] == Node(1, "b1", 9092)
    assert cluster.topics["orders"].is_internal and cluster.topic_id("orders") == UUID(int=7)
    zero, other = cluster.partitions_for("orders")
    assert (zero.replicas, zero.isr, zero.offline_replicas) == ((1, 2, 3), (1, 2), (3,))
    assert (other.partition, other.leader_id, other.leader_epoch) == (1, 2, 6)
    assert other.error is ErrorCode.LISTENER_NOT_FOUND


def test_h04_nodes_that_nobody_can_reach_are_kept_out():
    odd = [Broker(node_id=4, host="", port=1), Broker(node_id=5, host="h"), Broker(node_id=6, host="h", port=65536)]
    odd.append(Broker(node_id=-1, host="h", port=9092))
    cluster = merged(answer(orders(5, leader=6), brokers=[*BROKERS, *odd], controller=5)).cluster
    assert set(cluster.nodes) == {1, 2, 3}
    assert cluster.leader_for(ZERO) is None and cluster.controller is None
    assert merged(answer(orders(5, leader=-1))).cluster.leader_for(ZERO) is None


def test_c11_two_ids_may_share_an_address_and_brokers_come_and_go():
    twins = [Broker(node_id=number, host="h", port=9092) for number in (1, 2)]
    assert set(merged(answer(brokers=twins)).cluster.nodes) == {1, 2}
    moved = [Broker(node_id=1, host="new", port=9093)]
    assert merged(answer(), answer(brokers=moved)).cluster.nodes == {1: Node(1, "new", 9093)}


@pytest.mark.parametrize(
    ("code", "again"),
    [
        (ErrorCode.INVALID_TOPIC_EXCEPTION, False),
        (ErrorCode.TOPIC_AUTHORIZATION_FAILED, False),
        (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, True),
        (ErrorCode.LEADER_NOT_AVAILABLE, True),
        (ErrorCode.UNKNOWN_SERVER_ERROR, False),
        (9999, False),
    ],
)
def test_meta_3_a_topic_with_an_error_is_left_out_with_its_code(code, again):
    after = merged(answer(orders(5)), answer(topic("orders", error=code)))
    assert "orders" not in after.cluster.topics
    assert after.cluster.topic_errors == {"orders": code}
    assert after.update_wanted is again
    assert not merged(answer(topic("orders", error=code)), answer(orders(5))).cluster.topic_errors


@pytest.mark.parametrize(
    ("code", "again"),
    [
        (ErrorCode.LEADER_NOT_AVAILABLE, True),
        (ErrorCode.LISTENER_NOT_FOUND, True),
        (ErrorCode.REPLICA_NOT_AVAILABLE, False),
        (9999, False),
    ],
)
def test_meta_3_a_partition_with_an_error_is_taken_and_counts(code, again):
    after = merged(answer(topic("orders", partition(0, -1, 8, code), partition(1))))
    assert after.cluster.partition_count("orders") == 2
    assert epochs(after.cluster) == [8, 5]
    assert after.update_wanted is again


def test_c04_a_partition_without_leader_gets_one():
    without = answer(topic("orders", partition(0, -1, 5, ErrorCode.LEADER_NOT_AVAILABLE)))
    assert merged(without).cluster.leader_for(ZERO) is None
    after = merged(without, answer(orders(6)))
    assert after.cluster.leader_for(ZERO) == Node(1, "b1", 9092)
    assert not after.update_wanted


def test_c06_a_topic_without_partitions_is_not_known_and_is_asked_for_again():
    after = merged(answer(topic("orders", uuid=7)))
    assert after.cluster.partition_count("orders") is None
    assert after.update_wanted


def test_meta_5_trap_70_an_older_epoch_leaves_the_entry_as_it_was():
    after = merged(answer(orders(5, 5)), answer(orders(4, 6, leader=2)))
    assert epochs(after.cluster) == [5, 6]
    assert after.cluster.leader_for(ZERO) == Node(1, "b1", 9092)
    assert after.cluster.leader_for(TopicPartition("orders", 1)) == Node(2, "b2", 9092)


def test_meta_5_an_equal_epoch_is_taken():
    assert merged(answer(orders(5)), answer(orders(5, leader=2))).cluster.leader_for(ZERO) == Node(2, "b2", 9092)


def test_meta_5_an_answer_without_epoch_is_taken_and_forgets_it():
    assert epochs(merged(answer(orders(5)), answer(orders(-1)), answer(orders(3))).cluster) == [3]


def test_meta_5_epochs_before_version_9_are_not_trusted():
    assert epochs(merged(answer(orders(5)), answer(orders(4, leader=2)), version=8).cluster) == [-1]


def test_c07_trap_71_a_recreated_topic_is_taken_whatever_its_epoch():
    after = merged(answer(orders(5, 5)), answer(orders(0, uuid=8)))
    assert epochs(after.cluster) == [0]
    assert after.cluster.topic_id("orders") == UUID(int=8)
    assert after.progressed
    assert epochs(merged(answer(orders(5, uuid=0)), answer(orders(0, uuid=8))).cluster) == [0], (
        "an id for the first time"
    )


def test_trap_71_a_deleted_topic_that_comes_back_under_another_id_starts_again():
    gone = answer(topic("orders", error=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
    assert epochs(merged(answer(orders(10)), gone, answer(orders(5, uuid=8))).cluster) == [5]
    assert epochs(merged(answer(orders(10)), gone, answer(orders(5))).cluster) == [10], "the same: a broker lags"
    assert epochs(merged(answer(orders(10, uuid=0)), gone, answer(orders(5, uuid=0))).cluster) == [5], "no ids to tell"


def test_meta_5_the_newest_entry_outlives_an_answer_that_cannot_show_it():
    electing = answer(topic("orders", error=ErrorCode.LEADER_NOT_AVAILABLE))
    after = merged(answer(orders(5, 5, uuid=0)), electing, answer(orders(4, 6, leader=2, uuid=0)))
    assert epochs(after.cluster) == [5, 6]
    missing = merged(answer(orders(5, 5)), answer(orders(5)), answer(orders(5, 4, leader=2)))
    assert epochs(missing.cluster) == [5, 5]


def test_meta_5_an_answer_without_topic_id_keeps_the_id_in_mind():
    after = merged(answer(orders(5)), answer(orders(5, uuid=0)), answer(orders(4)))
    assert epochs(after.cluster) == [5]
    assert merged(answer(orders(5)), answer(orders(5, uuid=0))).cluster.topic_id("orders") is None


def test_trap_74_a_partial_answer_leaves_other_topics():
    other = topic("other", error=ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    first = merge(NO_CLUSTER, {}, answer(orders(5), other), 12, partial=False, retains=lambda name: True)
    args = (first.cluster, first.seen, answer(topic("new", partition(0))), 12)
    after = merge(*args, partial=True, retains=lambda name: True).cluster
    assert set(after.topics) == {"orders", "new"} and after.unauthorized_topics == {"other"}
    expired = merge(*args, partial=True, retains=lambda name: name == "new").cluster
    assert set(expired.topics) == {"new"} and not expired.topic_errors
    assert set(merge(*args, partial=False, retains=lambda name: True).cluster.topics) == {"new"}


def test_meta_8_a_topic_that_is_of_no_interest_is_left_out():
    after = merged(answer(orders(5), topic("other", partition(0))), retains=lambda name: name == "orders")
    assert set(after.cluster.topics) == set(after.seen) == {"orders"}
    assert after.answered == {"orders", "other"}


def test_kip_516_a_topic_that_comes_by_id_alone_is_found_or_ignored():
    by_id = answer(topic(None, partition(0, 2, 6), uuid=7), topic(None, partition(0), uuid=8))
    after = merged(answer(orders(5)), by_id)
    assert epochs(after.cluster) == [6] and set(after.cluster.topics) == {"orders"}


def test_h04_a_negative_partition_or_epoch_does_no_harm():
    cluster = merged(answer(topic("orders", partition(-3), partition(0, 1, -7)))).cluster
    assert cluster.partition_count("orders") == 1 and epochs(cluster) == [-1]


def test_a_topic_that_is_named_twice_counts_once():
    bad = topic("orders", error=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    assert epochs(merged(answer(orders(5), orders(4))).cluster) == [5]
    assert not merged(answer(bad, orders(5))).cluster.topic_errors
    assert not merged(answer(orders(5), bad)).cluster.topics


def test_c03_news_are_new_partitions_ids_and_epochs():
    assert merged(answer(orders(5))).progressed
    assert not merged(answer(orders(5)), answer(orders(5))).progressed
    assert not merged(answer(orders(5)), answer(orders(5, leader=2))).progressed, "KIP-580 looks at epochs alone"
    assert not merged(answer(orders(5)), answer(orders(4))).progressed
    assert merged(answer(orders(5)), answer(orders(6))).progressed
    assert merged(answer(orders(5)), answer(orders(5, 5))).progressed
    assert not merged(answer(orders(5)), answer(orders(5)), version=8).progressed
    assert merged(answer(orders(5)), answer(orders(5, leader=2)), version=8).progressed, "without epochs, any change"


def test_c14_an_answer_from_another_cluster_ends_what_was_known():
    args = answer(orders(5)), answer(topic("new", partition(0)), cluster_id="d")
    after = merged(*args, partial=True)
    assert after.cluster.cluster_id == "d" and set(after.cluster.topics) == {"new"}
    assert after.update_wanted, "the other topics have to be asked for"
    assert not merged(*args).update_wanted
    assert epochs(merged(answer(orders(5, uuid=0)), answer(orders(0, uuid=0), cluster_id="d")).cluster) == [0]


def test_an_answer_without_cluster_id_keeps_the_known_one():
    after = merged(answer(orders(5)), answer(orders(4), cluster_id=None))
    assert after.cluster.cluster_id == "c" and epochs(after.cluster) == [5]


KNOWN = merged(answer(orders(5, -1))).cluster
FOUR = Node(4, "b4", 9092)


@pytest.mark.parametrize(
    ("at", "leader", "why"),
    [
        (ZERO, (2, 5), "the epoch is known"),
        (ZERO, (2, 4), "the epoch is older"),
        (ZERO, (2, -1), "no epoch"),
        (ZERO, (-1, 6), "no leader"),
        (ZERO, (9, 6), "the node is not known"),
        (ZERO, (5, 6), "the node cannot be reached"),
        (TopicPartition("orders", 7), (2, 6), "the partition is not known"),
        (TopicPartition("unknown", 0), (2, 6), "the topic is not known"),
    ],
)
def test_meta_6_c02_a_hint_that_is_not_newer_changes_nothing(at, leader, why):
    after, changed = merge_leaders(KNOWN, {at: leader}, [FOUR, Node(5, "", 1)])
    assert after is KNOWN and changed == {}, why


def test_meta_6_a_newer_hint_is_taken_with_its_node():
    one = TopicPartition("orders", 1)
    after, changed = merge_leaders(KNOWN, {ZERO: (4, 6), one: (2, 0)}, [FOUR])
    assert set(changed["orders"]) == {0, 1}
    assert after.leader_for(ZERO) == FOUR and after.leader_for(one) == KNOWN.nodes[2]
    assert epochs(after) == [6, 0] and set(after.nodes) == {1, 2, 3, 4}
    assert after.partition(ZERO).replicas == (1, 2, 3)
    assert after.topic_name(UUID(int=7)) == "orders"


def test_meta_6_a_bootstrap_server_leads_nothing():
    known = Cluster(nodes={-1: Node(-1, "b", 1)}, topics=KNOWN.topics)
    assert merge_leaders(known, {ZERO: (-1, 6)}, [])[0] is known


@st.composite
def histories(draw):
    """Answers about one topic, whose partitions, ids and epochs vary."""
    epoch = st.integers(-1, 6)
    one = st.builds(
        lambda epochs, leader, uuid: orders(*epochs, leader=leader, uuid=uuid),
        st.lists(epoch, min_size=1, max_size=3),
        st.integers(-1, 4),
        st.sampled_from([0, 7, 7, 7, 8]),
    )
    broken = st.sampled_from([3, 5, 17]).map(lambda code: topic("orders", error=code))
    return draw(st.lists(st.one_of(one, one, broken), min_size=1, max_size=12))


@given(histories(), st.booleans())
def test_meta_5_an_epoch_never_goes_back_while_the_topic_stays_the_same(history, partial):
    """But for an answer that has no epoch at all, which forgets it."""
    cluster, seen = NO_CLUSTER, {}
    newest: dict[int, int] = {}
    for one in history:
        before = seen.get("orders")
        after = merge(cluster, seen, answer(one), 12, partial=partial, retains=lambda name: True)
        cluster, seen = after.cluster, after.seen
        if "orders" not in seen or (before is not None and seen["orders"].topic_id != before.topic_id):
            newest = {}
        for told in one.partitions:
            number = told.partition_index
            now = cluster.topics["orders"].partitions[number].leader_epoch
            assert now == told.leader_epoch or now >= newest.get(number, -1)
            assert told.leader_epoch == -1 or now >= newest.get(number, -1)
            newest[number] = now
        assert "orders" not in cluster.topics or cluster.partition_count("orders") == len(one.partitions)


@given(messages(MetadataResponse, 12), messages(MetadataResponse, 12), st.booleans())
def test_whatever_a_broker_says_does_no_harm(first, second, partial):
    before = merge(NO_CLUSTER, {}, first, 12, partial=False, retains=lambda name: True)
    after = merge(before.cluster, before.seen, second, 12, partial=partial, retains=lambda name: True)
    assert set(after.cluster.topics) <= set(after.seen)
    assert all(isinstance(it, Topic) for it in after.seen.values())
    assert not set(after.cluster.topics) & set(after.cluster.topic_errors)
    if partial and after.cluster.cluster_id == before.cluster.cluster_id:
        kept = {name: it for name, it in before.cluster.topics.items() if name not in after.answered}
        assert kept.items() <= after.cluster.topics.items()
