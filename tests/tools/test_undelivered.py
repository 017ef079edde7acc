"""What was not delivered has a place, whatever happens; nothing that was there before is lost."""

from __future__ import annotations

import pytest

from kproto.producer import ProducerRecord, WriteStatus
from kproto.tools.record_json import record_from_json
from kproto.tools.undelivered import UndeliveredFile, UndeliveredFileError

RECORD = ProducerRecord("orders", b"v", b"k")
WHY = TimeoutError("too late")


def test_it_is_gone_if_nothing_is_in_it(tmp_path):
    path = tmp_path / "spare"
    with UndeliveredFile(path, "orders") as file:
        assert path.exists()
        file.close()
    assert not path.exists()


def test_each_line_is_there_before_the_next(tmp_path):
    path = tmp_path / "spare"
    with UndeliveredFile(path, "orders") as file:
        for count in (1, 2):
            file.add(RECORD, WriteStatus.POSSIBLY, WHY)
            lines = path.read_bytes().splitlines()
            assert (len(lines), file.records) == (count, count)
            assert record_from_json(lines[-1], ProducerRecord("other")) == RECORD
    assert b'"written": "possibly written", "error": "too late"}' in path.read_bytes()


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ["orders.undelivered.ndjson", "orders.undelivered-2.ndjson", "orders.undelivered-3.ndjson"]
    for name in names:
        with UndeliveredFile(None, "orders") as file:
            file.add(RECORD, WriteStatus.NO, WHY)
        assert file.path.name == name
    with pytest.raises(UndeliveredFileError, match=r"exists, and may hold .*; choose another place with --undelivered"):
        UndeliveredFile(file.path, "orders")
    assert file.path.read_bytes()


def test_a_place_that_is_none(tmp_path):
    with pytest.raises(UndeliveredFileError, match="cannot be made: No such file or directory; choose another"):
        UndeliveredFile(tmp_path / "no" / "spare", "orders")


class FullDisk:
    """A file that takes no more after so many bytes."""

    closed = False

    def __init__(self, room, raises):
        self.room = room
        self.raises = raises
        self.data = b""

    def write(self, data):
        taken = data[: self.room - len(self.data)]
        if self.raises and len(taken) < len(data):
            raise OSError("no space left")
        self.data += taken
        return len(taken)

    def truncate(self, size):
        self.data = self.data[:size]

    def seek(self, position):
        assert position == len(self.data)

    def close(self):
        self.closed = True


@pytest.mark.parametrize("raises", [True, False])
def test_on_a_full_disk_lines_go_to_stderr(tmp_path, capsys, raises):
    file = UndeliveredFile(tmp_path / "spare", "orders")
    file._file.close()
    full = file._file = FullDisk(200, raises)
    for _ in range(3):
        file.add(RECORD, WriteStatus.NO, WHY)
    file.close()
    lines = full.data.splitlines() + capsys.readouterr().err.encode().splitlines()
    assert len(full.data.splitlines()) == 1
    assert [record_from_json(line, RECORD) for line in lines] == [RECORD] * 3
    assert (file.records, file.spilled) == (3, 2)
