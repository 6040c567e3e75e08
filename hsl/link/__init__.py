"""The link layer, reference engine: ports, links, credits and go-back-N (HSL chapter 3). Sans-I/O."""

from hsl.link.config import CapsResult, PortConfig
from hsl.link.events import (
    ErrorLogged,
    Event,
    FatalReceived,
    LinkCounters,
    LinkDown,
    LinkUp,
    RetrainAsked,
    StateChanged,
)
from hsl.link.port import Port

__all__ = [
    "CapsResult",
    "ErrorLogged",
    "Event",
    "FatalReceived",
    "LinkCounters",
    "LinkDown",
    "LinkUp",
    "Port",
    "PortConfig",
    "RetrainAsked",
    "StateChanged",
]
