"""TLS as a stream of bytes: what comes off the wire goes in, plain text comes out, and the other way round.

Layer: client. No I/O: `ssl` works on memory here.
Source: RFC 8446, RFC 5246; org.apache.kafka.common.network.SslTransportLayer.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Final, NoReturn

from kproto.client.errors import KafkaConnectionError, KafkaError, NotKafkaError, SslAuthenticationError
from kproto.client.ssl_context import make_ssl_context
from kproto.client.transitions import step

__all__ = ["TRANSITIONS", "TlsEvent", "TlsState", "TlsStream", "make_ssl_context"]

READ_SIZE: Final = 65_536  # bytes asked of OpenSSL at once; it gives one record of at most 16 KiB
TLS_BEGINNINGS: Final = (b"\x16\x03", b"\x15\x03")  # records of a handshake and of alerts, of any version
HEAD_SIZE: Final = 8  # first bytes of the peer that are kept

UNKNOWN_AUTHORITY: Final = (
    "the broker's certificate is of an authority that is not trusted: "
    "set ssl_cafile to the PEM file of the CA that signed it"
)
OTHER_HOST: Final = (
    "the broker's certificate is for other names than {host}: connect by a name that it has, have one issued for "
    "this name, or set ssl_check_hostname=False, which trusts every certificate of the authority"
)
CERTIFICATE_FAULTS: Final[Mapping[int, str]] = {
    2: UNKNOWN_AUTHORITY,
    9: "the broker's certificate is not valid yet: check the clock here and on the broker",
    10: "the broker's certificate has expired: renew it on the broker (ssl.keystore.location), or check the clock here",
    18: UNKNOWN_AUTHORITY,
    19: UNKNOWN_AUTHORITY,
    20: UNKNOWN_AUTHORITY,
    21: UNKNOWN_AUTHORITY,
    62: OTHER_HOST,
    64: OTHER_HOST,
}
"""What is wrong with a certificate, by OpenSSL's X509_V_ERR number."""

OUR_CERTIFICATE: Final = (
    "the broker refuses our certificate, or its absence ({alert}): check ssl_certfile and ssl_keyfile"
)
OTHER_VERSION: Final = "no common version of TLS: allow TLSv1.2 or TLSv1.3 in the broker's ssl.enabled.protocols"
REFUSALS: Final[Mapping[str, str]] = {
    "CERTIFICATE_REQUIRED": "the broker asks for a client certificate: set ssl_certfile and ssl_keyfile",
    "BAD_CERTIFICATE": OUR_CERTIFICATE,
    "UNSUPPORTED_CERTIFICATE": OUR_CERTIFICATE,
    "CERTIFICATE_REVOKED": OUR_CERTIFICATE,
    "CERTIFICATE_EXPIRED": OUR_CERTIFICATE,
    "CERTIFICATE_UNKNOWN": OUR_CERTIFICATE,
    "UNKNOWN_CA": OUR_CERTIFICATE,
    "ACCESS_DENIED": OUR_CERTIFICATE,
    "HANDSHAKE_FAILURE": "no common cipher, or the broker asks for a client certificate: check the broker's "
    "ssl.cipher.suites, and ssl_certfile and ssl_keyfile here",
    "PROTOCOL_VERSION": OTHER_VERSION,
    "UNSUPPORTED_PROTOCOL": OTHER_VERSION,
    "UNRECOGNIZED_NAME": "the broker has no certificate for {host}: connect by a name that it serves",
}
"""Why a peer refuses, or must be refused, by OpenSSL's reason without the prefix of its alerts."""

ALERT_PREFIX: Final = re.compile(r"^(SSLV3|TLSV1|TLSV13)_(ALERT_)?")


class TlsState(Enum):
    """Where the stream stands."""

    NEW = 0
    HANDSHAKING = 1
    ESTABLISHED = 2
    FAILED = 3
    CLOSED = 4


class TlsEvent(Enum):
    """What happens to the stream."""

    START = 0
    RECEIVE = 1
    FINISH = 2
    """The handshake is done."""
    SEND = 3
    FAIL = 4
    CLOSE = 5


TRANSITIONS: Final[Mapping[tuple[TlsState, TlsEvent], TlsState]] = {
    (TlsState.NEW, TlsEvent.START): TlsState.HANDSHAKING,
    (TlsState.NEW, TlsEvent.CLOSE): TlsState.CLOSED,
    (TlsState.HANDSHAKING, TlsEvent.RECEIVE): TlsState.HANDSHAKING,
    (TlsState.HANDSHAKING, TlsEvent.FINISH): TlsState.ESTABLISHED,
    (TlsState.HANDSHAKING, TlsEvent.FAIL): TlsState.FAILED,
    (TlsState.HANDSHAKING, TlsEvent.CLOSE): TlsState.CLOSED,
    (TlsState.ESTABLISHED, TlsEvent.RECEIVE): TlsState.ESTABLISHED,
    (TlsState.ESTABLISHED, TlsEvent.SEND): TlsState.ESTABLISHED,
    (TlsState.ESTABLISHED, TlsEvent.FAIL): TlsState.FAILED,
    (TlsState.ESTABLISHED, TlsEvent.CLOSE): TlsState.CLOSED,
    (TlsState.FAILED, TlsEvent.CLOSE): TlsState.CLOSED,
    (TlsState.CLOSED, TlsEvent.CLOSE): TlsState.CLOSED,
}


class TlsStream:
    """The client's side of TLS on one connection: `start`, then `receive` and `send`; after each, `data_to_send`.

    context: of clients, such as `make_ssl_context` gives. server_hostname: the name or numeric address that the
    certificate must be for; None only where the context checks no names. address: "host:port", for errors. Renewed
    keys and session tickets are OpenSSL's matter. Not thread-safe.
    """

    def __init__(self, context: ssl.SSLContext, server_hostname: str | None, address: str) -> None:
        self.address = address
        self.server_hostname = server_hostname
        self.state = TlsState.NEW
        self.peer_closed = False
        """Whether the broker said that it sends no more (close_notify); what comes after it is ignored."""
        self.error: KafkaError | None = None
        """What ended the stream. Where plain text came before it, `receive` gives that first and raises this next."""
        self._context = context
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._ssl: ssl.SSLObject
        self._head = b""
        self._plaintext_size = 0

    @property
    def established(self) -> bool:
        """Whether `send` may be called: the handshake is done, and nothing has failed since."""
        return self.state is TlsState.ESTABLISHED

    def start(self) -> None:
        """Begin the handshake. Raises SslAuthenticationError for a host name that no certificate can have."""
        self._step(TlsEvent.START)
        name = self.server_hostname
        if name is not None and name.endswith("."):
            name = name[:-1]  # the root's dot: it stands in names that are looked up, never in certificates
        try:
            if name is None and self._context.check_hostname:  # wrap_bio would let every certificate pass
                raise ValueError("the context checks host names")
            self._ssl = self._context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        except (ssl.SSLError, ValueError, TypeError) as error:
            reason = f"no TLS with a host of the name {self.server_hostname!r}: {error}"
            raise self._fail(SslAuthenticationError(self.address, reason)) from None
        self._shake_hands()

    def receive(self, data: bytes) -> bytes:
        """The plain text that these bytes complete: at most what they and one unfinished record hold.

        Raises SslAuthenticationError where either side refuses the other, also after the handshake, when TLS 1.3
        brings the broker's verdict on our certificate; NotKafkaError where the peer speaks no TLS; and
        KafkaConnectionError for damaged bytes. The alert that tells the broker is in `data_to_send` then. Raises the
        same again when called again. IllegalTransition before `start` and after `close`.
        """
        if self.error is not None:
            raise self.error
        self._step(TlsEvent.RECEIVE)
        if len(self._head) < HEAD_SIZE:
            self._head += data[: HEAD_SIZE - len(self._head)]
        self._incoming.write(data)
        if self.state is TlsState.HANDSHAKING:
            self._shake_hands()
        return self._read() if self.established else b""

    def receive_eof(self) -> NoReturn:
        """The broker closed the connection. Raises what that means: an earlier error, or KafkaConnectionError."""
        if self.error is not None:
            raise self.error
        if self.established:
            raise KafkaConnectionError(self.address, self._end_meaning())
        raise self._eof_in_handshake()

    def send(self, buffers: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt these bytes, in order. Raises as `receive` does; IllegalTransition unless established."""
        if self.error is not None:
            raise self.error
        self._step(TlsEvent.SEND)
        rest = memoryview(b"".join(buffers))
        try:
            while rest:
                rest = rest[self._ssl.write(rest) :]
        except ssl.SSLError as error:
            raise self._fail(self._meaning(error)) from None

    def data_to_send(self) -> bytes:
        """Encrypted bytes for the broker, once; empty when there are none. In any state."""
        return self._outgoing.read()

    def close(self) -> None:
        """Say goodbye as far as possible: close_notify is in `data_to_send` then. In any state; never raises."""
        if self.established:
            with suppress(ssl.SSLError):  # the broker's own goodbye is still to come: nobody waits for it
                self._ssl.unwrap()
        self._step(TlsEvent.CLOSE)

    def __repr__(self) -> str:
        return f"<TlsStream with {self.address}: {self.state.name}>"

    def _shake_hands(self) -> None:
        try:
            self._ssl.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLZeroReturnError:
            raise self._fail(self._eof_in_handshake()) from None
        except ssl.SSLError as error:
            raise self._fail(self._meaning(error)) from None
        self._step(TlsEvent.FINISH)

    def _read(self) -> bytes:
        chunks = []
        try:
            while not self.peer_closed:
                chunk = self._ssl.read(READ_SIZE)
                chunks.append(chunk)
                self.peer_closed = not chunk
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            failure = self._fail(self._meaning(error))
            if not chunks:
                raise failure from None
        plaintext = b"".join(chunks)
        self._plaintext_size += len(plaintext)
        return plaintext

    def _meaning(self, error: ssl.SSLError) -> KafkaError:
        host = self.server_hostname
        if isinstance(error, ssl.SSLCertVerificationError):
            fault = CERTIFICATE_FAULTS.get(error.verify_code, "the broker's certificate is refused")
            return SslAuthenticationError(self.address, f"{fault.format(host=host)} ({error.verify_message})")
        if not self._head.startswith(TLS_BEGINNINGS):
            began = f"the listener does not speak TLS (it begins with {self._head!r})"
            return NotKafkaError(self.address, f"{began}: use security_protocol=PLAINTEXT or another port")
        alert = ALERT_PREFIX.sub("", error.reason or "")
        words = alert.lower().replace("_", " ") or str(error.args[-1]).partition(" (_ssl")[0]
        refusal = REFUSALS.get(alert)
        if refusal is not None:
            return SslAuthenticationError(self.address, refusal.format(host=host, alert=words))
        if self.established:
            return KafkaConnectionError(self.address, f"the TLS stream broke: {words}")
        return SslAuthenticationError(self.address, f"the TLS handshake failed: {words}")

    def _eof_in_handshake(self) -> KafkaConnectionError:
        if self._head and not self._head.startswith(tuple(start[: len(self._head)] for start in TLS_BEGINNINGS)):
            began = f"the listener does not speak TLS (it says {self._head!r} and closes)"
            return NotKafkaError(self.address, f"{began}: use security_protocol=PLAINTEXT or another port")
        closed = "the broker closed the connection during the TLS handshake"
        hint = "a plaintext listener closes so: use security_protocol=PLAINTEXT or another port"
        return KafkaConnectionError(self.address, closed if self._head else f"{closed}: {hint}")

    def _end_meaning(self) -> str:
        if self._plaintext_size:
            return "the broker closed the connection"
        return (
            "the broker closed the connection right after the TLS handshake: "
            "it may ask for a client certificate, or refuse ours: check ssl_certfile and ssl_keyfile"
        )

    def _fail(self, error: KafkaError) -> KafkaError:
        self._step(TlsEvent.FAIL)
        self.error = error
        return error

    def _step(self, event: TlsEvent) -> None:
        self.state = step(TRANSITIONS, self.state, event)
