"""What the generator makes for other languages: JSON, a C header, a SystemVerilog package."""

import json
import subprocess
import tomllib
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any

import pytest

from hsl._generated import constants, layouts, tables
from spec.gen.load import ROOT
from spec.gen.names import ENUMS
from spec.gen.symbols import PREFIXES
from tests.codec.cases import V2, V3

GENERATED = ROOT / "generated"
NUMBERS = {
    name: value
    for name, value in vars(constants).items()
    if name.isupper() and isinstance(value, int) and not name.startswith("PAL_")
}
WORDS = {"H0": layouts.H0_FIELDS, "H1": layouts.H1_FIELDS, "A0": layouts.A0_FIELDS, "A1": layouts.A1_FIELDS,
         "B0": layouts.B0_FIELDS, "COMMON": layouts.COMMON_FIELDS}  # fmt: skip
# C enumerations of the generated Python whose names have a prefix of their own.
STATES = {"LINK_STATE": list(constants.LinkState.__members__), "RA_STATE": list(tables.RA_STATES)}


def named() -> Iterator[tuple[str, int]]:
    """Every constant and enumerator of the generated Python, as C and SystemVerilog name it."""
    yield from NUMBERS.items()
    yield from ((f"{name}_TU", timer.tu) for name, timer in constants.TIMERS.items())
    yield from ((f"MIN_CREDITS_{constants.Vc(vc).name}", least) for vc, least in tables.CREDIT_MINIMA.items())
    for table, enum in ENUMS.items():
        members: type[IntEnum | IntFlag] = getattr(constants, enum.python)
        yield from ((f"{PREFIXES[table]}_{name}", int(value)) for name, value in members.__members__.items())
    for prefix, states in STATES.items():
        yield from ((f"{prefix}_{state}", code) for code, state in enumerate(states))
    for name in ("L64_BYTES", "L64_GRANULES", "B256_CRC_OFFSET", "B256_PAYLOAD_OFFSET", "CAPS_BYTES"):
        yield name, getattr(layouts, name)


NAMED = dict(named())


def test_named_is_much() -> None:
    """The list that the other languages are compared with has all kinds of names."""
    assert {"SEQ_MODULUS", "T_REPLAY_TU", "OP_ReadShared", "FEATURE_UT", "ERROR_SOM", "LINK_STATE_L1"} <= set(
        NAMED
    )
    assert len(NAMED) > 240


# JSON


def same(found: Any, expected: Any, path: str = "spec") -> None:
    """The same keys, values and order of lists, all the way down."""
    assert type(found) is type(expected), path
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), path
        for key, value in expected.items():
            same(found[key], value, f"{path}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), path
        for place, value in enumerate(expected):
            same(found[place], value, f"{path}[{place}]")
    else:
        assert found == expected, path


def test_json_is_the_toml() -> None:
    """hsl_spec.json holds each document of the specification, field by field."""
    document = json.loads((GENERATED / "hsl_spec.json").read_text("utf-8"))
    assert document["schema_version"] == 1
    expected = {path.stem: tomllib.loads(path.read_text("utf-8")) for path in ROOT.glob("*.toml")}
    same(document["spec"], expected)
    document["spec"]["flits"]["header"][0]["fields"][2]["bits"] = "12:4"
    with pytest.raises(AssertionError, match=r"spec\.flits\.header\[0\]\.fields\[2\]\.bits"):
        same(document["spec"], expected)


# C


def compile_c(source: str, directory: Path) -> subprocess.CompletedProcess[str]:
    path = directory / "user.c"
    path.write_text(source, encoding="utf-8")
    command = [
        "cc",
        "-std=c11",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        f"-I{GENERATED}",
        "-c",
        str(path),
    ]
    return subprocess.run(
        [*command, "-o", str(directory / "user.o")], capture_output=True, text=True, check=False
    )


def assertions(values: dict[str, int]) -> str:
    """A C file that is compiled only if each name has its value."""
    lines = (f'_Static_assert(HSL_{name} == {value:#x}, "{name}");' for name, value in values.items())
    return '#include "hsl.h"\n#include "hsl.h"\n' + "\n".join(lines) + "\n"


def test_c_header_alone(tmp_path: Path) -> None:
    """The header needs no other one and has every name with its value; it may be included twice."""
    values = dict(NAMED)
    for word, rows in WORDS.items():
        for field, shift, mask in rows:
            values |= {f"{word}_{field.upper()}_SHIFT": shift, f"{word}_{field.upper()}_MASK": mask}
    at = 0
    for part in layouts.CAPS_RECORD.subcons:
        values |= {f"CAPS_{part.name.upper()}_OFFSET": at, f"CAPS_{part.name.upper()}_BYTES": part.sizeof()}
        at += part.sizeof()
    values |= {"CTL_BOND_FAIL_EXP_OFFSET": 4, "CTL_BOND_FAIL_EXP_COUNT": 8, "CTL_HELLO_GUID_BYTES": 8}
    result = compile_c(assertions(values), tmp_path)
    assert result.returncode == 0, result.stderr


def test_c_header_wrong_value(tmp_path: Path) -> None:
    """The test above fails for a value that differs."""
    result = compile_c(assertions({"OP_ReadShared": 0x21}), tmp_path)
    assert result.returncode != 0
    assert "OP_ReadShared" in result.stderr


def test_c_header_in_use(tmp_path: Path) -> None:
    """HSL_GET and HSL_PUT read and write V2; HSL_OPCODES lists every opcode."""
    word = int.from_bytes(V2[:4], "little")
    opcodes = "".join(
        f'_Static_assert(HEADER_{info.name} == {1 if tables.VC_HEADER[info.vc] == "B" else 2}, "header");\n'
        f'_Static_assert(DATA_{info.name} == {int(info.data)}, "data");\n'
        f'_Static_assert(LENS_{info.name} == {sum(1 << code for code in info.len)}, "lengths");\n'
        for info in tables.OPCODES.values()
    )
    source = f"""#include "hsl.h"
_Static_assert(HSL_GET({word}u, H0, SEQ) == 5, "SEQ");
_Static_assert(HSL_GET({word}u, H0, CCNT) == 2, "CCNT");
_Static_assert((HSL_PUT(HSL_FT_PROT, H0, FT) | HSL_PUT(5, H0, SEQ) | HSL_PUT(3, H0, ACK) |
                HSL_PUT(HSL_VC_RSP, H0, CVC) | HSL_PUT(2u, H0, CCNT)) == {word}u, "H0");
#define COUNT(name, code, vc, header, data, lengths) + 1
_Static_assert((0 HSL_OPCODES(COUNT)) == {len(tables.OPCODES)}, "opcodes");
#define ROW(name, code, vc, header, data, lengths) \\
    HEADER_##name = header, DATA_##name = data, LENS_##name = lengths, \\
    SAME_##name = 1 / (HSL_OP_##name == code), VC_##name = 1 / (HSL_VC_##vc == code >> 5),
enum rows {{ HSL_OPCODES(ROW) LAST }};
{opcodes}"""
    result = compile_c(source, tmp_path)
    assert result.returncode == 0, result.stderr


# SystemVerilog

IVERILOG = pytest.mark.tool("iverilog", apt="iverilog")


def simulate(body: str, directory: Path) -> dict[str, int]:
    """Runs the statements of a testbench that imports the package; what they print as NAME=HEX."""
    bench = directory / "bench.sv"
    bench.write_text(f"module bench;\n  import hsl_pkg::*;\n{body}\nendmodule\n", encoding="utf-8")
    program = directory / "bench.vvp"
    package = GENERATED / "hsl_pkg.sv"
    command = ["iverilog", "-g2012", "-Wall", "-Wno-timescale", "-o", str(program), str(package), str(bench)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (built.returncode, built.stderr) == (0, ""), built.stderr
    output = subprocess.run(["vvp", "-n", str(program)], capture_output=True, text=True, check=True).stdout
    pairs = (line.split("=") for line in output.splitlines() if "=" in line)
    return {name: int(value, 16) for name, value in pairs}


@IVERILOG
def test_sv_names(tmp_path: Path) -> None:
    """Every name of the package has its value."""
    prints = "\n".join(f'    $display("{name}=%0h", {name});' for name in NAMED)
    assert simulate(f"  initial begin\n{prints}\n  end", tmp_path) == NAMED


@IVERILOG
def test_sv_golden_flits(tmp_path: Path) -> None:
    """V2 and V3, cast to the structs of the package, have the fields of 2.8."""

    def shown(struct: str, fields: str) -> str:
        return "\n".join(f'    $display("{struct}.{name}=%0h", {struct}.{name});' for name in fields.split())

    v2, v3 = (int.from_bytes(data, "little") for data in (V2, V3))
    found = simulate(
        f"""
  logic [511:0] v2;
  logic [2047:0] v3;
  h0_t h0;
  a0_t a0;
  a1_t a1;
  h1_t h1;
  b0_t b0;
  initial begin
    v2 = 512'h{v2:x};
    v3 = 2048'h{v3:x};
    h0 = v2[31:0];
    a0 = v2[32 +: 64];
    a1 = v2[96 +: 64];
    h1 = v3[32 +: 32];
    b0 = v3[64 +: 64];
{shown("h0", "ft viral seq ack cvc ccnt")}
{shown("a0", "op src dst txn len be poison qos aop trace dom")}
{shown("a1", "addr x")}
{shown("h1", "som reserved")}
{shown("b0", "op src dst txn htxn st err len poison qos trace")}
    $display("known=%0h", op_is_known(a0.op) && !op_is_known(8'h27));
    $display("data=%0h", op_has_data(b0.op) && !op_has_data(a0.op));
    $display("granules=%0h", {{header_granules(a0.op), header_granules(b0.op)}});
  end""",
        tmp_path,
    )
    head = {"ft": 1, "viral": 0, "seq": 5, "ack": 3, "cvc": 4, "ccnt": 2}
    request = {"op": 0x20, "src": 1, "dst": 2, "txn": 0x123, "len": 3}
    request |= dict.fromkeys(("be", "poison", "qos", "aop", "trace", "dom"), 0)
    data = {"op": 0xA0, "src": 2, "dst": 1, "txn": 0x123, "htxn": 7, "st": 2, "err": 0, "len": 3}
    data |= dict.fromkeys(("poison", "qos", "trace"), 0)
    expected = {
        "h0": head,
        "a0": request,
        "a1": {"addr": 0x123456789A40, "x": 0},
        "h1": {"som": 0x201, "reserved": 0},
        "b0": data,
    }
    flat = {
        f"{struct}.{name}": value for struct, fields in expected.items() for name, value in fields.items()
    }
    assert found == flat | {"known": 1, "data": 1, "granules": 0b1001}


@IVERILOG
def test_sv_sizes(tmp_path: Path) -> None:
    """Each struct is as wide as its word or record."""
    widths = {f"{name.lower()}_t": 32 if name in ("H0", "H1") else 64 for name in WORDS}
    widths |= {"ctl_header_t": 96, "ctl_hello_t": 352, "ctl_bond_fail_t": 352, "caps_t": 320, "sam_d0_t": 64}
    prints = "\n".join(f'    $display("{name}=%0h", $bits({name}));' for name in widths)
    assert simulate(f"  initial begin\n{prints}\n  end", tmp_path) == widths
