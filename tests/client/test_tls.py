"""TLS in memory: any split of the stream, every way to fail, and what a person should do about it."""

from __future__ import annotations

import datetime
import ssl
from itertools import product

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

from kproto.client.errors import (
    AuthenticationError,
    KafkaConnectionError,
    KafkaError,
    NotKafkaError,
    SslAuthenticationError,
)
from kproto.client.tls import REFUSALS, TRANSITIONS, TlsEvent, TlsState, TlsStream, make_ssl_context
from kproto.client.transitions import IllegalTransition, step

CA = trustme.CA()
OTHER_CA = trustme.CA()
SERVER_CERT = CA.issue_cert("broker.example", "127.0.0.1", "::1")
TLS_1_2 = ssl.TLSVersion.TLSv1_2
TLS_1_3 = ssl.TLSVersion.TLSv1_3
EACH_VERSION = pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=lambda version: version.name)
SCALE = 10_000
PLACES = st.integers(0, SCALE - 1)  # parts of a flight: its size is not the same in each run
CUTS = st.lists(PLACES, max_size=6)
CLOSE_NOTIFY = bytes.fromhex("15030300020100")


def year(number: int) -> datetime.datetime:
    return datetime.datetime(number, 1, 1, tzinfo=datetime.UTC)


def client_context(ca=CA, cert=None, version=None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ca.configure_trust(context)
    if cert is not None:
        cert.configure_cert(context)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def server_context(cert=SERVER_CERT, client_ca=None, version=None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    cert.configure_cert(context)
    if client_ca is not None:
        client_ca.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Server:
    """The broker's side, with the standard library alone. `answer`: bytes in, bytes out."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.established = False
        self.received = b""
        self.error: ssl.SSLError | None = None

    def answer(self, data: bytes) -> bytes:
        self.incoming.write(data)
        try:
            if not self.established:
                self.ssl.do_handshake()
                self.established = True
            while chunk := self.ssl.read(65_536):
                self.received += chunk
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = error
        return self.outgoing.read()

    def send(self, data: bytes) -> bytes:
        while data:
            data = data[self.ssl.write(data) :]
        return self.outgoing.read()

    def goodbye(self) -> bytes:
        with pytest.raises(ssl.SSLWantReadError):
            self.ssl.unwrap()
        return self.outgoing.read()


def pump(stream: TlsStream, server: Server) -> bytes:
    """Both sides until neither has anything to say; the plain text that the client got."""
    plaintext = b""
    while data := stream.data_to_send():
        plaintext += stream.receive(server.answer(data))
    return plaintext


def connected(version=None, server_hostname="broker.example") -> tuple[TlsStream, Server]:
    stream, server = TlsStream(client_context(version=version), server_hostname, "b:9093"), Server(server_context())
    stream.start()
    pump(stream, server)
    assert stream.established and server.established
    return stream, server


def failure(client: ssl.SSLContext, server: ssl.SSLContext, host: str | None = "broker.example") -> KafkaError:
    """What the client learns, in the handshake or with the first thing it sends."""
    stream, peer = TlsStream(client, host, "b:9093"), Server(server)
    stream.start()
    with pytest.raises(KafkaError) as caught:
        pump(stream, peer)
    assert not stream.established
    assert stream.error is caught.value
    for again in (lambda: stream.receive(b""), lambda: stream.send([b"x"]), stream.receive_eof):
        with pytest.raises(type(caught.value)) as repeated:
            again()
        assert repeated.value is caught.value
    stream.close()
    return caught.value


@EACH_VERSION
@pytest.mark.parametrize("host", ["broker.example", "broker.example.", "127.0.0.1", "::1"])
def test_tls_1_a_handshake_with_a_name_or_an_address(version, host):
    stream, server = connected(version, host)
    assert server.ssl.version() == version.name.replace("_", ".")
    stream.send([b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3]])
    server.answer(stream.data_to_send())
    assert server.received == b"abcdef"
    assert stream.receive(server.send(b"answer")) == b"answer"
    assert stream.data_to_send() == b""


def test_a_context_that_checks_no_names_needs_none():
    context = client_context()
    context.check_hostname = False
    for host in (None, "other.example"):
        stream = TlsStream(context, host, "b:9093")
        stream.start()
        pump(stream, Server(server_context()))
        assert stream.established


@EACH_VERSION
def test_large_messages_both_ways(version):
    stream, server = connected(version)
    data = bytes(range(256)) * 800
    stream.send([data[:1], data[1:150_000], b"", data[150_000:]])
    server.answer(stream.data_to_send())
    assert server.received == data
    assert stream.receive(server.send(data)) == data
    stream.send([])
    stream.send([b""])
    assert stream.data_to_send() == b""


@EACH_VERSION
@settings(max_examples=60)
@given(data=st.data())
def test_any_split_of_the_stream_gives_the_same_plain_text(version, data):
    stream, server = TlsStream(client_context(version=version), "broker.example", "b:9093"), Server(server_context())
    stream.start()
    size = data.draw(st.sampled_from([1, 100, 17_000, 40_000]))
    message = bytes(i % 251 for i in range(size))
    plaintext, sent = b"", False
    while True:
        flight = server.answer(stream.data_to_send())
        if server.established and not sent:
            flight, sent = flight + server.send(message), True
        if not flight:
            break
        cuts = sorted(where * len(flight) // SCALE for where in data.draw(CUTS))
        for start, stop in zip([0, *cuts], [*cuts, len(flight)], strict=True):
            plaintext += stream.receive(flight[start:stop])
    assert stream.established
    assert plaintext == message


def test_byte_by_byte():
    stream, server = TlsStream(client_context(), "broker.example", "b:9093"), Server(server_context())
    stream.start()
    flight = server.answer(stream.data_to_send())
    assert b"".join(stream.receive(bytes([byte])) for byte in flight) == b""
    assert stream.established
    flight = server.answer(stream.data_to_send()) + server.send(b"hello")
    assert b"".join(stream.receive(bytes([byte])) for byte in flight) == b"hello"


@EACH_VERSION
def test_an_unknown_authority_asks_for_ssl_cafile(version):
    error = failure(client_context(OTHER_CA, version=version), server_context())
    assert isinstance(error, SslAuthenticationError)
    assert str(error) == (
        "b:9093: the broker's certificate is of an authority that is not trusted: set ssl_cafile to the PEM file of "
        "the CA that signed it (unable to get local issuer certificate)"
    )


@pytest.mark.parametrize("host", ["other.example", "127.0.0.2", "bücher.example"])
def test_another_hosts_certificate_names_the_host_asked_for(host):
    text = str(failure(client_context(), server_context(), host))
    assert f"b:9093: the broker's certificate is for other names than {host}: connect by a name that it has" in text
    assert "ssl_check_hostname=False" in text
    assert "ismatch" in text


@pytest.mark.parametrize(("first", "last", "words"), [(2020, 2021, "has expired"), (2070, 2071, "is not valid yet")])
def test_a_certificate_out_of_its_time(first, last, words):
    cert = CA.issue_cert("broker.example", not_before=year(first), not_after=year(last))
    error = failure(client_context(), server_context(cert))
    assert isinstance(error, SslAuthenticationError)
    assert f"b:9093: the broker's certificate {words}: " in str(error)


def test_a_certificate_with_another_fault_is_refused_in_openssls_words():
    context = client_context()
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    error = failure(context, server_context())
    assert isinstance(error, SslAuthenticationError)
    assert str(error) == "b:9093: the broker's certificate is refused (unable to get certificate CRL)"


@EACH_VERSION
def test_a_missing_client_certificate(version):
    """TLS 1.3 lets the client believe that all is well: the refusal comes with the first bytes behind the handshake."""
    error = failure(client_context(version=version), server_context(client_ca=CA))
    assert isinstance(error, SslAuthenticationError)
    assert "asks for a client certificate" in str(error)
    assert "ssl_certfile and ssl_keyfile" in str(error)


@EACH_VERSION
@pytest.mark.parametrize(
    ("cert", "alert"),
    [
        (OTHER_CA.issue_cert("me"), "unknown ca"),
        (CA.issue_cert("me", not_before=year(2020), not_after=year(2021)), "certificate expired"),
    ],
    ids=["unknown", "expired"],
)
def test_a_client_certificate_that_the_broker_refuses(version, cert, alert):
    error = failure(client_context(cert=cert, version=version), server_context(client_ca=CA))
    assert isinstance(error, SslAuthenticationError)
    assert str(error) == (
        f"b:9093: the broker refuses our certificate, or its absence ({alert}): check ssl_certfile and ssl_keyfile"
    )


@EACH_VERSION
def test_a_client_certificate_that_the_broker_trusts(version):
    stream = TlsStream(client_context(cert=CA.issue_cert("me"), version=version), "broker.example", "b:9093")
    server = Server(server_context(client_ca=CA))
    stream.start()
    pump(stream, server)
    assert stream.receive(server.send(b"welcome")) == b"welcome"


@pytest.mark.parametrize(("ours", "theirs"), [(TLS_1_3, TLS_1_2), (TLS_1_2, TLS_1_3)])
def test_no_common_version(ours, theirs):
    error = failure(client_context(version=ours), server_context(version=theirs))
    assert isinstance(error, SslAuthenticationError)
    assert str(error) == (
        "b:9093: no common version of TLS: allow TLSv1.2 or TLSv1.3 in the broker's ssl.enabled.protocols"
    )


def test_no_common_cipher():
    ours, theirs = client_context(version=TLS_1_2), server_context(version=TLS_1_2)
    ours.set_ciphers("ECDHE+AES256")
    theirs.set_ciphers("ECDHE+AES128")
    assert "no common cipher, or the broker asks for a client certificate" in str(failure(ours, theirs))


ALERTS = {
    40: "HANDSHAKE_FAILURE",
    42: "BAD_CERTIFICATE",
    43: "UNSUPPORTED_CERTIFICATE",
    44: "CERTIFICATE_REVOKED",
    45: "CERTIFICATE_EXPIRED",
    46: "CERTIFICATE_UNKNOWN",
    48: "UNKNOWN_CA",
    49: "ACCESS_DENIED",
    70: "PROTOCOL_VERSION",
    112: "UNRECOGNIZED_NAME",
    116: "CERTIFICATE_REQUIRED",
}


@pytest.mark.parametrize("number", range(256))
def test_each_alert_in_the_handshake_is_an_error_in_words(number):
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    with pytest.raises(KafkaError) as caught:
        stream.receive(bytes.fromhex("15030300 0202") + bytes([number]))
    words = REFUSALS.get(ALERTS.get(number, ""), "the TLS handshake failed: ")
    assert words.partition("{")[0] in str(caught.value)
    assert isinstance(caught.value, SslAuthenticationError)
    assert "_ssl.c" not in str(caught.value)


def test_each_refusal_is_an_alert_or_our_own():
    assert set(REFUSALS) - set(ALERTS.values()) == {"UNSUPPORTED_PROTOCOL"}


@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00\x00\x00\x0a\x00\x00\x00\x01",
        b"\x16\x02\0\0\1",
    ],
)
def test_a_listener_that_speaks_something_else(greeting):
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    with pytest.raises(NotKafkaError) as caught:
        stream.receive(greeting)
    assert str(caught.value) == (
        f"b:9093: the listener does not speak TLS (it begins with {greeting[:8]!r}): "
        "use security_protocol=PLAINTEXT or another port"
    )


def test_a_listener_that_says_little_and_closes():
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    assert stream.receive(b"hm") == b""
    with pytest.raises(NotKafkaError, match=r"does not speak TLS \(it says b'hm' and closes\): use security_protocol="):
        stream.receive_eof()


def test_a_plaintext_listener_closes_without_a_word():
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    with pytest.raises(KafkaConnectionError) as caught:
        stream.receive_eof()
    assert str(caught.value) == (
        "b:9093: the broker closed the connection during the TLS handshake: a plaintext listener closes so: "
        "use security_protocol=PLAINTEXT or another port"
    )


@pytest.mark.parametrize("head", [b"\x16", b"\x16\x03\x03", b"\x15\x03\x03\x00\x02"])
def test_a_handshake_that_breaks_off(head):
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    assert stream.receive(head) == b""
    with pytest.raises(
        KafkaConnectionError, match=r"^b:9093: the broker closed the connection during the TLS handshake$"
    ):
        stream.receive_eof()


def test_a_goodbye_in_the_handshake():
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    with pytest.raises(
        KafkaConnectionError, match=r"^b:9093: the broker closed the connection during the TLS handshake$"
    ):
        stream.receive(CLOSE_NOTIFY)


def test_the_end_of_an_established_stream():
    stream, server = connected()
    assert stream.receive(server.send(b"last words") + server.goodbye() + b"noise") == b"last words"
    assert stream.peer_closed
    assert stream.receive(b"more noise") == b""
    with pytest.raises(KafkaConnectionError, match=r"^b:9093: the broker closed the connection$"):
        stream.receive_eof()


def test_the_end_right_after_the_handshake_may_be_about_certificates():
    stream, _ = connected()
    assert not stream.peer_closed
    with pytest.raises(
        KafkaConnectionError, match=r"right after the TLS handshake: it may ask for a client certificate"
    ):
        stream.receive_eof()


@EACH_VERSION
def test_a_goodbye_of_ours(version):
    stream, server = connected(version)
    stream.close()
    stream.close()
    assert stream.state is TlsState.CLOSED and not stream.established
    server.answer(stream.data_to_send())
    assert server.ssl.read(1) == b"" if version is TLS_1_2 else server.error is None
    for use in (lambda: stream.receive(b""), lambda: stream.send([b"x"]), stream.start):
        with pytest.raises(IllegalTransition, match=r"in state CLOSED there is no step for"):
            use()


def test_a_goodbye_before_the_handshake_is_done():
    TlsStream(client_context(), "broker.example", "b:9093").close()
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    stream.close()
    assert stream.state is TlsState.CLOSED


def test_the_broker_is_told_why():
    stream, server = TlsStream(client_context(OTHER_CA), "broker.example", "b:9093"), Server(server_context())
    stream.start()
    with pytest.raises(SslAuthenticationError):
        stream.receive(server.answer(stream.data_to_send()))
    server.answer(stream.data_to_send())
    assert server.error is not None and "unknown ca" in str(server.error)


def test_steps_out_of_order_are_bugs():
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    with pytest.raises(IllegalTransition, match=r"in state NEW there is no step for RECEIVE"):
        stream.receive(b"")
    stream.start()
    with pytest.raises(IllegalTransition, match=r"in state HANDSHAKING there is no step for SEND"):
        stream.send([b"x"])
    with pytest.raises(IllegalTransition, match=r"in state HANDSHAKING there is no step for START"):
        stream.start()
    assert repr(stream) == "<TlsStream with b:9093: HANDSHAKING>"


@pytest.mark.parametrize("host", ["", ".example", "x..example", "x" * 300, "a\0b", None])
def test_a_host_that_no_certificate_can_be_for(host):
    stream = TlsStream(client_context(), host, "b:9093")
    with pytest.raises(SslAuthenticationError, match=r"^b:9093: no TLS with a host of the name "):
        stream.start()
    assert stream.data_to_send() == b""
    stream.close()


def test_a_context_of_servers_is_refused():
    with pytest.raises(SslAuthenticationError, match=r"PROTOCOL_TLS_SERVER"):
        TlsStream(server_context(), "broker.example", "b:9093").start()


@EACH_VERSION
def test_damage_behind_plain_text_is_told_after_it(version):
    stream, server = connected(version)
    good, bad = server.send(b"good"), bytearray(server.send(b"bad"))
    bad[-1] ^= 1
    assert stream.receive(good + bytes(bad)) == b"good"
    assert isinstance(stream.error, KafkaConnectionError)
    with pytest.raises(KafkaConnectionError, match=r"^b:9093: the TLS stream broke: ") as caught:
        stream.receive(b"")
    assert caught.value is stream.error and caught.value.retriable
    with pytest.raises(KafkaConnectionError, match=r"the TLS stream broke"):
        stream.receive_eof()


@EACH_VERSION
@settings(max_examples=60)
@given(data=st.data())
def test_damaged_bytes_are_an_error_of_ours_or_wait_for_more(version, data):
    stream, server = TlsStream(client_context(version=version), "broker.example", "b:9093"), Server(server_context())
    stream.start()
    flights = data.draw(st.integers(0, 3))
    for _ in range(flights):
        stream.receive(server.answer(stream.data_to_send()))
    flight = server.answer(stream.data_to_send()) + (server.send(b"message" * 30) if server.established else b"")
    damaged = bytearray(flight or b"\0")
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(PLACES) * len(damaged) // SCALE] = data.draw(st.integers(0, 255))
    try:
        plaintext = stream.receive(bytes(damaged))
    except (AuthenticationError, KafkaConnectionError):
        assert stream.state is TlsState.FAILED
        assert not stream.established
    else:
        assert (b"message" * 30).startswith(plaintext)
    with pytest.raises((AuthenticationError, KafkaConnectionError)):
        stream.receive_eof()
    stream.close()


@given(st.binary(max_size=200))
def test_any_bytes_instead_of_a_handshake(noise):
    stream = TlsStream(client_context(), "broker.example", "b:9093")
    stream.start()
    try:
        assert stream.receive(noise) == b""
    except (AuthenticationError, KafkaConnectionError) as error:
        assert str(error).startswith("b:9093: ")


def test_a_write_that_openssl_refuses():
    class Refusing:
        def write(self, data: memoryview) -> int:
            error = ssl.SSLError(1, "[SSL] bad length (_ssl.c:1006)")
            error.reason = None
            raise error

    stream, _ = connected()
    stream._ssl = Refusing()
    with pytest.raises(KafkaConnectionError, match=r"^b:9093: the TLS stream broke: \[SSL\] bad length$"):
        stream.send([b"x"])
    assert not stream.established


def test_the_streams_module_gives_the_context_too(tmp_path):
    """From files to plain text, as a client does it."""
    cafile = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(cafile)
    stream = TlsStream(make_ssl_context(cafile=str(cafile)), "broker.example", "b:9093")
    server = Server(server_context())
    stream.start()
    pump(stream, server)
    assert stream.receive(server.send(b"hello")) == b"hello"


@pytest.mark.parametrize(("state", "event"), list(product(TlsState, TlsEvent)))
def test_each_step_is_in_the_table_or_illegal(state, event):
    if (state, event) in TRANSITIONS:
        assert step(TRANSITIONS, state, event) is TRANSITIONS[state, event]
    else:
        with pytest.raises(IllegalTransition):
            step(TRANSITIONS, state, event)
