"""The grain of a wire: deliveries at its multiples, the order and the throughput of the line unchanged."""

import pytest

from hsl.errors import ConfigError
from hsl.transport.base import Place, Tap
from hsl.transport.loopback import LATENCY_NS, PS_PER_BYTE, Loopback, Wire
from tests.support.ports import PortDevice, port_config

A, B = Place(0), Place(1)
LIMIT = 10**10  # ns of virtual time
COUNT = 300
FLIT_PS = 64 * PS_PER_BYTE


class Noted(PortDevice):
    """A bare port that notes when each flit reaches it, and the flit."""

    def __init__(self, guid: int) -> None:
        super().__init__(port_config(guid, tu_exp=6), count=COUNT, expected=COUNT)
        self.arrived: list[tuple[int, bytes]] = []
        receive = self.node.receive

        def noted(port: int, link: int, data: bytes, now: int, error: bool = False) -> None:
            self.arrived.append((now, data))
            receive(port, link, data, now, error)

        self.node.receive = noted  # type: ignore[method-assign]


def run(grain: int, tap: Tap | None = None) -> tuple[list[Noted], Loopback]:
    """Two ports that exchange COUNT messages each way over a wire of this grain."""
    devices = [Noted(1), Noted(2)]
    loopback = Loopback(devices, [Wire(A, B, grain_ns=grain)], tap=tap)
    loopback.run(max_time=LIMIT)
    return devices, loopback


@pytest.mark.parametrize("grain", [1, 16, 64, 250])
def test_deliveries_are_at_multiples_of_the_grain(grain: int) -> None:
    """Each flit arrives at a multiple of the grain, all flits in the order in which they were sent (3.9)."""
    sent: dict[Place, list[tuple[int, bytes]]] = {A: [], B: []}
    devices, _ = run(grain, lambda now, place, flit, arrivals: sent[place].append((now, flit)))
    for source, target in ((A, devices[1]), (B, devices[0])):
        assert {now % grain for now, _ in target.arrived} == {0}, "3.9: deliver_at is a multiple of grain"
        assert [flit for _, flit in target.arrived] == [flit for _, flit in sent[source]], "B1: the order"
        late = [came - went for (came, _), (went, _) in zip(target.arrived, sent[source], strict=True)]
        # The line may be busy for one grain, and the arrival is rounded up by less than one more.
        assert min(late) > LATENCY_NS
        assert max(late) <= LATENCY_NS + 2 * grain + FLIT_PS // 1000 + 1


@pytest.mark.parametrize("grain", [1, 64])
def test_the_line_is_no_faster(grain: int) -> None:
    """In no grain does a wire take more than the flits that start in it at the rate of the line."""
    taken: dict[tuple[Place, int], int] = {}

    def tap(now: int, place: Place, flit: bytes, arrivals: object) -> None:
        key = place, now // grain
        taken[key] = taken.get(key, 0) + len(flit)

    run(grain, tap)
    assert max(taken.values()) <= grain * 1000 / PS_PER_BYTE + 64


def test_a_grain_has_fewer_instants() -> None:
    """The steps of a run fall with the grain: that is what it is for."""

    def steps(grain: int) -> int:
        devices = [Noted(1), Noted(2)]
        loopback = Loopback(devices, [Wire(A, B, grain_ns=grain)])
        count = 0

        def counted() -> bool:
            nonlocal count
            count += 1
            return all(device.finished for device in devices)

        loopback.run(max_time=LIMIT, until=counted)
        return count

    assert 4 * steps(64) < steps(1)


def test_a_grain_below_one_is_refused() -> None:
    """A grain of less than one nanosecond is a ConfigError."""
    with pytest.raises(ConfigError, match="grain 0 ns"):
        run(0)
