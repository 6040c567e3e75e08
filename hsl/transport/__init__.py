"""Bindings: how whole flits travel over something that is no PHY (HSL 3.9)."""

from hsl.transport.base import Address, Device, Place, parse_uri
from hsl.transport.faults import Fault, FaultInjector, FaultKind, FaultPlan
from hsl.transport.loopback import Loopback, Wire

__all__ = [
    "Address",
    "Device",
    "Fault",
    "FaultInjector",
    "FaultKind",
    "FaultPlan",
    "Loopback",
    "Place",
    "Wire",
    "parse_uri",
]
