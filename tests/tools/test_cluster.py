"""A cluster on the command line: what is shown of it, and what is said where it cannot be."""

from __future__ import annotations

import re
import sys

import pytest
from click.testing import CliRunner
from client.loopback import Loopback
from client.scripted_broker import ScriptedBroker
from client.scripted_cluster import ScriptedCluster

from kproto.client import ApiVersions, Cluster, Node, Partition, Topic
from kproto.tools.cli import kproto, main
from kproto.tools.cluster import cluster_tables, versions_table
from kproto.wire import ErrorCode


@pytest.fixture
def scripted():
    made = ScriptedCluster()
    made.create_topic("orders", 2)
    made.create_topic("payments")
    return made


@pytest.fixture
def server(scripted):
    with Loopback(ScriptedBroker(scripted)) as served:
        yield served


def run(*arguments):
    return CliRunner().invoke(kproto, list(arguments), prog_name="kproto")


def ended(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["kproto", *arguments])
    with pytest.raises(SystemExit) as exited:
        main()
    return exited.value.code


def rows(output):
    """The cells of each line of a table, without the borders."""
    return [[cell.strip() for cell in re.split("[│┃]", line)[1:-1]] for line in output.splitlines() if line[:1] in "│┃"]


def test_all_topics_are_shown(server, scripted):
    output = run("metadata", server.bootstrap_servers).output
    assert f"cluster {scripted.cluster_id}" in output
    assert ["0", server.bootstrap_servers, "", "controller"] in [row[:4] for row in rows(output)]
    assert output.index("topic orders") < output.index("topic payments")
    assert len([row for row in rows(output) if len(row) == 7 and row[0].isdigit()]) == 3


def test_certain_topics_are_shown_and_none_is_created(server, scripted):
    result = run("metadata", server.bootstrap_servers, "orders", "nope")
    assert result.exit_code == 1
    assert "topic orders" in result.output and "topic payments" not in result.output
    assert ["nope", "UNKNOWN_TOPIC_OR_PARTITION (3): no such topic or partition on this broker"] in rows(result.output)
    requests = [request for _, request in server.server.requests if type(request).__name__ == "MetadataRequest"]
    assert requests and not any(request.allow_auto_topic_creation for request in requests)


def test_what_is_odd_about_a_topic_is_said():
    partitions = {
        0: Partition(0, 1, 7, (1, 2), (1,), (2,)),
        1: Partition(1, error=ErrorCode.LEADER_NOT_AVAILABLE),
        2: Partition(2, error=9999),
    }
    cluster = Cluster(
        "c1",
        1,
        {1: Node(1, "b1", 9092, "r1"), 2: Node(2, "b2", 9092)},
        {"orders": Topic("orders", is_internal=True, partitions=partitions)},
        {"secret": 29},
    )
    nodes, topic, errors = cluster_tables(cluster)
    columns = [list(column.cells) for column in topic.columns]
    assert columns[:6] == [
        ["0", "1", "2"],
        ["1", "none", "none"],
        ["7", "", ""],
        ["1, 2", "", ""],
        ["1", "", ""],
        ["2", "", ""],
    ]
    assert [cell[:24] for cell in columns[6]] == ["", "LEADER_NOT_AVAILABLE (5)", "error 9999"]
    assert "internal" in str(topic.title)
    assert list(nodes.columns[2].cells) == ["r1", ""]
    assert list(errors.columns[0].cells) == ["secret"]


def test_versions_of_each_node():
    table = versions_table(
        {"b1:9092": ApiVersions({0: range(3, 13), 99: range(2)}), "b2:9092": ApiVersions({0: range(14)})}
    )
    cells = list(zip(*(column.cells for column in table.columns), strict=True))
    assert cells == [("0", "Produce", "3-12", "0-13", "0-13", "12"), ("99", "?", "0-1", "none", "", "")]


def test_api_versions_of_a_cluster(server):
    output = run("api-versions", server.bootstrap_servers).output
    assert ["18", "ApiVersions"] in [row[:2] for row in rows(output)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("metadata", "127.0.0.1:1", "--timeout", "0.3"),
            "no broker could be reached: 127.0.0.1:1: connection refused",
        ),
        (("metadata", "x:y"), 'bootstrap_servers: each a "host:port" with a port of 1 to 65535'),
        (("metadata", "x", "-X", "clientid=3"), "there is no setting 'clientid': did you mean 'client_id'?"),
        (("api-versions", "x", "-X", "client_id"), "a setting is written name=value"),
        (("api-versions", "x", "-F", "missing.properties"), "missing.properties: cannot be read"),
    ],
)
def test_bad_input_ends_with_2(monkeypatch, capsys, arguments, says):
    assert ended(monkeypatch, *arguments) == 2
    assert says in capsys.readouterr().err
