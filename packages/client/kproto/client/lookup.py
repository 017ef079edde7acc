"""Looks names up without holding anybody up.

Layer: client. Part of the driver: it does I/O. Each look-up has a daemon thread of its own, so that a resolver that
hangs delays neither the loop nor the interpreter's exit.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from kproto.client.errors import KafkaConnectionError, KafkaError

__all__ = ["look_up"]

Done = Callable[[Sequence[str] | KafkaError], None]


def look_up(host: str, port: int, done: Done) -> None:
    """The numeric addresses of a name, of both families, in the system's order; or why there are none.

    `done` is called once: at once, by this thread, for what is numeric already; else later, by a thread of its own.
    """
    with suppress(OSError, UnicodeError):
        done(_addresses(host, port, socket.AI_NUMERICHOST))
        return
    threading.Thread(target=_look_up, args=(host, port, done), name=f"kproto-lookup-{host}", daemon=True).start()


def _look_up(host: str, port: int, done: Done) -> None:
    try:
        found: Sequence[str] | KafkaError = _addresses(host, port, 0)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        found = KafkaConnectionError(f"{host}:{port}", f"the name cannot be resolved: {why}")
    done(found)


def _addresses(host: str, port: int, flags: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP, flags=flags)
    return list(dict.fromkeys(str(address[4][0]) for address in found))
