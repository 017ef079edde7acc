"""The oracle's look at logs and records once all has ended: parts 1, 2 and 3."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

from sim.records import Record, number_of

from kproto.producer.record import NO_OFFSET, WriteStatus
from kproto.tools.judge import StoredBatch, StoredRecord
from kproto.wire import ProduceRequest
from kproto.wire.records import read_record_batches

if TYPE_CHECKING:
    from sim.world import World

__all__ = ["check_logs", "check_records"]

Found = Iterator[tuple[int, str]]
SEQUENCES: Final = 2**31


class _Place(NamedTuple):
    """Where a record stands: in which of the logs that its partition has had."""

    topic_id: UUID
    offset: int
    stored: StoredRecord


def _logs(world: World) -> Iterator[tuple[UUID, str, int, list[StoredBatch]]]:
    cluster = world.cluster
    for (topic_id, index), log in cluster._logs.items():
        yield topic_id, cluster._names[topic_id], index, log.history


def check_logs(world: World) -> Found:
    """Parts 1 and 3: order, doubles, numbers."""
    failed = {
        (record.topic, record.batch.partition.partition)
        for record in world.records
        if record.batch is not None and (outcome := record.outcome()) is not None and outcome[2] is not None
    }
    for _, topic, index, history in _logs(world):
        name = f"{topic}-{index}"
        if world.plan.idempotent:
            # A broker that knows nothing of a producer takes any first number: what was before it may be lost.
            lost = (topic, index) in failed or _made_again(world, topic)
            strict = world.plan.around.first_sequence != "ANY" or not lost
            yield from _check_numbers(name, history, world.plan.around.first_number if strict else None)
        yield from _check_order(world, name, history, again=_made_again(world, topic))


def _check_order(world: World, name: str, history: list[StoredBatch], *, again: bool) -> Found:
    """With idempotence, all that is written is in order and there once. Without, and with one request in flight, the
    first copies of what was delivered are in order; with more nothing is promised.

    Where a producer has used up its epochs and has got another id, no broker knows that the old one is over: what was
    given up under it may still arrive. And where a topic is made again while batches are under way to it by name, the
    new log knows nothing of their producer: it takes whichever comes first. again: whether it was.
    """
    plan, seen, last, newest = world.plan, set[int](), -1, -1
    alone = plan.settings["max_in_flight_requests_per_connection"] == 1 and plan.settings["acks"] != 0
    ordered = (plan.idempotent or alone) and not again
    lenient = again and plan.around.first_sequence == "ANY"
    for batch in history:
        newest = max(newest, batch.producer_id)
        for stored in batch.records:
            number = number_of(stored.value)
            record = world.records[number]
            double = number in seen
            seen.add(number)
            if double and plan.idempotent and not lenient and not _came_late(world, record, history):
                yield 1, f"{name}: {record} stands there twice, the second time at {stored.offset}"
                return
            if double or not ordered:
                continue
            fenced = plan.idempotent and batch.producer_id == newest
            if not fenced and not world.oracle.is_delivered(record):
                continue
            if record.order < last:
                yield 1, f"{name}: {record} stands at {stored.offset}, behind one that was accepted later"
                return
            last = record.order


def _check_numbers(name: str, history: list[StoredBatch], first: int | None) -> Found:
    """first: where each epoch begins; None: the first number of the first epoch may be any."""
    last: dict[tuple[int, int], int] = {}
    newest: dict[int, int] = {}
    for batch in history:
        stamp = (batch.producer_id, batch.producer_epoch)
        if stamp[1] < newest.get(stamp[0], 0):
            yield 3, f"{name}: epoch {stamp[1]} at {batch.base_offset} comes behind epoch {newest[stamp[0]]}"
        begins = batch.base_sequence if first is None else first
        wanted = (last[stamp] + 1) % SEQUENCES if stamp in last else begins
        if batch.base_sequence != wanted:
            yield 3, f"{name}: number {batch.base_sequence} at {batch.base_offset}, where {wanted} is next"
        last[stamp] = batch.last_sequence
        newest[stamp[0]] = max(stamp[1], newest.get(stamp[0], 0))


def check_records(world: World) -> Found:
    """Part 2: what came back for each."""
    places: dict[int, list[_Place]] = {}
    for topic_id, topic, index, history in _logs(world):
        for batch in history:
            for stored in batch.records:
                number = number_of(stored.value)
                if number >= len(world.records):
                    yield 2, f"{topic}-{index} has a record that nobody sent"
                    return
                places.setdefault(number, []).append(_Place(topic_id, stored.offset, stored))
    heard: dict[Any, int] = {}
    for record in world.records:
        found = places.get(record.number, [])
        if record.batch is None:
            if found:
                yield 2, f"{record} was refused, and stands at {found[0].offset}"
            continue
        yield from _check_end(world, record, found)
    for record in sorted(world.records, key=lambda one: one.order):
        if record.batch is not None and world.plan.idempotent and world.oracle.is_delivered(record):
            for metadata, _ in record.heard:
                at = metadata.topic_partition
                if 0 <= metadata.offset <= heard.get(at, -1) and not _made_again(world, record.topic):
                    yield 2, f"{record} is told to be at {metadata.offset}, behind one accepted earlier"
                heard[at] = max(metadata.offset, heard.get(at, -1))


def _made_again(world: World, topic: str) -> bool:
    return any(fault.what == "topic again" and fault.topic == topic for fault in world.plan.faults)


def _excused(world: World, record: Record) -> bool:
    histories = [history for _, topic, _, history in _logs(world) if topic == record.topic]
    return _made_again(world, record.topic) or any(_came_late(world, record, one) for one in histories)


def _came_late(world: World, record: Record, history: list[StoredBatch]) -> bool:
    """Whether a copy of the record was written by a request of a connection that the producer had closed before.

    A broker that says that a batch is out of order may have the earlier request for it in its hands already, behind
    that for the batch before. The producer cannot know; it counts anew, and both are written.
    """
    assert record.batch is not None
    written = [batch for batch in history if any(number_of(one.value) == record.number for one in batch.records)]
    closed = {one.end.connection_id: one.closed_ms for one in world.network.all if one.end is not None}
    for seen in world.cluster.requests:
        closed_ms = closed.get(seen.connection_id)
        if closed_ms is None or not isinstance(seen.request, ProduceRequest):
            continue
        for asked in seen.request.topic_data:
            for one in asked.partition_data:
                (sent,) = read_record_batches(bytes(one.records or b""), verify_crc=False)
                stamp = (sent.producer_id, sent.producer_epoch, sent.base_sequence, sent.crc)
                for batch in written:
                    same = stamp == (batch.producer_id, batch.producer_epoch, batch.base_sequence, batch.crc)
                    if same and batch.at_ms >= closed_ms:
                        return True
    return False


def _check_end(world: World, record: Record, found: list[_Place]) -> Found:
    outcome = record.outcome()
    if outcome is None:
        yield 2, f"{record} has not ended"
        return
    batch, index, error = outcome
    metadata = batch.metadata_of(index)
    if record.delivery is not None:
        if not record.delivery.done() or record.delivery.exception(0) is not error:
            yield 2, f"{record}: its future says something else than its batch"
        if record.listens:
            if len(record.heard) != 1:
                yield 2, f"{record}: its callback was called {len(record.heard)} times"
            elif record.heard[0] != (metadata, error):
                yield 2, f"{record}: its callback was told something else than its future"
    elif record.bulk is None:
        yield 2, f"{record}: the future of its send_many has not ended"
    elif record.bulk != ((batch.partition.partition, metadata.offset) if error is None else error):
        yield 2, f"{record}: send_many says {record.bulk!r}, its batch {metadata}"
    if error is not None:
        said = error.written is WriteStatus.NO
        double = len(found) > 1 and world.plan.idempotent
        if found and (said or double) and not _excused(world, record):
            why = f"failed, and stands in the log {len(found)} times"
            if said:
                why = f"is said not to be written ({type(error).__name__}), and stands at {found[0].offset}"
            yield 2, f"{record} {why}"
        return
    yield from _check_delivered(world, record, metadata, found)


def _check_delivered(world: World, record: Record, metadata: Any, found: list[_Place]) -> Found:
    if world.plan.settings["acks"] == 0:
        if metadata.offset != NO_OFFSET:
            yield 2, f"{record} has an offset, which nobody can know with acks=0"
    elif _made_again(world, record.topic):
        pass  # it may have gone with the old log
    elif not found:
        yield 2, f"{record} is said to be delivered to {metadata.offset}, and is not in the log"
    elif metadata.offset == NO_OFFSET and (world.plan.around.late_duplicate != 46 or not world.plan.idempotent):
        yield 2, f"{record} is delivered, and its offset is not told"
    elif metadata.offset != NO_OFFSET and metadata.offset not in [place.offset for place in found]:
        yield 2, f"{record} is said to be at {metadata.offset}, and stands at {found[0].offset}"
    for place in found:
        yield from _check_contents(world, record, metadata, place.stored)


def _check_contents(world: World, record: Record, metadata: Any, stored: StoredRecord) -> Found:
    if (stored.value, stored.key, tuple(stored.headers)) != (record.value, record.key, record.headers):
        yield 2, f"{record} stands in the log with other contents"
    topic = next(one for one in world.plan.topics if one.name == record.topic)
    if dict(topic.config).get("log_append_time"):
        return
    if record.timestamp_ms is not None and stored.timestamp != record.timestamp_ms:
        yield 2, f"{record} stands in the log with the timestamp {stored.timestamp}, not {record.timestamp_ms}"
    if stored.timestamp != metadata.timestamp:
        yield 2, f"{record}: its timestamp is {stored.timestamp}, and {metadata.timestamp} was told"
