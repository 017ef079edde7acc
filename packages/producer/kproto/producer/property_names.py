"""How Java and librdkafka spell each setting of the producer, and what becomes of those that are not here.

Layer: producer. Data only: `properties.py` reads it, and tests hold it against both clients.
Source: org.apache.kafka.clients.producer.ProducerConfig of Kafka 4.4; rd_kafka_conf_properties_show of librdkafka 2.16.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = [
    "COMPOSED",
    "JAAS",
    "KNOWN",
    "LEVELS",
    "REFUSALS",
    "SETTING_OF",
    "SPELLINGS",
    "Refusal",
    "Spelling",
    "advice_for",
    "key_of",
    "refusal_of",
]


class Spelling(NamedTuple):
    """A setting's name in Java's client ("" where it has none), and its names in librdkafka."""

    java: str
    librdkafka: tuple[str, ...]


class Refusal(NamedTuple):
    """Why properties are not here, as a phrase with what to do instead.

    harmless: values, in lower case, that ask for nothing but what is done anyway; they are left out in silence.
    """

    names: tuple[str, ...]
    why: str
    harmless: tuple[str, ...] = ()


def key_of(name: str) -> str:
    """A property's name as a setting would have it."""
    return name.replace(".", "_")


def _spelling(row: str) -> tuple[str, Spelling]:
    java, _, librdkafka = row.partition("|")
    setting, *own = java.split()
    java_name = own[0] if own else setting
    names = [setting if name == "same" else name for name in librdkafka.split()]
    return key_of(setting), Spelling("" if java_name == "-" else java_name, tuple(names))


# A setting, Java's name where it is another (- for none) | librdkafka's names, "same" for the setting's
ROWS: Final = """\
acks | same request.required.acks
allow.auto.create.topics - | same
batch.growth.max.bytes - |
batch.size | same
bootstrap.servers | same metadata.broker.list
buffer.memory | queue.buffering.max.kbytes
client.id | same
client.rack | same
compression.level - | same
compression.type | same compression.codec
connections.max.idle.ms | same
delivery.timeout.ms | same message.timeout.ms
enable.idempotence | same
fail.only.unwritten - |
interceptors interceptor.classes |
key.serializer |
linger.ms | same queue.buffering.max.ms
max.block.ms |
max.in.flight.requests.per.connection | same max.in.flight
max.request.size | message.max.bytes
metadata.max.age.ms | same topic.metadata.refresh.interval.ms
metadata.max.idle.ms |
metadata.recovery.rebootstrap.trigger.ms | same
metadata.recovery.strategy | same
metrics.num.samples |
metrics.sample.window.ms |
partitioner partitioner.class | same
partitioner.adaptive.partitioning.enable |
partitioner.availability.timeout.ms |
partitioner.ignore.keys |
partitioner.rack.aware |
receive.buffer.bytes | socket.receive.buffer.bytes
receive.message.max.bytes - | same
reconnect.backoff.max.ms | same
reconnect.backoff.ms | same
request.timeout.ms | same socket.timeout.ms
retries | same message.send.max.retries
retry.backoff.max.ms | same
retry.backoff.ms | same
sasl.mechanism | same sasl.mechanisms
sasl.oauth.token.provider - |
sasl.password - | same
sasl.username - | same
security.protocol | same
send.buffer.bytes | socket.send.buffer.bytes
socket.connection.setup.timeout.max.ms |
socket.connection.setup.timeout.ms | same
ssl.cafile ssl.truststore.location | ssl.ca.location
ssl.certfile ssl.keystore.location | ssl.certificate.location
ssl.check.hostname ssl.endpoint.identification.algorithm | ssl.endpoint.identification.algorithm
ssl.context - |
ssl.keyfile - | ssl.key.location
ssl.password ssl.key.password | ssl.key.password
value.serializer |
"""
SPELLINGS: Final[dict[str, Spelling]] = dict(map(_spelling, ROWS.splitlines()))
"""By setting: each has a row."""


def _refusal(names: str, why: str, *harmless: str) -> Refusal:
    return Refusal(tuple(names.split()), why, harmless)


CONTEXT: Final = "make an ssl.SSLContext that does it, and pass it as ssl_context"
# A name that ends in a dot is that of a family. Where a name is in several, the first row counts.
REFUSALS: Final[tuple[Refusal, ...]] = (
    _refusal(
        "transactional.id transaction.timeout.ms transaction.two.phase.commit.enable",
        "transactions are not supported; a producer is idempotent without them",
        "false",
    ),
    _refusal(
        "ssl.truststore.type ssl.keystore.type",
        "only PEM files are read; convert the store, such as by openssl pkcs12, and set PEM",
        "pem",
    ),
    _refusal("ssl.truststore.password ssl.keystore.password", "a PEM file has none; its key's is ssl.key.password"),
    _refusal(
        "ssl.truststore.certificates ssl.keystore.key ssl.keystore.certificate.chain ssl.key.pem ssl.certificate.pem "
        "ssl.ca.pem ssl_key ssl_certificate ssl_ca",
        "certificates and keys are read from files: name them by ssl_cafile, ssl_certfile and ssl_keyfile, or pass a "
        "loaded ssl_context",
    ),
    _refusal("ssl.protocol", f"TLS 1.2 and newer are spoken; for less or more {CONTEXT}", "tls", "tlsv1.3"),
    _refusal(
        "ssl.enabled.protocols",
        f"TLS 1.2 and newer are spoken; for less or more {CONTEXT}",
        *("tlsv1.2,tlsv1.3", "tlsv1.3,tlsv1.2"),
    ),
    _refusal("enable.ssl.certificate.verification", f"certificates are always checked; otherwise {CONTEXT}", "true"),
    _refusal(
        "ssl.cipher.suites ssl.curves.list ssl.sigalgs.list ssl.ca.certificate.stores ssl.crl.location ssl.providers "
        "ssl.engine.location ssl.engine.id ssl_engine_callback_data ssl.certificate.verify_cb ssl.engine.factory.class "
        "ssl.provider ssl.keymanager.algorithm ssl.trustmanager.algorithm ssl.secure.random.implementation",
        CONTEXT,
    ),
    _refusal("security.providers", "it belongs to the JVM; leave it out"),
    _refusal("sasl.kerberos.", "GSSAPI is not supported; use SCRAM-SHA-512, PLAIN over TLS, or OAUTHBEARER"),
    _refusal(
        "sasl.oauthbearer. sasl.login. sasl.client.callback.handler.class https.ca.location https.ca.pem oauth_cb "
        "oauthbearer_token_refresh_cb enable.sasl.oauthbearer.unsecure.jwt",
        "tokens come from your own code: pass sasl_oauth_token_provider, a callable that returns a token, or the token "
        "and its lifetime in seconds",
    ),
    _refusal(
        "metric.reporters auto.include.jmx.reporter statistics.interval.ms stats_cb",
        "metrics are read from the producer, when you want them",
        *("", "0"),
    ),
    _refusal("metrics.recording.level", "metrics have one level; leave it out", "info"),
    _refusal("enable.metrics.push", "metrics are not pushed to brokers; set it to false", "false"),
    _refusal(
        "client.dns.lookup",
        "all addresses of a name are tried; canonical names are of use to Kerberos alone",
        "use_all_dns_ips",
    ),
    _refusal(
        "bootstrap.resolve.timeout.ms", "names are looked up again with each attempt to connect; leave it out", "0"
    ),
    _refusal(
        "metadata.cluster.check.enable",
        "each connection tells a broker whom it believes to reach (KIP-1242); leave it out",
        "true",
    ),
    _refusal("config.providers", "values are resolved by your own code, before they come here", ""),
    _refusal(
        "buffer.memory.allocation.strategy",
        "memory is taken as a batch grows; buffer_memory bounds it; leave it out",
        *("full", "incremental"),
    ),
    _refusal(
        "batch.num.messages queue.buffering.max.messages",
        "records are not counted; batch_size bounds the bytes of a batch, buffer_memory those of all",
    ),
    _refusal(
        "sticky.partitioning.linger.ms",
        "records without a key change their partition with every batch_size bytes (KIP-794); leave it out",
    ),
    _refusal(
        "queue.buffering.backpressure.threshold enable.gapless.guarantee queuing.strategy msg_order_cmp "
        "message.copy.max.bytes",
        "records of a partition leave in order, under linger_ms, batch_size and retries; leave it out",
    ),
    _refusal(
        "dr_cb dr_msg_cb on_delivery delivery.report.only.error produce.offset.report opaque",
        "delivery is told by the future that send returns, or by on_delivery of each send",
    ),
    _refusal(
        "error_cb throttle_cb background_event_cb enabled_events",
        "errors reach the futures of the records that they concern, and the logger kproto",
    ),
    _refusal(
        "debug log_cb log_level log.queue log.thread.name log.connection.close logger",
        "logging is that of Python: set the level and handlers of the logger kproto",
    ),
    _refusal("partitioner_cb", "pass partitioner, a callable of topic, key and partitions"),
    _refusal("plugin.library.paths", "pass interceptors, a list of objects"),
    _refusal(
        "topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.fast.cnt topic.metadata.refresh.sparse "
        "topic.metadata.propagation.max.ms topic.blacklist",
        "metadata is asked for when a topic or leader is missing, under retry_backoff_ms and max_block_ms, and only of "
        "topics in use; leave it out",
    ),
    _refusal(
        "socket.keepalive.enable socket.nagle.disable socket.max.fails socket.blocking.max.ms broker.address.ttl "
        "broker.address.family socket_cb connect_cb closesocket_cb resolve_cb open_cb reconnect.backoff.jitter.ms",
        "sockets send at once, and a connection is given up with the first request that times out; all addresses of a "
        "name are tried; leave it out",
    ),
    _refusal(
        "api.version.request api.version.request.timeout.ms api.version.fallback.ms broker.version.fallback",
        "each connection asks the broker for its versions, within socket_connection_setup_timeout_ms; leave it out",
    ),
    _refusal(
        "builtin.features default_topic_conf default.topic.config enable.random.seed internal.termination.signal "
        "client.software.name client.software.version test.mock.",
        "it belongs to librdkafka's own workings; leave it out",
    ),
    _refusal(
        "group.id group.instance.id group.protocol group.protocol.type group.remote.assignor session.timeout.ms "
        "heartbeat.interval.ms partition.assignment.strategy coordinator.query.interval.ms max.poll.interval.ms "
        "max.poll.records enable.auto.commit auto.commit.enable auto.commit.interval.ms auto.offset.reset "
        "enable.auto.offset.store offset.store.method offset.store.path offset.store.sync.interval.ms "
        "queued.min.messages queued.max.messages.kbytes fetch.wait.max.ms fetch.max.wait.ms fetch.queue.backoff.ms "
        "fetch.message.max.bytes max.partition.fetch.bytes fetch.max.bytes fetch.min.bytes fetch.error.backoff.ms "
        "isolation.level consume_cb rebalance_cb offset_commit_cb consume.callback.max.messages enable.partition.eof "
        "check.crcs share.acknowledgement.mode key.deserializer value.deserializer",
        "it is a setting of consumers; leave it out",
    ),
)

JAAS: Final = "sasl.jaas.config"
LEVELS: Final = {f"compression.{codec}.level": codec for codec in ("gzip", "lz4", "zstd")}
COMPOSED: Final = {
    JAAS: ("sasl_username", "sasl_password"),
    **dict.fromkeys(LEVELS, ("compression_level",)),
}
"""Java's properties that settings are read from, though they are none by themselves."""


def _settings_by_name() -> dict[str, str]:
    found = {setting: setting for setting in SPELLINGS}
    for setting, spelling in SPELLINGS.items():
        found |= {key_of(name): setting for name in (spelling.java, *spelling.librdkafka) if name}
    return found


SETTING_OF: Final[dict[str, str]] = _settings_by_name()
"""Key of a property -> the setting that it is."""

REFUSAL_OF: Final[dict[str, Refusal]] = {
    key_of(name): refusal for refusal in reversed(REFUSALS) for name in refusal.names
}

KNOWN: Final = frozenset(
    [setting.replace("_", ".") for setting in SPELLINGS]
    + [name for spelling in SPELLINGS.values() for name in (spelling.java, *spelling.librdkafka) if name]
    + list(COMPOSED)
)
"""Every name that is taken."""


def refusal_of(name: str) -> Refusal | None:
    """The row of a property by its name or its family's."""
    key = key_of(name)
    families = (key[: end + 1] for end, char in enumerate(key) if char == "_")
    return next((REFUSAL_OF[found] for found in (key, *families) if found in REFUSAL_OF), None)


def advice_for(setting: str) -> str | None:
    """A phrase for a name that is no setting of ours, where another client has it; else None."""
    key = key_of(setting)
    here = next((parts for name, parts in COMPOSED.items() if key_of(name) == key), SETTING_OF.get(key, ()))
    if here:
        return f"here it is {' and '.join(here) if isinstance(here, tuple) else here}"
    refusal = refusal_of(key)
    return refusal.why if refusal else None
