"""The parts of accepting a record, and `fast_send.make_fast_send` with one of them left out.

The parts are cut out of its text, so that what is measured is what runs. Each text that is cut has to stand there
exactly as often as is said here: where the fast way has changed, this fails, and says where.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from kproto.producer import fast_send

__all__ = ["PARTS", "Make", "Part", "ProfileError", "without"]


class ProfileError(Exception):
    """The figures would mean something else than is said; says what has changed, or what went wrong."""


@dataclass(frozen=True, slots=True)
class Part:
    """Something that may be left out. cuts: a text, how often it stands there, and what is put in its place."""

    name: str
    cuts: tuple[tuple[str, int, str], ...]


ADDS: Final = "builder.count == index and size < batch.room"
NO_STEP: Final = ""

PARTS: Final = (
    Part(
        "the arguments that most records lack: partition, timestamp, headers",
        (
            ("timestamp_ms is None and ", 1, NO_STEP),
            ("if partition is None:", 1, "if True:"),
            ("if headers is None:", 1, "if True:"),
        ),
    ),
    Part("whether the value is bytes", ((" and type(value) is bytes:", 1, ":"),)),
    Part(
        "the way of the key: topic and key are looked up, the queue of the partition is found",
        (
            (
                "sizes, sized, no_headers = ",
                1,
                "route = routes['orders'][next(iter(routes['orders']))]; sizes, sized, no_headers = ",
            ),
            ("= routes[topic][key]", 1, "= route"),
        ),
    ),
    Part("the clock", (("now_s = clock()", 1, "now_s = 0.0"),)),
    Part("whether the millisecond is over", (("ticks = now_s >= batch.tick_end_s", 1, "ticks = False"),)),
    Part("the first look: whether a batch is open", (("if batch.room > 0:", 1, "if True:"),)),
    Part("the head: deltas of timestamp and offset, from a table", (("head = heads[index]", 1, "head = no_headers"),)),
    Part(
        "the sizes: of value and record, and how long these are as varints",
        (
            ("value_size = len(value)", 1, "pass"),
            ("value_part = sized[value_size]", 1, "pass"),
            ("record_size = key_size + value_part + len(head)", 1, "pass"),
            ("added = sized[record_size]", 1, "added = 120"),
            ("sizes[record_size]", 1, "no_headers"),
            ("sizes[value_size]", 1, "no_headers"),
        ),
    ),
    Part(
        "the pieces: a tuple of six, and their place in the list",
        (
            ("record = (sizes[record_size], head, key_part, sizes[value_size], value, tail)", 1, "pass"),
            ("builder.parts += record; ", 3, NO_STEP),
        ),
    ),
    Part("the second look: whether the batch is as it was, and has room", ((f"if {ADDS}: ", 3, "if True: "),)),
    Part("the count and size of the batch", (("builder.size = size; builder.count = index + 1; ", 3, NO_STEP),)),
    Part(
        "the future, and its batch and index",
        (
            ("delivery = new()", 4, "delivery = True"),
            ("delivery._batch = batch", 1, "pass"),
            ("delivery._index = index", 1, "pass"),
        ),
    ),
    Part("the largest record of the batch", (("if added > batch.largest_record:", 1, "if False:"),)),
    Part("whether the partition is the sticky one", (("if unkeyed is not None:", 1, "if False:"),)),
)

Make = Callable[..., Callable[..., Any]]


def without(part: Part | None, source: str | None = None) -> Make:
    """`make_fast_send` without this part; with all of them for None. source: another text of it.

    Raises ProfileError where the text that is to be cut is not there, or elsewhere, too.
    """
    source = inspect.getsource(fast_send.make_fast_send) if source is None else source
    name = "nothing" if part is None else part.name
    for text, times, instead in () if part is None else part.cuts:
        found = source.count(text)
        if found != times:
            raise ProfileError(
                f"{text!r} stands {found} times in make_fast_send, not {times}: the fast way has changed, and so must "
                f"the cut for {name!r} in {__name__}"
            )
        source = source.replace(text, instead)
    namespace: dict[str, Any] = dict(vars(fast_send))
    exec(compile(f"from __future__ import annotations\n{source}", f"<without {name}>", "exec"), namespace)
    made: Make = namespace["make_fast_send"]
    return made
