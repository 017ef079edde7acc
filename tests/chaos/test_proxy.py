"""The proxy of chaos: each fault does what its name says, to the connections of its node, for as long as it should."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress

import pytest
from chaos.proxy import DRIBBLE_BYTES, Proxy
from chaos.schedule import LinkFault, Trouble

WAIT = 10  # seconds for what has to come
SHORT = 0.05  # seconds for what must not come
LONG_MS = 60_000
ANSWER = bytes(range(200))
ANSWER_SIZE = len(ANSWER)


class Broker:
    """Answers each b"?" by ANSWER, and counts what it has got."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.asked = threading.Semaphore(0)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with connection, suppress(OSError):
            while data := connection.recv(100):
                for _ in data:
                    self.asked.release()
                    connection.sendall(ANSWER)

    def close(self):
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
        self.listener.close()


@pytest.fixture
def broker():
    made = Broker()
    yield made
    made.close()


@pytest.fixture
def proxy(broker):
    with Proxy() as made:
        made.forward([broker.port] * 3)
        yield made


@contextmanager
def client(proxy, node=0, asks=True):
    """A connection by way of the proxy, that is known to work."""
    with socket.create_connection(("127.0.0.1", proxy.ports[node]), timeout=WAIT) as made:
        if asks:
            ask(made)
        yield made


def ask(connection):
    connection.sendall(b"?")
    assert receive(connection) == ANSWER


def receive(connection, size=ANSWER_SIZE):
    """So many bytes, or fewer where the connection ends before."""
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def begin(proxy, fault, *, node=0, span_ms=LONG_MS, amount=7):
    proxy.play([Trouble(0, span_ms, node, fault, amount)])
    proxy.accepted()  # one more pass of its loop: the fault has begun


def has_nothing(connection):
    connection.settimeout(SHORT)
    with pytest.raises(TimeoutError):
        connection.recv(1)
    connection.settimeout(WAIT)
    return True


def test_bytes_pass_in_both_directions(proxy):
    with client(proxy) as one, client(proxy, node=2) as other:
        ask(one)
        ask(other)
    assert proxy.accepted() == [1, 0, 1]


def test_lost_acks_are_of_requests_that_arrived(proxy, broker):
    with client(proxy) as connection:
        assert broker.asked.acquire(timeout=WAIT)
        begin(proxy, LinkFault.LOSE_ACKS)
        connection.sendall(b"?")
        assert broker.asked.acquire(timeout=WAIT)
        assert has_nothing(connection)
        with client(proxy) as later:  # a new connection is healthy
            ask(later)
        proxy.clear()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_lost_acks_end_with_a_reset_in_time(proxy):
    with client(proxy) as connection:
        begin(proxy, LinkFault.LOSE_ACKS, span_ms=20)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


@pytest.mark.parametrize("amount", [1, 7, len(ANSWER) - 1, len(ANSWER) + 5])
def test_a_cut_answer_ends_in_the_middle(proxy, amount):
    """Never at its end, however short it is."""
    with client(proxy) as connection:
        begin(proxy, LinkFault.CUT_ANSWER, amount=amount)
        connection.sendall(b"?")
        assert receive(connection) == ANSWER[: min(amount, len(ANSWER) - 1)]
        assert connection.recv(1) == b""


def test_a_reset_is_no_ordinary_end(proxy):
    with client(proxy) as connection:
        begin(proxy, LinkFault.RESET)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_what_stalls_comes_later(proxy, broker):
    with client(proxy) as connection:
        assert broker.asked.acquire(timeout=WAIT)
        begin(proxy, LinkFault.STALL)
        connection.sendall(b"?")
        assert has_nothing(connection)
        assert not broker.asked.acquire(blocking=False)
        proxy.clear()
        assert receive(connection) == ANSWER


def test_a_stall_ends_by_itself(proxy):
    with client(proxy) as connection:
        begin(proxy, LinkFault.STALL, span_ms=20)
        ask(connection)


def test_a_stall_holds_new_connections_too(proxy):
    begin(proxy, LinkFault.STALL)
    with client(proxy, asks=False) as connection:
        connection.sendall(b"?")
        assert has_nothing(connection)
        proxy.clear()
        assert receive(connection) == ANSWER


def test_a_node_that_refuses_drops_all_and_takes_none_for_a_while(proxy):
    with client(proxy) as connection:
        begin(proxy, LinkFault.REFUSE)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", proxy.ports[0]), timeout=WAIT)
    proxy.clear()
    with client(proxy) as connection:
        ask(connection)


def test_a_second_refusal_prolongs_the_first(proxy):
    begin(proxy, LinkFault.REFUSE, span_ms=20)
    begin(proxy, LinkFault.REFUSE)
    with client(proxy, node=1) as other:
        assert has_nothing(other)  # longer than the first one lasts
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.ports[0]), timeout=WAIT)


def test_a_dribble_is_slow_and_whole(proxy):
    with client(proxy) as connection:
        begin(proxy, LinkFault.DRIBBLE)
        connection.sendall(b"?")
        first = connection.recv(len(ANSWER))
        assert len(first) < len(ANSWER) and len(first) % DRIBBLE_BYTES == 0
        assert first + receive(connection, len(ANSWER) - len(first)) == ANSWER


@pytest.mark.parametrize("fault", LinkFault)
def test_a_fault_is_of_its_node_only(proxy, fault):
    with client(proxy, node=1) as connection:
        begin(proxy, fault, node=0)
        ask(connection)


def test_what_has_not_begun_never_does_after_a_clear(proxy):
    with client(proxy) as connection:
        proxy.play([Trouble(30, 0, 0, LinkFault.RESET, 1)])
        proxy.clear()
        assert has_nothing(connection)
        ask(connection)


def test_a_broker_that_is_not_there_ends_connections_at_once(proxy, broker):
    broker.close()
    # The reset may come before connect() has returned.
    with pytest.raises(ConnectionResetError), client(proxy, asks=False) as connection:
        connection.recv(1)


def test_reset_all_ends_every_connection(proxy):
    with client(proxy) as one, client(proxy, node=1) as other:
        proxy.reset_all()
        for connection in (one, other):
            with pytest.raises(ConnectionResetError):
                connection.recv(1)


def test_nothing_stays(broker):
    with Proxy() as proxy:
        proxy.forward([broker.port] * 3)
        begin(proxy, LinkFault.STALL)
        with client(proxy, asks=False) as connection:
            connection.sendall(b"?")
    assert not [thread for thread in threading.enumerate() if thread.name == "chaos-proxy"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", proxy.ports[0]), timeout=WAIT)
