"""A producer's parts, put together: what both faces stand on.

Layer: producer. It knows no threads but for the lock that it is given: how to wait is the face's.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from copy import copy
from typing import Any, Final

from kproto.client import Cluster, ConnectionObserver, KafkaTimeoutError, NetworkClient
from kproto.client.driver import Driver, monotonic_ms
from kproto.client.observing import GuardedObserver
from kproto.client.tokens import TokenSource
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.config import ProducerConfig
from kproto.producer.errors import ProducerClosedError, refused
from kproto.producer.events import BatchObserver
from kproto.producer.load import LoadReport
from kproto.producer.metrics import MetricName, ProducerMetrics
from kproto.producer.observing import GuardedBatchObserver
from kproto.producer.partitioner import partition_choices, resolve_partitioner
from kproto.producer.producer_id import NO_IDENTITY
from kproto.producer.queues import Fields, TopicQueues
from kproto.producer.record_path import RecordPath
from kproto.producer.sender import Sender
from kproto.wire import ErrorCode, KafkaError
from kproto.wire.records.crc import crc32c

__all__ = ["Engine"]

logger = logging.getLogger("kproto.producer")
LOGGED_MAX: Final = 64  # warnings that are not logged again
HOPELESS_TOPIC: Final = frozenset({ErrorCode.INVALID_TOPIC_EXCEPTION, ErrorCode.TOPIC_AUTHORIZATION_FAILED})


class Engine:
    """See the module. lock: guards the accumulator; context: what the futures share; compress: see Sender.

    observer, batch_observer: hear of frames and of batches. Raises ConfigError for certificates that cannot be read.
    """

    def __init__(
        self,
        config: ProducerConfig,
        *,
        lock: AbstractContextManager[Any],
        compress: Callable[[ProducerBatch], bool] | None = None,
        observer: ConnectionObserver | None = None,
        batch_observer: BatchObserver | None = None,
    ) -> None:
        crc32c(b"")  # its package is imported with the first use, and not by the child of a fork in the midst of that
        if batch_observer is not None:
            batch_observer = GuardedBatchObserver(batch_observer)
        self.config = config
        self.observes_batches = batch_observer is not None
        self.accumulator = RecordAccumulator(config, lock=lock, rng=_chance(), observer=batch_observer)
        self.metrics = _metrics_of(config)
        self._observer = None if observer is None else GuardedObserver(observer)
        self.network = _network_of(config, self._observer)
        self.sender = Sender(
            config,
            self.accumulator,
            self.network,
            self.metrics,
            rng=_chance(),
            compress=compress,
            observer=batch_observer,
        )
        self.path = RecordPath(config, self.accumulator.topics)
        self.choose = resolve_partitioner(config.partitioner, ignore_keys=config.partitioner_ignore_keys)
        self._routable = config.partitioner == "default" and not config.partitioner_ignore_keys
        self._load = LoadReport(config, self.accumulator, self.sender.lanes)
        self._cluster = Cluster()
        self._known: frozenset[str] = frozenset()  # topics of it that have partitions
        self._rack = config.client_rack if config.partitioner_rack_aware else ""
        self._logged: set[Any] = set()
        for sentence in config.adjustments:
            logger.warning("%s", sentence)

    def driver(
        self, loop: Any, collect: Callable[[], Any], deliver: Callable[[Any], None], shield: Callable[[], Any] | None
    ) -> Driver:
        """What drives the sender. Made in the loop's thread."""
        config = self.config
        provider = config.sasl_oauth_token_provider
        options = {} if shield is None else {"shield": shield}
        return Driver(
            self.sender,
            loop=loop,
            collect=collect,
            deliver=deliver,
            send_buffer_bytes=config.send_buffer_bytes,
            receive_buffer_bytes=config.receive_buffer_bytes,
            tokens=None if provider is None else TokenSource(provider, monotonic_ms),
            observer=self._observer,
            **options,
        )

    # At the end of each pass, inside the driver's guard

    def take_ended(self) -> list[ProducerBatch]:
        """The batches that ended in this pass; what the senders see of the cluster is brought up to date."""
        if self.network.cluster is not self._cluster:
            self._refresh(self.network.cluster)
        self._load.update(self.sender.lanes.now_ms)
        self._log_news()
        return self.sender.take_ended()

    def _refresh(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known = frozenset(name for name, topic in cluster.topics.items() if topic.partitions)
        with self.accumulator.lock:
            for topic in self.accumulator.topics.values():
                if topic.name not in self._known:
                    continue  # deleted: a send that is under way needs choices all the same
                before, topic.choices = topic.choices, partition_choices(cluster, topic.name, self._rack)
                if before.partitions != topic.choices.partitions:
                    topic.routes.clear()
                if topic.sticky.current not in topic.choices.partitions:
                    topic.sticky.forget()
                    topic.routes.pop(None, None)
            self._open_routes()

    def _open_routes(self) -> None:
        """Let `fast_send` send to the topics that are known, and to no others. Under the lock."""
        accumulator = self.accumulator
        accumulator.routes.clear()  # or what was deleted would be sent to for ever
        if self._routable and not accumulator.closed:
            found = {name: topic.routes for name, topic in accumulator.topics.items() if name in self._known}
            accumulator.routes.update(found)

    def _log_news(self) -> None:
        crash = self.sender.crash
        if crash is not None and crash not in self._logged:
            self._logged.add(crash)
            logger.error("the sender has failed: this is a bug of kproto, please report it", exc_info=crash)
        for warning in self.network.metadata.warnings:
            if warning not in self._logged and len(self._logged) < LOGGED_MAX:
                self._logged.add(warning)
                logger.warning("%s", warning)

    # What senders ask, in any thread

    def known_topic(self, name: str, partition: int | None) -> TopicQueues | None:
        """The topic's queues, if the cluster has it, and the partition where one is named."""
        if name not in self._known:
            return None
        found = self.accumulator.topics.get(name)
        if found is None:
            with self.accumulator.lock:
                found = self.accumulator.topic(name)
                found.choices = partition_choices(self._cluster, name, self._rack)
                self._open_routes()
        count = len(found.choices.partitions)
        return found if partition is None or partition < count else None

    def prepare(
        self,
        queues: TopicQueues,
        value: Any,
        key: Any,
        partition: int | None,
        timestamp_ms: int | None,
        headers: Iterable[tuple[str, bytes | None]] | None,
    ) -> tuple[int, Fields]:
        """Serialize, choose the partition, check the sizes: what to append, and where (SEND-3)."""
        topic = queues.name
        key, value = self.path.serialize(topic, key, value)
        chosen = self.choose(topic, key, queues.choices) if partition is None else partition
        pairs = self.path.headers(headers)
        self.path.check_size(topic, chosen, key, value, pairs)
        now = time.time_ns() // 1_000_000 if timestamp_ms is None else timestamp_ms
        return chosen, (now, key, value, pairs)

    def ask_for_topic(self, name: str, now_ms: int) -> int:
        """Ask for its metadata, inside the guard; gives the version of the metadata that has to be passed."""
        self.network.metadata.add_topic(name, now_ms)
        return self.network.metadata.request_update_for_topic(name)

    def check_topic(self, name: str) -> None:
        """Raises what no waiting cures: the topic is invalid, or not ours to write to (META-WAIT-1, META-WAIT-4)."""
        code = self.network.cluster.topic_errors.get(name)
        if code in HOPELESS_TOPIC:
            raise refused(name, code)

    def topic_timeout(self, name: str, partition: int | None, waited_ms: int) -> KafkaTimeoutError:
        """The error for metadata that did not come in time, with what is known of the reason."""
        count = self.network.cluster.partition_count(name)
        what = f"metadata of topic {name}"
        if count is not None and partition is not None:
            what = f"partition {partition} of topic {name}, which has {count}"
        network = self.network
        cause = network.metadata.topic_error(name) or network.connection_error() or network.metadata.last_error
        return KafkaTimeoutError(what, waited_ms, cause)

    @property
    def ready(self) -> bool:
        """Whether the cluster is known, and a producer id where one is needed."""
        identified = not self.config.enable_idempotence or self.sender.producer_id.identity != NO_IDENTITY
        return self.network.metadata.update_version > 0 and identified

    def check_open(self) -> None:
        """Raises ProducerFatalError, ProducerClosedError where nothing is accepted any more."""
        error: KafkaError | None = self.sender.error
        if error is not None:
            raise copy(error)  # or it would gather the tracebacks of all who send in vain
        if self.accumulator.closed:
            raise ProducerClosedError

    def gauges(self, now_ms: int) -> dict[str, float]:
        """What is counted nowhere else, for `metrics`."""
        memory, states = self.accumulator.memory, [*self.sender.lanes.states.values()]
        return {
            "requests-in-flight": float(
                sum(len(each.connection.in_flight) for each in self.network.connections.open if each.connection)
            ),
            "metadata-age": self.network.metadata.age_ms(now_ms) / 1000,
            "waiting-threads": float(memory.waiting),
            "buffer-total-bytes": float(memory.capacity),
            "buffer-available-bytes": float(memory.available),
            "connection-count": float(len(self.network.connections.open)),
            "batches-queued": float(sum(len(state.queue.batches) for state in states)),
        }

    def snapshot(self) -> dict[MetricName, float]:
        """The metrics now."""
        now_ms = monotonic_ms()
        return self.metrics.snapshot(now_ms, self.gauges(now_ms))


def _chance() -> random.Random:
    return random.Random(secrets.randbits(64))


def _metrics_of(config: ProducerConfig) -> ProducerMetrics:
    return ProducerMetrics(
        config.client_id,
        window_ms=config.metrics_sample_window_ms,
        samples=config.metrics_num_samples,
        now_ms=monotonic_ms(),
    )


def _network_of(config: ProducerConfig, observer: GuardedObserver | None) -> NetworkClient:
    return NetworkClient(
        config,
        rng=_chance(),
        make_nonce=lambda: secrets.token_urlsafe(24),
        now_ms=monotonic_ms(),
        observer=observer,
    )
