"""The judge of chaos: a clean round is clean, and each kind of damage is found, and counted under its own name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chaos.records import PARTITIONS, UNKNOWN_OFFSET, SentRecord, Written, identity_of, wait_until_ended
from chaos.verdict import BROKEN, judge
from hypothesis import given
from hypothesis import strategies as st

FATES = st.sampled_from(["acked", "failed, written", "failed, not written", "certainly not", "refused"])
PLANS = st.lists(st.tuples(st.integers(0, PARTITIONS - 1), FATES), max_size=60)


def lived(plan):
    """Records and log of a round in which the producer keeps all promises."""
    log = {partition: [] for partition in range(PARTITIONS)}
    counts = dict.fromkeys(log, 0)
    records = []
    for partition, fate in plan:
        record = SentRecord(partition, counts[partition])
        counts[partition] += 1
        records.append(record)
        offset = 2 * len(log[partition])  # as with control records, offsets have gaps
        match fate:
            case "acked":
                record.acked(offset)
            case "failed, written" | "failed, not written":
                record.failed("DeliveryTimeoutError", Written.POSSIBLY)
            case "certainly not":
                record.failed("RecordTooLargeError", Written.NO)
            case "refused":
                record.refused = "BufferFullError"
        if fate in ("acked", "failed, written"):
            log[partition].append((offset, record.value))
    return records, log


def a_round(count=4):
    """So many acked records in partition 0."""
    return lived([(0, "acked")] * count)


@given(PLANS)
def test_kept_promises_are_clean(plan):
    records, log = lived(plan)
    verdict = judge(records, log)
    fates = [fate for _, fate in plan]
    assert verdict.findings(may_fail=True) == {}
    assert verdict.acked == fates.count("acked") and verdict.refused == fates.count("refused")
    assert verdict.failed == len(plan) - verdict.acked - verdict.refused
    assert verdict.failed_written == fates.count("failed, written")
    assert verdict.maybe == verdict.failed - fates.count("certainly not")


@given(PLANS)
def test_nothing_may_fail_with_default_timeouts(plan):
    records, log = lived(plan)
    failing = [fate for _, fate in plan if fate != "acked"]
    found = judge(records, log).findings(may_fail=False)
    assert sum(found.values()) == len(failing)


@given(PLANS.filter(lambda plan: any(fate == "acked" for _, fate in plan)), st.data())
def test_an_acked_record_that_is_not_in_the_log_is_lost(plan, data):
    records, log = lived(plan)
    victim = data.draw(st.sampled_from([record for record in records if record.offset is not None]))
    log[victim.partition].remove((victim.offset, victim.value))
    assert judge(records, log).broken == {"lost": 1}


@given(PLANS.filter(lambda plan: any("written" in fate for _, fate in plan)), st.data())
def test_a_record_that_is_twice_in_the_log_is_doubled(plan, data):
    """Also a failed one, and also far from the first: that is no disorder as well."""
    records, log = lived(plan)
    written = [(partition, value) for partition, entries in log.items() for _, value in entries]
    if not written:
        return
    partition, value = data.draw(st.sampled_from(written))
    log[partition].append((10_000, value))
    assert judge(records, log).broken == {"doubled": 1}


def test_an_acked_record_behind_a_later_one_is_reordered():
    records, log = a_round()
    (first, a), (second, b), *rest = log[0]
    log[0] = [(first, b), (second, a), *rest]
    records[0].offset, records[1].offset = second, first
    assert judge(records, log).broken == {"reordered": 1}


def test_a_failed_record_behind_a_later_one_is_misplaced():
    records, log = lived([(0, "failed, written"), (0, "acked")])
    log[0] = [(0, records[1].value), (1, records[0].value)]
    records[1].offset = 0
    assert judge(records, log).broken == {"misplaced": 1}


def test_an_acked_record_at_another_offset_is_found():
    records, log = a_round()
    records[2].offset = 77
    assert judge(records, log).broken == {"wrong_offset": 1}


def test_an_ack_without_an_offset_is_counted_and_allowed():
    records, log = a_round()
    records[2].offset = UNKNOWN_OFFSET
    verdict = judge(records, log)
    assert verdict.broken == {} and verdict.unknown_offset == 1


@pytest.mark.parametrize("fate", ["certainly not", "refused"])
def test_not_written_and_yet_in_the_log_is_found(fate):
    records, log = lived([(0, "acked"), (0, fate)])
    log[0].append((9, records[1].value))
    assert judge(records, log).broken == {"wrong_status": 1}


def test_a_record_without_an_outcome_hangs():
    records, log = a_round()
    records.append(SentRecord(0, len(records)))
    assert judge(records, log).broken == {"hung": 1}


def test_a_record_whose_outcome_came_too_late_has_hung():
    records, log = a_round()
    records[1].hung = True
    assert judge(records, log).broken == {"hung": 1}


@pytest.mark.parametrize("then", ["acked", "failed", "refused"])
def test_an_outcome_that_is_told_twice_is_found(then):
    records, log = a_round()
    match then:
        case "acked":
            records[1].acked(records[1].offset)
        case "failed":
            records[1].failed("DeliveryTimeoutError", Written.POSSIBLY)
        case "refused":
            records[1].refused = "BufferFullError"
    assert judge(records, log).broken["ended_twice"] == 1


def test_what_nobody_sent_is_strange():
    records, log = a_round()
    log[1].append((0, records[0].value))  # a record of another partition
    log[2].append((0, b"garbage"))
    log[3].append((0, SentRecord(3, 0).value))
    assert judge(records, log).broken == {"strange": 3}


@pytest.mark.parametrize("found", ["not_sent", "not_recovered", "not_closed"])
def test_what_is_not_in_the_log_is_found_too(found):
    verdict = replace(judge(*a_round()), **{found: 2})
    assert verdict.broken == verdict.findings(may_fail=True) == {found: 2}


def test_each_broken_promise_has_a_test_here():
    proven = {"lost", "doubled", "reordered", "misplaced", "wrong_offset", "wrong_status", "hung", "ended_twice"}
    assert set(BROKEN) == proven | {"strange", "not_sent", "not_recovered", "not_closed"}


@given(st.integers(0, 10**6), st.integers(0, 10**9))
def test_a_value_names_its_record(partition, index):
    assert identity_of(SentRecord(partition, index).value) == (partition, index)


@given(st.binary(max_size=120))
def test_other_values_name_none(value):
    found = identity_of(value)
    assert found is None or SentRecord(*found).value == value


def test_waiting_ends_with_the_outcomes_or_the_time():
    records, _ = a_round()
    assert wait_until_ended(records, 0)
    records.append(SentRecord(0, 99))
    assert not wait_until_ended(records, 0.01)
    records[-1].refused = "BufferFullError"
    assert wait_until_ended(records, 0)
