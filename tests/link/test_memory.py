"""The memory of a port is bounded: each container it has is in the table, and is filled to its cap here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from hsl._generated.constants import CTL_REPEATS, ErrorCode, FlitType, LinkState, Op, Vc
from hsl._generated.tables import LINK_ROWS
from hsl.codec.flit import Flit
from hsl.codec.message import Message
from hsl.link import PortConfig
from hsl.link.epoch import ReceiveEpoch, TransmitEpoch
from hsl.link.port import EVENT_CAP, Port
from hsl.link.timers import TIMER_ORDER
from hsl.verify.link_coverage import LEGAL
from tests.link import cells
from tests.link.cells import FRAMES, PEER, Scene, nothing, silent
from tests.link.pair import OF_VC, TU, config, message

up = partial(cells.up, vc_mask=0xFE)  # every VC is served
VCS = len(Vc) + 1  # index 0 is not used
Cap = Callable[[PortConfig], int]
# Container -> the most that is ever in it. Those with a fixed set of keys are bounded by that.
CAPS: dict[str, Cap] = {
    **{f"Credits.{name}": lambda c: VCS for name in ("advertised", "available", "granted", "held")},
    **{f"Credits.{name}": lambda c: VCS for name in ("outstanding", "returnable", "threshold")},
    **{f"Port.{name}": lambda c: VCS for name in ("credit_waits", "credits_received", "credits_sent")},
    **{f"Port.{name}": lambda c: 256 for name in ("messages_received", "messages_sent")},  # opcodes
    **{f"LinkCounters.{name}": lambda c: 8 for name in ("flits_received", "flits_sent")},  # flit types
    "LinkCounters.errors": lambda c: len(ErrorCode),
    "Link.coverage": lambda c: len(LINK_ROWS) * len(LinkState),
    "Link.due": lambda c: 10,  # items of TRANSMIT_ORDER that are CTL and not of the bond
    "Link.urgent": lambda c: CTL_REPEATS,
    "Bond.due": lambda c: 3,  # BOND items
    "Loss._pairs": lambda c: c.links,
    "Loss._ended": lambda c: c.links,
    "Port.links": lambda c: c.links,
    "Lanes._queues": lambda c: len(Vc) + 1,
    "Lanes._queues[]": lambda c: c.queue_cap,
    "Port._delivered": lambda c: sum(c.advertised(c.vc_mask)),
    "Port._events": lambda c: EVENT_CAP,
    "PortConfig.credits": lambda c: len(Vc),
    "ReplaySender.buffer": lambda c: c.window,
    "ReplaySender.labels": lambda c: c.window,
    "ReceiveEpoch._count": lambda c: 8,
    "ReceiveEpoch._merged": lambda c: 8,
    "ReceiveEpoch.frozen": lambda c: c.links - 1,
    "ReceiveEpoch.held": lambda c: c.links * (c.links - 1) // 2 * (c.window + 1),
    "TransmitEpoch.lost": lambda c: c.links - 1,
    "TransmitEpoch.resend": lambda c: (c.links - 1) * c.window,
    "TimerSet.running": lambda c: len(TIMER_ORDER),
    "Unpacker._fields": lambda c: 17,  # of a message
}


def containers(thing: Any, seen: set[int] | None = None) -> Iterator[tuple[str, int]]:
    """The name and length of every container that is reached from `thing` through objects of hsl."""
    seen = set() if seen is None else seen
    if id(thing) in seen:
        return
    seen.add(id(thing))
    names = set(getattr(thing, "__dict__", ()))
    names.update(*(getattr(kind, "__slots__", ()) for kind in type(thing).__mro__))
    for name in names:
        value = getattr(thing, name, None)
        key = f"{type(thing).__name__}.{name}"
        inner = [value]
        if isinstance(value, list | dict | deque | set):
            yield key, len(value)
            inner = list(value.values()) if isinstance(value, dict) else list(value)
        for each in inner:
            if isinstance(each, deque) and each is not value:
                yield f"{key}[]", len(each)
            if type(each).__module__.startswith("hsl.") and not isinstance(each, tuple):
                yield from containers(each, seen)


def fullest(port: Port) -> dict[str, int]:
    """The longest container of each name."""
    found: dict[str, int] = {}
    for name, length in containers(port):
        found[name] = max(length, found.get(name, 0))
    return found


def flood(scene: Scene, port: Port, count: int) -> None:
    """Queue messages on all VCs while there is room."""
    for number in range(count):
        for op in OF_VC.values():
            if port.room(op >> 5):
                port.send(message(op, number % 4096))


def replay_buffer() -> Scene:
    """The peer says nothing any more."""
    scene = silent(up(window=511, credits=dict.fromkeys(Vc, 1000)))
    scene.call(lambda _: flood(scene, scene.dut.port, 600))
    scene.wait(32 * TU)
    return scene


def queues() -> Scene:
    scene = silent(up(queue_cap=50))
    scene.call(lambda _: flood(scene, scene.dut.port, 200))
    scene.wait(16 * TU)
    scene.call(lambda _: flood(scene, scene.dut.port, 200))
    scene.wait(1)
    return scene


def delivered() -> Scene:
    """The owner takes nothing, the peer sends what its credits allow."""
    scene = up()
    scene.devices[0].taking = False
    scene.call(lambda _: flood(scene, scene.peer.port, 100), PEER)
    scene.wait(64 * TU)
    scene.call(lambda _: scene.peer.port.send(Message(Op.TransReq, 1, 17, len=1)), PEER)  # by the last credit
    scene.wait(64 * TU)
    return scene


def farewell() -> Scene:
    """The port is dead before its line is free."""
    scene = silent(up())
    scene.loopback.lanes[next(iter(scene.loopback.lanes))].free_ps = 1 << 60
    scene.call(lambda now: scene.dut.port.fatal(ErrorCode.MALFORMED, now))
    scene.call(scene.dut.port.disable)
    scene.wait(TU)
    return scene


def reorder_space() -> Scene:
    """The peer's link 0 loses all; links 1 and 2 take what the window lets through, and one more each."""
    scene = up(links=3, window=8, credits=dict.fromkeys(Vc, 1000))
    scene.peer.allow_on[0] = nothing
    scene.call(lambda _: flood(scene, scene.peer.port, 100), PEER)
    scene.wait(4 * TU)
    for index in (1, 2):
        scene.give(prot, index)
    scene.wait(4 * TU)
    return scene


def prot(link: Any) -> bytes:
    return FRAMES["PROT_in_sequence"](link)


def lost_links() -> Scene:
    """Two of three links lose all that the port sends, then the links themselves."""
    scene = up(links=3, window=8, credits=dict.fromkeys(Vc, 1000))
    scene.dut.allow_on = {1: nothing, 2: nothing}
    scene.call(lambda _: flood(scene, scene.dut.port, 100))
    scene.wait(2 * TU)
    for index in (1, 2):
        scene.call(partial(scene.dut.port.disable_link, index))
    scene.wait(1)
    return scene


FULL: dict[str, tuple[Callable[[], Scene], tuple[str, ...]]] = {
    "window": (replay_buffer, ("ReplaySender.buffer", "ReplaySender.labels")),
    "queue_cap": (queues, ("Lanes._queues[]",)),
    "credits": (delivered, ("Port._delivered",)),
    "CTL_REPEATS": (farewell, ("Link.urgent",)),
    "links": (lost_links, ("TransmitEpoch.lost", "ReceiveEpoch.frozen")),
}


def test_every_container_has_a_cap() -> None:
    """No container of a port, its links and its bond is missing in the table, and none is made up."""
    assert set(fullest(up(links=2).dut.port)) == set(CAPS)


@pytest.mark.parametrize("limit", FULL)
def test_full(limit: str) -> None:
    """A peer, an owner or a line that does its worst fills a container to its cap, and none beyond."""
    make, names = FULL[limit]
    scene = make()
    found = fullest(scene.dut.port)
    settings = scene.dut.port.config
    assert {name: found[name] for name in names} == {name: CAPS[name](settings) for name in names}
    assert [name for name, length in found.items() if length > CAPS[name](settings)] == []


def test_merge_space_of_an_epoch() -> None:
    """While one of three links stalls, the two others fill window + 1 places each."""
    found = fullest(reorder_space().dut.port)
    assert found["ReceiveEpoch.held"] == 2 * (8 + 1)


@pytest.mark.parametrize(("links", "window"), [(2, 8), (3, 8), (8, 511)])
def test_merge_space_of_all_epochs(links: int, window: int) -> None:
    """The worst peer leaves the merge point to the lowest link of each epoch, which dies: no more fits then.

    What all epochs leave is merged when the last link brings what is missing.
    """
    epoch = ReceiveEpoch((1 << links) - 1)
    flit = Flit("L64", FlitType.PROT)
    for lowest in range(links - 1):
        for link in range(lowest + 1, links):
            assert [epoch.accept(link, flit, b"", window) for _ in range(window + 1)] == [""] * (window + 1)
            assert "whose turn was skipped" in epoch.accept(link, flit, b"", window)
        assert epoch.pop() is None
        start = max(epoch.held) + 1
        mask = (1 << links) - (2 << lowest)
        assert epoch.resume(mask, start - len(epoch.held), start) == ""
    most = links * (links - 1) // 2 * (window + 1)
    assert len(epoch.held) == most
    last = links - 1
    while epoch.held:
        assert epoch.accept(last, flit, b"", window) == ""
        while epoch.pop() is not None:
            pass
        assert len(epoch.held) <= most


def test_missing_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The missing list of an epoch is at most what the windows of the lost links hold."""
    lengths = []
    install = TransmitEpoch.install

    def installed(epoch: TransmitEpoch, resume: Any) -> None:
        install(epoch, resume)
        lengths.append(len(epoch.resend))

    monkeypatch.setattr(TransmitEpoch, "install", installed)
    scene = lost_links()
    scene.wait(64 * TU)
    assert max(lengths) == CAPS["TransmitEpoch.resend"](scene.dut.port.config)
    assert scene.dut.port.alive == 1


def test_events() -> None:
    """Events that nobody fetches are kept up to their cap, and counted beyond it."""
    port = Port(config(1))
    port.enable(0)
    port.pal_up(0, 0)
    for now in range(EVENT_CAP + 100):
        port.receive(0, b"noise", now)
    assert fullest(port)["Port._events"] == EVENT_CAP
    assert port.events_dropped >= 100


def test_counters() -> None:
    """A cell, an error or an opcode that comes again makes no container grow."""
    scene = silent(up())
    for _ in range(3):
        scene.give(prot)
        scene.give(lambda link: b"noise" * 20)
        scene.wait(TU)
    before = fullest(scene.dut.port)
    for _ in range(50):
        scene.give(prot)
        scene.give(lambda link: b"noise" * 20)
    scene.wait(TU)
    after = fullest(scene.dut.port)
    assert {name: after[name] for name in before if after[name] > before[name]} == {}
    assert len(LEGAL) < CAPS["Link.coverage"](scene.dut.port.config)
    assert Op.Cmp < CAPS["Port.messages_sent"](scene.dut.port.config)
