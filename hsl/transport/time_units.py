"""The time units that work on a transport (HSL 3.1)."""

from __future__ import annotations

from typing import Final

from hsl._generated.constants import MAX_TU_EXP, TIMERS
from hsl.errors import ConfigError

__all__ = ["HANDSHAKE_TU", "LOSS_TU", "TU_RANGES", "check_tu"]

# What a connecting side gives the handshake, in slow TU: CONFIG and INIT may each take T_STATE.
HANDSHAKE_TU: Final = 2 * TIMERS["T_STATE"].tu
# What it gives a peer that says HELLO beside: it may have lost another device, and waits for proof (6.2 F4).
LOSS_TU: Final = TIMERS["T_LOSS"].tu
# By transport, the exponents n of TU = 2^n ns with which a link comes up and ends in a time that a person
# waits for, and why others do not work.
TU_RANGES: Final = {
    "loopback": (0, MAX_TU_EXP),  # virtual time: nobody waits for it
    "sockets": (18, 24),  # T_REPLAY of 17 ms, and 2 s of rest at the end
}
TOO_SHORT: Final = "timers of the link would expire before the peer, a Python process, can answer"
TOO_LONG: Final = "the end of a run waits for 128 TU, and a lost peer is noticed after 4096 TU"


def check_tu(exponent: int, *, on_sockets: bool) -> None:
    """Raise ConfigError for a time unit with which no run on this transport ends."""
    where = "sockets" if on_sockets else "loopback"
    least, most = TU_RANGES[where]
    if not least <= exponent <= most:
        why = TOO_SHORT if exponent < least else TOO_LONG
        raise ConfigError(f"tu {exponent}: {why}; expected {least} to {most} on {where}")
