"""The last-writer table: which values a read may return, told by hand."""

import random

import pytest

from hsl._generated.constants import Aop
from hsl.agents.access import Access, Ticket
from hsl.agents.invariants import InvariantError
from hsl.errors import ConfigError
from hsl.verify import last_writer
from hsl.verify.last_writer import PRUNE_AT, LastWriters, check_judged
from hsl.verify.operation import EXACT, NOTHING, WORDS, Judge, Operation

ADDR = 0x40
INITIAL = bytes(64)


def value(number: int) -> bytes:
    return number.to_bytes(8, "little")


class Run:
    """Operations on one word that begin and end as a test says."""

    def __init__(self, judge: Judge = WORDS) -> None:
        self.writers = LastWriters(lambda line: INITIAL)
        self.judge = judge
        self._next = 0

    def take(self, access: Access) -> Operation:
        operation = Operation(self._next, 0, 2, access, judge=self.judge)
        self._next += 1
        self.writers.taken(operation)
        return operation

    def begin(self, access: Access) -> Operation:
        operation = self.take(access)
        self.writers.begun(operation)
        return operation

    def end(self, operation: Operation, data: bytes = b"") -> None:
        ticket = Ticket(operation.access, 2, 0)
        ticket.data = data
        self.writers.ended(operation, ticket)

    def store(self, number: int) -> Operation:
        return self.begin(Access("store", ADDR, 8, value(number)))

    def stored(self, number: int) -> None:
        self.end(self.store(number))

    def load(self) -> Operation:
        return self.begin(Access("load", ADDR, 8))

    def add(self, kind: str = "atomic_load") -> Operation:
        return self.begin(Access(kind, ADDR, 8, value(1), aop=Aop.ADD))


def test_read_returns_the_last_write() -> None:
    """After writes that have ended only the last one may be read; the report names both writers."""
    run = Run()
    run.end(run.load(), value(0))
    run.stored(1)
    run.stored(2)
    run.end(run.load(), value(2))
    with pytest.raises(InvariantError, match=r"written by #1 .*the last writer is #2"):
        run.end(run.load(), value(1))


@pytest.mark.parametrize(("returned", "legal"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
def test_read_that_races_with_writes(returned: int, legal: bool) -> None:
    """A read may return what was there when it began, or what is written while it is under way, not more."""
    run = Run()
    run.stored(1)
    open_write, read = run.store(2), run.load()
    late = run.store(3)
    run.take(Access("store", ADDR, 8, value(4)))  # has not begun
    if legal:
        run.end(read, value(returned))
    else:
        with pytest.raises(InvariantError, match="read"):
            run.end(read, value(returned))
    run.end(open_write)
    run.end(late)


def test_what_was_seen_is_not_unseen() -> None:
    """Once a read has returned a write that is still under way, no later read returns an older one."""
    run = Run()
    run.stored(1)
    write = run.store(2)
    run.end(run.load(), value(2))
    with pytest.raises(InvariantError, match="the last writer is #1 "):
        run.end(run.load(), value(1))
    run.end(write)


def test_reads_that_overlap_may_differ() -> None:
    """A read that began before another one has seen a write may still return the older value."""
    run = Run()
    run.stored(1)
    run.store(2)
    early = run.load()
    run.end(run.load(), value(2))
    run.end(early, value(1))


def test_exact_read_knows_one_value() -> None:
    """An exact read returns the last write before it by id, also when that one has not ended."""
    run = Run(EXACT)
    run.stored(1)
    run.store(2)
    read, other = run.load(), run.load()
    run.end(read, value(2))
    with pytest.raises(InvariantError, match="the last writer is #1 "):
        run.end(other, value(1))


def test_failed_write_may_or_may_not_have_been_done() -> None:
    """A write that ended with an error may be read, and so may what was there before."""
    run = Run()
    write = run.store(1)
    ticket = Ticket(write.access, 2, 0)
    ticket.poison = True
    run.writers.ended(write, ticket)
    run.end(run.load(), value(0))
    run.end(run.load(), value(1))


def test_only_enabled_words_are_written() -> None:
    """A partial write is the last writer of the words that its byte enables name, and of no other."""
    run = Run()
    run.end(run.begin(Access("write_ptl", ADDR, 16, value(1) + value(2), be=0xFF00)))
    run.end(run.begin(Access("load", ADDR, 16)), value(0) + value(2))
    with pytest.raises(InvariantError, match="0x40, written by nobody"):
        run.end(run.load(), value(1))


def test_rest() -> None:
    """At rest a line holds what nothing has overwritten."""
    run = Run()
    run.stored(1)
    run.stored(2)
    run.writers.judge_rest(ADDR, value(2) + bytes(56))
    with pytest.raises(InvariantError, match=r"at rest .*written by #0 .*the last writer is #1"):
        run.writers.judge_rest(ADDR, value(1) + bytes(56))


@pytest.mark.parametrize("returned", [0, 2, 7])
def test_atomics_count(returned: int) -> None:
    """An atomic add returns a number of its own: not one returned before, too old, or yet to come."""
    run = Run()
    run.end(run.add(), value(0))
    run.end(run.add("atomic_store"))
    first, second = run.add(), run.add()
    run.end(first, value(2))
    with pytest.raises(InvariantError, match="returned"):
        run.end(second, value(returned))


def test_lost_atomic_is_seen_at_rest() -> None:
    """A counter holds all its atomics at rest, whether they return something or not."""
    run = Run()
    run.end(run.add(), value(0))
    run.end(run.add("atomic_store"))
    run.writers.judge_rest(ADDR, value(2) + bytes(56))
    with pytest.raises(InvariantError, match="with every atomic it is 02"):
        run.writers.judge_rest(ADDR, value(1) + bytes(56))


def test_table_stays_small() -> None:
    """However long a run is, the table keeps few writes of a word and few numbers of a counter."""
    run = Run()
    slow = run.load()
    for number in range(1, 50):
        run.stored(number)
    run.end(run.load(), value(49))
    assert len(run.writers._words[ADDR]) == 50  # the slow read may return any of them
    run.end(slow, value(7))
    for number in range(50, 500):
        run.stored(number)
        run.end(run.load(), value(number))
        assert len(run.writers._words[ADDR]) <= PRUNE_AT + 2
    counting = Run()
    for number in range(500):
        counting.end(counting.add(), value(number))
        assert len(counting.writers._counters[ADDR]._seen) <= PRUNE_AT
    assert not counting.writers._begun | counting.writers._open | counting.writers._exact


def test_dropping_old_writes_changes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that drops early judges each read as one that drops nothing."""

    def verdicts(seed: int) -> list[bool]:
        rng = random.Random(seed)
        run, heard = Run(), []
        under_way: list[Operation] = []
        for step in range(1, 120):
            if len(under_way) < 3 or rng.random() < 0.5:
                under_way.append(run.store(step) if rng.random() < 0.5 else run.load())
            else:
                done = under_way.pop(rng.randrange(len(under_way)))
                try:
                    run.end(done, value(rng.randrange(max(0, step - 12), step)))
                    heard.append(True)
                except InvariantError:
                    heard.append(False)
        return heard

    monkeypatch.setattr(last_writer, "PRUNE_AT", 1)
    early = [verdicts(seed) for seed in range(8)]
    monkeypatch.setattr(last_writer, "PRUNE_AT", 1 << 20)
    assert early == [verdicts(seed) for seed in range(8)]
    assert {True, False} == set(early[0])


@pytest.mark.parametrize(
    ("first", "second", "legal"),
    [
        (Access("store", 64, 8, value(1)), Access("load", 64, 8), True),
        (Access("store", 64, 8, value(1)), Access("atomic_store", 64, 8, value(1), aop=Aop.ADD), False),
        (Access("atomic_load", 64, 8, value(1), aop=Aop.ADD), Access("load", 64, 8), False),
        (Access("load", 64, 8), Access("evict", 64), True),
    ],
)
def test_programs_that_can_be_judged(first: Access, second: Access, legal: bool) -> None:
    """A word is for judged writes or for judged atomics; what is not judged writes none of these."""
    both = [Operation(0, 0, 2, first, judge=WORDS), Operation(1, 0, 2, second, judge=WORDS)]
    if legal:
        check_judged(both)
    else:
        with pytest.raises(ConfigError, match="0x40 is for"):
            check_judged(both)
    check_judged([each._replace(judge=NOTHING) for each in both])


def test_unjudged_write_to_a_judged_word() -> None:
    """A write of single bytes to a word that is judged makes a program that cannot be judged."""
    with pytest.raises(ConfigError, match="0x40 is for writes, not for no judge"):
        check_judged(
            [
                Operation(0, 0, 2, Access("store", 64, 8, value(1)), judge=WORDS),
                Operation(1, 0, 2, Access("store", 67, 1, b"x"), judge=NOTHING),
            ]
        )


def test_atomic_that_returns_a_number_of_before() -> None:
    """An atomic that began after others had ended returns no number of before they did (5.9)."""
    run = Run()
    run.end(run.add("atomic_store"))
    with pytest.raises(InvariantError, match="1 had ended when it began"):
        run.end(run.add(), value(0))
    late = Run()
    racing = late.add("atomic_store")
    late.end(late.add(), value(0))  # the other one has not ended: it may come later
    late.end(racing)
