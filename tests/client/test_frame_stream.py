"""Bytes into frames and out of them, however they are split, with and without TLS."""

from __future__ import annotations

import ssl

import pytest
import trustme
from client.other_ends import RawEnd, TlsEnd
from hypothesis import given
from hypothesis import strategies as st

from kproto.client.errors import KafkaConnectionError, NotKafkaError, SslAuthenticationError
from kproto.client.frame_stream import FrameStream
from kproto.client.tls import TlsStream
from kproto.wire import frame

CA = trustme.CA()
SERVER = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CA.issue_cert("b").configure_cert(SERVER)
CLIENT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CA.configure_trust(CLIENT)
PAYLOADS = st.lists(st.binary(max_size=30), max_size=6)
SPLITS = st.lists(st.integers(1, 20), min_size=1)


def plain(size_max: int = 1000) -> FrameStream:
    return FrameStream("b:9092", None, size_max)


def secured(host: str = "b") -> FrameStream:
    return FrameStream("b:9093", TlsStream(CLIENT, host, "b:9093"), 1000)


def pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """All of it, in pieces of these sizes over and over."""
    cut, turn = [], 0
    while data:
        cut.append(data[: sizes[turn % len(sizes)]])
        data = data[sizes[turn % len(sizes)] :]
        turn += 1
    return cut


def feed(stream: FrameStream, data: list[bytes]) -> list[bytes]:
    return [payload for piece in data for payload in stream.receive(piece)]


def write_all(stream: FrameStream) -> bytes:
    data = b"".join(stream.outbound)
    stream.sent(len(data))
    assert not stream.outbound
    return data


def shake(stream: FrameStream, end: TlsEnd) -> list[bytes]:
    """Until neither side has anything to say; the frames that came."""
    frames = []
    while stream.outbound:
        end.receive(write_all(stream))
        frames += stream.receive(end.output())
    return frames


def established() -> tuple[FrameStream, TlsEnd]:
    stream, end = secured(), TlsEnd(RawEnd(b"", close=False), SERVER)
    assert not stream.established
    stream.start()
    assert shake(stream, end) == []
    assert stream.established
    return stream, end


def test_without_tls_it_is_established_at_once():
    stream = plain()
    stream.start()
    stream.end()
    assert stream.established
    assert not stream.outbound


@given(PAYLOADS, SPLITS)
def test_f01_f02_frames_come_whole_however_the_bytes_are_split(payloads, sizes):
    stream = plain()
    data = b"".join(map(frame, payloads))
    assert feed(stream, pieces(data, sizes)) == payloads
    stream.check()
    assert (stream.frames_received, stream.bytes_received) == (len(payloads), len(data))


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=6), SPLITS)
def test_what_is_written_goes_out_in_order_whatever_is_written_at_once(buffers, sizes):
    stream = plain()
    stream.write([buffers[0], *map(bytearray, buffers[1:])] if buffers else [])
    out, turn = b"", 0
    while stream.outbound:
        waiting = b"".join(stream.outbound)
        size = min(len(waiting), sizes[turn % len(sizes)])
        out += waiting[:size]
        stream.sent(size)
        turn += 1
    assert out == b"".join(buffers)
    assert stream.bytes_sent == len(out)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "an HTTP server answers: this is not the port of a Kafka listener"),
        (b"\x15\x03\x03\x00\x02\x02\x50", "the listener speaks TLS: set security_protocol to SSL or SASL_SSL"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH server answers: this is not the port of a Kafka listener"),
        (b"\xff\xff\xff\xff", "what came is no answer of Kafka's: frame at byte 0: expected a length of 0 to 1000, "),
        (b"\x00\x00\x03\xe9", "what came is no answer of Kafka's: frame at byte 0: expected a length of 0 to 1000, "),
    ],
)
def test_f03_a_length_that_cannot_be_is_told_in_words_also_byte_by_byte(data, said):
    for sizes in ([len(data)], [1]):
        with pytest.raises(NotKafkaError) as caught:
            feed(plain(), pieces(data, sizes))
        assert str(caught.value).startswith(f"b:9092: {said}")


def test_f03_a_frame_of_length_0_is_a_frame():
    assert plain().receive(bytes(4)) == [b""]


def test_f03_what_follows_a_frame_is_no_greeting():
    stream = plain()
    stream.receive(frame(b"x"))
    with pytest.raises(NotKafkaError, match="what came is no answer of Kafka's: frame at byte 5: "):
        stream.receive(b"HTTP/1.1")


def test_frames_before_a_wrong_length_are_given_and_check_raises():
    stream = plain()
    assert stream.receive(frame(b"one") + frame(b"two") + b"\xff\xff\xff\xff") == [b"one", b"two"]
    for _ in range(2):
        with pytest.raises(NotKafkaError, match="what came is no answer of Kafka's: frame at byte 14: "):
            stream.check()


def test_check_finds_nothing_wrong_in_an_unfinished_frame():
    stream = plain()
    assert stream.receive(b"\x00\x00") == []
    stream.check()
    assert stream.receive(b"\x00\x01x") == [b"x"]


# With TLS


@given(PAYLOADS, SPLITS)
def test_tls_frames_come_whole_however_the_encrypted_bytes_are_split(payloads, sizes):
    stream, end = established()
    end.end._data = b"".join(map(frame, payloads))
    end.end._speak()
    end.end.closed = False
    assert feed(stream, pieces(end.output(), sizes)) == payloads
    stream.check()


def test_tls_what_is_written_is_encrypted():
    stream, end = established()
    stream.write([frame(b"a secret"), frame(b"another")])
    data = write_all(stream)
    assert b"secret" not in data
    end.receive(data)
    assert bytes(end.end.received) == frame(b"a secret") + frame(b"another")


def test_tls_an_alert_is_an_error_and_so_is_our_refusal():
    stream = secured("other")
    stream.start()
    with pytest.raises(SslAuthenticationError, match="the broker's certificate is for other names than other"):
        shake(stream, TlsEnd(RawEnd(b""), SERVER))
    with pytest.raises(SslAuthenticationError):
        stream.check()


def test_tls_2_the_goodbye_of_a_stream_that_refuses_is_its_alert():
    stream, end = secured("other"), TlsEnd(RawEnd(b""), SERVER)
    stream.start()
    with pytest.raises(SslAuthenticationError):
        shake(stream, end)
    assert stream.goodbye == b""
    stream.close()
    end.receive(stream.goodbye)
    assert "ALERT" in str(end.error)


def test_tls_2_damage_behind_good_frames_is_told_by_an_alert_too():
    stream, end = established()
    end.end._data, end.end._close = frame(b"good"), False
    end.end._speak()
    assert stream.receive(end.output() + b"\x17\x03\x03\x00\x13" + bytes(19)) == [b"good"]
    stream.close()
    end.receive(stream.goodbye)
    assert "ALERT" in str(end.error)


@pytest.mark.parametrize("again", [False, True])
def test_tls_2_the_goodbye_is_a_close_notify(again):
    stream, end = established()
    stream.close()
    if again:
        stream.close()
    end.receive(stream.goodbye)
    assert end.goodbye and end.error is None


def test_tls_2_behind_what_was_not_written_there_is_no_goodbye():
    """The broker could not read it, and must not get the rest of a request that has failed."""
    stream, _ = established()
    stream.write([frame(b"a request")])
    stream.sent(7)
    stream.close()
    stream.close()
    assert stream.goodbye == b"" and not stream.outbound


def test_plain_text_has_no_goodbye():
    stream = plain()
    stream.write([frame(b"a request")])
    stream.close()
    assert stream.goodbye == b"" and not stream.outbound


@pytest.mark.parametrize("begun", [False, True])
def test_tls_that_is_not_established_has_no_goodbye(begun):
    stream = secured()
    if begun:
        stream.start()
        write_all(stream)
    stream.close()
    assert stream.goodbye == b""


def test_tls_damage_behind_good_frames_is_raised_by_check():
    stream, end = established()
    end.end._data, end.end._close = frame(b"good"), False
    end.end._speak()
    assert stream.receive(end.output() + b"\x17\x03\x03\x00\x13" + bytes(19)) == [b"good"]
    with pytest.raises(KafkaConnectionError, match="the TLS stream broke"):
        stream.check()
    with pytest.raises(KafkaConnectionError, match="the TLS stream broke"):
        stream.write([b"x"])


def test_tls_a_name_that_no_certificate_can_have_is_refused_at_the_start():
    with pytest.raises(SslAuthenticationError, match="no TLS with a host of the name"):
        secured("").start()


def test_tls_the_end_in_the_handshake_or_straight_after_it_says_what_it_means():
    begun = secured()
    begun.start()
    with pytest.raises(KafkaConnectionError, match="during the TLS handshake: a plaintext listener closes so"):
        begun.end()
    done, _ = established()
    with pytest.raises(KafkaConnectionError, match="it may ask for a client certificate, or refuse ours"):
        done.end()


def test_tls_the_end_after_a_frame_is_an_end_like_any_other():
    stream, end = established()
    end.end._data, end.end._close = frame(b"x"), False
    end.end._speak()
    assert stream.receive(end.output()) == [b"x"]
    stream.end()


def test_tls_an_http_server_behind_it_is_recognized():
    stream, end = established()
    end.end._data, end.end._close = b"HTTP/1.1 400 Bad Request", False
    end.end._speak()
    with pytest.raises(NotKafkaError, match="an HTTP server answers"):
        stream.receive(end.output())
