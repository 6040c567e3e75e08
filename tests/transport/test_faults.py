"""Faults: their spelling, what they do to a flit, and that the counters are exact."""

import random
import re
from pathlib import Path

import pytest

from hsl._generated.constants import FlitType
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.reference import decode_flit, encode_flit
from hsl.errors import CodecError, ConfigError
from hsl.transport.fault_plan import MAX_BURST, MAX_COUNT, MAX_FAULTS, MAX_NS
from hsl.transport.fault_scenario import MAX_SCENARIO_BYTES
from hsl.transport.faults import Arrival, Fault, FaultInjector, FaultKind, FaultPlan

PROT = encode_flit(Flit("L64", FlitType.PROT, seq=5, payload=b""))
NOP = encode_flit(Flit("L64", FlitType.NOP, seq=5))
WIDE = encode_flit(Flit("B256", FlitType.PROT, seq=5, payload=b""))


def injector(plan: str, seed: int = 1) -> FaultInjector:
    return FaultInjector(FaultPlan.parse(plan), random.Random(seed))


@pytest.mark.parametrize(
    ("text", "plan"),
    {
        "none": (),
        "": (),
        "0.01": (Fault(FaultKind.CRC, rate=0.005), Fault(FaultKind.DROP, rate=0.005)),
        "crc:1e-3, drop:x3": (Fault(FaultKind.CRC, rate=1e-3), Fault(FaultKind.DROP, count=3)),
        "truncate@PROT:1": (Fault(FaultKind.TRUNCATE, rate=1, only=FlitType.PROT),),
        "seq:nth=7": (Fault(FaultKind.SEQ, count=1, nth=7),),
        "link-down:x2:nth=5:from=gpu:link=3:ns=9": (
            Fault(FaultKind.LINK_DOWN, count=2, nth=5, sender="b", link=3, delay_ns=9),
        ),
        "crc:0.6:from=a:burst=4,drop:0.6:from=b:link=0": (
            Fault(FaultKind.CRC, rate=0.6, sender="a", burst=4),
            Fault(FaultKind.DROP, rate=0.6, sender="b", link=0),
        ),
        "epoch:0.6,poison:0.6": (Fault(FaultKind.EPOCH, rate=0.6), Fault(FaultKind.POISON, rate=0.6)),
        "delay:0.5:700,duplicate:0.5": (
            Fault(FaultKind.DELAY, rate=0.5, delay_ns=700),
            Fault(FaultKind.DUPLICATE, rate=0.5),
        ),
    }.items(),
)
def test_plan_is_read(text: str, plan: tuple[Fault, ...]) -> None:
    """A plan is read as it is spelled, and its own spelling gives it again."""
    assert FaultPlan.parse(text) == FaultPlan(plan)
    assert FaultPlan.parse(str(FaultPlan(plan))) == FaultPlan(plan)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "2",
        "-1",
        "nan",
        "inf",
        "crc",
        "crc:",
        "crc:2",
        "crc:-1",
        "crc:nan",
        "crc:x0",
        "crc:x-1",
        "crc:x1.5",
        "flip:0.1",
        "crc@FOO:0.1",
        "crc@:0.1",
        "crc:0.1:5",
        "delay:0.1:-1",
        "delay:0.1:x",
        "crc:0.6,drop:0.6",
        "crc:0.1,,drop:0.1",
        "crc@PROT:0.6,drop:0.6",
        "epoch@PROT:0.1",
        "poison@CTL:x1",
        "crc:nth=0",
        "crc:x1:nth=1.5",
        "crc:x1:burst=0",
        f"crc:x1:burst={MAX_BURST + 1}",
        f"crc:x{MAX_COUNT + 1}",
        "crc:x1:from=c",
        "crc:x1:link=8",
        "crc:x1:ns=5",
        f"delay:x1:ns={MAX_NS + 1}",
        "crc:x1:nth=2:nth=3",
        "crc:x1:colour=red",
        "seq:0.6,ack:0.6",
        "crc:0.6:from=a,drop:0.6:from=cpu",
        "crc:0.6:link=1,drop:0.6",
        "nothing.toml",
        "@/",
        ",".join(["crc:0"] * (MAX_FAULTS + 1)),
    ],
)
def test_bad_plan_is_refused(text: str) -> None:
    """What is no plan, or has rates that add up to more than 1 for a flit type, is a ConfigError."""
    with pytest.raises(ConfigError):
        FaultPlan.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crcc:1e-3", "did you mean crc?"),
        ("crc=0.1", "did you mean crc?"),
        ("linkdown", "did you mean link-down?"),
        ("drop", "a rate or xN is missing, as in drop@PROT:x3"),
        ("2", "rate 2 of faults; expected 0 to 1"),
        ("-0.5", "rate -0.5 of faults; expected 0 to 1"),
    ],
)
def test_bad_plan_says_what_to_type(text: str, said: str) -> None:
    """The error about a misspelled kind, a fault without a rate or a rate out of range says what to type."""
    with pytest.raises(ConfigError) as caught:
        FaultPlan.parse(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 320


def test_largest_plan_is_taken() -> None:
    """A plan may have exactly MAX_FAULTS faults."""
    assert len(FaultPlan.parse(",".join(["crc:0"] * MAX_FAULTS)).faults) == MAX_FAULTS


@pytest.mark.parametrize("flit", [PROT, WIDE])
def test_crc_is_always_seen(flit: bytes) -> None:
    """A crc fault flips 1 to 5 bits, and the decoder refuses every one of 2000 such flits."""
    bad = injector("crc:1")
    form = next(name for name, fmt in FORMATS.items() if fmt.bytes == len(flit))
    flips = set()
    for _ in range(2000):
        (arrival,) = bad.apply(flit)
        flips.add((int.from_bytes(arrival.data, "little") ^ int.from_bytes(flit, "little")).bit_count())
        with pytest.raises(CodecError):
            decode_flit(arrival.data, form)
    assert flips == {1, 2, 3, 4, 5}
    assert bad.damaged == bad.prot_lost == 2000


@pytest.mark.parametrize("flit", [PROT, WIDE])
def test_truncated_flit_is_short(flit: bytes) -> None:
    """A truncated flit arrives as a prefix with err=1, never empty, never with the length of a whole flit."""
    short = injector("truncate:1")
    lengths = set()
    for _ in range(3000):
        (arrival,) = short.apply(flit)
        assert arrival.error
        assert flit.startswith(arrival.data)
        lengths.add(len(arrival.data))
    assert lengths == set(range(1, len(flit))) - {64}
    assert short.damaged == 3000


def test_other_kinds() -> None:
    """Drop delivers nothing, duplicate twice, delay late."""
    assert injector("drop:1").apply(NOP) == []
    assert injector("duplicate:1").apply(NOP) == [Arrival(NOP, kind=FaultKind.DUPLICATE)] * 2
    assert injector("delay:1:ns=123").apply(NOP) == [Arrival(NOP, delay_ns=123, kind=FaultKind.DELAY)]


def test_next_flits_of_a_type() -> None:
    """A count xN hits exactly the next N flits of the type, and no other."""
    some = injector("drop@PROT:x2")
    fate = [bool(some.apply(flit)) for flit in (NOP, PROT, NOP, PROT, PROT, NOP)]
    assert fate == [True, False, True, False, True, True]
    assert some.counts[FaultKind.DROP] == {FlitType.PROT: 2}
    assert some.sent == {FlitType.NOP: 3, FlitType.PROT: 3}


def test_rate_of_another_type_does_not_count() -> None:
    """The rate of one flit type takes nothing from that of another."""
    some = injector("drop@NOP:1,crc@PROT:1")
    for _ in range(50):
        assert some.apply(NOP) == []
        assert len(some.apply(PROT)) == 1
    assert (some.lost, some.damaged, some.prot_lost) == (50, 50, 50)


def test_rates_are_met() -> None:
    """Over 20,000 flits each kind comes as often as its rate says, within five standard deviations."""
    plan = "crc:0.1,drop:0.05,truncate:0.02,duplicate:0.02,delay:0.01"
    some = injector(plan, seed=7)
    for _ in range(20000):
        some.apply(PROT)
    for fault in some.plan.faults:
        expected = 20000 * fault.rate
        assert abs(some.count(fault.kind) - expected) < 5 * expected**0.5, f"seed 7, {fault}"


def test_switched_off() -> None:
    """A disabled injector passes everything, counts what was sent, and leaves the next N for later."""
    some = injector("drop:x1")
    some.enabled = False
    assert some.apply(PROT) == [Arrival(PROT)]
    some.enabled = True
    assert some.apply(PROT) == []
    assert some.sent[FlitType.PROT] == 2


def test_seed_decides() -> None:
    """The same seed does the same to the same flits; another seed does not."""
    runs = [[injector("0.5", seed).apply(PROT) for _ in range(50)] for seed in (3, 3)]
    one, other = injector("0.5", 3), injector("0.5", 4)
    assert runs[0] == runs[1]
    assert [one.apply(PROT) for _ in range(50)] != [other.apply(PROT) for _ in range(50)]


def test_report_names_types() -> None:
    """The report has the totals, and the flits per kind by name of their type, reserved ones too."""
    some = injector("drop:x1,duplicate:x1")
    reserved = bytes([7]) + NOP[1:]
    for flit in (reserved, PROT, NOP):
        some.apply(flit)
    report = some.as_dict()
    assert report["kinds"] == {"drop": {"reserved 7": 1}, "duplicate": {"PROT": 1}}
    assert (report["lost"], report["prot_duplicated"]) == (1, 1)
    assert report["sent"] == {"NOP": 1, "PROT": 1, "reserved 7": 1}


def test_nth_and_burst() -> None:
    """`nth` lets the flits before it pass, `burst` goes on over so many consecutive flits of the type."""
    some = injector("drop@PROT:x2:nth=3:burst=2")
    fate = [bool(some.apply(flit)) for flit in [PROT, NOP] * 8]
    prots = fate[::2]
    assert all(fate[1::2])
    assert prots == [True, True, False, False, False, False, True, True]


def test_burst_of_a_rate_is_counted_once_per_flit() -> None:
    """A burst from a rate hits whole runs of flits, and each flit of it is counted."""
    some = injector("drop:0.05:burst=3", seed=2)
    fate = "".join("." if some.apply(PROT) else "x" for _ in range(3000))
    runs = [len(run) for run in fate.split(".") if run]
    assert runs
    assert all(run % 3 == 0 for run in runs)
    assert some.lost == sum(runs)


def test_parts_of_a_plan() -> None:
    """A direction gets its own faults and those of both, a link its own and those of all."""
    plan = FaultPlan.parse("crc:x1:from=cpu,drop:x1:link=1,delay:x1:from=b:link=1,ack:x1")
    assert str(plan.part("a", 0)) == "crc:x1,ack:x1"
    assert str(plan.part("gpu", 1)) == "drop:x1,delay:x1:ns=10000,ack:x1"


def test_narrowed() -> None:
    """--nth and --burst stand in where a fault does not say its own."""
    plan = FaultPlan.parse("crc:x1,drop:x1:nth=9,ack:x1:burst=4").narrowed(nth=5, burst=2)
    assert str(plan) == "crc:x1:nth=5:burst=2,drop:x1:nth=9:burst=2,ack:x1:nth=5:burst=4"


def test_worst_outcome() -> None:
    """A plan says the worst that it may do, and which of its kinds cannot be balanced."""
    worst = {
        "none": None,
        "0.1": "corrected",
        "ack:x1,crc:x1": "non-fatal",
        "credit:x1,drop:x1": "port-fatal",
    }
    assert {text: FaultPlan.parse(text).outcome for text in worst} == worst
    assert FaultPlan.parse("credit:x1,drop:x1").inexact == ["credit"]


SCENARIO = """# a scenario
[[fault]]
kind = "crc"
rate = 1e-3
type = "PROT"

[[fault]]      # the second
kind = "link-down"
nth = 500
from = "gpu"
link = 2
ns = 7000
"""


@pytest.mark.parametrize("spelled", ["{}", "@{}"])
def test_scenario(spelled: str, tmp_path: Path) -> None:
    """A TOML scenario is the plan that its spelling is, with and without @."""
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO)
    plan = FaultPlan.parse(spelled.format(path))
    assert str(plan) == "crc@PROT:0.001,link-down:x1:nth=500:ns=7000:from=b:link=2"
    assert FaultPlan.parse(str(plan)) == plan


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("1e-3", "2.0", 4, "0 to 1"),
        ("1e-3", "nan", 4, "0 to 1"),
        ("1e-3", "true", 4, "0 to 1"),
        ('"crc"', '"melt"', 3, "link-down"),
        ('"PROT"', '"PORT"', 5, "PROT_S"),
        ("nth = 500", "nht = 500", 9, "nth"),
        ("nth = 500", "nth = 0", 9, "1 to"),
        ('"gpu"', '"npu"', 10, "cpu"),
        ("link = 2", "link = 8", 11, "0 to 7"),
        ('kind = "link-down"', 'kind = "crc"', 12, "has no length"),
        ('kind = "link-down"', "", 7, "kind is missing"),
        ("rate = 1e-3", "rate = 1e-3\ncount = 2", 4, "one of them"),
        ("[[fault]]\nkind", "[[fault\nkind", 2, "line 2"),
        ("# a scenario", "seed = 1", 1, "nothing else"),
    ],
)
def test_bad_scenario(old: str, new: str, line: int, says: str, tmp_path: Path) -> None:
    """What is wrong in a scenario is a ConfigError with file and line, and what is legal there."""
    path = tmp_path / "scenario.toml"
    assert old in SCENARIO
    path.write_text(SCENARIO.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        FaultPlan.parse(str(path))
    assert str(path) in str(caught.value)
    assert f":{line}:" in str(caught.value) or f"line {line}" in str(caught.value)


@pytest.mark.parametrize(
    "raw", [b"\xff\xfe", b"fault = 3", b"fault = [1]", b"", b"#" * (MAX_SCENARIO_BYTES + 1)]
)
def test_no_scenario(raw: bytes, tmp_path: Path) -> None:
    """A file that is no scenario, or larger than any, is a ConfigError that names it."""
    path = tmp_path / "scenario.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=r"scenario\.toml"):
        FaultPlan.parse(str(path))


def test_largest_scenario_is_read(tmp_path: Path) -> None:
    """A scenario may have exactly MAX_SCENARIO_BYTES."""
    path = tmp_path / "scenario.toml"
    path.write_text(SCENARIO + "#" * (MAX_SCENARIO_BYTES - len(SCENARIO)))
    assert len(FaultPlan.parse(str(path)).faults) == 2
