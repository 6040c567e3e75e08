"""Latency and goodput of a port in modelled time, beside the closed form.

Nothing here is measured on a machine: the loopback counts picoseconds of line time, as Wire says. The closed
form knows line rate, packing, window and the cost of an error, and nothing of the state machine.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import Any, Final

from hsl._generated.constants import (
    GRANULE_BYTES,
    MAX_CREDITS,
    MAX_WINDOW,
    N_ACK,
    ROUND_TRIP_TU,
    TIMERS,
    TU_EXPONENT_HARDWARE,
    FlitSize,
    Op,
    Role,
    Vc,
)
from hsl.codec.flit import FORMATS
from hsl.codec.message import Message
from hsl.errors import ConfigError
from hsl.link.config import N_ACK_PER_WINDOW, PortConfig
from hsl.nearest import expected
from hsl.transport.base import Place
from hsl.transport.faults import Fault, FaultKind, FaultPlan
from hsl.transport.loopback import Loopback, Wire
from hsl.verify.endpoint import PortCore

__all__ = ["MAX_LINKS", "Model", "predict"]

MAX_LINKS: Final = 8
MIN_RATE: Final = 0.001  # GT/s; a bit in a microsecond
MAX_RATE: Final = 1000  # more than any line has
MAX_LANES: Final = 64
MAX_BER: Final = 1e-4  # more than one flit in twenty is bad: what comes then is recovery, not goodput
MAX_DELAY_NS: Final = 100_000  # 20 km
ROLES: Final = Role.RA | Role.HA | Role.MT | Role.IOA
SIZES: Final = {"L64": FlitSize.L64, "B256": FlitSize.L64 | FlitSize.B256}
DATA_BYTES: Final = 64
STREAM: Final = Message(Op.CmpData, 1, 17, len=3, data=bytes(DATA_BYTES))
STREAM_BYTES: Final = DATA_BYTES + GRANULE_BYTES  # one header granule
PING: Final = Message(Op.Cmp, 1, 17)  # one granule: it fits in any flit
PINGS: Final = 100
PING_GAP_NS: Final = 1000  # the link is quiet again
MAX_MESSAGES: Final = 1 << 20  # that wait at once, the largest queue of a port
MAX_VIRTUAL_NS: Final = 1 << 40
EPOCH_BITS: Final = 32
BITS_PER_BYTE: Final = 8
PS_PER_NS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Settings of the model; rates in GT/s per lane, `slow` has other rates by link. Raises ConfigError."""

    rate: float = 32.0
    lanes: int = 16
    ber: float = 0.0
    delay_ns: int = 10
    window: int = MAX_WINDOW
    flit: str = "L64"
    slow: dict[int, float] = field(default_factory=dict)
    messages: int = 4000
    seed: int = 0
    codec: str = "native"

    def __post_init__(self) -> None:
        rates = (self.rate, *self.slow.values())
        legal = (
            (self.flit in FORMATS, f"flit {self.flit!r}; {expected(FORMATS, self.flit)}"),
            (
                all(MIN_RATE <= rate <= MAX_RATE for rate in rates),
                f"rates {rates}; expected {MIN_RATE}..{MAX_RATE} GT/s",
            ),
            (1 <= self.lanes <= MAX_LANES, f"{self.lanes} lanes; expected 1..{MAX_LANES}"),
            (0 <= self.ber <= MAX_BER, f"bit error rate {self.ber}; expected 0..{MAX_BER}"),
            (1 <= self.delay_ns <= MAX_DELAY_NS, f"delay {self.delay_ns} ns; expected 1..{MAX_DELAY_NS}"),
            (1 <= self.window <= MAX_WINDOW, f"window {self.window}; expected 1..{MAX_WINDOW}"),
            (set(self.slow) <= set(range(MAX_LINKS)), f"slow links {sorted(self.slow)}; expected 0..7"),
            (2 <= self.messages <= MAX_MESSAGES, f"{self.messages} messages; expected 2..{MAX_MESSAGES}"),
        )
        for good, text in legal:
            if not good:
                raise ConfigError(text)

    @property
    def flit_bytes(self) -> int:
        """Bytes of a flit on the line."""
        return FORMATS[self.flit].bytes

    @property
    def flit_error_rate(self) -> float:
        """The chance that at least one bit of a flit is wrong; a flit with one is a bad flit (2.4)."""
        return float(1 - (1 - self.ber) ** (BITS_PER_BYTE * self.flit_bytes))

    def ps_per_byte(self, link: int) -> float:
        """Line time of a byte: one bit on each lane in each transfer."""
        return BITS_PER_BYTE * PS_PER_NS / (self.slow.get(link, self.rate) * self.lanes)

    def flit_ns(self, links: int) -> float:
        """Line time of a flit on the slowest of `links` links."""
        return max(ceil(self.flit_bytes * self.ps_per_byte(link)) for link in range(links)) / PS_PER_NS

    def round_trip_ns(self, links: int) -> float:
        """There and back on the slowest of `links` links, a flit each way."""
        return 2 * (self.flit_ns(links) + self.delay_ns)

    def tu_exp(self, links: int) -> int:
        """The TU of hardware, or the shortest that covers the round trip. HSL 3.1."""
        needed_ns = ceil(self.round_trip_ns(links) / ROUND_TRIP_TU)
        return max(TU_EXPONENT_HARDWARE, (needed_ns - 1).bit_length())

    def port(self, index: int, links: int) -> PortConfig:
        """One end: a stream of DAT has all the credits that there can be."""
        return PortConfig(
            guid=index + 1,
            roles=ROLES,
            nid_base=16 * index,
            nid_count=16,
            epoch=partial(random.Random(f"{self.seed} epoch {index}").getrandbits, EPOCH_BITS),
            window=self.window,
            tu_exp=self.tu_exp(links),
            flit_sizes=SIZES[self.flit],
            links=links,
            max_links=links,
            credits={Vc.DAT: MAX_CREDITS},
            queue_cap=self.messages,
            codec=self.codec,
        )

    def wires(self, links: int) -> list[Wire]:
        """The lines, each with its own rate and the error rate of its flits."""
        plan = FaultPlan((Fault(FaultKind.CRC, rate=self.flit_error_rate),) if self.ber else ())
        return [
            Wire(Place(0, 0, link), Place(1, 0, link), self.delay_ns, self.ps_per_byte(link), (plan, plan))
            for link in range(links)
        ]


class Sender:
    """Sends `count` copies of a message: all at once, or the next one PING_GAP_NS after the last came."""

    def __init__(self, config: PortConfig, message: Message, count: int) -> None:
        self.node = PortCore("sender", config)
        self.message = message
        self.left = count
        self.sent: list[int] = []  # ns
        self.due = 0
        self.paced = False
        self.started = self.quiescing = False

    @property
    def finished(self) -> bool:
        """All are sent."""
        return not self.left

    def advance(self, now: int) -> None:
        """Send what is due."""
        port = self.node.port
        if not port.up or now < self.due:
            return
        for _ in range(1 if self.paced else self.left):
            port.send(self.message)
            self.sent.append(now)
            self.left -= 1
        if self.paced:
            self.due = MAX_VIRTUAL_NS

    def next_deadline(self) -> int | None:
        """A timer, or the next message."""
        deadline = self.node.port.next_deadline()
        if self.paced and self.left and self.sent and self.due < MAX_VIRTUAL_NS:
            return self.due if deadline is None else min(deadline, self.due)
        return deadline


class Receiver:
    """Notes when each message came, and frees it at once."""

    def __init__(self, config: PortConfig, sender: Sender) -> None:
        self.node = PortCore("receiver", config)
        self.sender = sender
        self.came: list[int] = []  # ns
        self.started = self.quiescing = False
        self.finished = True

    def advance(self, now: int) -> None:
        """Take the messages that arrived; let a paced sender go on."""
        for message in self.node.port.messages():
            self.node.port.release(message.vc)
            self.came.append(now)
            self.sender.due = now + PING_GAP_NS

    def next_deadline(self) -> int | None:
        """A timer."""
        return self.node.port.next_deadline()


def run(model: Model, links: int, message: Message, count: int, paced: bool) -> tuple[list[int], list[int]]:
    """Return the times at which each of `count` messages was sent and arrived, in ns of modelled time."""
    sender = Sender(model.port(0, links), message, count)
    sender.paced = paced
    receiver = Receiver(model.port(1, links), sender)
    loopback = Loopback((sender, receiver), model.wires(links), seed=model.seed)
    loopback.run(max_time=MAX_VIRTUAL_NS, until=lambda: len(receiver.came) == count)
    return sender.sent, receiver.came


# ---- the closed form


def bounds(model: Model, links: int) -> dict[str, float]:
    """Goodput in GB/s that each limit allows: the line and the window of the links.

    65,535 credits allow more than the windows of 8 links: at most 4,088 flits are under way.
    """
    flit_ns = model.flit_ns(links)
    round_trip = model.round_trip_ns(links)
    per_flit = FORMATS[model.flit].payload_bytes * DATA_BYTES / STREAM_BYTES  # data bytes, without PAD
    n_ack = min(N_ACK, max(1, model.window // N_ACK_PER_WINDOW))
    return {
        "line": links * per_flit / flit_ns,
        # So many flits are under way for a round trip and for as long as an ACK is held back (3.1 N_ACK);
        # where credits that return shift the blocks of N_ACK, it is up to a tenth less.
        "window": links * model.window * per_flit / (round_trip + n_ack * flit_ns),
    }


def expected_goodput(model: Model, links: int) -> tuple[float, str]:
    """GB/s and what limits it.

    A bad flit costs a round trip on all links, because the rotation waits (4.3), and T_NAK more when the NAK
    or the first flit of the replay is bad too.
    """
    limits = bounds(model, links)
    limit = min(limits, key=lambda name: limits[name])
    flit_ns = model.flit_ns(links)
    t_nak_ns = TIMERS["T_NAK"].tu << model.tu_exp(links)
    lost_ns = model.round_trip_ns(links) + 2 * model.flit_error_rate * t_nak_ns
    return limits[limit] / (1 + links * model.flit_error_rate * lost_ns / flit_ns), limit


def expected_latency(model: Model) -> int:
    """Ns of one message on a quiet link: its flit on the line of link 0, rounded up, and the delay."""
    return ceil(ceil(model.flit_bytes * model.ps_per_byte(0)) / PS_PER_NS) + model.delay_ns


def predict(
    model: Model, links: Sequence[int], progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """The document of `hsl link predict --json` but for the engines: a row for each number of links."""
    rows = []
    for index, count in enumerate(links):
        rows.append(_row(model, count))
        if progress is not None:
            progress(index + 1, len(links))
    first = rows[0]["goodput_gb_per_s"]["modelled"]
    for row in rows:
        row["times_first"] = round(row["goodput_gb_per_s"]["modelled"] / first, 4)
    described = {
        name: getattr(model, name) for name in ("rate", "lanes", "ber", "delay_ns", "window", "flit")
    }
    return {
        "schema": "hsl.link.predict/1",
        "modelled": True,
        "seed": model.seed,
        "model": described
        | {
            "slow_links": {str(link): rate for link, rate in sorted(model.slow.items())},
            "flit_error_rate": model.flit_error_rate,
            "messages": model.messages,
        },
        "rows": rows,
    }


def _row(model: Model, links: int) -> dict[str, Any]:
    _, came = run(model, links, STREAM, model.messages, paced=False)
    if came[-1] - came[0] < model.round_trip_ns(links):
        raise ConfigError(
            f"{model.messages} messages over {links} links come within one round trip, "
            f"{model.round_trip_ns(links):.0f} ns, before any limit is met: ask for more"
        )
    # From the first arrival on: bring-up and the filling of the line are no part of the rate.
    after_first = sum(1 for at in came if at > came[0])
    goodput = after_first * DATA_BYTES / (came[-1] - came[0])  # bytes per ns = GB/s
    sent, arrived = run(model, links, PING, PINGS, paced=True)
    times = sorted(there - here for here, there in zip(sent, arrived, strict=True))
    expected, limit = expected_goodput(model, links)
    quiet = expected_latency(model)
    return {
        "links": links,
        "goodput_gb_per_s": {
            "modelled": round(goodput, 4),
            "expected": round(expected, 4),
            "ratio": round(goodput / expected, 4),
            "limited_by": limit,
        },
        "latency_ns": {
            "min": times[0],
            "p50": times[len(times) // 2],
            "p99": times[len(times) * 99 // 100],
            "expected": quiet,
            "ratio": round(times[len(times) // 2] / quiet, 4),
        },
    }
