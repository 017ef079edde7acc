"""`kproto metadata` and `kproto api-versions`: how they end; test_cluster.py proves what they print."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from tools.judge_server import JudgeServer

from kproto.tools.cluster_command import api_versions, metadata


@pytest.mark.parametrize(("command", "topics", "code"), [(metadata, ["orders"], 0), (metadata, ["nope"], 1)])
def test_a_topic_that_cannot_be_shown_ends_with_1(command, topics, code):
    with JudgeServer({"orders": 2}) as server:
        result = CliRunner().invoke(command, [server.bootstrap_servers, *topics])
    assert result.exit_code == code
    assert topics[0] in result.output


def test_api_versions_of_each_node():
    with JudgeServer({}) as server:
        result = CliRunner().invoke(api_versions, [server.bootstrap_servers])
    assert result.exit_code == 0
    assert "Produce" in result.output
