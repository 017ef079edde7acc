"""An access log that nobody's server wrote: always the same lines for a seed, each one of a kind.

Layer: tools. Addresses are those that RFC 5737 keeps for documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

__all__ = ["access_log"]

PATHS: Final = ("/", "/orders", "/orders/{}", "/products/{}", "/cart", "/search?q={}", "/static/site.css", "/login")
AGENTS: Final = ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone)", "curl/8.9", "bot/2.1")
STATUSES: Final = (200, 200, 200, 200, 200, 301, 304, 404, 500)
NETWORKS: Final = ("192.0.2", "198.51.100", "203.0.113")
CLIENTS: Final = 250  # of each network


def access_log(lines: int, seed: int = 0) -> Iterator[tuple[bytes, bytes]]:
    """The address of a client, and its line; the number of the request in it makes the line unique."""
    rng = Random(seed)
    for number in range(lines):
        address = f"{rng.choice(NETWORKS)}.{rng.randrange(1, CLIENTS + 1)}"
        path = rng.choice(PATHS).format(rng.randrange(10_000))
        second = number // 100
        at = f"01/Jan/2024:{second // 3600 % 24:02}:{second // 60 % 60:02}:{second % 60:02} +0000"
        status, size = rng.choice(STATUSES), rng.randrange(200, 20_000)
        agent = rng.choice(AGENTS)
        line = f'{address} - - [{at}] "GET {path} HTTP/1.1" {status} {size} "-" "{agent}" request={number}'
        yield address.encode(), line.encode()
