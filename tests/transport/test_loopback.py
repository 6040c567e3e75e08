"""The loopback: order of one instant, line time, faults counted to the flit, same bytes from one seed."""

import hashlib
from functools import partial
from typing import Any

import pytest

from hsl._generated.constants import TIMERS, FlitType, LinkState
from hsl.errors import ConfigError, LinkError, TransportError
from hsl.link.events import Event, LinkDown, LinkUp, StateChanged
from hsl.transport.base import Place
from hsl.transport.faults import Arrival, FaultKind, FaultPlan
from hsl.transport.loopback import Lane, Loopback, Step, Wire
from tests.support.ports import PortDevice, port_config

A, B = Place(0), Place(1)
LIMIT = 10**10  # ns of virtual time
TU = 64


class Pair:
    """Two bare ports on one wire, and what was sent."""

    def __init__(self, faults: str = "none", *, seed: int = 0, count: int = 200, **config: Any) -> None:
        config = {"tu_exp": 6} | config
        self.devices = [
            PortDevice(port_config(guid, **config), count=count, expected=count) for guid in (1, 2)
        ]
        plan = FaultPlan.parse(faults)
        self.sent: list[tuple[int, Place, bytes, list[Arrival]]] = []
        self.events: list[tuple[Place, Event]] = []
        self.loopback = Loopback(
            self.devices,
            [Wire(A, B, faults=(plan, plan))],
            seed=seed,
            observe=lambda place, event: self.events.append((place, event)),
            tap=lambda *what: self.sent.append(what),
        )

    def check(self, note: str) -> None:
        """The balance of issue and specification: every PROT and every damaged flit is accounted for."""
        for source, target in ((A, B), (B, A)):
            tx = self.devices[source.device].port.links[0].counters
            rx = self.devices[target.device].port.links[0].counters
            injector = self.loopback.lanes[source].injector
            taken = rx.prot_accepted + rx.prot_gap + rx.prot_duplicate + rx.prot_stray
            assert tx.prot_sent + injector.prot_duplicated == taken + injector.prot_lost, note
            assert injector.damaged == rx.crc_errors, note

    def digest(self) -> str:
        """One hash over every flit, its time and its fate."""
        return hashlib.sha256(repr(self.sent).encode()).hexdigest()


@pytest.mark.parametrize("seed", range(10))
def test_clean_run_repairs_nothing(seed: int) -> None:
    """Without faults: no replay, no recovery, no stale flit, no CRC error, whatever the amount of work."""
    pair = Pair(seed=seed, count=20 * seed)
    pair.loopback.run(max_time=LIMIT)
    pair.check(f"seed {seed}")
    for device in pair.devices:
        counters = device.port.links[0].counters
        assert (counters.replays, counters.recoveries, counters.stale, counters.crc_errors) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    "faults",
    [
        "0.02",
        "0.2",
        "crc:0.1",
        "drop:0.1",
        "truncate:0.1",
        "duplicate:0.1",
        "delay:0.02",
        "crc@CTL:0.5,drop@NOP:0.5",
        "crc:0.03,drop:0.03,truncate:0.03,duplicate:0.03,delay:0.01:2000",
    ],
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_are_repaired_and_counted(faults: str, seed: int) -> None:
    """Under every kind of fault all messages arrive in order, and both sides count alike to the flit."""
    pair = Pair(faults, seed=seed)
    pair.loopback.run(max_time=LIMIT)
    pair.check(f"{faults} seed {seed}")
    assert sum(lane.injector.count(*FaultKind) for lane in pair.loopback.lanes.values()) > 0


def test_planted_miscount_is_seen() -> None:
    """The balance notices one flit that the injector damages without counting it."""
    pair = Pair("crc:0.05", seed=1)
    injector = pair.loopback.lanes[A].injector
    pair.loopback.run(max_time=LIMIT)
    injector.counts[FaultKind.CRC][FlitType.PROT] -= 1
    with pytest.raises(AssertionError):
        pair.check("planted")


@pytest.mark.parametrize("size", [0, 1, 63, 65, 255, 257])
def test_frame_of_wrong_length_is_a_bad_flit(size: int) -> None:
    """A frame that has not the length of a flit arrives as damaged, once counted [HSL-PAL-001]."""
    pair = Pair(count=0)
    loopback, lane = pair.loopback, pair.loopback.lanes[B]
    loopback.run(max_time=LIMIT, until=lambda: pair.devices[0].started)
    loopback._push(
        loopback.now + 1,
        Step.RECEIVE,
        A,
        lambda: loopback._deliver(lane, Arrival(bytes(size)), lane.cuts, loopback.now),
    )
    loopback.run(max_time=LIMIT)
    assert pair.devices[0].port.links[0].counters.crc_errors == 1
    assert pair.devices[0].got == 0


def test_duplicate_is_caught_as_duplicate() -> None:
    """A PROT that arrives twice is dropped the second time, and no message is delivered twice."""
    pair = Pair("duplicate@PROT:x5")
    pair.loopback.run(max_time=LIMIT)
    assert [device.port.links[0].counters.prot_duplicate for device in pair.devices] == [5, 5]
    assert [device.got for device in pair.devices] == [200, 200]


def test_same_seed_same_bytes() -> None:
    """One seed gives the same flits at the same times with the same fate; another seed gives others."""
    digests = []
    for seed in (5, 5, 6):
        pair = Pair("crc:0.05,drop:0.05,truncate:0.02,duplicate:0.02,delay:0.01", seed=seed)
        pair.loopback.run(max_time=LIMIT)
        digests.append(pair.digest())
    assert digests[0] == digests[1] != digests[2]


def test_directions_have_faults_of_their_own() -> None:
    """The plan of one direction leaves the other alone."""
    pair = Pair()
    pair.loopback = Loopback(
        pair.devices, [Wire(A, B, faults=(FaultPlan.parse("drop:0.1"), FaultPlan.parse("crc:0.1")))]
    )
    pair.loopback.run(max_time=LIMIT)
    a, b = (pair.loopback.lanes[place].injector for place in (A, B))
    assert a.lost > 0 < b.damaged
    assert (a.damaged, b.lost) == (0, 0)


def test_line_time() -> None:
    """A flit is delivered a latency after its last byte; picoseconds are summed before rounding up."""
    pair = Pair()
    lane = Loopback(pair.devices, [Wire(A, B, latency_ns=100, ps_per_byte=15)]).lanes[A]
    lane.up = True
    assert lane.ready(7)
    # 64 bytes are 960 ps: the first ends at 7.96, the second at 8.92, the third at 9.88.
    assert [lane.occupy(64, 7), lane.ready(7), lane.occupy(64, 7)] == [108, True, 109]
    assert (lane.ready(7), lane.ready(8)) == (False, True)
    assert lane.occupy(64, 8) == 110
    lane.up = False
    assert not lane.ready(100)


def test_order_of_one_instant() -> None:
    """At one instant: received flits, PAL events, timers, local requests, then transmission (3.1)."""
    pair = Pair(count=0)
    log: list[str] = []
    node = pair.devices[0].node
    for name in ("receive", "pal_down", "tick", "transmit"):
        original = getattr(node, name)

        def record(*args: Any, name: str = name, original: Any = original, **kwargs: Any) -> Any:
            log.append(name)
            return original(*args, **kwargs)

        setattr(node, name, record)
    pair.loopback.run(max_time=LIMIT, until=lambda: pair.devices[0].started)
    loopback, lane = pair.loopback, pair.loopback.lanes[B]
    at = loopback.now + 1
    loopback.call(at, A, lambda: log.append("local"))
    loopback._deadlines[A.device] = at
    loopback.set_wire(0, up=False, at=at)
    loopback._push(at, Step.RECEIVE, A, lambda: loopback._deliver(lane, Arrival(bytes(64)), lane.cuts, at))
    log.clear()
    loopback.step()
    assert (loopback.now, log) == (at, ["receive", "pal_down", "tick", "local", "transmit"])


def test_cut_shorter_than_t_state_is_survived() -> None:
    """A wire that is cut and joined again within T_STATE costs a recovery, no message and no LINK_DOWN."""
    pair = Pair(count=3000, tu_exp=6)
    pair.loopback.run(max_time=LIMIT, until=lambda: pair.devices[0].got > 1000)
    pair.loopback.set_wire(0, up=False)
    pair.loopback.set_wire(0, up=True, at=pair.loopback.now + 4000 * TU)
    pair.loopback.run(max_time=LIMIT)
    assert [device.got for device in pair.devices] == [3000, 3000]
    assert not any(isinstance(event, LinkDown) for _, event in pair.events)
    assert all(device.port.links[0].counters.recoveries for device in pair.devices)


def test_cut_loses_what_is_under_way() -> None:
    """A flit sent before PAL_DOWN never arrives after PAL_UP, however short the cut [HSL-PAL-003]."""
    devices = [PortDevice(port_config(guid, tu_exp=10), count=5, expected=5) for guid in (1, 2)]
    loopback = Loopback(devices, [Wire(A, B, latency_ns=10_000)])
    loopback.run(max_time=LIMIT, until=lambda: devices[0].sent == 5)
    at, last = loopback.now, loopback.lanes[A].last_delivery
    assert last > at + 2
    loopback.set_wire(0, up=False, at=at + 1)
    loopback.set_wire(0, up=True, at=at + 2)
    received = [device.port.links[0].counters.flits_received.copy() for device in devices]
    while loopback.now <= last:
        assert [device.port.links[0].counters.flits_received for device in devices] == received
        loopback.step()
    loopback.run(max_time=LIMIT)
    assert [device.got for device in devices] == [5, 5]


def test_run_ends_with_nothing_under_way() -> None:
    """A run is over when all is quiet and what was sent until then has come; noise begins the wait anew."""
    pair = Pair(count=0)
    loopback, lane = pair.loopback, pair.loopback.lanes[A]
    loopback.run(max_time=LIMIT)
    lane.last_arrival = loopback.now + 500
    loopback._calm_from = None
    assert not loopback._settled()
    loopback.now += 499
    assert not loopback._settled()
    lane.last_arrival += 100  # a keep-alive that began meanwhile is not waited for
    loopback.now += 1
    assert loopback._settled()
    pair.devices[0].count = 1
    assert not loopback._settled()
    pair.devices[0].count = 0
    assert not loopback._settled()


def test_quiescing_device_has_no_faults() -> None:
    """Faults are injected until a device is quiescing, and not into what it sends after that."""
    pair = Pair("crc@NOP:1", count=0)
    loopback = pair.loopback
    loopback.run(max_time=LIMIT, until=lambda: all(device.started for device in pair.devices))
    assert loopback.lanes[A].injector.enabled
    loopback.run(max_time=LIMIT)
    assert not loopback.lanes[A].injector.enabled
    assert not loopback.lanes[B].injector.enabled


def test_cut_for_good_ends_the_link() -> None:
    """A wire that stays cut ends in DEAD after T_STATE, and the run in a LinkError that says why."""
    pair = Pair(count=3000)
    pair.loopback.run(max_time=LIMIT, until=lambda: pair.devices[0].got > 1000)
    pair.loopback.set_wire(0, up=False)
    with pytest.raises(LinkError, match="T_STATE"):
        pair.loopback.run(max_time=LIMIT)
    assert pair.devices[0].port.state(0) is LinkState.DEAD


def test_versions_that_do_not_meet() -> None:
    """Ports without a common version end in a LinkError, not in a run until the time limit."""
    pair = Pair()
    pair.devices[1] = PortDevice(port_config(2, tu_exp=6, min_version=(2, 0), max_version=(2, 0)))
    pair.loopback = Loopback(pair.devices, [Wire(A, B)])
    with pytest.raises(LinkError):
        pair.loopback.run(max_time=LIMIT)


def test_time_limit_is_an_error() -> None:
    """A run that is not done when virtual time is over says so."""
    with pytest.raises(TransportError, match="5000 ns"):
        Pair(count=100000).loopback.run(max_time=5000)


def test_nothing_to_come_is_an_error() -> None:
    """A run in which nothing is to come, and that is not done, says so."""
    pair = Pair()
    loopback = Loopback(pair.devices[:1], [])
    with pytest.raises(TransportError, match="nothing is to come"):
        loopback.run(max_time=LIMIT)


def test_deadline_that_never_passes_is_an_error() -> None:
    """A device whose deadline stays in the past ends the run instead of hanging it."""
    pair = Pair()
    pair.devices[0].next_deadline = lambda: 0  # type: ignore[method-assign]
    with pytest.raises(TransportError, match="no progress"):
        pair.loopback.run(max_time=LIMIT)


@pytest.mark.parametrize(
    "wires",
    [
        [Wire(A, B), Wire(A, Place(1, 1))],
        [Wire(A, A)],
        [Wire(A, Place(2))],
        [Wire(A, B, latency_ns=0)],
        [Wire(A, B, ps_per_byte=-1)],
    ],
)
def test_impossible_wires_are_refused(wires: list[Wire]) -> None:
    """Two wires at one place, a place without a device, or a line without latency is a ConfigError."""
    with pytest.raises(ConfigError):
        Loopback(Pair().devices, wires)


def test_several_devices_share_one_time() -> None:
    """Three pairs of devices run on one queue as they run alone, each on its own wire."""
    alone = Pair(count=50)
    alone.loopback.run(max_time=LIMIT)
    devices = [PortDevice(port_config(guid, tu_exp=6), count=50, expected=50) for guid in (1, 2, 1, 2, 1, 2)]
    sent: list[tuple[int, Place, bytes]] = []
    together = Loopback(
        devices,
        [Wire(Place(at), Place(at + 1)) for at in (0, 2, 4)],
        tap=lambda now, place, flit, arrivals: sent.append((now, place, flit)),
    )
    together.run(max_time=LIMIT)
    expected = [(now, place.device, flit) for now, place, flit, _ in alone.sent]
    for pair in range(3):
        mine = [(now, place.device % 2, flit) for now, place, flit in sent if place.device // 2 == pair]
        assert mine == expected


def test_observer_sees_the_bring_up() -> None:
    """Every state change and LINK_UP of both ports is told, in order."""
    pair = Pair(count=1)
    pair.loopback.run(max_time=LIMIT)
    for place in (A, B):
        events = [event for at, event in pair.events if at.device == place.device]
        states = [event.new for event in events if isinstance(event, StateChanged)]
        assert states == [LinkState.DETECT, LinkState.CONFIG, LinkState.INIT, LinkState.ACTIVE]
        assert sum(isinstance(event, LinkUp) for event in events) == 1


def test_a_flit_arrives_within_t_state_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that holds a flit for T_STATE or longer loses it; a shorter one does not [HSL-RAS-012]."""
    t_state = TIMERS["T_STATE"].tu * TU
    pair = Pair(f"reorder@PROT:0.02:ns={t_state - 2000},reorder@PROT:0.02:ns={t_state}", count=400)
    loopback = pair.loopback
    under_way: list[Arrival] = []
    arrived: list[tuple[int, int]] = []  # when, and which
    right = Loopback._deliver

    def deliver(loopback: Loopback, lane: Lane, arrival: Arrival, *more: int) -> None:
        under_way[:] = [arrival]
        right(loopback, lane, arrival, *more)

    def receive(*frame: Any, node: Any) -> None:
        arrived.append((loopback.now, id(under_way[0])))
        node(*frame)

    monkeypatch.setattr(Loopback, "_deliver", deliver)
    for device in pair.devices:
        monkeypatch.setattr(device.node, "receive", partial(receive, node=device.node.receive))
    loopback.start()
    while loopback.now < 2 * t_state:
        loopback.step()
    sent = {id(arrival): now for now, _, _, arrivals in pair.sent for arrival in arrivals}
    assert t_state - 2000 <= max(now - sent[which] for now, which in arrived) < t_state
    pair.check("what came too late is lost")
