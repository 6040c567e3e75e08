"""READY at both ends of a port: what a device withholds, and what a boot master refuses (HSL 5.15.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hsl._generated.constants import GRANULE_BYTES, Op, Register
from hsl._generated.layouts import READY_D0
from hsl.codec.message import Message
from hsl.engine.config import Boot
from hsl.engine.gate import ASKING, Gate

__all__ = ["Readiness"]

GIVING_BACK: Final = frozenset({Op.Evict, Op.WbFull})  # of copies that a device still holds
AT_BOOT: Final = frozenset({Op.CfgRead, Op.CfgWrite, Op.MgmtMsg})


class Readiness:
    """The part of a node in a boot: it bars its gates, and opens them."""

    def __init__(self, boot: Boot, gates: Sequence[Gate]) -> None:
        self._boot = boot
        self._gates = gates
        self.ready = boot is not Boot.DEVICE

    def opened(self, gate: Gate) -> None:
        """A session begins: a boot master hears no request before it has made the device READY."""
        gate.barred = self._boot is Boot.MASTER or not self.ready
        gate.refuses = self._boot is Boot.MASTER

    def change(self, ready: bool) -> None:
        """READY of this node was written, or has fallen."""
        if self._boot is Boot.DEVICE:
            self.ready = ready
            for gate in self._gates:
                gate.barred = not ready

    def withholds(self, message: Message, gate: Gate) -> bool:
        """True if a message must not leave by a gate that is barred. [HSL-BOT-006, HSL-BOT-008].

        A CfgWrite of a boot master that makes the device READY opens the gate for what the device asks.
        """
        if message.vc not in ASKING:
            return False
        if self._boot is Boot.DEVICE:
            return message.op not in GIVING_BACK
        if makes_ready(message):
            gate.barred = gate.refuses = False
        return gate.barred and message.op not in AT_BOOT


def makes_ready(message: Message) -> bool:
    """True if a message writes 1 to ON of the register READY."""
    at = Register.READY - message.addr
    if message.op != Op.CfgWrite or not 0 <= at < len(message.data):
        return False
    return bool(READY_D0.parse(message.data[at : at + GRANULE_BYTES])["on"])
