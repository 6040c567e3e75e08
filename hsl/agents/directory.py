"""The precise directory of a home: which agents hold a line (HSL 5.6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["NOBODY", "Directory", "Holders"]


class Holders(NamedTuple):
    """The entry of a line: `dir` is I (no holder), S (sharers) or X (one owner, in E or M)."""

    dir: str
    nids: frozenset[int]

    def role(self, nid: int) -> str:
        """Return the role of `nid` in this entry: none, sharer or owner (guard qdir)."""
        if nid not in self.nids:
            return "none"
        return "owner" if self.dir == "X" else "sharer"


NOBODY = Holders("I", frozenset())


class Directory:
    """Holders per line; a line without holders takes no room, so it is no longer than the memory."""

    def __init__(self) -> None:
        self._lines: dict[int, Holders] = {}
        # One entry for all lines of an owner: who takes every line of a memory must not cost many times that.
        self._owners: dict[int, Holders] = {}  # at most one a NID
        self._held: dict[int, set[int]] = {}  # lines by holder: who loses one looks at no others

    def __len__(self) -> int:
        """Lines with a holder."""
        return len(self._lines)

    def of(self, line: int) -> Holders:
        """The holders of `line`."""
        return self._lines.get(line, NOBODY)

    def own(self, line: int, nid: int) -> None:
        """Action `own`: dir := X{nid}."""
        owner = self._owners.get(nid)
        if owner is None:
            owner = self._owners[nid] = Holders("X", frozenset((nid,)))
        self._put(line, owner)

    def share(self, line: int, nid: int) -> None:
        """Action `list`: S + nid; an owner becomes a sharer."""
        self._put(line, Holders("S", self.of(line).nids | {nid}))

    def unlist(self, line: int, nid: int) -> None:
        """Action `unlist`: remove nid; without holders the entry becomes I."""
        held = self.of(line)
        rest = held.nids - {nid}
        self._put(line, Holders(held.dir, rest) if rest else NOBODY)

    def _put(self, line: int, held: Holders) -> None:
        was = self.of(line).nids
        if held.nids:
            self._lines[line] = held
        else:
            self._lines.pop(line, None)
        for nid in was - held.nids:
            lines = self._held[nid]
            lines.discard(line)
            if not lines:
                del self._held[nid]
        for nid in held.nids - was:
            self._held.setdefault(nid, set()).add(line)

    def held_by(self, nid: int) -> list[int]:
        """Lines that `nid` holds, ascending: the directory walk of a fence. HSL 6.2 F1."""
        return sorted(self._held.get(nid, ()))

    def held_in(self, first: int, last: int) -> list[int]:
        """Return the lines of the byte range that have holders, ascending."""
        return sorted(line for line in self._lines if first <= line <= last)

    def __iter__(self) -> Iterator[tuple[int, Holders]]:
        """Line and holders, ascending."""
        return iter(sorted(self._lines.items()))
