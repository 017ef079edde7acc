"""Every setting of the producer: its unit, bounds and default, checked once, and what conflicts.

Layer: producer. Knows names and values; opens nothing. Names and defaults are those of Java 4 in snake_case; "ours" is
said where Java has none. Those of the connection stand in `kproto.client.config`.
Source: org.apache.kafka.clients.producer.ProducerConfig, KafkaProducer#configureDeliveryTimeout; KIP-91, KIP-679,
KIP-794, KIP-1123.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kproto.client import ClientConfig, ConfigError
from kproto.client.settings import setting
from kproto.producer.partitioner import Partitioner, resolve_partitioner
from kproto.producer.property_names import advice_for
from kproto.wire import EncodeError
from kproto.wire.records.compression import check_level, compress
from kproto.wire.records.model import Compression

__all__ = ["ProducerConfig", "Serializer"]

INT32_MAX: Final = 2**31 - 1
DELIVERY_TIMEOUT_MS: Final = 120_000
IDEMPOTENT_IN_FLIGHT_MAX: Final = 5  # batches that a broker remembers of a producer and partition
ACKS: Final[dict[object, int]] = {"all": -1, -1: -1, 0: 0, 1: 1}
CODECS: Final = tuple(str(codec) for codec in Compression)
FOR_DEFAULT_PARTITIONER: Final = ("partitioner_availability_timeout_ms", "partitioner_rack_aware")
HOOKS: Final = ("on_send", "on_acknowledgement")

Serializer = Callable[[str, Any], bytes | None]
"""Makes the bytes of a topic's key or value; None stays none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProducerConfig(ClientConfig):
    """The settings of a producer. Made by `of`; raises ConfigError for what cannot be. Immutable, so thread-safe.

    `enable_idempotence` and `delivery_timeout_ms` have a default that gives way to other settings: after construction
    they hold what is in force, and `adjustments` tells what gave way. `dataclasses.replace` takes both as given.
    """

    acks: str | int = setting(
        "all",
        'who has a record before it is acknowledged: "all" (or -1) in-sync replicas, 1 the leader, 0 nobody',
        kind=object,
    )
    enable_idempotence: bool = setting(
        None,
        "whether no retry can double or reorder; where not given, True unless acks or retries forbid it",
        kind=bool,
    )
    retries: int = setting(
        INT32_MAX, "times that a batch is sent again; delivery_timeout_ms ends it first", minimum=0, maximum=INT32_MAX
    )
    max_in_flight_requests_per_connection: int = setting(
        5, "requests of a connection that may be unanswered; with idempotence at most 5", minimum=1, maximum=INT32_MAX
    )
    delivery_timeout_ms: int = setting(
        None,
        "ms from send to the last attempt's end; where not given, at least linger_ms + request_timeout_ms",
        kind=int,
        minimum=0,
        maximum=INT32_MAX,
    )
    request_timeout_ms: int = setting(
        30_000,
        "ms to wait for an answer, then the connection is closed; the broker waits as long for its replicas",
        minimum=1,
        maximum=INT32_MAX,
    )
    linger_ms: int = setting(5, "ms that a batch waits for more records", minimum=0)
    batch_size: int = setting(
        16_384, "bytes of a batch before compression; 0 for one record each", minimum=0, maximum=INT32_MAX
    )
    batch_growth_max_bytes: int = setting(
        0,
        "bytes that a batch may grow to while it waits to be sent; 0 for batch_size (ours)",
        minimum=0,
        maximum=INT32_MAX,
    )
    buffer_memory: int = setting(33_554_432, "bytes of all records that are not yet delivered", minimum=1)
    max_block_ms: int = setting(60_000, "ms that a send may wait for metadata and room together", minimum=0)
    max_request_size: int = setting(
        1_048_576, "bytes of a request, and of a record before compression", minimum=1, maximum=INT32_MAX
    )
    compression_type: str = setting("none", "the codec of batches", choices=CODECS)
    compression_level: int | None = setting(
        None, "the codec's level, its default where None: gzip -1 or 1 to 9, lz4 1 to 17, zstd -131072 to 22", kind=int
    )
    partitioner: str | Partitioner = setting(
        "default", '"default", "round_robin", or a callable of topic, key and partitions', kind=object
    )
    partitioner_ignore_keys: bool = setting(False, "whether records with a key are spread as those without")
    partitioner_adaptive_partitioning_enable: bool = setting(
        True, "whether records without a key go rather to partitions with short queues"
    )
    partitioner_availability_timeout_ms: int = setting(
        0, "ms without progress of a broker after which records without a key avoid it; 0 never", minimum=0
    )
    partitioner_rack_aware: bool = setting(False, "whether records without a key prefer leaders in client_rack")
    client_rack: str = setting("", "the rack of this client, as brokers name theirs in broker.rack")
    key_serializer: Serializer | None = setting(None, "a callable of topic and key that returns bytes or None")
    value_serializer: Serializer | None = setting(None, "a callable of topic and value that returns bytes or None")
    interceptors: Sequence[Any] = setting(
        (), "objects with on_send(record) and on_acknowledgement(metadata, error), called in their order", kind=object
    )
    fail_only_unwritten: bool = setting(
        False, "whether a record that may be written outlives delivery_timeout_ms until that is known (ours)"
    )
    metrics_sample_window_ms: int = setting(30_000, "ms that one sample of a metric covers", minimum=1)
    metrics_num_samples: int = setting(2, "samples that a metric is computed from", minimum=1, maximum=INT32_MAX)
    allow_auto_create_topics: bool = setting(
        True, "whether a send to a topic that does not exist may create it, where the broker allows that"
    )

    adjustments: tuple[str, ...] = field(init=False, default=(), compare=False)
    """Sentences for a log: each a default that gave way, and to what."""

    @classmethod
    def advice(cls, name: str) -> str | None:
        """Of a setting of Java's or librdkafka's: what it is called here, or why it is not here."""
        return advice_for(name)

    def __post_init__(self) -> None:
        ClientConfig.__post_init__(self)  # slots make a new class, which super() without arguments does not know
        self._check_acks()
        self._check_compression()
        self._check_partitioner()
        self._check_callables()
        if 0 < self.batch_growth_max_bytes < self.batch_size:
            raise ConfigError(
                f"batch_growth_max_bytes={self.batch_growth_max_bytes} is less than batch_size={self.batch_size}: "
                "a batch cannot grow to less than it may hold; set it to 0 or to batch_size and more"
            )
        notes = [*self._settle_idempotence(), *self._settle_delivery_timeout()]
        object.__setattr__(self, "adjustments", tuple(notes))

    @property
    def required_acks(self) -> int:
        """`acks` as a Produce request has it: -1 (all), 0 or 1."""
        return ACKS[self.acks]

    def _check_acks(self) -> None:
        if type(self.acks) not in (str, int) or self.acks not in ACKS:
            raise ConfigError(f'acks: "all", -1, 0 or 1, not {self.acks!r}')

    def _settle_idempotence(self) -> list[str]:
        if self.enable_idempotence is False:
            return []
        in_flight = self.max_in_flight_requests_per_connection
        if in_flight > IDEMPOTENT_IN_FLIGHT_MAX:  # also where acks or retries rule it out: so does Java
            raise ConfigError(
                f"enable_idempotence and max_in_flight_requests_per_connection={in_flight}: brokers remember "
                f"{IDEMPOTENT_IN_FLIGHT_MAX} batches; set enable_idempotence=False, or the other to 5 or less"
            )
        conflicts = []
        if self.required_acks != ACKS["all"]:
            conflicts.append((f"acks={self.acks}", 'acks="all"'))
        if self.retries == 0:
            conflicts.append(("retries=0", "retries to 1 or more"))
        if self.enable_idempotence and conflicts:
            given, needed = conflicts[0]
            raise ConfigError(f"enable_idempotence and {given}: set enable_idempotence=False, or {needed}")
        object.__setattr__(self, "enable_idempotence", not conflicts)
        return [
            f"enable_idempotence is off, since {given} rules it out: a retry may double or reorder records. "
            f"Set {needed} to have it, or enable_idempotence=False to say that it is not wanted"
            for given, needed in conflicts
        ]

    def _settle_delivery_timeout(self) -> list[str]:
        least = min(self.linger_ms + self.request_timeout_ms, INT32_MAX)
        parts = f"linger_ms={self.linger_ms} + request_timeout_ms={self.request_timeout_ms}"
        given: Any = self.delivery_timeout_ms  # None until here
        if given is None:
            object.__setattr__(self, "delivery_timeout_ms", max(DELIVERY_TIMEOUT_MS, least))
            if least > DELIVERY_TIMEOUT_MS:
                return [f"delivery_timeout_ms is {least}, since its default of 120000 is less than {parts}"]
        elif given < least:
            raise ConfigError(
                f"delivery_timeout_ms={given} is less than {parts}: no attempt could end in time; "
                "raise the first, or lower the others"
            )
        return []

    def _check_compression(self) -> None:
        codec = Compression.of(self.compression_type)
        try:
            check_level(codec, self.compression_level)
        except EncodeError as error:
            level = f"compression_level={self.compression_level}"
            raise ConfigError(f"{level} and compression_type={codec}: {error.why}") from None
        try:
            if codec is Compression.SNAPPY:  # its package is optional: missed here rather than at each send
                compress(codec, b"")
        except EncodeError as error:
            raise ConfigError(f"compression_type={codec}: {error.why}") from None

    def _check_partitioner(self) -> None:
        resolve_partitioner(self.partitioner, ignore_keys=self.partitioner_ignore_keys)
        for name in FOR_DEFAULT_PARTITIONER:
            if getattr(self, name) and self.partitioner != "default":
                raise ConfigError(f'{name} and partitioner: only partitioner="default" heeds it, leave one out')
        if self.partitioner_rack_aware and not self.client_rack:
            raise ConfigError("partitioner_rack_aware without client_rack: set the rack that this client is in")

    def _check_callables(self) -> None:
        for name in ("key_serializer", "value_serializer"):
            value = getattr(self, name)
            if value is not None and not callable(value):
                raise ConfigError(f"{name}: a callable of topic and {name.partition('_')[0]}, or None, not {value!r}")
        if not isinstance(self.interceptors, (list, tuple)):
            raise ConfigError(f"interceptors: a list of objects, not {self.interceptors!r}")
        for interceptor in self.interceptors:
            for hook in HOOKS:
                if not callable(getattr(interceptor, hook, None)):
                    raise ConfigError(f"interceptors: each has {' and '.join(HOOKS)}; {interceptor!r} lacks {hook}")
        object.__setattr__(self, "interceptors", tuple(self.interceptors))
