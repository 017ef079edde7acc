"""What the judge serves: classes by API key, and the versions that it announces.

Layer: tools.
Source: kafka.server.ApiVersionManager, org.apache.kafka.common.protocol.ApiKeys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kproto.tools.judge.consumer_messages import FetchRequest, ListOffsetsRequest
from kproto.tools.judge.topic_messages import CreateTopicsRequest, DeleteTopicsRequest
from kproto.wire import REQUESTS, ApiKey, Request

__all__ = ["SERVED", "VERSIONS"]

PRODUCERS: Final = (ApiKey.PRODUCE, ApiKey.METADATA, ApiKey.API_VERSIONS, ApiKey.INIT_PRODUCER_ID)

SERVED: Final[Mapping[int, type[Request]]] = {
    **{key: REQUESTS[key] for key in PRODUCERS},
    ApiKey.FETCH: FetchRequest,
    ApiKey.LIST_OFFSETS: ListOffsetsRequest,
    ApiKey.CREATE_TOPICS: CreateTopicsRequest,
    ApiKey.DELETE_TOPICS: DeleteTopicsRequest,
}

VERSIONS: Final[Mapping[int, range]] = {
    **{int(key): cls.versions for key, cls in sorted(SERVED.items())},
    ApiKey.INIT_PRODUCER_ID: range(6),  # Kafka 4.4.0 has version 6, but does not announce it
}
