"""The judge's cluster of one node behind a real port of the loopback: a broker for commands that speaks Produce.

with JudgeServer({"orders": 3}) as server:
    ...  # give server.bootstrap_servers to a command
    server.values("orders")
"""

from __future__ import annotations

from client.loopback import Loopback

from kproto.tools.judge import JudgeCluster, Node


class JudgeServer:
    """See the module. cluster: change it before the block, or with `loopback.call`."""

    def __init__(self, topics, **settings):
        self.cluster = JudgeCluster({0: Node("127.0.0.1")}, topics, **settings)
        self.loopback = Loopback(self.cluster.brokers[0].connect)

    @property
    def bootstrap_servers(self):
        return self.loopback.bootstrap_servers

    def __enter__(self):
        self.loopback.__enter__()
        node = Node(self.loopback.host, self.loopback.port)
        self.loopback.call(lambda: self.cluster.set_nodes({0: node}))
        return self

    def __exit__(self, *ended):
        self.loopback.__exit__(*ended)

    def records(self, topic, partition=None):
        """What is written, by partition and in order."""
        count = len(self.cluster.image.topics[topic].partitions)
        indexes = range(count) if partition is None else [partition]
        return self.loopback.call(lambda: [record for each in indexes for record in self.cluster.log(topic, each)])

    def values(self, topic, partition=None):
        return [record.value for record in self.records(topic, partition)]
