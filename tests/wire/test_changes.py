"""What each version changed."""

from hypothesis import given
from hypothesis import strategies as st

from kproto.wire import (
    REQUESTS,
    RESPONSES,
    Message,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
    RequestHeader,
    SaslHandshakeRequest,
)
from kproto.wire.changes import changes, fields_at
from kproto.wire.field import field
from kproto.wire.strategies import messages
from kproto.wire.wire_type import Int8, String

MESSAGES = [RequestHeader, *REQUESTS.values(), *RESPONSES.values()]


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


@given(st.sampled_from(MESSAGES), st.data())
def test_a_version_that_is_left_out_changed_no_bytes(cls, data):
    same = [version for version in cls.versions[1:] if version not in changes(cls)]
    if same:
        version = data.draw(st.sampled_from(same))
        message = data.draw(messages(cls, version - 1))
        assert message.encode(version) == message.encode(version - 1)


@given(st.sampled_from(MESSAGES))
def test_a_version_that_is_listed_changed_the_fields(cls):
    for version in changes(cls):
        before, after = (list(fields_at(cls, one)) for one in (version - 1, version))
        flexible = [one in cls.flexible_versions for one in (version - 1, version)]
        assert before != after or flexible == [False, True]
