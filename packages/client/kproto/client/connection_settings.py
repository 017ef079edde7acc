"""What all connections of a client have in common.

Layer: client.
"""

from __future__ import annotations

from dataclasses import dataclass

from kproto.client.security import Security

__all__ = ["ConnectionSettings"]


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """What all connections of a client have in common."""

    client_id: str | None
    request_timeout_ms: int
    max_in_flight: int
    receive_message_max_bytes: int
    security: Security
    software_version: str
