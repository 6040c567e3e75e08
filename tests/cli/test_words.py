"""The names and limits that help repeats are those of the packages that own them."""

from typing import Any

import pytest

from hsl.capture.sink import LEAST_SIZE
from hsl.cli import litmus, words
from hsl.codec.flit import FORMATS
from hsl.emulator import array_cpu, array_kernels, kernels, program_run, topology
from hsl.perf import predict
from hsl.transport import fault_plan
from hsl.verify import stress_config
from hsl.verify.memory_graph import MODELS

STRESS = stress_config.StressConfig()
# Each row: what help shows, and what its owner says.
ROWS: dict[str, tuple[Any, Any]] = {
    "flit formats": (words.FORMATS, tuple(FORMATS)),
    "counting kernels": (words.COUNTING_KERNELS, tuple(kernels.KERNELS)),
    "array kernels": (words.ARRAY_KERNELS, tuple(array_kernels.ARRAY_KERNELS)),
    "homes": (tuple(words.HOMES), array_cpu.HOMES),
    "homes of a program": (tuple(words.HOMES)[:4], tuple(program_run.HOMES)),
    "homes of stress": (tuple(words.HOMES)[:4], tuple(stress_config.HOMES)),
    "GPUs": (words.MAX_GPUS, topology.MAX_GPUS),
    "burst": (words.MAX_BURST, fault_plan.MAX_BURST),
    "capture": (words.LEAST_CAPTURE, LEAST_SIZE),
    "caches of a program": (words.PROGRAM_CACHES, program_run.CACHES),
    "sets": ((1, words.CACHE_SETS), topology.LIMITS["core_sets"]),
    "sets of an L2": ((1, words.CACHE_SETS), topology.LIMITS["l2_sets"]),
    "ways": ((1, words.CACHE_WAYS), topology.LIMITS["core_ways"]),
    "ways of an L2": ((1, words.CACHE_WAYS), topology.LIMITS["l2_ways"]),
    "memory models": (set(words.MEMORY_MODELS), set(MODELS)),
    "threads of a long test": (words.LONG_THREADS, litmus.LONG_THREADS),
    "faults of litmus": (words.LITMUS_FAULTS, litmus.FAULTS),
    "rates": ((words.MIN_RATE, words.MAX_RATE), (predict.MIN_RATE, predict.MAX_RATE)),
    "lanes": (words.MAX_LANES, predict.MAX_LANES),
    "bit errors": (words.MAX_BER, predict.MAX_BER),
    "delay": (words.MAX_DELAY_NS, predict.MAX_DELAY_NS),
    "messages": (words.MAX_MESSAGES, predict.MAX_MESSAGES),
    "stress limits": (
        words.STRESS_LIMITS,
        {name: row for name, row in stress_config.LIMITS.items() if name != "seed"},
    ),
    "stress defaults": (
        words.STRESS_DEFAULTS,
        {name: getattr(STRESS, name) for name in stress_config.LIMITS if name != "seed"},
    ),
    "stress ways": (words.STRESS_VIA, stress_config.VIA),
    "stress kinds": (words.STRESS_KINDS, tuple(stress_config.KINDS)),
}


@pytest.mark.parametrize("name", ROWS)
def test_help_repeats_its_owner(name: str) -> None:
    """A name or a limit that help shows is the one that the engine has."""
    shown, owned = ROWS[name]
    assert shown == owned
