"""The node of an attached device: a cache, a register page, and perhaps memory (HSL A.1)."""

from __future__ import annotations

import secrets
from typing import Any, Final

from hsl._generated.constants import NodeClass, SamType
from hsl.agents.address_map import PAGE_BYTES, AddressMap
from hsl.agents.atomics import PERFORMED
from hsl.agents.home import HomeConfig
from hsl.agents.identity import Product
from hsl.agents.io import IoConfig
from hsl.agents.memory import Memory
from hsl.agents.ranges import NodeRange
from hsl.agents.request_config import RequestConfig
from hsl.attached.settings import Settings
from hsl.emulator.timers import TransactionTimers
from hsl.emulator.topology import GPU_AGENT, GPU_HOME, GPU_IO, GUID, NODE_NIDS
from hsl.engine.config import Boot, NodeConfig
from hsl.engine.node import Node
from hsl.engine.select import choose
from hsl.link.config import PortConfig

__all__ = ["device_node"]

NAME: Final = "gpu"  # in captures, as the CPU names its only device
MSHRS: Final = 64  # coherent requests outstanding at a time
EPOCH_BITS: Final = 32
# Each attached device is one of its own: two of one GUID would pass for one that began anew, whose copies are
# gone (6.2 F4). The emulated nodes have low numbers.
NUMBER_BITS: Final = 31
ATTACHED_GUID: Final = GUID + (1 << NUMBER_BITS)


def device_node(settings: Settings) -> Node:
    """Return the node of a device, with the agents and the timers of an emulated GPU of the same TU."""
    address_map, timers, tu = AddressMap([]), TransactionTimers(settings.tu), 1 << settings.tu
    first = settings.nid
    page = NodeRange(size=PAGE_BYTES, types=frozenset({SamType.MMIO}), home=first + GPU_IO)
    parts: dict[str, Any] = {"ranges": [page]}
    if size := settings.memory_bytes:
        home, memory = first + GPU_HOME, Memory(None, size)
        own = NodeRange(size=size, types=frozenset({SamType.HDM_D}), home=home, place=memory.place)
        config = HomeConfig(nid=home, address_map=address_map, tu=tu, timers=timers.home)
        parts = {"ranges": [own, page], "homes": [(config, memory)]}
    agent = RequestConfig(
        nid=first + GPU_AGENT,
        address_map=address_map,
        sets=settings.sets,
        ways=settings.ways,
        mshrs=MSHRS,
        tu=tu,
        t_req=timers.request,
        t_transaction=timers.transaction,
    )
    product = Product(node_class=NodeClass.GPU)
    parts |= {
        "name": NAME,
        "boot": Boot.DEVICE,
        "agents": [agent],
        "io": IoConfig(nid=first + GPU_IO, address_map=address_map, product=product),
    }
    port = PortConfig(
        guid=ATTACHED_GUID + secrets.randbits(NUMBER_BITS),
        roles=NodeConfig(**parts).roles,
        nid_base=first,
        nid_count=NODE_NIDS,
        epoch=lambda: secrets.randbits(EPOCH_BITS),
        tu_exp=settings.tu,
        codec=choose("codec", None),
        atomics=PERFORMED,
    )
    return Node(NodeConfig(ports=[port], **parts))
