"""A device of your own at a running CPU: `python examples/attach.py tcp://127.0.0.1:7410 [LOADS]`.

Start the CPU first: `hsl node cpu --listen tcp://127.0.0.1:7410 --kernel none`. LOADS is 100000 if not given.
"""

import queue
import time

import click
import numpy as np

import hsl

GREETING, COUNTER, JOB, TABLE = 0x1000, 0x2000, 0x3000, 0x10_0000  # in the memory of the CPU
WORKING_SET = 1 << 14  # lines: 1 MiB, more than the cache of the device holds


def share_memory(gpu: hsl.AttachedDevice) -> None:
    """Store, load and count in the memory of the CPU, and in that of the device."""
    gpu.store(GREETING, b"hello")
    print("loaded", gpu.load(GREETING, 5))
    print("the counter was", gpu.atomic("add", COUNTER, 1))
    assert gpu.memory is not None
    gpu.store(gpu.memory.base, b"mine")
    print("memory of the device:", gpu.memory, "begins with", gpu.load(gpu.memory.base, 4))


def answer_a_doorbell(gpu: hsl.AttachedDevice) -> None:
    """Ask the CPU for a doorbell, and do the job that it names: add up the numbers of a line."""
    done: queue.Queue[int] = queue.Queue()

    @gpu.on_doorbell
    def serve(doorbell: hsl.Doorbell) -> None:  # in a thread of its own
        numbers = np.frombuffer(gpu.load(doorbell.value, 32), np.uint64)
        total = int(numbers.sum())
        gpu.store(doorbell.value + 32, total.to_bytes(8, "little"))
        gpu.intr(hsl.JobVector.DONE, 1)
        done.put(total)

    gpu.store(JOB, np.array([1, 2, 3, 4], np.uint64))
    gpu.intr(hsl.JobVector.CALL, JOB)  # the CPU writes JOB to the register DOORBELL
    print("the job was done; the sum is", done.get(timeout=30))


def measure(gpu: hsl.AttachedDevice, count: int) -> None:
    """Time `count` loads over the link, and as many in the cache: what all but the link costs."""
    over_link = TABLE + 64 * (np.arange(count) % WORKING_SET)
    gpu.load(TABLE)
    rates = []
    for addrs in (over_link, np.full(count, TABLE)):
        began = time.perf_counter()
        gpu.load_many(addrs)
        rates.append(count / (time.perf_counter() - began))
    link, cache = rates
    print(f"{count} loads over the link: {link:.0f}/s; in the cache: {cache:.0f}/s; {cache / link:.1f} to 1")


@click.command(help=__doc__)
@click.argument("uri")
@click.argument("loads", type=click.IntRange(1), default=100_000)
def main(uri: str, loads: int) -> None:
    """Attach to the CPU at `uri`, and try each kind of call."""
    try:
        with hsl.attach(uri) as gpu:
            print(gpu)
            share_memory(gpu)
            answer_a_doorbell(gpu)
            measure(gpu, loads)
    except hsl.HslError as error:
        raise SystemExit(f"attach: {error}") from None


if __name__ == "__main__":
    main()
