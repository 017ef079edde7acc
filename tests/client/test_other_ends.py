"""Ends that are no brokers, and TLS in front of one that is."""

from __future__ import annotations

import ssl

import pytest
import trustme
from client.other_ends import ClosingEnd, RawEnd, SilentEnd, TlsEnd

AUTHORITY = trustme.CA()


def test_ends_that_are_no_brokers():
    raw = RawEnd(b"SSH-2.0-x\r\n", at_once=True)
    assert (raw.output(), raw.output(), raw.closed) == (b"SSH-2.0-x\r\n", b"", True)
    late = RawEnd(b"HTTP/1.1 400\r\n", close=False)
    assert (late.output(), late.closed) == (b"", False)
    late.receive(b"x")
    late.receive(b"y")
    assert (late.output(), late.received, late.closed) == (b"HTTP/1.1 400\r\n", b"xy", False)
    closing, silent = ClosingEnd(), SilentEnd()
    silent.receive(b"x")
    assert (closing.output(), closing.closed, silent.output(), silent.closed) == (b"", True, b"", False)


def server_context(*, clients=False):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("localhost").configure_cert(context)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        AUTHORITY.configure_trust(context)
    return context


class Client:
    """The other side of a TlsEnd, in memory. flight: bytes at a time."""

    def __init__(self, end, *, trusts=True, flight=1 << 16):
        context = ssl.create_default_context()
        if trusts:
            AUTHORITY.configure_trust(context)
        self.end, self.flight = end, flight
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def until_done(self, step):
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                moved = self.exchange()
                assert moved, "both sides wait"

    def exchange(self):
        sent = self.outgoing.read()
        for start in range(0, len(sent), self.flight):
            self.end.receive(sent[start : start + self.flight])
        received = self.end.output()
        self.incoming.write(received)
        return sent or received


@pytest.mark.parametrize("flight", [1, 1 << 16])
def test_tls_carries_an_end_and_says_goodbye(flight):
    end = TlsEnd(RawEnd(b"answer"), server_context())
    client = Client(end, flight=flight)
    client.until_done(client.tls.do_handshake)
    client.tls.write(b"question")
    assert client.until_done(lambda: client.tls.read(100)) == b"answer"
    assert client.tls.read(100) == b""  # close_notify
    assert end.closed
    assert end.end.received == b"question"


def test_tls_ends_when_the_client_says_goodbye():
    end = TlsEnd(SilentEnd(), server_context())
    client = Client(end)
    client.until_done(client.tls.do_handshake)
    client.exchange()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.exchange()
    assert end.closed
    assert end.error is None


def test_a_failed_handshake_closes_with_its_alert():
    plain = TlsEnd(SilentEnd(), server_context())
    plain.receive(b"\0\0\0\x10 not a client hello")
    assert plain.closed
    assert plain.error is not None
    distrusted = TlsEnd(SilentEnd(), server_context())
    client = Client(distrusted, trusts=False)
    with pytest.raises(ssl.SSLCertVerificationError):
        client.until_done(client.tls.do_handshake)
    client.exchange()
    assert distrusted.closed
    assert "UNKNOWN_CA" in str(distrusted.error)


def test_a_client_without_a_certificate_is_told_so():
    end = TlsEnd(SilentEnd(), server_context(clients=True))
    client = Client(end)
    client.until_done(client.tls.do_handshake)
    client.exchange()
    assert end.closed
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
        client.tls.read(1)
