"""The names and limits that help repeats are those of the packages that own them."""

from typing import Any

import pytest

from hsl.capture.sink import LEAST_SIZE
from hsl.cli import help_values, litmus
from hsl.codec.flit import FORMATS
from hsl.emulator import array_cpu, array_kernels, kernels, program_run, topology
from hsl.perf import predict
from hsl.transport import fault_plan
from hsl.verify import stress_config
from hsl.verify.memory_graph import MODELS

STRESS = stress_config.StressConfig()
# Each row: what help shows, and what its owner says.
ROWS: dict[str, tuple[Any, Any]] = {
    "flit formats": (help_values.FORMATS, tuple(FORMATS)),
    "counting kernels": (help_values.COUNTING_KERNELS, tuple(kernels.KERNELS)),
    "array kernels": (help_values.ARRAY_KERNELS, tuple(array_kernels.ARRAY_KERNELS)),
    "homes": (tuple(help_values.HOMES), array_cpu.HOMES),
    "homes of a program": (tuple(help_values.HOMES)[:4], tuple(program_run.HOMES)),
    "homes of stress": (tuple(help_values.HOMES)[:4], tuple(stress_config.HOMES)),
    "GPUs": (help_values.MAX_GPUS, topology.MAX_GPUS),
    "burst": (help_values.MAX_BURST, fault_plan.MAX_BURST),
    "capture": (help_values.LEAST_CAPTURE, LEAST_SIZE),
    "caches of a program": (help_values.PROGRAM_CACHES, program_run.CACHES),
    "sets": ((1, help_values.CACHE_SETS), topology.LIMITS["core_sets"]),
    "sets of an L2": ((1, help_values.CACHE_SETS), topology.LIMITS["l2_sets"]),
    "ways": ((1, help_values.CACHE_WAYS), topology.LIMITS["core_ways"]),
    "ways of an L2": ((1, help_values.CACHE_WAYS), topology.LIMITS["l2_ways"]),
    "memory models": (set(help_values.MEMORY_MODELS), set(MODELS)),
    "threads of a long test": (help_values.LONG_THREADS, litmus.LONG_THREADS),
    "faults of litmus": (help_values.LITMUS_FAULTS, litmus.FAULTS),
    "rates": ((help_values.MIN_RATE, help_values.MAX_RATE), (predict.MIN_RATE, predict.MAX_RATE)),
    "lanes": (help_values.MAX_LANES, predict.MAX_LANES),
    "bit errors": (help_values.MAX_BER, predict.MAX_BER),
    "delay": (help_values.MAX_DELAY_NS, predict.MAX_DELAY_NS),
    "messages": (help_values.MAX_MESSAGES, predict.MAX_MESSAGES),
    "stress limits": (
        help_values.STRESS_LIMITS,
        {name: row for name, row in stress_config.LIMITS.items() if name != "seed"},
    ),
    "stress defaults": (
        help_values.STRESS_DEFAULTS,
        {name: getattr(STRESS, name) for name in stress_config.LIMITS if name != "seed"},
    ),
    "stress ways": (help_values.STRESS_VIA, stress_config.VIA),
    "stress kinds": (help_values.STRESS_KINDS, tuple(stress_config.KINDS)),
}


@pytest.mark.parametrize("name", ROWS)
def test_help_repeats_its_owner(name: str) -> None:
    """A name or a limit that help shows is the one that the engine has."""
    shown, owned = ROWS[name]
    assert shown == owned
