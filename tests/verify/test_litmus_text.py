"""The text format of litmus tests: all shipped ones are read, hostile ones are refused with the line."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsl._generated.constants import Aop
from hsl.agents.access import Order
from hsl.errors import ConfigError
from hsl.verify.litmus_text import (
    MAX_ACCESSES,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_LOCATIONS,
    MAX_THREADS,
    parse,
    parse_all,
)

FILES = sorted((Path(__file__).parents[2] / "spec/litmus").glob("*.litmus"))
GOOD = """HSL T
{ x=0; y=3; }
 P0            | P1            ;
 store x,1     | load.acq r0,y ;
 store.rel y,1 | load r1,x     ;
exists (1:r0=1 /\\ (1:r1=0 \\/ ~x=1))
"""


def test_files_are_those_of_the_package() -> None:
    """The package carries each file of spec/litmus, under its name."""
    shipped = parse_all((Path(__file__).parents[2] / "hsl/_generated/litmus.txt").read_text(), "litmus.txt")
    assert sorted(test.name for test in shipped) == sorted(file.stem for file in FILES)
    assert {test.name: test.text.strip() for test in shipped} == {
        file.stem: parse(file.read_text(), str(file)).text.strip() for file in FILES
    }


def test_what_a_text_says() -> None:
    """Threads, orders, initial values, placement and the truth of the condition are read."""
    test = parse(GOOD)
    (_, second), (first, _) = test.threads
    assert (second.kind, second.location, second.value, second.release) == ("store", "y", 1, True)
    assert (first.kind, first.register, first.acquire) == ("load", "r0", True)
    assert test.initial == {"x": 0, "y": 3}
    assert test.placement == ("cpu", "gpu")
    values = {"1:r0": 1, "1:r1": 1, "x": 0}
    assert test.condition.names == ("1:r0", "1:r1", "x")
    assert test.condition.holds(values)
    assert not test.condition.holds(values | {"x": 1})


DEVICE = """HSL T
Registers=a@P1 i@P1
{ a=3; }
 P0             | P1             ;
 cas r0,x,4,5   | wait r0,i      ;
 fence.st.nc    | ncread.s31 r1,a ;
 ncwrite.s2 a,1 |                ;
 intr i,7       |                ;
exists (a=1)
"""


def test_fences_of_kinds_cas_and_ncr() -> None:
    """What a fence orders, the operands of a CAS, stream and node of an NCR are read."""
    test = parse(DEVICE)
    cas, fence, write, intr = test.threads[0]
    assert (cas.kind, cas.aop, cas.compare, cas.value) == ("atomic_load", Aop.CAS, 4, 5)
    assert fence.order == Order.STORE | Order.NCR
    assert [(each.location, each.stream, each.dst) for each in (write, intr)] == [("a", 2, 1), ("i", 0, 1)]
    assert (test.threads[1][1].stream, test.registers, test.lines) == (31, {"a": 1, "i": 1}, ("x",))
    assert [each.kind for each in test.threads[1]] == ["wait", "ncread"]


def device(rows: list[str], registers: str = "a@P0", initial: str = "") -> str:
    lines = "".join(f"{row};\n" for row in rows)
    return f"HSL T\nRegisters={registers}\n{{{initial}}}\nP0|P1;\n{lines}exists (a=0)"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (device(["ncwrite a,1|"], "a"), "expected NAME@P0"),
        (device(["ncwrite a,1|"], "a@P2"), "expected NAME@P0 to @P1"),
        (device(["ncwrite a,1|", "store a,1|"]), "ncwrite, store of one location"),
        (device(["ncwrite a,1|", "intr a,1|"]), "intr, ncwrite of one location"),
        (device(["ncwrite a,1|"], ""), "ncwrite of one location"),
        (device(["|wait r0,a", "ncwrite a,1|"]), "wait must be first"),
        (device(["ncwrite a,1|load r0,x", "|wait r1,a"], "a@P1"), "wait must be first"),
        (device(["|wait r0,a"], "a@P1"), "one write of another value"),
        (device(["ncwrite a,0|wait r0,a"], "a@P1"), "one write of another value"),
        (device(["ncwrite a,1|wait r0,a", "ncwrite a,2|"], "a@P1"), "one write of another value"),
        (device(["ncwrite a,1|wait r0,a"], "a@P1", "a=2;"), "expected 0 first"),
        (device([f"intr a,{1 << 32}|"]), "interrupt a: expected a datum"),
        (device(["intr a,1|"], initial="a=1;"), "interrupt a: expected a datum"),
        (device(["ncwrite.s32 a,1|"]), "expected"),
        (device(["fence.rel|"]), "expected"),
        (device(["load.s1 r0,x|"]), "expected"),
        (device(["cas r0,x,1|"]), "4 operands"),
    ],
)
def test_what_is_refused_of_devices(text: str, what: str) -> None:
    """A wait that may never end, a location of two kinds, a node that is not there: each is refused."""
    with pytest.raises(ConfigError, match=what):
        parse(text, "file")


HERD = """HSL MP+[po]+acq
"comments (* and all *) that people write"
(* one (* in another *)
   over lines *)
Generator=diyone7 (version 7.56)
Cycle=Rfe PodRR Fre PodWW
{
  x = 0 ;
  y=3
}
 P0        | P1		;
 store	x, 1 | load.acq r0 , y ; (* of a row *)
 store y,1 | load r1,x     ;
locations [x; 1:r1;]
~ exists
(1:r0=1 /\\ not ([x]=1 \\/ 1:r1=1))
""".replace("\n", "\r\n")


def test_text_as_people_write_it() -> None:
    """Comments, blanks, tabs, line ends of DOS, locations, brackets and `not` are read as herd reads them."""
    test = parse(HERD)
    assert [[each.kind for each in thread] for thread in test.threads] == [["store"] * 2, ["load"] * 2]
    assert (test.initial, test.info["Cycle"]) == ({"x": 0, "y": 3}, "Rfe PodRR Fre PodWW")
    assert (test.condition.quantifier, test.condition.names) == ("~exists", ("x", "1:r1", "1:r0"))
    values = {"1:r0": 1, "1:r1": 0, "x": 0}
    assert test.condition.holds(values)
    assert not test.condition.holds(values | {"x": 1})


def thread(rows: list[str], condition: str = "x=0") -> str:
    return "HSL T\n{}\nP0;\n" + "".join(f"{row};\n" for row in rows) + f"exists ({condition})"


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "the text ends"),
        ("X86 T\n", 1, "expected HSL"),
        ("HSL ../../x\n", 1, "expected HSL"),
        ("HSL T\nP0;\n", 2, "initial state"),
        ("HSL T\n{ x=-1; }\n", 2, "LOCATION=NUMBER"),
        ("HSL T\n{ x=99999999999999999999; }\n", 2, "expected 0"),
        ("HSL T\n{ x=0;\n", 2, "the text ends"),
        ("HSL T\n{}\nP1;\n", 3, "expected P0"),
        ("HSL T\n{}\nP0", 3, "ends with ;"),
        ("HSL T\n{}\nP0 | P1;\nstore x,1;\n", 4, "1 columns"),
        (thread(["launch x,1"]), 4, "expected load"),
        (thread(["store.acq x,1"]), 4, "expected load"),
        (thread(["store x"]), 4, "2 operands"),
        (thread(["store 5,1"]), 4, "expected a name"),
        (thread(["store x,one"]), 4, "expected 0"),
        (thread(["atomic_store x,FADD32,1"]), 4, "expected ADD"),
        (thread(["dep r0"]), 4, "has no value yet"),
        (thread(["load r0,x", "load r0,x"]), 5, "twice"),
        (thread(["store x,1"] * (MAX_ACCESSES + 1)), 4 + MAX_ACCESSES, "more than"),
        (thread([f"store {name},1" for name in "abcde"[: MAX_LOCATIONS + 1]], "a=0"), 9, "locations"),
        ("HSL T\n{}\n" + "|".join(f"P{p}" for p in range(MAX_THREADS + 1)) + ";\n", 3, "at most"),
        (thread(["store x,1"], "y=0"), 5, "one of x"),
        (thread(["store x,1"], "x=0 /\\"), 5, "where one of"),
        (thread(["store x,1"], "x=0) (x=1"), 5, "the end"),
        (thread(["store x,1"], "[x=0"), 5, "] is missing"),
        (thread(["store x,1"], "(x=0"), 5, r"\) is missing"),
        (thread(["store x,1"], "x 0"), 5, "= is missing"),
        (thread(["load r0,x"], "[0:r0]=0"), 5, "one of 0:r0, x"),
        (thread(["store x,1"]).replace("exists", "locations [y;] exists"), 5, "locations: 'y'"),
        (thread(["store x,1"]).replace("exists", "locations [x;]"), 5, "expected exists"),
        ("HSL T\n{ x=0; x=1; }\n", 2, "x is given a value twice"),
        ("HSL T\n{}\n(* (* *)\nP0;\n", 3, r"\(\* without"),
        ("HSL T\n{}\nP0; *)\n", 3, r"\*\) without"),
        (thread(["store x,1"], "(" * (MAX_DEPTH + 1) + "x=0" + ")" * (MAX_DEPTH + 1)), 5, "parentheses"),
        (thread(["store x,1"], "~" * 10_000 + "x=0"), 5, "parentheses"),
        ("HSL T\nPlacement=cpu gpu\n{}\nP0;\nstore x,1;\nexists x=0", 6, "Placement"),
        ("HSL T\nPlacement=tpu\n{}\nP0;\nstore x,1;\nexists x=0", 6, "Placement"),
        (thread(["store x,1"]).replace("exists", "whenever"), 5, "ends with ;"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, line: int, what: str) -> None:
    """A text that is no test is refused, with its line and what is legal."""
    with pytest.raises(ConfigError, match=rf"file:{line}: .*{what}"):
        parse(text, "file")


def test_size_is_capped() -> None:
    """A text above the cap is refused before it is read."""
    with pytest.raises(ConfigError, match=f"at most {MAX_BYTES}"):
        parse("x" * (MAX_BYTES + 1))


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40), st.integers(0, len(DEVICE)), st.integers(0, 40))
def test_damaged_text(text: str, at: int, gone: int) -> None:
    """Whatever is put into a good text, it is read or refused with ConfigError."""
    for good in (GOOD, DEVICE):
        with suppress(ConfigError):
            parse(good[:at] + text + good[at + gone :])
