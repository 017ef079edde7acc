"""One turn of the profile, in a process of its own: the bench's `on_delivery`, with or without a meter.

`python -m benchmarks.producers.profile_turn ARGUMENTS`, as in ARGUMENTS below; it prints a line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.producers.kproto_turns import WAYS
from benchmarks.producers.payload import KEY_SIZE, read
from benchmarks.producers.profile_meter import COLLECTOR, Meter, Methods
from benchmarks.producers.profile_parts import ProfileError
from benchmarks.producers.turn import WARM_UP, Turn
from kproto.client.driver import Driver
from kproto.client.link import Link
from kproto.client.network import NetworkClient
from kproto.client.passes import Passes
from kproto.producer.accumulator import RecordAccumulator
from kproto.producer.batch import ProducerBatch
from kproto.producer.batch_queues import BatchQueues
from kproto.producer.blocking import BlockingAppends
from kproto.producer.completions import Completions
from kproto.producer.dispatch import Dispatch
from kproto.producer.engine_thread import EngineThread
from kproto.producer.lanes import Lanes
from kproto.producer.sender import Sender
from kproto.producer.settlement import Settlement

__all__ = ["ARGUMENTS", "EACH_RECORD", "JOINING", "METHODS", "OWN_LOOP", "PARTS", "take"]

ARGUMENTS: Final = (
    *("bootstrap", "topic", "records", "size", "partitions", "compression", "linger_ms", "values_file", "keys_file"),
    *("growth", "kind"),
)
"""kind: "measured", or anything else for a turn without a meter."""

EACH_RECORD: Final = "send, for nearly every record, and the caller's loop"
OWN_LOOP: Final = "the event loop of the producer's own thread"
JOINING: Final = "joining its pieces: header and CRC-32C"

METHODS: Final[Methods] = {
    "a record that finds no room: the next batch is opened": [
        (BlockingAppends, "_roll"),
        (RecordAccumulator, "append"),
    ],
    "records that go the slow way for another reason": [(BlockingAppends, "send")],
    "waiting for memory, and at the end": [(EngineThread, "wait_for"), (Driver, "drive")],
    "sealing a batch that is full": [(BatchQueues, "seal")],
    "a pass: the guard, and who comes when": [(Passes, "run_pass"), (Passes, "_pass"), (Passes, "_decide")],
    "reading: sockets": [(Passes, "_read")],
    "reading: answers": [(Sender, "data_received")],
    "the sender: its steps, and deadlines": [(Sender, "poll")],
    "network: connections, metadata, answers that are due": [(NetworkClient, "poll")],
    "settling: what became of each batch": [(Settlement, "settle")],
    "choosing what leaves": [(Lanes, "update"), (Dispatch, "run")],
    "sending: the request is built": [(Dispatch, "_send")],
    JOINING: [(ProducerBatch, "send")],
    "writing: what is to be written": [(Passes, "_write")],
    "writing: the system call": [(Link, "send")],
    "collecting the batches that have ended": [(EngineThread, "_collect")],
    "callbacks, one for each record": [(Completions, "run")],
}
PARTS: Final = (EACH_RECORD, *METHODS, COLLECTOR, OWN_LOOP)


@dataclass
class MeasuredTurn(Turn):
    """A turn whose threads are measured while its clock runs; what comes of it is in `details`, see `take`."""

    meter: Meter | None = None

    @contextmanager
    def timed(self) -> Iterator[None]:
        assert self.meter is not None
        sender = threading.get_ident()
        own = next((one.ident for one in threading.enumerate() if one.name == "kproto-producer"), None)
        if own is None or not hasattr(time, "pthread_getcpuclockid"):
            raise ProfileError("the producer's own thread cannot be measured: is this Linux?")
        own_clock = time.pthread_getcpuclockid(own)
        taken = {thread: self.meter.taken(thread) for thread in (sender, own)}
        times = time.thread_time_ns(), time.clock_gettime_ns(own_clock)
        with super().timed():
            yield
        spent = time.thread_time_ns() - times[0], time.clock_gettime_ns(own_clock) - times[1]
        both = [self.meter.taken(thread).since(before) for thread, before in taken.items()]
        rests = [whole - sum(each.times.values()) - each.measuring for whole, each in zip(spent, both, strict=True)]
        count = len(self.values)
        parts = {
            part: ([each.times[part] for each in both], sum(each.calls[part] for each in both)) for part in METHODS
        }
        parts[COLLECTOR] = ([each.times[COLLECTOR] for each in both], sum(each.calls[COLLECTOR] for each in both))
        parts = {EACH_RECORD: ([rests[0], 0.0], count), **parts, OWN_LOOP: ([0.0, rests[1]], 0)}
        self.details["parts"] = {name: {"sender": ns[0], "own": ns[1], "calls": n} for name, (ns, n) in parts.items()}
        self.details["measuring"] = sum(each.measuring for each in both)


def take(arguments: Mapping[str, str]) -> dict[str, Any]:
    """What the line of JSON holds. arguments: ARGUMENTS. details: parts, each with ns of the sending and of the
    producer's own thread, and calls; measuring: ns. Neither where the turn is not measured."""
    count = int(arguments["records"])
    given: dict[str, Any] = {
        "bootstrap": arguments["bootstrap"],
        "topic": arguments["topic"],
        "partitions": int(arguments["partitions"]),
        "compression": arguments["compression"],
        "values": read(Path(arguments["values_file"]), int(arguments["size"]), count),
        "keys": read(Path(arguments["keys_file"]), KEY_SIZE, count),
        "settings": {"batch_growth_max_bytes": int(arguments["growth"])},
        "linger_ms": int(arguments["linger_ms"]),
    }
    measured = arguments["kind"] == "measured"
    turn = MeasuredTurn(**given, meter=Meter(METHODS)) if measured else Turn(**given)
    WAYS["on_delivery"](turn)
    return {
        "records": count,
        "seconds": turn.seconds,
        "cpu_seconds": turn.cpu_seconds,
        "warm_up": WARM_UP,
        "settings": turn.settings,
        "details": turn.details,
    }


if __name__ == "__main__":
    print(json.dumps(take(dict(zip(ARGUMENTS, sys.argv[1:], strict=True)))))
