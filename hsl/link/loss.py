"""Proof that the peer of a lost session can no longer use copies of lines that are homed here (HSL 6.2 F4).

A home completes nothing that contradicts such a copy before. Proof is what the peer says itself, in any
state of the link; or that T_LOSS has passed since LINK_DOWN. Nothing of the session was sent to it since,
and without that its own timers have ended it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hsl._generated.constants import ROUND_TRIP_TU, TIMERS, CtlOp, LinkState, Severity
from hsl._generated.tables import ERROR_SEVERITY
from hsl.codec.ctl import Ctl
from hsl.link.classify import Input
from hsl.link.events import PeerGone
from hsl.link.timers import NEVER

if TYPE_CHECKING:
    from hsl.link.link import Link
    from hsl.link.port import Port

__all__ = ["Loss"]

_ENDING: Final = ("T_STATE", "T_DEADKA")
_LAST_WORDS: Final = frozenset({CtlOp.DISABLE, CtlOp.ERR_FATAL})


class Loss:
    """The knowledge of a port about its session, and about the end of it."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._pairs: dict[int, tuple[int, int]] = {}  # by link: EPOCH of the peer, own EPOCH
        self._peer_port = 0
        self._guid: int | None = None
        self._width = 1  # configured links of the session (4.1)
        self._ended: set[int] = set()  # links on which the peer has said DISABLE or ERR_FATAL
        self._seen = 0  # when the port ran last, in ns
        self._end = NEVER  # when T_LOSS expires, in ns
        self.proof = ""  # what has shown that the peer is gone
        # The owner has disabled the port in the session that was admitted last, or since.
        self.released = False
        self._disabled = False  # in the session that began last, or since
        self.open = False  # the session is over, and its owner was not told of a proof

    def begin(self) -> None:
        """AM is set: a session begins."""
        links = self._port.members
        self._pairs = {link.index: (link.peer, link.epoch) for link in links}
        self._width = min(link.bond_width for link in links)
        self._peer_port, self._guid = links[0].peer_port, links[0].peer_guid
        self._ended.clear()
        self.open = self._disabled = False
        self.proof = ""

    def admit(self) -> None:
        """The node has taken LINK_UP; the port may have been disabled since that session began."""
        self.released = self._disabled

    def end(self, tu: int, now: int) -> None:
        """LINK_DOWN; `tu`: the slow one, in ns."""
        self.open = True
        self._end = now + TIMERS["T_LOSS"].tu * tu
        for link in self._port.links:
            link.new_since_loss = False
        self._tell(now)

    def release(self) -> None:
        """Let those behind a port that its owner has disabled be heard elsewhere. HSL 6.3 [HSL-SEC-015]."""
        if all(link.state is LinkState.DISABLED for link in self._port.links):
            self.released = self._disabled = True

    @property
    def deadline(self) -> int:
        """The end of T_LOSS in ns; NEVER while nothing is lost."""
        return self._end if self.open else NEVER

    def expire(self, now: int) -> None:
        """T_LOSS, if it has expired, is proof [HSL-RAS-010]."""
        if self.deadline <= now:
            self.proof = self.proof or "T_LOSS"
            self._tell(now)

    def judge_stall(self, now: int, ran: bool = True) -> None:
        """After a stall: what ends a session comes at its time, before flits that waited [HSL-LNK-058].

        `ran`: the port runs; else an access only asks, and the stall goes on.
        """
        if not self._port.bond.alive:
            return
        links, late = self._port.links, self._late(now)
        seen = self._seen
        if ran:
            self._seen = now
        if seen >= late:
            return
        while True:
            at, _, index, name = min(
                (link.timers.running.get(name, NEVER), place, link.index, name)
                for link in links
                for place, name in enumerate(_ENDING)
            )
            if at >= late:
                return
            links[index].timers.expired(name, at)
            links[index].handle(Input(name), at)
            late = now + 1

    def leased(self, now: int) -> bool:
        """True if copies of lines that are homed behind the port may be used. HSL 3.7.5 [HSL-LNK-057].

        After a stall they may not before the timers are judged [HSL-LNK-058].
        """
        late = self._late(now)
        return not self._port.up or any(
            link.leased(now) and all(link.timers.running.get(name, NEVER) >= late for name in _ENDING)
            for link in self._port.members
        )

    def _late(self, now: int) -> int:
        """The instant in ns before which a timer that runs is late by a stall. HSL 3.1."""
        return now - ROUND_TRIP_TU * self._port.links[0].timers.tu

    def _tell(self, now: int) -> None:
        if self.open and self.proof:
            self.open = False
            self._port.tell(PeerGone(proof=self.proof, now=now))

    def see(self, link: Link, ctl: Ctl, now: int) -> None:
        """Look at a CTL flit, whatever the state of the link; the one that has ended the session too."""
        if self.proof or not self._pairs:
            return
        known = self._pairs.get(link.index)
        if ctl.op == CtlOp.HELLO:
            if self.open and ctl.body["guid"] == self._guid:
                other = known is None or ctl.epoch != known[0]
                if other and ctl.body["port"] != self._peer_port:
                    self.proof = "HELLO of another incarnation"
                elif link.new_since_loss and ctl.peer == link.epoch:
                    self.proof = "HELLO that answers"
        elif ctl.op in _LAST_WORDS and known == (ctl.epoch, ctl.peer):
            self._ended.add(link.index)
            code = ctl.body.get("error", 0)
            fatal = ctl.op == CtlOp.ERR_FATAL and ERROR_SEVERITY.get(code) == Severity.port_fatal
            if fatal or len(self._ended) == self._width:
                self.proof = CtlOp(ctl.op).name
        self._tell(now)
