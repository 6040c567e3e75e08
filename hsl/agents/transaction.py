"""One transaction of a home line: what a TSHR holds, and the guards of its table (HSL 5.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from hsl.agents.directory import Directory, Holders
from hsl.codec.message import Message

__all__ = ["GUARDS", "NO_NODE", "Transaction"]

NO_NODE: Final = -1  # no NID is negative

SNOOP_KINDS: Final = {"SnpInv": "inv", "SnpShared": "shared", "SnpCur": "cur"}


def yes(value: bool) -> str:
    """A truth value as the guards spell it."""
    return "yes" if value else "no"


class Terms(Protocol):
    """The answers of a home to the guards of a transaction."""

    @property
    def directory(self) -> Directory:
        """The holders of each line."""

    def hand(self, nid: int) -> bool:
        """True if dirty hand-over is agreed with the port of `nid`."""

    def may(self, request: Message) -> bool:
        """True if the requester has the right W at the line of its request."""


class Transaction:
    """State of a busy line, named as in the table (P = `pending`, BUF = `buf`, NEW = `new`, OLD = `old`).

    `r` is the requester (NO_NODE for Recall and for the loss of an owner at an idle line), `q` the node and
    `message` the message of the present event. With no TSHR behind it (`op` "") it only gives a stray message
    its row of state IDLE.
    """

    __slots__ = (
        "ack_deadline",
        "buf",
        "buf_kind",
        "deadline",
        "due",
        "home",
        "htxn",
        "line",
        "matches",
        "mem",
        "mem_err",
        "mem_op",
        "message",
        "new",
        "old",
        "op",
        "pending",
        "q",
        "request",
        "snoop_txn",
        "snp",
        "state",
    )

    def __init__(self, home: Terms, line: int, op: str, request: Message) -> None:
        self.home = home
        self.line = line
        self.op = op
        self.request = request
        self.message = request
        self.state = "IDLE"
        self.q = NO_NODE
        self.pending: set[int] = set()  # at most the holders of the line
        self.snp = ""  # OP of the snoop outstanding
        self.snoop_txn: int | None = None
        self.htxn: int | None = None
        self.matches = False
        self.buf: tuple[bytes, bool] = (b"", False)
        self.buf_kind = "none"  # cur: for the answer only; dirty: memory does not have it
        self.mem: tuple[bytes, bool] = (b"", False)
        self.mem_err = 0
        self.mem_op = 0  # OP of the MEM message that is waited for, or was
        self.old = b""
        self.new = b""
        self.due = op not in ("", "Recall")  # a completion is owed to r
        self.deadline: int | None = None  # of T_SNP in SNP, T_MEM in WB, RD, WR, WACK, WBP
        self.ack_deadline: int | None = None  # of T_CACK in ACK, WACK

    @property
    def r(self) -> int:
        """NID of the requester; NO_NODE where no request is behind the transaction."""
        return NO_NODE if self.op in ("", "Recall") else self.request.src

    @property
    def holders(self) -> Holders:
        """Directory entry of the line."""
        return self.home.directory.of(self.line)


def last(t: Transaction) -> str:
    """P - q is empty."""
    return yes(not t.pending - {t.q})


def poison(t: Transaction) -> str:
    """POISON of the memory data or of the request's operand."""
    return yes(t.mem[1] or bool(t.request.poison))


def may(t: Transaction) -> str:
    """Return whether r has the right W at the line now. Only a ReadShared is granted less without it."""
    return yes(t.op != "ReadShared" or t.home.may(t.request))


GUARDS: Final[Mapping[str, Callable[[Transaction], str]]] = {
    "dir": lambda t: t.holders.dir,
    "who": lambda t: "listed" if t.r in t.holders.nids else "none",
    "others": lambda t: yes(bool(t.holders.nids - {t.r})),
    "op": lambda t: t.op,
    "snp": lambda t: SNOOP_KINDS[t.snp],
    "pend": lambda t: yes(t.q in t.pending),
    "last": last,
    "qdir": lambda t: t.holders.role(t.q),
    "qisr": lambda t: yes(t.q == t.r),
    "buf": lambda t: t.buf_kind,
    "due": lambda t: yes(t.due),
    "hand": lambda t: yes(t.home.hand(t.r)),
    "may": may,
    "poison": poison,
    "match": lambda t: yes(t.matches),
}
