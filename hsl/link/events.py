"""Events and counters of a port."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hsl._generated.constants import ErrorCode, FlitType, LinkState, Severity

__all__ = [
    "ErrorLogged",
    "Event",
    "FatalReceived",
    "LinkCounters",
    "LinkDown",
    "LinkUp",
    "PeerGone",
    "RetrainAsked",
    "StateChanged",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged:
    """A link went from `old` to `new`; `cause` is the event of the link table (3.2.3)."""

    link: int
    old: LinkState
    new: LinkState
    cause: str
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUp:
    """The port carries messages from now on (4.1)."""

    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkDown:
    """The port's session is over; the owner runs its loss procedure (6.2) and calls `link_down_done`."""

    cause: str
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerGone:
    """After LINK_DOWN: the peer can no longer use copies of lines that are homed here (6.2 F4)."""

    proof: str
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainAsked:
    """The peer asks for a retrain of the PHY (code Z): PAL_RETRAIN."""

    link: int
    now: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorLogged:
    """An error of 3.8; `data` are the first 32 bytes of the flit, when there was one (6.5)."""

    link: int
    code: ErrorCode
    severity: Severity
    text: str
    now: int
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class FatalReceived:
    """The peer says by ERR_FATAL that its link or port is dead; `code` is its reason, if known one of 3.8."""

    link: int
    code: int
    now: int


Event = StateChanged | LinkUp | LinkDown | PeerGone | RetrainAsked | ErrorLogged | FatalReceived


def _per_type() -> dict[int, int]:
    return dict.fromkeys(range(8), 0)  # FT has three bits. HSL 2.3


@dataclass(slots=True)
class LinkCounters:
    """Counts of one link since its port was made.

    `prot_sent` counts every transmission. Per direction, without damage that a CRC misses: PROT sent = the
    peer's prot_accepted + prot_duplicate + prot_gap + prot_stray + what was lost or damaged on the way;
    and what was damaged = the peer's crc_errors. `prot_stray` came before ACTIVE or after it.
    """

    flits_sent: dict[int, int] = field(default_factory=_per_type)
    flits_received: dict[int, int] = field(default_factory=_per_type)
    prot_sent: int = 0
    prot_accepted: int = 0
    prot_duplicate: int = 0
    prot_gap: int = 0
    prot_stray: int = 0
    crc_errors: int = 0
    naks_sent: int = 0
    replays: int = 0
    replay_timeouts: int = 0
    recoveries: int = 0
    stale: int = 0
    errors: Counter[ErrorCode] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The counts with names as keys; flit types and error codes by name, those that are 0 left out."""
        plain: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        for name in ("flits_sent", "flits_received"):
            plain[name] = {_type_name(ft): count for ft, count in plain[name].items() if count}
        plain["errors"] = {code.name: count for code, count in sorted(self.errors.items())}
        return plain


def _type_name(ft: int) -> str:
    return FlitType(ft).name if ft in FlitType.__members__.values() else f"reserved_{ft}"
