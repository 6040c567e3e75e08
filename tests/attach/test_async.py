"""hsl.attach_async: the same device on the event loop of its program, at a CPU in the same loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hsl
from hsl._generated.constants import SamType
from hsl.agents.address_map import SamEntry
from hsl.emulator.system_map import index_of, memories
from tests.attach.cpus import FAST, cpu_here
from tests.support.sessions import run, until

LINES = 64 * np.arange(16_000)


def test_calls() -> None:
    """Each call gives what the blocking one gives."""

    async def body() -> None:
        async with cpu_here() as (uris, _), hsl.attach_async(uris[0], memory_bytes=1 << 16) as gpu:
            assert gpu.ready
            assert gpu.memory is not None
            await gpu.store(0x40, b"hello")
            await gpu.store(gpu.memory.base + 30, bytes(range(100)))
            assert await gpu.load(0x40, 5) == b"hello"
            assert await gpu.load(gpu.memory.base + 30, 100) == bytes(range(100))
            assert [await gpu.atomic("add", 0x80, n) for n in (5, 0)] == [0, 5]
            await gpu.flush(0x40)
            await gpu.fence("load")
            data = np.random.default_rng(1).integers(0, 256, (30, 64), np.uint8)
            await gpu.store_many(LINES[:30], data)
            assert (await gpu.load_many(LINES[:30]) == data).all()
            await gpu.ncwrite(1 << 40, 7)
            assert await gpu.ncread(1 << 40, 1) == b"\7"
            await gpu.intr(hsl.JobVector.CALL, 99)
            assert await gpu.wait_doorbell() == hsl.Doorbell(0, 99, 2)
            assert await gpu.wait_doorbell(0.01) is None
            with pytest.raises(hsl.AddressError, match="is in no memory"):
                await gpu.load(1 << 30)

    run(body())


def test_poisoned_data() -> None:
    """A load of poisoned data is a PoisonError that names its line; the other loads of the call end first."""

    async def body() -> None:
        async with cpu_here() as (uris, cpu), hsl.attach_async(uris[0]) as gpu:
            memory = cpu.device.node.config.homes[0][1]  # type: ignore[attr-defined]
            memory.poison(0x80)
            with pytest.raises(hsl.PoisonError, match="load at 0x80 by node 19 read poisoned data"):
                await gpu.load_many(LINES[:10])
            assert not gpu._core.device._open
            with pytest.raises(hsl.PoisonError):
                await gpu.atomic("add", 0x80, 1)
            await gpu.store(0x80, bytes(64))
            assert await gpu.load(0x80) == bytes(8)

    run(body())


def test_calls_overlap() -> None:
    """Calls of many tasks are under way at the same time, more than an agent holds."""

    async def body() -> None:
        async with cpu_here() as (uris, _), hsl.attach_async(uris[0]) as gpu:
            found = await asyncio.gather(*(gpu.load(64 * (n % 100)) for n in range(6000)))
            assert set(found) == {bytes(8)}
            tables = await asyncio.gather(*(gpu.load_many(LINES[:1500] % 6400) for _ in range(4)))
            assert [table.shape for table in tables] == [(1500, 64)] * 4

    run(body())


def test_hits_do_not_stop_the_loop() -> None:
    """A call that only hits the cache lets other tasks run, and ends."""

    async def body() -> None:
        async with cpu_here() as (uris, _), hsl.attach_async(uris[0]) as gpu:
            await gpu.load(0x40)
            many = asyncio.create_task(gpu.load_many(np.full(20_000, 0x40), 8))
            turns = 0
            while not many.done():
                await asyncio.sleep(0)
                turns += 1
            assert turns > 10
            assert (await many).shape == (20_000, 8)

    run(body())


@pytest.mark.parametrize("plain", [False, True])
def test_handler(plain: bool) -> None:
    """A handler may be a coroutine function that makes calls, or a plain one."""
    values: list[int] = []

    async def body() -> None:
        async with cpu_here() as (uris, _), hsl.attach_async(uris[0]) as gpu:
            if plain:
                gpu.on_doorbell(lambda doorbell: values.append(doorbell.value))
            else:

                @gpu.on_doorbell
                async def serve(doorbell: hsl.Doorbell) -> None:
                    await gpu.store(doorbell.value, b"answer")
                    await gpu.intr(hsl.JobVector.DONE, 1)
                    values.append(doorbell.value)

            await gpu.intr(hsl.JobVector.CALL, 0x100)
            await until(lambda: bool(values))
            assert await gpu.load(0x100, 6) == (bytes(6) if plain else b"answer")
            with pytest.raises(hsl.ConfigError, match="the handler of on_doorbell"):
                await gpu.wait_doorbell()

    run(body())
    assert values == [0x100]


@pytest.mark.parametrize("at_end", [False, True])
def test_exception_of_a_handler(at_end: bool) -> None:
    """An exception of a handler is raised by the next call, or at the end of the block."""
    failed: list[int] = []

    async def body() -> None:
        async with cpu_here() as (uris, _), hsl.attach_async(uris[0]) as gpu:

            @gpu.on_doorbell
            async def serve(doorbell: hsl.Doorbell) -> None:
                failed.append(1)
                raise ZeroDivisionError

            await gpu.intr(hsl.JobVector.CALL)
            await until(lambda: bool(failed))
            if not at_end:
                with pytest.raises(ZeroDivisionError):
                    await gpu.load(0)
                await gpu.load(0)

    if at_end:
        with pytest.raises(ZeroDivisionError):
            run(body())
    else:
        run(body())


def test_cancelled_call() -> None:
    """A call that is cancelled begins nothing more; the device goes on."""

    async def body() -> None:
        async with cpu_here() as (uris, _), hsl.attach_async(uris[0]) as gpu:
            device = gpu._core.device
            many = asyncio.create_task(gpu.load_many(LINES))
            await until(lambda: bool(device._open))
            many.cancel()
            with pytest.raises(asyncio.CancelledError):
                await many
            await gpu.fence()
            assert not device._open
            assert not device._batches
            assert await gpu.load(0x40) == bytes(8)

    run(body())


def test_many_doorbells_wait_for_a_slow_device() -> None:
    """Doorbells that nobody takes fill the I/O agent and then wait at the CPU; none is lost."""

    async def body() -> None:
        async with cpu_here() as (uris, cpu), hsl.attach_async(uris[0]) as gpu:
            page = gpu._core.device.node.io
            assert page is not None
            assert page.mmio.base is not None
            node = cpu.device.node
            for number in range(600):
                access = hsl.Access("ncwrite", page.mmio.base, 8, number.to_bytes(8, "little"))
                node.submit(3, access, cpu.now)  # type: ignore[attr-defined]
            cpu.wake()
            await until(lambda: len(page.mmio.doorbells) == 256)
            assert len(gpu._core.device.bells) <= 256
            found = [await gpu.wait_doorbell() for _ in range(600)]
            assert [bell.value for bell in found if bell is not None] == list(range(600))

    run(body())


# ---- ends


def test_loss() -> None:
    """When the CPU goes, the calls that are under way and later ones raise PeerLost."""

    async def body() -> None:
        async with cpu_here(tu=FAST) as (uris, cpu), hsl.attach_async(uris[0], tu=FAST) as gpu:
            calls = [asyncio.create_task(gpu.load_many(LINES)), asyncio.create_task(gpu.fence())]
            bell = asyncio.create_task(gpu.wait_doorbell())
            await until(lambda: bool(gpu._core.device._open))
            cpu.device.node.stop(cpu.now)
            cpu.wake()
            for call in (calls[0], bell):
                with pytest.raises(hsl.PeerLost, match="DISABLE"):
                    await call
            await asyncio.wait(calls)
            with pytest.raises(hsl.PeerLost):
                await gpu.load(0)

    run(body())


async def attached_and_closed(uri: str) -> None:
    """Attach a device, and close it while a call is under way; the call and all later ones are refused."""
    gpu = hsl.attach_async(uri)
    async with gpu:
        gpu.on_doorbell(print)
        waiting = asyncio.create_task(gpu.load_many(LINES))
        await until(lambda: bool(gpu._core.device._open))
    await gpu.close()
    with pytest.raises(hsl.ClosedError, match="closed before the call had ended"):
        await waiting
    with pytest.raises(hsl.ClosedError, match="the device is closed"):
        await gpu.load(0)
    with pytest.raises(hsl.ConfigError, match="attached once"):
        await gpu.__aenter__()


def test_nothing_is_left(tmp_path: Path) -> None:
    """A device leaves no task, thread or descriptor in the loop of its program."""

    async def body() -> None:
        async with cpu_here(f"unix://{tmp_path}/link") as (uris, _):
            threads = threading.active_count()
            tasks, before = asyncio.all_tasks(), set(Path("/proc/self/fd").iterdir())
            for _ in range(2):
                await attached_and_closed(uris[0])
                with pytest.raises(hsl.LinkError):
                    await hsl.attach_async(uris[0], nid=0).__aenter__()
            await until(lambda: set(Path("/proc/self/fd").iterdir()) == before)
            assert asyncio.all_tasks() == tasks
            assert threading.active_count() == threads

    run(body())


def test_cancelled_while_it_attaches(tmp_path: Path) -> None:
    """A program that is cancelled while it waits for the CPU leaves nothing."""

    async def body() -> None:
        tasks = asyncio.all_tasks()
        gpu = hsl.attach_async(f"unix://{tmp_path}/link", listen=True, wait=60)
        opening = asyncio.create_task(gpu.__aenter__())
        await until(lambda: any(tmp_path.iterdir()))
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert asyncio.all_tasks() == tasks
        assert not any(tmp_path.iterdir())

    run(body())


def test_two_devices_in_one_loop() -> None:
    """Two devices at two ports share a counter in host memory."""

    async def body() -> None:
        async with (
            cpu_here(ports=2) as (uris, _),
            hsl.attach_async(uris[0], nid=16) as one,
            hsl.attach_async(uris[1], nid=32) as two,
        ):
            await asyncio.gather(*(gpu.atomic("add", 0x40, 1) for gpu in (one, two) * 50))
            assert await one.atomic("add", 0x40, 0) == 100
            await two.intr(hsl.JobVector.CALL, 3)
            assert await two.wait_doorbell() == hsl.Doorbell(0, 3, 2)

    run(body())


def test_names_of_memory() -> None:
    """Each range of a map has a name of its own: its kind and the port that its index stands for."""
    entries: list[SamEntry | None] = [None] * 20
    page = 4096

    def put(index: int, kind: SamType, **fields: Any) -> None:
        entries[index] = SamEntry(index * page, (index + 1) * page - 1, kind, **fields)

    put(0, SamType.HOSTMEM)
    put(1, SamType.MMIO, home=1)
    put(index_of(1, 0), SamType.HDM_D, home=32)
    put(index_of(1, 1), SamType.HDM_D, home=32)
    put(index_of(1, 2), SamType.HDM_H, mt=34)
    put(index_of(2, 0), SamType.HDM_D, home=15, ways=1)
    found = {name: entry.base // page for name, entry in memories(entries).items()}
    assert found == {"hostmem": 0, "device1": 9, "device1.2": 10, "host1": 11, "interleaved": 16}


def test_calls_outside_the_block() -> None:
    """A device that is not attached says how to attach it."""

    async def body() -> None:
        gpu = hsl.attach_async("tcp://127.0.0.1:1")
        for call in (gpu.fence(), gpu.intr(1)):
            with pytest.raises(hsl.ClosedError, match="use it inside its `async with` block"):
                await call
        with pytest.raises(hsl.ClosedError, match="use it inside its `async with` block"):
            gpu.on_doorbell(print)

    run(body())


def test_the_first_failure_of_a_handler_is_raised() -> None:
    """A later one does not hide it."""

    async def body() -> None:
        async with cpu_here() as (uris, _), hsl.attach_async(uris[0]) as gpu:
            served = list[int]()

            @gpu.on_doorbell
            def fails(bell: hsl.Doorbell) -> None:
                served.append(bell.value)
                raise ValueError(bell.value)

            for number in (1, 2):
                await gpu._core.results(gpu._calls.intr(hsl.JobVector.CALL, number).accesses)
                while number not in served:
                    await asyncio.sleep(0.01)
            with pytest.raises(ValueError, match=r"^1$"):
                await gpu.load(0)

    run(body())


def test_closing_goes_on_when_it_is_cancelled() -> None:
    """The lines of the cache are given back all the same."""

    async def body() -> None:
        async with cpu_here() as (uris, _):
            gpu = hsl.attach_async(uris[0])
            await gpu.__aenter__()
            await gpu.store(0x40, b"kept")
            closing = asyncio.create_task(gpu.close())
            for _ in range(2):
                await asyncio.sleep(0)
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            await gpu.close()
            async with hsl.attach_async(uris[0]) as again:
                assert await again.load(0x40, 4) == b"kept"

    run(body())
