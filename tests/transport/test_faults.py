"""Faults: their spelling, what they do to a flit, and that the counters are exact."""

import random

import pytest

from hsl._generated.constants import FlitType
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.reference import decode_flit, encode_flit
from hsl.errors import CodecError, ConfigError
from hsl.transport import faults
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
        ",".join(["crc:0"] * (faults.MAX_FAULTS + 1)),
    ],
)
def test_bad_plan_is_refused(text: str) -> None:
    """What is no plan, or has rates that add up to more than 1 for a flit type, is a ConfigError."""
    with pytest.raises(ConfigError):
        FaultPlan.parse(text)


def test_largest_plan_is_taken() -> None:
    """A plan may have exactly MAX_FAULTS faults."""
    assert len(FaultPlan.parse(",".join(["crc:0"] * faults.MAX_FAULTS)).faults) == faults.MAX_FAULTS


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
    assert injector("duplicate:1").apply(NOP) == [Arrival(NOP), Arrival(NOP)]
    assert injector("delay:1:123").apply(NOP) == [Arrival(NOP, delay_ns=123)]


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
    assert report["kinds"] == {
        "crc": {},
        "drop": {"reserved 7": 1},
        "truncate": {},
        "duplicate": {"PROT": 1},
        "delay": {},
    }
    assert (report["lost"], report["prot_duplicated"]) == (1, 1)
    assert report["sent"] == {"NOP": 1, "PROT": 1, "reserved 7": 1}
