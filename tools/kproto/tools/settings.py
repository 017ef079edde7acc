"""Settings of a client from the command line: `-X name=value`, and files of such lines.

Layer: tools. Owns no setting: names, types and bounds are those of the configuration class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from kproto.client import ClientConfig, ConfigError
from kproto.wire.plain import did_you_mean

__all__ = ["parse_settings", "read_settings"]

WORDS = {"true": True, "false": False}


def parse_settings(lines: Iterable[str], config: type[ClientConfig] = ClientConfig) -> dict[str, Any]:
    """Name -> value, typed as the configuration has it. Names may be Java's, with dots.

    Raises ConfigError for a line without =, a name that does not exist, and a value of another type; a value is never
    in the text, since it may be a secret.
    """
    known = {item.name: item.default for item in fields(config)}
    found: dict[str, Any] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        name = name.strip().replace(".", "_").replace("-", "_")
        if not equals:
            raise ConfigError(f"a setting is written name=value, such as client_id=me; there is no = behind {name!r}")
        if name not in known:
            raise ConfigError(f"there is no setting {name!r}: {did_you_mean(name, known)}")
        found[name] = _typed(name, value.strip(), known[name])
    return found


def _typed(name: str, value: str, default: Any) -> Any:
    if isinstance(default, bool):
        if value.lower() not in WORDS:
            raise ConfigError(f"{name}: true or false")
        return WORDS[value.lower()]
    if isinstance(default, int):
        try:
            return int(value)
        except ValueError:
            raise ConfigError(f"{name}: a whole number") from None
    return value


def read_settings(path: Path) -> Iterator[str]:
    """The lines of a properties file that are settings: no comments, no empty ones. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "!")):
            yield line
