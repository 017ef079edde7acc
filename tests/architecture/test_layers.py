"""The laws of the house that a parser can check: imports go down, cores do no I/O, kproto stays a namespace."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LAYERS = PROJECT["tool"]["kproto"]["layers"]
EFFECTS = PROJECT["tool"]["kproto"]["effects"]
THIRD_PARTY = PROJECT["tool"]["kproto"]["third-party"]
PACKAGES = [ROOT / folder for folder in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
MODULES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))


def name_of(path: Path) -> str:
    """`client/driver.py`: the layer's folder and what is in it."""
    return str(path).rpartition("/kproto/")[2]


def layer_of(path: Path) -> str:
    return name_of(path).partition("/")[0]


def imported(path: Path) -> Iterator[str]:
    """The dotted names that a module imports, at any depth; also those for the type checker alone."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


EACH_MODULE = pytest.mark.parametrize("path", MODULES, ids=name_of)


@EACH_MODULE
def test_imports_go_down(path):
    allowed = {layer_of(path), *LAYERS[layer_of(path)]}
    kproto = {name.split(".")[1] for name in imported(path) if name.startswith("kproto.")}
    assert kproto <= allowed, f"{name_of(path)} may import {sorted(allowed)}"


@EACH_MODULE
def test_a_layer_imports_only_the_packages_it_declares(path):
    """third-party: layer -> distribution modules that any file may import, or file -> those that it alone may."""
    allowed = {*THIRD_PARTY.get(layer_of(path), ()), *THIRD_PARTY.get(name_of(path), ())}
    roots = {name.split(".")[0] for name in imported(path)}
    foreign = {root for root in roots if root not in {"kproto", "__future__"} and not is_standard(root)}
    assert foreign <= allowed, f"{name_of(path)} may import {sorted(allowed)}"


@EACH_MODULE
def test_cores_do_no_io(path):
    """Outside the files that `effects` names with their reason, nothing touches sockets, threads, clocks or files."""
    if layer_of(path) == "tools":
        return
    effectful = set(EFFECTS["modules"])
    found = {name for name in imported(path) if {name, name.split(".")[0]} & effectful}
    found -= {"random.Random", "time.struct_time"}  # a generator or a value that is passed in
    assert not found or name_of(path) in EFFECTS["files"], f"{name_of(path)} imports {sorted(found)}"


def is_standard(root: str) -> bool:
    import sys

    return root in sys.stdlib_module_names


def test_the_tables_name_what_exists():
    names = {name_of(path) for path in MODULES}
    assert set(EFFECTS["files"]) <= names
    assert {name for name in THIRD_PARTY if "/" in name} <= names
    assert {layer_of(path) for path in MODULES} <= set(LAYERS)


def test_kproto_is_a_namespace():
    """An __init__.py in one of its folders would hide the other layers."""
    assert not [package / "__init__.py" for package in PACKAGES if (package / "__init__.py").exists()]


@pytest.mark.parametrize("layer", sorted({layer_of(path) for path in MODULES}))
def test_each_layer_is_typed(layer):
    (folder,) = {package / layer for package in PACKAGES if (package / layer).is_dir()}
    assert (folder / "py.typed").is_file()
