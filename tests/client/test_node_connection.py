"""One node and its connection: when an attempt may begin, when one is under way, and when a request may be sent."""

from __future__ import annotations

import pytest
from client.scripted_broker import ScriptedBroker, ScriptedCluster
from client.wired import Wired

from kproto.client.cluster import Node
from kproto.client.connection import ConnectionState
from kproto.client.connection_state import UNREADY
from kproto.client.errors import KafkaConnectionError
from kproto.client.node_connection import NodeConnection

NODE = Node(0, "b", 9092)
GONE = KafkaConnectionError("b:9092", "gone")


def node_connection(*, retry_at_ms: int = 0) -> NodeConnection:
    found = NodeConnection(NODE)
    found.retry_at_ms = retry_at_ms
    return found


def wired() -> Wired:
    return Wired(ScriptedBroker(ScriptedCluster()).connect())


def test_conn_1_a_node_that_was_never_tried():
    found = node_connection()
    assert found.node is NODE and found.listed
    assert found.connection is None and found.last_error is None
    assert not found.connecting and not found.can_send()
    assert found.can_connect(0)


def test_conn_2_no_attempt_begins_before_the_backoff_is_over():
    found = node_connection(retry_at_ms=100)
    assert [found.can_connect(now_ms) for now_ms in (0, 99, 100, 101)] == [False, False, True, True]


def test_conn_1_a_look_up_is_an_attempt():
    found = node_connection()
    found.resolving = True
    assert found.connecting and not found.can_connect(0) and not found.can_send()


def test_conn_1_it_is_connecting_until_it_is_ready_and_no_second_attempt_begins():
    found, talk = node_connection(), wired()
    found.connection = talk.connection
    assert found.connecting and not found.can_connect(0) and not found.can_send()
    talk.begin()
    assert not found.connecting and not found.can_connect(0) and found.can_send()
    found.connection.close(GONE)
    assert not found.connecting and not found.can_send()
    assert not found.can_connect(0), "it has to be settled first"
    found.connection = None
    assert found.can_connect(0)


@pytest.mark.parametrize("state", ConnectionState)
def test_conn_1_the_states_in_which_it_is_connecting_or_may_send(state):
    found, talk = node_connection(), wired().begin()
    found.connection = talk.connection
    talk.connection.state = state
    assert found.connecting == (state in UNREADY)
    assert found.can_send() == (state is ConnectionState.READY)
    assert not found.can_connect(0)


def test_there_are_many_nodes_so_it_takes_no_other_attributes():
    with pytest.raises(AttributeError):
        node_connection().nickname = "b"
