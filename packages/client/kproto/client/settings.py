"""One setting of a configuration: what it says of itself, and how it is checked.

Layer: client. Knows no setting by name: those of the client stand in `config.py`, those of the producer in its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any

from kproto.client.errors import ConfigError
from kproto.wire.plain import did_you_mean

__all__ = ["check_setting", "setting"]


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
    optional: whether None is a value beside a default that is none; secret: never shown.
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
    minimum, maximum, choices = metadata["minimum"], metadata["maximum"], metadata["choices"]
    if minimum is not None and value < minimum:
        raise ConfigError(f"{name}: at least {minimum}, not {value}")
    if maximum is not None and value > maximum:
        raise ConfigError(f"{name}: at most {maximum}, not {value}")
    if choices is not None and value is not None and value not in choices:
        raise ConfigError(f"{name}: {did_you_mean(value, choices)}, not {value!r}")
