"""`kproto schema`: what each message is made of."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from kproto.tools.cli import kproto
from kproto.wire import REQUESTS
from kproto.wire.tables import fields_table


def run(*arguments):
    return CliRunner().invoke(kproto, list(arguments), prog_name="kproto")


@pytest.mark.parametrize("api", ["Produce", "produce", "ProduceRequest", "0"])
def test_schema_show(api):
    output = run("schema", "show", api).output
    for row in fields_table(REQUESTS[0]):
        assert f" {row.path} " in output
    assert "ProduceResponse" in output


def test_schema_show_one_version():
    output = run("schema", "show", "Produce", "9").output
    assert "topic_data[].name " in output
    assert "topic_id" not in output
    assert "topic_id" in run("schema", "show", "Produce", "13").output
    assert re.search(r"node_endpoints +│ \[\]NodeEndpoint +│ +│ 0 ", run("schema", "show", "Produce", "10").output)


def test_schema_diff():
    assert run("schema", "diff", "Metadata", "9", "11").output.splitlines() == [
        "MetadataRequest",
        "  10  +topics[].topic_id",
        "  10  nullable topics[].name",
        "  11  -include_cluster_authorized_operations",
        "MetadataResponse",
        "  10  +topics[].topic_id",
        "  11  -cluster_authorized_operations",
    ]
    assert run("schema", "diff", "Metadata", "9", "9").output.splitlines() == ["MetadataRequest", "MetadataResponse"]


def test_schema_matrix():
    output = run("schema", "matrix").output
    assert re.search(r"│ 22 +│ InitProducerId +│ 0-6 +│ 2\+ +│", output)
    assert len(re.findall("^│", output, re.MULTILINE)) == len(REQUESTS)
