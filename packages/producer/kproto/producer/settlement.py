"""Takes the answer to a request, and has each of its batches meet its fate.

Layer: producer. A core, part of the sender. What each error code means stands in `outcome`.
Source: org.apache.kafka.clients.producer.internals.Sender.handleProduceResponse, completeBatch (SENDER-12 to
SENDER-25).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kproto.client import KafkaError, KafkaTimeoutError, NetworkClient, TopicPartition, UnsupportedVersionError
from kproto.client.errors import BrokerError, KafkaConnectionError
from kproto.client.in_flight import Completion
from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_state import BatchState
from kproto.producer.config import ProducerConfig
from kproto.producer.errors import DeliveryError, InvalidRecordError, delivery_error
from kproto.producer.fates import BatchFates
from kproto.producer.lanes import Lanes
from kproto.producer.metrics import ProducerMetrics
from kproto.producer.outcome import Action, Outcome, outcome_of
from kproto.producer.partition_state import PartitionState
from kproto.producer.produce_call import PartitionAnswer, ProduceCall, leaders_named
from kproto.producer.record import NO_OFFSET
from kproto.wire import EncodeError, ErrorCode, ProduceResponse
from kproto.wire.records import NO_TIMESTAMP

__all__ = ["Settlement"]


class Settlement:
    """See the module. make_fatal: called for what ends the producer. Not thread-safe: the sender's."""

    def __init__(
        self,
        config: ProducerConfig,
        network: NetworkClient,
        lanes: Lanes,
        fates: BatchFates,
        metrics: ProducerMetrics,
        make_fatal: Callable[[DeliveryError], None],
    ) -> None:
        self._config = config
        self._network = network
        self._lanes = lanes
        self._fates = fates
        self._metrics = metrics
        self._make_fatal = make_fatal

    def settle(self, call: ProduceCall, completion: Completion, now_ms: int) -> None:
        """The request has ended: with an answer, without one that is due (acks=0), or with an error."""
        response = completion.response
        for batch in call.batches.values():
            self._lanes.state(batch.partition).sequences.answered(batch)
        if completion.error is not None:
            self._failed(call, completion.error, now_ms)
        elif isinstance(response, ProduceResponse):
            self._answered(call, response, now_ms)
        else:
            for batch in call.batches.values():
                self._one(batch, ErrorCode.NONE, None, None, now_ms)
        for batch in call.batches.values():
            if batch.state is not BatchState.SUCCEEDED:  # or its queue is as it was
                self._lanes.look(self._lanes.state(batch.partition), now_ms)

    def _answered(self, call: ProduceCall, response: ProduceResponse, now_ms: int) -> None:
        self._metrics.response_received(call.node_id, now_ms - call.sent_ms, response.throttle_time_ms, now_ms)
        answers: list[tuple[TopicPartition, PartitionAnswer]] = []
        for batch, answer in call.answers(response):
            if answer is None:
                error = KafkaError(f"node {call.node_id} answered without a word about {batch.partition}")
                self._one(batch, ErrorCode.NETWORK_EXCEPTION, None, error, now_ms)
            else:
                answers.append((batch.partition, answer))
                self._one(batch, answer.error_code, answer, None, now_ms)
        leaders, nodes = leaders_named(answers, response)
        if leaders:
            self._network.update_leadership(leaders, nodes)

    def _failed(self, call: ProduceCall, error: KafkaError, now_ms: int) -> None:
        """Nothing came back: it may have been carried out, but for what was refused on our side."""
        code: int
        if isinstance(error, UnsupportedVersionError):
            code = ErrorCode.UNSUPPORTED_VERSION
        elif isinstance(error, EncodeError):
            code = ErrorCode.INVALID_REQUEST
        elif isinstance(error, BrokerError):
            code = error.code
        elif not isinstance(error, KafkaTimeoutError):
            code = ErrorCode.NETWORK_EXCEPTION
        elif now_ms - call.sent_ms >= self._config.request_timeout_ms:
            code = ErrorCode.REQUEST_TIMED_OUT
        else:
            code = ErrorCode.NETWORK_EXCEPTION
            error = KafkaConnectionError(f"node {call.node_id}", f"closed, as an earlier request timed out: {error}")
        for batch in call.batches.values():
            self._one(batch, code, None, error, now_ms)

    def _one(
        self,
        batch: ProducerBatch,
        code: int,
        answer: PartitionAnswer | None,
        cause: KafkaError | None,
        now_ms: int,
    ) -> None:
        """One batch. cause: what happened where no broker has said the code."""
        state = self._lanes.state(batch.partition)
        outcome = outcome_of(code)
        if batch.done:
            self._late(state, batch, outcome)
        else:
            batch.open_outcome |= outcome.open
            self._act(state, batch, outcome, code, answer, cause, now_ms)
        known = ErrorCode.of(code)
        if isinstance(known, ErrorCode) and known.invalid_metadata:
            self._network.metadata.request_update()

    def _late(self, state: PartitionState, batch: ProducerBatch, outcome: Outcome) -> None:
        """It was given up meanwhile. For its records that is the end, but not for the numbers behind it (SENDER-24)."""
        if outcome.action in (Action.COMPLETE, Action.COMPLETE_DUPLICATE):
            state.sequences.acked(batch)
        self._fates.answered_late(batch)

    def _act(
        self,
        state: PartitionState,
        batch: ProducerBatch,
        outcome: Outcome,
        code: int,
        answer: PartitionAnswer | None,
        cause: KafkaError | None,
        now_ms: int,
    ) -> None:
        action, fates, numbered = outcome.action, self._fates, batch.sequence >= 0
        if action is Action.COMPLETE:
            offset = NO_OFFSET if answer is None else answer.base_offset
            append_ms = NO_TIMESTAMP if answer is None else answer.log_append_time_ms
            fates.deliver(state, batch, offset, append_ms, now_ms)
            return
        if action is Action.COMPLETE_DUPLICATE:
            fates.deliver(state, batch, NO_OFFSET, NO_TIMESTAMP, now_ms)
            return
        if action is Action.SPLIT and batch.count > 1 and not batch.open_outcome:
            fates.split(state, batch, now_ms)
            return
        if action is Action.OUT_OF_ORDER and numbered:
            state.sequences.out_of_order(batch)
            retries = True
        elif action is Action.UNKNOWN_PRODUCER and numbered:
            retries = self._unknown_producer(state, batch, answer, now_ms)
        else:
            retries = action is Action.RETRY
        said = None if answer is None else answer.error_message
        why = cause or BrokerError(ErrorCode.of(code), str(batch.partition), said)
        if retries and fates.retry(state, batch, why, now_ms):
            return
        self._fail(state, batch, code, answer, cause, now_ms)
        if action is Action.FATAL and numbered:
            assert batch.error is not None
            self._make_fatal(batch.error)

    def _unknown_producer(
        self, state: PartitionState, batch: ProducerBatch, answer: PartitionAnswer | None, now_ms: int
    ) -> bool:
        """The broker has forgotten the producer (IDEM-11); whether the batch may be sent again.

        Not where an earlier attempt may have written it: nobody knows any more. A broker that does not say where its
        log begins cannot tell, either, and is asked again; until the batch's time is over, also with
        fail_only_unwritten, since one of an old version never says.
        """
        if answer is None or answer.log_start_offset == NO_OFFSET:
            late = now_ms - batch.created_ms >= self._config.delivery_timeout_ms
            return not (late and batch.open_outcome and self._config.fail_only_unwritten)
        if batch.open_outcome:
            return False
        state.sequences.forgotten(batch)
        return True

    def _fail(
        self,
        state: PartitionState,
        batch: ProducerBatch,
        code: int,
        answer: PartitionAnswer | None,
        cause: KafkaError | None,
        now_ms: int,
    ) -> None:
        message = self._message(batch, code, answer)
        make = partial(delivery_error, batch.partition, batch.written, code)
        errors = _record_errors(batch, code, answer, message)
        if errors and len(errors) < batch.count:
            error: DeliveryError = DeliveryError(
                batch.partition,
                batch.written,
                f"its batch was refused for {len(errors)} other records of it: it may be sent again without them",
                ErrorCode.of(code),
            )
        else:
            error = make(message, cause)
        self._fates.fail(state, batch, error, now_ms, errors)

    def _message(self, batch: ProducerBatch, code: int, answer: PartitionAnswer | None) -> str | None:
        said = answer.error_message if answer is not None else None
        if code == ErrorCode.MESSAGE_TOO_LARGE:
            return (
                f"a batch of {batch.count} records, {batch.size} bytes, is larger than the topic's max.message.bytes: "
                "raise that limit, or send smaller records"
            )
        return said


def _record_errors(
    batch: ProducerBatch, code: int, answer: PartitionAnswer | None, message: str | None
) -> dict[int, DeliveryError]:
    """The errors of single records (KIP-467, SENDER-22): one alone has the code's own class."""
    named = [] if answer is None else [it for it in answer.record_errors if 0 <= it.batch_index < batch.count]
    found = {}
    for item in named:
        said = item.batch_index_error_message or message
        error = delivery_error(batch.partition, batch.written, code, said)
        if len(named) > 1:
            error = InvalidRecordError(batch.partition, batch.written, error.why, error.code)
        found[item.batch_index] = error
    return found
