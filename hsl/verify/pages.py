"""Page tables that change while devices use them: no access uses a mapping that was taken away (HSL 5.10).

A space is the four pages of one large mapping, of one PASID or shared by all. The table changes, then
TransInv goes to the device; when it is completed only the new mapping may be used. Which frame an access has
used tells its physical address, and what it has read there.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hsl._generated.constants import LINE_BYTES
from hsl._generated.layouts import INVALIDATE_D0
from hsl.agents.access import Access, Perm
from hsl.agents.address_map import PAGE_BYTES
from hsl.agents.atc import Translated
from hsl.agents.invariants import InvariantError
from hsl.agents.iommu import Mapping
from hsl.errors import ConfigError
from hsl.verify.layout import FRAME_LINES, FRAMES, LARGE_PAGES, SPACES, Layout
from hsl.verify.operation import WORD, Operation
from hsl.verify.parties import Parties

__all__ = [
    "LARGE",
    "LARGE_SIZE",
    "PRIVATE",
    "SMALL",
    "STRANGER",
    "Pages",
    "Space",
    "contents",
    "invalidation",
    "spaces_of",
]

LARGE, SMALL = LARGE_PAGES, LARGE_PAGES + 1  # what changes, besides one page: all, by one or four mappings
LARGE_SIZE: Final = LARGE_PAGES.bit_length() - 1  # SIZE of a mapping of so many pages
PRIVATE: Final = (1, 2)  # PASIDs with mappings of their own
STRANGER: Final = 3  # a PASID that has only the shared mappings
RIGHTS: Final = Perm.R | Perm.W


class Space(NamedTuple):
    """Pages of one device: the first one, and the PASID, None where all share them."""

    device: int
    page: int
    pasid: int | None


def spaces_of(layout: Layout) -> list[Space]:
    """All spaces; those of the two PASIDs have the same virtual pages."""
    found = []
    for index, device in enumerate(layout.devices):
        page = 2 * index * LARGE_PAGES
        found += [Space(device, page, pasid) for pasid in PRIVATE]
        found.append(Space(device, page + LARGE_PAGES, None))
    assert len(found) == SPACES * len(layout.devices)
    return found


def contents(frame: int, at: int) -> bytes:
    """Return the word at byte `at` of a frame that is never written."""
    return (frame << 32 | at).to_bytes(WORD, "little")


def invalidation(layout: Layout, space: Space, what: int, size: int, pasid: int, everybody: bool) -> Access:
    """TransInv after a change of a space; `size` of the range at least that of the change."""
    page = space.page + what if what < LARGE_PAGES else space.page
    data = INVALIDATE_D0.build({"size": size, "all": int(everybody)})
    dst = layout.io_of(layout.node_of(space.device))
    return Access("trans_inv", page >> size << size, data=data, dst=dst, pasid=pasid)


class Pages:
    """The page tables as software sees them, and the frames that each page may still be translated to."""

    def __init__(self, parties: Parties) -> None:
        self._layout = layout = parties.layout
        self._iommu = parties.iommu
        self._spaces = spaces_of(layout)
        self._frames = [list(range(LARGE_PAGES)) for _ in self._spaces]
        self._live = [[{frame} for frame in frames] for frames in self._frames]
        self._changing = [0] * len(self._spaces)  # changes whose TransInv is under way
        self._mapped: list[list[Mapping]] = [[] for _ in self._spaces]
        for number in range(len(self._spaces)):
            self._map(number, large=True)
        for line in layout.frame_lines:
            frame, at = divmod(line - layout.frame(0), PAGE_BYTES)
            parties.write(line, b"".join(contents(frame, at + word) for word in range(0, LINE_BYTES, WORD)))

    def check(self, operation: Operation) -> None:
        """Raise ConfigError for an operation that changes a missing page, or whose pages are in no space."""
        access = operation.access
        if operation.virtual and (
            self._space(operation) is None or access.addr % PAGE_BYTES >= FRAME_LINES * LINE_BYTES
        ):
            raise ConfigError(f"operation {operation}: no page of node {operation.agent} is there")
        if access.kind == "trans_inv":
            number, what, frame = operation.maps
            aligned = what < LARGE_PAGES or frame % LARGE_PAGES == 0
            if number >= len(self._spaces) or what > SMALL or frame >= FRAMES or not aligned:
                raise ConfigError(f"operation {operation}: maps must be a space, what changes, and its frame")

    def _space(self, operation: Operation) -> int | None:
        page, pasid = operation.access.addr // PAGE_BYTES, operation.access.pasid
        for number, space in enumerate(self._spaces):
            inside = space.device == operation.agent and space.page <= page < space.page + LARGE_PAGES
            if inside and space.pasid in (pasid, None):
                return number
        return None

    def _map(self, number: int, *, large: bool) -> None:
        """Replace the frames of a space in the page tables."""
        space, frames, iommu = self._spaces[number], self._frames[number], self._iommu
        assert iommu is not None
        shared, pasid = space.pasid is None, space.pasid or 0
        for mapping in self._mapped[number]:
            iommu.unmap(pasid, mapping)
        address = self._layout.frame
        if large:
            new = [Mapping(space.page, address(frames[0]), RIGHTS, LARGE_SIZE, shared)]
        else:
            new = [Mapping(space.page + i, address(f), RIGHTS, 0, shared) for i, f in enumerate(frames)]
        for mapping in new:
            iommu.map(pasid, mapping)
        self._mapped[number] = new

    def change(self, operation: Operation) -> None:
        """Software changes a table, and is about to send TransInv."""
        number, what, frame = operation.maps
        self._changing[number] += 1
        if what < LARGE_PAGES:
            self._frames[number][what] = frame
        else:
            self._frames[number] = [frame + i for i in range(LARGE_PAGES)]
        for frames, new in zip(self._live[number], self._frames[number], strict=True):
            frames.add(new)
        self._map(number, large=what == LARGE)

    def changed(self, operation: Operation) -> None:
        """Forget the old mappings: TransInv is completed, and no other one is under way."""
        number = operation.maps[0]
        self._changing[number] -= 1
        if not self._changing[number]:
            self._live[number] = [{frame} for frame in self._frames[number]]

    def ended(self, operation: Operation, done: Translated) -> None:
        """A virtual access ended. Raises InvariantError when it used a frame that its page has no more."""
        ticket = done.ticket
        if done.err or ticket is None or ticket.err or ticket.poison:
            raise InvariantError(f"{operation} ended with {ticket!r}, {done.err.name}; its page may be used")
        access = operation.access
        number = self._space(operation)
        assert number is not None
        live = self._live[number][access.addr // PAGE_BYTES - self._spaces[number].page]
        frame, at = divmod(ticket.access.addr - self._layout.frame(0), PAGE_BYTES)
        if frame not in live:
            raise InvariantError(
                f"{operation} used frame {frame}, which was taken away; its page has {sorted(live)} (5.10.2)"
            )
        if access.kind in ("load", "read_once") and ticket.data != contents(frame, at):
            raise InvariantError(f"{operation} read {ticket.data.hex()} in frame {frame}")
