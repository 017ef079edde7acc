"""When to ask for metadata, what for, and whom to believe.

Layer: client. `metadata_state` says when an update is wanted, `metadata_pace` how soon to ask again, `metadata_merge`
what an answer changes.
Source: KIP-526 (partial updates), KIP-580 (backoff), KIP-899 and KIP-1102 (rebootstrap), KIP-951 (leaders named in a
Produce answer); org.apache.kafka.clients.Metadata, org.apache.kafka.clients.producer.internals.ProducerMetadata.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple

from kproto.client.backoff import ExponentialBackoff
from kproto.client.cluster import NO_CLUSTER, Cluster, Node, Topic, TopicPartition, check_topic
from kproto.client.errors import BrokerError
from kproto.client.metadata_merge import (
    ClusterIdChanged,
    is_another_cluster,
    merge,
    merge_leaders,
    merge_partitions,
    reachable_nodes,
)
from kproto.client.metadata_pace import RefreshPace
from kproto.client.metadata_state import IN_FLIGHT, TRANSITIONS, WANTED, MetadataEvent, MetadataState
from kproto.client.transitions import step
from kproto.wire import ErrorCode, KafkaError, MetadataRequest, MetadataResponse

__all__ = ["NEVER_MS", "TRANSITIONS", "ClusterIdChanged", "Metadata", "MetadataState", "RequestGeneration"]

NEVER_MS: Final = 2**63 - 1
WARNINGS_MAX: Final = 8
CREATION_OPTIONAL_SINCE: Final = 4  # version of Metadata; the ones before always create (KIP-204)


class RequestGeneration(NamedTuple):
    """Which request an answer belongs to. partial: it asked for new topics alone."""

    number: int
    partial: bool


class Metadata:
    """What is known of the cluster, and when to ask again. One request is in flight at most.

    refresh_backoff: between requests, after failures and while answers bring nothing new. max_age_ms: after a full
    answer, until it is renewed unasked. max_idle_ms: how long a topic stays of interest after the last `add_topic`.
    rebootstrap_trigger_ms: without any answer, since the first attempt, until `time_to_rebootstrap_ms` is 0.
    all_topics: may be set at any time, then `request_update`; all topics are asked for and kept, not only those of
    interest. allow_auto_topic_creation: whether asking may create a topic, where the broker allows it; below
    version 4 of Metadata it always may.

    now_ms is monotonic. Not thread-safe, but for reading `cluster` and `update_version`: the driver holds its guard.
    """

    def __init__(
        self,
        *,
        refresh_backoff: ExponentialBackoff,
        max_age_ms: int,
        max_idle_ms: int,
        rng: Random,
        rebootstrap_trigger_ms: int,
        all_topics: bool = False,
        allow_auto_topic_creation: bool = True,
    ) -> None:
        self.max_age_ms = max_age_ms
        self.max_idle_ms = max_idle_ms
        self.rebootstrap_trigger_ms = rebootstrap_trigger_ms
        self.all_topics = all_topics
        self.allow_auto_topic_creation = allow_auto_topic_creation
        self.cluster: Cluster = NO_CLUSTER
        self.state = MetadataState.FULL_WANTED
        self.events = 0
        """How often something has happened to it: as long as this stays, only time decides what is due."""
        self.update_version = 0
        """How many answers were taken: whoever waits for news waits until this passes what `request_update` gave."""
        self.last_error: KafkaError | None = None
        """Why the last attempt failed; None after an answer."""
        self._warnings: deque[ClusterIdChanged] = deque(maxlen=WARNINGS_MAX)
        self._pace = RefreshPace(refresh_backoff, rng)
        self._seen: dict[str, Topic] = {}
        self._idle_at_ms: dict[str, int] = {}  # the topics of interest, and when each no longer is
        self._new_topics: dict[str, None] = {}  # those that no answer has spoken of yet, in order
        self._asked: frozenset[str] = frozenset()  # what the request in flight names
        self._generation = 0
        self._expires_at_ms: int | None = None  # None before the first full answer
        self._attempting_since_ms: int | None = None
        self._rebootstrap_required = False
        self._fatal_error: KafkaError | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of interest, in the order in which they came."""
        return tuple(self._idle_at_ms)

    @property
    def warnings(self) -> tuple[ClusterIdChanged, ...]:
        """The last 8 things that should not be, for the user's log."""
        return tuple(self._warnings)

    def age_ms(self, now_ms: int) -> int:
        """Since the last full answer, since 0 before it."""
        return now_ms - (0 if self._expires_at_ms is None else self._expires_at_ms - self.max_age_ms)

    def add_topic(self, topic: str, now_ms: int) -> None:
        """The topic is of interest for max_idle_ms, a new one asked for at once. EncodeError if no request holds it."""
        if topic not in self._idle_at_ms:
            check_topic(topic)
            self._new_topics[topic] = None
            self._pace.release()
            self._on(MetadataEvent.NEED_PARTIAL)
        self._idle_at_ms[topic] = now_ms + self.max_idle_ms

    def request_update(self, reset: bool = False) -> int:
        """Ask for all topics of interest again; gives the update_version that has to be passed.

        An answer to a request that is out already does not settle it: another one follows. However many ask, one
        request goes out. reset: there is a reason to expect news, so that earlier answers without do not delay this.
        """
        self._on(MetadataEvent.NEED_FULL)
        if reset:
            self._pace.forget_equivalents()
        return self.update_version

    def request_update_for_topic(self, topic: str) -> int:
        """Like `request_update`; but of a topic that no answer has spoken of yet, only the new topics are asked for."""
        if topic not in self._new_topics:
            return self.request_update()
        if topic not in self._asked:
            self._on(MetadataEvent.NEED_PARTIAL)
        return self.update_version

    def time_to_next_update_ms(self, now_ms: int) -> int:
        """0 where a request should go out now; NEVER_MS while one is in flight."""
        if self.state in IN_FLIGHT:
            return NEVER_MS
        expires_at_ms = self._expires_at_ms
        due_at_ms = now_ms if self.state in WANTED or expires_at_ms is None else expires_at_ms
        return max(0, due_at_ms - now_ms, self._pace.allowed_at_ms(self._is_expired(now_ms)) - now_ms)

    def begin_request(
        self, now_ms: int, version: int = MetadataRequest.versions[-1]
    ) -> tuple[MetadataRequest, RequestGeneration]:
        """What to send, in this version, and what to give back with the answer.

        A partial request names the new topics alone; it is made where nothing else is wanted and all is fresh enough.
        Raises IllegalTransition where a request is in flight, or none is wanted or due.
        """
        expired = self._is_expired(now_ms)
        if expired:
            self._pace.forget_equivalents()
        if expired or (self.state in WANTED and not self._new_topics):  # an answer may name a topic unasked
            self._on(MetadataEvent.NEED_FULL)
        partial = self.state is MetadataState.PARTIAL_WANTED
        self._on(MetadataEvent.SEND)
        self._start_attempt(now_ms)
        self._generation += 1
        names = tuple(self._new_topics if partial else self._idle_at_ms)
        self._asked = frozenset(names)
        topics = [MetadataRequest.MetadataRequestTopic(name=name) for name in names]
        everything = self.all_topics and not partial
        request = MetadataRequest(
            topics=(None if version else ()) if everything else topics,
            allow_auto_topic_creation=self.allow_auto_topic_creation or version < CREATION_OPTIONAL_SINCE,
        )
        return request, RequestGeneration(self._generation, partial)

    def handle_response(
        self, generation: RequestGeneration, response: MetadataResponse, version: int, now_ms: int
    ) -> None:
        """Take an answer; version: in which it was decoded.

        An answer with an error for the whole of it, or without any broker that can be reached, is a failed update. An
        answer to a request that `failed_update` gave up is ignored.
        """
        if self.state not in IN_FLIGHT or generation.number != self._generation:
            return
        error = _whole_error(response)
        if error is not None:
            self._rebootstrap_required |= response.error_code == ErrorCode.REBOOTSTRAP_REQUIRED
            self.failed_update(now_ms, error)
            return
        self._on(MetadataEvent.ANSWER)
        self._attempting_since_ms = self._fatal_error = self.last_error = None
        self._rebootstrap_required = False
        if not generation.partial:
            self._expires_at_ms = now_ms + self.max_age_ms
        self._take(response, version, generation.partial, now_ms)
        self.update_version += 1

    def failed_update(self, now_ms: int, error: KafkaError | None = None) -> None:
        """The request in flight failed, or none could be sent though one was due. error: for those who wait."""
        self._on(MetadataEvent.FAIL)
        self._asked = frozenset()
        self._start_attempt(now_ms)
        self._pace.failed(now_ms)
        self.last_error = error

    def update_leadership(
        self, leaders: Mapping[TopicPartition, tuple[int, int]], nodes: Iterable[Node]
    ) -> set[TopicPartition]:
        """Take leaders that a Produce answer named: partition -> leader id and epoch. Gives those that changed.

        Only what is newer than what is known is taken, for partitions and nodes that are known. Not a refresh: neither
        update_version nor what is wanted changes.
        """
        wanted = {at: leader for at, leader in leaders.items() if self._retains(at.topic)}
        self.cluster, changed = merge_leaders(self.cluster, wanted, nodes)
        self._seen = merge_partitions(self._seen, changed)
        return {TopicPartition(topic, number) for topic, numbers in changed.items() for number in numbers}

    def topic_error(self, topic: str) -> KafkaError | None:
        """Why the topic cannot be written to now, as far as the broker said: unknown, not authorized, invalid ..."""
        code = self.cluster.topic_errors.get(topic)
        if code is not None:
            return BrokerError(code, f"topic {topic}")
        if topic in self.cluster.topics and self.cluster.partition_count(topic) is None:
            return KafkaError(f"topic {topic}: the broker lists it without partitions; it may still be creating them")
        return None

    def fatal_error(self, error: KafkaError) -> None:
        """Keep what no waiting can cure, such as refused credentials, for one waiter; an answer makes it void."""
        self._fatal_error = error

    def take_fatal_error(self) -> KafkaError | None:
        """The error that `fatal_error` keeps, once: whoever tries again later gets another attempt."""
        error, self._fatal_error = self._fatal_error, None
        return error

    def time_to_rebootstrap_ms(self, now_ms: int) -> int:
        """0 where `rebootstrap` is needed: no answer for too long, or a broker asks for it. NEVER_MS before an attempt.

        That no node can be reached is for the network to see.
        """
        if self._rebootstrap_required:
            return 0
        if self._attempting_since_ms is None:
            return NEVER_MS
        return max(0, self._attempting_since_ms + self.rebootstrap_trigger_ms - now_ms)

    def rebootstrap(self, nodes: Iterable[Node], now_ms: int) -> None:
        """Begin, or begin again, from these nodes (with ids below 0); an update is wanted.

        Topics stay known, without leaders until a broker has answered. Backoff goes on, so that a broker that asks for
        this each time is not asked in a loop.
        """
        self.cluster = replace(self.cluster, nodes={node.node_id: node for node in nodes})
        self._attempting_since_ms = now_ms
        self._rebootstrap_required = False
        self._on(MetadataEvent.NEED_FULL)

    def _on(self, event: MetadataEvent) -> None:
        self.events += 1
        self.state = step(TRANSITIONS, self.state, event)

    def _is_expired(self, now_ms: int) -> bool:
        return self._expires_at_ms is None or self._expires_at_ms <= now_ms

    def _start_attempt(self, now_ms: int) -> None:
        if self._attempting_since_ms is None:
            self._attempting_since_ms = now_ms

    def _retains(self, topic: str) -> bool:
        return self.all_topics or topic in self._idle_at_ms

    def _take(self, response: MetadataResponse, version: int, partial: bool, now_ms: int) -> None:
        for topic, idle_at_ms in tuple(self._idle_at_ms.items()):
            if idle_at_ms <= now_ms and topic not in self._new_topics:
                del self._idle_at_ms[topic]
        before = self.cluster
        merged = merge(before, self._seen, response, version, partial=partial, retains=self._retains)
        if is_another_cluster(before, response):
            self._warnings.append(ClusterIdChanged(str(before.cluster_id), str(response.cluster_id)))
        self.cluster, self._seen = merged.cluster, merged.seen
        for topic in merged.answered:
            self._new_topics.pop(topic, None)
        self._pace.answered(merged.progressed, now_ms)
        if not self._asked.issuperset(self._new_topics):
            self._pace.release()  # a topic came after the request went: it must not wait for a backoff
        self._asked = frozenset()
        if merged.update_wanted:
            self._on(MetadataEvent.NEED_FULL)

    def __repr__(self) -> str:
        return f"<Metadata {self.state.name}, version {self.update_version}: {self.cluster!r}>"


def _whole_error(response: MetadataResponse) -> KafkaError | None:
    """Why the answer as a whole is of no use."""
    if response.error_code != ErrorCode.NONE:
        return BrokerError(ErrorCode.of(response.error_code), "metadata")
    if not reachable_nodes(Node(it.node_id, it.host, it.port) for it in response.brokers):
        return KafkaError("metadata: the answer names no broker that can be reached; check advertised.listeners there")
    return None
