"""The identity under which a producer's batches count: its id, its epoch, and how it gets them.

Layer: producer. A core. A new epoch is a local decision (KIP-360): only when the epochs of an id are used up is another
id asked for. What it means for the batches of a partition stands in `sequences.py`.
Source: KIP-98, KIP-360; org.apache.kafka.clients.producer.internals.TransactionManager (IDEM-2 to IDEM-5, IDEM-14).
"""

from __future__ import annotations

from enum import auto
from random import Random
from typing import Final, NamedTuple

from kproto.client.backoff import ExponentialBackoff
from kproto.client.errors import BrokerError
from kproto.client.transitions import State, step
from kproto.wire import (
    NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID,
    ErrorCode,
    InitProducerIdRequest,
    InitProducerIdResponse,
    KafkaError,
)

__all__ = [
    "NO_IDENTITY",
    "TRANSITIONS",
    "ProducerIdAndEpoch",
    "ProducerIdEvent",
    "ProducerIdPhase",
    "ProducerIdState",
]

EPOCH_MAX: Final = 2**15 - 1
TRANSACTION_TIMEOUT_MS: Final = 2**31 - 1  # what Kafka's own client says where there is no transaction


class ProducerIdAndEpoch(NamedTuple):
    """producer_id: from 0, -1 for none; epoch: 0 to 32767, -1 for none."""

    producer_id: int
    epoch: int


NO_IDENTITY: Final = ProducerIdAndEpoch(NO_PRODUCER_ID, NO_PRODUCER_EPOCH)


class ProducerIdPhase(State):
    """Where a producer is on its way to an identity."""

    UNINITIALIZED = auto()
    INITIALIZING = auto()
    READY = auto()
    FATAL_ERROR = auto()


class ProducerIdEvent(State):
    """What moves it on."""

    ASKED = auto()
    ANSWERED = auto()
    REFUSED = auto()
    EPOCHS_USED_UP = auto()
    FATAL = auto()


_P, _E = ProducerIdPhase, ProducerIdEvent

TRANSITIONS: Final = {
    (_P.UNINITIALIZED, _E.ASKED): _P.INITIALIZING,
    (_P.INITIALIZING, _E.ANSWERED): _P.READY,
    (_P.INITIALIZING, _E.REFUSED): _P.UNINITIALIZED,  # to be asked again, after a backoff
    (_P.READY, _E.EPOCHS_USED_UP): _P.UNINITIALIZED,
} | {(phase, _E.FATAL): _P.FATAL_ERROR for phase in ProducerIdPhase}


class ProducerIdState:
    """See the module. backoff: between requests that were refused. Not thread-safe."""

    def __init__(self, backoff: ExponentialBackoff, rng: Random) -> None:
        self.phase = ProducerIdPhase.UNINITIALIZED
        self.identity = NO_IDENTITY
        """The current one; NO_IDENTITY while another is being asked for, and once nothing can be sent any more."""
        self.error: KafkaError | None = None
        """Why nothing can be sent any more; None unless the phase is FATAL_ERROR."""
        self.last_error: KafkaError | None = None
        """Why the last request failed; None once it has not."""
        self._backoff = backoff
        self._rng = rng
        self._attempts = 0
        self._retry_at_ms = 0

    def due_in_ms(self, now_ms: int) -> int | None:
        """How long until a request should go out, 0 for now; None where none should."""
        if self.phase is not ProducerIdPhase.UNINITIALIZED:
            return None
        return max(0, self._retry_at_ms - now_ms)

    def request(self) -> InitProducerIdRequest:
        """What to send, to any node; its answer goes to `answered`, a lost connection or a timeout to `failed`."""
        self._on(ProducerIdEvent.ASKED)
        return InitProducerIdRequest(transaction_timeout_ms=TRANSACTION_TIMEOUT_MS)

    def answered(self, response: InitProducerIdResponse, now_ms: int) -> ErrorCode | int:
        """Take the answer; the error code that it carries.

        A retriable one is asked again after a backoff, as is CLUSTER_AUTHORIZATION_FAILED, which a grant cures: the
        caller fails what waits. Every other one is for the caller to make fatal.
        """
        code = ErrorCode.of(response.error_code)
        identity = ProducerIdAndEpoch(response.producer_id, response.producer_epoch)
        if code == ErrorCode.NONE and min(identity) < 0:
            code = ErrorCode.UNKNOWN_SERVER_ERROR  # an answer without an id is no answer
        if code == ErrorCode.NONE:
            self._on(ProducerIdEvent.ANSWERED)
            self.identity = identity
            self.last_error = None
            self._attempts = 0
        else:
            self.failed(BrokerError(code, "the producer id"), now_ms)
        return code

    def failed(self, error: KafkaError, now_ms: int) -> None:
        """The request did not get an answer, or was refused: ask again after a backoff."""
        self._on(ProducerIdEvent.REFUSED)
        self.last_error = error
        self._retry_at_ms = now_ms + self._backoff.delay_ms(self._attempts, self._rng)
        self._attempts += 1

    def bump(self) -> bool:
        """Go on under the next epoch. False where there is none: then a new id is asked for, and comes later."""
        producer_id, epoch = self.identity
        if epoch < EPOCH_MAX:
            self.identity = ProducerIdAndEpoch(producer_id, epoch + 1)
            return True
        self._on(ProducerIdEvent.EPOCHS_USED_UP)
        self.identity = NO_IDENTITY
        return False

    def fatal(self, error: KafkaError) -> None:
        """Nothing can be sent any more, also under the identity that there was. The first reason stays."""
        if self.error is None:
            self.error = error
            self.identity = NO_IDENTITY
            self._on(ProducerIdEvent.FATAL)

    def _on(self, event: ProducerIdEvent) -> None:
        self.phase = step(TRANSITIONS, self.phase, event)

    def __repr__(self) -> str:
        return f"<ProducerIdState {self.phase.name}, id {self.identity.producer_id}, epoch {self.identity.epoch}>"
