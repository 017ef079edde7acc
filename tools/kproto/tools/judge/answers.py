"""Answers that need no log: ApiVersions, InitProducerId, and any request's answer with an error.

Layer: tools.
Source: kafka.server.KafkaApis, ApiVersionManager; TransactionCoordinator.handleInitProducerId;
org.apache.kafka.common.requests.ApiVersionsRequest (KIP-511, KIP-1242).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kproto.tools.judge.consumer_messages import FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse
from kproto.tools.judge.metadata import metadata_error
from kproto.tools.judge.topic_messages import (
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)
from kproto.wire import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    ApiKey,
    ApiVersionsRequest,
    ApiVersionsResponse,
    ErrorCode,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    ProduceRequest,
    ProduceResponse,
    Request,
    Response,
)

if TYPE_CHECKING:
    from kproto.tools.judge.broker import JudgeBroker

__all__ = ["api_versions_answer", "error_response", "init_producer_id_answer", "produce_error", "unsupported_version"]

SOFTWARE: Final = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?")
NAMES_SINCE: Final = 3  # of ApiVersions: the client's software and its version


def api_versions_answer(broker: JudgeBroker, request: ApiVersionsRequest, version: int) -> ApiVersionsResponse:
    """What the broker announces; an error where the client names itself badly, or means another broker."""
    names = (request.client_software_name, request.client_software_version)
    if version >= NAMES_SINCE and not all(map(SOFTWARE.fullmatch, names)):
        return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    if (request.cluster_id is None) != (request.node_id == -1):
        return ApiVersionsResponse(error_code=ErrorCode.INVALID_REQUEST)
    meant = (request.cluster_id, request.node_id)
    if request.cluster_id is not None and meant != (broker.cluster.cluster_id, broker.node_id):
        return ApiVersionsResponse(error_code=ErrorCode.REBOOTSTRAP_REQUIRED)
    return _listed(broker.versions)


def unsupported_version(broker: JudgeBroker) -> ApiVersionsResponse:
    """What a version of ApiVersions that the broker lacks is answered with, in version 0: its own range alone."""
    return _listed({ApiKey.API_VERSIONS: broker.versions[ApiKey.API_VERSIONS]}, ErrorCode.UNSUPPORTED_VERSION)


def _listed(versions: Mapping[int, range], error_code: int = 0) -> ApiVersionsResponse:
    api = ApiVersionsResponse.ApiVersion
    rows = [api(api_key=key, min_version=one.start, max_version=one.stop - 1) for key, one in versions.items()]
    return ApiVersionsResponse(error_code=error_code, api_keys=rows)


def init_producer_id_answer(broker: JudgeBroker, request: InitProducerIdRequest) -> InitProducerIdResponse:
    """A new id, of epoch 0, also where one is named that the producer holds (without a transactional id)."""
    if (request.producer_id == NO_PRODUCER_ID) != (request.producer_epoch == NO_PRODUCER_EPOCH):
        return _no_producer_id(ErrorCode.INVALID_REQUEST)
    if request.transactional_id is not None:
        # There are no transactions here; Kafka says the same of an id that its ACLs do not allow.
        return _no_producer_id(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    return InitProducerIdResponse(producer_id=broker.cluster.next_producer_id(), producer_epoch=0)


def _no_producer_id(code: int) -> InitProducerIdResponse:
    return InitProducerIdResponse(error_code=code, producer_id=NO_PRODUCER_ID, producer_epoch=NO_PRODUCER_EPOCH)


def error_response(request: Request, code: int) -> Response:
    """The answer to a request that fails as a whole."""
    if isinstance(request, MetadataRequest):
        return metadata_error(request, code)
    if isinstance(request, InitProducerIdRequest):
        return _no_producer_id(code)
    if isinstance(request, ProduceRequest):
        return produce_error(request, code)
    if isinstance(request, ApiVersionsRequest):
        return ApiVersionsResponse(error_code=code)
    return _error_of_each(request, code)


def produce_error(request: ProduceRequest, code: int) -> ProduceResponse:
    """The code for each partition."""
    topic, partition = ProduceResponse.TopicProduceResponse, ProduceResponse.PartitionProduceResponse
    responses = []
    for asked in request.topic_data:
        failed = [partition(index=one.index, error_code=code, base_offset=-1) for one in asked.partition_data]
        responses.append(topic(name=asked.name, topic_id=asked.topic_id, partition_responses=failed))
    return ProduceResponse(responses=responses)


def _error_of_each(request: Request, code: int) -> Response:
    """The code for each partition or topic."""
    if isinstance(request, FetchRequest):
        fetched, data = FetchResponse.FetchableTopicResponse, FetchResponse.PartitionData
        topics = [
            fetched(
                topic=asked.topic,
                partitions=[
                    data(partition_index=one.partition, error_code=code, high_watermark=-1, records=b"")
                    for one in asked.partitions
                ],
            )
            for asked in request.topics
        ]
        return FetchResponse(responses=topics)
    if isinstance(request, ListOffsetsRequest):
        listed, offset = ListOffsetsResponse.ListOffsetsTopicResponse, ListOffsetsResponse.ListOffsetsPartitionResponse
        answered = [
            listed(
                name=asked.name,
                partitions=[offset(partition_index=one.partition_index, error_code=code) for one in asked.partitions],
            )
            for asked in request.topics
        ]
        return ListOffsetsResponse(topics=answered)
    if isinstance(request, CreateTopicsRequest):
        made = CreateTopicsResponse.CreatableTopicResult
        return CreateTopicsResponse(topics=[made(name=one.name, error_code=code) for one in request.topics])
    assert isinstance(request, DeleteTopicsRequest)
    gone = DeleteTopicsResponse.DeletableTopicResult
    return DeleteTopicsResponse(responses=[gone(name=one, error_code=code) for one in request.topic_names])
