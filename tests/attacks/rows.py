"""The table: which attack on which node over which carrier, how often, and what must hold afterwards.

A row is a test. `short` turns are for CI, `long` ones for `python -m tests.attacks --long`. A new attack is a
function in examples/raw_attacks.py or raw_messages.py and a row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SERVES, ENDS, LIVES = "serves", "ends", "lives"
LOST, FAILED, DONE = 7, 1, 0  # exit codes of `hsl node`: the peer is lost; the result is wrong; all is well
BRISK = 18  # TU of 262 us: a lost link is given up after 1.1 s and not after 4.3 s


class Row(NamedTuple):
    """One attack and its judgement.

    `victim`: cpu, gpu, third (a CPU with an innocent memory node behind it) or memory (the attacker is the
    memory node of a CPU with an innocent GPU). `seconds` bounds the attack, as `short` and `long` bound its
    turns. `then`: the node must serve an honest GPU; or end with one of `codes`; or live on. `lines`, `mb`:
    the most that stderr and RSS may grow, besides a few lines a second. `tu`: of the victim and the peer.
    `options`, `files` (RLIMIT_NOFILE): of the victim; `caps`: of the peer.
    """

    name: str
    victim: str = "cpu"
    scheme: str = "tcp"
    short: int = 100
    long: int = 10_000
    seconds: float = 8.0
    then: str = ENDS
    codes: tuple[int, ...] = (LOST,)
    lines: int = 6
    mb: float = 8.0
    tu: int = 20
    options: tuple[str, ...] = ()
    files: int | None = None
    caps: tuple[tuple[str, int], ...] = ()

    @property
    def long_seconds(self) -> float:
        """The bound of the long attack: an attack that does nothing but wait needs no minute."""
        return 60.0 if self.seconds >= 8.0 else 8.0

    @property
    def id(self) -> str:
        """The name of the row."""
        extra = "".join(f"-{option.lstrip('-')}" for option in self.options[:1])
        return f"{self.name}-{self.victim}-{self.scheme}{extra}{'-few-files' if self.files else ''}"


def before_a_session() -> list[Row]:
    """Attacks that a listener must outlive: an honest GPU is served afterwards."""
    return [
        *(Row("strangers", scheme=scheme, short=300, then=SERVES) for scheme in ("tcp", "unix", "udp")),
        Row("strangers", "gpu", short=300, then=LIVES),
        Row("frames-of-noise", then=SERVES),
        Row("frames-of-noise", scheme="udp", then=SERVES),
        *(Row("connections", scheme=scheme, short=200, long=900, then=SERVES) for scheme in ("tcp", "unix")),
        Row("connections", short=15, long=60, then=SERVES, files=9),
        *(Row("new-epochs", scheme=scheme, short=500, then=SERVES) for scheme in ("tcp", "udp")),
        *(
            Row("endless-caps", scheme=scheme, short=500, long=500_000, then=SERVES)
            for scheme in ("tcp", "udp")
        ),
        Row("fuzz-hello", short=200, long=5_000, then=SERVES, lines=40),  # each magic is a kind
        Row("fuzz-caps", short=40, long=2_000, then=SERVES, lines=130),  # so is each reason
        Row("stolen-nids", short=40, long=800, then=SERVES),
        Row("tu-255", then=SERVES),
        Row("last-incarnation", scheme="udp", then=SERVES),
    ]


# T_REQ ends each turn. It is more than 2 T_LOSS, of 6.4 s each with this TU; honest nodes are slow at times.
SHORT = ("--t-snp", "0.5", "--t-mem", "1", "--t-cack", "0.5", "--t-req", "18.5")
SILENT: dict[str, Any] = {"long": 6, "seconds": 120.0, "tu": 19, "options": SHORT}
LIES = {  # turns: one for each lie
    "lying-roles": 3,
    "lying-id": 4,
    "lying-agents": 5,
    "lying-range": 7,
    "too-large": 2,
    "refuses-its-map": 2,
    "short-memory": 3,
    "overlapping-nids": 5,
    "request-before-ready": 4,
}


def at_boot() -> list[Row]:
    """Lies of a device to its boot master, which turns it away, and admits an honest one afterwards."""
    away: dict[str, Any] = {"then": SERVES, "seconds": 60.0, "lines": 20}
    return [
        *(Row(name, short=turns, long=10 * turns, **away) for name, turns in LIES.items()),
        *(Row("lying-range", scheme=scheme, short=3, long=70, **away) for scheme in ("unix", "udp")),
        Row("silent-at-boot", short=2, **away | SILENT),
        Row("untold-content", short=2, long=20, **away),
        Row("comes-back-changed", short=6, long=60, **away),
        Row("request-before-ready", "third", short=4, long=40, **away),
        Row("silent-at-boot", "third", short=1, **away | SILENT),
        Row("comes-back-changed", "third", short=6, long=60, **away),
    ]


def on_the_link() -> list[Row]:
    """Attacks on the link of a session, which ends for the attacker only."""
    return [
        Row("silence", seconds=2.5, tu=BRISK),
        Row("no-ack", seconds=2.5, tu=BRISK),
        Row("link-only", seconds=3.0, options=("--time-limit", "1")),
        Row("future-ack", short=500),
        Row("wrong-crc", short=500),
        Row("wrong-crc", scheme="udp", short=500),
        Row("seq-jump", short=500),
        Row("wrap", short=1500, long=5_000),
        Row("no-credit"),
        Row("false-credits"),
        Row("wrong-som", options=("--flit", "B256")),
        Row("b256", options=("--flit", "B256")),
        Row("old-epochs", short=300),
        Row("old-epochs", scheme="udp", short=300),
        Row("old-hello"),
        Row("storm-nak", short=300),
        Row("storm-retrain", short=300),
        Row("storm-resync", short=300),
        Row("storm-pm", short=300),
        Row("unknown-ctl", short=300),
        Row("fuzz-flits", short=300),
        Row("fuzz-ctl", short=300),
        Row("fuzz-granules", short=300),
    ]


FLOODS = (
    *("CfgRead", "CfgWrite", "NcRead", "NcWrite", "NcEnq", "Intr", "TransReq", "TransInv", "PageReq"),
    *("MgmtMsg", "ErrMsg", "AtomicLoad", "Evict", "WbFull", "WriteFull", "ReadShared"),
)
ANSWERS = ("CmpAck", "Cmp", "CmpData", "SnpRsp", "SnpRspData")


def by_messages() -> list[Row]:
    """Attacks by messages: a flood is answered, and what is for nothing ends the port at the 17th."""
    either = (LOST, FAILED)
    return [
        *(Row(f"flood-{op}", short=300, long=20_000, codes=either) for op in FLOODS),
        *(Row(f"{op}-for-nothing") for op in ANSWERS),
        Row("fuzz-messages", short=300, long=20_000, codes=either),
        Row("fuzz-messages", short=300, codes=either, options=("--flit", "B256"), caps=(("flit_sizes", 3),)),
        Row("fuzz-messages", scheme="udp", short=300, codes=either),
        Row("snoops", short=300),
        Row("unknown-op", short=300),
        Row("forged-src", short=300),
        Row("claims", short=1000, long=90_000, mb=16.0),
        Row("held-grants", short=300),
        Row("held-lines", seconds=1.0),
        Row("hoard", short=300),
        Row("poison", codes=(FAILED,), seconds=5.0),
    ]


def third_parties() -> list[Row]:
    """Attacks of one node on a CPU with another behind it: the other one stays alive (chapter 16)."""
    return [
        Row("open-reads", "third", short=1000, seconds=50.0),  # below the minute of the loads beside it
        Row("forged-memory", "third", short=300),
        Row("claims", "third", short=300, long=20_000),
        Row("snoops", "third", short=300),
        Row("wrong-memory", "memory", seconds=20.0, codes=(FAILED, LOST)),
    ]


def on_the_gpu() -> list[Row]:
    """Attacks of a CPU on its GPU."""
    return [
        *(
            Row(name, "gpu", short=300, caps=(("nid_base", 0),))
            for name in ("fuzz-flits", "fuzz-ctl", "fuzz-granules", "seq-jump", "wrong-crc")
        ),
        Row("silence", "gpu", seconds=2.5, tu=BRISK, caps=(("nid_base", 0),)),
        Row("gpu-doorbells", "gpu", short=28, long=280, seconds=10.0, codes=(DONE,)),
        Row("gpu-jobs", "gpu", short=28, long=1000, seconds=5.0, codes=(DONE, FAILED, LOST)),
        Row("gpu-completions", "gpu", short=11, long=1000, codes=(FAILED, LOST)),
    ]


ROWS = [*before_a_session(), *at_boot(), *on_the_link(), *by_messages(), *third_parties(), *on_the_gpu()]
