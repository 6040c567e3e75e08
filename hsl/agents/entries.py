"""The entries of a directory: which lines have one, and which request gets the next (HSL 5.2 D10, 6.3)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from hsl.agents.peers import Peers

__all__ = ["DIRECTORY_LINES", "Entries", "Wish"]

DIRECTORY_LINES = 1 << 16  # 4 MiB of cached lines, more than all caches of an emulated system hold


class Wish(NamedTuple):
    """A line that waits for an entry: its place in the order of arrival, and the requester."""

    age: int
    line: int
    src: int


class Entries:
    """Lines that have an entry, and lines that wait for one, each in the group of `peers` that asked last.

    Half of the entries are shared out among the groups; each can count on its part (6.3). A waiting line has
    a victim as soon as there is one. The entry of the victim belongs to it from then on. A line that isolates
    is laid aside until `restore`: it costs one look, not one a search.
    All containers are bounded by the entries and by the requests that wait at the home.
    """

    def __init__(self, limit: int, peers: Peers) -> None:
        self._limit = limit
        self._peers = peers
        self._lines: dict[int, int] = {}  # the group of each line
        self._held: Counter[int] = Counter()  # lines of a group
        # By group: those that have no heir and are not laid aside, oldest first.
        self._order: defaultdict[int, dict[int, None]] = defaultdict(dict)
        self._aside: set[int] = set()  # those that isolate
        self._wishes: defaultdict[int, dict[int, Wish]] = defaultdict(dict)  # by group, without a victim
        self._age = 0
        self._waits: dict[int, int] = {}  # the group of each line that waits
        self._victims: dict[int, int] = {}  # of a line that waits
        self._heirs: dict[int, int] = {}  # of a victim: the line that gets its entry
        self._owed: set[int] = set()  # lines that got an entry for a request that has not begun

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def _part(self) -> int:
        return self._limit // (2 * self._peers.groups)

    def _may(self, group: int) -> bool:
        """True if an entry is free that no other group can count on. HSL 6.3 [HSL-SEC-016]."""
        part = self._part
        kept = sum(max(0, part - self._held[g]) for g in range(self._peers.groups) if g != group)
        return self._limit - len(self._lines) > kept

    def ask(self, line: int, src: int) -> bool:
        """Return True if a line has an entry or gets a free one; else it waits for `src`.

        HSL 5.2 D10 [HSL-TXN-010].
        """
        if line in self._lines:
            return True
        if line in self._waits:
            return False
        group = self._peers.group(src)
        if not self._wishes[group] and self._may(group):
            self._add(line, group)
            return True
        self._age += 1
        self._wishes[group][line] = Wish(self._age, line, src)
        self._waits[line] = group
        return False

    def begin(self, line: int, src: int) -> None:
        """A request of `src` has begun that lists it for a line."""
        self._owed.discard(line)
        group, was = self._peers.group(src), self._lines[line]
        if group != was:
            self._held[was] -= 1
            self._held[group] += 1
            self._lines[line] = group
            if line in self._order[was]:
                del self._order[was][line]
                self._order[group][line] = None

    def _add(self, line: int, group: int) -> None:
        self._lines[line] = group
        self._held[group] += 1
        self._order[group][line] = None

    def _first(self) -> list[Wish]:
        """The wish of each group that has waited longest, in order of arrival."""
        return sorted(next(iter(each.values())) for each in self._wishes.values() if each)

    def choose(self, still: Callable[[int], bool], isolates: Callable[[int], bool]) -> tuple[int, int] | None:
        """Choose a victim for the line that waits longest, a `still` one if there is one; and who waits.

        None if no line may be one: what isolates waits for proof, and has nobody else wait (6.2 F1).
        """
        for wish in self._first():
            victim = self._unclaimed(self._waits[wish.line], still, isolates)
            if victim is not None:
                del self._wishes[self._waits[wish.line]][wish.line]
                del self._order[self._lines[victim]][victim]
                self._victims[wish.line], self._heirs[victim] = victim, wish.line
                return victim, wish.src
        return None

    def _donors(self, group: int) -> list[int]:
        """Groups in the order in which they give a line up for `group`: first itself, if it has its part."""
        part = self._part
        above = [g for g, held in self._held.items() if held > part and g != group]
        above.sort(key=lambda g: (-self._held[g], g))
        return [group, *above] if self._held[group] >= part else [*above, group]

    def _unclaimed(
        self, group: int, still: Callable[[int], bool], isolates: Callable[[int], bool]
    ) -> int | None:
        """Return the oldest line without an heir that is still, else the oldest; none that isolates."""
        busy = found = None
        for donor in self._donors(group):
            order = self._order[donor]
            aside = []
            for line in order:
                if isolates(line):
                    aside.append(line)
                elif still(line):
                    found = line
                    break
                elif busy is None:
                    busy = line
            for line in aside:
                del order[line]
                self._aside.add(line)
            if found is not None:
                return found
        return busy

    def restore(self, lines: Iterable[int]) -> None:
        """These lines were walked: they may be victims again."""
        for line in lines:
            if line in self._aside:
                self._aside.discard(line)
                self._order[self._lines[line]][line] = None

    def free(self, line: int) -> int | None:
        """Nobody holds a line that is idle: return the line that its entry goes to. HSL 5.2 D10."""
        if line not in self._lines or line in self._owed:
            return None
        group = self._lines.pop(line)
        self._held[group] -= 1
        self._order[group].pop(line, None)
        self._aside.discard(line)
        heir = self._heirs.pop(line, None)
        if heir is not None:
            del self._victims[heir]
        else:
            heir = next((wish.line for wish in self._first() if self._may(self._waits[wish.line])), None)
            if heir is None:
                return None
            del self._wishes[self._waits[heir]][heir]
        self._add(heir, self._waits.pop(heir))
        self._owed.add(heir)
        return heir

    def waiting(self) -> list[int]:
        """Return the lines that wait for an entry, or have one for a request that has not begun."""
        return [*self._waits, *self._owed]

    def forget(self, line: int) -> int | None:
        """The requests that wait for the entry of a line are gone; return its victim, which is spared."""
        self._owed.discard(line)
        if line in self._waits:
            self._wishes[self._waits.pop(line)].pop(line, None)
        victim = self._victims.pop(line, None)
        if victim is not None:
            del self._heirs[victim]
            self._order[self._lines[victim]][victim] = None
        return victim
