"""One setting of a configuration: what it says of itself, and how it is checked.

Layer: client. Knows no setting by name: those of the client stand in `config.py`, those of the producer in its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import Field, field, fields
from typing import Any, Final

from kproto.client.errors import ConfigError
from kproto.wire.plain import did_you_mean

__all__ = ["check_setting", "kind_of", "parse_setting", "setting", "settings_of"]

INT64_MAX: Final = 2**63 - 1
WORDS: Final = {"true": True, "false": False}
WHOLE: Final = re.compile(r"[+-]?[0-9]{1,30}")


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


def settings_of(config: Any) -> tuple[Field[Any], ...]:
    """The settings of a configuration, or of its class: what its constructor takes, in order."""
    return tuple(item for item in fields(config) if item.init)


def kind_of(metadata: Any, default: Any) -> type:
    """The type of a setting beside None; object for any."""
    kind: type = metadata["kind"] or type(default)
    return kind


def parse_setting(name: str, text: str, metadata: Any, default: Any) -> Any:
    """The value of a setting that is given as text; the text itself where it is neither a number nor a bool.

    Checks no bounds. Raises ConfigError, whose text never shows the value: it may be a secret that went astray.
    """
    kind = kind_of(metadata, default)
    if kind is bool:
        if text.lower() not in WORDS:
            raise ConfigError(f"{name}: true or false")
        return WORDS[text.lower()]
    if kind is int:
        if not WHOLE.fullmatch(text):
            raise ConfigError(f"{name}: a whole number")
        return int(text)
    return text


def check_setting(name: str, value: Any, metadata: Any, default: Any) -> None:
    """Type, bounds and choices of one setting. A secret's value is not shown."""
    kinds = {bool: "True or False", int: "an int", str: "a str"}
    kind = kind_of(metadata, default)
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
