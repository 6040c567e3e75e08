"""`hsl link`."""

import re
from typing import Any

import click

from hsl._generated.constants import MAX_LINKS, MAX_WINDOW
from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.help_values import MAX_BER, MAX_DELAY_NS, MAX_LANES, MAX_MESSAGES, MAX_RATE, MIN_RATE
from hsl.cli.options import Choice, Integer, capture, engine, faults, flit, integer, option, output, seed
from hsl.cli.seconds import decimal
from hsl.engine.select import ENGINES

__all__ = ["command"]

KILL = re.compile(r"(\d{1,4})@(\d{1,18})", re.ASCII)
RANGE = re.compile(r"(\d{1,4})\.\.(\d{1,4})", re.ASCII)
RATE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?:GT/s)?", re.ASCII)
SLOW = re.compile(r"(\d{1,4}):(.+)", re.ASCII)


class Kill(click.ParamType[tuple[int, int]]):
    """A link, and the number of delivered flits at which it is cut: LINK@FLIT."""

    name = "link@flit"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Return (link, delivered flits)."""
        found = KILL.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not LINK@FLIT, such as 1@50000", param, ctx)
        return int(found[1]), int(found[2])


class Counts(click.ParamType[tuple[int, ...]]):
    """Numbers of links: N, N..M or N,M,..."""

    name = "links"
    limits = f"1 to {MAX_LINKS}"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """Return the numbers, in the order in which they were given."""
        span = RANGE.fullmatch(value)
        parts = value.split(",")
        if span:
            links = tuple(range(int(span[1]), int(span[2]) + 1))
        else:
            links = tuple(
                int(part) for part in parts if part.isascii() and part.isdecimal() and len(part) < 5
            )
        complete = bool(span) or len(links) == len(parts)
        if (
            not (complete and links and all(1 <= count <= MAX_LINKS for count in links))
            or len(links) > MAX_LINKS
        ):
            self.fail(f"{value!r} is invalid; expected N, N..M or N,M,... of {self.limits}", param, ctx)
        return links


class Rate(click.ParamType[float]):
    """GT/s of a lane, with or without the unit."""

    name = "rate"
    limits = f"{MIN_RATE:g} to {MAX_RATE} GT/s"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the rate in GT/s."""
        found = RATE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not a rate, such as 32GT/s", param, ctx)
        return float(found[1])


class SlowLink(click.ParamType[tuple[int, float]]):
    """A link and its rate: LINK:RATE."""

    name = "link:rate"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, float]:
        """Return (link, GT/s)."""
        found = SLOW.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not LINK:RATE, such as 1:16GT/s", param, ctx)
        return int(found[1]), Rate().convert(found[2], param, ctx)


class ErrorRate(click.FloatRange):
    """A bit error rate."""

    name = "ber"
    limits = f"0 to {MAX_BER:g}"

    def __init__(self) -> None:
        super().__init__(0, MAX_BER)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the rate. Fails as a usage error for a text that is none, or out of range."""
        rate = decimal(value)
        if not 0 <= rate <= MAX_BER:
            self.fail(f"{value!r} is not a bit error rate; expected {self.limits}", param, ctx)
        return rate


SOAK = Leaf(
    "soak",
    calls="hsl.cli.link:soak",
    summary="Deliver many flits over a bad link, and check every message.",
    text="""
    Two ports send messages on all VCs both ways over the loopback, and faults hit both lines. Every
    message must arrive once and in order, every credit must come back, and the counters of both ends
    must equal what was injected, to the flit.

    A kind of fault that is port-fatal ends the run with exit code 1 and the error of the port. The
    report names it in unbalanced_by, and no account of flits need hold. The same is true of a link-down
    that outlasts T_STATE.
    """,
    options={
        "Workload": [
            integer("--flits", least=1, default=100_000, help="PROT flits to deliver."),
            integer(
                "--low-power",
                least=1,
                metavar="FLITS",
                help="Offer L1, and let both ends rest about every FLITS flits. The seed draws the times.",
            ),
        ],
        "Link": [
            integer("--links", least=1, most=MAX_LINKS, default=1, help="Links of the port."),
            flit(),
            engine(),
            option(
                "--codec",
                type=Choice(ENGINES),
                default_is="that of --engine, else native",
                help="Codec under the link.",
            ),
        ],
        "Faults": [
            *faults(),
            option(
                "--kill-link",
                "kills",
                type=Kill(),
                multiple=True,
                metavar="LINK@FLIT",
                help="Cut a link for good once FLIT flits are delivered. May be repeated.",
            ),
            seed("the traffic and the faults"),
        ],
        "Recording": capture(),
    },
    output=output(),
    examples=[
        Example("hsl link soak --flits 5000 --faults crc:1e-3,drop:1e-3 --seed 1", "Repair a bad link."),
        Example(
            "hsl link soak --flits 3000 --links 3 --kill-link 1@1500 --seed 1", "Lose one of three links."
        ),
        Example("hsl link soak --flits 3000 --low-power 300 --seed 2", "Sleep and wake in mid-traffic."),
    ],
    ends={
        0: "Every message, credit and counter is right.",
        1: "A message, a credit or a counter is wrong, or the port died.",
    },
)
PREDICT = Leaf(
    "predict",
    calls="hsl.cli.predict:predict_ports",
    summary="Model goodput and latency of a port, beside the closed form.",
    text="""
    64-byte messages go one way as fast as the port permits, then single messages cross the quiet port.
    All times are modelled, so the speed of this machine does not matter: the same seed gives the same
    document to the byte.
    """,
    options={
        "Link": [
            option(
                "--links",
                type=Counts(),
                metavar="N",
                default="1..8",
                help="Links of the port: N, N..M or N,M.",
            ),
            option("--rate", type=Rate(), metavar="GT/s", default="32GT/s", help="Rate of each lane."),
            integer("--lanes", least=1, most=MAX_LANES, default=16, help="Lanes of each link."),
            option(
                "--slow-link",
                "slow",
                type=SlowLink(),
                multiple=True,
                metavar="LINK:RATE",
                help="Rate of one link that is slower than --rate. May be repeated.",
            ),
            option(
                "--delay",
                "delay_ns",
                type=Integer(1, MAX_DELAY_NS),
                metavar="NS",
                default=10,
                help="Delay of the line in ns, one way.",
            ),
            option("--ber", type=ErrorRate(), metavar="P", default=0.0, help="Bit error rate of each line."),
            integer(
                "--window",
                least=1,
                most=MAX_WINDOW,
                default=MAX_WINDOW,
                help="Flits that may be unacknowledged.",
            ),
            flit(),
        ],
        "Run": [
            integer(
                "--messages",
                least=2,
                most=MAX_MESSAGES,
                default=4000,
                help="Messages of 64 bytes for each row.",
            ),
            seed("the bit errors"),
            engine(),
        ],
    },
    output=output(),
    examples=[
        Example("hsl link predict --links 1,4 --messages 1000 --seed 1", "Compare one link with four."),
        Example(
            "hsl link predict --links 1 --rate 16GT/s --ber 1e-7 --messages 500 --seed 1",
            "See what bit errors cost.",
        ),
    ],
    ends={0: "The model ran."},
)
command = Branch(
    "link",
    summary="Run or model the link layer alone.",
    commands=[SOAK, PREDICT],
)
