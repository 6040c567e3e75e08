"""Bindings: whole flits over memory, sockets and datagrams instead of a PHY (HSL 3.9)."""

from hsl.transport.base import Address, Device, Place, parse_uri
from hsl.transport.faults import KINDS, Fault, FaultInjector, FaultKind, FaultPlan, Outcome
from hsl.transport.loopback import Loopback, Wire

__all__ = [
    "KINDS",
    "Address",
    "Device",
    "Fault",
    "FaultInjector",
    "FaultKind",
    "FaultPlan",
    "Loopback",
    "Outcome",
    "Place",
    "Wire",
    "parse_uri",
]
