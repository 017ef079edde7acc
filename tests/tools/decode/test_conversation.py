"""Who asked what and who answered: pairing, versions, tokens, lies, losses."""

from __future__ import annotations

import struct
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.decode.talk import Dialogue, codes

from kproto.tools.decode.apis import Apis
from kproto.tools.decode.conversation import SASL_TOKEN
from kproto.tools.decode.model import Finding
from kproto.wire import (
    RESPONSES,
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    encode_request,
)
from kproto.wire.annotate import annotate_request
from kproto.wire.definitions import Definitions
from kproto.wire.strategies import messages, request_frames

FETCH = Definitions(
    {
        "FetchRequest": '{"apiKey": 1, "type": "request", "name": "FetchRequest", "validVersions": "4-5",'
        ' "flexibleVersions": "5+", "fields": [{"name": "MaxWaitMs", "type": "int32", "versions": "0+"}]}',
        "FetchResponse": '{"apiKey": 1, "type": "response", "name": "FetchResponse", "validVersions": "4-5",'
        ' "flexibleVersions": "5+", "fields": [{"name": "ErrorCode", "type": "int16", "versions": "0+"}]}',
    }
)


def head(key, version, correlation_id, client_id=b"app"):
    return struct.pack(">hhih", key, version, correlation_id, len(client_id)) + client_id


@given(st.data())
def test_every_request_and_its_answer_come_out_as_they_went_in(data):
    request, version, frame = data.draw(request_frames())
    cls = RESPONSES[ApiKey(request.api_key)]
    answer = data.draw(messages(cls, version))
    dialogue = Dialogue(show_secrets=True)
    asked = dialogue.frame(frame[4:], request=True)
    assert (asked.message, asked.version, codes(asked)) == (request, version, [])
    assert asked.api == ApiKey(request.api_key).message_name
    if isinstance(request, ProduceRequest) and request.acks == 0:
        return
    heard = dialogue.answer(answer, version, asked.correlation_id)
    assert (heard.request.frame.number, heard.latency_ms) == (asked.frame.number, 1.0)
    if cls is not ApiVersionsResponse:
        assert (heard.message, heard.version, codes(heard)) == (answer, version, [])


def test_answers_find_their_requests_by_correlation_id_across_connections():
    dialogue = Dialogue()
    for conn in (1, 2):
        for number in range(3):
            dialogue.ask(MetadataRequest(), 9, number, conn=conn)
    for conn in (2, 1):
        for number in range(3):
            heard = dialogue.answer(MetadataResponse(), 9, number, conn=conn)
            assert (heard.request.frame.conn, heard.request.correlation_id) == (conn, number)
            assert codes(heard) == []
    assert not dialogue.conversations.outstanding(1)


def test_an_answer_that_overtakes_another_is_noticed_once():
    dialogue = Dialogue()
    for number in range(3):
        dialogue.ask(MetadataRequest(), 9, number)
    assert list(dialogue.conversations.outstanding(1)) == [0, 1, 2]
    assert codes(dialogue.answer(MetadataResponse(), 9, 1)) == ["(out-of-order)"]
    assert codes(dialogue.answer(MetadataResponse(), 9, 2)) == []
    assert codes(dialogue.answer(MetadataResponse(), 9, 0)) == []


def test_a_correlation_id_that_is_used_twice_is_noticed():
    dialogue = Dialogue()
    dialogue.ask(MetadataRequest(), 9)
    assert codes(dialogue.ask(MetadataRequest(), 9)) == ["(correlation-id)"]


def test_acks_0_is_not_answered_and_nobody_misses_the_answer():
    dialogue = Dialogue()
    dialogue.ask(ProduceRequest(acks=0), 9, 1)
    dialogue.ask(MetadataRequest(), 9, 2)
    assert codes(dialogue.answer(MetadataResponse(), 9, 2)) == []
    assert codes(dialogue.close()) == []


def test_what_was_never_answered_is_a_finding_when_the_connection_ends():
    dialogue = Dialogue()
    dialogue.ask(MetadataRequest(), 9, 5)
    ended = dialogue.close()
    assert codes(ended) == ["unanswered"]
    assert "frame 1 (Metadata 9, correlation id 5)" in ended.findings[0].text
    assert codes(dialogue.close()) == []


def test_many_unanswered_requests_are_told_in_few_findings():
    dialogue = Dialogue()
    for number in range(50):
        dialogue.ask(MetadataRequest(), 9, number)
    ended = dialogue.close()
    assert len(ended.findings) == 21 and ended.findings[-1].text.startswith("30 more")


@pytest.mark.parametrize("conn", [0, 1], ids=["of the capture", "of the connection"])
def test_after_a_loss_nobody_misses_an_answer_that_may_be_in_it(conn):
    dialogue = Dialogue()
    dialogue.ask(MetadataRequest(), 9, 5)
    dialogue.bare(Finding("gap", "10 bytes"), conn=conn)
    assert codes(dialogue.close()) == []
    dialogue.ask(MetadataRequest(), 9, 5)
    dialogue.ask(MetadataRequest(), 9, 6, findings=[Finding("gap", "10 bytes")])
    assert codes(dialogue.close()) == ["unanswered"]


def test_the_answer_to_an_unknown_version_of_api_versions_is_read_as_version_0():
    dialogue = Dialogue()
    refusal = ApiVersionsResponse(
        error_code=ErrorCode.UNSUPPORTED_VERSION,
        api_keys=[ApiVersionsResponse.ApiVersion(api_key=18, min_version=0, max_version=3)],
    )
    asked = dialogue.frame(head(18, 99, 1) + b"\0\2a\2b\0", request=True)
    assert (asked.api, asked.version, asked.client_id, asked.message) == ("ApiVersions", 99, "app", None)
    heard = dialogue.answer(refusal, 0)
    assert (heard.message, heard.version, heard.request.version, codes(heard)) == (refusal, 0, 99, [])
    dialogue.ask(ApiVersionsRequest(client_software_name="a", client_software_version="1"), 4)
    heard = dialogue.answer(refusal, 4)  # as some brokers do
    assert (heard.message, heard.version, codes(heard)) == (refusal, 4, [])


def test_whatever_stands_behind_the_refusal_clients_read_the_code_alone():
    """As a known mock cluster answers: half of version 0, half of version 3."""
    dialogue = Dialogue()
    dialogue.ask(ApiVersionsRequest(), 3)
    heard = dialogue.frame(bytes.fromhex("00000001 0023 01 0012 0000 0002 00 00000000".replace(" ", "")), request=False)
    assert (heard.message, heard.version) == (ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION), 0)
    assert codes(heard) == ["(fallback)"]


def test_an_answer_of_api_versions_that_lies_is_a_finding():
    dialogue = Dialogue()
    dialogue.ask(ApiVersionsRequest(), 0)
    assert codes(dialogue.frame(b"\0\0\0\1" + b"\0\0" + b"\xff" * 4, request=False)) == ["bad-body"]


def test_a_body_that_lies_is_a_finding_with_its_place_and_the_line_keeps_what_is_known():
    dialogue = Dialogue()
    data = encode_request(ProduceRequest(acks=1), 9, correlation_id=7, client_id="app")[4:]
    asked = dialogue.frame(data + b"more", request=True)
    assert (asked.api_key, asked.version, asked.correlation_id, asked.client_id) == (0, 9, 7, "app")
    assert asked.message == ProduceRequest(acks=1)
    (finding,) = asked.findings
    assert (finding.code, finding.path, finding.offset, finding.notice) == (
        "bad-body",
        "ProduceRequest v9",
        len(data),
        False,
    )
    assert "expected the end, found 4 more bytes" in finding.text
    heard = dialogue.frame(b"\0\0\0\7\0\xff", request=False)
    assert (heard.api, heard.version, heard.correlation_id, heard.message) == ("Produce", 9, 7, None)
    assert codes(heard) == ["bad-body"] and heard.findings[0].path == "ProduceResponse v9 responses"


def test_a_cut_request_keeps_its_header_and_its_pairing():
    dialogue = Dialogue()
    data = encode_request(ProduceRequest(transactional_id="x" * 50), 9, correlation_id=7, client_id="app")[4:]
    cut = Finding("cut", "20 bytes are here")
    asked = dialogue.frame(data[:20], request=True, size=len(data), findings=[cut])
    assert (asked.api, asked.client_id, codes(asked)) == ("Produce", "app", ["cut"])
    heard = dialogue.answer(ProduceResponse(), 9, 7)
    assert (heard.message, heard.request.frame.number) == (ProduceResponse(), 1)
    assert codes(dialogue.frame(data[:5], request=True, size=len(data), findings=[cut])) == ["cut"]
    assert codes(dialogue.frame(data[:2], request=False, size=len(data), findings=[cut])) == ["cut"]


def test_frames_without_room_for_a_header_are_impossible():
    dialogue = Dialogue()
    assert codes(dialogue.frame(b"\0\0\0\x09", request=True)) == ["impossible-frame"]
    assert codes(dialogue.frame(b"\0\0", request=False)) == ["impossible-frame"]


def test_an_undeclared_api_keeps_header_name_and_pairing():
    dialogue = Dialogue()
    asked = dialogue.frame(head(1, 5, 3) + b"anything", request=True)
    assert (asked.api, asked.version, asked.correlation_id, asked.client_id) == ("Fetch", 5, 3, "app")
    heard = dialogue.frame(b"\0\0\0\3anything", request=False)
    assert (heard.api, heard.message, heard.request.frame.number, codes(heard)) == ("Fetch", None, 1, [])
    assert dialogue.frame(head(4711, 5, 3), request=True).api == "API 4711"
    assert dialogue.frame(head(1, 5, 3, b"\xff\xff"), request=True).client_id is None


def test_with_definitions_it_is_decoded_in_full():
    dialogue = Dialogue(Apis(FETCH))
    asked = dialogue.frame(head(1, 5, 3) + b"\0" + b"\0\0\0\5" + b"\0", request=True)
    assert (asked.message.max_wait_ms, codes(asked)) == (5, [])
    heard = dialogue.frame(b"\0\0\0\3" + b"\0" + b"\0\6" + b"\0", request=False)
    assert (heard.message.error_code, codes(heard)) == (6, [])


def test_an_answer_in_mid_stream_is_guessed_by_what_consumes_it_exactly():
    topic = ProduceResponse.TopicProduceResponse(
        name="orders", partition_responses=[ProduceResponse.PartitionProduceResponse(index=1, base_offset=5)]
    )
    answer = ProduceResponse(responses=[topic])
    dialogue = Dialogue()
    heard = dialogue.answer(answer, 8, 9)
    assert (heard.api, heard.version, heard.message, heard.request, heard.latency_ms) == (
        "Produce",
        8,
        answer,
        None,
        None,
    )
    assert codes(heard) == ["(guess)"] and "candidates fit (Produce)" in heard.findings[0].text


def test_a_guess_that_is_none_says_so():
    dialogue = Dialogue()
    heard = dialogue.frame(b"\0\0\0\x09" + b"\xff" * 40, request=False)
    assert (codes(heard), heard.message, heard.correlation_id) == (["(unmatched)"], None, 9)
    ambiguous = dialogue.frame(b"\0\0\0\x09" + bytes(8), request=False)
    assert codes(ambiguous) == ["(guess)"] and ambiguous.message is None


def test_the_time_for_guesses_is_bounded():
    dialogue = Dialogue()
    found = [codes(dialogue.frame(b"\0\0\0\x09" + bytes(10), request=False)) for _ in range(40)]
    assert found == [["(guess)"]] * 32 + [["(unmatched)"]] * 8


def test_topic_ids_get_the_names_that_metadata_told():
    known, unknown = UUID(int=1), UUID(int=2)
    dialogue = Dialogue()
    dialogue.ask(MetadataRequest(), 12, 1, conn=2)
    topic = MetadataResponse.MetadataResponseTopic(name="orders", topic_id=known)
    dialogue.answer(MetadataResponse(topics=[topic]), 12, 1, conn=2)
    topics = [ProduceRequest.TopicProduceData(topic_id=each) for each in (known, unknown)]
    assert dialogue.ask(ProduceRequest(acks=1, topic_data=topics), 13, 1).topics == {known: "orders"}
    answer = ProduceResponse(responses=[ProduceResponse.TopicProduceResponse(topic_id=known)])
    assert dialogue.answer(answer, 13, 1).topics == {known: "orders"}


def test_tokens_of_sasl_are_overwritten_in_message_and_bytes():
    secret = b"\0user\0a long password"
    dialogue = Dialogue()
    dialogue.ask(SaslHandshakeRequest(mechanism="PLAIN"), 1, 1)
    dialogue.answer(SaslHandshakeResponse(mechanisms=["PLAIN"]), 1, 1)
    asked = dialogue.ask(SaslAuthenticateRequest(auth_bytes=secret), 2, 2)
    assert asked.redacted and asked.message.auth_bytes == b"*" * len(secret)
    assert secret not in asked.frame.data and len(asked.frame.data) == asked.frame.size
    heard = dialogue.answer(SaslAuthenticateResponse(auth_bytes=secret, session_lifetime_ms=5), 2, 2)
    assert heard.redacted and heard.message == SaslAuthenticateResponse(
        auth_bytes=b"*" * len(secret), session_lifetime_ms=5
    )
    assert codes(asked) == codes(heard) == []


def test_secrets_are_shown_if_asked_for():
    dialogue = Dialogue(show_secrets=True)
    asked = dialogue.ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2, 2)
    assert (asked.message.auth_bytes, asked.redacted) == (b"secret", False)


@pytest.mark.parametrize("damage", ["cut", "more", "version"])
def test_no_damage_lets_a_secret_out(damage):
    secret = b"\0user\0a long password"
    data = encode_request(SaslAuthenticateRequest(auth_bytes=secret), 2, correlation_id=1, client_id="app")[4:]
    data = {"cut": data[:-2], "more": data + b"more", "version": data[:3] + b"\x63" + data[4:]}[damage]
    dialogue = Dialogue()
    asked = dialogue.frame(data, request=True, size=len(data) + 2 * (damage == "cut"))
    assert b"password" not in asked.frame.data and b"password" not in getattr(asked.message, "auth_bytes", b"")
    assert b"password" not in repr(asked.findings).encode()


def test_bare_tokens_after_a_handshake_of_version_0_are_tokens_until_a_request_comes():
    dialogue = Dialogue()
    dialogue.ask(SaslHandshakeRequest(mechanism="SCRAM-SHA-256"), 0, 1)
    dialogue.answer(SaslHandshakeResponse(mechanisms=["SCRAM-SHA-256"]), 0, 1)
    for token, request in ((b"n,,n=user,r=abc", True), (b"r=abcdef,s=salt,i=4096", False), (b"c=biws,r=abcdef", True)):
        said = dialogue.frame(token, request=request)
        assert (said.api, said.api_key, said.message, codes(said)) == (SASL_TOKEN, None, None, [])
        assert said.redacted and said.frame.data == b"*" * len(token)
    assert dialogue.frame(b"", request=False).api == SASL_TOKEN
    assert dialogue.ask(MetadataRequest(), 9, 2).api == "Metadata"
    assert codes(dialogue.answer(MetadataResponse(), 9, 2)) == []
    assert codes(dialogue.frame(b"v=proof,and more", request=False)) == ["(unmatched)"]


@pytest.mark.parametrize(("key", "request_side"), [(51, True), (39, True), (40, True), (38, False), (41, False)])
def test_credentials_of_undeclared_apis_are_overwritten_too(key, request_side):
    dialogue = Dialogue()
    asked = dialogue.frame(head(key, 1, 1) + b"a credential", request=True)
    heard = dialogue.frame(b"\0\0\0\1a credential", request=False)
    hidden = asked if request_side else heard
    assert hidden.redacted and b"credential" not in hidden.frame.data


def test_what_is_not_wanted_is_not_decoded_but_paired():
    dialogue = Dialogue(wants=lambda key, request: not request)
    asked = dialogue.ask(MetadataRequest(), 9, 1)
    assert (asked.message, asked.client_id) == (None, "app")
    assert dialogue.answer(MetadataResponse(), 9, 1).message == MetadataResponse()


def test_outstanding_requests_are_bounded_and_their_bytes_are_not_kept():
    dialogue = Dialogue()
    data = encode_request(ProduceRequest(acks=1, transactional_id="x" * 2_000), 9, correlation_id=0, client_id="")[4:]
    for number in range(5_000):
        dialogue.frame(data[:4] + number.to_bytes(4, "big") + data[8:], request=True)
    assert len(dialogue.conversations.outstanding(1)) == 4_096
    heard = dialogue.answer(ProduceResponse(), 9, 4_999)
    assert (heard.request.frame.data, heard.request.message) == (b"", None)


@given(st.data())
def test_whatever_comes_nothing_is_raised(data):
    """Frames, mutated or random, in any order: each comes out, decoded or with findings."""
    rng = Random(data.draw(st.integers(0, 2**32)))
    _, _, good = data.draw(request_frames())
    dialogue = Dialogue(show_secrets=data.draw(st.booleans()))
    for _ in range(8):
        frame = bytearray(good[4:] if rng.random() < 0.7 else rng.randbytes(rng.randrange(60)))
        for _ in range(rng.randrange(4)):
            if frame:
                frame[rng.randrange(len(frame))] = rng.randrange(256)
        said = dialogue.frame(bytes(frame[: rng.randrange(len(frame) + 1)]), request=rng.random() < 0.6)
        assert said.frame.size == len(said.frame.data)
    dialogue.close()


def test_the_bytes_that_stay_still_annotate():
    """Redaction keeps the frame in shape."""
    dialogue = Dialogue()
    asked = dialogue.ask(SaslAuthenticateRequest(auth_bytes=b"secret"), 2, 2)
    assert annotate_request(bytes(asked.frame.data)).error is None


def test_init_producer_id_of_two_connections_with_one_client():
    dialogue = Dialogue()
    dialogue.ask(InitProducerIdRequest(), 4, 1, conn=1)
    heard = dialogue.answer(InitProducerIdResponse(producer_id=7), 4, 1, conn=2)
    assert heard.request is None
