"""Requests that wait in line: who is sent, to which node, who waits on, and who is told that it was in vain."""

from __future__ import annotations

from random import Random

import pytest
from client.scripted_cluster import api_versions

from kproto.client.cluster import Node
from kproto.client.config import ClientConfig
from kproto.client.connection import ConnectionSettings
from kproto.client.effects import Resolve
from kproto.client.errors import (
    ClientClosedError,
    KafkaConnectionError,
    KafkaTimeoutError,
    SaslAuthenticationError,
    UnsupportedVersionError,
)
from kproto.client.metadata_state import MetadataState
from kproto.client.metadata_updater import MetadataUpdater
from kproto.client.node_connections import NodeConnections
from kproto.client.request_line import RequestLine
from kproto.client.security import Security
from kproto.client.waiting_line import Waiting
from kproto.wire import (
    ApiKey,
    EncodeError,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataResponse,
    encode_response,
)

NODES = tuple(Node(number, f"b{number}", 9092) for number in range(3))
DENIED = SaslAuthenticationError("b0:9092", "credentials were refused")
SPOKEN = {ApiKey.API_VERSIONS: range(6), ApiKey.INIT_PRODUCER_ID: range(6)}


class Line:
    """A line in front of three nodes; bootstrapped: whether the cluster is known, or only a bootstrap server is."""

    def __init__(self, *, bootstrapped: bool = True, **settings: object) -> None:
        config = ClientConfig.of(
            bootstrap_servers="b0:9092", reconnect_backoff_ms=100, reconnect_backoff_max_ms=100, **settings
        )
        made = ConnectionSettings(
            client_id="me",
            request_timeout_ms=config.request_timeout_ms,
            max_in_flight=config.max_in_flight_requests_per_connection,
            receive_message_max_bytes=config.receive_message_max_bytes,
            security=Security(config, str),
            software_version="1",
        )
        self.nodes = NodeConnections(config, made, Random(1), None)
        self.updater = MetadataUpdater(config, self.nodes, Random(1), 0)
        self.updater.bootstrapped = bootstrapped
        if bootstrapped:
            self.learn_the_cluster()
        self.line = RequestLine(self.nodes, self.updater)
        self.nodes.take_effects()

    def learn_the_cluster(self) -> None:
        metadata, answer = self.updater.metadata, MetadataResponse
        brokers = [
            answer.MetadataResponseBroker(node_id=node.node_id, host=node.host, port=node.port)
            for node in reversed(NODES)
        ]
        _, generation = metadata.begin_request(0)
        metadata.handle_response(generation, answer(brokers=brokers), 12, 0)
        self.nodes.set_nodes(metadata.cluster.nodes.values())

    def add(self, token, node_id=None, *, now_ms=0, timeout_ms=1_000, version=None, request=None):
        request = InitProducerIdRequest() if request is None else request
        self.line.add(Waiting(request, InitProducerIdResponse, node_id, version, token, now_ms, now_ms + timeout_ms))
        return self

    def connect(self, node_id: int):
        """An attempt has got as far as an open socket."""
        found = self.nodes.get(node_id)
        self.nodes.connect(found, 0)
        self.nodes.resolved(found.node.host, ["10.0.0.1"], 0)
        self.nodes.take_effects()
        return found

    def make_ready(self, node_id: int, versions=SPOKEN):
        found = self.connect(node_id)
        found.connection.connection_made(0)
        self.write(node_id)
        found.connection.data_received(encode_response(api_versions(versions), 5, correlation_id=0), 0)
        self.nodes.note_ready(found)
        return found

    def write(self, node_id: int) -> None:
        connection = self.nodes.get(node_id).connection
        connection.data_sent(sum(map(len, connection.outbound)), 0)

    def sent(self, node_id: int) -> list[object]:
        """The tokens on their way to the node."""
        return [one.token for one in self.nodes.get(node_id).connection.in_flight._requests]

    def serve(self, now_ms: int = 0):
        return [(ended.token, ended.error) for ended in self.line.serve(now_ms)]


def errors(ended):
    return [(token, type(error)) for token, error in ended]


# Who is sent


def test_conn_15_a_request_is_sent_to_its_node_as_soon_as_that_can_take_it():
    line = Line().add("mine", 1)
    assert line.serve() == []
    assert [effect for effect in line.nodes.take_effects() if isinstance(effect, Resolve)] == [Resolve("b1", 9092)]
    line = Line()
    line.make_ready(1)
    line.add("mine", 1)
    assert line.serve() == [] and line.sent(1) == ["mine"]
    assert line.line.next_deadline_ms() is None, "nobody waits any more"


def test_conn_15_one_for_any_node_goes_to_one_that_is_ready():
    line = Line()
    line.make_ready(2)
    line.add("mine")
    assert line.serve() == [] and line.sent(2) == ["mine"]


def test_conn_15_nobody_waits_behind_one_whose_node_is_not_ready_and_the_order_of_each_node_is_kept():
    line = Line()
    line.make_ready(0)
    line.make_ready(1)
    line.add("a", 2).add("b", 0).add("c", 1).add("d", 0)
    assert line.serve() == []
    assert (line.sent(0), line.sent(1)) == (["b"], ["c"])
    line.write(0)
    assert line.serve() == []
    assert line.sent(0) == ["b", "d"]
    line.make_ready(2)
    assert line.serve() == [] and line.sent(2) == ["a"]


def test_what_still_waits_stands_before_what_came_later():
    line = Line()
    line.add("a", 1).add("b", 1)
    line.serve()
    line.add("c", 1)
    line.nodes.resolved("b1", ["10.0.0.1"], 0)
    connection = line.nodes.get(1).connection
    connection.connection_made(0)
    line.write(1)
    connection.data_received(encode_response(api_versions(SPOKEN), 5, correlation_id=0), 0)
    for _ in range(3):
        line.serve()
        line.write(1)
    assert line.sent(1) == ["a", "b", "c"]


def test_no_more_are_sent_than_may_be_in_flight():
    line = Line(max_in_flight_requests_per_connection=2)
    line.make_ready(0)
    for token in "abc":
        line.add(token, 0)
    for _ in range(4):
        assert line.serve() == []
        line.write(0)
    assert line.sent(0) == ["a", "b"]
    assert line.line.next_deadline_ms() == 1_000


def test_where_no_node_can_be_tried_it_waits_for_the_first_backoff():
    line = Line().add("mine", timeout_ms=5_000)
    for number in range(3):
        found = line.connect(number)
        found.connection.connection_lost("refused", number)
        line.nodes.ended(found, told=True, now_ms=number)
    line.nodes.wakes_ms.clear()
    assert line.serve(50) == []
    assert min(line.nodes.wakes_ms) == min(line.nodes.get(number).retry_at_ms for number in range(3))


# Who is told that it was in vain


@pytest.mark.parametrize(("node_id", "whom"), [(None, "any node"), (1, "node 1")])
def test_meta_wait_1_who_waits_too_long_is_told_how_long_and_for_whom(node_id, whom):
    line = Line().add("mine", node_id, now_ms=10)
    assert line.line.next_deadline_ms() == 1_010
    assert line.serve(1_009) == []
    ((token, error),) = line.serve(1_010)
    assert token == "mine" and type(error) is KafkaTimeoutError and error.cause is None
    assert str(error) == f"a connection to send InitProducerIdRequest to {whom}: nothing within 1000 ms"
    assert line.serve(1_011) == [], "once"


def test_the_cause_is_that_of_its_node_or_of_all():
    line = Line().add("one", 1).add("any").add("other", 2)
    found = line.connect(1)
    found.connection.connection_lost("Connection refused", 0)
    line.nodes.ended(found, told=True, now_ms=0)
    causes = {token: error.cause for token, error in line.serve(1_000)}
    assert isinstance(causes["one"], KafkaConnectionError) and "refused" in str(causes["one"]).lower()
    assert "refused" in str(causes["any"]).lower()
    assert causes["other"] is None, "nothing is known against it"


def test_one_that_could_be_sent_just_as_its_time_ends_is_late():
    line = Line()
    line.make_ready(0)
    line.add("mine", 0)
    assert errors(line.serve(1_000)) == [("mine", KafkaTimeoutError)]
    assert line.sent(0) == []


def test_a_node_that_the_cluster_does_not_have_is_told_at_once_and_looked_for():
    line = Line().add("mine", 7)
    metadata = line.updater.metadata
    assert metadata.state is MetadataState.FRESH
    line.nodes.wakes_ms.clear()
    ((_, error),) = line.serve(5)
    assert str(error) == "node 7: is not in the cluster; its nodes are 0, 1, 2"
    assert metadata.state is MetadataState.FULL_WANTED
    assert line.nodes.wakes_ms == [5], "the update that is wanted now needs a pass"


def test_before_the_cluster_is_known_a_node_is_waited_for():
    line = Line(bootstrapped=False).add("mine", 7)
    assert line.serve() == []
    assert errors(line.serve(1_000)) == [("mine", KafkaTimeoutError)]


def test_conn_18_a_version_that_the_node_lacks_fails_the_request_alone():
    line = Line()
    line.make_ready(0, {ApiKey.API_VERSIONS: range(6)})
    line.make_ready(1)
    line.add("bad", 0).add("good", 1).add("too new", 1, version=6)
    assert errors(line.serve()) == [("bad", UnsupportedVersionError)]
    line.write(1)
    assert errors(line.serve()) == [("too new", UnsupportedVersionError)]
    assert (line.sent(0), line.sent(1)) == ([], ["good"])


def test_a_request_that_cannot_be_encoded_fails_alone():
    line = Line()
    line.make_ready(0)
    line.add("bad", 0, request=InitProducerIdRequest(transactional_id="x" * 40_000), version=1).add("good", 0)
    assert errors(line.serve()) == [("bad", EncodeError)]
    assert line.sent(0) == ["good"]


def test_the_version_may_be_chosen_by_who_asks():
    line = Line()
    line.make_ready(0)
    line.add("mine", 0, version=2)
    line.serve()
    assert line.nodes.get(0).connection.in_flight.oldest.version == 2


# No waiting helps


def test_meta_14_refused_credentials_are_told_to_who_waits_for_that_node_or_for_any():
    line = Line().add("any").add("node 0", 0).add("node 1", 1)
    failed = line.line.fail(DENIED, 0)
    assert [(ended.token, ended.error, ended.response, ended.version) for ended in failed] == [
        ("any", DENIED, None, -1),
        ("node 0", DENIED, None, -1),
    ]
    assert [ended.token for ended in line.line.fail_all(ClientClosedError())] == ["node 1"]


def test_meta_14_before_the_cluster_is_known_they_are_told_to_all():
    line = Line(bootstrapped=False).add("any").add("node 7", 7)
    assert [ended.token for ended in line.line.fail(DENIED, -1)] == ["any", "node 7"]
    assert line.line.next_deadline_ms() is None


def test_at_the_end_all_are_told_in_their_order_and_nobody_waits():
    line = Line().add("a", timeout_ms=9).add("b", 1, timeout_ms=7)
    assert line.line.next_deadline_ms() == 7
    closed = ClientClosedError()
    assert [(ended.token, ended.error) for ended in line.line.fail_all(closed)] == [("a", closed), ("b", closed)]
    assert line.line.fail_all(closed) == [] and line.line.next_deadline_ms() is None
