"""The APIs that `decode` can read: the declared ones, and with definitions of a Kafka release, its others.

Layer: tools. Names are known of all APIs of Kafka, read or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from kproto.wire import REQUESTS, RESPONSES, ApiKey, Request, Response

if TYPE_CHECKING:
    from kproto.wire.definitions import Definitions

__all__ = ["Apis", "api_name"]

NAMES: Final = {int(key): key.message_name for key in ApiKey}


class Apis:
    """Message classes by API key. definitions: of `kproto.wire.definitions.load`, for what is not declared.

    The declared classes go first: their secrets are known. Raises DefinitionError for definitions that are wrong.
    Safe to share between threads.
    """

    def __init__(self, definitions: Definitions | None = None) -> None:
        self.requests: Mapping[int, type[Request]] = {**(definitions.requests if definitions else {}), **REQUESTS}
        self.responses: Mapping[int, type[Response]] = {**(definitions.responses if definitions else {}), **RESPONSES}


def api_name(key: int) -> str:
    """Kafka's name of an API, such as Produce; `API 4711` for a number that Kafka 4.4 has not given."""
    return NAMES.get(key) or f"API {key}"
