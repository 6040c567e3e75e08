"""The bond sublayer of a port (HSL chapter 4): alive mask, start of the port, loss of a link.

A port of one configured link is up when the link is, and its epochs never change. With more, both directions
go from epoch to epoch by the same procedure, the first time from the empty one:

    receiver: BOND_FAIL{base, mask, EXP of lost links} ->  sender: waits for the ACKs of all that survives
    receiver: makes its list of what is missing        <-  sender: BOND_RESUME{base, mask, T, count}
    receiver: new epoch, BOND_RESUME_ACK               ->  sender: new epoch, missing list first

The alive mask AM only shrinks, so a mask names an epoch, and what comes late or twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hsl._generated.constants import MAX_LINKS, CtlOp, ErrorCode, LinkState
from hsl.codec.ctl import Ctl
from hsl.link.classify import ENDED_STATES, SESSION_STATES, Input
from hsl.link.epoch import ReceiveEpoch, Report, Resume, TransmitEpoch, links_of, lowest
from hsl.link.replay import ReplaySender

if TYPE_CHECKING:
    from hsl.link.link import Link
    from hsl.link.port import Port

__all__ = ["Bond"]

_USABLE: Final = frozenset({LinkState.ACTIVE, LinkState.RECOVERY})  # what T_PORT starts a port with. HSL 4.1
_PERIODIC: Final = ("BOND_FAIL", "BOND_RESUME")  # sent every T_BOND

Body = dict[str, Any]


class Bond:
    """The state that the links of `port` share; `alive` is AM, 0 while it is not set."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.late = False  # T_PORT has expired: the port starts with the links there are
        self.close()

    def close(self) -> None:
        """AM unset; BSNs, lists and reorder space are forgotten. HSL 3.2.3 code L."""
        self.alive = 0
        self.tx = TransmitEpoch()
        self.rx = ReceiveEpoch()
        self.report: Report | None = None
        self.resume: Resume | None = None  # open: sent, and not yet acknowledged
        self.due: dict[str, Body] = {}  # item of TRANSMIT_ORDER -> what it copies; one slot each
        self._watching = False  # an epoch differs from AM: T_BOND runs

    @property
    def settled(self) -> bool:
        """Both epochs are the alive mask; a port of one link is always so."""
        single = len(self.port.links) == 1
        return single or (self.alive != 0 and self.tx.mask == self.rx.mask == self.alive)

    @property
    def idle(self) -> bool:
        """Settled, and no flit of a missing list waits."""
        return self.settled and not self.tx.resend

    @property
    def sending(self) -> bool:
        """S1: new PROT may be sent."""
        return self.alive != 0 and self.tx.mask == self.alive

    @property
    def lowest(self) -> Link | None:
        """The link that carries BOND flits."""
        return self.port.links[lowest(self.alive)] if self.alive else None

    def holds(self, link: Link) -> bool:
        """True if `link` is in the alive mask."""
        return bool(self.alive >> link.index & 1)

    def survives(self, link: Link) -> bool:
        """True if the port goes on without `link`."""
        return bool(self.alive & ~(1 << link.index))

    # ----------------------------------------------------------------------------------- start (HSL 4.1)

    def joined(self, link: Link, now: int) -> None:
        """`link` has become ACTIVE."""
        if self.alive and not self.holds(link):
            link.handle(Input("bond_drop"), now)  # no hot add
            return
        timers = self.port.timers
        if not self.alive and link.bond_width > 1 and not self.late and "T_PORT" not in timers.running:
            timers.scale(*link.exponents)
            timers.start("T_PORT", now)
        self.form(now)

    def left(self, link: Link) -> None:
        """A session of `link` has ended; with the last one an attempt to start the port ends."""
        if not self.alive and all(other.state in ENDED_STATES for other in self.port.links):
            self.late = False
            self.port.timers.stop("T_PORT")

    def expire(self, now: int) -> None:
        """T_PORT."""
        self.late = True
        self.form(now)

    def form(self, now: int) -> None:
        """Set AM when all configured links are ACTIVE, or T_PORT has expired; not in HOLD.

        The links of AM are of one PORT of the peer: that of the lowest. HSL 4.1 [HSL-BND-007] [HSL-BND-012].
        """
        members = [link for link in self.port.links if link.state in SESSION_STATES]
        if self.alive or self.port.hold or not members:
            return
        width = min(link.bond_width for link in members)
        usable = self._of_one_port(self._mask(_USABLE) & (1 << width) - 1)
        if usable and (self.late or self._mask({LinkState.ACTIVE}) & usable == (1 << width) - 1):
            self._begin(usable, now, single=width == 1)

    def _of_one_port(self, mask: int) -> int:
        """The links of `mask` whose HELLOs named the same PORT as that of the lowest [HSL-BND-012]."""
        links = [self.port.links[index] for index in links_of(mask)]
        return sum(1 << link.index for link in links if link.peer_port == links[0].peer_port)

    def _mask(self, states: frozenset[LinkState] | set[LinkState]) -> int:
        return sum(1 << link.index for link in self.port.links if link.state in states)

    def _begin(self, mask: int, now: int, *, single: bool = False) -> None:
        """AM := mask; the other links are not in the bond, and go to DEAD."""
        self.late = False
        self.alive = mask
        if single:
            self.tx, self.rx = TransmitEpoch(mask), ReceiveEpoch(mask)
        self.port.open_session()
        for link in self.port.links:
            if not mask >> link.index & 1:
                link.handle(Input("bond_drop"), now)
        self._watch(now)

    # ------------------------------------------------------------------------------ loss of a link (HSL 4.6)

    def lose(self, link: Link, cause: str, now: int) -> None:
        """Bond link loss if others are alive, else LINK_DOWN [HSL-BND-004] [HSL-BND-006]."""
        if not self.holds(link):
            return
        if len(self.port.links) > 1:
            link.dropped = cause != "port_fatal"
        if not self.survives(link):
            self.port.session_over(cause, now)
            return
        self.alive &= ~(1 << link.index)
        self.rx.frozen[link.index] = link.rx.exp
        self.tx.lost[link.index], link.tx = link.tx, ReplaySender()
        self.report = None  # R1
        self._watch(now)

    def _watch(self, now: int) -> None:
        """AM or an epoch has changed: T_BOND, the BOND flits that it makes due, LINK_UP. HSL 3.1."""
        if self.tx.mask == self.rx.mask == self.alive:
            self._watching = False
            self.port.timers.stop("T_BOND")
            for item in _PERIODIC:
                self.due.pop(item, None)
            self.port.link_up(now)
        elif not self._watching:
            self._watching = True
            self.port.timers.start("T_BOND", now)
            self.repeat()

    def repeat(self) -> None:
        """T_BOND, also at its start."""
        self.due["BOND_FAIL"] = {}
        if self.resume is not None:
            self.due["BOND_RESUME"] = {}

    # --------------------------------------------------------------------------- messages, sent on the lowest

    def message(self, item: str, link: Link) -> Body | None:
        """The body of a BOND flit that `link` sends now, None when none is due there."""
        if item not in self.due or link is not self.lowest:
            return None
        return _BODIES[item](self)

    def sent(self, item: str, now: int) -> None:
        """A BOND flit has been sent."""
        del self.due[item]
        if self._watching:
            self.port.timers.start("T_BOND", now)

    def fail_body(self) -> Body:
        """BOND_FAIL: own RX epoch, AM, and EXP of what the epoch has lost."""
        gone = self.rx.mask & ~self.alive
        exp = [self.rx.frozen[link] if gone >> link & 1 else 0 for link in range(MAX_LINKS)]
        return {"base": self.rx.mask, "mask": self.alive, "exp": exp}

    def resume_body(self) -> Body | None:
        """BOND_RESUME of an open resume, while its mask is AM. S3."""
        resume = self.resume
        if resume is None or resume.mask != self.alive:
            return None
        return {
            "base": self.tx.mask,
            "mask": resume.mask,
            "count": len(resume.missing),
            "t": self.tx.next_bsn,
        }

    def propose(self, now: int) -> None:
        """S2, the barrier: when all survivors are acknowledged, open the resume that the report asks for."""
        report = self.report
        if report is None or (report.base, report.mask) != (self.tx.mask, self.alive):
            return
        if any(self.port.links[link].tx.unacked for link in links_of(self.alive)):
            return
        resume = self.tx.propose(report)
        self.report = None
        if isinstance(resume, int):
            assert self.lowest is not None
            text = f"EXP {report.exp[resume]} of lost link {resume} in BOND_FAIL was never sent"
            self.lowest.handle(Input("merge_fatal", code=ErrorCode.MALFORMED, text=text), now)
            return
        self.resume = resume
        self.due["BOND_RESUME"] = {}

    # --------------------------------------------------------------------------- reception, R1 to R7: code BB

    def receive(self, link: Link, ctl: Ctl, now: int) -> Input | None:
        """A BOND flit on `link`; the port-fatal fault that it shows, if one. HSL 4.6 [HSL-BND-009]."""
        body = ctl.body
        if not self.alive and not self._adopt(body["mask"], now):
            return None
        for left in links_of(self.alive & ~body["mask"]):  # R1
            self.port.links[left].handle(Input("bond_drop"), now)
        if not self.holds(link):
            return None
        return _STEPS[ctl.op](self, body, now)

    def _adopt(self, mask: int, now: int) -> bool:
        """Before AM is set: a mask of links that are all ACTIVE here, and of one PORT, sets it.

        HSL 4.1 [HSL-BND-010] [HSL-BND-012].
        """
        if not mask or mask & ~self._mask({LinkState.ACTIVE}) or self.port.hold:
            return False
        if self._of_one_port(mask) != mask:
            return False
        self._begin(mask, now)
        return True

    def failed(self, body: Body, now: int) -> Input | None:
        """R2, R3."""
        base, mask = body["base"], body["mask"]
        if self.resume is not None and base == self.resume.mask:
            self._install(self.resume, now)
        proposed = self.resume is not None and self.resume.mask == self.alive
        if base == self.tx.mask and mask == self.alive != self.tx.mask and not proposed:
            self.report = Report(base, mask, tuple(body["exp"]))
        return None

    def resumed(self, body: Body, now: int) -> Input | None:
        """R4, R5."""
        base, mask = body["base"], body["mask"]
        known = mask == self.rx.mask
        if not known and not (base == self.rx.mask and mask == self.alive):
            return None
        if not known:
            if wrong := self.rx.resume(mask, body["count"], body["t"]):
                return Input("merge_fatal", code=ErrorCode.MALFORMED, text=f"BOND_RESUME: {wrong}")
            self._watch(now)
        self.due["BOND_RESUME_ACK"] = {"base": base, "mask": mask}
        return None

    def acknowledged(self, body: Body, now: int) -> Input | None:
        """R6."""
        if self.resume is not None and body["mask"] == self.resume.mask:
            self._install(self.resume, now)
        return None

    def _install(self, resume: Resume, now: int) -> None:
        """S4."""
        self.tx.install(resume)
        self.resume = None
        self._watch(now)


_BODIES: Final[dict[str, Callable[[Bond], Body | None]]] = {
    "BOND_RESUME_ACK": lambda bond: bond.due["BOND_RESUME_ACK"],
    "BOND_FAIL": Bond.fail_body,
    "BOND_RESUME": Bond.resume_body,
}
_STEPS: Final[dict[int, Callable[[Bond, Body, int], Input | None]]] = {
    CtlOp.BOND_FAIL: Bond.failed,
    CtlOp.BOND_RESUME: Bond.resumed,
    CtlOp.BOND_RESUME_ACK: Bond.acknowledged,
}
