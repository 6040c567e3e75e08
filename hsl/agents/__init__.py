"""The agents of the transaction layer: messages in, messages out, no clock and no sockets (HSL 5)."""

from hsl.agents.access import Access, Order, Ticket
from hsl.agents.address_map import AddressMap, SamEntry
from hsl.agents.home import HomeAgent, HomeConfig
from hsl.agents.io import IoAgent, IoConfig
from hsl.agents.memory import Memory
from hsl.agents.request import RequestAgent
from hsl.agents.request_config import RequestConfig

__all__ = [
    "Access",
    "AddressMap",
    "HomeAgent",
    "HomeConfig",
    "IoAgent",
    "IoConfig",
    "Memory",
    "Order",
    "RequestAgent",
    "RequestConfig",
    "SamEntry",
    "Ticket",
]
