"""What a home judges before its table: the checks of a request, and what a VIRAL port does to an answer."""

from __future__ import annotations

from typing import Final

from hsl._generated.constants import Err, Op, Right, St
from hsl._generated.tables import OPCODES
from hsl.agents.address_map import AddressMap
from hsl.agents.memory_leg import GONE, LINE_LEN
from hsl.agents.transaction import Transaction
from hsl.codec.checks import Negotiated, check_request
from hsl.codec.message import Message

__all__ = ["distrusted", "refusal"]

RIGHTS: Final = {code: sum(Right[name] for name in info.right) for code, info in OPCODES.items()}
KEPT: Final = frozenset({Op.Evict, Op.WbFull})  # what a holder gives back is never refused (5.4 T14)


def refusal(message: Message, home: int, address_map: AddressMap, port: Negotiated, viral: bool) -> Err:
    """The ERR with which a home ends a request, the first check that applies; OK for none. HSL 5.4 T15.

    Args:
        message: the request
        home: NID of the home
        address_map: the map of its node
        port: what is negotiated with the port of the requester
        viral: that port shows VIRAL

    """
    entry = address_map.lookup(message.addr)
    if entry is None or not entry.coherent:
        return Err.DECODE  # HSL 5.4 T15 [HSL-TXN-004]
    if entry.home_of(message.addr) != home and not entry.quiesced:
        return Err.DECODE
    if err := check_request(message, port):
        return err
    if RIGHTS[message.op] & ~int(address_map.rights(message.addr, message.src, message.dom)):
        return Err.ACCESS
    if entry.quiesced and message.op not in KEPT:
        return Err.BUSY  # HSL 5.1.4 [HSL-COH-055, HSL-COH-056]
    refused = viral and message.op not in KEPT  # HSL 6.1 [HSL-RAS-005]
    return Err.DATA if refused else Err.OK


def distrusted(message: Message, t: Transaction | None) -> Message:
    """An answer that came over a VIRAL port: data are poison, and an owner without data has lost them.

    `t` is the transaction whose snoop a SnpRsp answers. HSL 5.4 T14, 6.1 [HSL-RAS-013, HSL-RAS-016].
    """
    if t is None or t.holders.role(message.src) != "owner" or message.src not in t.pending:
        return message._replace(poison=1) if message.data else message
    kept = message.st if t.snp != "SnpCur" else St.M if message.st in (St.I, St.E) else St.I
    return message._replace(op=Op.SnpRspData, st=kept, len=LINE_LEN, data=GONE[0], poison=1)
