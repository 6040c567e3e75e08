"""Each kind of fault does what its row of KINDS says, between two real ports on the loopback."""

from collections.abc import Callable
from typing import Any

import pytest

from hsl._generated.constants import CtlOp, ErrorCode, FlitType, LinkState
from hsl.codec.flit import FORMATS, Flit
from hsl.codec.reference import Unpacker, decode_flit, encode_flit, encode_message
from hsl.errors import LinkError
from hsl.link.events import ErrorLogged, LinkDown
from hsl.transport.base import Place
from hsl.transport.fault_edits import EDITS
from hsl.transport.faults import KINDS, Arrival, FaultKind, FaultPlan, Outcome
from hsl.transport.loopback import Loopback, Wire
from tests.support.ports import PortDevice, numbered, port_config
from tests.transport.test_loopback import LIMIT, TU, A, B, Pair

FORMS = ("L64", "B256")
FLIT_SIZES = {"L64": 1, "B256": 3}


def ran(faults: str, *, form: str = "L64", seed: int = 1, count: int = 300, **config: Any) -> Pair:
    """Two ports that have finished under these faults, with every flit accounted for."""
    pair = Pair(faults, seed=seed, count=count, flit_sizes=FLIT_SIZES[form], **config)
    pair.loopback.run(max_time=LIMIT)
    pair.check(f"{faults} {form} seed {seed}")
    assert [device.got for device in pair.devices] == [count, count]
    return pair


def hits(pair: Pair, kind: FaultKind) -> list[int]:
    """Flits that the kind hit, per direction."""
    return [lane.injector.count(kind) for lane in pair.loopback.lanes.values()]


def errors(pair: Pair, code: ErrorCode) -> list[ErrorLogged]:
    """Errors of this code that any port has told."""
    return [e for _, e in pair.events if isinstance(e, ErrorLogged) and e.code is code]


def counters(pair: Pair, name: str) -> int:
    """A counter of the links, both ends together."""
    total: int = sum(getattr(device.port.links[0].counters, name) for device in pair.devices)
    return total


class Poisonable(PortDevice):
    """Takes its peer's messages whatever their POISON says, and counts those that have it."""

    poisoned = 0

    def advance(self, now: int) -> None:
        original = self.port.messages

        def cleaned() -> list[Any]:
            messages = original()
            self.poisoned += sum(message.poison for message in messages)
            return [message._replace(poison=0) for message in messages]

        self.port.messages = cleaned  # type: ignore[method-assign]
        try:
            super().advance(now)
        finally:
            self.port.messages = original  # type: ignore[method-assign]


def poisonable(faults: str, form: str, seed: int) -> Pair:
    """Two ports that take poisoned messages."""
    pair = Pair()
    pair.devices = [
        Poisonable(port_config(guid, tu_exp=6, flit_sizes=FLIT_SIZES[form]), count=300, expected=300)
        for guid in (1, 2)
    ]
    plan = FaultPlan.parse(faults)
    pair.loopback = Loopback(
        pair.devices,
        [Wire(A, B, faults=(plan, plan))],
        seed=seed,
        tap=lambda *what: pair.sent.append(what),
    )
    return pair


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", EDITS)
def test_edited_flit_has_a_good_crc(kind: FaultKind, form: str) -> None:
    """An edit changes its flit, keeps its size and type, and seals it with a CRC that the decoder takes."""
    plan = f"{kind}:x3" if kind is not FaultKind.EPOCH else "epoch:x3,drop@PROT:0.05"
    pair = poisonable(plan, form, seed=3)
    try:
        pair.loopback.run(max_time=LIMIT)
    except LinkError:
        assert KINDS[kind].outcome is Outcome.PORT_FATAL
    seen = 0
    for _, _, flit, arrivals in pair.sent:
        for arrival in arrivals:
            if arrival.kind is not kind:
                continue
            name = next(name for name, row in FORMATS.items() if row.bytes == len(flit))
            before, after = decode_flit(flit, name), decode_flit(arrival.data, name)
            assert before != after
            assert before.ft == after.ft
            seen += 1
    assert seen >= 3


@pytest.mark.parametrize("form", FORMS)
def test_seq(form: str) -> None:
    """A SEQ out of place is a gap or a duplicate: it is dropped, NAKed, replayed, and nothing is lost."""
    pair = ran("seq@PROT:0.05", form=form, count=300)
    assert sum(hits(pair, FaultKind.SEQ)) > 0
    assert counters(pair, "prot_gap") > 0
    assert counters(pair, "prot_duplicate") > 0
    assert counters(pair, "naks_sent") > 0
    assert counters(pair, "replays") > 0


@pytest.mark.parametrize("form", FORMS)
def test_ack(form: str) -> None:
    """An ACK of a flit that was never sent is logged as ACK_RANGE once per hit, and ignored."""
    pair = ran("ack@PROT:x20:nth=5", form=form)
    assert hits(pair, FaultKind.ACK) == [20, 20]
    assert len(errors(pair, ErrorCode.ACK_RANGE)) == 40


@pytest.mark.parametrize("form", FORMS)
def test_credit(form: str) -> None:
    """Credits that nobody took make the port dead with CREDIT_OVERFLOW, at the end that gets them only.

    They come when all others are back: before that the end that gets them may use them, and the other sees it.
    """
    pair = Pair("credit:x1:nth=20:from=a", count=300, flit_sizes=FLIT_SIZES[form])
    with pytest.raises(LinkError):
        pair.loopback.run(max_time=LIMIT)
    (error,) = errors(pair, ErrorCode.CREDIT_OVERFLOW)
    assert error.code == 6
    assert hits(pair, FaultKind.CREDIT) == [1, 0]
    assert pair.devices[1].port.state(0) is LinkState.DEAD


@pytest.mark.parametrize("form", FORMS)
def test_epoch(form: str) -> None:
    """A CTL of another session is dropped and counted as STALE, and the link repairs all the same."""
    pair = ran("epoch:0.4,drop@PROT:0.1", form=form, count=200)
    assert sum(hits(pair, FaultKind.EPOCH)) > 0
    assert counters(pair, "stale") == sum(hits(pair, FaultKind.EPOCH))


@pytest.mark.parametrize("form", FORMS)
def test_ctl_op(form: str) -> None:
    """A CTL that nobody knows is ignored in every state, and counted as received."""
    pair = ran("ctl-op:0.4,drop@PROT:0.1", form=form, count=200)
    total = sum(hits(pair, FaultKind.CTL_OP))
    assert total > 0
    coverage = sum(
        number
        for device in pair.devices
        for (event, _), number in device.port.links[0].coverage.items()
        if event == "CTL_unknown"
    )
    assert coverage == total


def test_hello_keeps_its_epoch() -> None:
    """HELLO is hit by neither epoch nor ctl-op: it is what opens a session."""
    pair = ran("epoch:0.4,ctl-op:0.4", count=10)
    for _, _, flit, arrivals in pair.sent:
        if flit[FORMATS["L64"].payload_offset] == CtlOp.HELLO and decode_flit(flit, "L64").ft == FlitType.CTL:
            assert arrivals == [Arrival(flit)]


@pytest.mark.parametrize("form", FORMS)
def test_poison(form: str) -> None:
    """Exactly as many messages arrive poisoned as flits were hit; no other field differs and no flit is lost.

    PROT flits are dropped too: a replay is found to begin the same messages as the first time.
    """
    pair = poisonable("poison:x15:nth=4,drop@PROT:0.05", form, seed=2)
    pair.loopback.run(max_time=LIMIT)
    pair.check("poison")
    assert hits(pair, FaultKind.POISON) == [15, 15]
    lost = [lane.injector.lost for lane in pair.loopback.lanes.values()]
    assert min(lost) > 0
    # A poisoned flit that fell into a gap was replayed as it was made.
    gaps = [device.port.links[0].counters.prot_gap for device in reversed(pair.devices)]
    for device, gap in zip(reversed(pair.devices), gaps, strict=True):
        assert isinstance(device, Poisonable)
        assert 15 - gap <= device.poisoned <= 15


def test_poison_leaves_bonded_l64_alone() -> None:
    """Where a direction has only some of the flits of its port, L64 does not say what begins: nothing is."""
    plan = FaultPlan.parse("poison:x1")
    wires = [Wire(Place(0, 0, link), Place(1, 0, link), faults=(plan, plan)) for link in (0, 1)]
    narrow = encode_flit(Flit("L64", FlitType.PROT, payload=encode_message(numbered(2))[:56]))
    wide = encode_flit(Flit("B256", FlitType.PROT, payload=encode_message(numbered(2)), som=1))
    for lane in Loopback(Pair().devices, wires).lanes.values():
        assert lane.injector.apply(narrow) == [Arrival(narrow)]
        assert lane.injector.apply(wide) != [Arrival(wide)]
    (lane, _) = Loopback(Pair().devices, wires[:1]).lanes.values()
    assert lane.injector.apply(narrow) != [Arrival(narrow)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", [1, 2])
def test_reorder(form: str, seed: int) -> None:
    """A flit that others overtake is seen as a gap, repaired by a replay, and counted to the flit."""
    pair = ran("reorder@PROT:0.05:ns=60", form=form, seed=seed, count=300)
    assert sum(hits(pair, FaultKind.REORDER)) > 0
    assert counters(pair, "prot_gap") > 0
    late = [a for _, _, _, arrivals in pair.sent for a in arrivals if a.overtaken]
    assert len(late) == sum(hits(pair, FaultKind.REORDER))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", [1, 2])
def test_link_down(form: str, seed: int) -> None:
    """The wire is cut in mid traffic and joined after the stated time: recovery, nothing lost or doubled."""
    ns = 200 * TU
    pair = ran(f"link-down@PROT:x2:nth=30:ns={ns},crc:0.01", form=form, seed=seed, count=500)
    assert hits(pair, FaultKind.LINK_DOWN) == [2, 2]
    assert counters(pair, "recoveries") > 0
    assert not any(isinstance(event, LinkDown) for _, event in pair.events)


def test_link_down_counts_what_was_under_way() -> None:
    """Flits on a long wire that is cut are counted as lost, good and damaged ones, and never arrive."""
    devices = [PortDevice(port_config(guid, tu_exp=10), count=150, expected=150) for guid in (1, 2)]
    plan = FaultPlan.parse("link-down@PROT:x1:nth=25:ns=100000,crc@PROT:0.2,duplicate@PROT:0.1")
    pair = Pair()
    pair.devices = devices
    pair.loopback = Loopback(devices, [Wire(A, B, latency_ns=5000, faults=(plan, plan))], seed=4)
    pair.loopback.run(max_time=LIMIT)
    pair.check("long wire")
    injectors = [lane.injector for lane in pair.loopback.lanes.values()]
    assert sum(sum(injector.cut.values()) for injector in injectors) > 0
    assert sum(injector.cut_damaged for injector in injectors) > 0


def test_link_down_longer_than_t_state() -> None:
    """A cut that outlasts T_STATE ends the session, as the row says."""
    pair = Pair(f"link-down@PROT:x1:nth=30:ns={6000 * TU}", count=300)
    with pytest.raises(LinkError, match="T_STATE"):
        pair.loopback.run(max_time=LIMIT)


def test_two_cuts_at_a_time() -> None:
    """Of two cuts of one wire the longer decides when it is joined, once at each end."""
    pair = Pair(count=400)
    ups: list[int] = []
    node = pair.devices[0].node
    original = node.pal_up

    def pal_up(port: int, link: int, now: int) -> None:
        ups.append(now)
        original(port, link, now)

    node.pal_up = pal_up  # type: ignore[method-assign]
    loopback = pair.loopback
    loopback.run(max_time=LIMIT, until=lambda: pair.devices[0].got > 100)
    ups.clear()
    at = loopback.now
    loopback._cut(0, 9000)
    loopback._cut(0, 4000)
    loopback.run(max_time=LIMIT)
    assert ups == [at + 9000]


@pytest.mark.parametrize("kind", [kind for kind in FaultKind if KINDS[kind].outcome is Outcome.CORRECTED])
@pytest.mark.parametrize("form", FORMS)
def test_corrected_means_corrected(kind: FaultKind, form: str) -> None:
    """A kind whose row says corrected costs no message and no LINK_DOWN, and logs nothing above corrected."""
    spelled = {FaultKind.LINK_DOWN: "link-down@PROT:x1:nth=9:ns=3000", FaultKind.DELAY: "delay:0.02:ns=3000"}
    pair = ran(f"{spelled.get(kind, f'{kind}:0.02')},drop@NOP:0.02", form=form, count=200)
    logged = [e for _, e in pair.events if isinstance(e, ErrorLogged)]
    assert not any(isinstance(event, LinkDown) for _, event in pair.events)
    assert all(error.severity <= 1 for error in logged), logged


@pytest.mark.parametrize(
    ("property_", "plant"),
    {
        "crc": lambda injector: injector.counts[FaultKind.CRC].subtract({FlitType.PROT: 1}),
        "link-down": lambda injector: injector.cut.subtract({FlitType.PROT: 1}),
        "duplicate": lambda injector: injector.counts[FaultKind.DUPLICATE].subtract({FlitType.PROT: 1}),
    }.items(),
)
def test_injector_that_counts_wrongly_is_caught(property_: str, plant: Callable[[Any], None]) -> None:
    """The balance notices one flit that an injector hit and did not count, of each way to count."""
    pair = ran("crc@PROT:0.02,duplicate@PROT:0.02,link-down@PROT:x1:nth=20:ns=500")
    plant(pair.loopback.lanes[A].injector)
    with pytest.raises(AssertionError):
        pair.check(property_)


def test_seed_and_place_decide() -> None:
    """The same seed does the same at a place; the two ends of a wire draw apart."""
    tame = [row for row in KINDS.items() if row[1].outcome is Outcome.CORRECTED and not row[1].own_time]
    plan = ",".join([*(f"{kind}:0.01" for kind, _ in tame), "reorder@PROT:0.01:ns=50", "delay:0.01:ns=50"])
    runs = [ran(plan, seed=seed, count=100).digest() for seed in (8, 8, 9)]
    assert runs[0] == runs[1] != runs[2]


def test_starts_are_those_of_the_parser() -> None:
    """Unpacker and injector find the same beginnings in every first transmission of a run."""
    pair = Pair("poison:x1:nth=1000000", count=200)
    parsed = Unpacker()
    starts = pair.loopback.lanes[A].injector._starts
    assert starts is not None
    found = []
    original = starts.see

    def see(flit: bytes) -> None:
        original(flit)
        if decode_flit(flit, "L64").ft == FlitType.PROT:
            parsed.feed(decode_flit(flit, "L64").payload, None, lambda vc: True)
            found.append(starts.of(flit) == parsed.som)

    starts.see = see  # type: ignore[assignment,method-assign]
    pair.loopback.run(max_time=LIMIT)
    assert len(found) > 50
    assert all(found)
