"""How programs end that have a producer: closed or not, broker there or gone, interrupted, forked."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest
from producer.judged_loopback import JudgedLoopback, Program

TOPICS = {"orders": 3}
COUNT = 500
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks of POSIX")


@pytest.fixture
def broker():
    with JudgedLoopback(TOPICS) as started:
        yield started


def ended(script, broker, *arguments):
    """Of a program that runs through; it has said nothing that a user did not ask for."""
    with Program(script, broker.bootstrap_servers, *arguments) as program:
        end = program.end()
    assert "Traceback" not in end.err, end.err
    return end


SEND = """
producer = Producer(servers, linger_ms=50)
futures = [producer.send("orders", b"%d" % number) for number in range(500)]
"""
NUMBERS = sorted(b"%d" % number for number in range(COUNT))


class TestClose:
    SCRIPT = (
        SEND.replace("Producer(servers", "Producer(servers, **eval(sys.argv[2])")
        + """
producer.flush()
report("ready")
input()
import time
futures = [producer.send("orders", b"late %d" % number) for number in range(500)]
began = time.monotonic()
abandoned = producer.close(1.0)
took = time.monotonic() - began
errors = [future.exception(0) for future in futures]
report(abandoned, took, sorted({type(error).__name__ for error in errors}), {str(error.written) for error in errors})
began = time.monotonic()
assert producer.close(1.0) == 0 and time.monotonic() - began < 0.1
"""
    )

    @pytest.mark.parametrize("idempotence", [True, False])
    @pytest.mark.parametrize("way", ["stop", "stall"])
    def test_close_2_brokers_that_are_gone_do_not_hold_it_up(self, broker, way, idempotence):
        """python-peers 7 (11): what is left is given up, and each future says whether it may be written."""
        settings = repr({"enable_idempotence": idempotence})
        with Program(self.SCRIPT, broker.bootstrap_servers, settings) as program:
            assert program.line() == "ready"
            getattr(broker, way)()
            program.tell()
            end = program.end()
        assert end.code == 0 and "Traceback" not in end.err, end.err
        abandoned, took, *rest = end.out.split()
        assert int(abandoned) == COUNT
        assert 0.99 < float(took) < 1.2
        told = " ".join(rest)
        assert "ProducerClosedError" in told or "DeliveryError" in told
        # In flight and unanswered it may be written; to a port that is closed nothing was.
        assert ("possibly written" in told) == (way == "stall")

    def test_close_2_a_broker_that_was_never_there(self, broker):
        broker.stop()
        script = """
        import time
        producer = Producer(servers, max_block_ms=200)
        try:
            producer.send("orders", b"value")
        except Exception as error:
            report(type(error).__name__)
        began = time.monotonic()
        report(producer.close(1.0), time.monotonic() - began)
        """
        error, abandoned, took = ended(script, broker).out.split()
        assert (error, abandoned) == ("KafkaTimeoutError", "0")
        assert float(took) < 0.2

    def test_close_5_waits_for_all(self, broker):
        script = SEND + "report(producer.close(), sum(future.exception(0) is None for future in futures))"
        assert ended(script, broker).out.split() == ["0", str(COUNT)]
        assert sorted(broker.values("orders")) == NUMBERS


WAYS = {
    "falls off its end": "",
    "sys.exit": "sys.exit(0)",
    "sys.exit in a thread": "import threading; threading.Thread(target=sys.exit).start()",
    "the producer is dropped": "del producer, futures",
    "a thread that sends on": """
import threading
producer.flush()
def send():
    for number in range(500):
        producer.send("orders", b"thread")
threading.Thread(target=send).start()
""",
    "a daemon that waits": "import threading; threading.Thread(target=futures[-1].result, daemon=True).start()",
    "a handler that sends": "import atexit; atexit.register(lambda: producer.send('orders', b'last'))",
    "a cycle of garbage": "producer.itself = cycle = [producer]; cycle.append(cycle); del producer, cycle",
}
MORE = {"a thread that sends on": [b"thread"] * COUNT, "a handler that sends": [b"last"]}


class TestTheEndOfTheInterpreter:
    @pytest.mark.parametrize("way", WAYS)
    def test_what_was_accepted_is_delivered(self, broker, way):
        end = ended(SEND + WAYS[way], broker)
        assert (end.code, end.out, end.err) == (0, "", "")
        assert sorted(broker.values("orders")) == sorted([*NUMBERS, *MORE.get(way, [])])

    def test_an_error_of_the_program_is_the_only_one_told(self, broker):
        with Program(SEND + "raise LookupError('mine')", broker.bootstrap_servers) as program:
            end = program.end()
        assert end.code == 1
        assert end.err.count("Traceback") == 1 and end.err.endswith("LookupError: mine\n")
        assert sorted(broker.values("orders")) == NUMBERS

    GONE = (
        "import time, atexit\n"
        + SEND
        + """
producer.flush()
report("ready")
input()
atexit.register(lambda: report(time.monotonic()))  # the first handler of all: those of before run after it
[producer.send("orders", b"late") for number in range(500)]
"""
    )

    @pytest.mark.parametrize("way", ["stop", "stall"])
    def test_a_broker_that_is_gone_holds_nothing_up(self, broker, way):
        """What is lost is told once for each batch, and how long it took to give up is bounded."""
        with Program(self.GONE, broker.bootstrap_servers) as program:
            assert program.line() == "ready"
            getattr(broker, way)()
            program.tell()
            program.line()
            began = time.monotonic()
            end = program.end()
            took = time.monotonic() - began
        assert end.code == 0 and "Traceback" not in end.err
        assert took < 3, took
        lines = end.err.splitlines()
        assert lines and all("records were lost to" in line for line in lines), end.err
        assert sum(int(line.split()[0]) for line in lines) == COUNT

    def test_os_exit_is_at_once(self, broker):
        broker.stall()
        script = SEND + "import os; os._exit(7)"
        end = ended(script, broker)
        assert (end.code, end.out, end.err) == (7, "", "")


@posix
class TestCtrlC:
    SENDS_ON = """
    import itertools
    with Producer(servers) as producer:
        report("ready")
        for number in itertools.count():
            producer.send("orders", b"%d" % number)
    """

    def test_it_ends_a_program_that_sends(self, broker):
        with Program(self.SENDS_ON, broker.bootstrap_servers) as program:
            assert program.line() == "ready"
            while len(broker.cluster.log("orders", 0)) < 100:
                pass
            os.kill(program.pid, signal.SIGINT)
            end = program.end()
        assert end.code == -signal.SIGINT
        assert end.err.count("Traceback") == 1 and end.err.endswith("KeyboardInterrupt\n"), end.err
        assert "kproto-producer" not in end.err
        values = broker.values("orders")
        assert sorted(map(int, values)) == list(range(len(values)))

    INTERRUPTED = """
    import random, signal, time
    seed = int(sys.argv[2])
    rng = random.Random(seed)

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    accepted, unsure = [], []
    producer = Producer(servers, linger_ms=1, batch_size=400)
    producer.partitions_for("orders")
    number = 0
    for _ in range(150):
        try:
            signal.setitimer(signal.ITIMER_REAL, rng.uniform(0.0001, 0.004))
            while True:
                number += 1
                unsure.append(number)
                future = producer.send("orders", b"%d" % number)
                accepted.append((future, number))
                unsure.pop()
        except KeyboardInterrupt:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    report(producer.close(30), len(accepted))
    for future, number in accepted:
        assert future.exception(0) is None, number
    report(" ".join(map(str, unsure)) or "none")
    report(" ".join(str(number) for _, number in accepted))
    """

    @pytest.mark.parametrize("seed", range(3))
    def test_whatever_is_interrupted_each_record_is_written_once(self, broker, seed):
        end = ended(self.INTERRUPTED, broker, str(seed))
        assert (end.code, end.err) == (0, "")
        first, unsure, accepted = end.out.splitlines()
        assert first.startswith("0 ")
        accepted = set(map(int, accepted.split()))
        unsure = set() if unsure == "none" else set(map(int, unsure.split()))
        written = list(map(int, broker.values("orders")))
        assert len(written) == len(set(written))
        assert accepted <= set(written)
        assert set(written) <= accepted | unsure
        assert len(unsure) <= 150

    AT_A_STEP = """
    import signal, threading
    from kproto.producer.buffer_memory import BufferMemory

    step, skip = sys.argv[2], int(sys.argv[3])
    real = getattr(BufferMemory, step)

    def interrupted(memory, *arguments):
        global skip
        if threading.current_thread() is threading.main_thread():
            skip -= 1
            if not skip:
                signal.raise_signal(signal.SIGINT)
        return real(memory, *arguments)

    setattr(BufferMemory, step, interrupted)
    producer = Producer(servers, linger_ms=1, batch_size=400)
    accepted, came = [], 0
    for number in range(500):
        try:
            on_delivery = (lambda metadata, error: None) if number % 3 else None
            accepted.append(producer.send("orders", b"%d" % number, partition=0, on_delivery=on_delivery))
        except KeyboardInterrupt:
            came += 1
    try:
        producer.flush(5)
    except KeyboardInterrupt:  # the memory was released only now
        producer.flush(5)
    metrics = {name.name: value for name, value in producer.metrics().items()}
    missing = metrics["buffer-total-bytes"] - metrics["buffer-available-bytes"]
    report(came, missing, producer.close(1), sum(future.exception(0) is not None for future in accepted))
    """

    @pytest.mark.parametrize("skip", [1, 3])
    @pytest.mark.parametrize("step", ["charge", "release"])
    def test_an_interruption_between_two_steps_leaves_the_books_right(self, broker, step, skip):
        """The signal comes where charges and releases are made: after it nothing is missing, and all goes on."""
        end = ended(self.AT_A_STEP, broker, step, str(skip))
        assert end.err == ""
        assert end.out.split()[1:] == ["0.0", "0", "0"]


@posix
class TestForks:
    CHILD = """
def tried(name, call):
    import time
    began = time.monotonic()
    try:
        call()
    except ForkedProducerError as error:
        assert "make one in each child" in str(error)
    else:
        report(name, "did not raise")
    if time.monotonic() - began > 1:
        report(name, "took its time")

def child():
    for name, call in {
        "send": lambda: producer.send("orders", b"child"),
        "send_many": lambda: producer.send_many("orders", [b"child"]),
        "partitions_for": lambda: producer.partitions_for("orders"),
        "flush": producer.flush,
        "wait_ready": lambda: producer.wait_ready(1),
    }.items():
        tried(name, call)
    if producer.close() or producer.close(1.0):
        report("close gave up records of the parent's")
    with Producer(servers) as own:
        own.send("orders", b"own").result(10)
"""

    def test_a_child_is_told_and_the_parent_goes_on(self, broker):
        script = (
            SEND
            + self.CHILD
            + """
import os
pid = os.fork()
if pid:
    report(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    producer.send("orders", b"parent").result(10)
    report(producer.close())
else:
    child()
"""
        )
        end = ended(script, broker)
        assert (end.code, end.out, end.err) == (0, "0\n0\n", "")
        assert sorted(broker.values("orders")) == sorted([*NUMBERS, b"own", b"parent"])

    def test_multiprocessing(self, broker):
        script = (
            SEND
            + self.CHILD
            + """
import multiprocessing
context = multiprocessing.get_context("fork")
process = context.Process(target=child)
process.start()
process.join()
report(process.exitcode)
report(producer.close())
"""
        )
        end = ended(script, broker)
        assert (end.code, end.out, end.err) == (0, "0\n0\n", "")
        assert sorted(broker.values("orders")) == sorted([*NUMBERS, b"own"])

    def test_a_fork_while_threads_send(self, broker):
        """Whatever locks they held, nothing waits for them in the child."""
        script = (
            SEND
            + self.CHILD.replace("    with Producer(servers) as own", "    if False").replace(
                "own.send", "producer.send"
            )
            + """
import os, threading, time
over = False
def send():
    while not over:
        producer.send("orders", b"thread")
threads = [threading.Thread(target=send) for _ in range(3)]
for thread in threads:
    thread.start()
codes = set()
for _ in range(20):
    pid = os.fork()
    if not pid:
        child()
        os._exit(0)
    deadline = time.monotonic() + 10
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            codes.add(os.waitstatus_to_exitcode(status))
            break
        if time.monotonic() > deadline:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            codes.add("hung")
            break
        time.sleep(0.001)
over = True
for thread in threads:
    thread.join()
report(codes, producer.close())
"""
        )
        end = ended(script, broker)
        assert (end.code, end.out, end.err) == (0, "{0} 0\n", "")
