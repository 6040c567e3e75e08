"""The events of the cache table that messages bring (HSL 5.5)."""

from __future__ import annotations

from typing import Final

from hsl._generated.constants import Err, Op, St, Vc
from hsl._generated.tables import OPCODES
from hsl.codec.message import Message

__all__ = ["DIAGNOSTIC", "HANDED_OVER", "SNOOPS", "completion"]

SNOOPS: Final = {int(op): op.name for op in Op if OPCODES[op].vc == Vc.SNP}
# Their answers are taken as they come, or a VIRAL node could not be diagnosed. HSL 6.1 [HSL-RAS-015]
DIAGNOSTIC: Final = frozenset({Op.CfgRead, Op.MgmtMsg})
HANDED_OVER: Final = "CmpData_M"
COMPLETIONS: Final = {(int(op), int(st)): f"{op.name}_{st.name}" for op in (Op.Cmp, Op.CmpData) for st in St}
ERRORS: Final = {int(Err.BUSY): "Cmp_BUSY"}  # of completions with ERR, but for Cmp_ERR


def completion(message: Message) -> str | None:
    """Return the event of a Cmp or CmpData, None for a state that it cannot grant."""
    if message.err:
        return ERRORS.get(message.err, "Cmp_ERR")
    return COMPLETIONS.get((message.op, message.st))
