"""docs/simulation.md, with the table of planted bugs as the simulation has just found them."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Final

from sim.faults import FAULTS
from sim.planted import PLANTED
from sim.simulate import Outcome

__all__ = ["page"]

WIDTH: Final = 118
TEXT: Final = """\
# The simulation

kproto's promises (nothing lost, doubled or reordered; every record ends once; memory and time are bounded) are about
what happens when many things go wrong at once. No test that somebody writes down finds those. So a seed draws a whole
world, runs the producer in it on virtual time, and an oracle looks at everything that comes out. `make simulate` runs
2,000 seeds; each takes some forty milliseconds, and lives through nine seconds of its own on average.

## The world

Everything is in one thread, and one heap of events: (virtual milliseconds, a tie-break that the seed draws, a number,
what happens). Nothing sleeps: the clock jumps to the next event, or to the next deadline of the producer.

- **The producer** is the real one: the engine of both faces with its sender, accumulator, fast way, columns,
  completions and futures. Only how to wait is the simulation's (`tests/sim/face.py`), and how to drive the core
  (`tests/sim/driver.py`), which goes step by step as `kproto.client.passes` does on real sockets.
- **The brokers** are the judge's (`kproto.tools.judge`): as strict and as odd as Kafka. It remembers five batches of
  each producer and partition, it may take any first number from a producer that it does not know, and each broker may
  hear late of what has changed in the cluster.
- **The network** carries streams, as TCP does: bytes are cut anywhere, delayed, held up, lost with their connection,
  but never reordered, and never lost singly.
- **The users** are up to three, who send, send many, flush, wait and close, and who block as they would in a thread.
  Callbacks may send.
- **The plan** is drawn first, and is the whole input: settings, topics, users' steps, and faults with their times.
  Each kind of fault, and each feature, is on for some seeds and off for others. At the plan's quiet time everything
  heals: from then on every record has to be delivered.

{faults}

Sequences wrap after 2³¹ records, and epochs are used up after 32,768 failures: so some seeds begin a few numbers
before the end, on both sides. Compression is snappy, written by a few lines of Python, since the bytes of a library's
compressor, and with them the sizes of batches, differ from machine to machine.

## The oracle

Six parts. The last four are looked at as things happen, the first two when everything has ended, and all once more
after the producer has closed and the last late request has reached its broker.

1. **Order.** Each log, as far as it is the producer's, is in the order in which records were accepted, with none
   twice. Without idempotence: with one request in flight, the first copies of what was delivered are in order.
2. **Truth.** Each record ends once: its future, its callback and its batch say the same. Delivered means that it
   stands in the log, with its contents, at the offset told; *not written* means that it is nowhere; *possibly
   written* that it is there once at most.
3. **Numbers.** They begin with each epoch and have no gaps, as they are sent and as they are written. No epoch goes
   back.
4. **Requests.** A partition has batches under way on one connection only, and never more than the limit; a
   connection, too.
5. **Bounds.** The memory charged is that of the batches there are, and none when there are none; nobody waits for
   ever, for room, for an answer or for a flush; every record ends within `delivery_timeout_ms`; nobody runs in
   circles; and once the faults are over, a record to each partition is delivered.
6. **Bytes.** A batch is the same bytes each time that it is sent under one id, epoch and number.

The oracle keeps books of its own, from the frames on the wire and from what the producer tells its observers.

What it has to allow, since the protocol leaves a producer no means to know:

- Where a topic is made again while batches are under way to it by name, the new log knows nothing of their producer:
  it takes whichever comes first, and what the old log had is gone.
- Where a batch has expired and the one behind it is refused as out of order, the broker may have earlier requests for
  both in its hands, from a connection that the producer has closed since: it writes them after it has refused, and the
  second batch again under its new epoch. That takes a broker or a network that holds requests up for longer than
  `request_timeout_ms`, and a batch that expires meanwhile; a producer could only wait longer before it counts anew.
- Where a producer has used up its epochs it gets a new id, and no broker knows that the old one is over: what was
  given up under the old id, as possibly written, may still arrive, behind later records.

## A seed is the whole report

    python -m tests.sim --seeds 0:10000        # in two processes
    python -m tests.sim --seed 7               # its plan, how it went, and the digest of its trace
    python -m tests.sim --seed 7 --trace seed-7.ndjson

A seed that fails is cut down: faults, steps and records are left out for as long as it fails in the same part of the
oracle. What is left is printed, with its trace (NDJSON) and its timeline (SVG, as `kproto produce` draws it). The
same seed gives the same trace, byte for byte, on every machine, Python and hash seed: chance comes from `random()`
alone, and nothing depends on an address, a hash or the order of a set. A test compares two hash seeds.

The runner says, too, what none of its seeds has come to: of the reasons for which a batch leaves or is held, and of
the faults.

## Planted bugs

A simulation that finds nothing may be only warm air. So these {count} bugs are put into the producer in turn, each by
taking one guard away (`tests/sim/planted.py`); `python -m tests.sim planted` looks for each, and has to find it
within 500 seeds.

| bug | the guard that it takes away | first seed | what the oracle says |
| --- | --- | --- | --- |
{rows}

Other guards are for thrift. Without one of these the broker refuses what should not have been sent, and the producer
begins to count anew: that costs requests and epochs, and no record. So they are looked for as well, and must not be
found:

{thrift}

This page is made by `python -m tests.sim planted --markdown`.
"""


def page(found: Mapping[str, Outcome | None]) -> str:
    """The page. found: what the simulation said of each bug, None where it was not found."""
    rows = []
    for name, outcome in found.items():
        if PLANTED[name].thrift and outcome is None:
            continue
        seed = "not found" if outcome is None else str(outcome.seed)
        violation = None if outcome is None else outcome.violation
        said = "" if violation is None else f"part {violation.part}: {violation.why}".replace("|", "\\|")
        rows.append(f"| {name} | {PLANTED[name].guard} | {seed} | {said} |")
    thrift = [f"- {bug.guard};" for bug in PLANTED.values() if bug.thrift]
    count = len(PLANTED) - len(thrift)
    listed = "\n".join(thrift).rstrip(";") + "."
    faults = fill(f"Faults: {', '.join(FAULTS)}.", WIDTH)
    return TEXT.format(faults=faults, count=count, rows="\n".join(rows), thrift=listed)
