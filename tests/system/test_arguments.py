"""hsl.System: arguments and addresses that are refused."""

from __future__ import annotations

import numpy as np
import pytest

import hsl

LOAD_ERRORS = {
    "0x100000": "load of 8 bytes at 0x100000: 0x100000 is in no memory; there are hostmem 0x0..0xfffff",
    "0xffffc": "0x100000 is in no memory",
    "-8": "-0x8 is in no memory",
}


@pytest.mark.parametrize("addr", LOAD_ERRORS)
def test_address_outside(s: hsl.System, addr: str) -> None:
    """An address outside the memories is an AddressError that names the ranges."""
    with pytest.raises(hsl.AddressError, match=LOAD_ERRORS[addr]) as caught:
        s.cpu.load(int(addr, 0))
    assert caught.value.code == hsl.Err.DECODE
    for name, memory in s.memory_map.items():
        assert f"{name} {memory}" in str(caught.value)


@pytest.mark.parametrize(
    "call",
    [
        "s.cpu.store(0xFFFFF, bytes(2))",
        "s.cpu.store_many([0, 0x100000], np.zeros((2, 1), np.uint8))",
        "s.cpu.load_many([0, 0x100000])",
        "s.cpu.flush(0xFFFFF, 2)",
        "s.gpu.atomic('add', 0x100000, 1)",
    ],
)
def test_every_call_checks_its_addresses(s: hsl.System, call: str) -> None:
    """Each blocking call refuses an address outside the memories, as load does."""
    with pytest.raises(hsl.AddressError, match=r"0x100000 is in no memory"):
        eval(call, {"s": s, "np": np})  # noqa: S307


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("s.cpu.load(0, 0)", "size is 0; it must be at least 1"),
        ("s.cpu.store(0, b'')", "size of the data is 0"),
        ("s.cpu.store(0, 'text')", "data is of type str"),
        ("s.cpu.store(0, 5)", "data is of type int"),
        ("s.cpu.flush(0, 0)", "size is 0"),
        ("s.cpu.fence('write')", "the kind must be one of load, store, ncr"),
        ("s.run(0)", "ns is 0"),
        ("s.gpu.load_many([1.5])", "integers in one dimension, not float64"),
        ("s.gpu.load_many([[1]])", r"integers in one dimension, not int64 of shape \(1, 1\)"),
        ("s.gpu.store_many([0], np.zeros((1, 4)))", r"uint8 of shape \(1, size\), not float64"),
        ("s.gpu.load_many([True])", "integers in one dimension, not bool"),
        ("s.gpu.store_many([0], np.zeros((1, 4), np.int8))", "must be uint8 .* not int8"),
        ("s.gpu.store_many([0, 64], np.zeros((1, 4), np.uint8))", r"2 addresses must be uint8"),
        ("s.gpu.atomic('inc', 0, 1)", "unknown atomic operation 'inc'; expected add, "),
        ("s.gpu.atomic('fad64', 0, 1.0)", r"unknown .*; did you mean fadd64\?"),
        ("s.gpu.atomic('cas', 0, 1)", "cas needs a value"),
        ("s.gpu.atomic('add', 0, 1, compare=1)", "other operations take none"),
        ("s.gpu.atomic('add', 4, 1)", "ADD of 8 bytes at 0x4"),
        ("s.gpu.atomic('add', 0, 1, size=3)", "ADD of 3 bytes"),
        ("s.gpu.atomic('add', 0, 1 << 64)", "does not fit 8 bytes"),
        ("s.gpu.atomic('add', 0, 1.5)", "operand 1.5 must be bytes or int"),
        ("s.gpu.atomic('fadd64', 0, 1)", "operand 1 must be bytes or float"),
        ("s.gpu.atomic('fadd64', 0, 1.5, size=3)", "FADD64 of 3 bytes; expected 8"),
        ("s.gpu.atomic('fadd32', 0, 1e300)", r"operand 1e\+300 does not fit 4 bytes"),
        ("s.gpu.atomic('fadd2xfp16', 0, 1)", "operand 1 must be bytes$"),
        ("s.gpu.atomic('fadd2xbf16', 0, 1.5)", "operand 1.5 must be bytes$"),
        ("s.gpu.atomic('cas', 0, b'12345678', compare=b'1')", "operand of 1 bytes, expected 8"),
        ("s.gpu.submit(hsl.Access('load', 60, 8))", "stays inside the line"),
        ("hsl.System(seed=-1)", "seed is -1; it must be 0 to 18446744073709551615"),
        ("hsl.System(gpus=9)", "gpus = 9"),
        ("hsl.System(memory_bytes=1 << 31)", "memory_bytes = 2147483648; expected 131072"),
        ("hsl.System(topology='ring')", "topology is 'ring'; it must be star, mesh, or a file that exists"),
        ("hsl.System(topology='x' * 300)", "or a file that exists"),
        ("hsl.System(topology={'colour': 1})", "colour"),
        ("hsl.System(faults='rust:1e-3')", "invalid fault 'rust:1e-3'"),
        ("hsl.System(faults='crc:0.1:link=1')", "links are 0..0"),
        ("hsl.System(engine='fast')", "engine 'fast'"),
        ("hsl.System(seed='7')", "seed is '7'; it must be an integer"),
        ("hsl.System(faults=2.0)", "faults is 2.0; it must be a rate from 0 to 1"),
        ("hsl.System(faults=float('nan'))", "faults is nan"),
        ("hsl.System(faults=None)", "faults is None"),
        ("hsl.System(faults='2')", "rate 2 of faults; expected 0 to 1"),
        ("hsl.System(topology=None)", "topology is None; it must be star, mesh"),
        ("hsl.System(capture=5)", "capture is 5; it must be the path of a file"),
        ("s.cpu.load('0x40')", "addr is '0x40'; it must be an integer"),
        ("s.cpu.load(0, 1.5)", "size is 1.5; it must be an integer"),
        ("s.cpu.store(None, b'x')", "addr is None"),
        ("s.cpu.flush('0')", "addr is '0'"),
        ("s.cpu.load_many([0], '8')", "size is '8'"),
        ("s.cpu.load_many([[1], [2, 3]])", "addresses: .*inhomogeneous"),
        ("s.cpu.store_many([0], [[1], [2, 3]])", "data: .*inhomogeneous"),
        ("s.cpu.store(0, np.array([None]))", "data is an array of object"),
        ("s.cpu.store(0, np.zeros(1, [('a', object)]))", "it must be an array of numbers or bytes"),
        ("s.cpu.store(0, memoryview(np.array([None])))", "data is a buffer of objects"),
        ("s.gpu.atomic(1, 0, 1)", "atomic operation 1 is of type int"),
        ("s.gpu.atomic('add', '0', 1)", "addr is '0'"),
        ("s.gpu.atomic('add', 0, 1, size='4')", "size is '4'"),
        ("s.gpu.submit(5)", r"submit\(5\): expected an hsl.Access"),
        ("s.gpu.submit(hsl.Access('load', '0', 4))", "addr is '0'"),
        ("s.gpu.submit(hsl.Access('store', 0, 4, 'text'))", "data is of type str"),
        ("s.wait([])", r"wait\(\[\]\): expected tickets, as in wait\(first, second\)"),
        ("s.run('1')", "ns is '1'"),
    ],
)
def test_bad_argument(s: hsl.System, call: str, words: str) -> None:
    """An argument that cannot be used is a ConfigError that says what must be."""
    with pytest.raises(hsl.ConfigError, match=words):
        eval(call, {"s": s, "hsl": hsl, "np": np})  # noqa: S307


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
        ("hsl.System(gpus=10**5000)", "gpus = a number of more than 40 digits; expected 1..8"),
        ("hsl.System(topology={1: 2, 'a': 3})", "unknown setting"),
        ("hsl.System(capture='a\\0b')", r"capture is 'a\\x00b'; it must be the path of a file"),
        ("hsl.System(capture='\\ud800')", r"capture is '\\ud800'; it must be the path of a file"),
    ],
)
def test_hostile_argument(s: hsl.System, call: str, words: str) -> None:
    """An argument that no program means is a ConfigError that says what must be."""
    with pytest.raises(hsl.ConfigError, match=words):
        eval(call, {"s": s, "hsl": hsl, "np": np})  # noqa: S307
