"""Whatever goes wrong, in whatever order: nothing is doubled, lost or reordered, and once it is over, all goes on.

A state machine sends records through faults that hypothesis chooses, and shrinks what breaks to a few steps.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from producer.simulated_producer import ProducerWorld

from kproto.producer.producer_id import EPOCH_MAX, NO_IDENTITY
from kproto.producer.record import WriteStatus
from kproto.producer.sequences import IN_FLIGHT_MAX
from kproto.tools.judge import Fault, FaultPoint
from kproto.wire import ApiKey, ErrorCode

TOPIC = "orders"
NODES, PARTITIONS = 2, 2
BOUND_MS = 20_000  # within which everything has ended, and a new record is delivered, once nothing goes wrong any more
BEFORE = [
    ErrorCode.CORRUPT_MESSAGE,
    ErrorCode.NOT_ENOUGH_REPLICAS,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
    ErrorCode.INVALID_RECORD,
    ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.MESSAGE_TOO_LARGE,
    ErrorCode.INVALID_PRODUCER_EPOCH,
]
AFTER = [
    ErrorCode.REQUEST_TIMED_OUT,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.KAFKA_STORAGE_ERROR,
    ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.DUPLICATE_SEQUENCE_NUMBER,
]
POINTS = [FaultPoint.BEFORE_PARSE, FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND, FaultPoint.MID_REPLY]
QUIET = [FaultPoint.BEFORE_APPEND, FaultPoint.AFTER_APPEND]

nodes = st.integers(0, NODES - 1)
partitions = st.integers(0, PARTITIONS - 1)
scopes = st.none() | partitions
faults = st.one_of(
    st.builds(lambda code, at: Fault.error(code, topic=TOPIC, partition=at), st.sampled_from(BEFORE), scopes),
    st.builds(
        lambda code, at: Fault.error(code, FaultPoint.AFTER_APPEND, topic=TOPIC, partition=at),
        st.sampled_from(AFTER),
        scopes,
    ),
    st.builds(lambda point: Fault.close(point, reply_bytes=5), st.sampled_from(POINTS)),
    st.builds(Fault.silence, st.sampled_from(QUIET)),
    st.builds(lambda ms: Fault.delay(ms), st.sampled_from([1, 400, 995, 1_005])),
    st.builds(Fault.throttle, st.sampled_from([1, 300])),
)


class ProducerMachine(RuleBasedStateMachine):
    """See the module. acts: so that each value is another."""

    def __init__(self):
        super().__init__()
        self.world = ProducerWorld(
            NODES,
            {TOPIC: PARTITIONS},
            linger_ms=5,
            batch_size=300,
            request_timeout_ms=1_000,
            delivery_timeout_ms=3_000,
            retry_backoff_ms=50,
            retry_backoff_max_ms=400,
            network={"latency_ms": 3},
        )
        self.down = set()

    def next_value(self, size):
        return b"%d:" % len(self.world.sent) + b"x" * size

    @rule(partition=partitions, count=st.integers(1, 4), size=st.sampled_from([0, 60, 400]))
    def send(self, partition, count, size):
        for _ in range(count):
            self.world.send(TOPIC, self.next_value(size), partition=partition)

    @rule(partition=partitions, batches=st.integers(2, 6))
    def send_batches(self, partition, batches):
        for _ in range(batches):
            self.world.send(TOPIC, self.next_value(250), partition=partition)

    @rule(ms=st.sampled_from([1, 4, 7, 60, 500, 1_100, 3_000]))
    def time_passes(self, ms):
        self.world.advance(ms)

    @rule(fault=faults, times=st.integers(1, 3))
    def produce_goes_wrong(self, fault, times):
        self.world.cluster.fail(ApiKey.PRODUCE, fault, times=times)

    @rule(code=st.sampled_from([ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.CLUSTER_AUTHORIZATION_FAILED]))
    def no_producer_id(self, code):
        self.world.cluster.fail(ApiKey.INIT_PRODUCER_ID, Fault.error(code))

    @rule(node=nodes)
    def connection_ends(self, node):
        self.world.cut(node)

    @rule(node=nodes)
    def nothing_comes_through(self, node):
        self.world.unplug(node)

    @rule(node=nodes)
    def broker_dies(self, node):
        self.down.add(node)
        self.world.down(node)

    @precondition(lambda self: self.down)
    @rule()
    def brokers_are_back(self):
        self.world.up(*self.down)
        self.down.clear()

    @rule(partition=partitions, to=st.integers(-1, NODES - 1))
    def leader_moves(self, partition, to):
        self.world.cluster.move_leader(TOPIC, partition, to)

    @rule(limit=st.sampled_from([150, 400, 1_000_000]))
    def limit_changes(self, limit):
        self.world.cluster.configure(TOPIC, max_message_bytes=limit)

    @precondition(lambda self: self.world.sender.producer_id.identity != NO_IDENTITY)
    @rule()
    def epochs_come_to_their_end(self):
        producer_id = self.world.sender.producer_id
        producer_id.identity = producer_id.identity._replace(epoch=EPOCH_MAX)

    @invariant()
    def nothing_is_doubled_or_reordered(self):
        self.world.check()
        assert self.world.sender.error is None
        for state in self.world.sender.lanes.states.values():
            sequences = state.sequences
            assert len(sequences.in_flight) <= IN_FLIGHT_MAX
            assert len({batch.node_id for batch in sequences.in_flight}) <= 1, "two leaders at once"

    def teardown(self):
        world = self.world
        world.cluster.faults.clear()
        world.up(*range(NODES))
        world.cluster.configure(TOPIC, max_message_bytes=1_000_000)
        for partition in range(PARTITIONS):
            if world.leader(TOPIC, partition) < 0:
                world.cluster.move_leader(TOPIC, partition, 0)
        world.flush(limit_ms=BOUND_MS)
        for partition in range(PARTITIONS):
            world.delivered(world.send(TOPIC, self.next_value(0), partition=partition), limit_ms=BOUND_MS)
        world.advance(2_000)
        world.check()
        world.check_at_rest()
        for sent in world.sent:
            assert sent.times == 1
            assert sent.error is None or sent.error.written in WriteStatus


TestProducerMachine = ProducerMachine.TestCase
TestProducerMachine.settings = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
