"""hsl.System: what a program sees of a CPU and GPUs on the loopback."""

from __future__ import annotations

import doctest
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hsl
from hsl import system
from hsl._generated.constants import TU_EXPONENT_HARDWARE
from hsl.agents import atomics
from hsl.capture import Clock
from hsl.emulator import in_process, machine
from hsl.emulator.operands import OPERATIONS
from hsl.emulator.topology import Topology
from hsl.transport.base import Place

FAULTS = "crc:2e-2,drop:2e-2"
SCENARIO = """
[[fault]]
kind = "crc"
count = 1
type = "PROT"
from = "cpu"
"""


@pytest.fixture
def s() -> Iterator[hsl.System]:
    """A CPU and a GPU without faults."""
    with hsl.System(memory_bytes=1 << 20, device_bytes=1 << 20) as opened:
        yield opened


def test_the_sketch() -> None:
    """The GPU stores, the CPU loads what it stored, over a link with faults."""
    with hsl.System(gpus=1, seed=7, faults="crc:1e-3") as s:
        s.gpu.store(0x40, b"hello")
        assert s.cpu.load(0x40, 5) == b"hello"


@pytest.mark.parametrize(
    ("shape", "ranges"),
    [
        ({}, {"hostmem", "device0", "host0", "interleaved"}),
        ({"links": 2, "flit": "B256"}, {"hostmem", "device0", "host0", "interleaved"}),
        (
            {"gpus": 2, "topology": "mesh", "memory_nodes": 1},
            {"hostmem", "device0", "device1", "host0", "host1", "interleaved", "memory"},
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_memory_is_one_memory(shape: dict[str, int | str], ranges: set[str]) -> None:
    """Every agent reads what any agent wrote last, in every memory and across lines, whatever the faults."""
    rng = random.Random(1)
    with hsl.System(
        seed=1,
        faults=FAULTS,
        memory_bytes=1 << 17,
        device_bytes=1 << 16,
        **shape,  # type: ignore[arg-type]
    ) as s:
        assert set(s.memory_map) == ranges
        agents = (*s.cpus[:2], *s.gpus)
        right = {name: bytearray(512) for name in s.memory_map}
        for _ in range(60 * len(ranges)):
            name = rng.choice(list(right))
            size = rng.randrange(1, 200)
            at = rng.randrange(512 - size)
            addr = s.memory_map[name].base + 3840 + at  # around a page border
            if rng.random() < 0.5:
                data = rng.randbytes(size)
                right[name][at : at + size] = data
                rng.choice(agents).store(addr, data)
            else:
                assert rng.choice(agents).load(addr, size) == right[name][at : at + size]
            if rng.random() < 0.1:
                rng.choice(agents).flush(addr, size)
    assert sum(s.report()["injected"].values())


def capture(path: Path, seed: int) -> bytes:
    """The capture of a short run."""
    with hsl.System(seed=seed, faults="crc:2e-2", capture=path, memory_bytes=1 << 17) as s:
        s.gpu.store_many(s.host_memory.lines[:200], np.ones((200, 64), np.uint8))
        s.cpu.load_many(s.host_memory.lines[:200])
    return path.read_bytes()


def hits(path: Path) -> list[int]:
    """The numbers of the flits that a fault has hit."""
    with path.open("rb") as stream:
        return [i for i, packet in enumerate(hsl.Reader(stream)) if "fault" in "".join(packet.comments)]


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """The same calls with the same seed make the same capture to the byte; another seed hits other flits."""
    assert capture(tmp_path / "a.pcapng", 7) == capture(tmp_path / "b.pcapng", 7)
    capture(tmp_path / "c.pcapng", 8)
    assert hits(tmp_path / "a.pcapng") != hits(tmp_path / "c.pcapng")


def test_capture_is_read_back(tmp_path: Path) -> None:
    """The capture of a whole run has every flit of the report, the seed, and the faults as comments."""
    path = tmp_path / "run.pcapng"
    with hsl.System(seed=7, faults="crc:5e-2", capture=path) as s:
        s.gpu.store_many(s.host_memory.lines[:100], np.ones((100, 64), np.uint8))
    report = s.report()
    with path.open("rb") as stream:
        reader = hsl.Reader(stream)
        packets = list(reader)
    assert reader.info is not None
    assert (reader.info.seed, reader.info.view, reader.info.clock) == (7, "cpu", Clock.VIRTUAL)
    assert [str(lane) for lane in reader.lanes] == ["link0 cpu->gpu", "link0 gpu->cpu"]
    assert len(packets) == report["flits"]
    assert sum(each.received for each in reader.statistics.values()) == len(packets)
    hit = sum(any("bits flipped" in comment for comment in packet.comments) for packet in packets)
    assert hit == report["injected"]["crc"] > 0


def fail_while_captured(path: Path, began: list[int]) -> None:
    """A block that captures its last access and ends by an exception."""
    with hsl.System() as s:
        s.gpu.store(0x40, b"x")
        began.append(s.now)
        s.capture(path)
        s.cpu.load(0x40)
        began.append(s.now)
        raise ZeroDivisionError


def test_capture_from_the_call_on(tmp_path: Path) -> None:
    """capture() records from the call to the end of the system, also when the block ends by an exception."""
    path, began = tmp_path / "run.pcapng", list[int]()
    with pytest.raises(ZeroDivisionError):
        fail_while_captured(path, began)
    with path.open("rb") as stream:
        times = [packet.time for packet in hsl.Reader(stream)]
    assert began[0] <= min(times) <= max(times) <= began[1]  # an exception lets no more time pass


def test_many_are_pipelined(s: hsl.System) -> None:
    """load_many and store_many of 200 lines give what single accesses give, in a tenth of their time."""
    lines = np.array(s.host_memory.lines[:200], np.uint64)
    data = np.random.default_rng(1).integers(0, 256, (200, 64), dtype=np.uint8)
    times = []
    for many in (True, False):
        before = s.now
        if many:
            s.gpu.store_many(lines, data)
        else:
            for addr, row in zip(lines, data, strict=True):
                s.cpu.store(addr, row)
        times.append(s.now - before)
    assert times[0] * 10 < times[1]
    before = s.now
    found = s.gpu.load_many(lines)
    assert (s.now - before) * 10 < times[1]
    assert found.dtype == np.uint8
    assert (found == data).all()
    assert (found == [list(s.cpu.load(addr, 64)) for addr in lines]).all()


def test_what_load_many_gives_is_the_callers(s: hsl.System) -> None:
    """The array of load_many can be written to, and that changes nothing in memory."""
    found = s.gpu.load_many([0x40, 0x80])
    found += 1
    assert s.gpu.load(0x40, 64) == bytes(64)


def test_arrays_are_stored_in_c_order(s: hsl.System) -> None:
    """A store writes rows one after the other, however the array or the view lies in memory."""
    data = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    for stored in (data, memoryview(data)):  # type: ignore[arg-type]
        s.cpu.store(0x40, bytes(6))
        s.cpu.store(0x40, stored)
        assert s.cpu.load(0x40, 6) == bytes(range(6))


def test_window(s: hsl.System, monkeypatch: pytest.MonkeyPatch) -> None:
    """load_many keeps at most WINDOW accesses under way: with a window of 1 it is as slow as single loads."""
    monkeypatch.setattr(system, "WINDOW", 1)
    before = s.now
    s.gpu.load_many(s.host_memory.lines[:20])
    assert s.now - before >= 20 * 200  # a miss takes a round trip of 200 ns


def test_many_of_any_size(s: hsl.System) -> None:
    """Elements of load_many and store_many may cross lines; none at all is an empty array."""
    data = np.arange(300, dtype=np.uint8).reshape(3, 100)
    s.cpu.store_many([60, 1000, 5000], data)
    assert (s.gpu.load_many([60, 1000, 5000], 100) == data).all()
    assert s.gpu.load_many([], 8).shape == (0, 8)
    window = list(s.host_memory.lines[: system.WINDOW + 10])
    assert s.gpu.load_many(window, 1).shape == (system.WINDOW + 10, 1)


def expected(op: str, old: bytes, operand: bytes, compare: bytes) -> bytes:
    """What memory holds after an operation."""
    return atomics.apply(OPERATIONS[op], len(old), old, compare + operand)[0]


@pytest.mark.parametrize("where", ["hostmem", "device0", "host0"])
@pytest.mark.parametrize("op", OPERATIONS)
def test_atomics(s: hsl.System, op: str, where: str) -> None:
    """Every operation of the profile returns the old bytes and leaves the right ones. HSL 5.12."""
    addr = s.memory_map[where].base + 0x80
    size = {"cas": 16, "fadd64": 8}.get(op, 4)
    old, operand = bytes(range(1, size + 1)), bytes(range(2, size + 2))
    for agent in (s.cpu, s.gpu):
        s.gpu.store(addr, old)
        compare = old if op == "cas" else b""
        assert agent.atomic(op, addr, operand, compare=compare or None) == old
        assert s.cpu.load(addr, size) == expected(op, old, operand, compare)


def test_atomics_of_ints_and_floats(s: hsl.System) -> None:
    """An int operand may be negative and gives an unsigned int, a float gives a float."""
    assert [s.gpu.atomic("ADD", 0x80, value) for value in (-1, 2, 0)] == [0, (1 << 64) - 1, 1]
    assert [s.cpu.atomic("smin", 0x90, value, size=4) for value in (-5, 3)] == [0, (1 << 32) - 5]
    assert [s.cpu.atomic("cas", 0xA0, 9, compare=old) for old in (0, 0, 9)] == [0, 9, 9]
    assert [s.gpu.atomic("fadd64", 0xB0, value) for value in (1.5, 2.0, 0.0)] == [0.0, 1.5, 3.5]
    assert [s.gpu.atomic("fadd32", 0xC0, value) for value in (0.5, 0.0)] == [0.0, 0.5]
    greatest = (1 << 64) - 1
    assert [s.gpu.atomic("swap", 0xD0, value) for value in (greatest, 0)] == [0, greatest]


def test_latency(s: hsl.System) -> None:
    """A miss leaves at once, from either side: it takes one round trip of a wire of 100 ns, and a little."""
    for agent, addr in ((s.gpu, 0x40), (s.cpu, s.gpu.memory.base)):
        before = s.now
        agent.load(addr)
        assert 200 <= s.now - before < 210


def test_time(s: hsl.System) -> None:
    """A miss takes virtual time, a hit none, run() as much as it is told."""
    before = s.now
    s.gpu.load(0x40)
    missed = s.now
    assert missed > before
    s.gpu.load(0x48)
    assert s.now == missed
    s.run(1000)
    assert s.now == missed + 1000


def test_hits_without_end(s: hsl.System) -> None:
    """More hits than an agent has room for tickets are no problem, though nothing moves between them."""
    s.cpu.store(0x40, b"x")
    for _ in range(5000):
        assert s.cpu.load(0x40, 1) == b"x"


def test_submit_overlaps(s: hsl.System) -> None:
    """Submitted accesses of two agents are under way together; a fence of stores waits for the stores."""
    loads = [agent.submit(hsl.Access("load", 0x1000, 8)) for agent in s.gpus + s.cpus[:1]]
    stores = [s.gpu.submit(hsl.Access("store", 64 * i, 1, b"x")) for i in range(8)]
    assert not any(ticket.done for ticket in loads[:1] + stores)
    s.gpu.fence("store")
    assert all(ticket.done for ticket in stores)
    assert s.wait(*loads) == [bytes(8), bytes(8)]


@pytest.mark.parametrize(
    ("kinds", "awaited"),
    [
        ((), {"load", "store", "ncread"}),
        (("load",), {"load"}),
        (("store",), {"store"}),
        (("ncr",), {"ncread"}),
        (("load", "ncr"), {"load", "ncread"}),
    ],
)
def test_a_fence_waits_for_its_kinds(s: hsl.System, kinds: tuple[str, ...], awaited: set[str]) -> None:
    """fence() waits for accesses of the kinds that it names, for all without any, and for no others."""
    far = (hsl.Access("load", 0x40, 8), hsl.Access("store", 0x80, 1, b"x"), hsl.Access("ncread", 1 << 40, 8))
    for access in far:
        ticket = s.gpu.submit(access)
        s.gpu.fence(*kinds)
        assert ticket.done == (access.kind in awaited)
        s.wait(ticket)


def test_results_in_the_order_of_the_tickets(s: hsl.System) -> None:
    """wait() returns results in the order of its tickets, whichever access ends first."""
    near = s.gpu.memory.base
    s.cpu.store(0x40, b"far")
    s.gpu.store(near, b"near")
    s.gpu.flush(near)
    tickets = [s.gpu.submit(hsl.Access("load", addr, size)) for addr, size in ((0x40, 3), (near, 4))]
    assert s.wait(*tickets) == [b"far", b"near"]
    assert (tickets[0].finished or 0) > (tickets[1].finished or 0)


def test_a_whole_line_is_stored_without_its_old_data(s: hsl.System) -> None:
    """A store of a whole line asks for no data, as one of a part must."""
    for addr, size, data in ((0x40, 64, False), (0x80, 63, True)):
        s.gpu.store(addr, bytes(size))
        assert ("CmpData" in s.report()["nodes"]["cpu"]["messages_sent"]) == data


def test_flush_reaches_memory(s: hsl.System) -> None:
    """flush() brings all lines of its range to memory and drops them: the next load misses."""
    s.gpu.store(100, bytes(range(100)))
    s.gpu.flush(100, 100)
    before = s.now
    assert s.gpu.load(199, 1) == b"\x63"
    assert s.now > before


LOAD_ERRORS = {
    "0x100000": "load of 8 bytes at 0x100000: 0x100000 is in no memory; there are hostmem 0x0..0xfffff",
    "0xffffc": "0x100000 is in no memory",
    "-8": "-0x8 is in no memory",
}


@pytest.mark.parametrize("addr", LOAD_ERRORS)
def test_address_outside(s: hsl.System, addr: str) -> None:
    """An address outside the memories is an AddressError that names the ranges."""
    with pytest.raises(hsl.AddressError, match=LOAD_ERRORS[addr]) as caught:
        s.cpu.load(int(addr, 0))
    assert caught.value.code == hsl.Err.DECODE
    for name, memory in s.memory_map.items():
        assert f"{name} {memory}" in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        "s.cpu.store(0xFFFFF, bytes(2))",
        "s.cpu.store_many([0, 0x100000], np.zeros((2, 1), np.uint8))",
        "s.cpu.load_many([0, 0x100000])",
        "s.cpu.flush(0xFFFFF, 2)",
        "s.gpu.atomic('add', 0x100000, 1)",
    ],
)
def test_every_call_checks_its_addresses(s: hsl.System, call: str) -> None:
    """Each blocking call refuses an address outside the memories, as load does."""
    with pytest.raises(hsl.AddressError, match=r"0x100000 is in no memory"):
        eval(call, {"s": s, "np": np})  # noqa: S307


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("s.cpu.load(0, 0)", "size is 0; it must be at least 1"),
        ("s.cpu.store(0, b'')", "size of the data is 0"),
        ("s.cpu.store(0, 'text')", "data is of type str"),
        ("s.cpu.store(0, 5)", "data is of type int"),
        ("s.cpu.flush(0, 0)", "size is 0"),
        ("s.cpu.fence('write')", "the kind must be one of load, store, ncr"),
        ("s.run(0)", "ns is 0"),
        ("s.gpu.load_many([1.5])", "integers in one dimension, not float64"),
        ("s.gpu.load_many([[1]])", r"integers in one dimension, not int64 of shape \(1, 1\)"),
        ("s.gpu.store_many([0], np.zeros((1, 4)))", r"uint8 of shape \(1, size\), not float64"),
        ("s.gpu.load_many([True])", "integers in one dimension, not bool"),
        ("s.gpu.store_many([0], np.zeros((1, 4), np.int8))", "must be uint8 .* not int8"),
        ("s.gpu.store_many([0, 64], np.zeros((1, 4), np.uint8))", r"2 addresses must be uint8"),
        ("s.gpu.atomic('inc', 0, 1)", "unknown atomic operation 'inc'; expected add, "),
        ("s.gpu.atomic('fad64', 0, 1.0)", r"unknown .*; did you mean fadd64\?"),
        ("s.gpu.atomic('cas', 0, 1)", "cas needs a value"),
        ("s.gpu.atomic('add', 0, 1, compare=1)", "other operations take none"),
        ("s.gpu.atomic('add', 4, 1)", "ADD of 8 bytes at 0x4"),
        ("s.gpu.atomic('add', 0, 1, size=3)", "ADD of 3 bytes"),
        ("s.gpu.atomic('add', 0, 1 << 64)", "does not fit 8 bytes"),
        ("s.gpu.atomic('add', 0, 1.5)", "operand 1.5 must be bytes or int"),
        ("s.gpu.atomic('fadd64', 0, 1)", "operand 1 must be bytes or float"),
        ("s.gpu.atomic('fadd64', 0, 1.5, size=3)", "operand 1.5 does not fit 3 bytes"),
        ("s.gpu.atomic('fadd32', 0, 1e300)", r"operand 1e\+300 does not fit 4 bytes"),
        ("s.gpu.atomic('fadd2xfp16', 0, 1)", "operand 1 must be bytes$"),
        ("s.gpu.atomic('fadd2xbf16', 0, 1.5)", "operand 1.5 must be bytes$"),
        ("s.gpu.atomic('cas', 0, b'12345678', compare=b'1')", "operand of 1 bytes, expected 8"),
        ("s.gpu.submit(hsl.Access('load', 60, 8))", "stays inside the line"),
        ("hsl.System(seed=-1)", "seed is -1; it must be 0 to 18446744073709551615"),
        ("hsl.System(gpus=9)", "gpus = 9"),
        ("hsl.System(memory_bytes=1 << 31)", "memory_bytes = 2147483648; expected 131072"),
        ("hsl.System(topology='ring')", "topology is 'ring'; it must be star, mesh, or a file that exists"),
        ("hsl.System(topology='x' * 300)", "or a file that exists"),
        ("hsl.System(topology={'colour': 1})", "colour"),
        ("hsl.System(faults='rust:1e-3')", "invalid fault 'rust:1e-3'"),
        ("hsl.System(faults='crc:0.1:link=1')", "links are 0..0"),
        ("hsl.System(engine='fast')", "engine 'fast'"),
        ("hsl.System(seed='7')", "seed is '7'; it must be an integer"),
        ("hsl.System(faults=2.0)", "faults is 2.0; it must be a rate from 0 to 1"),
        ("hsl.System(faults=float('nan'))", "faults is nan"),
        ("hsl.System(faults=None)", "faults is None"),
        ("hsl.System(faults='2')", "rate 2 of faults; expected 0 to 1"),
        ("hsl.System(topology=None)", "topology is None; it must be star, mesh"),
        ("hsl.System(capture=5)", "capture is 5; it must be the path of a file"),
        ("s.cpu.load('0x40')", "addr is '0x40'; it must be an integer"),
        ("s.cpu.load(0, 1.5)", "size is 1.5; it must be an integer"),
        ("s.cpu.store(None, b'x')", "addr is None"),
        ("s.cpu.flush('0')", "addr is '0'"),
        ("s.cpu.load_many([0], '8')", "size is '8'"),
        ("s.cpu.load_many([[1], [2, 3]])", "addresses: .*inhomogeneous"),
        ("s.cpu.store_many([0], [[1], [2, 3]])", "data: .*inhomogeneous"),
        ("s.cpu.store(0, np.array([None]))", "data is an array of object"),
        ("s.cpu.store(0, np.zeros(1, [('a', object)]))", "it must be an array of numbers or bytes"),
        ("s.cpu.store(0, memoryview(np.array([None])))", "data is a buffer of objects"),
        ("s.gpu.atomic(1, 0, 1)", "atomic operation 1 is of type int"),
        ("s.gpu.atomic('add', '0', 1)", "addr is '0'"),
        ("s.gpu.atomic('add', 0, 1, size='4')", "size is '4'"),
        ("s.gpu.submit(5)", r"submit\(5\): expected an hsl.Access"),
        ("s.gpu.submit(hsl.Access('load', '0', 4))", "addr is '0'"),
        ("s.gpu.submit(hsl.Access('store', 0, 4, 'text'))", "data is of type str"),
        ("s.wait([])", r"wait\(\[\]\): expected tickets, as in wait\(first, second\)"),
        ("s.run('1')", "ns is '1'"),
    ],
)
def test_bad_argument(s: hsl.System, call: str, words: str) -> None:
    """An argument that cannot be used is a ConfigError that says what must be."""
    with pytest.raises(hsl.ConfigError, match=words):
        eval(call, {"s": s, "hsl": hsl, "np": np})  # noqa: S307


def test_ticket_of_another_system(s: hsl.System) -> None:
    """wait() refuses an open ticket of another system, for which it would wait without end."""
    with hsl.System() as other:
        ticket = other.gpu.submit(hsl.Access("load", 0x40, 8))
        with pytest.raises(hsl.ConfigError, match=r"Ticket\(load 0x40 .* is of another system"):
            s.wait(ticket)
        assert other.wait(ticket) == [bytes(8)]
    assert s.wait(ticket) == [bytes(8)]  # it has ended: nothing to wait for


def test_open_tickets_are_not_kept(s: hsl.System) -> None:
    """Accesses that end without a wait do not add up; a ticket from before a sweep can be waited for."""
    first = s.gpu.submit(hsl.Access("load", 0xF0000, 8))
    most = 0
    for turn in range(12):
        for line in range(500):
            s.cpu.submit(hsl.Access("flush", 64 * (500 * (turn % 2) + line)))
        most = max(most, len(s._machine._open))
        if turn:
            s.run(20_000)
    assert most <= machine.MIN_SWEEP
    assert s.wait(first) == [bytes(8)]


def test_scalars_of_numpy() -> None:
    """Scalars of numpy and every buffer count as the int, float or bytes that they stand for."""
    with hsl.System(np.int64(1), seed=np.uint64(7), faults=np.float32(0), memory_bytes=1 << 17) as s:  # type: ignore[arg-type]
        assert s.gpu.atomic("add", np.uint64(0x80), np.uint32(5)) == 0  # type: ignore[type-var,arg-type]
        assert s.gpu.atomic("cas", 0x80, np.int64(6), compare=np.int8(5), size=np.int16(8)) == 5  # type: ignore[type-var,arg-type]
        assert s.gpu.atomic("fadd32", 0xC0, np.float32(1.5)) == 0.0  # type: ignore[type-var]
        for zero in (bytearray(8), memoryview(bytes(8))):
            assert s.gpu.atomic("add", 0x80, zero) == b"\x06" + bytes(7)  # type: ignore[type-var,comparison-overlap]
        assert s.cpu.load(np.int32(0xC0), np.int8(4)) == np.float32(1.5).tobytes()  # type: ignore[arg-type]


def test_two_captures_of_one_file(s: hsl.System, tmp_path: Path) -> None:
    """A file that is captured to is not opened again, by whatever spelling of its path."""
    s.capture(tmp_path / "a.pcapng")
    with pytest.raises(hsl.CaptureError, match="this system writes it already"):
        s.capture(f"{tmp_path}/./a.pcapng")
    s.capture(tmp_path / "b.pcapng")
    s.gpu.load(0x40)
    s.close()
    assert (tmp_path / "a.pcapng").read_bytes() == (tmp_path / "b.pcapng").read_bytes()


def test_atomic_of_poisoned_data() -> None:
    """An atomic on poisoned data is a PoisonError too, and leaves the data poisoned. HSL 6.1."""
    with hsl.System(faults="poison:x1") as s:
        with pytest.raises(hsl.PoisonError, match="ended with DATA"):
            s.gpu.atomic("add", 0x40, 1)
        with pytest.raises(hsl.PoisonError):
            s.gpu.load(0x40)
        s.gpu.store(0x40, bytes(64))
        assert s.gpu.atomic("add", 0x40, 1) == 0


def test_several_gpus() -> None:
    """With several GPUs `gpu` is an error that names `gpus`; each has memory of its own."""
    with hsl.System(2, device_bytes=1 << 16) as s:
        with pytest.raises(hsl.ConfigError, match=r"has 2 GPUs: use gpus\[0\] to gpus\[1\]"):
            _ = s.gpu
        assert [gpu.name for gpu in s.gpus] == ["gpu0", "gpu1"]
        assert [gpu.memory for gpu in s.gpus] == [s.memory_map["device0"], s.memory_map["device1"]]


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


def test_links_that_never_come_up(tmp_path: Path) -> None:
    """Faults that hit every flit are a LinkError of the constructor; the capture of the attempt is whole."""
    path = tmp_path / "x.pcapng"
    with pytest.raises(hsl.LinkError, match=r"do not come up with the faults crc:1\.0"):
        hsl.System(faults="crc:1", capture=path)
    with path.open("rb") as stream:
        assert len(list(hsl.Reader(stream))) > 10


def test_capture_that_cannot_be_written(tmp_path: Path) -> None:
    """A capture that cannot be opened is a CaptureError of the constructor."""
    with pytest.raises(hsl.CaptureError, match="No such file"):
        hsl.System(capture=tmp_path / "no" / "x.pcapng")


def test_reprs(s: hsl.System) -> None:
    """System, agent and memory show what somebody at a prompt wants to know."""
    assert repr(s) == f"<hsl.System gpus=1, links=1, seed=0, faults='none', now={s.now} ns>"
    assert repr(s.gpu) == "<hsl.Agent gpu, NID 19, memory 0x1000000000..0x10000fffff (1 MiB)>"
    assert repr(s.host_memory) == "MemoryRange(base=0, size=1048576)"
    assert str(s.host_memory) == "0x0..0xfffff (1 MiB)"
    s.close()
    assert repr(s).endswith("ns, closed>")


def test_report(s: hsl.System) -> None:
    """The report is JSON and counts messages, accesses and flits."""
    s.gpu.store(0x40, b"x")
    s.cpu.load(0x40)
    s.close()
    report = json.loads(json.dumps(s.report()))
    assert report["nodes"]["gpu"]["messages_sent"]["ReadUnique"] == 1
    assert report["nodes"]["gpu"]["agents"]["19"]["misses"] == 1
    assert report["links"]["prot_sent"] == report["links"]["prot_accepted"]
    assert report["flits"] == sum(report["links"]["flits_sent"].values())
    assert report["wire_bytes"] == 64 * report["flits"]
    assert report["nodes"]["gpu"]["errors"] == {}


def test_report_counts_every_link_and_flit(tmp_path: Path) -> None:
    """The report counts the flits of all links of all ports, the lost and the long ones too."""
    path = tmp_path / "run.pcapng"
    shape: dict[str, Any] = {"gpus": 3, "topology": "mesh", "links": 2, "flit": "B256"}
    with hsl.System(seed=1, faults="drop:2e-2,crc:2e-2", capture=path, device_bytes=1 << 16, **shape) as s:
        for gpu in s.gpus:
            gpu.load_many(s.gpus[0].memory.lines[:50])
    report = s.report()
    assert report["flits"] == sum(report["links"]["flits_sent"].values())
    with path.open("rb") as stream:
        sizes = [len(packet.data) for packet in hsl.Reader(stream)]
    assert set(sizes) == {64, 256}
    assert report["wire_bytes"] == sum(sizes)
    sent = [node["messages_sent"] for node in report["nodes"].values()]
    assert report["messages"] == sum(sum(each.values()) for each in sent) > 0
    errors = [node["errors"] for node in report["nodes"].values()]
    assert sum(each.get("CRC", 0) for each in errors) == report["links"]["crc_errors"] > 0


@pytest.mark.parametrize("link", [0, 1])
def test_faults_of_each_link(link: int) -> None:
    """A fault of one link of a bonded port hits that link, the second as the first."""
    with hsl.System(seed=1, links=2, faults=f"crc:0.1:link={link}") as s:
        s.gpu.load_many(s.host_memory.lines[:100])
        hits = {place.link: lane.injector.counts for place, lane in s._machine._loopback.lanes.items()}
        assert {at for at, counts in hits.items() if any(map(Counter.total, counts.values()))} == {link}


def test_seed_decides_the_epochs(tmp_path: Path) -> None:
    """Without faults too, another seed gives other EPOCH values, of 32 bits; the greatest seed is one."""
    sent = list[list[bytes]]()
    for seed in (1, 1, hsl.system.MAX_SEED):
        path = tmp_path / f"{len(sent)}.pcapng"
        with hsl.System(seed=seed, capture=path, memory_bytes=1 << 17):
            pass
        with path.open("rb") as stream:
            sent.append([packet.data for packet in hsl.Reader(stream)])
    assert sent[0] == sent[1] != sent[2]
    draw = in_process.epochs(1)
    assert max(draw() for _ in range(64)) >> 31 == 1


def test_capture_has_events(tmp_path: Path) -> None:
    """A capture has the events of the ports as comments: each side's way up."""
    path = tmp_path / "run.pcapng"
    with hsl.System(capture=path) as s:
        s.gpu.load(0x40)
    with path.open("rb") as stream:
        comments = [comment for packet in hsl.Reader(stream) for comment in packet.comments]
    for node in ("cpu", "gpu"):
        assert any(re.match(rf"{node} at \d+ ns: link up", comment) for comment in comments)


def test_settings_of_the_ports() -> None:
    """Every port has the codec of `engine` and the time unit of hardware, not that of sockets."""
    for engine in ("native", "reference"):
        with hsl.System(engine=engine, memory_bytes=1 << 17) as s:
            configs = [port.config for node in s._machine.nodes for port in node.ports]
            assert {(each.codec, each.tu_exp) for each in configs} == {(engine, TU_EXPONENT_HARDWARE)}


def test_scenario_of_a_file(tmp_path: Path) -> None:
    """`faults` takes the path of a scenario, as a Path and as a str, and a rate of 1."""
    path = tmp_path / "s.toml"
    path.write_text(SCENARIO)
    for faults in (path, str(path)):
        with hsl.System(seed=1, faults=faults) as s:
            s.gpu.load(0x40)
        assert s.report()["injected"] == {"crc": 1}
    with pytest.raises(hsl.LinkError, match=r"crc:0\.5,drop:0\.5"):
        hsl.System(faults=1)


def test_topology_of_a_file(tmp_path: Path) -> None:
    """`topology` takes a file or its settings, which other arguments override."""
    path = tmp_path / "t.toml"
    path.write_text("gpus = 2\ncores = 3\nmemory_bytes = 131072\n")
    with hsl.System(topology=path, device_bytes=1 << 16) as s:
        assert (len(s.gpus), len(s.cpus), s.host_memory.size) == (2, 3, 1 << 17)
        assert len({agent.nid for agent in s.cpus + s.gpus}) == 5  # each has a cache of its own
    with hsl.System(1, topology={"gpus": 2, "cores": 5}, device_bytes=1 << 16) as s:
        assert (len(s.gpus), len(s.cpus)) == (1, 5)


def test_doctests(s: hsl.System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The examples in the docstrings give what they show."""
    monkeypatch.chdir(tmp_path)
    for module in (system, hsl):
        done = doctest.testmod(module, extraglobs={"hsl": hsl, "s": s}, raise_on_error=True)
        assert done.attempted
