"""Who wrote what last: every value that is read must be one that may be there (HSL 5.9).

The table knows nothing of caches, homes or messages: only when each operation began and ended. A word is 8
aligned bytes; each write puts a value there that no other one does, so the value tells the writer. A read may
return the value of any write that had begun when it ended, unless another write came wholly between the two.
Of an EXACT operation only the last write before it, by id, will do.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from hsl._generated.constants import LINE_BYTES, Aop, Err
from hsl.agents.access import Ticket
from hsl.agents.invariants import InvariantError
from hsl.verify.operation import EXACT, NOTHING, Operation

__all__ = ["WORD", "LastWriters", "Write"]

WORD = 8
PRUNE_AT = 32  # writes of one word that are kept before those that nothing can read any more are dropped
READS = frozenset({"load", "read_once"})
WRITES = frozenset({"store", "store_line", "write_full", "write_ptl"})


class Write:
    """A write of one word: its value, and the steps at which it began and ended (None: not yet, or never)."""

    __slots__ = ("began", "ended", "operation", "value")

    def __init__(self, operation: Operation | None, value: bytes, began: int, ended: int | None) -> None:
        self.operation = operation
        self.value = value
        self.began = began
        self.ended = ended

    def __str__(self) -> str:
        """As a report names it."""
        return "the initial value" if self.operation is None else str(self.operation)


class LastWriters:
    """The table. `initial(addr)` gives the 64 bytes of a line before anything ran.

    Call `taken` for each operation in the order of ids, `begun` when it begins, `ended` with its ticket.
    Raises InvariantError that names the last writer.
    """

    def __init__(self, initial: Callable[[int], bytes]) -> None:
        self._initial = initial
        self._step = 0
        self._words: dict[int, list[Write]] = {}  # at most the words of the run; see PRUNE_AT
        self._begun: dict[int, int] = {}  # step at which each operation under way began
        self._open: dict[int, list[Write]] = {}  # the writes of each operation under way
        self._exact: dict[int, list[Write]] = {}  # what each exact read must return, until it ends
        self._last: dict[int, Write] = {}  # by word: the last write taken, by id
        self._sums: dict[int, set[bytes]] = defaultdict(set)  # by word: old values that atomic adds returned

    def taken(self, operation: Operation) -> None:
        """An operation of the program, before it begins."""
        kind = operation.access.kind
        if operation.judge == NOTHING:
            return
        if kind in WRITES:
            self._open[operation.id] = writes = []
            for word, value in _written(operation):
                write = Write(operation, value, -1, None)
                self._last[word] = write
                writes.append(write)
        elif kind in READS and operation.judge == EXACT:
            self._exact[operation.id] = [self._latest(word) for word in _words(operation)]

    def begun(self, operation: Operation) -> None:
        """It begins."""
        self._step += 1
        self._begun[operation.id] = self._step
        if operation.id in self._open:
            words = (word for word, _ in _written(operation))
            for word, write in zip(words, self._open[operation.id], strict=True):
                write.began = self._step
                self._history(word).append(write)

    def ended(self, operation: Operation, ticket: Ticket) -> None:
        """It ended; what failed may have been done or not."""
        self._step += 1
        began = self._begun.pop(operation.id)
        writes = self._open.pop(operation.id, ())
        exact = self._exact.pop(operation.id, None)
        if operation.judge == NOTHING or ticket.err != Err.OK or ticket.poison:
            return
        for write in writes:
            write.ended = self._step
        if operation.access.kind in READS:
            self._judge(operation, ticket, began, exact)
        elif operation.access.kind == "atomic_load" and operation.access.aop == Aop.ADD:
            self._count(operation, ticket)

    def judge_rest(self, line: int, data: bytes) -> None:
        """At rest each word of a line that is judged has a value that nothing has overwritten."""
        for at in range(0, LINE_BYTES, WORD):
            word, value = line + at, data[at : at + WORD]
            history = self._words.get(word)
            if history is not None and all(write.value != value for write in self._legal(word, self._step)):
                raise InvariantError(
                    f"at rest {word:#x} holds {value.hex()}, written by {self._writer(word, value)}; "
                    f"the last writer is {self._legal(word, self._step)[-1]}"
                )

    def _judge(self, operation: Operation, ticket: Ticket, began: int, exact: list[Write] | None) -> None:
        for index, word in enumerate(_words(operation)):
            value = ticket.data[index * WORD : (index + 1) * WORD]
            legal = [exact[index]] if exact else self._legal(word, began)
            if all(write.value != value for write in legal):
                last = max(legal, key=lambda write: write.began)
                raise InvariantError(
                    f"{operation} read {value.hex()} at {word:#x}, written by {self._writer(word, value)}; "
                    f"the last writer is {last} with {last.value.hex()}"
                )

    def _legal(self, word: int, began: int) -> list[Write]:
        """The writes of which a read that began at step `began` and ends now may return one."""
        history = self._history(word)
        overwritten = max(
            write.began for write in history if write.ended is not None and write.ended <= began
        )
        legal = [write for write in history if write.ended is None or write.ended > overwritten]
        if len(history) > PRUNE_AT:
            self._prune(word)
        return legal

    def _prune(self, word: int) -> None:
        oldest = min(self._begun.values(), default=self._step)
        history = self._words[word]
        ended = [write.began for write in history if write.ended is not None and write.ended <= oldest]
        overwritten = max(ended)
        self._words[word] = [write for write in history if write.ended is None or write.ended > overwritten]

    def _count(self, operation: Operation, ticket: Ticket) -> None:
        """Atomic adds of the same amount never return the same old value twice."""
        seen = self._sums[operation.access.addr]
        if ticket.data in seen:
            raise InvariantError(f"{operation} returned {ticket.data.hex()}, as another one of that word did")
        seen.add(ticket.data)

    def _history(self, word: int) -> list[Write]:
        if word not in self._words:
            line = word - word % LINE_BYTES
            self._words[word] = [Write(None, self._initial(line)[word - line :][:WORD], -1, 0)]
        return self._words[word]

    def _latest(self, word: int) -> Write:
        return self._last.get(word) or self._history(word)[0]

    def _writer(self, word: int, value: bytes) -> str:
        return next((str(w) for w in self._history(word) if w.value == value), "nobody that is still known")


def _words(operation: Operation) -> range:
    access = operation.access
    return range(access.addr, access.addr + access.size, WORD)


def _written(operation: Operation) -> Iterator[tuple[int, bytes]]:
    """(word, value) of what a write puts into memory; byte enables are of whole words."""
    access = operation.access
    for at in range(0, access.size, WORD):
        if access.be is None or access.be >> at & 1:
            yield access.addr + at, access.data[at : at + WORD]
