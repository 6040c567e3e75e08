"""Scenes for the cells of the link table: a port in a state, reached over the loopback by bytes and time.

The port under test has a real port as its peer. What the peer sends can be held back (`allow`), and frames
of any content can be put on its line as if it had sent them (`give`). Nothing here calls a link.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from hsl._generated.constants import CtlOp, ErrorCode, FlitType, LinkState, Power
from hsl.codec.ctl import decode_ctl
from hsl.codec.flit import Flit, flit_type
from hsl.codec.message import Message
from hsl.codec.reference import encode_flit
from hsl.link import Event, PortConfig, StateChanged
from hsl.link.config import negotiate
from hsl.link.link import Link
from hsl.transport import Loopback, Place, Wire
from hsl.verify.endpoint import PortCore
from tests.link.pair import TU, config, decode
from tests.link.test_state import FLITS, NO_MEM, ctl, hello

DUT, PEER = Place(0), Place(1)
OTHER_EPOCH = 7  # of a HELLO that lets the port in DETECT know a peer
LIMIT = 6000 * TU  # beyond T_STATE


def malformed(link: Link) -> bytes:
    """A PROT in sequence whose first granule is on no VC."""
    ack = (link.tx.next - 1) % 1024
    return encode_flit(Flit("L64", FlitType.PROT, 0, link.rx.exp, ack, payload=b"\1" + bytes(55)))


def power_caps(link: Link, seen: bool) -> bytes:
    """CAPS of a peer that offers L1."""
    record = config(2, power=int(Power.L1), links=len(link.port.links)).record()
    cfg_hash = negotiate(link.record, 1, record, 2).cfg_hash if seen else 0
    return ctl(link, CtlOp.CAPS, {"record": record, "cfg_hash": cfg_hash}, seen=seen)


# A frame for each received event, as the peer of a link that has negotiated L1 sends it.
FRAMES: dict[str, Callable[[Link], bytes]] = FLITS | {
    "merge_fatal": malformed,
    "PM_REQ_idle": lambda link: ctl(link, CtlOp.PM_REQ, {"level": 1, "tag": 3}),
    "PM_ACK_open": lambda link: ctl(link, CtlOp.PM_ACK, {"level": 1, "tag": link.tag}),
    "CAPS_unseen": lambda link: power_caps(link, seen=False),
    "CAPS_seen": lambda link: power_caps(link, seen=True),
}


def nothing(data: bytes) -> bool:
    return False


def everything(data: bytes) -> bool:
    return True


def only(*ops: CtlOp) -> Callable[[bytes], bool]:
    """CTL flits of these opcodes."""
    return lambda data: flit_type(data) == FlitType.CTL and decode_ctl(decode(data).payload).op in ops


class CellCore(PortCore):
    """A port whose flits may be held back, and whose line takes frames of any content."""

    def __init__(self, name: str, settings: PortConfig) -> None:
        super().__init__(name, settings)
        self.allow: Callable[[bytes], bool] = everything
        self.allow_on: dict[int, Callable[[bytes], bool]] = {}  # of one link, instead
        self.frames: deque[tuple[int, bytes]] = deque()

    def transmit(self, now: int, ready: Callable[[int, int], bool]) -> Iterator[tuple[int, int, bytes]]:
        while self.frames and ready(0, self.frames[0][0]):
            yield 0, *self.frames.popleft()
        for port, link, data in super().transmit(now, ready):
            if self.allow_on.get(link, self.allow)(data):
                yield port, link, data


class CellDevice:
    """Takes messages while `taking`, and keeps their credits while `keeping`."""

    quiescing = False
    started = True
    finished = True

    def __init__(self, name: str, settings: PortConfig) -> None:
        self.node = CellCore(name, settings)
        self.got: list[Message] = []
        self.taking, self.keeping = True, False

    def advance(self, now: int) -> None:
        for message in self.node.port.messages() if self.taking else ():
            self.got.append(message)
            if not self.keeping:
                self.node.port.release(message.vc)

    def next_deadline(self) -> int | None:
        return self.node.port.next_deadline()


class Scene:
    """Two ports on a loopback; link `index` of the first is the one that is looked at."""

    def __init__(self, links: int = 1, index: int = 0, **changes: Any) -> None:
        self.index = index
        values = {"power": int(Power.L1), "links": links, "vc_mask": NO_MEM} | changes
        self.devices = (CellDevice("dut", config(1, **values)), CellDevice("peer", config(2, **values)))
        self.dut, self.peer = (device.node for device in self.devices)
        self.changes: list[StateChanged] = []
        wires = [Wire(DUT._replace(link=link), PEER._replace(link=link)) for link in range(links)]
        self.loopback = Loopback(self.devices, wires, observe=self._see)

    def _see(self, place: Place, event: Event) -> None:
        if place.device == DUT.device and isinstance(event, StateChanged) and event.link == self.index:
            self.changes.append(event)

    @property
    def link(self) -> Link:
        return self.dut.port.links[self.index]

    @property
    def state(self) -> LinkState:
        return self.link.state

    def run(self, until: Callable[[], bool], limit: int = LIMIT) -> bool:
        """Run until `until()`, for `limit` ns at most; whether it holds then."""
        if not self.loopback._started:
            self.loopback.start()
        end = self.loopback.now + limit
        self.loopback.call(end, DUT, lambda: None)  # so that time goes on where nothing happens
        while not until() and self.loopback.now < end:
            self.loopback.step()
        return until()

    def wait(self, ns: int) -> None:
        """Let time go on."""
        self.run(lambda: False, ns)

    def call(self, action: Callable[[int], Any], place: Place = DUT) -> None:
        """A local request, now."""
        self.loopback.call(self.loopback.now, place, lambda: action(self.loopback.now))

    def give(self, make: Callable[[Link], bytes], index: int | None = None) -> None:
        """A frame as if the peer had sent it, on the link or on another; made when it enters the line."""
        link = self.dut.port.links[self.index if index is None else index]
        self.call(lambda _: self.peer.frames.append((link.index, make(link))), PEER)


def up(**changes: Any) -> Scene:
    """Both ports up and quiet; from now on the peer says nothing."""
    scene = Scene(**changes)
    assert scene.run(lambda: scene.dut.port.up and scene.peer.port.up)
    assert scene.run(lambda: scene.dut.quiesced and scene.peer.quiesced)
    scene.wait(TU)
    return scene


def silent(scene: Scene) -> Scene:
    scene.peer.allow = nothing
    scene.wait(4 * TU)  # what is under way arrives
    return scene


def disabled(**changes: Any) -> Scene:
    scene = silent(up(**changes))
    scene.call(scene.dut.port.disable)
    return arrived(scene, LinkState.DISABLED)


def detect(**changes: Any) -> Scene:
    """After a session, so that its result is there; a HELLO has told the peer's EPOCH."""
    scene = silent(up(**changes))
    scene.call(scene.dut.port.down)
    arrived(scene, LinkState.DETECT)
    scene.wait(TU)  # link_down_done has been called
    scene.give(lambda link: hello(link, epoch=OTHER_EPOCH, peer=99, links=len(link.port.links)))
    assert scene.run(lambda: scene.link.peer == OTHER_EPOCH)
    return scene


def shaking(state: LinkState, seen: bool, **changes: Any) -> Scene:
    """CONFIG or INIT: the peer goes no further than it must."""
    ops = [CtlOp.HELLO] if state is LinkState.CONFIG else [CtlOp.HELLO, CtlOp.CAPS]
    scene = Scene(**changes)
    scene.peer.allow = only(*ops)
    arrived(scene, state)
    silent(scene)
    if seen:
        scene.give(FRAMES["CAPS_unseen" if state is LinkState.CONFIG else "INITFC_unseen"])
        assert scene.run(lambda: scene.link.seen)
    return scene


def recovery(**changes: Any) -> Scene:
    scene = silent(up(**changes))
    scene.call(scene.dut.port.retrain)
    return arrived(scene, LinkState.RECOVERY)


def asleep(held: bool = False, **changes: Any) -> Scene:
    """L1; `held`: with the credit of a message that was delivered."""
    scene = up(**changes)
    if held:
        hold_a_credit(scene)
    scene.call(scene.dut.port.pm_idle)
    assert scene.run(lambda: all(link.state is LinkState.L1 for link in scene.peer.port.links))
    arrived(scene, LinkState.L1)
    return silent(scene)


def dead(**changes: Any) -> Scene:
    scene = silent(up(**changes))
    scene.call(lambda now: scene.dut.port.fatal(ErrorCode.MALFORMED, now))
    return arrived(scene, LinkState.DEAD)


def hold_a_credit(scene: Scene) -> None:
    """A message of the peer has come and keeps its credit; both sides are quiet again."""
    scene.devices[0].keeping = True
    scene.call(lambda _: scene.peer.port.send(Message(0x80, src=17, dst=1)), PEER)
    assert scene.run(lambda: bool(scene.devices[0].got))
    scene.wait(16 * TU)


def arrived(scene: Scene, state: LinkState) -> Scene:
    assert scene.run(lambda: scene.state is state), (scene.state, state)
    return scene


# By state: how it is reached; `seen` is that of CONFIG and INIT, `changes` are of the configuration.
SCENES: dict[LinkState, Callable[..., Scene]] = {
    LinkState.DISABLED: lambda seen, **changes: disabled(**changes),
    LinkState.DETECT: lambda seen, **changes: detect(**changes),
    LinkState.CONFIG: lambda seen, **changes: shaking(LinkState.CONFIG, seen, **changes),
    LinkState.INIT: lambda seen, **changes: shaking(LinkState.INIT, seen, **changes),
    LinkState.ACTIVE: lambda seen, **changes: silent(up(**changes)),
    LinkState.RECOVERY: lambda seen, **changes: recovery(**changes),
    LinkState.L1: lambda seen, **changes: asleep(**changes),
    LinkState.DEAD: lambda seen, **changes: dead(**changes),
}
