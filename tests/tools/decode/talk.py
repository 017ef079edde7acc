"""Frames as the stage before `Conversations` gives them, made from messages."""

from __future__ import annotations

from itertools import count

from tools.decode.decoded import BROKER, CLIENT, MS, START_NS

from kproto.tools.decode.conversation import Conversations
from kproto.tools.decode.model import Frame
from kproto.wire import encode_request, encode_response


class Dialogue:
    """Feeds what is said to Conversations, a millisecond between two frames; `said` is what came out."""

    def __init__(self, apis=None, **options):
        self.conversations = Conversations(apis, **options)
        self.said = []
        self._numbers = count(1)

    def frame(self, data, *, request, conn=1, findings=(), size=None):
        number = next(self._numbers)
        whole = len(data) if size is None else size
        frame = Frame(number, START_NS + number * MS, conn, CLIENT, BROKER, request, data, whole, tuple(findings))
        return self._feed(frame)

    def ask(self, message, version, correlation_id=1, client_id="app", **more):
        data = encode_request(message, version, correlation_id=correlation_id, client_id=client_id)
        return self.frame(data[4:], request=True, **more)

    def answer(self, message, version, correlation_id=1, **more):
        data = encode_response(message, version, correlation_id=correlation_id)
        return self.frame(data[4:], request=False, **more)

    def bare(self, *findings, conn=1, ended=False):
        ends = (CLIENT, BROKER) if conn else ("", "")
        return self._feed(Frame(0, START_NS, conn, *ends, True, b"", 0, findings, bare=True, ended=ended))

    def close(self, conn=1):
        return self.bare(conn=conn, ended=True)

    def _feed(self, frame):
        (decoded,) = self.conversations.feed(frame)
        self.said.append(decoded)
        return decoded


def codes(decoded):
    """The codes of its findings, notices in brackets."""
    return [f"({each.code})" if each.notice else each.code for each in decoded.findings]
