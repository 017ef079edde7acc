"""TLS is known by its first bytes; a real ClientHello of OpenSSL is the judge."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kproto.tools.decode.tls_hello import hello_missing, is_tls, server_name


def hello(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("name", ["broker.example", "localhost", None])
def test_a_client_hello(name):
    data = hello(name)
    assert is_tls(data) == "handshake"
    assert hello_missing(data) == 0
    assert server_name(data) == name
    for size in range(5, len(data)):
        assert hello_missing(data[:size]) == len(data) - size
        assert server_name(data[:size]) in (None, name)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("15030300020250", "alert"),
        ("1703030010", "data"),
        ("1403030001", "change of cipher"),
        ("1603014000", "handshake"),
        ("1603015000", None),
        ("16030100", None),
        ("1604010010", None),
        ("1603050010", None),
        ("1803010010", None),
        ("0000001000", None),
        ("", None),
    ],
)
def test_records(data, expected):
    assert is_tls(bytes.fromhex(data)) == expected
    assert hello_missing(bytes.fromhex(data)) == (0x4000 if data == "1603014000" else 0)


def test_a_server_hello_is_no_greeting_of_a_client():
    assert hello_missing(bytes.fromhex("160303004002")) == 0
    assert server_name(bytes.fromhex("160303004002") + bytes(90)) is None


@given(st.binary(max_size=100), st.integers(0, 300))
def test_any_bytes_have_a_name_or_none(data, at):
    damaged = bytearray(hello("broker.example"))
    damaged[at : at + len(data)] = data
    name = server_name(bytes(damaged))
    assert name is None or name.isascii()
