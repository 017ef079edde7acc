"""A JSON object whose fields are taken out one by one, each checked, and whose rest is an error.

Layer: tools. Knows no field by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

from kproto.wire import KafkaError
from kproto.wire.plain import did_you_mean

__all__ = ["REQUIRED", "Fields", "PlanError"]

T = TypeVar("T")
REQUIRED: Final = object()
INT_MAX: Final = 2**63 - 1


class PlanError(KafkaError):
    """JSON that says something else than it may. The text: where, what, and what may stand there."""


class Fields:
    """The fields of an object. path: where it stands, for errors. `done` has to be called at the end.

    Each method takes a field out. Raises PlanError: for a field that is missing, of another type, or out of bounds.
    """

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            raise PlanError(f"{path}: an object has to stand here, not {_shown(value)}")
        self.path = path
        self._left: dict[str, Any] = dict(value)
        self._known: list[str] = []

    def _take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        if name in self._left:
            return self._left.pop(name)
        if default is REQUIRED:
            raise PlanError(f"{self.at(name)} is missing")
        return default

    def at(self, name: str) -> str:
        """Where a field stands."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether it is there, and not taken yet."""
        return name in self._left

    def number(self, name: str, default: Any = REQUIRED, *, low: int = 0, high: int = INT_MAX) -> Any:
        """An integer within bounds; null only if it is the default."""
        value = self._take(name, default)
        if value is default and default is not REQUIRED:
            return value
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            bounds = f"from {low} to {high}" if high < INT_MAX else f"from {low} on"
            raise PlanError(f"{self.at(name)}: an integer {bounds} has to stand here, not {_shown(value)}")
        return value

    def number_or_null(self, name: str, default: Any = REQUIRED) -> int | None:
        """An integer from 0 on, or null."""
        if self.has(name) and self._left[name] is None:
            self._take(name, None)
            return None
        found: int | None = self.number(name, default)
        return found

    def text(self, name: str, default: Any = REQUIRED) -> Any:
        """A string; null only if it is the default."""
        value = self._take(name, default)
        if value is not default and not isinstance(value, str):
            raise PlanError(f"{self.at(name)}: a string has to stand here, not {_shown(value)}")
        return value

    def truth(self, name: str, default: Any = REQUIRED) -> Any:
        """true or false."""
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise PlanError(f"{self.at(name)}: true or false has to stand here, not {_shown(value)}")
        return value

    def choice(self, name: str, choices: Mapping[str, T], default: Any = REQUIRED) -> T:
        """One of some names; what the name stands for."""
        value = self.text(name, default)
        if value not in choices:
            raise PlanError(f"{self.at(name)}: not {_shown(value)}: {did_you_mean(value, choices)}")
        return choices[value]

    def elements(self, name: str) -> Iterator[tuple[Any, str]]:
        """The elements of an array, each with its path; none where there is no array."""
        value = self._take(name, [])
        if not isinstance(value, (list, tuple)):
            raise PlanError(f"{self.at(name)}: an array has to stand here, not {_shown(value)}")
        for index, element in enumerate(value):
            yield element, f"{self.at(name)}[{index}]"

    def entries(self, name: str) -> Iterator[tuple[str, Any, str]]:
        """The fields of an object within, each with its path; none where there is none."""
        value = self._take(name, {})
        if not isinstance(value, Mapping):
            raise PlanError(f"{self.at(name)}: an object has to stand here, not {_shown(value)}")
        for key, inner in value.items():
            yield str(key), inner, f"{self.at(name)}.{key}"

    def rest(self) -> dict[str, Any]:
        """All that are left."""
        left, self._left = self._left, {}
        return left

    def done(self) -> None:
        """Raises PlanError for a field that nobody took."""
        for name in self._left:
            raise PlanError(f"{self.at(name)}: no such field: {did_you_mean(name, self._known)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
