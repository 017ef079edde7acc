"""The settings of the producer as a table for the documentation, with the names of other clients.

Layer: producer. Everything here is read off `config.py` and `property_names.py`.
"""

from __future__ import annotations

from dataclasses import Field
from typing import Any

from kproto.client.settings import settings_of
from kproto.producer.config import ProducerConfig
from kproto.producer.property_names import COMPOSED, SPELLINGS

__all__ = ["settings_table"]


def settings_table() -> str:
    """A table in Markdown, a row for each setting in the order of the configuration."""
    lines = [
        "| setting | default | bounds | what it is | Java | librdkafka |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [f"| {' | '.join(_row(item))} |" for item in settings_of(ProducerConfig)]
    return "\n".join(lines) + "\n"


def _row(item: Field[Any]) -> list[str]:
    spelling = SPELLINGS[item.name]
    java = [spelling.java] if spelling.java else [name for name, parts in COMPOSED.items() if item.name in parts]
    return [
        f"`{item.name}`",
        _default(item),
        _bounds(item.metadata),
        item.metadata["about"].replace("|", "\\|"),
        _names(java),
        _names(spelling.librdkafka),
    ]


def _default(item: Field[Any]) -> str:
    """What is in force when nothing is set."""
    value = item.default if item.default is not None else getattr(ProducerConfig(), item.name)
    return "" if value is None else f"`{value!r}`"


def _bounds(metadata: Any) -> str:
    if metadata["choices"] is not None:
        return ", ".join(f"`{choice}`" for choice in metadata["choices"])
    least, most = metadata["minimum"], metadata["maximum"]
    if least is None:
        return ""
    return f"{least} and more" if most is None else f"{least} to {most}"


def _names(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)
