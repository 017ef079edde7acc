"""A sender whose requests and answers are handed to it one by one, in any order: for what a connection would not do."""

from __future__ import annotations

from producer.scenes import TOPIC, world_of

from kproto.client import TopicPartition
from kproto.client.in_flight import Completion
from kproto.producer.produce_call import PartitionAnswer, ProduceCall
from kproto.wire import ErrorCode, ProduceResponse

__all__ = ["Desk"]


class Desk:
    """See the module. It knows its topic and has its producer id; nothing goes out by itself but in `world`'s time."""

    def __init__(self, partitions=2, **settings):
        self.world = world_of(partitions, **{"batch_size": 16_384, "linger_ms": 50, **settings})
        sender = self.sender = self.world.sender
        self.settlement, self.fates, self.lanes = sender._settlement, sender._fates, sender.lanes
        if self.world.config.enable_idempotence:
            self.world.run_until(lambda: sender.producer_id.identity.epoch == 0)
        for partition in range(partitions):
            self.world.accumulator.topic(TOPIC).queue(partition)

    @property
    def now_ms(self):
        return self.world.now_ms

    def state(self, partition=0):
        return self.lanes.state(TopicPartition(TOPIC, partition))

    def append(self, *values, partition=0):
        """A batch of its own, closed and sealed, in the queue."""
        sent = [self.world.append(TOPIC, value, partition=partition) for value in values]
        batch = sent[0].batch
        batch.close()
        self.world.accumulator.seal(batch)
        return batch

    def send(self, *values, partition=0):
        """The batch is in a request; the call."""
        self.append(*values, partition=partition)
        return self.send_head(partition)

    def send_head(self, *partitions):
        """The first batches of these queues are in one request; the call."""
        batches = []
        for partition in partitions or (0,):
            state = self.state(partition)
            batch = self.world.accumulator.take(state.queue)
            state.sequences.stamp(batch, self.sender.producer_id.identity)
            batch.send(0, 0)
            batches.append(batch)
        call = ProduceCall(0, batches, self.now_ms)
        call.version = 12
        return call

    def answer(self, call, code=ErrorCode.NONE, base_offset=-1, **fields):
        """The broker answers every partition of the call the same; its throttle time is 7 ms."""
        answers = [
            PartitionAnswer(index=partition.partition, error_code=code, base_offset=base_offset, **fields)
            for partition in call.batches
        ]
        topic = ProduceResponse.TopicProduceResponse(name=TOPIC, partition_responses=answers)
        self.respond(call, ProduceResponse(responses=[topic], throttle_time_ms=7))

    def respond(self, call, response):
        self.settlement.settle(call, Completion(call, response, None, call.version), self.now_ms)
        self.sender.collect()

    def end(self, call, error):
        """No answer comes: an error, or None where none is due."""
        self.settlement.settle(call, Completion(call, None, error, call.version), self.now_ms)
        self.sender.collect()

    def queued(self, partition=0):
        return [batch.number for batch in self.state(partition).queue.batches]
