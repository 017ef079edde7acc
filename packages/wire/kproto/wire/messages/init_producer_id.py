"""InitProducerId: a producer id and epoch, so that a broker can tell a repeated batch from a new one.

Layer: wire.
Source: KIP-98, KIP-360 (3: a producer may name the id it holds), KIP-588 (4: PRODUCER_FENCED), KIP-890 (5), KIP-939 (6:
two-phase commit; declared by Kafka 4.4 but not yet announced by its brokers).
"""

from __future__ import annotations

from typing import Final

from kproto.wire.api_key import ApiKey
from kproto.wire.field import field
from kproto.wire.schema import Request, Response
from kproto.wire.wire_type import Boolean, Int16, Int32, Int64, NullableString

__all__ = ["NO_PRODUCER_EPOCH", "NO_PRODUCER_ID", "InitProducerIdRequest", "InitProducerIdResponse"]

NO_PRODUCER_ID: Final = -1
NO_PRODUCER_EPOCH: Final = -1


class InitProducerIdRequest(Request, api_key=ApiKey.INIT_PRODUCER_ID, versions="0-6", flexible="2+"):
    """Ask for a producer id. From version 3 the id and epoch already held may be named, to have the epoch raised."""

    transactional_id: str | None = field(NullableString, default=None)
    transaction_timeout_ms: int = field(Int32)
    producer_id: int = field(Int64, since=3, default=NO_PRODUCER_ID)
    producer_epoch: int = field(Int16, since=3, default=NO_PRODUCER_EPOCH)
    enable_2pc: bool = field(Boolean, since=6)
    keep_prepared_txn: bool = field(Boolean, since=6)


class InitProducerIdResponse(Response, api_key=ApiKey.INIT_PRODUCER_ID, versions="0-6", flexible="2+"):
    """The producer id and epoch to stamp batches with."""

    throttle_time_ms: int = field(Int32, ignorable=True)
    error_code: int = field(Int16)
    producer_id: int = field(Int64, default=NO_PRODUCER_ID)
    producer_epoch: int = field(Int16)
    ongoing_txn_producer_id: int = field(Int64, since=6, default=NO_PRODUCER_ID)
    ongoing_txn_producer_epoch: int = field(Int16, since=6, default=NO_PRODUCER_EPOCH)
