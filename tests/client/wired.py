"""A connection and a server's end, face to face: no network, and time stands still but in `advance`.

wired = Wired(ScriptedBroker(ScriptedCluster()).connect()).begin()
wired.ask("token")
wired.pump()
wired.ended["token"].response
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from random import Random

import trustme
from client.other_ends import End

from kproto.client.config import ClientConfig
from kproto.client.connection import Completion, Connection, ConnectionSettings, ConnectionState
from kproto.client.security import Security
from kproto.client.transitions import IllegalTransition
from kproto.wire import KafkaError, MetadataRequest, MetadataResponse, ProduceRequest, Request, Response

ADDRESS = "b:9092"
ALL_TOPICS = MetadataRequest(topics=None)
STEPS_MAX = 10_000
CA = trustme.CA()
SERVER_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CA.issue_cert("b").configure_cert(SERVER_CONTEXT)
CLIENT_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CA.configure_trust(CLIENT_CONTEXT)
TLS = {"security_protocol": "SSL", "ssl_context": CLIENT_CONTEXT}

Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def random_pieces(rng: Random) -> Cut:
    """Pieces of 1 to 40 bytes."""

    def cut(data: bytes) -> list[bytes]:
        made = []
        while data:
            size = rng.randint(1, 40)
            made.append(data[:size])
            data = data[size:]
        return made

    return cut


class Wired:
    """See the module. end: the server's; cut: how bytes are split, both ways; tamper: what becomes of the server's.

    tokens: what OAUTHBEARER's provider gives, in turn. config: settings of `ClientConfig`, beside those named here.
    """

    def __init__(
        self,
        end: End,
        *,
        cut: Cut = whole,
        tamper: Callable[[bytes], bytes] = bytes,
        tokens: tuple[str | KafkaError, ...] = (),
        now_ms: int = 0,
        setup_timeout_ms: int = 10_000,
        host: str = "b",
        seed: int = 0,
        cluster_id: str | None = None,
        node_id: int = -1,
        observe: Callable[[bool, bytes], None] | None = None,
        **config: object,
    ) -> None:
        self.end = end
        self.cut = cut
        self.tamper = tamper
        self.tokens = list(tokens)
        self.now_ms = now_ms
        self.ended: dict[object, Completion] = {}
        """Token -> how its request ended, in the order of ending."""
        settings = ClientConfig.of(client_id="me", **config)
        self.connection = Connection(
            ConnectionSettings(
                client_id=settings.client_id,
                request_timeout_ms=settings.request_timeout_ms,
                max_in_flight=settings.max_in_flight_requests_per_connection,
                receive_message_max_bytes=settings.receive_message_max_bytes,
                security=Security(settings, lambda: "nonce"),
                software_version="0",
            ),
            host,
            ADDRESS,
            rng=Random(seed),
            now_ms=now_ms,
            setup_timeout_ms=setup_timeout_ms,
            cluster_id=cluster_id,
            node_id=node_id,
            observe=observe,
        )
        self.sent: list[object] = []
        """The tokens of all that was sent."""
        self._lost = False

    @property
    def state(self) -> ConnectionState:
        return self.connection.state

    @property
    def error(self) -> str:
        """Why it is closed: the class and the text."""
        assert self.state is ConnectionState.CLOSED
        return f"{type(self.connection.error).__name__}: {self.connection.error}"

    def begin(self) -> Wired:
        """TCP is connected, and all is said that either side has to say."""
        self.connection.connection_made(self.now_ms)
        return self.pump()

    def pump(self) -> Wired:
        """Until neither side has anything to say."""
        for _ in range(STEPS_MAX):
            if not self._step():
                self.collect()
                return self
        raise AssertionError("they never stop talking")

    def _step(self) -> bool:
        connection = self.connection
        if connection.wants_token and self.tokens:
            connection.token_fetched(self.tokens.pop(0), self.now_ms)
        elif connection.outbound:
            self.write()
        elif data := self.end.output():
            for piece in self.cut(self.tamper(data)):
                connection.data_received(piece, self.now_ms)
        elif self.end.closed and not self._lost:
            self._lost = True
            connection.connection_lost(None, self.now_ms)
        else:
            return False
        return True

    def write(self) -> None:
        """What waits goes out, piece by piece."""
        for piece in self.cut(b"".join(self.connection.outbound)):
            self.end.receive(piece, self.now_ms)
            self.connection.data_sent(len(piece), self.now_ms)

    def collect(self) -> None:
        """Take the completions; each token ends once, with an answer or an error of the broker's making."""
        for completion in self.connection.take_completions():
            assert completion.token not in self.ended, "completed twice"
            assert completion.response is None or completion.error is None
            self.ended[completion.token] = completion
        assert not isinstance(self.connection.error, IllegalTransition)

    def advance(self, ms: int) -> Wired:
        """So much time passes; the core is polled at each of its deadlines, and at the end."""
        until_ms = self.now_ms + ms
        for _ in range(STEPS_MAX):
            deadline_ms = self.connection.next_deadline_ms()
            if deadline_ms is None or deadline_ms > until_ms:
                break
            self.now_ms = max(self.now_ms, deadline_ms)
            self.connection.poll(self.now_ms)
            self.pump()
        else:
            raise AssertionError("its deadlines never end")
        self.now_ms = until_ms
        self.connection.poll(self.now_ms)
        return self.pump()

    def ask(self, token: object, request: Request = ALL_TOPICS, version: int = 9, **more: int) -> None:
        """A request with an answer, only sent."""
        assert self.connection.can_send()
        response: type[Response] = MetadataResponse
        self.connection.send(request, version, token, self.now_ms, response=response, **more)
        self.sent.append(token)

    def tell(self, token: object) -> None:
        """A request without an answer, only sent."""
        assert self.connection.can_send()
        self.connection.send(ProduceRequest(acks=0), 9, token, self.now_ms, response=None)
        self.sent.append(token)

    def answers(self) -> list[tuple[object, object]]:
        """Token and whether it was answered, or else the class of its error."""
        return [(token, type(done.error or done.response).__name__) for token, done in self.ended.items()]
