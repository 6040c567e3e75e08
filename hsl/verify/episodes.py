"""Episodes that need more than plain accesses: poison, registers, translated pages, T_REQ.

Each class plans what one thread does in a row. `weight` says how often a thread has such an episode.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from hsl._generated.constants import GRANULE_BYTES, LINE_BYTES, Aop
from hsl.agents.access import Access, Order
from hsl.agents.address_map import PAGE_BYTES
from hsl.verify.author import Author
from hsl.verify.layout import FRAME_LINES, FRAMES, LARGE_PAGES, MANAGER, SILENT, SPACES, Layout
from hsl.verify.moves import READ_ONLY, move
from hsl.verify.operation import EXACT, NOTHING, PAGES, POISON, WORD, WORDS, Operation
from hsl.verify.pages import LARGE, LARGE_SIZE, PRIVATE, SMALL, STRANGER, invalidation, spaces_of
from hsl.verify.streams import interrupt_data

__all__ = [
    "EPISODES",
    "Episodes",
    "LateEpisodes",
    "MoveEpisodes",
    "NcrEpisodes",
    "PageEpisodes",
    "PoisonEpisodes",
]

LENGTH: Final = (1, 6)  # accesses of an episode
MAX_READERS: Final = 32  # episodes that read a line between two that write it
# What is done to a line that can be poisoned, by weight; no store of a whole line, which 6.1 leaves open.
POISON_WRITES: Final = (
    *("store",) * 4, *("load",) * 3, *("write_ptl",) * 3, *("write_whole",) * 2, "write_full", "store_line",
    *("atomic_load",) * 2, *("atomic_store",) * 2, "read_once", "evict", "flush",
)  # fmt: skip
POISON_READS: Final = ("load", "read_once", "evict", "flush")
SHARE_POISON: Final = 0.5  # of the writes; their data are marked on the way, if they go to the home at once
WHOLE_BE: Final = (1 << LINE_BYTES) - 1
WALK: Final = (5, 25)  # ns after a walk began: its answer may be under way
SHARED: Final = SPACES - 1  # of the spaces of a device, which are changed more often
STORES_AT: Final = LINE_BYTES // 2  # of a line of a frame: before it nothing is written
SHARE_RECENT: Final = 0.6  # of page accesses and changes: where the last one was, so that they meet
LATE_MIX: Final = (
    "flush", "flush", "flush", "flush", "evict", "write_ptl", "write_full", "read_once", "atomic_load",
    "atomic_store",
)  # fmt: skip
SHARE_LATE: Final = 0.6
SHARE_MOVES: Final = 0.5  # of the turns of the software that moves ranges
SHARE_READ_ONLY: Final = 0.2  # of the moves
MEETING: Final = 3  # loads of a line before it moves, and accesses that begin when its move does
SHARE_COUNTED: Final = 0.3
MOVED: Final = (
    *("load",) * 4, *("store",) * 4, "read_once", "store_line", "write_full", "write_ptl", "evict", "flush",
)  # fmt: skip
COUNTED: Final = ("atomic_load", "atomic_load", "atomic_store", "evict", "flush")
SHARE_HOARD: Final = 0.1  # of the episodes of T_REQ, until there was one


class Episodes(Protocol):
    """Plans of one kind."""

    def __init__(self, author: Author, layout: Layout) -> None:
        """For one program."""

    def weight(self, thread: int) -> int:
        """Return the weight of such an episode among the others of a thread; 0: never."""

    def plan(self, thread: int) -> Iterator[Operation]:
        """The operations of one episode."""


@dataclass(slots=True)
class _Line:
    """A line that episodes have for themselves, to write it, or share, to read it."""

    addr: int
    readers: int = 0
    writer: bool = False
    read: list[int] = field(
        default_factory=list
    )  # operations since the last write; at most MAX_READERS episodes
    written: tuple[int, ...] = ()
    episodes: int = 0  # that have read it since


def _access(author: Author, kind: str, line: int) -> Access:
    """Return an access of words of a line; a written value names the next operation."""
    rng = author.rng
    if kind in ("evict", "flush"):
        return Access(kind, line)
    if kind in ("write_full", "store_line"):
        return Access(kind, line, LINE_BYTES, author.value(LINE_BYTES))
    if kind == "write_whole":
        return Access("write_ptl", line, LINE_BYTES, author.value(LINE_BYTES), rng.choice((None, WHOLE_BE)))
    if kind in ("atomic_load", "atomic_store"):
        return Access(kind, line + rng.randrange(0, LINE_BYTES, WORD), WORD, author.value(WORD), aop=Aop.ADD)
    size = WORD << rng.randrange(3)
    addr = line + rng.randrange(0, LINE_BYTES, size)
    return Access(kind, addr, size, author.value(size) if kind in ("store", "write_ptl") else b"")


class PoisonEpisodes:
    """Accesses of lines that are poisoned, of data that are, and of whole lines that are not."""

    def __init__(self, author: Author, layout: Layout) -> None:
        self._author = author
        self._lines = [_Line(addr) for addr in layout.poison_lines]

    def weight(self, thread: int) -> int:
        """Any thread."""
        return int(self._author.agents[thread] != MANAGER)

    def plan(self, thread: int) -> Iterator[Operation]:
        """Plan an episode of one line that no other thread writes, nor reads where it is written."""
        author, rng = self._author, self._author.rng
        free = [each for each in self._lines if not each.writer]
        if not free:
            return
        line = rng.choice(free)
        reads = line.readers > 0 or (line.episodes < MAX_READERS and rng.random() < 0.4)
        if reads and line.episodes + line.readers >= MAX_READERS:
            return
        line.readers += reads
        line.writer = not reads
        after = line.written if reads else tuple(sorted({*line.written, *line.read}))
        done = []
        for _ in range(rng.randint(*LENGTH)):
            kind = rng.choice(POISON_READS if reads else POISON_WRITES)
            access = _access(author, kind, line.addr)
            poison = bool(access.data) and access.kind != "store" and rng.random() < SHARE_POISON
            operation = author.operation(thread, access, after=after, judge=POISON, poison=poison)
            done.append(operation.id)
            yield operation
        if reads:
            line.readers -= 1
            line.episodes += 1
            line.read += done
        else:
            line.writer, line.written, line.read, line.episodes = False, tuple(done), [], 0


class NcrEpisodes:
    """Registers, doorbells and interrupts: each thread has a stream, a line of registers at each target."""

    def __init__(self, author: Author, layout: Layout) -> None:
        self._author = author
        self._layout = layout

    def weight(self, thread: int) -> int:
        """Any thread but those whose agent may have no TXN for NCR any more."""
        return int(self._author.agents[thread] not in (self._layout.patient, MANAGER))

    def plan(self, thread: int) -> Iterator[Operation]:
        """Accesses of one target, none of which waits for another; then all have been done, or not yet."""
        author, rng = self._author, self._author.rng
        targets = self._layout.targets_of(author.agents[thread])
        dst, stream = rng.choice(targets), thread % self._layout.config.threads
        done = []
        for _ in range(rng.randint(*LENGTH)):
            own = rng.random() < 0.7
            base = self._layout.registers_of(dst, thread if own else -1)
            kind = rng.choice(("ncwrite", "ncwrite", "ncread", "ncread", "intr"))
            if kind == "intr":
                data = interrupt_data(author.next)
                access = Access(kind, size=len(data), data=data, dst=dst, stream=stream)
            else:
                size = GRANULE_BYTES << rng.choice((0, 0, 0, 1, 2, 3))
                addr = base + rng.randrange(0, LINE_BYTES, size)
                data = author.value(size) if kind == "ncwrite" else b""
                access = Access(kind, addr, size, data, dst=dst, stream=stream)
            judge = NOTHING if kind == "intr" else EXACT if own else WORDS
            operation = author.operation(thread, access, judge=judge)
            done.append(operation.id)
            yield operation
        if rng.random() < 0.3:
            order = rng.choice((Order.NCR, Order.ALL))
            yield author.operation(thread, Access("fence", order=order), orders=tuple(done))


class PageEpisodes:
    """Virtual accesses of devices, and software that changes the page tables under them."""

    def __init__(self, author: Author, layout: Layout) -> None:
        self._author = author
        self._layout = layout
        self._spaces = spaces_of(layout)
        self._changed: dict[int, tuple[int, ...]] = {}  # by space: the last change
        self._recent = (0, 0)  # space, and page of it

    def weight(self, thread: int) -> int:
        """The threads of devices, and more often those of one cache of the CPU: a change is the rarer."""
        agent = self._author.agents[thread]
        return 4 if agent == self._layout.software else int(agent in self._layout.devices)

    def plan(self, thread: int) -> Iterator[Operation]:
        """Accesses of a device, or a change."""
        agent = self._author.agents[thread]
        return self._change(thread) if agent == self._layout.software else self._use(thread, agent)

    def _place(self, mine: Sequence[int]) -> tuple[int, int]:
        """A space of some, and a page of it: the most recent one, mostly."""
        rng = self._author.rng
        if self._recent[0] not in mine or rng.random() >= SHARE_RECENT:
            self._recent = rng.choice(mine), rng.randrange(LARGE_PAGES)
        return self._recent

    def _use(self, thread: int, agent: int) -> Iterator[Operation]:
        author, rng = self._author, self._author.rng
        mine = [number for number, space in enumerate(self._spaces) if space.device == agent]
        for _ in range(rng.randint(*LENGTH)):
            number, inside = self._place(mine)
            yield author.operation(thread, self._virtual(number, inside), judge=PAGES)

    def _virtual(self, number: int, inside: int) -> Access:
        """Any access of a page of a space that its device may have."""
        author, rng, space = self._author, self._author.rng, self._spaces[number]
        pasid = space.pasid or rng.choice((*PRIVATE, STRANGER))
        kind = rng.choice(("load", "load", "load", "read_once", "store", "write_ptl", "atomic_load"))
        first = 0 if kind in ("load", "read_once") else STORES_AT
        at = rng.randrange(FRAME_LINES) * LINE_BYTES + first + rng.randrange(0, STORES_AT, WORD)
        data = author.value(WORD) if kind in ("store", "write_ptl", "atomic_load") else b""
        aop = Aop.SWAP if kind == "atomic_load" else 0
        return Access(kind, (space.page + inside) * PAGE_BYTES + at, WORD, data, aop=aop, pasid=pasid)

    def _change(self, thread: int) -> Iterator[Operation]:
        """The device uses a space before software changes it, at the same time, and when that is done."""
        rng = self._author.rng
        numbers = range(len(self._spaces))
        number, inside = self._place([*numbers, *numbers[SHARED::SPACES]])
        after = self._changed.get(number, ())
        if rng.random() < 0.3:
            before = self._by_device(number, rng.randrange(LARGE_PAGES), after)
            after = (before.id,)
            yield before
        for page in (inside, *rng.sample(range(LARGE_PAGES), rng.randrange(3))):
            yield self._by_device(number, page, after)._replace(gap=0)
        change = self._changing(thread, number, inside, after)
        yield change._replace(gap=rng.randrange(*WALK))
        for _ in range(rng.randrange(3)):
            yield self._by_device(number, inside, (change.id,))

    def _by_device(self, number: int, inside: int, after: tuple[int, ...]) -> Operation:
        """An access by any thread of the device of a space."""
        first = self._author.agents.index(self._spaces[number].device)
        thread = first + self._author.rng.randrange(self._layout.config.threads)
        return self._author.operation(thread, self._virtual(number, inside), after=after, judge=PAGES)

    def _changing(self, thread: int, number: int, inside: int, after: tuple[int, ...]) -> Operation:
        """Change one page or all of a space, then send TransInv for what has changed, or more."""
        author, rng, space = self._author, self._author.rng, self._spaces[number]
        what = rng.choice((inside, inside, LARGE, LARGE, SMALL))
        one = what < LARGE_PAGES
        frame = rng.randrange(FRAMES) if one else rng.randrange(0, FRAMES, LARGE_PAGES)
        least = 0 if one else LARGE_SIZE
        size = rng.choice((least, least, least, least + 1, 31))
        pasid = space.pasid or rng.choice((*PRIVATE, STRANGER))
        access = invalidation(self._layout, space, what, size, pasid, rng.random() < 0.25)
        # Of one space one change at a time: another thread may have planned one meanwhile.
        after = tuple(sorted({*after, *self._changed.get(number, ())}))
        change = author.operation(thread, access, after=after, judge=PAGES, maps=(number, what, frame))
        self._changed[number] = (change.id,)
        return change


class LateEpisodes:
    """Requests of one cache whose completion comes after T_REQ; once, NCR to targets that do not answer."""

    def __init__(self, author: Author, layout: Layout) -> None:
        self._author = author
        self._layout = layout
        self._last: dict[int, tuple[int, ...]] = dict.fromkeys(layout.late_lines, ())
        self._busy: set[int] = set()
        self._hoarded = False

    def weight(self, thread: int) -> int:
        """The threads of the patient cache."""
        return 2 * (self._author.agents[thread] == self._layout.patient)

    def plan(self, thread: int) -> Iterator[Operation]:
        """One after the other on one line, then a fence, which has to end."""
        if not self._hoarded and self._author.rng.random() < SHARE_HOARD:
            self._hoarded = True
            return self._hoard(thread)
        return self._late(thread)

    def _late(self, thread: int) -> Iterator[Operation]:
        author, rng = self._author, self._author.rng
        free = [line for line in self._last if line not in self._busy]
        if not free:
            return
        line = rng.choice(free)
        self._busy.add(line)
        for _ in range(rng.randint(*LENGTH)):
            dirty = rng.random() < 0.5
            kind = "store" if dirty else rng.choice(LATE_MIX)
            late = not dirty and rng.random() < SHARE_LATE
            access = _access(author, kind, line)
            operation = author.operation(thread, access, after=self._last[line], late=late)
            self._last[line] = (operation.id,)
            yield operation
        if rng.random() < 0.5:
            order = rng.choice((Order.STORE, Order.LOAD, Order.LOAD | Order.STORE))
            yield author.operation(thread, Access("fence", order=order), orders=self._last[line])
        self._busy.discard(line)

    def _hoard(self, thread: int) -> Iterator[Operation]:
        """As many NCR as the cache has TXNs, each to a target of its own."""
        author = self._author
        for dst in SILENT:
            data = interrupt_data(author.next)
            yield author.operation(thread, Access("intr", size=len(data), data=data, dst=dst))


class MoveEpisodes:
    """Accesses that race on ranges that move, and the moves."""

    def __init__(self, author: Author, layout: Layout) -> None:
        self._author = author
        self._layout = layout
        self._last: dict[int, tuple[int, ...]] = {}  # by entry: the move before
        self._recent = 0  # range that moves

    def weight(self, thread: int) -> int:
        """Any thread but those of the patient cache: its short T_REQ may expire while a range moves."""
        return int(self._author.agents[thread] != self._layout.patient)

    def plan(self, thread: int) -> Iterator[Operation]:
        """A move with accesses that meet it, or accesses."""
        if self._author.agents[thread] == MANAGER:
            return self._move(thread)
        return self._use(thread)

    def _move(self, thread: int) -> Iterator[Operation]:
        author, rng, layout = self._author, self._author.rng, self._layout
        if rng.random() >= SHARE_MOVES:
            return
        index, was = rng.choice([*layout.movable.items()])
        entry = was
        if was in layout.moving:
            self._recent = layout.moving.index(was)
            rights = READ_ONLY if rng.random() < SHARE_READ_ONLY else was.rights
            entry = rng.choice(layout.places).entry._replace(base=was.base, last=was.last, rights=rights)
        after = self._last.get(index, ())
        threads, loads = self._others(), []
        line = layout.lines_of(was)[0]
        for other in threads if was in layout.moving else ():
            load = author.operation(other, Access("load", line, WORD), after=after, judge=WORDS)
            loads.append(load.id)
            yield load
        after = tuple(sorted({*after, *self._last.get(index, ()), *loads}))
        operation = author.operation(thread, move(layout, index, entry), after=after)
        self._last[index] = (operation.id,)
        yield operation
        for other in self._others() if was in layout.moving else ():
            access = _access(author, rng.choice(MOVED), line)
            yield author.operation(other, access, after=tuple(loads), judge=WORDS)

    def _others(self) -> list[int]:
        """Some threads of programs that may use these ranges."""
        spared = (self._layout.patient, MANAGER)
        threads = [each for each, agent in enumerate(self._author.agents) if agent not in spared]
        return self._author.rng.choices(threads, k=MEETING)

    def _use(self, thread: int) -> Iterator[Operation]:
        """Accesses of one range, mostly of the one that moved last."""
        rng = self._author.rng
        if rng.random() >= SHARE_RECENT:
            self._recent = rng.randrange(len(self._layout.moving))
        for _ in range(rng.randint(*LENGTH)):
            yield self._author.operation(thread, self._access(), judge=WORDS)

    def _access(self) -> Access:
        """An access of a line of words, or of one of counters."""
        rng = self._author.rng
        written, counted = self._layout.lines_of(self._layout.moving[self._recent])
        if rng.random() >= SHARE_COUNTED:
            return _access(self._author, rng.choice(MOVED), written)
        kind = rng.choice(COUNTED)
        if kind in ("evict", "flush"):
            return Access(kind, counted)
        addr = counted + rng.randrange(0, LINE_BYTES, WORD)
        return Access(kind, addr, WORD, (1).to_bytes(WORD, "little"), aop=Aop.ADD)


EPISODES: Final[dict[str, type[Episodes]]] = {
    "poison": PoisonEpisodes,
    "ncr": NcrEpisodes,
    "translation": PageEpisodes,
    "moves": MoveEpisodes,
    "timeouts": LateEpisodes,
}
