"""A model of one partition, to be explored whole: `PartitionSequences`, a lossy connection, and a broker's memory.

    explore(batches=3, faults=2)

Each state is taken on by every step that can come next; each fault uses up one of those that are allowed. A fault: an
error before the append (one that is retried, one that is not) or after it, a connection that ends with what is under
way (the broker may still be at work on the first of it, once at a time), or a batch that is given up. Raises
AssertionError, with the steps that led there, for a log with a record twice or out of order, for a wrong word on what
is written, and for a state from which nothing leads on. The broker's part is the judge's.
"""

from __future__ import annotations

from collections import deque

from kproto.producer.outcome import Action, outcome_of
from kproto.producer.producer_id import ProducerIdAndEpoch
from kproto.producer.sequences import PartitionSequences
from kproto.tools.judge.producer_state import ProducerStates, Stamp
from kproto.wire import ErrorCode
from kproto.wire.records import NO_SEQUENCE

REFUSED, FAILED, WRITTEN = ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.INVALID_RECORD, ErrorCode.REQUEST_TIMED_OUT
EPOCHS_MAX = 8
LOST = ErrorCode.NETWORK_EXCEPTION


class ModelBatch:
    """What `PartitionSequences` knows of a batch."""

    __slots__ = (
        "count",
        "done",
        "identity",
        "in_flight",
        "index",
        "node_id",
        "open_outcome",
        "queued",
        "said",
        "sequence",
    )

    def __init__(self, index):
        self.index = index
        self.count = 1 + index % 2
        self.identity = ProducerIdAndEpoch(-1, -1)
        self.sequence = NO_SEQUENCE
        self.node_id = 0
        self.in_flight = self.open_outcome = self.done = False
        self.queued = True
        self.said = None  # once it is done: "written", "not written" or "possibly"

    def stamp(self, identity, sequence):
        self.identity, self.sequence = identity, sequence

    def copy(self):
        made = ModelBatch.__new__(ModelBatch)
        for name in ModelBatch.__slots__:
            setattr(made, name, getattr(self, name))
        return made

    def key(self):
        return (*self.identity, self.sequence, self.in_flight, self.open_outcome, self.queued, self.said)

    def __repr__(self):
        return f"<{self.index}: {self.key()}>"


class Model:
    """One state. steps: what led here."""

    def __init__(self, batches, faults):
        self.batches = [ModelBatch(index) for index in range(batches)]
        self.sequences = PartitionSequences()
        self.current = ProducerIdAndEpoch(1, 0)
        self.requests, self.answers, self.zombies = (), (), ()
        self.broker = ProducerStates()
        self.log = ()
        self.faults = faults
        self.steps = ()

    def copy(self, step):
        made = Model.__new__(Model)
        made.batches = [batch.copy() for batch in self.batches]
        made.sequences = PartitionSequences()
        for name in ("identity", "next_sequence", "acknowledged", "lost_before"):
            setattr(made.sequences, name, getattr(self.sequences, name))
        made.sequences.sent = [made.batches[batch.index] for batch in self.sequences.sent]
        made.sequences.in_flight = [made.batches[batch.index] for batch in self.sequences.in_flight]
        for name in ("current", "requests", "answers", "zombies", "log", "faults"):
            setattr(made, name, getattr(self, name))
        made.steps = (*self.steps, step)
        made.broker = ProducerStates()
        for producer_id, entry in self.broker._entries.items():
            made.broker._entries[producer_id] = type(entry)(entry.epoch, deque(entry.batches, maxlen=5))
        return made

    def key(self):
        own = self.sequences
        return (
            tuple(batch.key() for batch in self.batches),
            (own.identity, own.next_sequence, own.acknowledged, own.lost_before),
            tuple(batch.index for batch in own.sent),
            tuple((entry.epoch, tuple(entry.batches)) for entry in self.broker._entries.values()),
            (self.current, self.requests, self.answers, self.zombies, self.log, self.faults),
        )

    # What can come next

    def nexts(self):
        """States that lead on; and those that a fault leads to."""
        onward = [self.sent(), self.served(), self.received(), self.zombie_served()]
        faulty = []
        if self.faults:
            faulty = [self.served(code) for code in (REFUSED, FAILED, WRITTEN)]
            faulty += [self.broken(zombie=False), self.broken(zombie=True), self.given_up()]
        return [one for one in onward if one is not None], [one for one in faulty if one is not None]

    def sent(self):
        """As Dispatch does it."""
        head = next((batch for batch in self.batches if batch.queued), None)
        if head is None:
            return None
        made = self.copy(f"send {head.index}")
        own, head = made.sequences, made.batches[head.index]
        restarted = own.restartable
        if restarted:
            if made.current == own.identity:
                made.current = ProducerIdAndEpoch(1, made.current.epoch + 1)
                assert made.current.epoch < EPOCHS_MAX, f"epoch after epoch: {made.steps}"
            own.restart(made.current)
        if own.gate(head, 0, made.current) is not None:
            return made if restarted else None
        own.stamp(head, made.current)
        head.queued, head.in_flight = False, True
        made.requests += ((head.index, head.identity, head.sequence),)
        return made

    def served(self, fault=None):
        """The broker takes the next request, and answers."""
        if not self.requests:
            return None
        (index, identity, sequence), *rest = self.requests
        made = self.copy(f"serve {index} {'' if fault is None else fault.name}")
        made.faults -= fault is not None
        made.requests = tuple(rest)
        code = fault if fault in (REFUSED, FAILED) else made.append(index, identity, sequence)
        if fault is WRITTEN and code == ErrorCode.NONE:
            code = WRITTEN
        made.answers += ((index, code),)
        return made

    def append(self, index, identity, sequence):
        stamp = Stamp(*identity, sequence, sequence + self.batches[index].count - 1)
        if self.broker.duplicate_of(stamp) is not None:
            return ErrorCode.NONE
        code = self.broker.error_of(stamp)
        if not code:
            self.broker.add(stamp, len(self.log), 0)
            self.log += (index,)
        return code

    def zombie_served(self):
        """A request of a connection that is gone is carried out all the same."""
        if not self.zombies:
            return None
        made = self.copy(f"serve {self.zombies[0][0]} late")
        request, made.zombies = made.zombies[0], made.zombies[1:]
        made.append(*request)
        return made

    def received(self):
        if not self.answers:
            return None
        (index, code), *rest = self.answers
        made = self.copy(f"{index} answered {code.name if code else 'well'}")
        made.answers = tuple(rest)
        made.settle(made.batches[index], code)
        return made

    def broken(self, *, zombie):
        """The connection ends. zombie: the broker had read the first request that it has not answered.

        Not two such at once: what they bring after the batch behind them was refused as out of order, and before it
        comes under the next epoch, no producer without transactions can see.
        """
        if not self.sequences.in_flight or (zombie and (self.zombies or not self.requests)):
            return None
        made = self.copy("break, one is served late" if zombie else "break")
        made.faults -= 1
        if zombie:
            made.zombies += made.requests[:1]
        made.requests = made.answers = ()
        flying = [*made.sequences.in_flight]
        for batch in flying:
            made.sequences.answered(batch)
            batch.in_flight = False
        for batch in flying:
            made.settle(batch, LOST, ended=True)
        return made

    def given_up(self):
        """Its time is over: always the oldest."""
        batch = next((batch for batch in self.batches if not batch.done), None)
        if batch is None:
            return None
        made = self.copy(f"give up {batch.index}")
        made.faults -= 1
        made.fail(made.batches[batch.index])
        return made

    # As Settlement and BatchFates do it

    def settle(self, batch, code, *, ended=False):
        own, outcome = self.sequences, outcome_of(code)
        if not ended:
            own.answered(batch)
            batch.in_flight = False
        if batch.done:
            if outcome.action is Action.COMPLETE:
                own.acked(batch)
            return
        batch.open_outcome |= outcome.open
        if outcome.action is Action.COMPLETE:
            own.acked(batch)
            batch.done, batch.said = True, "written"
        elif outcome.action is Action.OUT_OF_ORDER:
            own.out_of_order(batch)
            batch.queued = True
        elif outcome.action is Action.RETRY:
            batch.queued = True
        else:
            self.fail(batch)

    def fail(self, batch):
        batch.queued = False
        self.sequences.given_up(batch)
        batch.done, batch.said = True, "possibly" if batch.open_outcome or batch.in_flight else "not written"

    # What has to hold

    def check(self):
        assert list(self.log) == sorted(set(self.log)), f"the log is {self.log} after {self.steps}"
        for batch in self.batches:
            if batch.said == "written":
                assert batch.index in self.log, f"{batch} is not in the log after {self.steps}"
            elif batch.said == "not written":
                assert batch.index not in self.log, f"{batch} is in the log after {self.steps}"


def explore(batches, faults):
    """Every state that can be reached, each once: how many. Raises AssertionError, see the module."""
    first = Model(batches, faults)
    waiting = [first]
    seen = {first.key(): first.steps}
    leads_to = {}
    ends = []
    while waiting:
        state = waiting.pop()
        state.check()
        onward, faulty = state.nexts()
        if not onward and all(batch.done for batch in state.batches):
            ends.append(state.key())
            if len(state.batches) == batches:  # one more, to see that it comes through
                after = state.copy("one more")
                after.batches.append(ModelBatch(batches))
                after.faults = 0
                faulty = [after]
        leads_to[state.key()] = [one.key() for one in onward]
        for one in (*onward, *faulty):
            if one.key() not in seen:
                seen[one.key()] = one.steps
                waiting.append(one)
    for key in seen.keys() - leading_to(ends, leads_to):
        raise AssertionError(f"without another fault it never ends after {seen[key]}")
    return len(seen)


def leading_to(ends, leads_to):
    """The states from which one of the ends can be reached."""
    before = {}
    for key, nexts in leads_to.items():
        for one in nexts:
            before.setdefault(one, []).append(key)
    found, waiting = set(ends), [*ends]
    while waiting:
        for key in before.get(waiting.pop(), ()):
            if key not in found:
                found.add(key)
                waiting.append(key)
    return found
