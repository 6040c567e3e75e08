"""The parts and the limits of a request agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hsl._generated.constants import MAX_NID, MAX_TXN, N_REQ_LOSS, TIMERS, TU_EXPONENT_SOFTWARE, AtomicClass
from hsl.agents.address_map import AddressMap
from hsl.errors import ConfigError

__all__ = ["MAX_PENDING", "RequestConfig"]

MAX_PENDING: Final = 1 << 16  # accesses taken and not collected: a ticket is some 200 bytes, so 16 MB at most


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestConfig:
    """A request agent: a cache and its outstanding requests. HSL 5.5.

    Attributes:
        nid: its node identifier
        address_map: the AddressMap by which it finds homes
        sets: sets of its cache
        ways: lines of 64 bytes in a set
        mshrs: coherent requests outstanding at a time
        ncrs: NCR requests outstanding at one target
        pending: accesses taken whose tickets `completions` has not returned
        max_txn: requests under way at a node that no port has negotiated with
        atomics: AtomicClass bits of a node that no port has negotiated with
        tu: the slow TU in ns (3.1)
        t_req: T_REQ in ns; None takes that of the profile in units of `tu` (5.11)
        t_transaction: T_SNP + 4 T_MEM + T_CACK of the homes in ns, where they are not those of the profile:
            T_REQ is longer than that and 2 T_LOSS, whatever `t_req` is (5.11)

    Raises ConfigError for `nid`, `mshrs`, `ncrs`, `pending` or `max_txn` outside its range. A Node raises it
    for `sets` and `ways`.

    """

    nid: int
    address_map: AddressMap
    sets: int = 64
    ways: int = 8
    mshrs: int = 16
    ncrs: int = 16
    pending: int = 4096
    max_txn: int = MAX_TXN
    atomics: int = AtomicClass.INT
    tu: int = 1 << TU_EXPONENT_SOFTWARE
    t_req: int | None = None
    t_transaction: int | None = None

    def __post_init__(self) -> None:
        limits = (
            ("nid", self.nid, 0, MAX_NID),
            ("mshrs", self.mshrs, 1, MAX_TXN),
            ("ncrs", self.ncrs, 1, MAX_TXN),
            ("pending", self.pending, 1, MAX_PENDING),
            ("max_txn", self.max_txn, 1, MAX_TXN),
        )
        for name, value, least, most in limits:
            if not least <= value <= most:
                raise ConfigError(f"request agent: {name} = {value}; expected {least}..{most}")

    def request_time(self, tu: int) -> int:
        """T_REQ in ns, for slow time units of `tu` ns. HSL 5.11 [HSL-LNK-055]."""
        t_req = TIMERS["T_REQ"].tu * tu if self.t_req is None else self.t_req
        if self.t_transaction is None:
            return t_req
        return max(t_req, self.t_transaction + N_REQ_LOSS * TIMERS["T_LOSS"].tu * tu + 1)
