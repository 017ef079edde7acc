"""Keeps the first exchange of each API that a producer has, to be shown; everything goes on to another observer.

Layer: tools. Remembers no more than one request and its response for each API.
"""

from __future__ import annotations

from kproto.client import ConnectionObserver
from kproto.tools.session import Frame
from kproto.wire import RESPONSES, ApiKey, Response
from kproto.wire.annotate import annotate_request, annotate_response
from kproto.wire.envelope import request_class

__all__ = ["FrameLog"]

LENGTH_SIZE = 4


class FrameLog(ConnectionObserver):
    """A ConnectionObserver. onward: hears all that this one hears. frames: how many there were so far.

    Called by one thread at a time, as observers are.
    """

    def __init__(self, onward: ConnectionObserver) -> None:
        self._onward = onward
        self.frames = 0
        self._asked: dict[tuple[int, int], tuple[int, bytes]] = {}
        self._exchanges: dict[int, tuple[bytes, bytes | None]] = {}

    def opened(self, connection_id: int, local: tuple[str, int], remote: tuple[str, int]) -> None:
        """See ConnectionObserver."""
        self._onward.opened(connection_id, local, remote)

    def frame(self, connection_id: int, sent: bool, frame: bytes) -> None:
        """See ConnectionObserver."""
        self.frames += 1
        self._onward.frame(connection_id, sent, frame)
        if sent:
            api_key = int.from_bytes(frame[4:6], "big")
            if api_key not in self._exchanges:
                self._exchanges[api_key] = frame[LENGTH_SIZE:], None
                self._asked[connection_id, int.from_bytes(frame[8:12], "big")] = api_key, frame[LENGTH_SIZE:]
        elif self._asked:
            found = self._asked.pop((connection_id, int.from_bytes(frame[4:8], "big")), None)
            if found is not None:
                self._exchanges[found[0]] = found[1], frame[LENGTH_SIZE:]

    def closed(self, connection_id: int) -> None:
        """See ConnectionObserver. Who was asked and did not answer may ask again."""
        self._onward.closed(connection_id)
        for place in [place for place in self._asked if place[0] == connection_id]:
            del self._exchanges[self._asked.pop(place)[0]]

    def exchange(self, api_key: ApiKey, purpose: str = "") -> list[Frame]:
        """Request and response, or what there is of them. Raises DecodeError for what cannot be decoded."""
        request, response = self._exchanges.get(api_key, (None, None))
        if request is None:
            return []
        cls, version = request_class(request)
        answer: type[Response] = RESPONSES[ApiKey(cls.api_key or 0)]
        name = f"{api_key.message_name} {version}"
        frames = [Frame(">", request, f"{name} request", purpose, annotate_request(request))]
        if response is not None:
            frames.append(Frame("<", response, f"{name} response", "", annotate_response(response, answer, version)))
        return frames
