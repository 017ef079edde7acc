"""Folders and jars that hold definitions, and those that are not what they claim."""

from __future__ import annotations

import os
import random
import warnings
import zipfile

import pytest

from kproto.wire import definition_files as module
from kproto.wire.definition_files import read_definitions
from kproto.wire.definition_json import DefinitionError


def make_jar(path, entries, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as jar, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the duplicates that a test writes
        for name, text in entries:
            jar.writestr(name, text)
    return path


def refused(path, match):
    with pytest.raises(DefinitionError, match=match):
        read_definitions(path)


def test_a_folder(tmp_path):
    (tmp_path / "Tidy.json").write_text("{ü}")
    (tmp_path / "Other.v2.json").write_text("")
    (tmp_path / "notes.txt").write_text("not a message")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "Deeper.json").write_text("")
    assert read_definitions(tmp_path) == {"Tidy": "{ü}", "Other.v2": ""}


def test_a_jar(tmp_path):
    entries = [
        ("common/message/Tidy.json", "{ü}"),
        ("common/message/Stored.json", "{}"),
        ("common/message/README.md", "not a message"),
        ("common/message/deeper/Tidy.json", "not of the folder"),
        ("other/Else.json", "not of the folder"),
    ]
    assert read_definitions(make_jar(tmp_path / "clients.jar", entries)) == {"Tidy": "{ü}", "Stored": "{}"}
    stored = make_jar(tmp_path / "stored.jar", entries, zipfile.ZIP_STORED)
    assert list(read_definitions(stored)) == ["Tidy", "Stored"]


def test_places_that_hold_no_definitions(tmp_path):
    refused(tmp_path, r"expected message JSON, in the folder or in a jar's common/message/, found none")
    refused(make_jar(tmp_path / "empty.jar", []), "expected message JSON")
    refused(tmp_path / "missing", "expected a folder of message JSON, or a kafka-clients jar, found neither")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "a kafka-clients jar, found neither")
    (tmp_path / "broken.jar").write_bytes(b"PK broken")
    refused(tmp_path / "broken.jar", "expected a kafka-clients jar, found File is not a zip file")


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_folder_entries_that_are_no_files(tmp_path, make):
    make(tmp_path / "Tidy.json")
    refused(tmp_path, r"Tidy\.json: expected a file, found something else")


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "Tidy.json").write_text("")

    def refuse(*_):
        raise PermissionError("not yours")

    monkeypatch.setattr(module, "_bounded", refuse)  # a mode would not stop root
    refused(tmp_path, r"Tidy\.json: expected a readable file, found not yours")


def test_text_is_utf8(tmp_path):
    (tmp_path / "Tidy.json").write_bytes(b"{\xff")
    refused(tmp_path, r"Tidy\.json: expected UTF-8, found byte 0xff at 1")


def test_names_are_there_once(tmp_path):
    jar = make_jar(tmp_path / "twice.jar", [("common/message/Tidy.json", "1"), ("common/message/Tidy.json", "2")])
    refused(jar, r"expected one file of each name, found Tidy\.json twice")


def test_each_file_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILE_SIZE_MAX", 1_000)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "Tidy.json").write_text(" " * 1_000)
    assert len(read_definitions(folder)["Tidy"]) == 1_000
    (folder / "Tidy.json").write_text(" " * 1_001)
    refused(folder, r"Tidy\.json: expected at most 1000 bytes, found more")
    refused(make_jar(tmp_path / "bomb.jar", [("common/message/Tidy.json", " " * (1 << 20))]), "at most 1000 bytes")


def test_what_an_archive_claims_is_not_believed(tmp_path):
    """A size of 5 in the table of contents, for a body of a million: no more than 5 are read, and the CRC differs."""
    jar = make_jar(tmp_path / "liar.jar", [("common/message/Tidy.json", " " * (1 << 20))])
    data = bytearray(jar.read_bytes())
    contents = data.index(b"PK\1\2")
    data[contents + 24 : contents + 28] = (5).to_bytes(4, "little")
    jar.write_bytes(data)
    refused(jar, "expected a kafka-clients jar, found Bad CRC-32")


def test_the_sum_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FILES_MAX", 3)
    monkeypatch.setattr(module, "TOTAL_SIZE_MAX", 30)
    for number in range(3):
        (tmp_path / f"Tidy{number}.json").write_text(" " * 10)
    assert len(read_definitions(tmp_path)) == 3
    (tmp_path / "Tidy2.json").write_text(" " * 11)
    refused(tmp_path, "expected at most 3 files of together 30 bytes, found more")
    (tmp_path / "Tidy2.json").write_text("")
    (tmp_path / "Tidy3.json").write_text("")
    refused(tmp_path, "expected at most 3 files")
    monkeypatch.setattr(module, "JAR_SIZE_MAX", 100)
    refused(make_jar(tmp_path / "large.jar", [("a", " " * 1_000)]), "expected a jar of at most 100 bytes, found")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_decompress_without_bound(tmp_path, method):
    jar = make_jar(tmp_path / "bomb.jar", [("common/message/Tidy.json", "{}")], method)
    refused(jar, rf"Tidy\.json: expected a deflated or stored entry, found method {method}")


def test_encrypted_entries(tmp_path):
    jar = make_jar(tmp_path / "secret.jar", [("common/message/Tidy.json", "{}")])
    data = bytearray(jar.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    jar.write_bytes(data)
    refused(jar, "expected a kafka-clients jar, found .*encrypted")


def test_damage_raises_nothing_else(tmp_path):
    jar = make_jar(tmp_path / "clients.jar", [("common/message/A.json", "abc" * 100), ("common/message/B.json", "")])
    whole = jar.read_bytes()
    rng = random.Random(1)
    refusals = 0
    for _ in range(1_000):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        jar.write_bytes(data[: rng.choice([len(data), len(data), rng.randrange(len(data))])])
        try:
            read_definitions(jar)
        except DefinitionError:
            refusals += 1
    assert refusals > 500
