"""Where settings of a command come from, and which is stronger."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from kproto.tools.options import client_settings, of_a_producer, settings_of_a_producer


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "client.properties"
    made.write_text("# a comment\nbootstrap.servers=file:1\nlinger.ms=5\nclient.id=file\n")
    return made


def given(*arguments):
    found = {}

    @click.command()
    @of_a_producer
    def command(bootstrap, settings, files_of_settings):
        found.update(settings_of_a_producer(bootstrap, settings, files_of_settings, linger_ms=1, acks="all"))

    assert CliRunner().invoke(command, [str(argument) for argument in arguments]).exit_code == 0
    return found


def test_the_command_line_is_stronger_than_a_file_and_that_than_the_defaults(path):
    assert given() == {"linger_ms": 1, "acks": "all"}
    assert given("-F", path) == {"linger_ms": 5, "acks": "all", "bootstrap_servers": "file:1", "client_id": "file"}
    assert given("-F", path, "-X", "linger_ms=7", "-b", "me:2") == {
        "linger_ms": 7,
        "acks": "all",
        "bootstrap_servers": "me:2",
        "client_id": "file",
    }


def test_settings_of_a_client(tmp_path):
    path = tmp_path / "client.properties"
    path.write_text("client.id=file\nrequest.timeout.ms=7\n")
    assert client_settings(("client_id=me",), (path,)) == {"client_id": "me", "request_timeout_ms": 7}
