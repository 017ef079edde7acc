"""The page that walks one captured session, `docs/wire-session.md`: what each step is for, beside its bytes.

Layer: tools. Sentences stand here; all numbers and names in them are read off the capture.
Source: KIP-35, KIP-98, KIP-516, KIP-1242.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from kproto.tools.wire_session import Event, annotated, read_events, shipped_capture
from kproto.wire import (
    ApiVersionsRequest,
    ApiVersionsResponse,
    InitProducerIdResponse,
    Message,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
)
from kproto.wire.records import RecordBatch, read_record_batches

__all__ = ["STEPS", "Step", "facts_of", "wire_session_page"]


class Step(NamedTuple):
    """kind: of the event; text: with facts of the capture in braces; elements: of each array that are shown."""

    kind: str
    title: str
    text: str
    elements: int = 3


OPENING: Final = """\
`kproto decode` shows any capture so. This one is [wire_session.pcap](../tools/kproto/tools/wire_session.pcap): kproto's
producer sends {records} records to a topic of Apache Kafka 4.4 on the same machine, with linger_ms=50 and else its
defaults: idempotent, acks=all.

```
kproto decode tools/kproto/tools/wire_session.pcap --format hex --show-values
kproto decode tools/kproto/tools/wire_session.pcap --audit
```

On the wire a frame stands behind its length, four bytes that are not shown here. Each line: offset, bytes, field, type,
value. Long arrays are cut. Packets of TCP that carry nothing and neither open nor close a connection are left out."""

STEPS: Final = (
    Step(
        "open",
        "SYN: a connection to the bootstrap server",
        "The producer knows an address, and nothing else. Three packets of TCP later both sides can send; the "
        "connection is [`CONNECTING`](states.md#connection) until then.",
    ),
    Step(
        "ApiVersions request",
        "What do you speak?",
        "The first request on each connection: every other needs a version that both know. It is sent in the newest "
        "version that kproto has; a broker that lacks it would say so in version 0, which all can read. The client "
        "names its software. It does not know yet which cluster this is, so `cluster_id` is null and `node_id` -1. The "
        "connection is `CHECKING_API_VERSIONS`.",
    ),
    Step(
        "ApiVersions response",
        "{apis} APIs, each with a range of versions",
        "Of each API the newest version that both sides have is taken: Metadata {metadata_version}, InitProducerId "
        "{init_version}, Produce {produce_version}. Its header is of version 0 whatever the version of the body. Now "
        "the connection is `READY`.",
    ),
    Step(
        "Metadata request",
        "Who leads the partitions of {topic}?",
        "A record was sent to {topic}, so metadata is wanted of that topic: it goes from "
        "[`FULL_WANTED`](states.md#metadata) to `FULL_IN_FLIGHT`.",
    ),
    Step(
        "InitProducerId request",
        "Who am I?",
        "It does not wait for the answer before: the requests of a connection are answered in their order. The "
        "producer holds no id (-1) and asks for one; without a transactional id any node will do. It is "
        "[`INITIALIZING`](states.md#producer-id), and sends no records until it has one: a batch without an id could "
        "be written twice.",
    ),
    Step(
        "Metadata response",
        "{topic} has {partitions} partition, led by node {leader}",
        "The answer tells the nodes' addresses, the cluster's id, the topic's id, by which newer versions of Produce "
        "name it, and the leader of each partition with its epoch. Only a leader takes records, so the producer will "
        "connect to node {leader}: here at the same address as the bootstrap server, but by a connection of its own. "
        "Now that the partitions are known, records gather in batches that are "
        "[`OPEN`](states.md#producer-batch).",
    ),
    Step(
        "InitProducerId response",
        "Producer id {producer_id}, epoch {producer_epoch}",
        "With these two and a sequence number in each batch, a broker tells a batch that was sent again from a new "
        "one. The producer is `READY`.",
    ),
    Step(
        "open",
        "SYN: a connection to the leader",
        "Connections to nodes are opened when there is something to send to them: the batch has waited for its "
        "`linger_ms`.",
    ),
    Step(
        "ApiVersions request",
        "The same question to node {leader}",
        "Nodes may be of different releases, so each is asked. Now the client says whom it believes to reach: cluster "
        "`{cluster}`, node {leader}. A node that is another one can say so, instead of taking what is not for it.",
    ),
    Step(
        "ApiVersions response",
        "The same {apis} APIs",
        "This connection is `READY`, too.",
        elements=1,
    ),
    Step(
        "Produce request",
        "{first_count} records, sequence {first_sequence}",
        "The batch is `IN_FLIGHT`. It carries the producer id, the epoch, and the sequence number of its first record; "
        "its checksum covers everything from `attributes` on. `base_offset` and `partition_leader_epoch` are for the "
        "broker to fill in, which it can do without another checksum. Records hold differences: of time from "
        "`base_timestamp`, of offset from `base_offset`. The first batch of an id travels alone in its partition; once "
        "it is answered, up to five may be in flight.",
        elements=5,
    ),
    Step(
        "Produce response",
        "Written at offset {first_offset}",
        "The batch has [`SUCCEEDED`](states.md#producer-batch), and its records' futures end with offsets from "
        "{first_offset} on. Had the answer been lost, the same bytes would be sent again, and the broker would know "
        "the sequence number and write nothing.",
    ),
    Step(
        "Produce request",
        "{second_count} more records, sequence {second_sequence}",
        "The sequence goes on where the first batch ended: {first_sequence} and {first_count} records make "
        "{second_sequence}. A broker that has not seen what comes before would refuse it as out of order, so nothing "
        "is skipped. The first record has a header.",
        elements=5,
    ),
    Step(
        "Produce response",
        "The last ack: offset {second_offset}",
        "All {records} records are delivered, each once, in their order. `close` has nothing to wait for.",
    ),
    Step(
        "close",
        "FIN",
        "The producer closes both connections; the broker does so in turn. They are [`CLOSED`](states.md#connection).",
    ),
)


def wire_session_page(generated: str) -> str:
    """The page. generated: the sentence that says so. Raises ValueError for a capture that goes otherwise."""
    events = list(read_events(shipped_capture()))
    facts = facts_of(event.frame.message for event in events if event.frame is not None)
    parts = ["# A session on the wire", f"{generated} {OPENING.format(**facts)}"]
    for number, (step, event) in enumerate(zip(STEPS, _checked(events), strict=True), 1):
        shown = "\n".join(event.packets) if event.frame is None else annotated(event.frame, step.elements).rstrip()
        parts.append(f"## {number}. {step.title.format(**facts)}\n\n{step.text.format(**facts)}\n\n```\n{shown}\n```")
    return "\n\n".join(parts) + "\n"


def _checked(events: Sequence[Event]) -> Sequence[Event]:
    kinds, expected = [event.kind for event in events], [step.kind for step in STEPS]
    if kinds != expected:
        raise ValueError(f"the capture holds {kinds}, but the steps are {expected}")
    return events


def facts_of(messages: Iterable[Message | None]) -> dict[str, Any]:
    """Names and numbers for the sentences."""
    facts: dict[str, Any] = {}
    sent: list[RecordBatch] = []
    offsets: list[int] = []
    for message in messages:
        match message:
            case ApiVersionsRequest(cluster_id=str(cluster)):
                facts["cluster"] = cluster
            case ApiVersionsResponse():
                facts |= _versions(message)
            case MetadataResponse(topics=[topic]):
                facts |= {"topic": topic.name, "partitions": len(topic.partitions)}
                facts["leader"] = topic.partitions[0].leader_id
            case InitProducerIdResponse():
                facts |= {"producer_id": message.producer_id, "producer_epoch": message.producer_epoch}
            case ProduceRequest():
                sent += _batches(message)
            case ProduceResponse():
                offsets.append(message.responses[0].partition_responses[0].base_offset)
    for name, batch, offset in zip(("first", "second"), sent, offsets, strict=True):
        facts |= {f"{name}_count": batch.count, f"{name}_sequence": batch.base_sequence, f"{name}_offset": offset}
    return {**facts, "records": sum(batch.count for batch in sent)}


def _versions(message: ApiVersionsResponse) -> dict[str, Any]:
    """How many APIs there are, and which version of each both sides have."""
    theirs = {api.api_key: api.max_version for api in message.api_keys}
    ours = {"metadata": MetadataResponse, "init": InitProducerIdResponse, "produce": ProduceResponse}
    both = {f"{name}_version": min(theirs[int(cls.api_key or 0)], cls.versions[-1]) for name, cls in ours.items()}
    return {"apis": len(theirs), **both}


def _batches(message: ProduceRequest) -> list[RecordBatch]:
    found = read_record_batches(message.topic_data[0].partition_data[0].records or b"")
    return [batch for batch in found if isinstance(batch, RecordBatch)]
