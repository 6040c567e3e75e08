"""The translation cache of a device: virtual accesses in, physical ones out (HSL 5.10, 5.14).

An access whose translation is not here waits for a *walk*: TransReq, and when the page may not be had, a
page request and TransReq again. An invalidation takes entries away at once, makes running walks start anew
(their answer may be the old one, since it comes on another channel), and ends only when all accesses that
were translated by one of these entries are performed, also those that have sent no request yet.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from hsl._generated.constants import GRANULE_BYTES, Err, PageCode
from hsl._generated.layouts import INVALIDATE_D0, PAGE_REQUEST_D0, PAGE_RESPONSE_D0, TRANSLATION_D0
from hsl.agents.access import Access, Perm, Ticket
from hsl.agents.iommu import ALL_SIZES, PAGE_BITS, Mapping, pasid_of
from hsl.agents.request import RequestAgent
from hsl.codec.message import Message
from hsl.errors import ConfigError

__all__ = ["Atc", "AtcConfig", "PageGroup", "Translated"]

MAX_ENTRIES: Final = 1 << 16
# Accesses that wait for a translation, and page request groups that wait for their answer: what a device of
# this size has under way, and far below the 512 numbers of groups.
WAITING_LIMIT: Final = 1024
GROUP_LIMIT: Final = 64
# Page requests for one access: a host that answers RETRY for ever must not keep it for ever.
ATTEMPTS: Final = 3
# Invalidations beside the page of a walk that are told apart; after more its answer is not used.
BESIDE_LIMIT: Final = 16
PAGE_MASK: Final = (1 << PAGE_BITS) - 1
VA_BITS: Final = 64
READS: Final = frozenset({"load", "read_once", "ncread", "evict", "flush"})
NOTHING: Final = Perm(0)
READS_AND_WRITES: Final = frozenset({"atomic_load", "atomic_store"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AtcConfig:
    """`agent`: NID of the request agent that uses it; `iommu`: NID of the I/O agent that translates.

    `entries`: translations kept; `page_requests`: ask for pages that may not be had (needs PRI).
    """

    agent: int
    iommu: int
    entries: int = 64
    page_requests: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.entries <= MAX_ENTRIES:
            raise ConfigError(f"ATC: {self.entries} entries; expected 1..{MAX_ENTRIES}")


class Translated:
    """A virtual access: `ticket` is the physical one, once there is one; `err` why there will be none."""

    __slots__ = ("access", "attempts", "err", "needs", "page", "pasid", "ticket")

    def __init__(self, access: Access, pasid: int) -> None:
        self.access = access
        self.pasid = pasid
        self.page = access.addr >> PAGE_BITS
        writes = Perm.R | Perm.W if access.kind in READS_AND_WRITES else Perm.W
        self.needs = Perm.R if access.kind in READS else writes
        self.ticket: Ticket | None = None
        self.err = Err.OK
        self.attempts = 0

    @property
    def done(self) -> bool:
        """True if it has ended, with success or with an error."""
        return bool(self.err) or (self.ticket is not None and self.ticket.done)


class PageGroup:
    """Pages asked for together; `code` is None until the one PageRsp has come, or a PageReq has failed.

    `last` is the page whose PageReq has not been sent yet, None once it has.
    """

    def __init__(self, number: int, pasid: int, perms: Perm, last: int) -> None:
        self.number = number
        self.pasid = pasid
        self.perms = perms
        self.last: int | None = last
        self.tickets: list[Ticket] = []
        self.code: PageCode | None = None
        self.err = Err.OK


@dataclass(slots=True)
class _Walk:
    """One translation on its way, and the accesses that wait for it, in order; `needs`: rights asked for."""

    needs: Perm = NOTHING
    ticket: Ticket | None = None
    group: PageGroup | None = None
    stale: bool = False
    # (page, size) of each TransInv beside the page: a large answer may cover it. At most BESIDE_LIMIT.
    beside: list[tuple[int, int]] = field(default_factory=list)
    waiting: list[Translated] = field(default_factory=list)


Key = tuple[int, int]  # PASID, virtual page


class Atc:
    """Translations of one request agent. The node calls `poll` when something may have ended.

    `judge` is called with the time before each access (HSL 3.1).
    """

    def __init__(
        self, config: AtcConfig, agent: RequestAgent, judge: Callable[[int], None] = lambda now: None
    ) -> None:
        self.config = config
        self._agent = agent
        self._entries: OrderedDict[tuple[int | None, int, int], Mapping] = OrderedDict()
        self._walks: dict[Key, _Walk] = {}
        self._groups: dict[int, PageGroup] = {}
        self._judge = judge
        self._ready: deque[Translated] = deque()  # their walk has ended, but the agent was full
        # The accesses under way, each with the PASID (None: of all) and the translation that it uses: at most
        # the agent's pending accesses, and what ended since `poll`.
        self._users: list[tuple[int | None, Mapping, Translated]] = []

    # ---- the device's programs
    def access(self, pasid: int, access: Access, now: int) -> Translated:
        """Begin an access whose `addr` is virtual. ConfigError for an illegal one, or when too many wait."""
        if not 0 <= access.addr < 1 << VA_BITS:
            raise ConfigError(f"{access.kind} at {access.addr:#x}: virtual addresses have {VA_BITS} bits")
        self._judge(now)
        waiting = len(self._ready) + sum(len(walk.waiting) for walk in self._walks.values())
        if waiting >= WAITING_LIMIT or self._agent.full:
            raise ConfigError(f"ATC: {WAITING_LIMIT} accesses wait, or the agent is full")
        translated = Translated(access, pasid)
        self._ready.append(translated)
        self._present(now)
        return translated

    def request_pages(self, pasid: int, pages: Sequence[int], perms: Perm, now: int) -> PageGroup:
        """Ask for pages by one group. ConfigError for none, or more groups than GROUP_LIMIT."""
        if not 0 < len(pages) <= self._agent.room or len(self._groups) >= GROUP_LIMIT:
            raise ConfigError(
                f"ATC: {len(pages)} pages; expected 1..{self._agent.room}, in {GROUP_LIMIT} groups at most"
            )
        number = next(n for n in range(GROUP_LIMIT) if n not in self._groups)
        group = self._groups[number] = PageGroup(number, pasid, perms, pages[-1])
        for page in pages[:-1]:
            self._ask_for(group, page, now)
        self._ask_last(group, now)
        return group

    def _ask_for(self, group: PageGroup, page: int, now: int, last: bool = False) -> None:
        data = PAGE_REQUEST_D0.build({"group": group.number, "last": int(last)})
        group.tickets.append(self._ask("page_req", group.pasid, page, group.perms, now, data))

    def _ask_last(self, group: PageGroup, now: int) -> bool:
        """Send the PageReq with LAST once the others are completed OK. HSL 5.10.3 [HSL-NCR-012]."""
        before = all(ticket.done and not ticket.err for ticket in group.tickets)
        if group.last is None or not before or self._agent.full:
            return False
        page, group.last = group.last, None
        self._ask_for(group, page, now, last=True)
        return True

    def _ask(self, kind: str, pasid: int, page: int, perms: Perm, now: int, data: bytes = b"") -> Ticket:
        access = Access(kind, page, data=data, dst=self.config.iommu, pasid=pasid, perms=perms)
        return self._agent.submit(access, now, collected=False)

    # ---- translation
    def _find(self, pasid: int, page: int) -> Mapping | None:
        for key, mapping in self._entries.items():
            owner, size, place = key
            if owner in (pasid, None) and page >> size == place:
                self._entries.move_to_end(key)
                return mapping
        return None

    def _present(self, now: int) -> bool:
        """Begin the accesses that are ready, in order; return True if the agent took any."""
        before = len(self._ready)
        while self._ready and not self._agent.full:
            self._begin(self._ready.popleft(), now)
        return len(self._ready) < before

    def _begin(self, translated: Translated, now: int) -> None:
        """Hand an access to the agent, or let it wait behind those of its page that wait already (5.9 F2)."""
        walk = self._walks.get((translated.pasid, translated.page))
        mapping = self._find(translated.pasid, translated.page) if walk is None else None
        if mapping is not None and not translated.needs & ~mapping.perms:
            inside = translated.page & (1 << mapping.size) - 1
            physical = mapping.pa + (inside << PAGE_BITS) + (translated.access.addr & PAGE_MASK)
            self._users.append((None if mapping.shared else translated.pasid, mapping, translated))
            if translated.ticket is not None:  # it was in back-off
                self._agent.present(translated.ticket, physical, now)
                return
            try:
                access = translated.access._replace(addr=physical)
                translated.ticket = self._agent.submit(access, now, collected=False)
            except ConfigError:
                translated.err = Err.PROTO
                self._users.pop()
            return
        self._walks.setdefault((translated.pasid, translated.page), _Walk()).waiting.append(translated)

    def poll(self, now: int) -> bool:
        """Handle the messages that arrived; return True if any access moved."""
        self._users = [user for user in self._users if not self._over(user[2])]
        moved = self._present(now)
        for key, walk in list(self._walks.items()):
            moved |= self._step(key, walk, now)
        for group in self._groups.values():
            moved |= self._ask_last(group, now)
        for number in [n for n, group in self._groups.items() if self._failed(group)]:
            del self._groups[number]
        return moved

    @staticmethod
    def _over(translated: Translated) -> bool:
        return translated.ticket is not None and translated.ticket.performed

    @staticmethod
    def _failed(group: PageGroup) -> bool:
        """A PageReq of the group was not taken, so no PageRsp will come."""
        group.err = group.err or next(
            (ticket.err for ticket in group.tickets if ticket.done and ticket.err), Err.OK
        )
        return bool(group.err)

    def _step(self, key: Key, walk: _Walk, now: int) -> bool:
        """One step of a walk: ask, take the translation, ask for the page, take that answer."""
        if walk.group is not None:
            return self._paged(key, walk, now)
        if walk.ticket is None:
            if self._agent.full:
                return False
            walk.needs = walk.waiting[0].needs
            walk.ticket, walk.stale = self._ask("trans_req", *key, walk.needs, now), False
            walk.beside.clear()
            return True
        if not walk.ticket.done:
            return False
        ticket, walk.ticket = walk.ticket, None
        if walk.stale:  # what came may be the old translation
            return True
        if ticket.err == Err.ACCESS and self.config.page_requests:
            return self._ask_page(key, walk, now)
        mapping = None if ticket.err else self._mapping(key, ticket, walk.needs)
        if mapping is None:
            self._end(key, walk, ticket.err or Err.ACCESS, now)
            return True
        wide = mapping.size
        if any(page >> max(wide, size) == key[1] >> max(wide, size) for page, size in walk.beside):
            return True  # HSL 5.10.2: what came covers pages of a TransInv, so it may be old
        del self._walks[key]
        self._keep(key[0], mapping)
        self._ready.extend(walk.waiting)
        self._present(now)
        return True

    @staticmethod
    def _mapping(key: Key, ticket: Ticket, needs: Perm) -> Mapping | None:
        """Return the translation that arrived, None if it grants less than was asked for."""
        word = TRANSLATION_D0.parse(ticket.data[:GRANULE_BYTES])
        size = word["size"]
        if ticket.poison or size >= ALL_SIZES or needs & ~Perm(word["perms"]):
            return None
        base = word["pa"] >> size << size << PAGE_BITS
        return Mapping(key[1] >> size << size, base, Perm(word["perms"]), size, bool(word["global"]))

    def _keep(self, pasid: int, mapping: Mapping) -> None:
        if len(self._entries) >= self.config.entries:
            self._entries.popitem(last=False)
        key = None if mapping.shared else pasid, mapping.size, mapping.page >> mapping.size
        self._entries[key] = mapping

    def _end(self, key: Key, walk: _Walk, err: Err, now: int) -> None:
        """Fail the accesses that were denied the page. Keep walking for accesses that need fewer rights."""
        spared = []
        for translated in walk.waiting:
            if err == Err.ACCESS and walk.needs & ~translated.needs:
                spared.append(translated)
            else:
                translated.err = err
                if translated.ticket is not None:
                    self._agent.finish(translated.ticket, now, err)
                    self._agent.tick(now)
        walk.waiting = spared
        if not spared:
            del self._walks[key]

    # ---- page requests
    def _ask_page(self, key: Key, walk: _Walk, now: int) -> bool:
        if self._agent.full:
            return False  # the translation is asked for again when it is not
        walk.waiting[0].attempts += 1
        if len(self._groups) >= GROUP_LIMIT or walk.waiting[0].attempts > ATTEMPTS:
            self._end(key, walk, Err.ACCESS, now)
        else:
            walk.group = self.request_pages(key[0], [key[1]], walk.needs, now)
        return True

    def _paged(self, key: Key, walk: _Walk, now: int) -> bool:
        group = walk.group
        assert group is not None
        if group.code is None and not self._failed(group):
            return False
        walk.group = None
        if group.code != PageCode.RETRY:
            self._end(key, walk, group.err or Err.ACCESS, now)
        return True

    def page_response(self, message: Message, now: int) -> bool:
        """Take a PageRsp; False when no such group waits for one. HSL 5.10 [HSL-ATS-003]."""
        fields = PAGE_RESPONSE_D0.parse(message.data)
        group = self._groups.get(fields["group"])
        if group is None or group.pasid != pasid_of(message):
            return False
        known = fields["code"] in PageCode.__members__.values()
        group.code = PageCode(fields["code"]) if known else PageCode.FAILURE
        del self._groups[group.number]
        return True

    def lost(self, nid: int) -> None:
        """End the groups and translations of node `nid`, which is lost."""
        if nid != self.config.iommu:
            return
        self._entries.clear()
        for walk in self._walks.values():
            walk.stale = True
        for group in self._groups.values():
            group.err = Err.UNREACH

    # ---- invalidation
    def invalidate(self, message: Message) -> Callable[[], bool]:
        """Take a TransInv: drop entries, and report the end of their last use. HSL 5.10 [HSL-ATS-002]."""
        word = INVALIDATE_D0.parse(message.data)
        size = VA_BITS if word["size"] >= ALL_SIZES else word["size"]
        for (_, page), walk in self._walks.items():
            if page >> size != message.addr >> size:
                walk.stale |= len(walk.beside) >= BESIDE_LIMIT
                walk.beside[BESIDE_LIMIT - 1 :] = [(message.addr, size)]
        place, pasid = message.addr >> size, pasid_of(message)

        def hit(owner: int | None, page: int, page_size: int = 0) -> bool:
            wide = max(size, page_size)
            return (bool(word["all"]) or owner in (pasid, None)) and page >> wide == place << size >> wide

        for key in [key for key, each in self._entries.items() if hit(key[0], each.page, each.size)]:
            del self._entries[key]
        for (_, page), walk in self._walks.items():
            walk.stale |= hit(None, page)  # of any PASID: the answer under way may be a shared one
        # Each access that was translated, sent or not, in whatever page of the entry. [HSL-ATS-005]
        users = [use for use in self._users if hit(use[0], use[1].page, use[1].size)]

        def ended() -> bool:
            # Also of those whose request ends BUSY after the TransInv came. Another TransInv may have had one
            # translated again: then it uses the old translation no more. [HSL-COH-062]
            under_way = {id(use) for use in self._users}
            users[:] = [use for use in users if id(use) in under_way]
            waiting = self._withdraw([use[2] for use in users])
            users[:] = [use for use in users if not (use[2] in waiting or self._over(use[2]))]
            return not users

        ended()
        return ended

    def _withdraw(self, users: Sequence[Translated]) -> list[Translated]:
        """Translate again those accesses that are in back-off; return them. HSL 5.4 T4 [HSL-COH-062]."""
        tickets = {user.ticket: user for user in users if user.ticket is not None}
        waiting = [tickets[ticket] for ticket in self._agent.withdraw(tickets)]
        self._users = [entry for entry in self._users if entry[2] not in waiting]
        self._ready.extendleft(reversed(waiting))
        return waiting
