"""One setting of a configuration: what it says of itself, and how it is checked.

Layer: client. Knows no setting by name: those of the client stand in `config.py`, those of the producer in its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any, Final

from kproto.client.errors import ConfigError
from kproto.wire.plain import did_you_mean

__all__ = ["check_setting", "setting"]

INT64_MAX: Final = 2**63 - 1


def setting(
    default: Any,
    about: str,
    *,
    minimum: int | None = None,
    maximum: int | None = None,
    choices: Sequence[str] | None = None,
    kind: type | None = None,
    optional: bool = False,
    secret: bool = False,
) -> Any:
    """A field of a configuration.

    about: a sentence for people, with the unit. kind: its type where the default does not show it, object for any;
    minimum, maximum: of an int, which is a long of Java's at most; optional: whether None is a value beside a default
    that is none; secret: never shown.
    """
    metadata = {
        "about": about,
        "minimum": minimum,
        "maximum": maximum,
        "choices": choices,
        "kind": kind,
        "optional": optional,
        "secret": secret,
    }
    return field(default=default, repr=not secret, metadata=metadata)


def check_setting(name: str, value: Any, metadata: Any, default: Any) -> None:
    """Type, bounds and choices of one setting. A secret's value is not shown."""
    kinds = {bool: "True or False", int: "an int", str: "a str"}
    kind = metadata["kind"] or type(default)
    optional = default is None or metadata["optional"]
    if kind in kinds and type(value) is not kind and not (optional and value is None):
        shown = "a value of another kind" if metadata["secret"] else repr(value)
        raise ConfigError(f"{name}: {kinds[kind]}{' or None' if optional else ''}, not {shown}")
    choices = metadata["choices"]
    if type(value) is int:
        _check_bounds(name, value, metadata["minimum"], metadata["maximum"])
    if choices is not None and value is not None and value not in choices:
        raise ConfigError(f"{name}: {did_you_mean(value, choices)}, not {value!r}")


def _check_bounds(name: str, value: int, minimum: int | None, maximum: int | None) -> None:
    least = -INT64_MAX - 1 if minimum is None else minimum
    most = INT64_MAX if maximum is None else maximum
    if value < least:
        raise ConfigError(f"{name}: at least {least}, not {value}")
    if value > most:
        raise ConfigError(f"{name}: at most {most}, not {value}")
