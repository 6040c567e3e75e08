"""A CPU and a GPU share memory over a faulty link: `python examples/two_nodes.py [CAPTURE.pcapng]`.

Everything runs in this process, in virtual time; the same seed gives the same capture, to the byte.
"""

import sys

import numpy as np

import hsl

BUFFER, COUNTER = 0x1_0000, 0x2_0000  # in host memory


def main(capture: str | None) -> int:
    """Hand a buffer from the GPU to the CPU; return the exit code."""
    with hsl.System(gpus=1, seed=7, faults="crc:5e-3,drop:5e-3", capture=capture) as s:
        # One value: the GPU stores it, the CPU loads it. The caches stay coherent by themselves.
        s.gpu.store(0x40, b"hello")
        print("the CPU reads", s.cpu.load(0x40, 5))

        # Both count with atomics; each call returns the old value.
        for agent in (s.cpu, s.gpu, s.gpu):
            print(agent.name, "finds", agent.atomic("add", COUNTER, 1))

        # A buffer of 200 lines, as numpy arrays: the accesses are pipelined.
        lines = BUFFER + 64 * np.arange(200)
        data = np.random.default_rng(7).integers(0, 256, (200, 64), dtype=np.uint8)
        began = s.now
        s.gpu.store_many(lines, data)
        good = bool((s.cpu.load_many(lines) == data).all())
        print(f"{data.nbytes} bytes from the GPU to the CPU in {s.now - began} ns of virtual time, {good=}")

    # The link repaired every fault; the agents did not notice one.
    report = s.report()
    print(
        f"{report['flits']} flits, of them hit: {report['injected']}, replayed: {report['links']['replays']}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else None))
