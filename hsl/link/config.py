"""The offer of a port and the result of two offers: the CAPS record (HSL 3.3.2, 3.5 F1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from hsl._generated.constants import (
    ADDRESS_BITS,
    MAX_CREDITS,
    MAX_LINKS,
    MAX_NID,
    MAX_TU_EXP,
    MAX_TXN,
    MAX_WINDOW,
    N_ACK,
    TU_EXP_LIMIT,
    TU_EXPONENT_SOFTWARE,
    VERSION,
    AtomicClass,
    FlitSize,
    Power,
    Role,
    Security,
    Vc,
)
from hsl._generated.layouts import CAPS_RECORD
from hsl._generated.tables import CAPS_RULES, CREDIT_MINIMA, VC_RECEIVERS
from hsl.codec.checks import Negotiated
from hsl.codec.crc import ENGINES, crc32c
from hsl.errors import ConfigError
from hsl.nearest import expected
from hsl.shown import quoted

__all__ = ["CapsResult", "PortConfig", "below_minima", "invalid_caps", "negotiate", "parse_caps"]

VC_MASK_ALL: Final = sum(1 << vc for vc in Vc)
EPOCH_TRIES: Final = 8  # values asked of `epoch` before its 0s and repeats are an error
N_ACK_PER_WINDOW: Final = 4  # an ACK is due after a quarter of the window at the latest. HSL 3.1 N_ACK
DEFAULT_CREDITS: Final = 32  # per VC: a window of 64 flits full of 64-byte data never waits for credit
DEFAULT_QUEUE_CAP: Final = 1024  # messages waiting per VC; more than that is work for the caller to hold back


@dataclass(frozen=True, slots=True, kw_only=True)
class PortConfig:
    """One end of a port: what it offers in its CAPS record. HSL 3.3.2.

    Attributes:
        guid: identity of the port, 64 bits; the two ends must differ
        roles: Role bits of the agents behind this end
        nid_base: first NID behind this end
        nid_count: NIDs behind this end, in a row from `nid_base`
        epoch: function that returns the next EPOCH or PORT (32 bits; 0 and the previous value are skipped)
        window: flits that may be sent and not acknowledged (3.4)
        n_ack: flits after which an ACK is due at the latest
        tu_exp: n of the offered time unit, TU = 2^n ns; the larger offer of both ends is taken
        handshake_tu_exp: n until CONFIG is left; None takes `tu_exp`
        slow_exp: n of the offered unit of slow timers (3.1); 0, as any below `tu_exp`, counts as `tu_exp`
        tu_exp_limit: the largest n that this end accepts for both units; None takes the largest of 22,
            `tu_exp` and `slow_exp`, and a node with a home and several ports what it offers
        address_bits: bits of an address
        atomics: AtomicClass bits that are supported
        vc_mask: bit v is set if VC v is used
        links: links of the port, 1 to 8
        max_links: links that it bonds (4); None bonds all
        power: 1 to offer low power (3.7)
        flit_sizes: FlitSize bits that are supported; L64 is always one
        features: feature bits (3.3.2)
        max_txn: requests that a requester may have under way at this node
        credits: messages per VC that this end can take; 32 for a VC that is not named and that the roles
            receive on, 0 for another
        min_version: oldest (major, minor) of the profile that is accepted
        max_version: newest (major, minor) of the profile that is accepted
        queue_cap: messages per VC that may wait to be sent
        codec: engine of the flits, "reference" or "native"

    Raises ConfigError for a value that the profile does not allow. IDE is not supported and never offered.

    """

    guid: int
    roles: Role
    nid_base: int
    nid_count: int
    epoch: Callable[[], int]
    window: int = 64
    n_ack: int = N_ACK
    tu_exp: int = TU_EXPONENT_SOFTWARE
    handshake_tu_exp: int | None = None
    slow_exp: int = 0
    tu_exp_limit: int | None = None
    address_bits: int = ADDRESS_BITS
    atomics: AtomicClass = AtomicClass.INT
    vc_mask: int = VC_MASK_ALL
    max_links: int | None = None
    links: int = 1
    power: int = 0
    flit_sizes: FlitSize = FlitSize.L64
    features: int = 0
    max_txn: int = 256
    credits: Mapping[int, int] = field(default_factory=dict)
    min_version: tuple[int, int] = VERSION
    max_version: tuple[int, int] = VERSION
    queue_cap: int = DEFAULT_QUEUE_CAP
    codec: str = "reference"

    def __post_init__(self) -> None:
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            if not isinstance(value, int) or not low <= value <= high:
                raise ConfigError(f"{name} is {quoted(value)}; expected {low}..{high}")
        if self.tu_limit < self.slowest:
            raise ConfigError(f"tu_exp_limit {self.tu_limit} is below the own exponent {self.slowest}")
        if self.nid_base + self.nid_count > MAX_NID + 1:
            raise ConfigError(f"NIDs {self.nid_base}+{self.nid_count}; expected NIDs up to {MAX_NID}")
        if not self.flit_sizes & FlitSize.L64:
            raise ConfigError(f"flit_sizes is {self.flit_sizes!r}; L64 is always among them")
        if self.vc_mask & ~VC_MASK_ALL:
            raise ConfigError(f"vc_mask is {self.vc_mask:#x}; expected only bits of {VC_MASK_ALL:#x}")
        if self.codec not in ENGINES:
            raise ConfigError(f"unknown codec {self.codec!r}; {expected(ENGINES)}")
        for name in ("min_version", "max_version"):
            pair = getattr(self, name)
            if len(pair) != 2 or any(not isinstance(part, int) or not 0 <= part <= 255 for part in pair):
                raise ConfigError(f"{name} is {pair!r}; expected two numbers of 0..255")
        if self.min_version > self.max_version:
            raise ConfigError(f"min_version {self.min_version} is above max_version {self.max_version}")
        values = self.advertised(self.vc_mask)
        if below_minima(values, self.roles, self.vc_mask):
            raise ConfigError(
                f"credits {values} of VC1..VC7 do not fit {self.roles!r} and {MAX_CREDITS}: see 3.5 F1"
            )

    @property
    def handshake_tu(self) -> int:
        """The TU exponent until CONFIG is left."""
        return self.tu_exp if self.handshake_tu_exp is None else self.handshake_tu_exp

    @property
    def handshake_slow(self) -> int:
        """The exponent of slow timers until CONFIG is left. HSL 3.1 [HSL-LNK-051]."""
        return max(self.slow_exp, self.handshake_tu)

    @property
    def slowest(self) -> int:
        """The exponent that this side offers for slow timers."""
        return max(self.tu_exp, self.slow_exp)

    @property
    def tu_limit(self) -> int:
        """The largest exponent that a session may have. HSL 3.3.2 [HSL-LNK-043] [HSL-LNK-050]."""
        return max(TU_EXP_LIMIT, self.slowest) if self.tu_exp_limit is None else self.tu_exp_limit

    @property
    def bond_links(self) -> int:
        """The most links that this side bonds."""
        return self.links if self.max_links is None else self.max_links

    def advertised(self, vc_mask: int) -> tuple[int, ...]:
        """The credits of VC1..VC7 that INITFC carries: 0 outside the VC mask. HSL 3.5 F1 [HSL-LNK-029]."""
        return tuple(self.credits.get(vc, self._default(vc)) if vc_mask >> vc & 1 else 0 for vc in Vc)

    def _default(self, vc: int) -> int:
        return DEFAULT_CREDITS if VC_RECEIVERS[vc] & self.roles else 0

    def incarnation(self, last: int) -> int:
        """Return a new EPOCH or PORT: 32 bits, not 0, not `last`. HSL 3.2.1."""
        for _ in range(EPOCH_TRIES):
            value = self.epoch()
            if isinstance(value, int) and 0 < value < 1 << 32 and value != last:
                return value
        raise ConfigError(f"epoch() gave no new 32-bit value in {EPOCH_TRIES} calls; the last was {value!r}")

    def record(self) -> bytes:
        """The CAPS record that this side sends."""
        own = {name: getattr(self, name) for name in CAPS_RULES if hasattr(self, name)}
        major, minor = self.max_version
        return _build(own | {"major": major, "minor": minor, "security": 0, "max_links": self.bond_links})


_OPTIONAL: Final = ("handshake_tu_exp", "tu_exp_limit", "max_links")  # None: as another field
_RANGES: Final = (
    ("guid", 0, (1 << 64) - 1),
    ("roles", 0, 255),
    ("nid_base", 0, MAX_NID),
    ("nid_count", 1, MAX_NID + 1),
    ("window", 1, MAX_WINDOW),
    ("n_ack", 1, 255),
    ("tu_exp", 0, MAX_TU_EXP),
    ("handshake_tu_exp", 0, MAX_TU_EXP),
    ("slow_exp", 0, MAX_TU_EXP),
    ("tu_exp_limit", 0, MAX_TU_EXP),
    ("address_bits", 1, ADDRESS_BITS),
    ("atomics", 0, 255),
    ("max_links", 1, MAX_LINKS),
    ("links", 1, MAX_LINKS),
    ("power", 0, int(Power.L1)),
    ("flit_sizes", FlitSize.L64, FlitSize.L64 | FlitSize.B256),
    ("features", 0, (1 << 32) - 1),
    ("max_txn", 1, MAX_TXN),
    ("queue_cap", 1, 1 << 20),
)


class CapsResult(NamedTuple):
    """The agreement of both sides; `record` is the result record, whose CRC-32C is the CFG_HASH.

    HSL 3.3.2.
    """

    record: bytes
    cfg_hash: int
    version: tuple[int, int]
    flit_size: FlitSize
    window: int
    n_ack: int
    tu_exp: int
    slow_exp: int
    address_bits: int
    atomics: AtomicClass
    vc_mask: int
    security: Security
    max_links: int
    power: int
    features: int
    max_txn: int
    roles: Role
    nids: range
    peer_roles: Role
    peer_nids: range

    @property
    def form(self) -> str:
        """The flit format, a key of `hsl.codec.flit.FORMATS`."""
        return FlitSize.B256.name if self.flit_size & FlitSize.B256 else FlitSize.L64.name

    @property
    def tu(self) -> int:
        """One TU in ns."""
        return 1 << self.tu_exp

    @property
    def exponents(self) -> tuple[int, int]:
        """The exponents of TU and of slow TU. HSL 3.1."""
        return self.tu_exp, self.slow_exp

    @property
    def slow_tu(self) -> int:
        """One TU of the slow timers in ns. HSL 3.1."""
        return 1 << self.slow_exp

    @property
    def negotiated(self) -> Negotiated:
        """Return the limits that requests are checked against."""
        return Negotiated(self.atomics, self.features, self.max_txn, self.address_bits)


def _build(fields: Mapping[str, int]) -> bytes:
    """A CAPS record; what is not named is 0."""
    zeros: dict[str, Any] = dict.fromkeys(CAPS_RULES, 0)
    record: bytes = CAPS_RECORD.build(zeros | {"zero1": bytes(9)} | dict(fields))
    return record


def parse_caps(record: bytes) -> dict[str, int]:
    """The fields of a 40-byte CAPS record."""
    fields: dict[str, int] = CAPS_RECORD.parse(record)
    return fields


def _minimum(own: int, peer: int) -> int:
    return min(own, peer)


def _highest(own: int, peer: int) -> int:
    common = own & peer
    return 1 << common.bit_length() - 1 if common else 0


def _security(own: int, peer: int) -> int:
    required = (own | peer) & Security.IDE_REQUIRED
    return own & peer & ~Security.IDE_REQUIRED | required


# Rule of spec/ctl.toml -> result of one field; the others need more than the two values.
_FIELD_RULES: Final[Mapping[str, Callable[[int, int], int]]] = {
    "min": _minimum,
    "nack": _minimum,
    "max": max,
    "bits": lambda own, peer: own & peer,
    "highest": _highest,
    "security": _security,
}


def negotiate(own_record: bytes, own_guid: int, peer_record: bytes, peer_guid: int) -> CapsResult:
    """The result of two CAPS records, the same on both sides. HSL 3.3.2 [HSL-LNK-005]."""
    own, peer = parse_caps(own_record), parse_caps(peer_record)
    result: dict[str, int] = {
        name: _FIELD_RULES[rule](own[name], peer[name])
        for name, rule in CAPS_RULES.items()
        if rule in _FIELD_RULES
    }
    result["slow_exp"] = max(own["slow_exp"], peer["slow_exp"], result["tu_exp"])
    result["n_ack"] = min(result["n_ack"], max(1, result["window"] // N_ACK_PER_WINDOW))
    version = min((own["major"], own["minor"]), (peer["major"], peer["minor"]))
    result["major"], result["minor"] = version
    low, high = (own, peer) if own_guid < peer_guid else (peer, own)
    for name, rule in CAPS_RULES.items():
        if rule == "guid":
            result[name], result[f"peer_{name}"] = low[name], high[name]
    record = _build(result)
    return CapsResult(
        record=record,
        cfg_hash=crc32c(record),
        version=version,
        flit_size=FlitSize(result["flit_sizes"]),
        window=result["window"],
        n_ack=result["n_ack"],
        tu_exp=result["tu_exp"],
        slow_exp=result["slow_exp"],
        address_bits=result["address_bits"],
        atomics=AtomicClass(result["atomics"]),
        vc_mask=result["vc_mask"],
        security=Security(result["security"]),
        max_links=result["max_links"],
        power=result["power"],
        features=result["features"],
        max_txn=result["max_txn"],
        roles=Role(own["roles"]),
        nids=range(own["nid_base"], own["nid_base"] + own["nid_count"]),
        peer_roles=Role(peer["roles"]),
        peer_nids=range(peer["nid_base"], peer["nid_base"] + peer["nid_count"]),
    )


def invalid_caps(record: bytes, result: CapsResult, tu_limit: int) -> str:
    """Return why a peer's CAPS record is invalid (row 38), or "". `result` is its result with the own record.

    `tu_limit` is that of the port. HSL 3.3.2.
    """
    caps = parse_caps(record)
    unit = max(caps["tu_exp"], caps["slow_exp"])
    here = f", or slow_exp = {unit} at all ports of this node" if unit <= MAX_TU_EXP else ""
    remedy = f": set tu_exp and slow_exp of the peer to at most {tu_limit}{here}"
    checks = (
        (not caps["flit_sizes"] & FlitSize.L64, "it offers no L64"),
        (not 1 <= caps["window"] <= MAX_WINDOW, f"window is {caps['window']}"),
        (caps["n_ack"] == 0, "N_ACK is 0"),
        (caps["nid_count"] == 0, "NID count is 0"),
        (caps["nid_base"] + caps["nid_count"] > MAX_NID + 1, f"NIDs reach beyond {MAX_NID}"),
        (caps["address_bits"] > ADDRESS_BITS, f"address bits are {caps['address_bits']}"),
        (caps["max_links"] == 0, "max links is 0"),
        (not 1 <= caps["max_txn"] <= MAX_TXN, f"max TXN is {caps['max_txn']}"),
        # The result of SLOW_EXP is never below that of TU_EXP. [HSL-LNK-043] [HSL-LNK-050]
        (result.slow_exp > tu_limit, f"TU exponent {unit} is above {tu_limit}{remedy}"),
        (bool(result.security & Security.IDE_REQUIRED), "it requires IDE"),  # never on: it is not implemented
    )
    return next((text for failed, text in checks if failed), "")


def below_minima(values: tuple[int, ...], roles: int, vc_mask: int) -> bool:
    """True if credits of VC1..VC7 are too few for a sender with `roles`. HSL 3.5 F1 [HSL-LNK-029]."""
    for vc, value in zip(Vc, values, strict=True):
        served = vc_mask >> vc & 1
        least = CREDIT_MINIMA[vc] if served and VC_RECEIVERS[vc] & roles else 0
        if not least <= value <= (MAX_CREDITS if served else 0):
            return True
    return False
