"""An observer that fails is heard of once, and harms nothing."""

from __future__ import annotations

import logging

import pytest

from kproto.client.observing import GuardedObserver

OURS, THEIRS = ("127.0.0.1", 40_000), ("127.0.0.1", 9092)


class Recording:
    """Keeps all that it hears; raises at the name given."""

    def __init__(self, raises: str = "", error: BaseException | None = None) -> None:
        self.heard: list[tuple[object, ...]] = []
        self.raises = raises
        self.error = error or OSError(28, "No space left on device")

    def opened(self, connection_id, local, remote) -> None:
        self._hear("opened", connection_id, local, remote)

    def frame(self, connection_id, sent, frame) -> None:
        self._hear("frame", connection_id, sent, frame)

    def closed(self, connection_id) -> None:
        self._hear("closed", connection_id)

    def _hear(self, *what: object) -> None:
        self.heard.append(what)
        if what[0] == self.raises:
            raise self.error


def tell_all(observer) -> None:
    observer.opened(1, OURS, THEIRS)
    observer.frame(1, True, b"frame")
    observer.closed(1)


def test_everything_is_passed_on():
    recording = Recording()
    tell_all(GuardedObserver(recording))
    assert recording.heard == [("opened", 1, OURS, THEIRS), ("frame", 1, True, b"frame"), ("closed", 1)]


@pytest.mark.parametrize("raises", ["opened", "frame", "closed"])
def test_one_that_raises_is_told_nothing_more_and_a_warning_says_so_once(raises, caplog):
    recording = Recording(raises)
    observer = GuardedObserver(recording)
    with caplog.at_level(logging.WARNING):
        tell_all(observer)
        tell_all(observer)
    assert [heard[0] for heard in recording.heard].count(raises) == 1
    assert recording.heard[-1][0] == raises
    assert [record.getMessage() for record in caplog.records] == [
        "the observer Recording raised, and hears nothing any more"
    ]
    assert "No space left on device" in caplog.text, "the log has its traceback"
    assert caplog.records[0].name == "kproto.client"


def test_ctrl_c_is_no_error_of_an_observer():
    with pytest.raises(KeyboardInterrupt):
        GuardedObserver(Recording("frame", KeyboardInterrupt())).frame(1, True, b"")
