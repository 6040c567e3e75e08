"""The last writer of each word: a read must return a value that may be there (HSL 5.9).

The table ignores caches, homes and messages: it keeps when each operation began and ended. A word is 8
aligned bytes; each write puts a value there that no other one does, so the value tells the writer. A read may
return the value of any write that had begun when it ended, unless another write came wholly between the two;
a write that a read has returned is over when that read is. Of an EXACT operation only the last write before
it, by id, will do. A word that atomics add 1 to counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from hsl._generated.constants import LINE_BYTES, Err
from hsl.agents.access import Ticket
from hsl.agents.invariants import InvariantError
from hsl.errors import ConfigError
from hsl.verify.operation import EXACT, VALUES, WORD, Operation

__all__ = ["READS", "WRITES", "Counter", "LastWriters", "Write", "check_judged"]

# Writes of one word, and values that were returned of a counter, that are kept before those that nothing can
# read any more are dropped.
PRUNE_AT = 32
READS = frozenset({"load", "read_once", "ncread"})
WRITES = frozenset({"store", "store_line", "write_full", "write_ptl", "ncwrite"})
ADDS = frozenset({"atomic_load", "atomic_store"})
MODULUS = 1 << 8 * WORD


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


class Counter:
    """A word that atomics add 1 to: each returns a number that no other one does, and that is not too old.

    `start` is the initial value.
    """

    def __init__(self, start: int) -> None:
        self._start = start
        self._begun = 0
        self._ended = 0
        self._floors: dict[int, int] = {}  # by atomic under way: how many had ended when it began
        self._seen: set[int] = (
            set()
        )  # numbers that were returned, as far as another one may come; see PRUNE_AT

    def begun(self, operation: Operation) -> None:
        """An atomic begins."""
        self._begun += 1
        self._floors[operation.id] = self._ended

    def ended(self, operation: Operation, returned: bytes | None) -> str:
        """Return the error of the value that an atomic returned (None: it returned none), or ""."""
        self._ended += 1
        floor = self._floors.pop(operation.id)
        if returned is None:
            return ""
        number = (int.from_bytes(returned, "little") - self._start) % MODULUS
        if number in self._seen:
            return "as another one of that word did"
        if not floor <= number < self._begun:
            return f"the start and {number}: {floor} had ended when it began, {self._begun} have begun by now"
        self._seen.add(number)
        if len(self._seen) > PRUNE_AT:
            oldest = min(self._floors.values(), default=self._ended)
            self._seen = {each for each in self._seen if each >= oldest}
        return ""

    def refused(self, operation: Operation) -> None:
        """An atomic ended without any effect."""
        self._floors.pop(operation.id)
        self._begun -= 1

    @property
    def value(self) -> bytes:
        """Return the value of the word at rest."""
        return ((self._start + self._begun) % MODULUS).to_bytes(WORD, "little")


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
        self._counters: dict[int, Counter] = {}  # by word

    def taken(self, operation: Operation) -> None:
        """An operation of the program, before it begins."""
        kind = operation.access.kind
        if operation.judge not in VALUES:
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
        """Note that an operation begins."""
        self._step += 1
        self._begun[operation.id] = self._step
        if operation.judge in VALUES and operation.access.kind in ADDS:
            self._counter(operation.access.addr).begun(operation)
        if operation.id in self._open:
            words = (word for word, _ in _written(operation))
            for word, write in zip(words, self._open[operation.id], strict=True):
                write.began = self._step
                self._history(word).append(write)

    def ended(self, operation: Operation, ticket: Ticket) -> None:
        """Judge an operation that ended; one that failed may have taken effect or not."""
        self._step += 1
        began = self._begun.pop(operation.id)
        writes = self._open.pop(operation.id, ())
        exact = self._exact.pop(operation.id, None)
        if operation.judge not in VALUES or ticket.err != Err.OK or ticket.poison:
            return
        for write in writes:
            write.ended = self._step if write.ended is None else write.ended
        if operation.access.kind in READS:
            self._judge(operation, ticket, began, exact)
        elif operation.access.kind in ADDS:
            returned = ticket.data if operation.access.kind == "atomic_load" else None
            if wrong := self._counter(operation.access.addr).ended(operation, returned):
                raise InvariantError(f"{operation} returned {ticket.data.hex()}, {wrong}")

    def refused(self, operation: Operation) -> None:
        """An operation ended that its home has refused: nobody sees what it would have written."""
        del self._begun[operation.id]
        writes = self._open.pop(operation.id, ())
        for write, word in zip(writes, (word for word, _ in _written(operation)), strict=False):
            if write.ended is not None:
                raise InvariantError(
                    f"{operation} was refused, but what it writes at {word:#x} has been read"
                )
            self._words[word].remove(write)
        if operation.judge in VALUES and operation.access.kind in ADDS:
            self._counter(operation.access.addr).refused(operation)

    def forget(self, operation: Operation) -> None:
        """Note that an operation ended that another judge judges."""
        del self._begun[operation.id]

    def judge_rest(self, line: int, data: bytes) -> None:
        """At rest each word of a line that is judged has a value that nothing has overwritten."""
        for at in range(0, LINE_BYTES, WORD):
            word, value = line + at, data[at : at + WORD]
            counter, history = self._counters.get(word), self._words.get(word)
            if counter is not None and counter.value != value:
                raise InvariantError(
                    f"at rest {word:#x} holds {value.hex()}; with every atomic it is {counter.value.hex()}"
                )
            if history is not None and all(write.value != value for write in self._legal(word, self._step)):
                raise InvariantError(
                    f"at rest {word:#x} holds {value.hex()}, written by {self._writer(word, value)}; "
                    f"the last writer is {self._legal(word, self._step)[-1]}"
                )

    def _judge(self, operation: Operation, ticket: Ticket, began: int, exact: list[Write] | None) -> None:
        for index, word in enumerate(_words(operation)):
            value = ticket.data[index * WORD : (index + 1) * WORD]
            legal = [exact[index]] if exact else self._legal(word, began)
            seen = [write for write in legal if write.value == value]
            if not seen:
                last = max(legal, key=lambda write: write.began)
                raise InvariantError(
                    f"{operation} read {value.hex()} at {word:#x}, written by {self._writer(word, value)}; "
                    f"the last writer is {last} with {last.value.hex()}"
                )
            if len(seen) == 1 and seen[0].ended is None:
                seen[0].ended = self._step  # nobody sees what is older any more

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

    def _history(self, word: int) -> list[Write]:
        if word not in self._words:
            line = word - word % LINE_BYTES
            self._words[word] = [Write(None, self._initial(line)[word - line :][:WORD], -1, 0)]
        return self._words[word]

    def _counter(self, word: int) -> Counter:
        if word not in self._counters:
            line = word - word % LINE_BYTES
            self._counters[word] = Counter(
                int.from_bytes(self._initial(line)[word - line :][:WORD], "little")
            )
        return self._counters[word]

    def _latest(self, word: int) -> Write:
        return self._last.get(word) or self._history(word)[0]

    def _writer(self, word: int, value: bytes) -> str:
        return next((str(w) for w in self._history(word) if w.value == value), "nobody that is still known")


def check_judged(operations: Iterable[Operation]) -> None:
    """Raise ConfigError for a program of which the table cannot judge what it says is judged.

    A word is written by judged writes only, or by judged atomics only, or what is there is not judged.
    """
    used: dict[int, str] = {}
    for operation in operations:
        kind, judged = operation.access.kind, operation.judge in VALUES
        if operation.virtual or (kind not in ADDS | WRITES and not (judged and kind in READS)):
            continue
        how = "no judge" if not judged else "a counter" if kind in ADDS else "writes"
        for word in _words(operation):
            if used.setdefault(word, how) != how:
                raise ConfigError(f"operation {operation}: {word:#x} is for {used[word]}, not for {how}")


def _words(operation: Operation) -> range:
    access = operation.access
    return range(access.addr - access.addr % WORD, access.addr + access.size, WORD)


def _written(operation: Operation) -> Iterator[tuple[int, bytes]]:
    """(word, value) of what a write puts into memory; byte enables are of whole words."""
    access = operation.access
    for at in range(0, access.size, WORD):
        if access.enables >> at & 1:
            yield access.addr + at, access.data[at : at + WORD]
