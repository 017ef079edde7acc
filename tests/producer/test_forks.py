"""What a child of the process knows of the producers of its parent."""

from __future__ import annotations

import gc
import inspect
import os
import weakref

import pytest
from producer.forking import WITH_FORK, in_child

from kproto.producer import forks
from kproto.producer.errors import ForkedProducerError
from kproto.producer.forks import ForkMark

pytestmark = WITH_FORK


class Kept:
    pass


def test_in_the_process_itself_nothing_is_forked():
    mark = ForkMark(Kept(), {})
    assert not mark.forked
    mark.check()


def test_a_child_is_told_how_to_go_on():
    mark = ForkMark(Kept(), {})

    def child():
        assert mark.forked
        try:
            mark.check()
        except ForkedProducerError as error:
            return error

    assert in_child(child) == "this producer belongs to the parent process: make one in each child"
    assert not mark.forked
    mark.check()


def test_a_child_of_a_child_too_and_its_own_are_not_concerned():
    mark = ForkMark(Kept(), {})

    def child():
        own = ForkMark(Kept(), {})
        own.check()
        return in_child(lambda: f"{mark.forked} {own.forked}")

    assert in_child(child) == "True True"


def test_what_belongs_to_the_parent_is_kept_in_the_child():
    kept = Kept()
    mark = ForkMark(kept, {})
    alive = weakref.ref(kept)

    def child():
        nonlocal mark, kept
        del mark, kept
        gc.collect()
        return alive() is not None

    assert in_child(child) == "True"


def test_a_mark_that_is_gone_concerns_no_fork():
    mark = ForkMark(Kept(), {})
    gone = weakref.ref(mark)
    del mark
    gc.collect()
    assert gone() is None
    assert not any(mark is None for mark in forks.LIVING)
    assert in_child(lambda: len(forks.FORKED) == len(forks.LIVING)) == "True"


def test_where_there_is_no_fork_there_is_nothing_to_hear_of(monkeypatch):
    """As on Windows: the module is read without it."""
    monkeypatch.delattr(os, "register_at_fork")
    namespace = {"__name__": "kproto.producer.forks_elsewhere"}
    exec(compile(inspect.getsource(forks), forks.__file__, "exec"), namespace)
    assert not namespace["FORKED"]


def test_the_hook_marks_what_lives_and_keeps_it(monkeypatch):
    """The same in this process, as if it were the child."""
    kept = []
    monkeypatch.setattr(forks, "FORKED", kept)
    monkeypatch.setattr(forks, "LIVING", weakref.WeakSet())
    mark = ForkMark(Kept(), {})
    forks._after_fork()
    assert mark.forked and kept == [mark]
    with pytest.raises(ForkedProducerError, match="make one in each child"):
        mark.check()


def test_marks_of_one_process_are_told_all():
    marks = [ForkMark(Kept(), {}) for _ in range(3)]
    assert in_child(lambda: [mark.forked for mark in marks]) == "[True, True, True]"


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    assert not forks.FORKED
