"""What each version changed, and the pages made of it."""

from pathlib import Path

from kproto.wire import (
    InitProducerIdRequest,
    Message,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    SaslHandshakeRequest,
    tables,
)
from kproto.wire.changes import changes
from kproto.wire.field import field
from kproto.wire.wire_type import Int8, String

DOCS = Path(__file__).parents[2] / "docs"


class Odd(Message, versions="0-3", flexible="1+"):
    """Changes that no declared message has."""

    shy: str | None = field(String, nullable="0-1", default="")
    moved: int = field(Int8, tag=0, since=1, tagged="2")


def test_changes_of_well_known_messages():
    assert changes(MetadataResponse) == {
        1: ["+brokers[].rack", "+controller_id", "+topics[].is_internal"],
        2: ["+cluster_id"],
        3: ["+throttle_time_ms"],
        5: ["+topics[].partitions[].offline_replicas"],
        7: ["+topics[].partitions[].leader_epoch"],
        8: ["+topics[].topic_authorized_operations", "+cluster_authorized_operations"],
        9: ["flexible"],
        10: ["+topics[].topic_id"],
        11: ["-cluster_authorized_operations"],
        12: ["nullable topics[].name"],
        13: ["+error_code"],
    }
    assert changes(ProduceRequest) == {
        3: ["+transactional_id"],
        9: ["flexible"],
        13: ["-topic_data[].name", "+topic_data[].topic_id"],
    }
    assert changes(ProduceResponse)[10] == [
        "+responses[].partition_responses[].current_leader",
        "+node_endpoints",
    ]
    assert changes(SaslHandshakeRequest) == {}


def test_changes_of_nullability_and_tags():
    assert changes(Odd) == {
        1: ["flexible", "+moved"],
        2: ["not nullable shy", "tagged moved"],
        3: ["not tagged moved"],
    }


def test_fields_table():
    rows = {row.path: row for row in tables.fields_table(MetadataResponse)}
    assert rows["topics[].name"] == ("topics[].name", "string", "0+", "12+", "", "''")
    assert rows["cluster_authorized_operations"].versions == "8-10"
    assert rows["brokers"].default == ""
    assert rows["cluster_id"].nullable == "2+"


def test_the_page_is_the_declarations():
    assert (DOCS / "messages.md").read_text() == tables.page(), "run make docs"


def test_main_prints_the_page(capsys):
    assert tables.main() == 0
    assert capsys.readouterr().out == tables.page()
    assert "## InitProducerIdRequest" in tables.page()
    assert InitProducerIdRequest.__doc__.splitlines()[0] in tables.page()
