"""What is sent: distinct JSON orders of exactly one size, and keys of ten bytes; the same in each run, for all.

They are written to files once, end to end, so that every contender, in whatever language, starts with the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

__all__ = ["KEY_SIZE", "SIZE_MIN", "keys", "read", "values", "write"]

KEY_SIZE: Final = 10  # bytes
SIZE_MIN: Final = 80  # bytes: an order without items and without a note
SEED: Final = 20_240_229
FIRST_ORDER: Final = 4_000_000
ITEMS: Final = 100_000  # about 8 MB: no compressor's window sees one of them twice
# fmt: off
WORDS: Final = (
    "amber", "apple", "basket", "birch", "bottle", "bronze", "canvas", "cedar", "cherry", "copper", "crystal",
    "ember", "feather", "forest", "ginger", "granite", "honey", "ivory", "jasper", "ladder", "lantern", "lemon",
    "maple", "meadow", "mosaic", "oak", "orchid", "pebble", "pillow", "plum", "quartz", "ribbon", "saffron", "saddle",
    "silk", "slate", "steel", "sugar", "thistle", "tulip", "walnut", "wool",
)
# fmt: on


def values(size: int, count: int, seed: int = SEED) -> Iterator[bytes]:
    """JSON objects of `size` bytes, each another order: its number, customer, total, items, and a note to fill it up.

    Raises ValueError below SIZE_MIN.
    """
    if size < SIZE_MIN:
        raise ValueError(f"size: {SIZE_MIN} bytes or more, not {size}")
    random = Random(seed)
    items = _items(random, min(ITEMS, size * count // 80 + 100))
    item_size = max(map(len, items)) + 1
    note = " ".join(random.choices(WORDS, k=20_000)).encode()
    each = (size - SIZE_MIN) // item_size
    bits, last_item, last_note = random.getrandbits, len(items) - each, len(note) - size
    for number in range(FIRST_ORDER, FIRST_ORDER + count):
        at = number * each % last_item if each else 0
        total = bits(16)
        head = b'{"order":%d,"customer":"c%05d","total":%d.%02d,"items":[%b],"note":"' % (
            number,
            bits(16),
            total // 100,
            total % 100,
            b",".join(items[at : at + each]),
        )
        begin = bits(20) % last_note
        yield head + note[begin : begin + size - len(head) - 2] + b'"}'


def _items(random: Random, count: int) -> list[bytes]:
    made = []
    for _ in range(count):
        name = f"{random.choice(WORDS)} {random.choice(WORDS)}"
        item = {"sku": f"{random.getrandbits(28):07x}", "name": name, "qty": random.randrange(1, 9)}
        made.append(json.dumps({**item, "price": random.randrange(99, 99_999)}, separators=(",", ":")).encode())
    return made


def keys(cardinality: int, count: int, run: int = 1, seed: int = SEED) -> Iterator[bytes]:
    """Keys in random order, out of so many; where there are enough of them, none is drawn twice.

    run: how many records in a row have the key that was drawn.
    """
    random, numbers = Random(seed), range(cardinality)
    draws = -(-count // run)
    drawn = random.sample(numbers, draws) if cardinality >= draws else random.choices(numbers, k=draws)
    return (b"%0*d" % (KEY_SIZE, drawn[at // run]) for at in range(count))


def write(path: Path, parts: Iterator[bytes]) -> Path:
    """All of them, one behind the other."""
    path.write_bytes(b"".join(parts))
    return path


def read(path: Path, size: int, count: int) -> list[bytes]:
    """The first `count` of a file, each an object of its own. Raises ValueError where there are fewer."""
    with path.open("rb") as file:
        data = file.read(size * count)
    if len(data) < size * count:
        raise ValueError(f"{path} holds {len(data) // size} parts of {size} bytes, not {count}")
    return [data[at : at + size] for at in range(0, size * count, size)]
