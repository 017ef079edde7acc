"""Size and shape of the code: a file holds one noun, a function fits a screen, a test file mirrors its module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .test_layers import MODULES, ROOT, layer_of, name_of

FILE_LINES_MAX = 300
FUNCTION_LINES_MAX = 40
LONG_FUNCTIONS = {
    ("wire/records/record_loop.py", "loop_records"): "a call for each varint would double its time",
    ("wire/records/builder.py", "append"): "the hot path of every producer: one record, no calls",
    ("producer/fast_send.py", "make_fast_send"): "the hot path of every producer: one function, no calls",
    ("producer/fast_send.py", "send"): "the hot path of every producer: one function, no calls",
    ("producer/accumulator.py", "append"): "the way of every record, in one look",
    ("producer/producer.py", "send_many"): "half of it says what may be relied on",
    ("producer/async_producer.py", "send_many"): "half of it says what may be relied on",
    ("producer/batch.py", "__init__"): "what a batch is made of, each with what it says",
}
TESTED_ELSEWHERE = {
    "tools/decode/model.py": "values that all the tests of decode pass on",
    "client/network_input.py": "test_network.py",
    "client/node_connection.py": "test_node_connections.py",
    "client/passes.py": "test_driver.py",
    "client/request_line.py": "test_network.py and test_waiting_line.py",
    "client/connection_settings.py": "values that test_connection.py and test_network.py pass in",
    "wire/field.py": "test_schema.py: a field is what a class makes of it",
    "wire/wire_type.py": "test_schema.py",
    "wire/oracle.py": "test_codec.py proves the generated code equal to it",
    "wire/header.py": "test_envelope.py",
    "wire/codegen/decoder.py": "test_codec.py",
    "wire/codegen/encoder.py": "test_codec.py",
    "wire/codegen/runtime.py": "test_codec.py",
    "wire/codegen/source.py": "test_codec.py",
    "wire/records/crc.py": "records/test_reader.py, with the batches that it guards",
    "wire/records/model.py": "records/test_reader.py",
    "wire/records/schema.py": "records/test_builder.py and test_reader.py prove the fast paths equal to it",
    "wire/records/header_writer.py": "records/test_builder.py",
    "wire/records/record_loop.py": "records/test_reader.py proves all readers equal",
    "wire/records/record_reader.py": "records/test_reader.py",
    "wire/records/record_runs.py": "records/test_reader.py",
}
MESSAGES = "wire/messages/"  # declarations: every test that ranges over REQUESTS and RESPONSES is theirs


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_file_holds_one_noun(path):
    lines = len(path.read_text().splitlines())
    assert lines <= FILE_LINES_MAX, f"{lines} lines: is there a second noun in {name_of(path)}?"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_function_fits_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if (name_of(path), node.name) not in LONG_FUNCTIONS:
                assert lines <= FUNCTION_LINES_MAX, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_and_where(path):
    """The first lines: what it is, and its layer; `__all__` or a leading underscore tells what is public."""
    tree = ast.parse(path.read_text())
    docstring = ast.get_docstring(tree) or ""
    assert docstring, "no docstring"
    if path.name not in {"__init__.py", "__main__.py", "errors.py"}:
        assert f"Layer: {layer_of(path)}." in docstring


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_has_its_test_file(path):
    name = name_of(path)
    if path.name.startswith("__") or name.startswith(MESSAGES) or name in TESTED_ELSEWHERE:
        return
    mirror = ROOT / "tests" / Path(name).with_name(f"test_{path.name}")
    assert mirror.is_file(), f"{mirror.relative_to(ROOT)} is missing"


def test_the_exceptions_exist():
    names = {name_of(path) for path in MODULES}
    assert set(TESTED_ELSEWHERE) <= names
    assert {name for name, _ in LONG_FUNCTIONS} <= names


def test_the_project_speaks_of_itself_only():
    """No path of a machine stands in a file that is shipped or read."""
    files = [*MODULES, *ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.py")]
    homes = tuple(f"/{folder}/" for folder in ("home", "root", "Users"))
    assert not [str(path) for path in files if any(home in path.read_text() for home in homes)]
