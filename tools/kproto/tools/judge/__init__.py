"""A Kafka cluster in memory that judges producers: as odd as the real one, no kinder, and it breaks where it is told.

    cluster = JudgeCluster(nodes=3, topics={"orders": 6})
    cluster.fail(ApiKey.PRODUCE, Fault.close(FaultPoint.AFTER_APPEND), times=1)
    connection = cluster.brokers[0].connect()
    connection.receive(frame_of_a_request, now_ms=0)
    connection.output()
    cluster.log("orders", 0)
    cluster.check()

Layer: tools. A pure state machine on `kproto.wire`: no I/O, no clock; the time comes in with the bytes.
"""

from kproto.tools.judge.broker import JudgeBroker, SeenRequest
from kproto.tools.judge.cluster import JudgeCluster
from kproto.tools.judge.connection import JudgeConnection
from kproto.tools.judge.faults import Fault, FaultPoint
from kproto.tools.judge.image import NO_LEADER, ClusterImage, Node, PartitionImage, TopicConfig, TopicImage
from kproto.tools.judge.invariants import JudgeViolation
from kproto.tools.judge.partition_log import StoredBatch, StoredRecord
from kproto.tools.judge.producer_state import FirstSequence

__all__ = [
    "NO_LEADER",
    "ClusterImage",
    "Fault",
    "FaultPoint",
    "FirstSequence",
    "JudgeBroker",
    "JudgeCluster",
    "JudgeConnection",
    "JudgeViolation",
    "Node",
    "PartitionImage",
    "SeenRequest",
    "StoredBatch",
    "StoredRecord",
    "TopicConfig",
    "TopicImage",
]
