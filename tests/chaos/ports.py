"""Ports that stay ours while nobody listens on them."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

LOWEST = 12_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
EPHEMERAL_FROM = 32_768  # where the system does not say; Linux' default, and below that of others


def steady_ports(count: int) -> list[int]:
    """Free ports of the loopback, each a different one, that no outgoing connection is given.

    The port of a killed broker would otherwise be taken, now and then, by a client that looks for it.
    """
    highest = EPHEMERAL_FROM
    with suppress(OSError, ValueError, IndexError):
        highest = min(highest, int(EPHEMERAL_RANGE.read_text().split()[0]))
    candidates = list(range(LOWEST, highest))
    random.SystemRandom().shuffle(candidates)
    with ExitStack() as held:
        ports: list[int] = []
        for port in candidates:
            probe = held.enter_context(socket.socket())
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError(f"no {count} free ports between {LOWEST} and {highest}")
