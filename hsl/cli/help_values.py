"""Names and limits that help shows, and that belong to packages which help must not import.

Importing the engines takes longer than printing help may take. `tests/cli/test_help_values.py` compares each
row with its owner.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ARRAY_KERNELS",
    "CACHE_SETS",
    "CACHE_WAYS",
    "COUNTING_KERNELS",
    "DEFAULT_INPUT",
    "FORMATS",
    "HOMES",
    "IDLE",
    "LEAST_CAPTURE",
    "LITMUS_FAULTS",
    "LONG_THREADS",
    "MAX_BER",
    "MAX_BURST",
    "MAX_DELAY_NS",
    "MAX_GPUS",
    "MAX_JOBS",
    "MAX_LANES",
    "MAX_MESSAGES",
    "MAX_RATE",
    "MAX_RUNS",
    "MEMORY_MODELS",
    "MIN_RATE",
    "PROGRAM_CACHES",
    "STRESS_DEFAULTS",
    "STRESS_HAND_OVER",
    "STRESS_KINDS",
    "STRESS_LIMITS",
    "STRESS_VIA",
]

FORMATS: Final = ("L64", "B256")
COUNTING_KERNELS: Final = ("wordcount", "histogram", "ring")
IDLE: Final = "none"  # of --kernel: a CPU without a program
DEFAULT_INPUT: Final = "the specification"  # what a demo without --input counts, in help and report
ARRAY_KERNELS: Final = ("saxpy", "reduction", "matmul")
# The values of --home. A command may take fewer of them.
HOMES: Final = {
    "hostmem": "CPU memory, home at the CPU",
    "host": "device memory, home at the CPU",
    "device": "device memory, home at the device",
    "interleaved": "homes alternate",
    "memory": "a node of its own",
}
MAX_GPUS: Final = 8
MAX_BURST: Final = 1 << 10  # flits
LEAST_CAPTURE: Final = 1 << 16  # bytes of a file of --capture-size

# hsl perf program
PROGRAM_CACHES: Final = ("cpu", "gpu", "both")
CACHE_SETS: Final = 1 << 16
CACHE_WAYS: Final = 64

# hsl check
MEMORY_MODELS: Final = ("hsl", "sc", "tso")

# hsl litmus
LONG_THREADS: Final = 4  # tests of so many threads run with --long
LITMUS_FAULTS: Final = "crc:0.03,drop:0.03"
MAX_RUNS: Final = 1 << 24
MAX_JOBS: Final = 64

# hsl link predict
MIN_RATE: Final = 0.001  # GT/s
MAX_RATE: Final = 1000
MAX_LANES: Final = 64
MAX_BER: Final = 1e-4
MAX_DELAY_NS: Final = 100_000
MAX_MESSAGES: Final = 1 << 20

# hsl stress: name, least and greatest value; the default.
STRESS_LIMITS: Final = {
    "ops": (1, 1 << 40),
    "cpu": (0, 12),
    "gpu": (0, 8),
    "lines": (1, 4096),
    "threads": (1, 8),
    "sets": (1, 1024),
    "ways": (1, 64),
    "mshrs": (1, 64),
    "tshrs": (1, 64),
    "directory_lines": (1, 1 << 16),
}
STRESS_DEFAULTS: Final = {
    "ops": 10_000,
    "cpu": 2,
    "gpu": 2,
    "lines": 16,
    "threads": 2,
    "sets": 2,
    "ways": 2,
    "mshrs": 4,
    "tshrs": 4,
    "directory_lines": 1 << 16,
}
STRESS_VIA: Final = ("messages", "links")
STRESS_HAND_OVER: Final = ("mixed", "all", "none")
STRESS_KINDS: Final = ("poison", "fences", "ncr", "translation", "moves", "timeouts")
