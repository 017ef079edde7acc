"""Settings out of properties as Java or librdkafka have them: dots, text, and names of their own.

Layer: producer. Owns no setting: names stand in `property_names.py`, types and bounds in `config.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from kproto.client import ConfigError
from kproto.client.settings import parse_setting, settings_of
from kproto.producer.config import ProducerConfig
from kproto.producer.jaas import parse_jaas
from kproto.producer.property_names import JAAS, KNOWN, LEVELS, SETTING_OF, key_of, refusal_of
from kproto.wire.plain import did_you_mean

__all__ = ["config_from_properties", "serialize_text"]

DESCRIBED: Final = {item.name: item for item in settings_of(ProducerConfig)}
TAKEN: Final = frozenset(map(key_of, KNOWN))
CODEC_OF_LEVEL: Final = {key_of(name): codec for name, codec in LEVELS.items()}
STORE_TYPES: Final = {
    "ssl_truststore_location": "ssl.truststore.type",
    "ssl_keystore_location": "ssl.keystore.type",
}


def config_from_properties(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for `ProducerConfig.of`, from properties as Java, librdkafka or kproto spell them.

    Values are text, or of their types; None counts as left out. What is left out has our default, which is Java's and
    not always librdkafka's. A level of a codec that is not in use is left out, as Java does. Raises ConfigError for a
    name that nobody has, for what is not here (why, and what to use instead), for two names of one setting, and for
    text that cannot be read. Bounds and conflicts are left to `ProducerConfig`.

    >>> config_from_properties({"linger.ms": "20", "queue.buffering.max.kbytes": 1024})
    {'linger_ms': 20, 'buffer_memory': 1048576}
    """
    for name in properties:
        if not isinstance(name, str):
            raise ConfigError(f"the name of a property is a text, not {name!r}")
        if key_of(name) not in TAKEN and refusal_of(name) is None:
            raise ConfigError(f"there is no property {name!r}: {did_you_mean(name, KNOWN)}")
    given = {name: value for name, value in properties.items() if value is not None}
    others = {key_of(name): str(value).strip() for name, value in given.items()}
    found: dict[str, Any] = {}
    spelled: dict[str, str] = {}
    for name, value in given.items():
        for setting, typed in _settings(name, value, others):
            if setting in spelled:
                raise ConfigError(f"{spelled[setting]} and {name}: both are {setting} here, leave one out")
            found[setting], spelled[setting] = typed, name
    return found


def _settings(name: str, value: Any, others: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """What one property sets. others: all properties by key, as text."""
    key = key_of(name)
    if key == key_of(JAAS):
        yield from _login(value, others)
    elif key in CODEC_OF_LEVEL:
        codec = others.get("compression_type", others.get("compression_codec"))
        if codec == CODEC_OF_LEVEL[key]:
            yield "compression_level", _read(name, "compression_level", value)
    elif key in SETTING_OF:
        if key in STORE_TYPES and others.get(key_of(STORE_TYPES[key]), "").lower() != "pem":
            raise ConfigError(f"{name} without {STORE_TYPES[key]}=PEM: only PEM is read; convert it, as openssl does")
        setting = SETTING_OF[key]
        yield setting, _read(name, setting, value)
    else:
        refusal = refusal_of(name)
        if refusal is not None and _text(value).lower().replace(" ", "") not in refusal.harmless:
            raise ConfigError(f"{name}: {refusal.why}")


def _read(name: str, setting: str, value: Any) -> Any:
    """The value as the setting has it; what is neither text nor a number is left to the configuration."""
    if not isinstance(value, (str, int, float)):
        return value
    text = _text(value) if not DESCRIBED[setting].metadata["secret"] else str(value)
    reader = READERS.get(key_of(name)) or READERS.get(setting)
    return reader(name, text) if reader else _plain(name, setting, text)


def _plain(name: str, setting: str, text: str) -> Any:
    return parse_setting(name, text, DESCRIBED[setting].metadata, DESCRIBED[setting].default)


def _text(value: Any) -> str:
    return str(value).strip().lower() if isinstance(value, bool) else str(value).strip()


def _login(value: Any, others: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    login = parse_jaas(str(value))
    mechanism = others.get("sasl_mechanism", others.get("sasl_mechanisms", ""))
    if mechanism and mechanism not in login.mechanisms:
        raise ConfigError(f"{JAAS} and sasl.mechanism={mechanism}: its module serves {' and '.join(login.mechanisms)}")
    for setting, part in (("sasl_username", login.username), ("sasl_password", login.password)):
        if part is not None:
            yield setting, part


def _acks(name: str, text: str) -> int | str:
    return int(text) if text in ("-1", "0", "1") else text


def _kibibytes(name: str, text: str) -> int:
    return 1024 * int(_plain(name, "buffer_memory", text))


def _level(name: str, text: str) -> int | None:
    """-1 is the codec's default in librdkafka; in Java that of gzip alone, whose default it is, too."""
    level: int = _plain(name, "compression_level", text)
    return level if level != -1 or name == "compression.zstd.level" else None


def _socket_buffer(name: str, text: str) -> int:
    return int(_plain(name, "send_buffer_bytes", text)) or -1  # 0 leaves it to the system


def _host_check(name: str, text: str) -> bool:
    checks = {"https": True, "none": False, "": False}
    if text.lower() not in checks:
        raise ConfigError(f'{name}: "https", or "none" to trust a certificate of any host')
    return checks[text.lower()]


def _partitioner(name: str, text: str) -> str:
    known = {
        "default": "default",
        "round_robin": "round_robin",
        "": "default",
        "DefaultPartitioner": "default",
        "RoundRobinPartitioner": "round_robin",
        "murmur2_random": "default",
    }
    chosen = text.rpartition(".")[2]
    if chosen == "UniformStickyPartitioner":
        raise ConfigError(f"{name}: Kafka 4 has no {chosen}; set partitioner_ignore_keys")
    if chosen not in known:
        raise ConfigError(
            f'{name}: {text} is not here. "default" puts keys where Java does (murmur2_random in librdkafka); '
            "to keep them elsewhere pass partitioner, a callable of topic, key and partitions"
        )
    return known[chosen]


def serialize_text(topic: str, value: str | None) -> bytes | None:
    """A key or value of text as UTF-8: Java's StringSerializer."""
    return None if value is None else value.encode()


def _serializer(name: str, text: str) -> Callable[[str, Any], bytes | None] | None:
    known = {
        "": None,
        "ByteArraySerializer": None,
        "ByteBufferSerializer": None,
        "BytesSerializer": None,
        "StringSerializer": serialize_text,
    }
    chosen = text.rpartition(".")[2]
    if chosen not in known:
        raise ConfigError(
            f"{name}: {text} is not here; pass {key_of(name)}, a callable of topic and {key_of(name).partition('_')[0]}"
        )
    return known[chosen]


def _interceptors(name: str, text: str) -> tuple[()]:
    if text:
        raise ConfigError(f"{name}: classes of Java's; pass interceptors, a list of objects")
    return ()


# By a property's key, else by the setting that it is.
READERS: Final[dict[str, Callable[[str, str], Any]]] = {
    "acks": _acks,
    "compression_level": _level,
    "interceptors": _interceptors,
    "key_serializer": _serializer,
    "metadata_recovery_strategy": lambda name, text: text.lower(),
    "partitioner": _partitioner,
    "queue_buffering_max_kbytes": _kibibytes,
    "security_protocol": lambda name, text: text.upper(),
    "socket_receive_buffer_bytes": _socket_buffer,
    "socket_send_buffer_bytes": _socket_buffer,
    "ssl_endpoint_identification_algorithm": _host_check,
    "value_serializer": _serializer,
}
