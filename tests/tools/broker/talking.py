"""One socket to a broker, and requests one by one."""

from __future__ import annotations

import socket

from tools.judge.judging import ANSWERS

from kproto.wire import RESPONSES, FrameReader, decode_response, encode_request

SECONDS = 20


class SocketTalk:
    """`with SocketTalk(broker.bootstrap_servers) as talk:` connects to the first node."""

    def __init__(self, servers):
        host, _, port = servers.partition(",")[0].rpartition(":")
        self.socket = socket.create_connection((host.strip("[]"), int(port)), SECONDS)
        self._reader = FrameReader()

    def __enter__(self):
        return self

    def __exit__(self, *ended):
        self.socket.close()

    def tell(self, request, version, number=1):
        self.socket.sendall(encode_request(request, version, correlation_id=number, client_id="me"))

    def payload(self):
        """The next frame; raises ConnectionError where the broker closes."""
        frames = []
        while not frames:
            data = self.socket.recv(1 << 16)
            if not data:
                raise ConnectionError
            frames = self._reader.feed(data)
        return frames[0]

    def ask(self, request, version):
        self.tell(request, version)
        cls = ANSWERS.get(request.api_key) or RESPONSES[request.api_key]
        return decode_response(self.payload(), cls, version)[1]
