"""Two nodes for tests of translation: IOMMU at one, translation cache at the other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hsl._generated.constants import Err, Feature, Op, St
from hsl._generated.layouts import INVALIDATE_D0, PAGE_RESPONSE_D0, TRANSLATION_D0
from hsl.agents.access import Access, Perm
from hsl.agents.atc import Atc, AtcConfig, Translated
from hsl.agents.io import IoConfig
from hsl.agents.iommu import Iommu
from hsl.codec.message import Message
from hsl.engine.node import Node
from tests.engine.wires import MAP, Peer, Wire, node

FEATURES = int(Feature.ATS | Feature.PRI)
CPU_IO, CPU_CORE, GPU_IO, GPU_AGENT = 1, 2, 17, 18
PASID = 0x12345
VA = 0xFFFF_8000_0000_0000  # a high one: all 64 bits count
PAGE_OF_VA = VA >> 12
RW = Perm.R | Perm.W
DATA = b"datadata"


def device(**atc: Any) -> Node:
    """A GPU node whose agent 18 translates at node 1."""
    config = node(16, features=FEATURES).config
    return Node(replace(config, atc=AtcConfig(**({"agent": GPU_AGENT, "iommu": CPU_IO} | atc))))


class System:
    """A CPU node with an IOMMU and a device on a wire."""

    def __init__(self, queue: int = 64, **atc: Any) -> None:
        self.iommu = Iommu(queue)
        config = node(0, features=FEATURES).config
        self.cpu = Node(replace(config, io=IoConfig(nid=CPU_IO, address_map=MAP, iommu=self.iommu)))
        self.gpu = device(**atc)
        self.wire = Wire(self.cpu, self.gpu)
        self.wire.connect()

    @property
    def atc(self) -> Atc:
        assert self.gpu.atc is not None
        return self.gpu.atc

    def begin(self, kind: str, va: int, data: bytes = b"", **fields: Any) -> Translated:
        values: dict[str, Any] = {"size": len(data) or 8, "data": data} | fields
        return self.atc.access(PASID, Access(kind, va, **values), self.wire.now)

    def do(self, kind: str, va: int, data: bytes = b"", **fields: Any) -> Translated:
        access = self.begin(kind, va, data, **fields)
        self.wire.run(lambda: access.done)
        return access

    def tell(self, kind: str, page: int, data: bytes, pasid: int = PASID) -> Err:
        """The CPU's software sends a TransInv or PageRsp to the device."""
        access = Access(kind, page, data=data, dst=GPU_IO, pasid=pasid)
        ticket = self.cpu.submit(CPU_CORE, access, self.wire.now)
        self.wire.finish(ticket)
        return ticket.err

    def host(self, addr: int) -> bytes:
        ticket = self.cpu.load(CPU_CORE, addr, 8, self.wire.now)
        self.wire.finish(ticket)
        return ticket.result()

    def asked(self) -> int:
        assert self.cpu.io is not None
        return self.cpu.io.counters["TransReq"]


def invalidate(size: int = 0, every: int = 0) -> bytes:
    return bytes(INVALIDATE_D0.build({"size": size, "all": every}))


class Scripted:
    """A device that a bare peer plays the host of."""

    def __init__(self, **atc: Any) -> None:
        self.gpu = device(**atc)
        self.peer = Peer(0, features=FEATURES)
        self.wire = Wire(self.gpu, self.peer)
        self.wire.connect()
        assert self.gpu.atc is not None
        self.atc = self.gpu.atc

    def rest(self) -> None:
        for _ in range(30):
            self.wire.step()

    def begin(self, kind: str = "load", va: int = VA) -> Translated:
        data = b"" if kind == "load" else DATA
        access = self.atc.access(PASID, Access(kind, va, 8, data), self.wire.now)
        self.rest()
        return access

    def took(self, op: Op) -> Message:
        (message,) = self.peer.took(op)
        return message

    def translate(self, pa: int, perms: Perm = RW, size: int = 0, shared: bool = False) -> None:
        """Answer the one TransReq."""
        request = self.took(Op.TransReq)
        assert (request.dom << 8 | request.x & 0xFF, request.addr) == (PASID, PAGE_OF_VA)
        word = TRANSLATION_D0.build(
            {"pa": pa >> 12, "perms": int(perms), "size": size, "global": int(shared)}
        )
        self.say(Op.CmpData, CPU_IO, request.src, txn=request.txn, len=1, data=word.ljust(16, b"\0"))

    def say(self, op: int, src: int, dst: int, **fields: Any) -> None:
        self.peer.send(op, src, dst, **fields)
        self.rest()

    def finish(self, read: Message) -> None:
        """Complete a ReadShared, or a ReadUnique."""
        st = St.S if read.op == Op.ReadShared else St.E
        self.say(Op.CmpData, 0, read.src, txn=read.txn, st=st, len=3, data=bytes(64))

    def refuse(self) -> None:
        """Answer the one TransReq with a fault."""
        request = self.took(Op.TransReq)
        self.say(Op.Cmp, CPU_IO, request.src, txn=request.txn, err=Err.ACCESS)

    def respond(self, request: Message, code: int) -> None:
        """Send the PageRsp of a PageReq."""
        group = int.from_bytes(request.data, "little") & 0x1FF
        data = PAGE_RESPONSE_D0.build({"group": group, "code": code})
        self.say(Op.PageRsp, CPU_IO, GPU_IO, txn=8, x=request.x & 0xFF, dom=request.dom, data=data)

    def invalidate(self, pasid: int = PASID, page: int = PAGE_OF_VA) -> None:
        x, dom = pasid & 0xFF, pasid >> 8
        self.say(Op.TransInv, CPU_IO, GPU_IO, txn=9, addr=page, x=x, dom=dom, data=invalidate())

    def invalidated(self) -> bool:
        return any(m.src == GPU_IO and m.txn == 9 for m in self.peer.took(Op.Cmp))
