"""hsl.System with arguments of every type and size: one error of ours, in few words."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import hsl


@pytest.fixture
def s() -> Iterator[hsl.System]:
    """A CPU and a GPU without faults."""
    with hsl.System(memory_bytes=1 << 20, device_bytes=1 << 20) as opened:
        yield opened


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("s.run(1 << 63)", "ns is 9223372036854775808; virtual time ends at 1152921504606846976 ns"),
        ("hsl.System(flit=np.array([1, 2]))", "flit = "),
        ("hsl.System(engine=np.array([1, 2]))", "unknown engine"),
        ("s.cpu.fence([])", r"fence\(\[\]\): the kind must be one of"),
        ("s.cpu.load(0, 10**5000)", "size is a number of more than 40 digits"),
        ("s.cpu.load(10**5000)", "addr is a number of more than 40 digits; it must have at most 128 bits"),
        ("s.run(-10**5000)", "ns is a number of more than 40 digits"),
        ("s.gpu.atomic('add', 0, 1, size=1 << 40)", "ADD of 1099511627776 bytes"),
        ("hsl.System(seed=10**5000)", "seed is a number of more than 40 digits"),
        ("hsl.System(gpus=10**5000)", "gpus = a number of more than 40 digits; expected 1..4"),
        ("hsl.System(topology={1: 2, 'a': 3})", "unknown setting"),
        ("hsl.System(capture='a\\0b')", r"capture is 'a\\x00b'; it must be the path of a file"),
        ("hsl.System(capture='\\ud800')", r"capture is '\\ud800'; it must be the path of a file"),
    ],
)
def test_hostile_argument(s: hsl.System, call: str, words: str) -> None:
    """An argument that no program means is a ConfigError that says what must be."""
    with pytest.raises(hsl.ConfigError, match=words):
        eval(call, {"s": s, "hsl": hsl, "np": np})  # noqa: S307
