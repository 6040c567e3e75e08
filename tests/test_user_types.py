"""A user's script under `mypy --strict`: the types that the package promises by py.typed.

Running it shows little; mypy, which checks this file with the others, fails where a name of hsl has another
type, or where a mistake that is marked here is none.
"""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import hsl


def test_types_of_a_system() -> None:
    """Each call of a system has an exact type, none is Any."""
    with hsl.System(gpus=1, seed=7, faults="crc:1e-3", memory_bytes=1 << 17, device_bytes=1 << 16) as s:
        assert_type(s, hsl.System)
        assert_type(s.gpu, hsl.Agent)
        assert_type(s.gpus[0].memory, hsl.MemoryRange)
        assert_type(s.cpu.load(0x40, 5), bytes)
        assert_type(s.gpu.atomic("add", 0x80, 1), int)
        assert_type(s.gpu.atomic("swap", 0x80, bytes(8)), bytes)
        assert_type(s.gpu.atomic("fadd64", 0x80, 1.5), float)
        assert_type(s.gpu.load_many(s.host_memory.lines[:2]), npt.NDArray[np.uint8])
        ticket = s.cpu.submit(hsl.Access("load", 0x40, 8))
        assert_type(ticket, hsl.Ticket)
        assert_type(s.wait(ticket), list[bytes])
        assert_type(s.now, int)
        assert_type(s.report(), dict[str, Any])


def test_types_of_a_flit() -> None:
    """The names of flits and errors are types, and no Any."""
    data = hsl.encode_flit(hsl.Flit("L64", hsl.FlitType.NOP))
    assert_type(data, bytes)
    assert_type(hsl.decode_flit(data, "L64"), hsl.Flit)
    error: type[hsl.HslError] = hsl.AddressError
    assert issubclass(error, hsl.ConfigError)


def mistakes(s: hsl.System) -> None:
    """What mypy must refuse."""
    hsl.System(gpu=1)  # type: ignore[call-arg]
    s.cpu.load("0x40", 8)  # type: ignore[arg-type]
    s.gpu.store(0x40, "text")  # type: ignore[arg-type]
    hsl.Nonsense  # type: ignore[attr-defined]  # noqa: B018
