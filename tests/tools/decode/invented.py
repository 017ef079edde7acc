"""A capture of an idempotent producer that keeps its promises, and of a leader that checks them; trouble by a seed."""

from __future__ import annotations

from collections import deque

from tools.decode.decoded import BROKER, OTHER_BROKER, Capture, batch

IN_FLIGHT_MAX = 5
SEQUENCES = 2**31


def invented(rng, batches=60):
    """The frames. Batches have 1 to 5 records; connections break, leaders move, answers say that it timed out."""
    return _Producer(rng, batches).run()


class _Producer:
    """One partition. It sends again in order, and under the same sequences, whatever was refused or not answered."""

    def __init__(self, rng, batches):
        self.rng = rng
        self.capture = Capture()
        self.conn, self.broker = 1, BROKER
        base = rng.choice([0, SEQUENCES - 40])
        self.queue = deque()
        for number in range(batches):
            count = rng.randrange(1, 6)
            self.queue.append((base, count, batch(base, count, salt=number)))
            base = (base + count) % SEQUENCES
        self.expected = self.queue[0][0]
        self.taken = {}
        self.in_flight = deque()
        self.again = False
        self.offset = 0

    def run(self):
        while self.queue or self.in_flight:
            most = 1 if self.again else IN_FLIGHT_MAX
            if self.queue and len(self.in_flight) < most and self.rng.random() < 0.6:
                self.send()
            elif self.in_flight:
                trouble = self.rng.random()
                if trouble < 0.05:
                    self.lose()
                else:
                    self.answer(moved=trouble < 0.12, timed_out=0.12 <= trouble < 0.16)
        return self.capture.frames

    def send(self):
        entry = self.queue.popleft()
        request = self.capture.produce(entry[2], conn=self.conn, broker=self.broker)
        self.in_flight.append((entry, request))

    def lose(self):
        """The connection ends; what is on its way arrives, or not, from some point on."""
        arriving = self.rng.randrange(len(self.in_flight) + 1)
        for entry, _ in list(self.in_flight)[:arriving]:
            self.append(entry)
        self.capture.close(self.conn, self.broker)
        self.conn += 1
        self.requeue([entry for entry, _ in self.in_flight])
        self.in_flight.clear()

    def answer(self, moved, timed_out):
        """The first in flight is answered; where the leader moved, all of them are refused."""
        if moved:
            refused = [entry for entry, _ in self.in_flight]
            for _, request in self.in_flight:
                self.capture.ack(request, 6)
            self.in_flight.clear()
            self.requeue(refused)
            self.conn += 1
            self.broker = OTHER_BROKER if self.broker == BROKER else BROKER
            return
        entry, request = self.in_flight.popleft()
        error = self.append(entry)
        if not error and timed_out:
            error = 7
        self.capture.ack(request, error, self.offset)
        if error:
            self.requeue([entry])
        else:
            self.again = False

    def append(self, entry):
        """What the leader does with a batch: 0, or 45."""
        base, count, data = entry
        if base in self.taken:
            assert self.taken[base] == data
            return 0
        if base != self.expected:
            return 45
        self.taken[base] = data
        self.expected = (base + count) % SEQUENCES
        self.offset += count
        return 0

    def requeue(self, entries):
        """In the order of sequences, before what was never sent."""
        self.again = True
        waiting = [*entries, *self.queue]
        order = [entry[0] for entry in waiting]
        first = min(waiting, key=lambda entry: (entry[0] - self.expected + 1000) % SEQUENCES)[0] if order else 0
        waiting.sort(key=lambda entry: (entry[0] - first) % SEQUENCES)
        self.queue = deque(waiting)
