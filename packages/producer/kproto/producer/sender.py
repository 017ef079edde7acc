"""The sender: one pass after the other, it takes batches to the leaders of their partitions.

Layer: producer. A core, driven through `kproto.client.effects.SansIO`, as the network client below it. A pass settles
what came back, gives up what is too old, and chooses, numbers and sends what may leave. Completed batches come out as
values: nobody is called back from inside.
Source: org.apache.kafka.clients.producer.internals.Sender (SENDER-5 to SENDER-9).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from random import Random

from kproto.client import NetworkClient, UnsupportedVersionError
from kproto.client.backoff import ExponentialBackoff
from kproto.client.deadlines import earliest
from kproto.client.effects import Buffer, Effect
from kproto.client.errors import BrokerError
from kproto.client.in_flight import Completion
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.config import ProducerConfig
from kproto.producer.dispatch import Dispatch
from kproto.producer.errors import DeliveryError, ProducerClosedError, ProducerFatalError, delivery_error
from kproto.producer.events import BatchObserver, ProducerIdChanged
from kproto.producer.fates import BatchFates
from kproto.producer.lanes import Lanes
from kproto.producer.metrics import ProducerMetrics
from kproto.producer.partition_state import PartitionState
from kproto.producer.produce_call import ProduceCall
from kproto.producer.producer_id import ProducerIdState
from kproto.producer.settlement import Settlement
from kproto.wire import ErrorCode, InitProducerIdResponse, KafkaError

__all__ = ["Sender"]

PRODUCER_ID = object()
"""The token of a request for a producer id."""


class Sender:
    """See the module.

    network: below it, and its alone; compress: has a closed batch sealed, now or later, unless that is being done; says
    whether it is.
    rng: for jitter.
    Not thread-safe: the driver holds its guard.
    """

    def __init__(
        self,
        config: ProducerConfig,
        accumulator: RecordAccumulator,
        network: NetworkClient,
        metrics: ProducerMetrics,
        *,
        rng: Random,
        compress: Callable[[ProducerBatch], bool] | None = None,
        observer: BatchObserver | None = None,
    ) -> None:
        self.error: ProducerFatalError | None = None
        """Why nothing can be sent any more; None while it can."""
        self.crash: Exception | None = None
        """A bug of ours that ended it; None for none."""
        self.config = config
        self.network = network
        self.producer_id = ProducerIdState(
            ExponentialBackoff(config.retry_backoff_ms, config.retry_backoff_max_ms), rng
        )
        self.calls = 0
        """Requests with batches that are unanswered."""
        self.lanes = Lanes(config, accumulator, observer)
        self._accumulator = accumulator
        self._observer = observer
        self._now_ms = 0
        self._fates = BatchFates(config, accumulator, metrics, rng, observer)
        self._settlement = Settlement(config, network, self.lanes, self._fates, metrics, self._make_fatal)
        self._dispatch = Dispatch(
            config,
            accumulator,
            network,
            self.lanes,
            self.producer_id,
            metrics,
            compress=compress or self._compress_now,
            settle=self._settlement.settle,
            sent=self._call_sent,
            observer=observer,
        )

    def _call_sent(self) -> None:
        self.calls += 1

    def _compress_now(self, batch: ProducerBatch) -> bool:
        self._accumulator.seal(batch)
        self._accumulator.charge_all_sealed()
        return batch.sealed

    # What the driver tells: the network's.

    def resolved(self, host: str, addresses: Sequence[str] | KafkaError, now_ms: int) -> None:
        self.network.resolved(host, addresses, now_ms)

    def connection_made(self, connection_id: int, now_ms: int) -> None:
        self.network.connection_made(connection_id, now_ms)

    def data_received(self, connection_id: int, data: bytes, now_ms: int) -> None:
        self.network.data_received(connection_id, data, now_ms)

    def connection_lost(self, connection_id: int, reason: str | None, now_ms: int) -> None:
        self.network.connection_lost(connection_id, reason, now_ms)

    def token_fetched(self, connection_id: int, token: str | KafkaError, now_ms: int) -> None:
        self.network.token_fetched(connection_id, token, now_ms)

    def data_to_send(self, connection_id: int) -> Collection[Buffer]:
        return self.network.data_to_send(connection_id)

    def data_sent(self, connection_id: int, size: int, now_ms: int) -> None:
        self.network.data_sent(connection_id, size, now_ms)

    def wants_poll_after_write(self, now_ms: int) -> bool:
        due = any(lane.due for lane in self.lanes.lanes.values())
        return due or bool(self._accumulator.news) or self.network.wants_poll_after_write(now_ms)

    def poll(self, now_ms: int) -> list[Effect]:
        """One pass: settle, number, expire, choose, send. A bug in it ends the producer, not the thread that polls."""
        self._now_ms = now_ms
        effects: list[Effect] = []
        try:
            self._pass(effects, now_ms)
        except Exception as error:  # nothing that a broker or a user does may come here
            first, self.crash = self.crash is None, self.crash or error
            self._make_fatal(KafkaError(f"a bug of kproto: {error!r}"))
            if first:
                self._fail_for_good(now_ms)
        return effects

    def _pass(self, effects: list[Effect], now_ms: int) -> None:
        self._ask_for_producer_id(now_ms)  # before the network's pass, which sends what waits in its line
        effects += self.network.poll(now_ms)
        metadata = self.network.metadata
        events, update_in_ms = metadata.events, metadata.time_to_next_update_ms(now_ms)
        for completion in self.network.take_completions():
            self._settle(completion, now_ms)
        for state in self.lanes.update(self.network.cluster, now_ms):
            self._expire(state, now_ms)
        if self.error is None:
            self._dispatch.run(now_ms)
        if self.error is not None:  # perhaps only now: a node may speak no version that we do
            self._fail_for_good(now_ms)
        if metadata.events != events:  # the network has looked already, and does not know yet
            sooner_in_ms = metadata.time_to_next_update_ms(now_ms)
            if sooner_in_ms < update_in_ms:
                self.network.connections.wakes_ms.append(now_ms + sooner_in_ms)
        effects += self.network.connections.take_effects()

    def next_deadline_ms(self) -> int | None:
        if self.crash is not None:
            return None  # nothing is left to do in time, and what has crashed may do so at once again
        deadlines = [self.network.next_deadline_ms(), self.lanes.next_wake_ms]
        if self._wants_producer_id():
            due_in_ms = self.producer_id.due_in_ms(self._now_ms)
            deadlines.append(None if due_in_ms is None else self._now_ms + due_in_ms)
        return earliest(deadlines)

    # What is above asks.

    def take_ended(self) -> list[ProducerBatch]:
        """The batches that ended since the last call, in order: those of one partition in the order of their records
        but for what failed out of turn."""
        ended, self._fates.ended = self._fates.ended, []
        return ended

    def abort(self, now_ms: int) -> int:
        """Give up everything: the producer closes, and does not wait any longer. How many records that are."""
        count = 0

        def closed(batch: ProducerBatch) -> DeliveryError:
            nonlocal count
            count += batch.count
            why = f"the producer was closed before its batch of {batch.count} records was acknowledged"
            return DeliveryError(batch.partition, batch.written, why, None, ProducerClosedError())

        self._fail_all(closed, now_ms)
        return count

    def give_up(self, batch: ProducerBatch, why: str, cause: BaseException, now_ms: int) -> None:
        """A batch that cannot be made ready to be sent: it fails, unless it has ended, and those behind it go on."""
        if not batch.done:
            state = self.lanes.state(batch.partition)
            error = DeliveryError(batch.partition, batch.written, why, None, cause)
            self._fates.fail(state, batch, error, now_ms)
            self.lanes.look(state, now_ms)

    def close(self, now_ms: int) -> None:
        """End all connections. Nothing is sent after that."""
        self.network.close(now_ms)

    # The producer id

    def _wants_producer_id(self) -> bool:
        return bool(self.config.enable_idempotence) and self.error is None

    def _ask_for_producer_id(self, now_ms: int) -> None:
        if self._wants_producer_id() and self.producer_id.due_in_ms(now_ms) == 0:
            self.network.enqueue(
                self.producer_id.request(),
                PRODUCER_ID,
                now_ms,
                timeout_ms=self.config.request_timeout_ms,
                response=InitProducerIdResponse,
            )

    def _settle(self, completion: Completion, now_ms: int) -> None:
        if isinstance(completion.token, ProduceCall):
            self.calls -= 1
            self._settlement.settle(completion.token, completion, now_ms)
        elif self.error is None:
            self._producer_id_ended(completion, now_ms)

    def _producer_id_ended(self, completion: Completion, now_ms: int) -> None:
        response = completion.response
        if not isinstance(response, InitProducerIdResponse):
            error = completion.error or KafkaError("no answer")
            self.producer_id.failed(error, now_ms)
            if isinstance(error, UnsupportedVersionError):
                self._make_fatal(error)
            return
        code = self.producer_id.answered(response, now_ms)
        if code == ErrorCode.NONE:
            identity = self.producer_id.identity
            if self._observer is not None:
                self._observer(ProducerIdChanged(now_ms, *identity, "given by the broker"))
        elif code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED:
            self._fail_all(lambda batch: delivery_error(batch.partition, batch.written, code), now_ms)
        elif not (isinstance(code, ErrorCode) and code.retriable):
            self._make_fatal(BrokerError(code, "the producer id"))

    # The end of everything

    def _make_fatal(self, cause: KafkaError) -> None:
        """Nothing more is accepted; what is there fails at the end of this pass."""
        if self.error is None:
            self.error = ProducerFatalError(cause)
            self.producer_id.fatal(self.error)
            self._accumulator.close(self.error)

    def _fail_for_good(self, now_ms: int) -> None:
        cause = self.error
        assert cause is not None
        code = getattr(cause.cause, "code", None)

        def failed(batch: ProducerBatch) -> DeliveryError:
            if code is not None:
                return delivery_error(batch.partition, batch.written, code, cause=cause)
            return DeliveryError(batch.partition, batch.written, "the producer has failed", None, cause)

        self._fail_all(failed, now_ms)

    def _fail_all(self, error_of: Callable[[ProducerBatch], DeliveryError], now_ms: int) -> None:
        """Every batch, the oldest of each partition first; those in flight, too."""
        self.lanes.update(self.network.cluster, now_ms)
        for state in [*self.lanes.states.values()]:
            for batch in self.lanes.unfinished(state):
                self._fates.fail(state, batch, error_of(batch), now_ms)
            self.lanes.look(state, now_ms)

    def _expire(self, state: PartitionState, now_ms: int) -> None:
        for batch in self.lanes.expired(state, now_ms):
            self._fates.expire(state, batch, self._cause_of(state), now_ms)
        self.lanes.look(state, now_ms)

    def _cause_of(self, state: PartitionState) -> KafkaError | None:
        """Why it may have taken so long."""
        network, topic = self.network, state.partition.topic
        return network.connection_error() or network.metadata.topic_error(topic) or self.producer_id.last_error
