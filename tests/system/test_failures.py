"""hsl.System: poison, lost links, and the end of a system."""

from __future__ import annotations

from pathlib import Path

import pytest

import hsl
from hsl.emulator import in_process, machine
from hsl.emulator.topology import Topology
from hsl.transport.base import Place


def test_atomic_of_poisoned_data() -> None:
    """An atomic on poisoned data is a PoisonError too, and leaves the data poisoned. HSL 6.1."""
    with hsl.System(faults="poison:x1") as s:
        with pytest.raises(hsl.PoisonError, match="ended with DATA"):
            s.gpu.atomic("add", 0x40, 1)
        with pytest.raises(hsl.PoisonError):
            s.gpu.load(0x40)
        s.gpu.store(0x40, bytes(64))
        assert s.gpu.atomic("add", 0x40, 1) == 0


def test_after_close(tmp_path: Path) -> None:
    """A closed system refuses accesses, time and captures, and still reports."""
    with hsl.System() as s:
        ticket = s.gpu.submit(hsl.Access("load", 0x40, 8))
    s.close()
    calls = (
        lambda: s.cpu.load(0),
        lambda: s.gpu.submit(hsl.Access("load", 0, 8)),
        lambda: s.run(1),
        lambda: s.capture(tmp_path / "x.pcapng"),
    )
    for call in calls:
        with pytest.raises(hsl.ClosedError, match="the system is closed"):
            call()
    assert s.wait(ticket) == [bytes(8)]
    assert s.report()["now_ns"] == s.now
    assert not (tmp_path / "x.pcapng").exists()


def test_closing_lets_accesses_end() -> None:
    """Closing injects no more faults, so that an access that is under way ends well."""
    with hsl.System(faults="drop@PROT:1") as s:
        ticket = s.gpu.submit(hsl.Access("load", 0x40, 8))
    assert s.wait(ticket) == [bytes(8)]


def test_poisoned_data() -> None:
    """A load of poisoned data is a PoisonError; the other lines can be read. HSL 6.1."""
    with hsl.System(faults="poison:x1") as s:
        with pytest.raises(hsl.PoisonError, match="load at 0x0 by node 19 read poisoned data"):
            s.gpu.load_many([0, 64])
        before = s.now
        assert s.gpu.load(64) == bytes(8)
        assert s.now == before  # the error came when all loads had ended
        s.gpu.flush(0, 128)


def test_an_error_does_not_hide_what_is_under_way() -> None:
    """wait() raises the first error when all its tickets have ended, and the same again at each call."""
    with hsl.System(faults="poison:x1") as s:
        tickets = [s.gpu.submit(hsl.Access("load", addr, 8)) for addr in (0, 64)]
        for _ in range(2):
            with pytest.raises(hsl.PoisonError, match="load at 0x0"):
                s.wait(*tickets)
            assert tickets[1].done
        assert s.wait(tickets[1]) == [bytes(8)]


def test_lost_link() -> None:
    """When the link is lost, accesses over it end with an error that says so; those of this side go on."""
    with hsl.System(faults="drop@PROT:1") as s:
        with pytest.raises(
            hsl.TransactionError, match=r"ended with UNREACH: (cpu|gpu): link down \("
        ) as caught:
            s.gpu.load(0x40)
        assert caught.value.code == hsl.Err.UNREACH
        assert s.gpu.load(s.gpu.memory.base) == bytes(8)


def test_the_first_loss_is_told() -> None:
    """The reason of a lost link is that of the first LinkDown, not of those that follow from it."""
    with hsl.System(2, device_bytes=1 << 16) as s:
        for device, cause in ((1, "first"), (2, "second")):
            s._machine._observe(Place(device), hsl.LinkDown(now=device, cause=cause))
        assert s._machine._loss == "gpu0: link down (first) at 1 ns"


def test_one_link_that_does_not_come_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system is refused when one link of several stays down."""
    dead = hsl.FaultPlan.parse("crc:1")

    def wires(topology: Topology, faults: hsl.FaultPlan) -> list[hsl.Wire]:
        first, *others = in_process.wires(topology, faults)
        return [first._replace(faults=(dead, dead)), *others]

    monkeypatch.setattr(machine, "wires", wires)
    with pytest.raises(hsl.LinkError, match="do not come up"):
        hsl.System(2, topology="mesh", device_bytes=1 << 16)


def test_links_that_never_come_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults that hit every flit are a LinkError of the constructor; the capture of the attempt is whole."""
    close, closed = machine.Machine.close, []

    def counted(each: machine.Machine) -> None:
        closed.append(each)
        close(each)

    monkeypatch.setattr(machine.Machine, "close", counted)
    path = tmp_path / "x.pcapng"
    with pytest.raises(hsl.LinkError, match=r"do not come up with the faults crc:1\.0"):
        hsl.System(faults="crc:1", capture=path)
    assert len(closed) == 1, "the constructor has closed its machine"
    with path.open("rb") as stream:
        assert len(list(hsl.Reader(stream))) > 10
