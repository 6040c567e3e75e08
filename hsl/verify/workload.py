"""A random program: episodes without data races, and accesses that race as hard as they can.

An episode of a thread is: an atomic, then loads and stores of words that nobody else writes meanwhile (and
nobody else reads, where it stores), then an atomic. The order of the three is kept by waiting, or by real
fences; a bare episode has no atomics and ends with a fence. All kinds of words share lines, so most sharing
is false.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from hsl._generated.constants import LINE_BYTES, Aop
from hsl.agents.access import Access
from hsl.verify.author import Author
from hsl.verify.episodes import EPISODES
from hsl.verify.fence_orders import FenceOrders
from hsl.verify.layout import MANAGER, Layout
from hsl.verify.operation import EXACT, WORD, WORDS, Operation

__all__ = ["Workload"]

SHARE_KINDS = 0.4  # of what a thread does: episodes of the kinds that are not plain accesses
MAX_READERS = 32  # episodes that read a word between two writes of it; then it is not chosen to be read
EPISODE = (1, 8)  # accesses of an episode
RACY = (1, 4)  # racing accesses in a row
SHARE_WHOLE = 4  # one line of so many is raced for as a whole; at least one
SHARE_BYTES = 8  # one of so many has accesses of single bytes and all atomics, where these are judged
STYLES = WAITS, FENCES, BARE = ("waits", "fences", "bare")
ONE = (1).to_bytes(WORD, "little")
STORED_ONCE = [aop for aop in Aop if aop <= Aop.UMIN]  # integer operations that an AtomicStore may have
LOADED = [*STORED_ONCE, Aop.SWAP, Aop.CAS]
# What a racing access does, by weight.
WHOLE_MIX = (
    ("load",) * 4 + ("store",) * 4 + ("read_once", "store_line", "write_full", "write_ptl", "evict", "flush")
)
BYTE_MIX = ("load", "load", "store", "read_once", "store_line", "write_full", "write_ptl",
            "atomic_load", "atomic_store", "evict", "flush")  # fmt: skip
WORD_MIX = ("load",) * 3 + ("store",) * 3 + ("read_once", "write_ptl", "evict", "flush")
READ_MIX = ("load", "load", "load", "read_once")
WRITE_MIX = ("store", "store", "store", "write_ptl")


@dataclass(slots=True)
class _Word:
    """A word of episodes: its users now, and the last operations of its users since its last write."""

    addr: int
    readers: int = 0
    writer: bool = False
    read: list[tuple[int, ...]] = field(default_factory=list)  # at most MAX_READERS
    written: tuple[int, ...] = ()


@dataclass(slots=True)
class _Episode:
    """The words that an episode has for itself."""

    reads: list[_Word]
    writes: list[_Word]


class Workload:
    """Operations without end, of the kinds that the configuration has.

    `bytes_judged`: the run has a judge for accesses of single bytes.
    """

    def __init__(self, rng: Random, layout: Layout, bytes_judged: bool) -> None:
        self._rng = rng
        lines = layout.lines
        self._agents = [agent for agent in layout.agents for _ in range(layout.config.threads)]
        self._agents += [MANAGER] * bool(layout.moving)
        self._author = Author(rng, self._agents)
        self._operation = self._author.operation
        self._fences = FenceOrders(self._author, layout)
        having = layout.config.having
        kinds = [kind(self._author, layout) for name, kind in EPISODES.items() if name in having]
        # By thread, each as often as it is chosen.
        self._kinds = [
            [kind for kind in kinds for _ in range(kind.weight(thread))]
            for thread in range(len(self._agents))
        ]
        shuffled = rng.sample(list(lines), len(lines))
        whole = max(1, len(lines) // SHARE_WHOLE)
        single = max(1, len(lines) // SHARE_BYTES) if bytes_judged and len(lines) > 1 else 0
        self._whole, self._bytes = shuffled[:whole], shuffled[whole : whole + single]
        words = [line + at for line in shuffled[whole + single :] for at in range(0, LINE_BYTES, WORD)]
        rng.shuffle(words)
        self._syncs = words[: len(words) // 8]
        self._racy = words[len(words) // 8 : len(words) // 3]
        self._words = [_Word(addr) for addr in words[len(words) // 3 :]]

    def __iter__(self) -> Iterator[Operation]:
        current: list[Iterator[Operation] | None] = [None] * len(self._agents)
        while True:
            thread = self._rng.randrange(len(self._agents))
            plan = current[thread] or self._plan(thread)
            operation = next(plan, None)
            current[thread] = None if operation is None else plan
            if operation is not None:
                yield operation

    def _plan(self, thread: int) -> Iterator[Operation]:
        kinds = self._kinds[thread]
        if self._agents[thread] == MANAGER:
            return self._rng.choice(kinds).plan(thread)
        if kinds and self._rng.random() < SHARE_KINDS:
            return self._rng.choice(kinds).plan(thread)
        racing = (
            [self._race_words] * bool(self._racy)
            + [self._race_lines]
            + [self._race_bytes] * bool(self._bytes)
        )
        if self._words and self._syncs and self._rng.random() < 0.5:
            return self._episode(thread)
        return self._rng.choice(racing)(thread)

    # ---- episodes

    def _episode(self, thread: int) -> Iterator[Operation]:
        """Return an episode, which holds its words throughout; `style`: its way to keep order."""
        style = self._rng.choice(STYLES)
        episode = self._reserve(self._rng.randint(*EPISODE))
        follows = {each for word in episode.writes for ends in word.read for each in ends}
        follows |= {each for word in (*episode.reads, *episode.writes) for each in word.written}
        begun = tuple(sorted(follows))
        if style != BARE:
            first = self._operation(thread, self._atomic("atomic_load"), judge=WORDS, after=begun)
            begun = (first.id,)
            yield first
        if style == FENCES:
            acquire = self._operation(thread, self._fences.acquire(thread), orders=begun)
            begun = (acquire.id,)
            yield acquire
        body: list[Operation] = []
        for word, kind in self._accesses(episode):
            operation = self._operation(thread, self._word_access(kind, word.addr), after=begun, judge=EXACT)
            body.append(operation)
            yield operation
        ends = tuple(operation.id for operation in body)
        if style != WAITS:
            release = self._fences.release(thread, body)
            last = self._operation(thread, release.access, orders=release.orders)
            ends = (last.id, *release.others)
            yield last
        if style != BARE:
            last = self._operation(thread, self._atomic("atomic_store"), judge=WORDS, after=ends or begun)
            ends = (last.id,)
            yield last
        self._give_back(episode, ends)

    def _accesses(self, episode: _Episode) -> list[tuple[_Word, str]]:
        rng = self._rng
        pairs = [(word, rng.choice(READ_MIX)) for word in episode.reads]
        for word in episode.writes:
            pairs.append((word, rng.choice(WRITE_MIX)))
            pairs += [(word, rng.choice(READ_MIX + WRITE_MIX))] * (rng.random() < 0.3)
        rng.shuffle(pairs)
        return pairs

    def _reserve(self, count: int) -> _Episode:
        """Words of which no running episode writes the ones read, or uses the ones written."""
        reads, writes = [], []
        for word in self._rng.sample(self._words, min(count, len(self._words))):
            if word.writer:
                continue
            if word.readers or (len(word.read) < MAX_READERS and self._rng.random() < 0.5):
                if len(word.read) + word.readers < MAX_READERS:
                    word.readers += 1
                    reads.append(word)
            else:
                word.writer = True
                writes.append(word)
        return _Episode(reads, writes)

    @staticmethod
    def _give_back(episode: _Episode, ends: tuple[int, ...]) -> None:
        for word in episode.reads:
            word.readers -= 1
            word.read.append(ends)
        for word in episode.writes:
            word.writer = False
            word.written, word.read = ends, []

    def _atomic(self, kind: str) -> Access:
        return Access(kind, self._rng.choice(self._syncs), WORD, ONE, aop=Aop.ADD)

    def _word_access(self, kind: str, addr: int, size: int = WORD) -> Access:
        """Return a read or a write of whole words; a written value names the next operation."""
        if kind in READ_MIX:
            return Access(kind, addr, size)
        if kind in ("evict", "flush"):
            return Access(kind, addr - addr % LINE_BYTES)
        be = None
        if kind == "write_ptl" and size > WORD:
            be = sum(0xFF << at for at in range(0, size, WORD) if self._rng.random() < 0.5)
        return Access(kind, addr, size, self._author.value(size), be)

    # ---- races

    def _race_words(self, thread: int) -> Iterator[Operation]:
        for _ in range(self._rng.randint(*RACY)):
            kind = self._rng.choice(WORD_MIX)
            yield self._operation(thread, self._word_access(kind, self._rng.choice(self._racy)), judge=WORDS)

    def _race_lines(self, thread: int) -> Iterator[Operation]:
        """Any access of whole words, up to the whole line."""
        rng = self._rng
        for _ in range(rng.randint(*RACY)):
            kind, line = rng.choice(WHOLE_MIX), rng.choice(self._whole)
            size = LINE_BYTES if kind in ("store_line", "write_full") else WORD << rng.randrange(4)
            at = rng.randrange(LINE_BYTES // size) * size
            yield self._operation(thread, self._word_access(kind, line + at, size), judge=WORDS)

    def _race_bytes(self, thread: int) -> Iterator[Operation]:
        for _ in range(self._rng.randint(*RACY)):
            yield self._operation(thread, self._byte_access(self._rng.choice(BYTE_MIX)))

    def _byte_access(self, kind: str) -> Access:
        """Any access at all, of any size."""
        rng = self._rng
        line = rng.choice(self._bytes)
        if kind in ("evict", "flush"):
            return Access(kind, line)
        if kind in ("store_line", "write_full"):
            return Access(kind, line, LINE_BYTES, rng.randbytes(LINE_BYTES))
        if kind in ("load", "read_once", "store"):
            at = rng.randrange(LINE_BYTES)
            size = rng.randint(1, LINE_BYTES - at)
            return Access(kind, line + at, size, rng.randbytes(size) if kind == "store" else b"")
        if kind == "write_ptl":
            size = 1 << rng.randrange(7)
            at = rng.randrange(LINE_BYTES // size) * size
            return Access(
                kind, line + at, size, rng.randbytes(size), rng.choice([None, rng.getrandbits(size)])
            )
        aop = rng.choice(LOADED if kind == "atomic_load" else STORED_ONCE)
        size = rng.choice([4, 8])
        at = rng.randrange(LINE_BYTES // size) * size
        return Access(kind, line + at, size, rng.randbytes(size * (1 + (aop == Aop.CAS))), aop=aop)
