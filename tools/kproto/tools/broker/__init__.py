"""The judge behind real sockets: a broker for any client's tests, in this process or as `kproto broker`.

    with Broker({"orders": 3}) as broker:
        broker.faults.close("Produce", at="after_append")
        ...  # give broker.bootstrap_servers to a client
        broker.records("orders")

Layer: tools.
"""

from kproto.tools.broker.broker import Broker
from kproto.tools.broker.fields import PlanError
from kproto.tools.broker.plan import Plan, parse_plan, read_plan
from kproto.tools.judge import JudgeViolation

__all__ = ["Broker", "JudgeViolation", "Plan", "PlanError", "parse_plan", "read_plan"]
