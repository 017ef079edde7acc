"""One connection's requests and answers; test_audit.py has the rules in whole captures."""

from __future__ import annotations

from tools.decode.decoded import Capture, batch

from kproto.tools.decode.audit_connection import WAITING_MAX, AuditConnection, offered


def test_audit_5_each_answer_meets_its_request():
    capture, connection = Capture(), AuditConnection()
    asked = [capture.produce(batch(base)) for base in range(3)]
    for each in asked:
        connection.ask(each, [])
    for each in asked:
        waiting, found = connection.answered(capture.ack(each))
        assert (waiting.frame, waiting.what, found) == (each.frame.number, "Produce 9", [])
    assert connection.answered(capture.ack(asked[0])) == (None, []), "twice"


def test_audit_5_what_faded_is_out_of_the_order():
    capture, connection = Capture(), AuditConnection()
    first, second, third = (capture.produce(batch(base)) for base in range(3))
    connection.ask(first, [])
    connection.ask(second, [])
    assert [each.frame for each in connection.fade()] == [1, 2]
    connection.ask(third, [])
    for each in (third, second, first):
        waiting, found = connection.answered(capture.ack(each))
        assert waiting.frame == each.frame.number and found == []


def test_audit_11_ranges():
    capture, connection = Capture(), AuditConnection()
    message = capture.api_versions({0: (3, 9)}).message
    assert offered(message) == {0: (3, 9)}
    asked = [capture.produce(batch(0), version=version) for version in (2, 3, 9, 10)]
    assert [len(list(connection.version(each, None))) for each in asked] == [0, 0, 0, 0], "nothing is known"
    assert [len(list(connection.version(each, {0: (3, 9)}))) for each in asked] == [1, 0, 0, 1]
    connection.ranges = {0: (0, 13)}
    assert not list(connection.version(capture.produce(batch(0), version=11), {0: (3, 9)})), "its own answer counts"
    assert not list(connection.version(capture.frames[0], {})), "ApiVersions may be asked in any version"


def test_memory_is_bounded():
    capture, connection = Capture(), AuditConnection()
    asked = capture.produce(batch(0))
    for number in range(WAITING_MAX + 5):
        asked.frame = capture._frame(1, "b:1", True, b"", ())
        connection.ask(asked, [])
        assert number is not None
    assert len(connection.waiting) == WAITING_MAX
