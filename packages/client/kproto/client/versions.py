"""Which version of each API both sides speak.

Layer: client.
Source: KIP-35, KIP-511; org.apache.kafka.clients.NodeApiVersions.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from kproto.client.errors import UnsupportedVersionError
from kproto.wire import ApiKey, ApiVersionsResponse, Request

__all__ = ["ApiVersions"]

NONE: Final = range(0)


class ApiVersions:
    """What one broker announced. Immutable. ranges: API key -> its versions; keys that nobody knows are kept."""

    __slots__ = ("ranges",)

    def __init__(self, ranges: Mapping[int, range]) -> None:
        self.ranges: Mapping[int, range] = MappingProxyType(dict(ranges))

    @classmethod
    def of(cls, response: ApiVersionsResponse) -> ApiVersions:
        """Of a broker's answer; a range that ends before it begins is none."""
        return cls({api.api_key: range(api.min_version, api.max_version + 1) for api in response.api_keys})

    def negotiate(self, request: type[Request], within: range | None = None) -> int:
        """The highest version that both sides speak; within: bounds of the caller's, such as Produce up to 12.

        Raises UnsupportedVersionError where there is none.
        """
        key = int(request.api_key or 0)
        ours = request.versions if within is None else common(request.versions, within)
        both = common(ours, self.ranges.get(key, NONE))
        if not both:
            raise UnsupportedVersionError(_name(request), ours, self.ranges.get(key, NONE))
        return both[-1]

    def speaks(self, request: type[Request], version: int) -> bool:
        """Whether the broker takes this version."""
        return version in self.ranges.get(int(request.api_key or 0), NONE)

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, ApiVersions) and dict(self.ranges) == dict(other.ranges)

    def __hash__(self) -> int:
        return hash(frozenset(self.ranges.items()))

    def __repr__(self) -> str:
        return f"<ApiVersions of {len(self.ranges)} APIs>"


def common(one: range, other: range) -> range:
    """The versions in both."""
    return range(max(one.start, other.start), min(one.stop, other.stop)) if one and other else NONE


def _name(request: type[Request]) -> str:
    key = ApiKey.of(int(request.api_key or 0))
    return key.message_name if isinstance(key, ApiKey) else request.__name__
