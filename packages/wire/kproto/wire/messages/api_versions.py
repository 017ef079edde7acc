"""ApiVersions: which versions of which APIs a broker speaks; the first request on a connection.

Layer: wire.
Source: KIP-35, KIP-511 (3: the client names itself), KIP-584 (3: features), KIP-1022 (4: feature ranges from 0),
KIP-1242 (5: the request names the cluster and node the client believes to reach).
"""

from __future__ import annotations

from collections.abc import Sequence

from kproto.wire.api_key import ApiKey
from kproto.wire.field import field
from kproto.wire.schema import Request, Response, Struct
from kproto.wire.wire_type import Array, Boolean, Int16, Int32, Int64, NullableString, String

__all__ = ["ApiVersionsRequest", "ApiVersionsResponse"]


class ApiVersionsRequest(Request, api_key=ApiKey.API_VERSIONS, versions="0-5", flexible="3+"):
    """Ask what the broker speaks. A broker that lacks the version answers error 35 in version 0."""

    client_software_name: str = field(String, since=3, ignorable=True)
    client_software_version: str = field(String, since=3, ignorable=True)
    cluster_id: str | None = field(NullableString, since=5, ignorable=True)
    node_id: int = field(Int32, since=5, default=-1, ignorable=True)


class ApiVersionsResponse(Response, api_key=ApiKey.API_VERSIONS, versions="0-5", flexible="3+"):
    """The range of each API. Its header is version 0 in every version, so that any client can read the error."""

    class ApiVersion(Struct):
        """First and last version of one API; both ends count."""

        api_key: int = field(Int16, map_key=True)
        min_version: int = field(Int16)
        max_version: int = field(Int16)

    class SupportedFeatureKey(Struct):
        """The levels of a feature that the broker supports."""

        name: str = field(String, since=3, map_key=True)
        min_version: int = field(Int16, since=3)
        max_version: int = field(Int16, since=3)

    class FinalizedFeatureKey(Struct):
        """The levels of a feature that the cluster has agreed on."""

        name: str = field(String, since=3, map_key=True)
        max_version_level: int = field(Int16, since=3)
        min_version_level: int = field(Int16, since=3)

    error_code: int = field(Int16)
    api_keys: Sequence[ApiVersion] = field(Array(ApiVersion))
    throttle_time_ms: int = field(Int32, since=1, ignorable=True)
    supported_features: Sequence[SupportedFeatureKey] = field(
        Array(SupportedFeatureKey), since=3, tag=0, ignorable=True
    )
    finalized_features_epoch: int = field(Int64, since=3, tag=1, default=-1, ignorable=True)
    finalized_features: Sequence[FinalizedFeatureKey] = field(
        Array(FinalizedFeatureKey), since=3, tag=2, ignorable=True
    )
    zk_migration_ready: bool = field(Boolean, since=3, tag=3, ignorable=True)
