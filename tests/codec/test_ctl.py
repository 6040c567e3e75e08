"""HSL 3.3.1: CTL payloads against bytes put together by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl._generated import layouts
from hsl._generated.constants import CtlOp, ErrorCode
from hsl.codec.ctl import CAPS, Ctl
from hsl.codec.engines import Engine
from hsl.errors import CodecError
from tests.codec.cases import error_of, field_values
from tests.support import bigint

RECORD = bytes(range(24)) + bytes(16)
HELLO = {
    "magic": b"HSL1",
    "guid": 0x8877665544332211,
    "link": 1,
    "links": 2,
    "min_major": 3,
    "min_minor": 4,
    "max_major": 5,
    "max_minor": 6,
    "port": 0x0A0B0C0D,
}
INFO = 0x0123456789ABCDEF
# Ctl -> its body in hex, typed from the table of 3.3.1.
BODIES: list[tuple[Ctl, str]] = [
    (
        Ctl(CtlOp.HELLO, False, 1, 0, HELLO),
        "48534c31112233445566778801020304050600000d0c0b0a",
    ),
    (Ctl(CtlOp.CAPS, True, 1, 2, {"record": RECORD, "cfg_hash": 0x12345678}), RECORD.hex() + "78563412"),
    (Ctl(CtlOp.INITFC, True, 1, 2, {"credits": [1, 2, 3, 4, 5, 6, 0x307]}), "0100020003000400050006000703"),
    (Ctl(CtlOp.NAK, False, 1, 2, {"exp": 0x3FE}), "fe03"),
    (Ctl(CtlOp.PM_REQ, False, 1, 2, {"level": 1, "tag": 0x55}), "0155"),
    (Ctl(CtlOp.PM_ACK, False, 1, 2, {"level": 1, "tag": 0x56}), "0156"),
    (Ctl(CtlOp.PM_NAK, False, 1, 2, {"level": 1, "tag": 0x57}), "0157"),
    (Ctl(CtlOp.RETRAIN_REQ, False, 1, 2, {"reason": 9}), "09"),
    (Ctl(CtlOp.RESYNC, False, 1, 2, {"exp": 0x102, "rn": 0x304}), "02010403"),
    (Ctl(CtlOp.RESYNC_ACK, False, 1, 2, {"exp": 0x102, "rn": 0x304}), "02010403"),
    (Ctl(CtlOp.DISABLE, False, 1, 2, {"reason": 1}), "01"),
    (Ctl(CtlOp.ERR_FATAL, False, 1, 2, {"error": 8, "info": INFO}), "08000000efcdab8967452301"),
    (
        Ctl(CtlOp.BOND_FAIL, False, 1, 2, {"base": 3, "mask": 0xFE, "exp": [1, 2, 3, 4, 5, 6, 7, 8]}),
        "03fe000001000200030004000500060007000800",
    ),
    (
        Ctl(CtlOp.BOND_RESUME, False, 1, 2, {"base": 3, "mask": 7, "count": 0x102, "t": 0x10203}),
        "0307020103020100",
    ),
    (Ctl(CtlOp.BOND_RESUME_ACK, False, 1, 2, {"base": 3, "mask": 7}), "0307"),
    (Ctl(0x23, False, 1, 2, {"raw": bytes(range(44))}), bytes(range(44)).hex()),
]


@pytest.mark.parametrize(("ctl", "body"), BODIES, ids=[hex(ctl.op) for ctl, _ in BODIES])
def test_round_trip(engine: Engine, ctl: Ctl, body: str) -> None:
    """Each CTL has the bytes of 3.3.1 and comes back from them."""
    raw = bigint.ctl(ctl.op, int(ctl.seen), ctl.epoch, ctl.peer, bytes.fromhex(body))
    assert engine.encode_ctl(ctl) == raw
    assert engine.decode_ctl(raw) == ctl


def test_cases_are_complete() -> None:
    """The cases have every CTL of the spec with all its fields."""
    known = {ctl.op: set(ctl.body) for ctl, _ in BODIES if ctl.op in layouts.CTL_BODIES}
    assert known == {op: set(fields) for op, fields in layouts.CTL_FIELDS.items()}


def test_header_bits(engine: Engine) -> None:
    """EPOCH and PEER at 0, at max and with each single bit are at bytes 4 and 8."""
    for value in field_values(32):
        for epoch, peer in ((value, 0), (0, value)):
            ctl = Ctl(CtlOp.NAK, False, epoch, peer, {"exp": 0})
            raw = bigint.ctl(0x10, 0, epoch, peer, b"")
            assert (engine.encode_ctl(ctl), engine.decode_ctl(raw)) == (raw, ctl)


def test_every_byte_of_every_body(engine: Engine) -> None:
    """A byte of a body changes a field, or is reserved and changes nothing: reserved bits are ignored."""
    for ctl, body in BODIES[:-1]:
        clean = bytes.fromhex(body)
        reserved = {2, 3} if ctl.op in (CtlOp.ERR_FATAL, CtlOp.BOND_FAIL) else set()
        if ctl.op == CtlOp.HELLO:
            reserved = {18, 19}
        if ctl.op == CtlOp.CAPS:
            reserved = set(range(24, 40)) - {30}  # of the result record alone, and reserved
        for at in range(44):
            changed = bytearray(clean.ljust(44, b"\0"))
            changed[at] ^= 0x80
            found = engine.decode_ctl(bigint.ctl(ctl.op, int(ctl.seen), ctl.epoch, ctl.peer, bytes(changed)))
            assert (found == ctl) == (at >= len(clean) or at in reserved), (ctl, at)


def test_reserved_bits_of_the_header(engine: Engine) -> None:
    """FLAGS but SEEN, SEEN where it means nothing, and bytes 2 and 3 are ignored [HSL-FLT-005]."""
    for ctl, body in BODIES:
        raw = bytearray(engine.encode_ctl(ctl))
        raw[1] |= 0xFF if ctl.seen or ctl.op >= CtlOp.NAK else 0xFE
        raw[2:4] = b"\xff\xff"
        assert engine.decode_ctl(bytes(raw)) == ctl
        assert body


def test_size(engine: Engine) -> None:
    """The payload is filled up with zeros to the size asked for; what follows the 56 bytes is ignored."""
    ctl = BODIES[0][0]
    wide = engine.encode_ctl(ctl, size=240)
    assert wide == engine.encode_ctl(ctl) + bytes(184)
    assert engine.decode_ctl(wide[:56] + b"\xff" * 184) == ctl


def test_body_fields_default_to_zero(engine: Engine) -> None:
    """All content that is not named is 0 (3.3.3)."""
    assert engine.encode_ctl(Ctl(CtlOp.BOND_FAIL, False, 0, 0, {})) == bigint.ctl(0x50, 0, 0, 0, b"")
    assert engine.encode_ctl(Ctl(0xFF, False, 0, 0, {})) == bigint.ctl(0xFF, 0, 0, 0, b"")


WRONG: dict[str, Ctl] = {
    "op": Ctl(256, False, 0, 0, {}),
    "no number": Ctl("NAK", False, 0, 0, {}),  # type: ignore[arg-type]
    "epoch": Ctl(CtlOp.NAK, False, 1 << 32, 0, {}),
    "peer": Ctl(CtlOp.NAK, False, 0, -1, {}),
    "SEEN": Ctl(CtlOp.NAK, True, 0, 0, {}),
    "unknown field": Ctl(CtlOp.NAK, False, 0, 0, {"rn": 1}),
    "wide field": Ctl(CtlOp.NAK, False, 0, 0, {"exp": 1 << 16}),
    "kind of field": Ctl(CtlOp.NAK, False, 0, 0, {"exp": "1"}),
    "short magic": Ctl(CtlOp.HELLO, False, 0, 0, {"magic": b"HSL"}),
    "magic as text": Ctl(CtlOp.HELLO, False, 0, 0, {"magic": "HSL1"}),
    "six credits": Ctl(CtlOp.INITFC, False, 0, 0, {"credits": [1] * 6}),
    "wide credit": Ctl(CtlOp.INITFC, False, 0, 0, {"credits": [1 << 16] * 7}),
    "one credit": Ctl(CtlOp.INITFC, False, 0, 0, {"credits": 1}),
    "short raw": Ctl(0x23, False, 0, 0, {"raw": b""}),
    "fields of unknown": Ctl(0x23, False, 0, 0, {"exp": 1}),
}


@pytest.mark.parametrize("name", WRONG)
def test_ctl_that_cannot_be_sent(engine: Engine, name: str) -> None:
    """A field that is unknown, of the wrong kind or too wide is refused with what came."""
    assert error_of(engine.encode_ctl, WRONG[name]).code == ErrorCode.MALFORMED


def test_caps_record() -> None:
    """The record of CAPS has its fields at the offsets of 3.3.2, reserved bytes ignored, and comes back."""
    raw = bytes(range(40))
    fields = CAPS.decode(raw)
    assert (fields["major"], fields["minor"], fields["nid_base"], fields["nid_count"]) == (
        0,
        1,
        0x0504,
        0x0706,
    )
    assert (fields["window"], fields["n_ack"], fields["tu_exp"]) == (0x0908, 10, 11)
    assert (fields["power"], fields["features"], fields["max_txn"]) == (17, 0x15141312, 0x1716)
    assert fields["slow_exp"] == 30
    assert (fields["peer_roles"], fields["peer_nid_base"], fields["peer_nid_count"]) == (24, 0x1B1A, 0x1D1C)
    assert CAPS.encode(fields) == raw[:25] + b"\0" + raw[26:31] + bytes(9)
    assert error_of(CAPS.decode, raw[:39]).code == ErrorCode.MALFORMED
    assert error_of(CAPS.encode, {"window": 1 << 16}).code == ErrorCode.MALFORMED


@pytest.mark.parametrize("size", [0, 11, 55])
def test_short_payload(engine: Engine, size: int) -> None:
    """A payload below 56 bytes is an error with its size."""
    error = error_of(engine.decode_ctl, bytes(size))
    assert str(size) in str(error)


@given(payload=st.binary(min_size=56, max_size=240))
def test_any_payload(engine: Engine, payload: bytes) -> None:
    """Any 56 bytes are a CTL, which encodes again and comes back the same."""
    ctl = engine.decode_ctl(payload)
    assert engine.decode_ctl(engine.encode_ctl(ctl)) == ctl


VALUES: st.SearchStrategy[Any] = st.one_of(
    st.integers(), st.binary(), st.text(), st.none(), st.lists(st.integers())
)


@given(
    op=st.integers(-1, 256),
    body=st.dictionaries(st.sampled_from(["exp", "magic", "credits", "raw", "level", "?"]), VALUES),
)
def test_any_body(engine: Engine, op: int, body: dict[str, Any]) -> None:
    """Any values for a body are encoded, or refused with a CodecError."""
    ctl = Ctl(op, False, 0, 0, body)
    try:
        raw = engine.encode_ctl(ctl)
    except CodecError:
        return
    assert engine.decode_ctl(raw).body.items() >= body.items()
