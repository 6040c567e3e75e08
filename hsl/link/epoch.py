"""One direction of a bonded port (HSL 4.2, 4.4): who has the turn, and which BSN a flit has.

An epoch is the mask E of the links in use. Its flits go over E in rotation, ascending from the lowest link:
first the missing list of the epoch, then new BSNs from T on. So the k-th flit on a link of E names its place,
and the place names the BSN: nothing of it is on the wire. BSNs are numbers modulo 2^32.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from hsl._generated.constants import MAX_LINKS
from hsl.codec.flit import Flit
from hsl.link.replay import ReplaySender, distance

__all__ = ["Held", "ReceiveEpoch", "Report", "Resume", "TransmitEpoch", "links_of", "lowest"]

BSN_MASK: Final = (1 << 32) - 1
_LINKS_OF: Final = tuple(
    tuple(link for link in range(MAX_LINKS) if mask >> link & 1) for mask in range(1 << MAX_LINKS)
)


def links_of(mask: int) -> tuple[int, ...]:
    """The links of a mask, ascending."""
    return _LINKS_OF[mask]


def lowest(mask: int) -> int:
    """The lowest link of a mask that is not 0."""
    return _LINKS_OF[mask][0]


class Report(NamedTuple):
    """A stored BOND_FAIL: what the receiver of this direction has accepted of the links that it lost."""

    base: int
    mask: int
    exp: tuple[int, ...]


class Resume(NamedTuple):
    """An epoch that is proposed: its mask and its missing list, ascending by BSN."""

    mask: int
    missing: tuple[tuple[int, Flit], ...]


class TransmitEpoch:
    """The sending half.

    `lost` are the replay buffers of lost links, kept until an epoch without them is installed.
    """

    __slots__ = ("lost", "mask", "next_bsn", "resend", "turn")

    def __init__(self, mask: int = 0) -> None:
        self.mask = mask
        self.turn = lowest(mask) if mask else 0
        self.next_bsn = 0  # T
        # What of the missing list was not yet sent again; capped by the windows of the lost links.
        self.resend: deque[tuple[int, Flit]] = deque()
        self.lost: dict[int, ReplaySender] = {}

    def label(self) -> int:
        """The BSN of a new flit."""
        bsn = self.next_bsn
        self.next_bsn = (bsn + 1) & BSN_MASK
        return bsn

    def pass_turn(self) -> None:
        """A new PROT has been sent: the next link of the rotation has the turn. HSL 4.2 [HSL-BND-001]."""
        links = links_of(self.mask)
        self.turn = links[(links.index(self.turn) + 1) % len(links)]

    def propose(self, report: Report) -> Resume | int:
        """S2: the resume that a report asks for, or the link whose EXP is out of range [HSL-BND-008].

        Its list is what was not yet sent again, and what the receiver has not accepted of each lost link.
        """
        missing = list(self.resend)
        for link in links_of(self.mask & ~report.mask):
            sender = self.lost[link]
            accepted = distance(report.exp[link], sender.base)
            if accepted > sender.unacked:
                return link
            missing += sender.labelled(accepted)
        missing.sort(key=lambda labelled: (labelled[0] - self.next_bsn) & BSN_MASK)
        return Resume(report.mask, tuple(missing))

    def install(self, resume: Resume) -> None:
        """S4."""
        for link in links_of(self.mask & ~resume.mask):
            del self.lost[link]
        self.mask = resume.mask
        self.turn = lowest(resume.mask)
        self.resend = deque(resume.missing)


class Held(NamedTuple):
    """A flit that was accepted on `link` in epoch number `epoch` and waits; `data` as it came."""

    link: int
    epoch: int
    flit: Flit
    data: bytes


class ReceiveEpoch:
    """The receiving half. `point` is the merge point: the BSN that is delivered next; `held` those beyond it.

    `frozen` is EXP of the lost links.
    """

    __slots__ = ("_count", "_merged", "_missing", "_number", "_start", "frozen", "held", "mask", "point")

    def __init__(self, mask: int = 0) -> None:
        self.point = 0
        # Of k links of an epoch one owes the merge point, each other one adds window + 1 at most: `accept`
        # refuses more. What an epoch leaves waits in the next one too, which has a link less: over all epochs
        # (window + 1) * n * (n - 1) / 2 flits, whatever a peer does.
        self.held: dict[int, Held] = {}
        self.frozen: dict[int, int] = {}
        self._number = 0
        self._begin(mask, (), 0)

    def _begin(self, mask: int, missing: tuple[int, ...], start: int) -> None:
        self.mask = mask
        self._number += 1
        self._missing = missing
        self._start = start
        self._count = [0] * MAX_LINKS  # flits accepted in this epoch, by link
        self._merged = [0] * MAX_LINKS  # and those of them that were delivered

    def accept(self, link: int, flit: Flit, data: bytes, window: int) -> str:
        """Take the next flit of `link`; what is wrong with it, or "". HSL 4.4."""
        if not self.mask >> link & 1:
            return "PROT before the bond has an epoch"
        count = self._count[link]
        # A link that stalls stops the rotation after `window` turns; a lower link has had one turn more.
        if count - self._merged[link] > window:
            return f"{window + 1} flits of link {link} wait for a link whose turn was skipped"
        self._count[link] = count + 1
        links = links_of(self.mask)
        place = count * len(links) + links.index(link)
        listed = len(self._missing)
        bsn = self._missing[place] if place < listed else (self._start + place - listed) & BSN_MASK
        self.held[bsn] = Held(link, self._number, flit, data)
        return ""

    def pop(self) -> Held | None:
        """The flit of the merge point, if it has come; the point moves on."""
        held = self.held.pop(self.point, None)
        if held is not None:
            self.point = (self.point + 1) & BSN_MASK
            if held.epoch == self._number:
                self._merged[held.link] += 1
        return held

    def resume(self, mask: int, count: int, start: int) -> str:
        """R4: begin a new epoch; why its count or T cannot be true, or "". HSL 4.6 [HSL-BND-005].

        No more than `count` numbers are listed, whatever T a hostile peer names.
        """
        span = (start - self.point) & BSN_MASK
        beyond = sum((bsn - self.point) & BSN_MASK >= span for bsn in self.held)
        if beyond:
            return f"{beyond} flits of BSN {start} and later are here already"
        if span - len(self.held) != count:
            return f"{span - len(self.held)} flits before BSN {start} are missing; the peer says {count}"
        numbers = ((self.point + step) & BSN_MASK for step in range(span))
        self._begin(mask, tuple(bsn for bsn in numbers if bsn not in self.held), start)
        return ""
