"""Settings of a client from the command line: `-X name=value`, and files of such lines.

Layer: tools. Owns no setting: names, types and bounds are those of the configuration class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from kproto.client import ClientConfig, ConfigError
from kproto.producer import config_from_properties
from kproto.wire.plain import did_you_mean

__all__ = ["parse_settings", "producer_settings", "read_settings"]

WORDS = {"true": True, "false": False}


def parse_settings(lines: Iterable[str], config: type[ClientConfig] = ClientConfig) -> dict[str, Any]:
    """Name -> value, typed as the configuration has it. Names may be Java's, with dots.

    Raises ConfigError for a line without =, a name that does not exist, and a value of another type; a value is never
    in the text, since it may be a secret.
    """
    known = {item.name: item.default for item in fields(config)}
    found: dict[str, Any] = {}
    for line in lines:
        written, value = _pair(line)
        name = written.replace(".", "_").replace("-", "_")
        if name not in known:
            raise ConfigError(f"there is no setting {name!r}: {did_you_mean(name, known)}")
        found[name] = _typed(name, value, known[name])
    return found


def _pair(line: str) -> tuple[str, str]:
    name, equals, value = line.partition("=")
    if not equals:
        raise ConfigError(
            f"a setting is written name=value, such as client_id=me; there is no = behind {name.strip()!r}"
        )
    return name.strip(), value.strip()


def producer_settings(*sources: Iterable[str]) -> dict[str, Any]:
    """Settings of a producer, each source stronger than those before; names may be Java's or librdkafka's, too.

    Serializers are left out: the command line has bytes. Raises ConfigError, as `config_from_properties` does.
    """
    found: dict[str, Any] = {}
    for lines in sources:
        found |= config_from_properties(dict(map(_pair, lines)))
    return {name: value for name, value in found.items() if not name.endswith("_serializer")}


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
