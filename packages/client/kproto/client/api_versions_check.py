"""The first exchange on a connection: which version of ApiVersions to ask in, and what its answer means.

Layer: client. Asks in ever lower versions, so it ends whatever a broker answers.
Source: KIP-511 (APIV-1 to APIV-3), KIP-1242; librdkafka's rd_kafka_handle_ApiVersion.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from kproto.client.errors import BrokerError, UnsupportedVersionError
from kproto.client.throttle import throttle_ms_of
from kproto.client.versions import ApiVersions
from kproto.wire import ApiKey, ApiVersionsRequest, ApiVersionsResponse, DecodeError, ErrorCode, decode_response_prefix

__all__ = ["SOFTWARE_NAME", "SOFTWARE_VERSION", "ApiVersionsCheck"]

SOFTWARE_NAME: Final = "kproto"
SOFTWARE_VERSION: Final = version(SOFTWARE_NAME)  # of the distribution: looking it up takes a millisecond
ERROR_CODE_AT: Final = 4  # behind the correlation id: the header is version 0 in every version


class ApiVersionsCheck:
    """Asks until an answer lists the versions.

    cluster_id, node_id: whom we believe to reach; None and -1 where we do not know, as with a bootstrap server.
    """

    def __init__(self, address: str, software_version: str, cluster_id: str | None = None, node_id: int = -1) -> None:
        self.address = address
        self.version = ApiVersionsRequest.versions[-1]
        self.throttle_ms = 0
        """For how long the answer that listed the versions asks us to send nothing."""
        self._request = ApiVersionsRequest(
            client_software_name=SOFTWARE_NAME,
            client_software_version=software_version,
            cluster_id=cluster_id,
            node_id=node_id,
        )

    def request(self) -> tuple[ApiVersionsRequest, int]:
        """What to ask now, and in which version."""
        return self._request, self.version

    def receive(self, payload: bytes) -> ApiVersions | None:
        """The versions; None where `request` is to be sent again. payload: the answer's frame without its length.

        Raises UnsupportedVersionError where nothing lower is left to ask, BrokerError for any other error code,
        DecodeError for bytes that are no answer.
        """
        code = int.from_bytes(payload[ERROR_CODE_AT : ERROR_CODE_AT + 2], "big", signed=True)
        if len(payload) >= ERROR_CODE_AT + 2 and code == ErrorCode.UNSUPPORTED_VERSION:
            self.version = self._lower(payload)
            return None
        _, response, _ = decode_response_prefix(payload, ApiVersionsResponse, self.version)
        if response.error_code:
            raise BrokerError(ErrorCode.of(response.error_code), f"ApiVersions of {self.address}")
        self.throttle_ms = throttle_ms_of(response, self.version)
        return ApiVersions.of(response)

    def _lower(self, payload: bytes) -> int:
        """The broker's own highest version where its answer names one that is lower than what we asked, else 0."""
        asked = self.version
        if asked == 0:
            raise UnsupportedVersionError("ApiVersions", ApiVersionsRequest.versions, range(0))
        try:
            _, response, _ = decode_response_prefix(payload, ApiVersionsResponse, 0)
        except DecodeError:
            return 0  # the body of error 35 is not always one: librdkafka's mock cluster sends neither version
        theirs = ApiVersions.of(response).ranges.get(ApiKey.API_VERSIONS, range(0))
        return theirs[-1] if theirs and 0 <= theirs[-1] < asked else 0
