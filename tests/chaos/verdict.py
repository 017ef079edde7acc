"""The verdict on a round: what the producer said of each record, against what stands in the log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

from chaos.records import UNKNOWN_OFFSET, SentRecord, Written, identity_of

Log = Mapping[int, Sequence[tuple[int, bytes]]]  # partition -> (offset, value), in the order of the log


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of records. Those of BROKEN are broken promises, whatever the timeouts; `failed` and `refused` are not."""

    acked: int = 0
    failed: int = 0
    refused: int = 0
    maybe: int = 0  # failed ones of which the error says "possibly written"
    failed_written: int = 0  # failed ones that are in the log: allowed, unless the error says "not written"
    unknown_offset: int = 0  # acked without an offset, as Kafka allows for a duplicate it has half forgotten
    lost: int = 0
    doubled: int = 0
    reordered: int = 0  # acked ones behind a later acked one of their partition
    misplaced: int = 0  # out of the order of sending, where one of the two was not acked but written
    wrong_offset: int = 0
    wrong_status: int = 0  # "not written" or refused, and yet in the log
    hung: int = 0  # no outcome in time
    ended_twice: int = 0
    strange: int = 0  # in the log, sent by nobody
    # These three are not seen in the log, and added by the round.
    not_sent: int = 0  # there was no time for them, so long did send() block
    not_recovered: int = 0  # partitions that take nothing although the cluster is whole again
    not_closed: int = 0  # 1 when the producer's close() hangs

    @property
    def broken(self) -> dict[str, int]:
        """The broken promises, without those that were kept."""
        return {name: getattr(self, name) for name in BROKEN if getattr(self, name)}

    def findings(self, *, may_fail: bool) -> dict[str, int]:
        """What is wrong with the round. may_fail: the timeouts are so short that records may fail or be refused."""
        if may_fail:
            return self.broken
        return self.broken | {name: count for name in MAY_FAIL if (count := getattr(self, name))}

    def as_dict(self) -> dict[str, int]:
        """All counts, for JSON."""
        return asdict(self)


MAY_FAIL = ("failed", "refused")
ALLOWED = ("acked", *MAY_FAIL, "maybe", "failed_written", "unknown_offset")
BROKEN = tuple(field.name for field in fields(Verdict) if field.name not in ALLOWED)


def judge(records: Iterable[SentRecord], log: Log) -> Verdict:
    """The verdict on all records of a round, given what a consumer has read to the end of every partition."""
    sent = {(record.partition, record.index): record for record in records}
    found, strange = _positions(sent, log)
    acked = [record for record in sent.values() if record.is_acked]
    failed = [record for record in sent.values() if record.ended and record.error is not None]
    refused = [record for record in sent.values() if record.refused is not None]
    denied = [*refused, *(record for record in failed if record.written is Written.NO)]
    known = [record for record in acked if record.offset != UNKNOWN_OFFSET]
    late = _out_of_order(sent, log, only_acked=True)
    return Verdict(
        acked=len(acked),
        failed=len(failed),
        refused=len(refused),
        maybe=sum(record.written is Written.POSSIBLY for record in failed),
        failed_written=sum(_key(record) in found for record in failed),
        unknown_offset=len(acked) - len(known),
        lost=sum(_key(record) not in found for record in acked),
        doubled=sum(len(offsets) > 1 for offsets in found.values()),
        reordered=len(late),
        misplaced=len(_out_of_order(sent, log, only_acked=False) - late),
        wrong_offset=sum(_key(record) in found and record.offset not in found[_key(record)] for record in known),
        wrong_status=sum(_key(record) in found for record in denied),
        hung=sum(record.hung or record.is_open for record in sent.values()),
        ended_twice=sum(record.ended + (record.refused is not None) > 1 for record in sent.values()),
        strange=strange,
    )


def _key(record: SentRecord) -> tuple[int, int]:
    return record.partition, record.index


def _positions(sent: Mapping[tuple[int, int], SentRecord], log: Log) -> tuple[dict[tuple[int, int], list[int]], int]:
    """The offsets of each record in the log, and how many values there are of no record of their partition."""
    found: dict[tuple[int, int], list[int]] = {}
    strange = 0
    for partition, entries in log.items():
        for offset, value in entries:
            key = identity_of(value)
            if key in sent and key is not None and key[0] == partition:
                found.setdefault(key, []).append(offset)
            else:
                strange += 1
    return found, strange


def _out_of_order(sent: Mapping[tuple[int, int], SentRecord], log: Log, *, only_acked: bool) -> set[tuple[int, int]]:
    """Records that stand, where they stand first, behind one that was sent later."""
    late: set[tuple[int, int]] = set()
    for partition, entries in log.items():
        seen: set[int] = set()
        latest = -1
        for _, value in entries:
            key = identity_of(value)
            record = sent.get(key) if key is not None and key[0] == partition else None
            if record is None or record.index in seen or (only_acked and not record.is_acked):
                continue
            seen.add(record.index)
            if record.index < latest:
                late.add(_key(record))
            latest = max(latest, record.index)
    return late
