"""Every setting of the client layer: its unit, bounds and default, checked once.

Layer: client. Knows names and values; opens nothing. Names and defaults are Java's in snake_case; those of SSL and SASL
are the Python clients'. The producer's settings add to these.
Source: org.apache.kafka.clients.CommonClientConfigs, org.apache.kafka.clients.producer.ProducerConfig.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kproto.client.errors import ConfigError
from kproto.client.sasl.exchange import credential
from kproto.client.settings import check_setting, setting, settings_of
from kproto.wire import FRAME_SIZE_MAX
from kproto.wire.plain import did_you_mean

if TYPE_CHECKING:
    import ssl
    from typing import Self

__all__ = ["ClientConfig", "TokenProvider", "parse_servers"]

PORT: Final = 9092
INT16_MAX: Final = 2**15 - 1
INT32_MAX: Final = 2**31 - 1
SECURITY_PROTOCOLS: Final = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
RECOVERY_STRATEGIES: Final = ("rebootstrap", "none")

Token = str | tuple[str, float]
TokenProvider = Callable[[], Token | Awaitable[Token]]
"""Gives an OAUTHBEARER token, or one and its lifetime in seconds; sync (run in a thread) or async."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """The settings of a client. Made by `of`; raises ConfigError for what cannot be. Immutable.

    The text of an error names the setting, and the one that it conflicts with.
    """

    bootstrap_servers: str | Sequence[str] = setting(
        "localhost:9092", "host:port of the brokers to begin with, as a list or separated by commas", kind=object
    )
    client_id: str | None = setting("kproto", "the name that brokers show in logs, metrics and quotas", optional=True)
    request_timeout_ms: int = setting(30_000, "ms to wait for an answer; then the connection is closed", minimum=1)
    max_in_flight_requests_per_connection: int = setting(5, "requests that may be unanswered", minimum=1)
    receive_message_max_bytes: int = setting(
        FRAME_SIZE_MAX, "bytes of the largest answer that is read", minimum=1_000, maximum=INT32_MAX
    )
    retry_backoff_ms: int = setting(100, "ms before the first repetition of what failed", minimum=0)
    retry_backoff_max_ms: int = setting(1_000, "ms that repetitions are at most apart", minimum=0)
    reconnect_backoff_ms: int = setting(50, "ms before the second attempt to connect to a broker", minimum=0)
    reconnect_backoff_max_ms: int = setting(1_000, "ms that attempts to connect are at most apart", minimum=0)
    socket_connection_setup_timeout_ms: int = setting(10_000, "ms for a connection to become ready", minimum=1)
    socket_connection_setup_timeout_max_ms: int = setting(
        30_000, "ms that the setup timeout grows to while attempts fail", minimum=1
    )
    connections_max_idle_ms: int = setting(
        540_000, "ms after which an unused connection is closed, -1 never", minimum=-1
    )
    send_buffer_bytes: int = setting(
        131_072, "bytes of a socket's send buffer, -1 as the system has it", minimum=-1, maximum=INT32_MAX
    )
    receive_buffer_bytes: int = setting(
        65_536, "bytes of a socket's receive buffer, -1 as the system has it", minimum=-1, maximum=INT32_MAX
    )
    metadata_max_age_ms: int = setting(300_000, "ms after which the metadata is refreshed anyway", minimum=0)
    metadata_max_idle_ms: int = setting(300_000, "ms after which an unused topic is forgotten", minimum=5_000)
    allow_auto_create_topics: bool = setting(
        False, "whether asking for a topic's metadata may create it, where the broker allows that"
    )
    metadata_recovery_strategy: str = setting(
        "rebootstrap",
        "whether to begin again from bootstrap_servers once no broker answers",
        choices=RECOVERY_STRATEGIES,
    )
    metadata_recovery_rebootstrap_trigger_ms: int = setting(
        300_000, "ms without a refresh after which to begin again from bootstrap_servers", minimum=1
    )
    security_protocol: str = setting("PLAINTEXT", "how to speak to brokers", choices=SECURITY_PROTOCOLS)
    ssl_context: ssl.SSLContext | None = setting(None, "a ready context, instead of the other ssl_ settings")
    ssl_cafile: str | None = setting(None, "a PEM file of the authorities to trust, the system's where None", kind=str)
    ssl_certfile: str | None = setting(None, "a PEM file with the client's certificate and those above it", kind=str)
    ssl_keyfile: str | None = setting(
        None, "a PEM file with the client's private key, where not in ssl_certfile", kind=str
    )
    ssl_password: str | None = setting(None, "the password of the private key", kind=str, secret=True)
    ssl_check_hostname: bool = setting(True, "whether the broker's certificate must be for its host name")
    sasl_mechanism: str | None = setting(None, "how to log in; there is no default", kind=str, choices=SASL_MECHANISMS)
    sasl_username: str | None = setting(None, "the user of PLAIN and SCRAM", kind=str)
    sasl_password: str | None = setting(None, "the password of PLAIN and SCRAM", kind=str, secret=True)
    sasl_oauth_token_provider: TokenProvider | None = setting(
        None, "a callable, sync or async, that returns a token or (token, lifetime in seconds)", secret=True
    )

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """The configuration of these settings. Raises ConfigError, also for a name that does not exist."""
        known = {item.name for item in settings_of(cls)}
        for name in settings:
            if name not in known:
                raise ConfigError(f"there is no setting {name!r}: {cls.advice(name) or did_you_mean(name, known)}")
        return cls(**settings)

    @classmethod
    def advice(cls, name: str) -> str | None:
        """A phrase for a name that is no setting, where a layer knows more of it than which one is nearest."""
        return None

    def __post_init__(self) -> None:
        for item in settings_of(self):
            check_setting(item.name, getattr(self, item.name), item.metadata, item.default)
        object.__setattr__(self, "bootstrap_servers", parse_servers(self.bootstrap_servers))
        if self.client_id is not None:
            _check_client_id(self.client_id)
        self._check_ssl()
        self._check_sasl()

    @property
    def servers(self) -> tuple[tuple[str, int], ...]:
        """`bootstrap_servers` as pairs of host and port."""
        return tuple(split_server(server) for server in self.bootstrap_servers)

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    def _check_ssl(self) -> None:
        files = ("ssl_cafile", "ssl_certfile", "ssl_keyfile", "ssl_password")
        given = [name for name in files if getattr(self, name) is not None]
        given += [] if self.ssl_check_hostname else ["ssl_check_hostname"]
        if self.ssl_context is not None and not hasattr(self.ssl_context, "wrap_bio"):
            raise ConfigError(f"ssl_context: an ssl.SSLContext, not {self.ssl_context!r}")
        if self.ssl_context is not None and given:
            raise ConfigError(f"ssl_context and {given[0]}: the context already says it, leave one out")
        if (self.ssl_context is not None or given) and not self.uses_tls:
            name = given[0] if given else "ssl_context"
            raise ConfigError(
                f"{name} with security_protocol={self.security_protocol}: nothing is encrypted then; "
                f"use SSL or SASL_SSL, or leave {name} out"
            )
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ConfigError("ssl_keyfile without ssl_certfile: a key proves nothing without its certificate")
        if self.ssl_password is not None and self.ssl_certfile is None:
            raise ConfigError("ssl_password without ssl_certfile: it opens the key of a certificate")

    def _check_sasl(self) -> None:
        needed = {"OAUTHBEARER": ("sasl_oauth_token_provider",)}.get(
            self.sasl_mechanism or "", ("sasl_username", "sasl_password")
        )
        every = ("sasl_username", "sasl_password", "sasl_oauth_token_provider")
        given = [name for name in every if getattr(self, name) is not None]
        if not self.uses_sasl:
            extra = [*(["sasl_mechanism"] if self.sasl_mechanism else []), *given]
            if extra:
                raise ConfigError(
                    f"{extra[0]} with security_protocol={self.security_protocol}: nobody logs in then; "
                    f"use SASL_SSL or SASL_PLAINTEXT, or leave {extra[0]} out"
                )
            return
        if self.sasl_mechanism is None:
            choices = ", ".join(SASL_MECHANISMS)
            raise ConfigError(f"security_protocol={self.security_protocol} needs sasl_mechanism, one of {choices}")
        for name in needed:
            if getattr(self, name) is None:
                raise ConfigError(f"sasl_mechanism={self.sasl_mechanism} needs {name}")
        for name in given:
            if name not in needed:
                raise ConfigError(f"sasl_mechanism={self.sasl_mechanism} has no use for {name}: leave it out")
        self._check_credentials()

    def _check_credentials(self) -> None:
        """Their text never shows them."""
        if self.sasl_oauth_token_provider is None:
            credential("sasl_username", self.sasl_username or "")
            credential("sasl_password", self.sasl_password or "")
        elif not callable(self.sasl_oauth_token_provider):
            raise ConfigError("sasl_oauth_token_provider: a callable that returns a token, not a token")


def parse_servers(servers: str | Sequence[str]) -> tuple[str, ...]:
    """Each "host:port", of a list or a text with commas. Raises ConfigError.

    >>> parse_servers("a:1, [::1]:2,c")
    ('a:1', '[::1]:2', 'c:9092')
    """
    try:
        listed = servers.split(",") if isinstance(servers, str) else list(servers)
    except TypeError:
        raise ConfigError(f'bootstrap_servers: a list or a text of "host:port", not {servers!r}') from None
    parsed = []
    for server in listed:
        if not isinstance(server, str):
            raise ConfigError(f'bootstrap_servers: each a "host:port", not {server!r}')
        if server.strip():
            host, port = split_server(server.strip())
            parsed.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    if not parsed:
        raise ConfigError('bootstrap_servers: at least one "host:port"')
    return tuple(parsed)


def split_server(server: str) -> tuple[str, int]:
    """Host and port; the port is 9092 where none is given, and an IPv6 address stands in brackets."""
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]"):
        host, port = server, str(PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif host.strip("0123456789abcdefABCDEF:.") == "" and ":" in host:
        raise ConfigError(f"bootstrap_servers: an IPv6 address stands in brackets, such as [::1]:9092, not {server!r}")
    elif ":" in host:
        host = ""
    odd = any(char in "[]/@," or char.isspace() for char in host)
    if not host or odd or not port.isascii() or not port.isdecimal() or not 0 < int(port[:6]) < 65_536:
        raise ConfigError(f'bootstrap_servers: each a "host:port" with a port of 1 to 65535, not {server!r}')
    return host, int(port)


def _check_client_id(client_id: str) -> None:
    try:
        size = len(client_id.encode())
    except UnicodeEncodeError:
        raise ConfigError("client_id: text that UTF-8 can carry, without lone surrogates") from None
    if size > INT16_MAX:
        raise ConfigError(f"client_id: at most {INT16_MAX} bytes of UTF-8, not {size}")
