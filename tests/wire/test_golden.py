"""Bytes that others wrote: requests that implementations agreed on, and each message as Kafka's classes write it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from brokers.kafka_json import RETIRED, kafka_json

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    ApiVersionsRequest,
    FrameReader,
    InitProducerIdRequest,
    MetadataRequest,
    ProduceRequest,
    RequestHeader,
    ResponseHeader,
    SaslAuthenticateRequest,
    SaslHandshakeRequest,
    decode_request,
    encode_request,
)

BATCH = bytes.fromhex(
    "00000000000000000000003affffffff02ddaa0dde0000000000000000015d3ef798000000015d3ef798000000000000000fa0"
    "0003000000070000000110000000026b027600"
)
TOPIC = ProduceRequest.TopicProduceData(
    name="t", partition_data=[ProduceRequest.PartitionProduceData(index=0, records=BATCH)]
)
PRODUCE = ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=[TOPIC])
METADATA = MetadataRequest(topics=[MetadataRequest.MetadataRequestTopic(name="t")])

FRAMES = [
    (
        ApiVersionsRequest(client_software_name="kit", client_software_version="0.1"),
        3,
        1,
        "00000015001200030000000100017000046b697404302e3100",
    ),
    (ApiVersionsRequest(), 0, 1, "0000000b0012000000000001000170"),
    (
        METADATA,
        12,
        2,
        "000000230003000c00000002000170000200000000000000000000000000000000027400010000",
    ),
    (METADATA, 1, 2, "00000012000300010000000200017000000001000174"),
    (
        InitProducerIdRequest(transaction_timeout_ms=2**31 - 1),
        4,
        3,
        "0000001c001600040000000300017000007fffffffffffffffffffffffffff00",
    ),
    (
        PRODUCE,
        9,
        4,
        "0000006500000009000000040001700000ffff0000753002027402000000004700000000000000000000003affffffff02ddaa0dde00"
        "00000000000000015d3ef798000000015d3ef798000000000000000fa00003000000070000000110000000026b027600000000",
    ),
    (
        PRODUCE,
        3,
        4,
        "0000006c0000000300000004000170ffffffff000075300000000100017400000001000000000000004600000000000000000000003a"
        "ffffffff02ddaa0dde0000000000000000015d3ef798000000015d3ef798000000000000000fa0000300000007000000011000000002"
        "6b027600",
    ),
    (SaslHandshakeRequest(mechanism="PLAIN"), 1, 2_147_483_640, "00000012001100017ffffff80001700005504c41494e"),
    (
        SaslAuthenticateRequest(auth_bytes=b"\0u\0pw"),
        2,
        2_147_483_641,
        "00000013002400027ffffff90001700006007500707700",
    ),
]


@pytest.mark.parametrize(("request_", "version", "correlation_id", "frame"), FRAMES)
def test_wire_2_request_frames(request_, version, correlation_id, frame):
    expected = bytes.fromhex(frame)
    assert encode_request(request_, version, correlation_id=correlation_id, client_id="p") == expected
    (payload,) = FrameReader().feed(expected)
    header, decoded = decode_request(payload)
    assert decoded == request_
    assert header == RequestHeader(
        request_api_key=request_.api_key,
        request_api_version=version,
        correlation_id=correlation_id,
        client_id="p",
    )


GOLDEN = [
    json.loads(line) for line in Path(__file__).with_name("golden.jsonl").read_text(encoding="utf-8").splitlines()
]
CLASSES = {cls.__name__: cls for cls in (RequestHeader, ResponseHeader, *REQUESTS.values(), *RESPONSES.values())}


def test_each_version_has_its_golden_bytes():
    """A bound that is raised needs them: python tests/brokers/golden.py tests/wire/golden.jsonl."""
    declared = {(name, version) for name, cls in CLASSES.items() for version in cls.versions}
    retired = {(name, version) for name, versions in RETIRED.items() for version in versions}
    assert {(line["message"], line["version"]) for line in GOLDEN} == declared - retired


@pytest.mark.parametrize("line", GOLDEN, ids=lambda line: f"{line['message']}-{line['version']}")
def test_what_kafka_wrote(line):
    cls, version, data = CLASSES[line["message"]], line["version"], bytes.fromhex(line["hex"])
    message = cls.decode(data, version)
    assert kafka_json(message, version) == line["fields"]
    assert message.encode(version) == data


RETIRED_FRAMES = [
    (ProduceRequest(acks=-1, timeout_ms=30_000, topic_data=[TOPIC]), range(3), "ffff0000753000000001000174"),
    (RequestHeader(request_api_key=7, correlation_id=5, client_id=""), range(1), "0007000000000005"),
]


@pytest.mark.parametrize(("message", "versions", "begin"), RETIRED_FRAMES)
def test_what_kafka_has_retired(message, versions, begin):
    """By hand, after the guide of a Kafka that had them; test_oracles.py asks kafka-python for Produce."""
    for version in versions:
        assert message.encode(version).hex().startswith(begin)
        assert type(message).decode(message.encode(version), version) == message
