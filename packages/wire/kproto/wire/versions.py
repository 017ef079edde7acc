"""Ranges of versions as Kafka's message JSON writes them: "0-5", "3+", "7", "none".

Layer: wire.
"""

from __future__ import annotations

import re
from typing import Final

from kproto.wire.errors import WireError

__all__ = ["NO_VERSIONS", "VERSION_MAX", "parse_versions", "show_versions"]

VERSION_MAX: Final = 32_767  # an int16 on the wire
NO_VERSIONS: Final = range(0)


def parse_versions(text: str) -> range:
    """The versions that `text` names; an open end reaches to 32,767. Raises WireError for anything else.

    >>> parse_versions("3-5"), parse_versions("none")
    (range(3, 6), range(0, 0))
    """
    if text == "none":
        return NO_VERSIONS
    match = re.fullmatch(r"([0-9]{1,5})(?:(\+)|-([0-9]{1,5}))?", text)
    if match is None:
        raise WireError(f'versions are written as "0-5", "3+", "7" or "none", not {text!r}')
    first, open_end, last = match.groups()
    stop = VERSION_MAX if open_end else int(last or first)
    if not int(first) <= stop <= VERSION_MAX:
        raise WireError(f"a version range that ends before it begins, or past {VERSION_MAX}: {text!r}")
    return range(int(first), stop + 1)


def show_versions(versions: range) -> str:
    """The text that `parse_versions` reads.

    >>> show_versions(range(3, 6)), show_versions(parse_versions("9+"))
    ('3-5', '9+')
    """
    if not versions:
        return "none"
    if versions.stop > VERSION_MAX:
        return f"{versions.start}+"
    return str(versions.start) if len(versions) == 1 else f"{versions.start}-{versions.stop - 1}"
