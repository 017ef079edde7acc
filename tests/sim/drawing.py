"""Draws the plan of a seed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from sim.faults import FAULTS, draw_fault
from sim.plan import Draw, Fault, Plan, Step, Surroundings, TopicPlan

__all__ = ["draw_plan"]

RECORDS_MAX: Final = 90  # of a seed, about
SEQUENCE_END: Final = 2**31
GROWTH_STEPS: Final = 4
THEMES: Final = (
    ("move leader", "slow append", "slow answer"),
    ("refusal", "error before", "slow answer"),
    ("lost ack", "stall", "cut"),
)
"""Faults that matter together: some seeds have many of these."""


def draw_plan(seed: int) -> Plan:
    """The same for the same seed, everywhere."""
    draw = Draw(seed)
    settings = _settings(draw)
    around = _surroundings(draw, settings)
    topics = _topics(draw, settings)
    quiet_ms = draw.pick(500, 2_000, 6_000, 15_000)
    faults = _faults(draw, around, topics, settings, quiet_ms)
    steps = _steps(draw, topics, faults, quiet_ms)
    return Plan(seed, settings, around, topics, steps, faults, quiet_ms)


def _settings(draw: Draw) -> dict[str, Any]:
    idempotent = draw.chance(0.78)
    linger_ms = draw.pick(0, 0, 5, 20, 100)
    request_timeout_ms = draw.pick(200, 500, 1_000, 3_000)
    batch_size = draw.pick(1, 120, 300, 1_000, 16_384)
    backoff_ms = draw.pick(1, 10, 50, 100)
    settings: dict[str, Any] = {
        "bootstrap_servers": "b0.sim:9092,b1.sim:9092",
        "enable_idempotence": idempotent,
        "acks": "all" if idempotent else draw.pick("all", 1, 1, 0),
        "retries": 2**31 - 1 if idempotent or draw.chance(0.6) else draw.pick(0, 3),
        "max_in_flight_requests_per_connection": draw.pick(1, 2, 5, 5, 5),
        "linger_ms": linger_ms,
        "batch_size": batch_size,
        "request_timeout_ms": request_timeout_ms,
        "delivery_timeout_ms": int((linger_ms + request_timeout_ms) * draw.pick(1.0, 1.5, 3.0, 10.0, 40.0)),
        "retry_backoff_ms": backoff_ms,
        "retry_backoff_max_ms": max(backoff_ms, draw.pick(50, 200, 1_000)),
        "reconnect_backoff_ms": draw.pick(1, 20, 50),
        "reconnect_backoff_max_ms": draw.pick(50, 200, 500),
        "socket_connection_setup_timeout_ms": draw.pick(200, 500),
        "socket_connection_setup_timeout_max_ms": 1_000,
        "connections_max_idle_ms": draw.pick(-1, 400, 60_000),
        "metadata_max_age_ms": draw.pick(100, 500, 3_000, 300_000),
        "metadata_recovery_rebootstrap_trigger_ms": draw.pick(1_000, 300_000),
        "max_block_ms": draw.pick(100, 1_000, 10_000),
    }
    if draw.chance(0.25):
        settings["batch_growth_max_bytes"] = GROWTH_STEPS * batch_size
    if draw.chance(0.3):
        # Room for a few batches only: appends wait for room, and what waits to be sent leaves early.
        settings["buffer_memory"] = 5_000 + draw.between(1, 4) * batch_size
    if draw.chance(0.2):
        settings["max_request_size"] = draw.pick(2_000, 4_000)  # a record fits, and few batches do
    if draw.chance(0.2):
        settings["compression_type"] = "snappy"
    if draw.chance(0.15):
        settings["fail_only_unwritten"] = True
    partitioner = draw.below(6)
    if partitioner == 0:
        settings["partitioner"] = "round_robin"
    elif partitioner == 1:
        settings["partitioner_ignore_keys"] = True
    elif partitioner == 2:
        settings["partitioner_availability_timeout_ms"] = 200
    elif partitioner == 3:
        settings["partitioner_adaptive_partitioning_enable"] = False
    return settings


def _surroundings(draw: Draw, settings: dict[str, Any]) -> Surroundings:
    compressed = "compression_type" in settings
    slow_ms = min(settings["request_timeout_ms"], settings["socket_connection_setup_timeout_ms"]) // 8
    around = Surroundings(
        nodes=draw.pick(1, 2, 3, 3),
        latency_ms=draw.pick((0, 0), (1, 1), (0, 5), (1, slow_ms), (slow_ms // 2, slow_ms)),
        splits=draw.pick(0.0, 0.0, 0.3),
        window=0,
        gathers=draw.pick(0.0, 0.0, 0.7),
        produce_version=draw.pick(13, 13, 12, 9, 8, 7, 3),
        first_sequence=draw.pick("ANY", "ANY", "ANY", "ZERO", "UNKNOWN_PRODUCER_ID"),
        late_duplicate=draw.pick(45, 45, 46),
        first_number=0 if draw.chance(0.7) else SEQUENCE_END - draw.between(1, 12),
        epoch_max=32_767 if draw.chance(0.7) else draw.between(0, 2),
        compress_ms=draw.pick(1, 20) if compressed and draw.chance(0.5) else 0,
        fast=draw.chance(0.7),
    )
    # A request has to get through the window in time.
    fits = around.latency_ms[1] <= 5 and settings["batch_size"] <= 1_000 and "batch_growth_max_bytes" not in settings
    return replace(around, window=draw.pick(400, 2_000)) if fits and draw.chance(0.5) else around


def _topics(draw: Draw, settings: dict[str, Any]) -> tuple[TopicPlan, ...]:
    topics = []
    for name in ("a", "b")[: draw.pick(1, 1, 2)]:
        config: dict[str, Any] = {}
        if draw.chance(0.15):
            config["log_append_time"] = True
        if draw.chance(0.08):
            config["compacted"] = True
        if draw.chance(0.15):
            config["max_message_bytes"] = draw.pick(250, 600)
        born_ms = draw.pick(0, 0, 0, 0, 0, 300)
        topics.append(TopicPlan(name, draw.pick(1, 1, 2, 3, 5), born_ms, tuple(config.items())))
    return tuple(topics)


def _faults(
    draw: Draw, around: Surroundings, topics: tuple[TopicPlan, ...], settings: dict[str, Any], quiet_ms: int
) -> tuple[Fault, ...]:
    """Each kind is on or off; how often it comes is drawn for each that is on."""
    density = draw.pick(0.0, 0.08, 0.08, 0.15, 0.15, 0.25, 0.25, 0.4, 0.6)
    found: list[Fault] = []
    for what in FAULTS:
        if draw.chance(density):
            times = draw.between(1, 4)
            found += [draw_fault(draw, what, around, topics, settings, quiet_ms) for _ in range(times)]
    for what in draw.pick((), (), *THEMES):
        found += [draw_fault(draw, what, around, topics, settings, quiet_ms) for _ in range(draw.between(2, 6))]
    return tuple(sorted(found))


def _steps(draw: Draw, topics: tuple[TopicPlan, ...], faults: tuple[Fault, ...], quiet_ms: int) -> tuple[Step, ...]:
    """Many of them shortly before something goes wrong, or it would meet nothing."""
    near = draw.pick(0.0, 0.6, 0.9) if faults else 0.0
    before_ms = draw.pick(10, 100, 600)
    users = draw.pick(1, 1, 2, 3)
    burst = draw.pick(1, 3, 10)
    sizes = draw.pick((0, 20), (0, 20), (0, 300), (100, 1_500))
    keyed, placed = draw.pick(0.0, 0.3, 1.0), draw.pick(0.0, 0.0, 0.4)
    flushes, bulk = draw.pick(0.0, 0.05, 0.3), draw.pick(0.0, 0.2)
    features = {name: draw.pick(0.0, 0.0, chance) for name, chance in FEATURES.items()}
    steps: list[Step] = []
    left = draw.between(5, RECORDS_MAX)
    while left > 0:
        at_ms, user, topic = draw.below(quiet_ms), draw.below(users), draw.one_of(topics)
        if draw.chance(near):
            at_ms = max(0, draw.one_of(faults).at_ms - draw.below(before_ms))
        if draw.chance(flushes):
            steps.append(Step(at_ms, user, "flush", ms=draw.pick(-1, -1, 100, 1_000)))
            continue
        if draw.chance(flushes / 3):
            steps.append(Step(at_ms, user, "wait", ms=draw.pick(-1, 50, 1_000)))
            continue
        count = min(left, draw.between(1, burst))
        left -= count
        steps.append(
            Step(
                at_ms,
                user,
                "send_many" if draw.chance(bulk) else "send",
                topic.name,
                count,
                draw.below(topic.partitions) if draw.chance(placed) else -1,
                draw.below(8) if draw.chance(keyed) else -1,
                draw.between(*sizes),
                stamped=draw.chance(features["stamped"]),
                headers=draw.chance(features["headers"]),
                listens=draw.chance(0.7),
                resends=draw.chance(features["resends"]),
            )
        )
    if draw.chance(0.25):
        steps.append(Step(quiet_ms - draw.below(quiet_ms // 3), 0, "close", ms=draw.pick(-1, 0, 200, 2_000)))
    return tuple(sorted(steps))


FEATURES: Final = {"stamped": 0.5, "headers": 0.5, "resends": 0.1}
