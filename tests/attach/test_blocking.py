"""hsl.attach: the calls of a device at a CPU process, as a script makes them."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hsl
from hsl._generated.constants import LINE_BYTES
from hsl.emulator.calls import BlockingCalls
from tests.attach.cpus import Cpu, cpu_process

CALLS = [name for name, value in vars(BlockingCalls).items() if not name.startswith("_") and callable(value)]
ANSWERED = 30.0  # seconds that only a failure takes


@pytest.fixture(scope="module")
def cpu() -> Iterator[Cpu]:
    """A CPU that all tests of this file share, one after the other; each uses lines of its own."""
    with cpu_process() as found:
        yield found


@pytest.fixture
def gpu(cpu: Cpu) -> Iterator[hsl.AttachedDevice]:
    with hsl.attach(cpu.uri) as found:
        yield found


def test_same_calls_as_an_agent() -> None:
    """Every call of hsl.Agent is there with the same arguments, in the async twin too."""
    assert {"load", "store", "atomic", "fence", "flush", "load_many", "store_many"} <= set(CALLS)
    for name in CALLS:
        wanted = inspect.signature(getattr(hsl.Agent, name))
        for kind in (hsl.AttachedDevice, hsl.AsyncAttachedDevice):
            assert inspect.signature(getattr(kind, name)) == wanted, name
    own = {name for name in vars(hsl.AttachedDevice) if not name.startswith("_")}
    assert own <= set(vars(hsl.AsyncAttachedDevice))
    for name in own:
        assert inspect.signature(getattr(hsl.AttachedDevice, name)).parameters.keys() == (
            inspect.signature(getattr(hsl.AsyncAttachedDevice, name)).parameters.keys()
        )


def test_twin_has_the_same_options() -> None:
    """hsl.attach_async takes the options of hsl.attach, with the same defaults."""
    options = [inspect.signature(each).parameters for each in (hsl.attach, hsl.attach_async)]
    assert options[0] == options[1]


def test_ready(gpu: hsl.AttachedDevice) -> None:
    """A device is READY when attach returns, and knows its NID, its memory and that of the CPU."""
    assert gpu.ready
    assert gpu.nid == 16
    assert gpu.memory_map == {"hostmem": gpu.host_memory, "device0": gpu.memory}
    assert gpu.host_memory == hsl.MemoryRange(0, 64 << 20)
    assert gpu.memory == hsl.MemoryRange(1 << 36, 16 << 20)
    assert "NID 16, ready" in repr(gpu)


def test_load_and_store(gpu: hsl.AttachedDevice) -> None:
    """A load returns what was stored, at any address and of any size, in both memories."""
    assert gpu.memory is not None
    for base in (0x1000, gpu.memory.base + 0x1000):
        data = bytes(range(200))
        gpu.store(base + 61, data)
        assert gpu.load(base + 61, 200) == data
        assert gpu.load(base + 56) == bytes(5) + data[:3]


def test_stores_outlive_the_device(cpu: Cpu) -> None:
    """A device that is closed gives back the lines that only its cache had: the next one finds them."""
    with hsl.attach(cpu.uri) as first:
        first.store(0x2000, b"modified")
        first.store(0x2040, bytes(range(64)))
        first.load(0x2080)
    with hsl.attach(cpu.uri) as second:
        assert second.load(0x2000) == b"modified"
        assert second.load(0x2040, 64) == bytes(range(64))
        assert second.load(0x2080) == bytes(8)


def test_atomic(gpu: hsl.AttachedDevice) -> None:
    """An atomic returns the old value, of the type of its operand."""
    assert [gpu.atomic("add", 0x3000, n) for n in (5, -2, 0)] == [0, 5, 3]
    assert gpu.atomic("cas", 0x3000, 9, compare=3) == 3
    assert gpu.atomic("swap", 0x3000, b"12345678") == (9).to_bytes(8, "little")


def test_flush_and_fence(gpu: hsl.AttachedDevice) -> None:
    """A flush drops the copies of its lines, and a fence ends; the data stay."""
    gpu.store(0x4000, bytes(128))
    gpu.store(0x4000, b"kept")
    gpu.flush(0x4000, 65)
    cache = gpu._core.device.node.agents[gpu.nid + 3]
    assert cache.peek(0x4000) is cache.peek(0x4040) is None
    gpu.fence()
    gpu.fence("load", "store", "ncr")
    assert gpu.load(0x4000, 4) == b"kept"


def test_many(gpu: hsl.AttachedDevice) -> None:
    """load_many and store_many take arrays, more than a window of lines, and addresses in any order."""
    lines = 0x10_0000 + LINE_BYTES * np.random.default_rng(1).permutation(1500)
    data = np.random.default_rng(2).integers(0, 256, (1500, 24), np.uint8)
    gpu.store_many(lines + 8, data)
    assert (gpu.load_many(lines + 8, 24) == data).all()
    assert gpu.load_many(lines[:3]).shape == (3, 64)
    assert gpu.load_many([]).shape == (0, 64)


def test_threads_share_a_device(gpu: hsl.AttachedDevice) -> None:
    """Several threads may call at the same time; each gets its own results."""
    found: dict[int, bytes] = {}

    def work(number: int) -> None:
        at = 0x20_0000 + 0x1_0000 * number
        gpu.store_many(at + LINE_BYTES * np.arange(200), np.full((200, 64), number, np.uint8))
        found[number] = gpu.load(at, 200 * LINE_BYTES)
        gpu.atomic("add", 0x5000, 1)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: bytes([number]) * 12800 for number in range(6)}
    assert gpu.atomic("add", 0x5000, 0) == 6


def test_registers(gpu: hsl.AttachedDevice) -> None:
    """Ncread and ncwrite reach the registers of the CPU, and a device tells its compute units."""
    registers = 1 << 40
    gpu.ncwrite(registers + 64, b"abcd")
    gpu.ncwrite(registers + 72, 7)
    assert gpu.ncread(registers + 64, 16) == b"abcd" + bytes(4) + bytes([7]) + bytes(7)
    page = gpu._core.device.node.io
    assert page is not None
    assert page.mmio.base is not None
    assert gpu.ncread(page.mmio.base + hsl.PageRegister.UNITS) == (1).to_bytes(8, "little")


# ---- doorbells and interrupts


def test_a_call_is_answered_by_a_doorbell(gpu: hsl.AttachedDevice) -> None:
    """CALL makes the CPU ring; the handler runs in a thread of its own and may use the device."""
    answered = threading.Event()
    seen: list[hsl.Doorbell] = []

    @gpu.on_doorbell
    def serve(doorbell: hsl.Doorbell) -> None:
        seen.append(doorbell)
        gpu.store(doorbell.value, gpu.load(doorbell.value)[::-1])
        gpu.intr(hsl.JobVector.DONE, 1)
        answered.set()

    gpu.store(0x6000, b"question")
    gpu.intr(hsl.JobVector.CALL, 0x6000)
    assert answered.wait(ANSWERED)
    assert gpu.load(0x6000) == b"noitseuq"
    assert seen == [hsl.Doorbell(hsl.PageRegister.DOORBELL, 0x6000, src=2)]
    assert callable(serve)


def test_handlers_run_one_at_a_time(gpu: hsl.AttachedDevice) -> None:
    """The doorbells of many calls are handled in order, and never two at once."""
    running = threading.Lock()
    values: list[int] = []
    done = threading.Event()

    @gpu.on_doorbell
    def serve(doorbell: hsl.Doorbell) -> None:
        assert running.acquire(blocking=False)
        values.append(doorbell.value)
        gpu.load(0x40)
        running.release()
        if doorbell.value == 9:
            done.set()

    for number in range(10):
        gpu.intr(hsl.JobVector.CALL, number)
        while number not in values:  # an interrupt of the same vector before it is seen is merged (5.10)
            gpu.fence()
    assert done.wait(ANSWERED)
    assert values == list(range(10))


def test_wait_doorbell(gpu: hsl.AttachedDevice) -> None:
    """Without a handler a script waits for each doorbell; None when there is none in time."""
    assert gpu.wait_doorbell(0) is None
    gpu.intr(hsl.JobVector.CALL, 0x77)
    assert gpu.wait_doorbell(ANSWERED) == hsl.Doorbell(0, 0x77, 2)
    assert gpu.wait_doorbell(0.05) is None
    gpu.on_doorbell(print)
    with pytest.raises(hsl.ConfigError, match="the handler of on_doorbell takes the doorbells"):
        gpu.wait_doorbell()


def test_doorbells_before_the_handler_are_kept(gpu: hsl.AttachedDevice) -> None:
    """A doorbell that was rung before there is a handler waits for one."""
    gpu.intr(hsl.JobVector.CALL, 5)
    while not gpu._core.device.bells:
        gpu.fence()
    came = threading.Event()
    gpu.on_doorbell(lambda doorbell: came.set())
    assert came.wait(ANSWERED)


def fail(doorbell: hsl.Doorbell) -> None:
    raise ZeroDivisionError(f"of {doorbell.value}")


def test_exception_of_a_handler(gpu: hsl.AttachedDevice) -> None:
    """An exception in a handler is raised by the next call, once; later doorbells are handled."""
    gpu.on_doorbell(fail)
    gpu.intr(hsl.JobVector.CALL, 1)
    with pytest.raises(ZeroDivisionError, match="of 1"):  # noqa: PT012 - one of many calls raises
        while True:
            gpu.load(0x40)
    assert gpu.load(0x40) == bytes(8)
    came = threading.Event()
    gpu.on_doorbell(lambda doorbell: came.set())
    gpu.intr(hsl.JobVector.CALL, 2)
    assert came.wait(ANSWERED)


def test_exception_of_a_handler_at_the_end(cpu: Cpu) -> None:
    """An exception in a handler that no call has raised is raised at the end of the block."""
    failed = threading.Event()

    def handler(doorbell: hsl.Doorbell) -> None:
        failed.set()
        fail(doorbell)

    with pytest.raises(ZeroDivisionError, match="of 3"), hsl.attach(cpu.uri) as gpu:  # noqa: PT012
        gpu.on_doorbell(handler)
        gpu.intr(hsl.JobVector.CALL, 3)
        assert failed.wait(ANSWERED)


def test_closing_waits_for_a_handler(cpu: Cpu) -> None:
    """A handler that runs when the block ends may end first."""
    began, values = threading.Event(), list[bytes]()

    def handler(doorbell: hsl.Doorbell) -> None:
        began.set()
        values.extend(mine.load(0x40 * n) for n in range(50))

    with hsl.attach(cpu.uri) as mine:
        mine.on_doorbell(handler)
        mine.intr(hsl.JobVector.CALL)
        assert began.wait(ANSWERED)
    assert len(values) == 50


def test_a_handler_may_close(cpu: Cpu) -> None:
    """A handler may close the device; the block then ends as usual."""
    closed = threading.Event()

    def handler(doorbell: hsl.Doorbell) -> None:
        mine.close()
        closed.set()

    with hsl.attach(cpu.uri) as mine:
        mine.on_doorbell(handler)
        mine.intr(hsl.JobVector.CALL)
        assert closed.wait(ANSWERED)
    assert not mine.ready


# ---- arguments


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        ("gpu.load(64 << 20)", hsl.AddressError, r"0x4000000 is in no memory; there are hostmem 0x0\.\."),
        ("gpu.store(-1, b'x')", hsl.AddressError, "-0x1 is in no memory"),
        ("gpu.load_many([0, 1 << 50])", hsl.AddressError, "load_many of 64 bytes at 0x4"),
        ("gpu.store_many([1 << 50], np.zeros((1, 1), np.uint8))", hsl.AddressError, "is in no memory"),
        ("gpu.flush(1 << 50)", hsl.AddressError, "is in no memory"),
        ("gpu.atomic('add', 1 << 50, 1)", hsl.AddressError, "is in no memory"),
        ("gpu.ncread(0)", hsl.AddressError, r"no node has registers there; there are 0x10000000000\.\."),
        ("gpu.ncread((1 << 40) + 4092, 8)", hsl.AddressError, "no node has registers there"),
        ("gpu.ncwrite(1 << 50, 1)", hsl.AddressError, "no node has registers there"),
        ("gpu.ncread(1 << 40, 3)", hsl.ConfigError, "sizes are"),
        ("gpu.ncwrite((1 << 40) + 4, 1)", hsl.ConfigError, "multiple of the size"),
        ("gpu.ncwrite(1 << 40, -1)", hsl.ConfigError, "data is -1"),
        ("gpu.load('0')", hsl.ConfigError, "addr is '0'"),
        ("gpu.load(0, 0)", hsl.ConfigError, "size is 0"),
        ("gpu.store(0, 'text')", hsl.ConfigError, "data is of type str"),
        ("gpu.atomic('inc', 0, 1)", hsl.ConfigError, "unknown atomic operation"),
        ("gpu.fence('all')", hsl.ConfigError, "the kind must be one of"),
        ("gpu.intr(4)", hsl.ConfigError, "vector is 4; it must be 0 to 3"),
        ("gpu.intr(0, 1 << 32)", hsl.ConfigError, "data is 4294967296"),
        ("gpu.atomic('fadd64', 0, 1.0)", hsl.TransactionError, "ended with UNSUP"),
    ],
)
def test_bad_argument_of_a_call(
    gpu: hsl.AttachedDevice, call: str, kind: type[hsl.HslError], words: str
) -> None:
    """An argument that cannot be used is refused as by hsl.Agent, and the device goes on."""
    with pytest.raises(kind, match=words):
        eval(call, {"gpu": gpu, "np": np})  # noqa: S307
    assert gpu.load(0x40) == bytes(8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("5", "uri is 5; it must be a str"),
        ("'nonsense'", "is not the address of a link"),
        ("'loopback:'", "has no sockets"),
        ("'tcp://127.0.0.1:0'", "port 0: nobody listens there"),
        ("'tcp://127.0.0.1:0', listen=True", "port 0: the CPU could not know"),
        ("URI, nid=1009", "nid is 1009; it must be 0 to 1008"),
        ("URI, nid='16'", "nid is '16'; it must be an integer"),
        ("URI, memory_bytes=4097", "memory_bytes is 4097; it must be a multiple of 4096, 0 to 1073741824"),
        ("URI, memory_bytes=-4096", "memory_bytes is -4096"),
        ("URI, sets=0", "sets is 0; it must be 1 to 65536"),
        ("URI, ways=65", "ways is 65; it must be 1 to 64"),
        ("URI, tu=17", "tu 17: .* expected 18 to 24 on sockets"),
        ("URI, wait=-1", "wait is -1; it must be a number of seconds"),
        ("URI, wait=float('nan')", "wait is nan"),
        ("URI, timeout='1'", "timeout is '1'"),
        ("URI, faults='nonsense:1'", "invalid fault 'nonsense:1'"),
        ("URI, faults=2", "faults is 2"),
        ("URI, seed=-1", "seed is -1; it must be 0 to"),
        ("URI, capture=5", "capture is 5; it must be the path of a file"),
        ("URI, capture=''", "capture is ''"),
    ],
)
def test_bad_option(options: str, words: str) -> None:
    """An option that cannot be used is a ConfigError before anybody is called."""
    for name in ("attach", "attach_async"):
        with pytest.raises(hsl.ConfigError, match=words):
            eval(f"hsl.{name}({options})", {"hsl": hsl, "URI": "tcp://127.0.0.1:1"})  # noqa: S307


def test_numbers_of_numpy(cpu: Cpu) -> None:
    """Options and arguments may be scalars of numpy."""
    with hsl.attach(cpu.uri, nid=np.int64(16), wait=np.float64(5), timeout=np.int32(60)) as gpu:  # type: ignore[arg-type]
        gpu.store(np.int64(0x7000), np.arange(4, dtype=np.uint8))  # type: ignore[arg-type]
        assert gpu.load(np.uint64(0x7000), np.int8(4)) == bytes(range(4))  # type: ignore[arg-type]
        assert gpu.atomic("add", 0x7040, np.int16(3)) == 0  # type: ignore[type-var]


# ---- capture and faults


def test_capture_and_faults(cpu: Cpu, tmp_path: Path) -> None:
    """The link repairs the faults of what a device sends; the capture has the flits of both directions."""
    path = tmp_path / "gpu.pcapng"
    with hsl.attach(cpu.uri, faults="crc:0.03,drop:0.03", seed=5, capture=path) as gpu:
        lines = 0x30_0000 + LINE_BYTES * np.arange(100)
        gpu.store_many(lines, np.ones((100, 64), np.uint8))
        assert gpu.load_many(lines).all()
    with path.open("rb") as stream:
        reader = hsl.Reader(stream)
        packets = list(reader)
    assert [str(lane) for lane in reader.lanes] == ["link0 gpu->cpu", "link0 cpu->gpu"]
    assert {packet.interface for packet in packets} == {0, 1}
    comments = [comment for packet in packets for comment in packet.comments]
    assert any("fault" in comment for comment in comments)
    assert any("link up" in comment for comment in comments)


def test_a_capture_that_cannot_be_written(cpu: Cpu, tmp_path: Path) -> None:
    """A capture that cannot be opened is a CaptureError, and no thread is left."""
    before = threading.active_count()
    with pytest.raises(hsl.CaptureError, match="No such file"):
        hsl.attach(cpu.uri, capture=tmp_path / "no" / "x.pcapng")
    assert threading.active_count() == before


def test_the_first_failure_of_a_handler_is_raised(gpu: hsl.AttachedDevice) -> None:
    """A later one does not hide it."""
    served: list[int] = []

    @gpu.on_doorbell
    def fails(bell: hsl.Doorbell) -> None:
        served.append(bell.value)
        raise ValueError(bell.value)

    for number in (1, 2):
        gpu._hand_over(gpu._core.results(gpu._calls.intr(hsl.JobVector.CALL, number).accesses))
        while number not in served:
            gpu._hand_over(gpu._core.results([]))
    with pytest.raises(ValueError, match=r"^1$"):
        gpu.load(0)
