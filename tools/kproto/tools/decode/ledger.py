"""The sequences that one producer used for one partition, and whether each was right to use.

Layer: tools. Memory: SENT_MAX batches of the epoch, as many of the one before, and the last few causes of trouble.
Source: KIP-98, KIP-360; org.apache.kafka.storage.internals.log.ProducerAppendInfo, ProducerStateEntry.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Iterator
from typing import Final, NamedTuple

from kproto.tools.decode.message_errors import error_name
from kproto.tools.decode.model import Finding
from kproto.tools.decode.sent_batch import Fate, SentBatch, distance, fate_of
from kproto.wire import ErrorCode

__all__ = ["IN_FLIGHT_MAX", "Cause", "Ledger"]

IN_FLIGHT_MAX: Final = 5  # batches of a producer that a partition's leader knows again
SENT_MAX: Final = 32
CAUSES_MAX: Final = 16
MOVES: Final = frozenset({ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH})


class Cause(NamedTuple):
    """Something that may make a later batch come out of order. frame: where it was seen; text: what it was."""

    frame: int
    text: str


class Ledger:
    """Give it each batch as it is sent, and each answer, in capture order.

    epochs: the first one seen and the latest. first: the sequence with which the capture begins; next: the one that
    is due, None where that is not known. written, refused, lost: answers so far; again: batches sent more than once.
    """

    __slots__ = (
        "_crowded",
        "_forgiven",
        "_free",
        "_last",
        "_past",
        "_sent",
        "_since",
        "again",
        "batches",
        "causes",
        "conn",
        "epochs",
        "findings",
        "first",
        "lost",
        "next",
        "records",
        "refused",
        "written",
    )

    def __init__(self) -> None:
        self.epochs: tuple[int, int] | None = None
        self.first: int | None = None
        self.next: int | None = None
        self.conn = 0
        self.batches = self.records = self.again = 0
        self.written = self.refused = self.lost = self.findings = 0
        self.causes: deque[Cause] = deque(maxlen=CAUSES_MAX)
        self._sent: dict[int, SentBatch] = {}
        self._past: dict[tuple[int, int, int, int], SentBatch] = {}
        self._crowded = False
        self._since = 0
        self._forgiven = 0
        self._free: tuple[int, int] | None = None
        self._last = 0

    def put(self, sent: SentBatch, certain: bool = True, born: bool = False) -> Iterator[Finding]:
        """A batch is sent. certain: False where the capture lacks something that may have been sent before.

        born: whether the capture has the answer that gave the producer its id and epoch.
        """
        self.batches += 1
        self.records += sent.count
        if sent.base < 0:
            yield self._bad("bad-sequence", f"sequence {sent.base} is negative: behind 2147483647 comes 0")
            return
        if not certain:
            self.next = None
        restarted = yield from self._epoch(sent)
        if restarted is None:
            return
        known = self._sent.get(sent.base)
        if known is None:
            yield from self._place(sent, (restarted or born) and certain)
        else:
            yield from self._repeat(known, sent)
        self._keep(sent)
        self._last = sent.frame
        yield from self._crowd()

    def answer(self, sent: SentBatch, error: int, frame: int) -> Iterator[Finding]:
        """The broker answered the attempt with this error code, 0 for none."""
        sent.fate, sent.error = fate_of(error), error
        if sent.fate is Fate.WRITTEN:
            self.written += 1
            self._written_up_to(sent)
        elif sent.fate is Fate.LOST:
            self.lost += 1
            self.causes.append(Cause(frame, f"{error_name(error)} for {sent}, which may be written all the same"))
        else:
            self.refused += 1
            if error == ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
                yield self._explained(sent, frame)
            elif error in MOVES:
                text = f"the leader moved away from {sent.broker}: {error_name(error)} for {sent}"
                self.causes.append(Cause(frame, text))
            else:
                self.causes.append(Cause(frame, f"{sent} was refused: {error_name(error)}"))

    def lose(self, sent: SentBatch, frame: int, why: str) -> None:
        """No answer comes for the attempt."""
        if sent.fate is Fate.OPEN:
            sent.fate = Fate.LOST
            self.lost += 1
            self.causes.append(Cause(frame, f"the answer for {sent} was lost: {why}"))

    def _bad(self, code: str, text: str, notice: bool = False) -> Finding:
        if not notice:
            self.findings += 1
        return Finding(code, text, notice)

    def _epoch(self, sent: SentBatch) -> Generator[Finding, None, bool | None]:
        """Whether the batch is the first of a new epoch; None where it belongs to one that has passed."""
        if self.epochs is None:
            self.epochs = sent.epoch, sent.epoch
            return False
        first, latest = self.epochs
        if sent.epoch == latest:
            return False
        if sent.epoch < latest:
            yield self._bad("old-epoch", f"epoch {sent.epoch} is used for {sent} after epoch {latest} was")
            return None
        self.epochs = first, sent.epoch
        unsure = [each for each in self._sent.values() if each.fate in (Fate.OPEN, Fate.LOST)]
        if unsure:
            text = f"epoch {sent.epoch} begins while it is open whether {_listed(unsure)} of epoch {latest} was written"
            yield self._bad("epoch-while-open", text, notice=True)
        self.causes.append(Cause(sent.frame, f"epoch {latest} ended, and {sent.epoch} began"))
        bodies = Counter(each.body_id for each in self._sent.values())  # what comes twice tells nothing
        self._past = {each.body_id: each for each in self._sent.values() if bodies[each.body_id] == 1}
        self._sent = {}
        self.next = None
        return True

    def _place(self, sent: SentBatch, from_zero: bool) -> Iterator[Finding]:
        """A batch with a sequence that is not among those that are kept."""
        yield from self._rewritten(sent)
        if self.next is None:
            if from_zero and sent.base:
                yield self._bad("epoch-restart", f"epoch {sent.epoch} begins with sequence {sent.base} instead of 0")
            self._begin(sent, from_zero)
            return
        steps = distance(self.next, sent.base)
        if steps < 0:
            yield from self._went_back(sent)
            return
        if steps and self._forgiven:
            self._since = sent.base
        elif steps:
            text = f"sequence {self.next} was due, but {sent} came: {steps} missing"
            if self.causes and self.causes[-1].frame > self._last:
                text += f"; {self._nearest(sent.frame)}"
            yield self._bad("sequence-gap", text)
            self.causes.append(Cause(sent.frame, f"a gap: {steps} sequences from {self.next} on were never sent"))
        self._forgiven = max(0, self._forgiven - 1)
        self.next = sent.behind

    def _begin(self, sent: SentBatch, from_zero: bool) -> None:
        """The first batch that is seen.

        In mid-stream it may be sent again, and those behind it may have been taken before: so many may be missing.
        """
        if self.first is None or from_zero:
            self.first = sent.base
        self._since = sent.base
        self._forgiven = 0 if from_zero else IN_FLIGHT_MAX
        self.next = sent.behind

    def _went_back(self, sent: SentBatch) -> Iterator[Finding]:
        """A sequence below the one that is due, with which no batch that is kept begins."""
        over = [each for each in self._sent.values() if each.overlaps(sent)]
        if over:
            yield self._bad("overlap", f"{sent} shares sequences with {_listed(over)}, {over[0].fate.value}")
        elif self._free is not None and distance(self._free[0], sent.base) >= 0 <= distance(sent.behind, self._free[1]):
            pass  # another part of what was split, while what comes behind it still waits
        elif distance(self._since, sent.base) >= 0:
            yield self._bad("duplicate", f"{sent} was sent before, and later batches were, too: {self.next} is due")

    def _repeat(self, known: SentBatch, sent: SentBatch) -> Iterator[Finding]:
        """A sequence with which another batch began."""
        self.again += 1
        sent.attempts = known.attempts + 1
        if known.bytes_id != sent.bytes_id:
            if known.fate is Fate.REFUSED:  # nothing of it is in the log: it may be split, or give way to the next
                self._rewind(sent)
                return
            text = f"{sent} has other bytes than {known}, {known.fate.value}: the broker would take the new for the old"
            yield self._bad("resent-differs", text)
        elif known.fate is Fate.WRITTEN:
            yield self._bad("duplicate", f"{sent} is sent again, though {known} was acknowledged")
        elif known.fate is Fate.OPEN and known.conn == sent.conn:
            yield self._bad("duplicate", f"{sent} is sent again on the connection on which {known} still waits")
        elif known.fate is Fate.OPEN:
            text = f"{sent} is sent again on another connection while {known} still waits on connection {known.conn}"
            yield self._bad("still-waiting", text, notice=True)

    def _rewritten(self, sent: SentBatch) -> Iterator[Finding]:
        """The records of a batch of the last epoch, under the new one: right only where it is not in the log."""
        old = self._past.pop(sent.body_id, None)
        if old is not None and old.fate is not Fate.REFUSED:
            text = f"the records of {old} of epoch {old.epoch}, {old.fate.value}, are sent again as {sent} of epoch "
            sure = "may be" if old.fate in (Fate.OPEN, Fate.LOST) else "are"
            yield self._bad("rewritten", f"{text}{sent.epoch}: they {sure} in the log twice")

    def _rewind(self, sent: SentBatch) -> None:
        """Go on from this batch: those that were refused never were, and their sequences are free."""
        refused = [each for each in self._sent.values() if each.fate is Fate.REFUSED]
        self._free = sent.base, max((each.behind for each in refused), key=lambda end: distance(sent.base, end))
        kept = {base: each for base, each in self._sent.items() if each.fate is not Fate.REFUSED or base == sent.base}
        self._sent = kept
        if not any(each.fate is not Fate.REFUSED and distance(sent.base, each.base) > 0 for each in kept.values()):
            self.next = sent.behind

    def _keep(self, sent: SentBatch) -> None:
        self._sent.pop(sent.base, None)
        self._sent[sent.base] = sent
        if len(self._sent) > SENT_MAX:
            settled = (base for base, each in self._sent.items() if each.fate is not Fate.OPEN)
            del self._sent[next(settled, next(iter(self._sent)))]

    def _crowd(self) -> Iterator[Finding]:
        waiting = sum(each.fate is Fate.OPEN for each in self._sent.values())
        if waiting > IN_FLIGHT_MAX and not self._crowded:
            text = f"{waiting} batches wait for their answers: a broker knows only the last {IN_FLIGHT_MAX} again"
            yield self._bad("in-flight", text)
        self._crowded = waiting > IN_FLIGHT_MAX

    def _written_up_to(self, sent: SentBatch) -> None:
        """A batch is taken only behind the one before it, so what came before is written, too."""
        for each in self._sent.values():
            if each.epoch == sent.epoch and each.fate is Fate.LOST and distance(each.base, sent.base) >= 0:
                each.fate = Fate.TAKEN

    def _explained(self, sent: SentBatch, frame: int) -> Finding:
        """Whatever stands directly before a batch that is out of order is not written."""
        text = f"{sent} was refused as out of order; {self._nearest(frame)}"
        for each in self._sent.values():
            if each.epoch == sent.epoch and each.fate is Fate.LOST and each.behind == sent.base:
                each.fate = Fate.REFUSED
        return self._bad("out-of-sequence", text, notice=True)

    def _nearest(self, frame: int) -> str:
        for cause in reversed(self.causes):
            if cause.frame <= frame:
                return f"nearest earlier cause: {cause.text}, in frame {cause.frame}"
        return "no cause in the capture: what came before it is not known"


def _listed(batches: list[SentBatch]) -> str:
    more = f" and {len(batches) - 3} more" if len(batches) > 3 else ""
    return ", ".join(map(str, batches[:3])) + more
