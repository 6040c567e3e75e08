"""Kinds of injected faults, the reaction expected of the peer, and the worst effect on a run."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from hsl._generated.constants import ErrorCode, FlitType, Severity
from hsl._generated.tables import ERROR_SEVERITY

__all__ = ["KINDS", "FaultKind", "Kind", "Outcome"]


class FaultKind(StrEnum):
    """The kinds of faults of a flit; KINDS describes each."""

    CRC = "crc"
    DROP = "drop"
    TRUNCATE = "truncate"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    DELAY = "delay"
    SEQ = "seq"
    ACK = "ack"
    CREDIT = "credit"
    POISON = "poison"
    EPOCH = "epoch"
    CTL_OP = "ctl-op"
    LINK_DOWN = "link-down"


class Outcome(StrEnum):
    """The worst that a fault may do to a run, mildest first."""

    CORRECTED = "corrected"  # the link repairs it: no message notices
    NON_FATAL = "non-fatal"  # it is logged, or an access ends with an error; the session goes on
    CONTRACT = "violates the PHY contract"  # B1 of 3.9: no promise holds, though nearly always it is repaired
    PORT_FATAL = "port-fatal"  # the port is DEAD: the run ends


class Kind(NamedTuple):
    """One row of KINDS.

    `layer`: who sees it first (PHY, DL, BL, TL). `codes`: what the peer logs (3.8), none for what only timers
    notice. `types`: flit types that it can hit. `own_time`: it has a length, ns. `exact`: with it the account
    of a direction (PROT sent = accepted + dropped + lost, damaged = CRC errors) holds to the flit.
    """

    layer: str
    outcome: Outcome
    codes: tuple[ErrorCode, ...]
    types: frozenset[int]
    text: str
    peer: str
    example: str
    own_time: bool = False
    exact: bool = True

    @property
    def severity(self) -> Severity | None:
        """The greatest of its codes in 3.8; None without a code."""
        return max((Severity(ERROR_SEVERITY[code]) for code in self.codes), default=None)


ANY: Final = frozenset(range(8))  # FT has three bits, and reserved types are flits too. HSL 2.3
PROT: Final = frozenset({FlitType.PROT, FlitType.PROT_S})
CTL: Final = frozenset({FlitType.CTL})
# Those that evaluate SEQ and ACK in a session. HSL 2.3
NUMBERED: Final = PROT | {FlitType.NOP}

KINDS: Final = {
    FaultKind.CRC: Kind(
        "PHY",
        Outcome.CORRECTED,
        (ErrorCode.CRC,),
        ANY,
        "1 to 5 bits are flipped: both CRCs see every such error (2.4)",
        "drops the flit and sends NAK; the sender replays",
        "crc:1e-3",
    ),
    FaultKind.DROP: Kind(
        "PHY",
        Outcome.CORRECTED,
        (),
        ANY,
        "the flit never arrives",
        "sees a gap in SEQ and sends NAK, or the sender's T_REPLAY ends",
        "drop@PROT:x3",
    ),
    FaultKind.TRUNCATE: Kind(
        "PHY",
        Outcome.CORRECTED,
        (ErrorCode.CRC, ErrorCode.FRAMING),
        ANY,
        "the flit arrives short: err=1 where the binding keeps the border of a frame, else the stream ends",
        "takes it as a damaged flit (mem, udp), or closes the connection: PAL_DOWN (tcp, unix)",
        "truncate@NOP:x1",
    ),
    FaultKind.DUPLICATE: Kind(
        "PHY",
        Outcome.CONTRACT,
        (),
        ANY,
        "the flit arrives twice",
        "drops the second PROT as a duplicate and acknowledges at once",
        "duplicate@PROT:1e-2",
    ),
    FaultKind.REORDER: Kind(
        "PHY",
        Outcome.CONTRACT,
        (ErrorCode.ACK_RANGE,),
        ANY,
        "the flit arrives late, and later ones before it",
        "sees a gap, then a duplicate; an ACK that came late is out of range and ignored",
        "reorder@PROT:x1:ns=500",
        own_time=True,
    ),
    FaultKind.DELAY: Kind(
        "PHY",
        Outcome.CORRECTED,
        (),
        ANY,
        "the flit arrives late, and all later ones after it",
        "waits; a timer of the link may end meanwhile",
        "delay:1e-3:ns=2000",
        own_time=True,
    ),
    FaultKind.SEQ: Kind(
        "DL",
        Outcome.CORRECTED,
        (),
        NUMBERED | CTL,
        "SEQ is moved by half its range, one more or less; CRC good (safe while the window is below 511)",
        "sees a gap and sends NAK, or drops a duplicate",
        "seq@PROT:x2",
    ),
    FaultKind.ACK: Kind(
        "DL",
        Outcome.NON_FATAL,
        (ErrorCode.ACK_RANGE,),
        NUMBERED | CTL,
        "ACK is moved by half its range; CRC good",
        "logs ACK_RANGE and ignores the ACK (of NAK, RESYNC and RESYNC_ACK the flit)",
        "ack:1e-2",
    ),
    FaultKind.CREDIT: Kind(
        "BL",
        Outcome.PORT_FATAL,
        (ErrorCode.CREDIT_OVERFLOW,),
        PROT,
        "the flit returns the most credits that CCNT can say, for the VC that it names or RSP; CRC good",
        "declares the port dead as soon as a count is above the advertisement (3.5 F6)",
        "credit:x1:nth=200",
        exact=False,
    ),
    FaultKind.POISON: Kind(
        "TL",
        Outcome.NON_FATAL,
        (ErrorCode.DATA_LOST,),
        frozenset({FlitType.PROT}),
        "POISON is set in a message with data that begins in the flit; CRC good (L64: ports of one link)",
        "keeps the data as poisoned; an access that reads them ends with ERR=DATA (6.1)",
        "poison:x1",
    ),
    FaultKind.EPOCH: Kind(
        "DL",
        Outcome.CORRECTED,
        (ErrorCode.STALE,),
        CTL,
        "EPOCH of a CTL other than HELLO is another one; CRC good",
        "counts STALE and drops it; the sender repeats what it needs",
        "epoch:x2",
    ),
    FaultKind.CTL_OP: Kind(
        "DL",
        Outcome.CORRECTED,
        (),
        CTL,
        "CTL_OP of a CTL other than HELLO is one that nobody knows; CRC good",
        "ignores and counts it; the sender repeats what it needs",
        "ctl-op:1e-2",
    ),
    FaultKind.LINK_DOWN: Kind(
        "PHY",
        Outcome.CORRECTED,
        (ErrorCode.RETRAIN,),
        ANY,
        "the wire is cut and joined again after the stated time; on a stream the connection is closed. "
        "What is under way is lost. Longer than T_STATE, or before both ends are ACTIVE, it ends the session",
        "PAL_DOWN: RECOVERY, then RESYNC; after T_STATE it is LOST and the link DEAD",
        "link-down:x1:nth=500:ns=20000",
        own_time=True,
    ),
}
