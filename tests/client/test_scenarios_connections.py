"""Scenarios of connections and what comes over them (F01 to F12): wherever a stream ends, every request ends once."""

from __future__ import annotations

from struct import pack

import pytest
from client.other_ends import ClosingEnd, RawEnd, SilentEnd
from client.scripted_broker import SaslServer
from client.simulated_client import PORT, World, address_of

from kproto.client.errors import (
    CorrelationMismatch,
    KafkaConnectionError,
    KafkaTimeoutError,
    NotKafkaError,
    UnsupportedVersionError,
)
from kproto.client.node_connections import WARNINGS_MAX
from kproto.wire import (
    ApiKey,
    ApiVersionsResponse,
    ErrorCode,
    InitProducerIdResponse,
    encode_response,
    frame,
)

LOGIN = {
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "SCRAM-SHA-256",
    "sasl_username": "ann",
    "sasl_password": "secret-of-ann",
}
USERS = {"ann": "secret-of-ann"}
RESET = "Connection reset by peer"
ADDRESS = ("10.0.0.1", PORT)


def world_of(login: bool = False, **options) -> World:
    sasl = {"sasl": SaslServer(users=USERS), **LOGIN} if login else {}
    return World(**sasl, **options)


def sizes(login: bool) -> list[tuple[int, int]]:
    """How many bytes a session takes, on the bootstrap connection and on the node's own: sent and received."""
    world = world_of(login)
    world.answer(world.ask(node_id=0))
    return [(link.sent, link.received) for link in world.network.links.values()]


def ask_twice(world: World) -> list[KafkaConnectionError]:
    """A request that may fail as the connection breaks, and one that must not, whatever was before."""
    first = world.completion(world.ask(node_id=0), 5_000)
    second = world.ask(node_id=0)
    world.answer(second, limit_ms=5_000)
    world.check_pace()
    return [] if first.error is None else [first.error]


@pytest.mark.parametrize("how", [RESET, None], ids=["reset", "closed"])
@pytest.mark.parametrize("direction", ["sent", "received"])
@pytest.mark.parametrize("which", [0, 1], ids=["bootstrap", "node"])
def test_f01_the_stream_ends_after_any_byte(which, direction, how):
    """In either direction, of either connection; reset or closed in good order."""
    size = sizes(login=False)[which][direction == "received"]
    failed = 0
    for cut in range(size + 1):
        world = world_of()
        for _ in range(which):
            world.network.cut_after(*ADDRESS)  # the connections before are left alone
        world.network.cut_after(*ADDRESS, **{direction: cut}, how=how)
        errors = ask_twice(world)
        failed += len(errors)
        for error in errors:
            assert isinstance(error, KafkaConnectionError)
            wanted = RESET if how else "the broker closed the connection"
            assert str(error).startswith(f"broker-0.test:9092: {wanted} with 1 unanswered request")
    assert (failed > 0) == (which == 1), "what is sent to the node is not sent again by itself; metadata is"


@pytest.mark.parametrize("direction", ["sent", "received"])
def test_f01_the_stream_ends_after_any_byte_of_a_login(direction):
    size = sizes(login=True)[0][direction == "received"]
    for cut in range(0, size + 1, 3):
        world = world_of(login=True)
        world.network.cut_after(*ADDRESS, **{direction: cut})
        assert ask_twice(world) == []
        assert world.client.metadata.take_fatal_error() is None, "a broken stream is no refusal"


@pytest.mark.parametrize("login", [False, True], ids=["plain", "login"])
@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("chunking", ["whole", "bytes", "random"])
def test_f02_however_the_stream_is_cut_into_pieces(chunking, window, login):
    for seed in range(3 if chunking == "random" else 1):
        network = {"chunking": chunking, "window": window}
        world = world_of(login, nodes=2, topics={"orders": 2}, seed=seed, network=network)
        world.learn("orders", limit_ms=20_000)
        numbers = [world.ask(node_id=number % 2) for number in range(12)]
        ids = [world.answer(number, limit_ms=20_000).producer_id for number in numbers]
        assert ids == [number % 2 * 1000 + 1001 + number // 2 for number in range(12)]
        assert world.client.cluster.partition_count("orders") == 2


def test_f02_replies_that_come_all_at_once():
    world = World()
    world.connect(0)
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, "hold")
    numbers = [world.ask(node_id=0) for _ in range(5)]
    world.network.advance(10)
    polls = world.client.polls
    world.brokers[0].release()
    answers = [world.answer(number).producer_id for number in numbers]
    assert answers == sorted(answers)
    assert world.client.polls - polls < 10
    assert len(world.opened()) == 2


NOISE = [
    (frame(b"")[:4], "what came is no answer of Kafka's"),
    (pack(">i", -1), "what came is no answer of Kafka's"),
    (pack(">i", -(2**31)), "what came is no answer of Kafka's"),
    (pack(">i", 0x7FFFFFFF), "what came is no answer of Kafka's"),
    (pack(">i", 1_001) + b"x" * 40, "what came is no answer of Kafka's"),
    (b"HTTP/1.1 400 Bad Request\r\n\r\n", "an HTTP server answers: this is not the port of a Kafka listener"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH server answers: this is not the port of a Kafka listener"),
    (b"\x15\x03\x03\x00\x02\x02\x46", "the listener speaks TLS: set security_protocol to SSL or SASL_SSL"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "the listener speaks TLS: set security_protocol to SSL or SASL"),
    (frame(b"abc"), "what came is no answer of Kafka's"),
]


@pytest.mark.parametrize("noise", NOISE, ids=lambda noise: noise[0][:8].hex())
@pytest.mark.parametrize("chunking", ["whole", "bytes"])
def test_f03_what_is_no_kafka_is_told_in_words_and_not_asked_in_a_loop(noise, chunking):
    data, words = noise
    world = World(receive_message_max_bytes=1_000, network={"chunking": chunking})
    world.network.serve(*ADDRESS, lambda: RawEnd(data, close=False))
    error = world.error(world.ask(timeout_ms=5_000))
    (attempt,) = error.cause.attempts
    assert isinstance(attempt, NotKafkaError)
    assert words in str(attempt) or chunking == "bytes", "the first bytes alone may not tell what it is"
    assert len(world.opened()) < 14
    world.check_pace(events=len(data) + 40 if chunking == "bytes" else 0)
    world.serve(0, world.brokers[0])
    world.answer(world.ask())


def test_f03_a_length_that_cannot_be_ends_a_connection_that_was_good_until_then():
    world = World()
    world.connect(0)
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, "silence")
    numbers = [world.ask(node_id=0) for _ in range(2)]
    world.network.advance(5)
    world.brokers[0].connections[-1].send(pack(">i", -5))
    for number in numbers:
        assert isinstance(world.error(number), NotKafkaError)
    world.answer(world.ask(node_id=0))


@pytest.mark.parametrize("size", [9_900, 10_400])
def test_f03_an_answer_as_large_as_allowed_and_one_that_is_larger(size):
    world = World(receive_message_max_bytes=10_000)
    world.connect(0)
    tags = {40: bytes(size)}
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, lambda header, request, usual: usual.replace(unknown_tags=tags))
    number = world.ask(node_id=0)
    if size < 10_000:
        assert world.answer(number).unknown_tags == tags
    else:
        assert "10000" in str(world.error(number))
        world.answer(world.ask(node_id=0))


def answer_to(correlation_id: int) -> bytes:
    return encode_response(InitProducerIdResponse(producer_id=9), 5, correlation_id=correlation_id)


def swapped(header, request, usual) -> bytes:
    return answer_to(header.correlation_id + 1) + answer_to(header.correlation_id)


@pytest.mark.parametrize("fault", ["wrong correlation id", "twice", swapped], ids=["unknown", "repeated", "reordered"])
def test_f04_an_answer_to_another_request_ends_the_connection_and_what_is_on_it(fault):
    world = World()
    world.connect(0)
    world.brokers[0].fail(ApiKey.INIT_PRODUCER_ID, fault, "silence")
    numbers = [world.ask(node_id=0) for _ in range(3)]
    completions = [world.completion(number) for number in numbers]
    assert (completions[0].error is None) == (fault == "twice")
    for completion in completions[1:]:
        assert isinstance(completion.error, CorrelationMismatch)
        assert ", where the oldest request has " in str(completion.error)
    world.answer(world.ask(node_id=0))


def test_f04_an_answer_that_nobody_asked_for():
    world = World()
    world.connect(0)
    world.brokers[0].connections[-1].send(answer_to(77))
    world.network.advance(5)
    assert [found.node.node_id for found in world.client.connections.open] == [-1]
    error = world.client.connections.get(0).last_error
    assert str(error) == ("broker-0.test:9092: an answer with correlation id 77, where no request is unanswered")
    world.answer(world.ask(node_id=0))


@pytest.mark.parametrize("theirs", [range(1), range(3), range(5)])
@pytest.mark.parametrize("unsupported", ["named", "unnamed", "junk"])
def test_f05_an_older_broker_is_asked_again_in_a_version_that_it_has(unsupported, theirs):
    world = World()
    world.cluster.versions[ApiKey.API_VERSIONS] = theirs
    world.brokers[0].unsupported = unsupported
    world.answer(world.ask(node_id=0))
    asked = [header.request_api_version for header, _ in world.brokers[0].requests if header.request_api_key == 18]
    assert asked == [5, theirs[-1] if unsupported == "named" else 0] * 2
    assert len(world.opened()) == 2, "on the same connection"


@pytest.mark.parametrize("named", [range(6), range(3, 10), range(5, 6), range(7, 9), range(3)])
def test_f05_a_hint_that_is_no_lower_than_what_was_asked_ends_after_version_0(named):
    world = World()
    listed = [ApiVersionsResponse.ApiVersion(api_key=18, min_version=named[0], max_version=named[-1])]
    refusal = ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION, api_keys=listed)
    world.brokers[0].always[ApiKey.API_VERSIONS] = lambda header, request, usual: encode_response(
        refusal, 0, correlation_id=header.correlation_id
    )
    error = world.error(world.ask(node_id=-1, timeout_ms=2_000))
    assert isinstance(error.cause, UnsupportedVersionError)
    asked = [header.request_api_version for header, _ in world.brokers[0].connections[0].requests]
    assert asked == ([5, 2, 0] if named == range(3) else [5, 0])
    assert len(world.opened()) < 10
    world.check_pace()


def hang(world: World) -> None:
    world.network.serve(*ADDRESS, "hang")


def refuse(world: World) -> None:
    world.down(0)


def accept_and_close(world: World) -> None:
    world.network.serve(*ADDRESS, ClosingEnd)


def accept_and_say_nothing(world: World) -> None:
    world.network.serve(*ADDRESS, SilentEnd)


def reset_at_once(world: World) -> None:
    for _ in range(20):
        world.network.cut_after(*ADDRESS, sent=0)


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (hang, "a ready connection, still connecting: nothing within 1000 ms"),
        (refuse, "Connection refused"),
        (accept_and_close, "the broker closed the connection instead of an answer to ApiVersions; the listener may"),
        (accept_and_say_nothing, "a ready connection, still checking api versions: nothing within 1000 ms"),
        (reset_at_once, "Connection reset by peer instead of an answer to ApiVersions"),
    ],
)
def test_f07_however_a_connection_fails_to_come_about_the_cause_is_told_and_it_is_tried_again(trouble, text):
    world = World(socket_connection_setup_timeout_ms=1_000, socket_connection_setup_timeout_max_ms=1_000)
    trouble(world)
    error = world.error(world.ask(node_id=-1, timeout_ms=10_000))
    assert f"broker-0.test:9092: {text}" in str(error.cause)
    assert world.now_ms == 10_000
    assert 5 <= len(world.opened()) <= 17
    world.check_pace()
    world.up(0)
    world.serve(0, world.brokers[0])
    world.answer(world.ask(), limit_ms=2_500 if trouble is not reset_at_once else 12_000)


def test_f07_a_connection_that_dies_without_a_word_ends_with_the_request_timeout():
    world = World(nodes=2, request_timeout_ms=3_000)
    world.connect(0, 1)
    world.network.unplug(*ADDRESS)
    numbers = [world.ask(node_id=0) for _ in range(3)]
    at_ms = world.now_ms
    for number in numbers:
        assert isinstance(world.error(number), KafkaTimeoutError)
    assert world.now_ms == at_ms + 3_000
    world.answer(world.ask(node_id=0), limit_ms=200)


def test_f08_a_broker_that_closes_idle_connections_costs_no_request():
    world = World(nodes=2, topics={"orders": 1})
    world.learn("orders")
    world.connect(0, 1)
    for _ in range(5):
        world.network.advance(60_000)
        world.cut(0, 1, reason=None)
        world.network.advance(10)
        world.answer(world.ask(node_id=0), limit_ms=200)
        world.answer(world.ask(node_id=1), limit_ms=200)
        world.answer(world.ask(), limit_ms=200)


def test_f08_a_close_that_crosses_a_request_fails_the_request_once():
    world = World(network={"latency_ms": 10})
    world.connect(0)
    world.brokers[0].connections[-1].close()
    world.network.advance(5)  # the news is under way
    error = world.error(world.ask(node_id=0))
    assert str(error).startswith("broker-0.test:9092: the broker closed the connection with 1 unanswered request")
    world.answer(world.ask(node_id=0), limit_ms=300)


def test_f08_requests_enqueued_while_it_reconnects_wait_for_the_new_connection():
    world = World(network={"latency_ms": 10})
    world.connect(0)
    world.cut(0)
    numbers = []
    for delay_ms in range(0, 200, 7):
        world.network.at(delay_ms, lambda: numbers.append(world.ask(node_id=0)))
    world.network.advance(200)
    ids = [world.answer(number).producer_id for number in numbers]
    assert ids == sorted(ids)
    assert len(world.opened()) <= 4


def test_f11_unknown_tagged_fields_are_kept_and_do_no_harm():
    tags = {200: b"of a later Kafka", 201: b""}
    world = World()
    for api in (ApiKey.API_VERSIONS, ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID):
        world.brokers[0].always[api] = lambda header, request, usual: usual.replace(unknown_tags=tags)
    assert world.answer(world.ask(node_id=0)).unknown_tags == tags


def test_f11_api_keys_that_nobody_knows_are_ignored():
    world = World()
    world.cluster.versions[12_345] = range(7)
    world.answer(world.ask(node_id=0))


EACH_API = pytest.mark.parametrize(
    "api", [ApiKey.API_VERSIONS, ApiKey.METADATA, ApiKey.INIT_PRODUCER_ID], ids=lambda api: api.name
)


def payload_of(header, usual) -> bytes:
    return encode_response(usual, header.request_api_version, correlation_id=header.correlation_id)[4:]


@EACH_API
def test_f11_an_answer_with_a_byte_too_few_ends_the_connection(api):
    world = World()
    world.brokers[0].fail(api, lambda header, request, usual: frame(payload_of(header, usual)[:-1]))
    number = world.ask(node_id=0)
    if api == ApiKey.INIT_PRODUCER_ID:
        error = world.error(number)
        assert isinstance(error, KafkaConnectionError)
        assert "an answer that cannot be read: InitProducerIdResponse v5" in str(error)
    else:
        world.answer(number, limit_ms=1_000)
        assert len(world.opened()) == 3
    world.answer(world.ask(node_id=0))


def longer(header, request, usual) -> bytes:
    """The usual answer, and three bytes."""
    return frame(payload_of(header, usual) + b"\0\1\2")


@EACH_API
def test_f11_bytes_behind_an_answer_do_no_harm(api):
    world = World()
    world.brokers[0].always[api] = longer
    world.answer(world.ask(node_id=0))
    assert len(world.opened()) == 2
    surplus = [found.connection.surplus_bytes for found in world.client.connections.open]
    assert surplus == {ApiKey.METADATA: [3, 0], ApiKey.INIT_PRODUCER_ID: [0, 3]}.get(api, [0, 0])
    assert len(world.client.connections.warnings) == (api != ApiKey.API_VERSIONS)


def test_f11_bytes_behind_answers_are_a_warning_once_for_each_connection():
    world = World()
    world.brokers[0].always[ApiKey.INIT_PRODUCER_ID] = longer
    for connections in range(1, WARNINGS_MAX + 3):
        for _ in range(3):
            world.answer(world.ask(node_id=0), limit_ms=5_000)
        assert len(world.client.connections.warnings) == min(connections, WARNINGS_MAX)
        world.cut(0)
    (text,) = set(world.client.connections.warnings)
    assert text.startswith("broker-0.test:9092: bytes follow its answers that their versions do not have")


@pytest.mark.parametrize("trouble", ["refuse", "hang", ClosingEnd], ids=["refuses", "hangs", "closes"])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_f12_all_addresses_of_a_name_are_tried(position, trouble):
    """KIP-302, KIP-602: IPv6, then IPv4; the one that works may stand anywhere."""
    addresses = ["fd00::1", "fd00::2"]
    world = World(socket_connection_setup_timeout_ms=1_000, socket_connection_setup_timeout_max_ms=1_000)
    for address in addresses:
        world.network.serve(address, PORT, trouble)
    world.network.names["broker-0.test"] = [*addresses[:position], address_of(0), *addresses[position:]]
    world.answer(world.ask(), limit_ms=4_400)
    tried = [line.split(" open ")[1].rpartition(":")[0] for line in world.network.log if " open " in line]
    assert tried[: position + 1] == [*addresses[:position], address_of(0)]
    if trouble != "hang":
        assert world.now_ms < 50, "no backoff between the addresses of a name"


def test_f12_a_name_that_leads_elsewhere_after_a_loss_is_looked_up_again():
    world = World(nodes=2)
    world.connect(1)
    world.down(1)
    world.network.names["broker-1.test"] = ["10.0.7.7"]
    world.network.serve("10.0.7.7", PORT, world.brokers[1])
    world.answer(world.ask(node_id=1), limit_ms=200)
