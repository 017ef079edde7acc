"""One connection to one broker: bytes in, answers out.

Layer: client. A core: opens nothing and reads no clock. It takes TLS, SASL and the versions in turn before it is ready,
answers in the order it was asked, and ends as a whole: after a timeout, a wrong correlation id or bytes that make no
sense nothing on it can be trusted, so every request on it fails with the one cause.
Source: org.apache.kafka.clients.NetworkClient, ClusterConnectionStates; KIP-219, KIP-368, KIP-511, KIP-1242.

A driver calls `connection_made`, `data_received`, `connection_lost` and `poll`, writes `outbound` and says so with
`data_sent`. Whoever owns it calls `send` when `can_send` says so, and takes the completions.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from kproto.client import diagnosis
from kproto.client.api_versions_check import ApiVersionsCheck
from kproto.client.connection_settings import ConnectionSettings
from kproto.client.connection_state import TRANSITIONS, UNREADY, ConnectionEvent, ConnectionState, Readiness
from kproto.client.deadlines import earliest
from kproto.client.errors import KafkaConnectionError, KafkaTimeoutError
from kproto.client.frame_stream import FrameStream, Observe
from kproto.client.in_flight import Completion, Internal
from kproto.client.login import Ask, Login
from kproto.client.pipeline import Pipeline
from kproto.client.throttle import Throttle, throttle_ms_of
from kproto.client.transitions import step
from kproto.client.versions import ApiVersions
from kproto.wire import RESPONSES, DecodeError, KafkaError, Request, Response, decode_response_prefix

__all__ = ["TRANSITIONS", "Completion", "Connection", "ConnectionEvent", "ConnectionSettings", "ConnectionState"]


class Connection:
    """See the module. host: the name that the certificate must be for; address: "host:port", for people.

    cluster_id, node_id: whom we believe to reach (KIP-1242), None and -1 for a bootstrap server. observe: hears of each
    frame. surplus_bytes: how many came behind answers. Not thread-safe.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        host: str,
        address: str,
        *,
        rng: Random,
        now_ms: int,
        setup_timeout_ms: int,
        cluster_id: str | None = None,
        node_id: int = -1,
        observe: Observe | None = None,
    ) -> None:
        self.settings = settings
        self.address = address
        self.state = ConnectionState.CONNECTING
        self.error: KafkaError | None = None
        """Why it is closed; None until it is."""
        self.versions: ApiVersions | None = None
        """What the broker speaks; known once it is ready."""
        tls = settings.security.tls_stream(host, address)
        self.stream = FrameStream(address, tls, settings.receive_message_max_bytes)
        self.outbound = self.stream.outbound
        """What waits to be written, in order."""
        self._pipeline = Pipeline(self.stream, settings.client_id, observe)
        self.in_flight = self._pipeline.in_flight
        self.surplus_bytes = 0  # behind answers: Kafka's clients ignore them, and some brokers write them
        self.last_used_ms = now_ms
        self._completions: list[Completion] = []
        self._setup_timeout_ms = setup_timeout_ms
        self._began_ms = now_ms
        self._setup_deadline_ms = now_ms + setup_timeout_ms
        self._check = ApiVersionsCheck(address, settings.software_version, cluster_id, node_id)
        self._login = Login(settings.security, address, rng)
        self._throttle = Throttle()

    @property
    def wants_token(self) -> bool:
        """Whether the login waits for `token_fetched`."""
        return self._login.wants_token and self.state is not ConnectionState.CLOSED

    # What the world tells.

    def connection_made(self, now_ms: int) -> None:
        """TCP is connected: shake hands, log in or ask for the versions, whichever comes first."""
        if self.state is not ConnectionState.CLOSED:
            self._guard(self._begin, now_ms)

    def data_received(self, data: bytes, now_ms: int) -> None:
        """Bytes came. Whatever they are, nothing is raised: what cannot be closes the connection with its reason."""
        if self.state is not ConnectionState.CLOSED:
            self._guard(self._receive, data, now_ms)

    def connection_lost(self, reason: str | None, now_ms: int) -> None:
        """It failed, with what the system says, or the broker closed it: None."""
        if reason is None:
            self._guard(self.stream.end)
        self.close(self._lost(reason))

    def token_fetched(self, token: str | KafkaError, now_ms: int) -> None:
        """The token that `wants_token` asked for, or why there is none."""
        if not self.wants_token:
            return
        if isinstance(token, KafkaError):
            self.close(token)
        else:
            self._guard(lambda: self._ask(self._login.use_token(token), Internal.SASL, now_ms))

    def data_sent(self, size: int, now_ms: int) -> bool:
        """So many bytes of `outbound` were written. Requests without an answer are complete once all is out; whether
        any is."""
        complete = [Completion(done.token, None, None, done.version) for done in self._pipeline.written(size)]
        self._completions += complete
        return bool(complete)

    def poll(self, now_ms: int) -> None:
        """End what took too long, end a throttle, begin a due re-authentication."""
        state = self.state
        overdue = self._pipeline.overdue(now_ms)
        if overdue is not None:
            self.close(KafkaTimeoutError(f"{self.address}: {overdue.waits_for}", now_ms - overdue.sent_ms))
        elif state in UNREADY and now_ms >= self._setup_deadline_ms:
            doing = state.name.lower().replace("_", " ")
            self.close(KafkaTimeoutError(f"{self.address}: a ready connection, still {doing}", now_ms - self._began_ms))
        elif state is ConnectionState.THROTTLED and not self._throttle.holds(now_ms):
            self._move(ConnectionEvent.THROTTLE_ENDED)
        self._reauthenticate_if_due(now_ms)

    def next_deadline_ms(self) -> int | None:
        """When `poll` has something to do; None for never."""
        if self.state is ConnectionState.CLOSED:
            return None
        if self.state in UNREADY:
            other_ms: int | None = self._setup_deadline_ms
        elif self.state is ConnectionState.THROTTLED:
            other_ms = self._throttle.until_ms
        else:
            other_ms = self._login.reauthenticate_at_ms
        return earliest((self._pipeline.next_deadline_ms(), other_ms))

    # What its owner does.

    def can_send(self) -> bool:
        """Whether a request may be sent now: ready, what was sent before is written, and not too many unanswered."""
        return self.readiness() is Readiness.READY

    def readiness(self) -> Readiness:
        """Whether a request may be sent now, or why not."""
        if self.state is not ConnectionState.READY:
            return Readiness.THROTTLED if self.state is ConnectionState.THROTTLED else Readiness.NOT_CONNECTED
        if self.outbound:
            return Readiness.WRITING
        limit = self.settings.max_in_flight
        return Readiness.READY if len(self.in_flight) < limit else Readiness.IN_FLIGHT_LIMIT

    def send(
        self,
        request: Request,
        version: int,
        token: Any,
        now_ms: int,
        *,
        response: type[Response] | None,
        timeout_ms: int | None = None,
    ) -> None:
        """Send a request; its Completion carries the token. Only when `can_send`.

        response: the class of its answer, None where the broker sends none; timeout_ms: to the answer, as
        request_timeout_ms says if None. Raises EncodeError, and then nothing was sent.
        """
        timeout_ms = self.settings.request_timeout_ms if timeout_ms is None else timeout_ms
        self._pipeline.send(request, version, token, response=response, now_ms=now_ms, timeout_ms=timeout_ms)
        if not isinstance(token, Internal):  # to log in again is no use of it
            self.last_used_ms = now_ms

    def close(self, error: KafkaError) -> None:
        """It is over: all requests fail with this error, oldest first. What was closed stays as it is."""
        if self.state is ConnectionState.CLOSED:
            return
        self._move(ConnectionEvent.ENDED)
        self.error = error
        for request in self._pipeline.close():
            if not isinstance(request.token, Internal):
                self._completions.append(Completion(request.token, None, error, request.version))

    def take_completions(self) -> list[Completion]:
        """Those since the last call, in the order in which they ended."""
        taken, self._completions = self._completions, []
        return taken

    # How it gets ready.

    def _begin(self, now_ms: int) -> None:
        if not self.stream.established:
            self._move(ConnectionEvent.TLS_STARTED)
            self.stream.start()
        elif self.settings.security.uses_sasl:
            self._move(ConnectionEvent.SASL_STARTED)
            self._ask(self._login.begin(self.versions), Internal.SASL, now_ms)
        else:
            self._ask_versions(now_ms)

    def _login_answer(self, response: Response, now_ms: int) -> None:
        ask = self._login.receive(response, now_ms)
        if ask is not None:
            self._ask(ask, Internal.SASL, now_ms)
        elif self.state is ConnectionState.AUTHENTICATING:
            self._ask_versions(now_ms)
        else:
            self._move(ConnectionEvent.REAUTHENTICATED)

    def _ask_versions(self, now_ms: int) -> None:
        self._move(ConnectionEvent.API_VERSIONS_ASKED)
        self._ask(self._check.request(), Internal.API_VERSIONS, now_ms)

    def _versions_answer(self, payload: bytes, now_ms: int) -> None:
        self.versions = self._check.receive(payload)
        if self.versions is None:
            self._ask_versions(now_ms)
        else:
            self._move(ConnectionEvent.API_VERSIONS_LEARNED)

    def _reauthenticate_if_due(self, now_ms: int) -> None:
        """On the same connection, behind what is in flight: earlier answers come in the midst of it (KIP-368)."""
        due_ms = self._login.reauthenticate_at_ms
        if due_ms is not None and now_ms >= due_ms and self.state is ConnectionState.READY:
            self._move(ConnectionEvent.REAUTHENTICATION_STARTED)
            self._began_ms = now_ms  # what is in flight is answered before, each within the request's timeout
            self._setup_deadline_ms = now_ms + self.settings.request_timeout_ms + self._setup_timeout_ms
            self._guard(lambda: self._ask(self._login.begin(self.versions), Internal.SASL, now_ms))

    def _ask(self, ask: Ask | None, token: Internal, now_ms: int) -> None:
        """Send a request of our own; None where there is none yet."""
        if ask is not None:
            request, version = ask
            self.send(request, version, token, now_ms, response=RESPONSES[int(request.api_key or 0)])

    def _receive(self, data: bytes, now_ms: int) -> None:
        shaking_hands = self.state is ConnectionState.TLS_HANDSHAKE
        for payload in self.stream.receive(data):
            self._answer(payload, now_ms)
        self.stream.check()
        if shaking_hands and self.stream.established:
            self._begin(now_ms)

    def _answer(self, payload: bytes, now_ms: int) -> None:
        request = self._pipeline.match(payload)
        assert request.response is not None
        if request.token is Internal.API_VERSIONS:
            self.in_flight.complete_oldest()
            self._versions_answer(payload, now_ms)
            self._throttled(self._check.throttle_ms, now_ms)
            return
        _, response, behind = decode_response_prefix(payload, request.response, request.version)
        self.surplus_bytes += len(payload) - behind
        self.in_flight.complete_oldest()
        if request.token is Internal.SASL:
            self._login_answer(response, now_ms)
        else:
            self.last_used_ms = now_ms
            self._completions.append(Completion(request.token, response, None, request.version))
        self._throttled(throttle_ms_of(response, request.version), now_ms)

    def _throttled(self, throttle_ms: int, now_ms: int) -> None:
        """While the broker answers nothing, no time runs out; whoever logs in again is held back when that is done."""
        extension_ms = self._throttle.apply(throttle_ms, now_ms)
        self._pipeline.extend(extension_ms)
        self._setup_deadline_ms += extension_ms
        if self._throttle.holds(now_ms) and self.state in (ConnectionState.READY, ConnectionState.THROTTLED):
            self._move(ConnectionEvent.THROTTLE_STARTED)

    def _guard(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do it; whatever is wrong with the broker's bytes or credentials closes the connection with its reason."""
        try:
            action(*arguments)
        except DecodeError as error:
            if self.stream.frames_received > 1:
                self.close(KafkaConnectionError(self.address, f"an answer that cannot be read: {error}"))
            else:
                self.close(diagnosis.not_kafka(self.address, b"", error))
        except KafkaError as error:
            self.close(error)

    def _lost(self, reason: str | None) -> KafkaError:
        unanswered, answers, encrypted = len(self.in_flight), self.stream.frames_received, self.stream.tls is not None
        first = answers == 1 and unanswered > 0 and not self.settings.security.uses_sasl
        return diagnosis.lost(
            self.address,
            self.state,
            reason,
            unanswered,
            encrypted=encrypted,
            at_first_request=first,
            agreed=answers > 1,
        )

    def _move(self, event: ConnectionEvent) -> None:
        self.state = step(TRANSITIONS, self.state, event)
