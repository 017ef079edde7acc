"""Python source under construction: lines, indentation, and the objects that its names stand for.

Layer: wire. Knows nothing of Kafka.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Any

__all__ = ["Function", "Module"]


class Module:
    """Functions that share a scope. `text` and `scope` are what `exec` takes."""

    def __init__(self, **scope: Any) -> None:
        self.scope: dict[str, Any] = dict(scope)
        self._functions: list[Function] = []
        self._names: dict[tuple[str, int], str] = {}
        self._fresh = 0

    @property
    def text(self) -> str:
        """All functions, inner ones first."""
        return "\n\n".join("\n".join(function.lines) for function in reversed(self._functions)) + "\n"

    def fresh(self, stem: str) -> str:
        """A name not used before."""
        self._fresh += 1
        return f"{stem}_{self._fresh}"

    def bind(self, stem: str, value: Any) -> str:
        """A name for the object, the same for the same object."""
        key = (stem, id(value))
        if key not in self._names:
            self._names[key] = name = self.fresh(stem)
            self.scope[name] = value  # keeps the object alive, so its id stays its own
        return self._names[key]

    def bind_struct(self, verb: str, fmt: str) -> str:
        """A name for the bound method `Struct(">" + fmt).<verb>`."""
        name = f"{verb}_{fmt.replace('?', 'o')}"
        if name not in self.scope:
            self.scope[name] = getattr(Struct(f">{fmt}"), verb)
        return name

    def function(self, name: str, *parameters: str) -> Function:
        """A new function of this module."""
        made = Function(self, f"def {name}({', '.join(parameters)}):")
        self._functions.append(made)
        return made


class Function:
    """The lines of one function."""

    def __init__(self, module: Module, header: str) -> None:
        self.module = module
        self.lines = [header]
        self._depth = 1

    def line(self, text: str) -> None:
        """One line at the present indentation."""
        self.lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """`header:` and what is written inside the with statement, indented."""
        self.line(f"{header}:")
        self._depth += 1
        yield
        self._depth -= 1
