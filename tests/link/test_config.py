"""What ports offer and what comes of it: CAPS, credits, configurations (HSL 3.3.2)."""

from __future__ import annotations

from typing import Any

import pytest

from hsl._generated import layouts
from hsl._generated.constants import (
    MAX_CREDITS,
    CtlOp,
    ErrorCode,
    Feature,
    FlitSize,
    LinkState,
    Role,
)
from hsl._generated.layouts import CAPS_RECORD, CTL_BODY_OFFSET
from hsl._generated.tables import CAPS_RULES
from hsl.codec.reference import encode_flit
from hsl.errors import ConfigError
from hsl.link.config import PortConfig, negotiate, parse_caps
from tests.link.pair import TU, Pair, Side, config, ctl_from, decode, is_ctl

SIZES = {part.name: part.sizeof() for part in CAPS_RECORD.subcons}  # bytes of each field of CAPS


@pytest.mark.parametrize(
    ("change", "field", "expected"),
    [
        ({"window": 200}, "window", 64),
        ({"window": 3}, "n_ack", 1),
        ({"window": 40}, "n_ack", 10),
        ({"n_ack": 5}, "n_ack", 5),
        ({"tu_exp": 9}, "tu_exp", 9),
        ({"tu_exp": 3}, "tu_exp", 6),
        ({"tu_exp": 9}, "slow_exp", 9),
        ({"slow_exp": 15}, "slow_exp", 15),
        ({"slow_exp": 15, "tu_exp": 16}, "slow_exp", 16),
        ({"slow_exp": 4, "tu_exp": 3}, "slow_exp", 6),
        ({"address_bits": 48}, "address_bits", 48),
        ({"vc_mask": 0x7E, "roles": Role.RA}, "vc_mask", 0x7E),
        ({"max_txn": 100}, "max_txn", 100),
        ({"features": Feature.HDM_H}, "features", 0),
        ({"max_version": (1, 7)}, "version", (1, 0)),
        ({"roles": Role.RA}, "peer_roles", Role.RA),
    ],
)
def test_caps_rules(change: dict[str, Any], field: str, expected: object) -> None:
    """Each field of the result follows its rule, on both sides alike [HSL-LNK-005]."""
    own, peer = config(1), config(2, **change)
    mine = negotiate(own.record(), own.guid, peer.record(), peer.guid)
    theirs = negotiate(peer.record(), peer.guid, own.record(), own.guid)
    assert getattr(mine, field) == expected
    assert mine.record == theirs.record
    assert mine.cfg_hash == theirs.cfg_hash


def test_result_record_is_ordered_by_guid() -> None:
    """Roles and NIDs of the lower GUID stand first, those of the higher GUID at 24; the rest is 0.

    [HSL-LNK-005] [HSL-LNK-049]
    """
    low, high = config(1, roles=Role.RA), config(2, roles=Role.HA, nid_base=99, nid_count=7)
    record = negotiate(high.record(), high.guid, low.record(), low.guid).record
    assert record[3] == Role.RA
    assert record[24] == Role.HA
    assert record[26:30] == bytes([99, 0, 7, 0])
    assert record[30] == 6, "HSL-LNK-049: 0 counts as the own TU_EXP"
    assert record[31:40] == bytes(9)


@pytest.mark.parametrize("at", [25, *range(31, 40)])
def test_reserved_bytes_of_caps(at: int) -> None:
    """A reserved byte of a record is 0 in the result, and the hash too is that of a 0 [HSL-LNK-052]."""
    own, peer = config(1), config(2)
    plain = negotiate(own.record(), own.guid, peer.record(), peer.guid)
    sent = bytearray(peer.record())
    sent[at] = 0xA5
    result = negotiate(own.record(), own.guid, bytes(sent), peer.guid)
    assert (result.record, result.cfg_hash) == (plain.record, plain.cfg_hash), "HSL-LNK-052"


@pytest.mark.parametrize(
    "change",
    [
        {"window": 0},
        {"window": 512},
        {"n_ack": 0},
        {"tu_exp": 31},
        {"handshake_tu_exp": -1},
        {"tu_exp_limit": 31},
        {"tu_exp_limit": 5},  # below the own exponent
        {"slow_exp": -1},
        {"slow_exp": 31},
        {"tu_exp_limit": 9, "slow_exp": 10},
        {"nid_base": 1020},
        {"nid_count": 0},
        {"address_bits": 53},
        {"links": 9},
        {"max_links": 9},
        {"flit_sizes": FlitSize.B256},
        {"vc_mask": 1},
        {"max_txn": 4097},
        {"credits": {4: 7}},
        {"credits": {1: MAX_CREDITS + 1}},
        {"min_version": (2, 0)},
        {"queue_cap": 0},
        {"guid": 1 << 64},
    ],
)
def test_config_is_checked(change: dict[str, Any]) -> None:
    """A configuration that the profile or this engine does not allow is a ConfigError."""
    with pytest.raises(ConfigError):
        config(**{"guid": 1} | change)


def test_epoch_source_must_be_usable() -> None:
    """Zeros and repeats of the source of PORT and EPOCH are skipped.

    A source that gives nothing else is a ConfigError.
    """
    values = iter([7, 0, 5, 7, 8, 5, 0, 6])
    side = Side(type(Pair().a.port)(config(1, epoch=lambda: next(values))))
    side.port.enable(0)
    assert (side.port.incarnation, side.link.epoch) == (7, 5)
    side.port.disable(0)
    side.port.enable(0)
    assert (side.port.incarnation, side.link.epoch) == (8, 6)
    with pytest.raises(ConfigError):
        type(side.port)(config(1, epoch=lambda: 0)).enable(0)


def test_reserved_caps_bytes_count_as_0() -> None:
    """The reserved bytes of the peer's CAPS are 0 in the result, whatever the peer sent [HSL-LNK-052]."""
    own, peer = bytearray(config(1).record()), bytearray(config(2).record())
    clean = negotiate(bytes(own), 1, bytes(peer), 2)
    for name in (name for name, rule in CAPS_RULES.items() if rule == "zero"):
        at, size = offset_of(name), SIZES[name]
        for record in (own, peer):
            record[at : at + size] = b"\xff" * size
    found = negotiate(bytes(own), 1, bytes(peer), 2)
    assert (found.record, found.cfg_hash) == (clean.record, clean.cfg_hash)


def test_reserved_caps_bytes_do_not_hinder_a_session() -> None:
    """A peer that sends all reserved bytes of CAPS as ones comes up with the same result [HSL-LNK-052]."""
    pair = Pair()
    clean = Pair().up().a.port.result
    pair.b.hook = with_reserved_caps
    pair.up()
    assert clean is not None
    assert pair.a.port.result is not None
    assert pair.a.port.result.record == clean.record


def offset_of(name: str) -> int:
    fields = list(CAPS_RULES)
    return sum(SIZES[before] for before in fields[: fields.index(name)])


def with_reserved_caps(data: bytes) -> list[tuple[bytes, bool]]:
    """A CAPS with ones in the reserved bytes of its record; other flits as they are."""
    if not is_ctl(CtlOp.CAPS)(data):
        return [(data, False)]
    flit = decode(data)
    payload = bytearray(flit.payload)
    for name in (name for name, rule in CAPS_RULES.items() if rule == "zero"):
        size = SIZES[name]
        at = CTL_BODY_OFFSET + offset_of(name)
        payload[at : at + size] = b"\xff" * size
    return [(encode_flit(flit._replace(payload=bytes(payload))), False)]


def test_default_credits_follow_the_roles() -> None:
    """A VC on which no role receives is advertised with 0, so the peer does not use it; HSL 3.5 F1."""
    device: PortConfig = config(2, roles=Role.RA | Role.IOA)
    pair = Pair(b=device).up()
    assert device.advertised(0xFE) == (0, 0, 32, 32, 32, 0, 32)
    assert [vc for vc in range(8) if pair.a.port.serves(vc)] == [3, 4, 5, 7]
    assert [vc for vc in range(8) if pair.b.port.serves(vc)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "change",
    [
        {"flit_sizes": 2},
        {"window": 0},
        {"window": 512},
        {"n_ack": 0},
        {"nid_count": 0},
        {"nid_base": 1020, "nid_count": 5},
        {"address_bits": 53},
        {"max_links": 0},
        {"max_txn": 0},
        {"max_txn": 4097},
        {"security": 2},
    ],
)
def test_invalid_caps(change: dict[str, int]) -> None:
    """Each CAPS that 3.3.2 calls invalid: DEAD with code 10."""
    pair = Pair()
    record = parse_caps(pair.b.port.config.record()) | change
    pair.b.link.record = layouts.CAPS_RECORD.build(record)
    pair.start().run(40 * TU)
    assert pair.a.state() is LinkState.DEAD
    assert pair.a.errors()[-1] == ErrorCode.CFG


@pytest.mark.parametrize("change", [{1: 3}, {4: 7}, {2: 0}])
def test_invalid_initfc(change: dict[int, int]) -> None:
    """Credits below the minima of F1: DEAD with code 10 [HSL-LNK-029]."""
    pair = Pair()
    values = [change.get(vc, 32) for vc in range(1, 8)]

    def wrong(data: bytes) -> list[tuple[bytes, bool]]:
        return [
            (
                ctl_from(pair.b, CtlOp.INITFC, {"credits": values}) if is_ctl(CtlOp.INITFC)(data) else data,
                False,
            )
        ]

    pair.b.hook = wrong
    pair.start().run(40 * TU)
    assert pair.a.state() is LinkState.DEAD
    assert pair.a.errors()[-1] == ErrorCode.CFG
