"""hsl.System: loads, stores and atomics of one shared memory."""

from __future__ import annotations

import doctest
import random
from pathlib import Path

import numpy as np
import pytest

import hsl
from hsl import system
from hsl.agents import atomics
from hsl.emulator import calls
from hsl.emulator.operands import OPERATIONS

FAULTS = "crc:2e-2,drop:2e-2"


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
    window = list(s.host_memory.lines[: calls.WINDOW + 10])
    assert s.gpu.load_many(window, 1).shape == (calls.WINDOW + 10, 1)


def expected(op: str, old: bytes, operand: bytes, compare: bytes) -> bytes:
    """Return the content of memory after an operation."""
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


def test_a_whole_line_is_stored_without_its_old_data(s: hsl.System) -> None:
    """A store of a whole line asks for no data, as one of a part must."""
    for addr, size, data in ((0x40, 64, 0), (0x80, 63, 1)):
        before = s.report()["nodes"]["cpu"]["messages_sent"]["CmpData"]
        s.gpu.store(addr, bytes(size))
        assert s.report()["nodes"]["cpu"]["messages_sent"]["CmpData"] == before + data


def test_flush_reaches_memory(s: hsl.System) -> None:
    """flush() brings all lines of its range to memory and drops them: the next load misses."""
    s.gpu.store(100, bytes(range(100)))
    s.gpu.flush(100, 100)
    before = s.now
    assert s.gpu.load(199, 1) == b"\x63"
    assert s.now > before


def test_scalars_of_numpy() -> None:
    """Scalars of numpy and every buffer count as the int, float or bytes that they stand for."""
    with hsl.System(np.int64(1), seed=np.uint64(7), faults=np.float32(0), memory_bytes=1 << 17) as s:  # type: ignore[arg-type]
        assert s.gpu.atomic("add", np.uint64(0x80), np.uint32(5)) == 0  # type: ignore[type-var,arg-type]
        assert s.gpu.atomic("cas", 0x80, np.int64(6), compare=np.int8(5), size=np.int16(8)) == 5  # type: ignore[type-var,arg-type]
        assert s.gpu.atomic("fadd32", 0xC0, np.float32(1.5)) == 0.0  # type: ignore[type-var]
        for zero in (bytearray(8), memoryview(bytes(8))):
            assert s.gpu.atomic("add", 0x80, zero) == b"\x06" + bytes(7)  # type: ignore[type-var,comparison-overlap]
        assert s.cpu.load(np.int32(0xC0), np.int8(4)) == np.float32(1.5).tobytes()  # type: ignore[arg-type]


def test_several_gpus() -> None:
    """With several GPUs `gpu` is an error that names `gpus`; each has memory of its own."""
    with hsl.System(2, device_bytes=1 << 16) as s:
        with pytest.raises(hsl.ConfigError, match=r"has 2 GPUs: use gpus\[0\] to gpus\[1\]"):
            _ = s.gpu
        assert [gpu.name for gpu in s.gpus] == ["gpu0", "gpu1"]
        assert [gpu.memory for gpu in s.gpus] == [s.memory_map["device0"], s.memory_map["device1"]]


def test_doctests(s: hsl.System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The examples in the docstrings give what they show."""
    monkeypatch.chdir(tmp_path)
    for module in (calls, hsl, system):
        done = doctest.testmod(module, extraglobs={"hsl": hsl, "s": s}, raise_on_error=True)
        assert done.attempted
