"""The decoder behind golden flits and worked examples, on flits whose fields the design gives."""

import pytest

from spec.gen import decode
from spec.gen.crc import checksum
from spec.gen.golden import flit_bytes
from spec.gen.load import load

SPEC = load()
GOLDEN = {  # fields of the link header that are not 0, and the messages: name, fields that are not 0, data
    "V1": ({"ACK": 1023}, []),
    "V2": (
        {"FT": 1, "SEQ": 5, "ACK": 3, "CVC": 4, "CCNT": 2},
        [
            (
                "ReadShared",
                {"OP": 0x20, "SRC": 1, "DST": 2, "TXN": 0x123, "LEN": 3, "ADDR": 0x123456789A40},
                b"",
            )
        ],
    ),
    "V3": (
        {"FT": 1, "SEQ": 6, "ACK": 5, "CVC": 1, "CCNT": 1, "SOM": 0x201},
        [
            (
                "CmpData",
                {"OP": 0xA0, "SRC": 2, "DST": 1, "TXN": 0x123, "HTXN": 7, "ST": 2, "LEN": 3},
                bytes(range(64)),
            ),
            ("Cmp", {"OP": 0x80, "SRC": 2, "DST": 1, "TXN": 0x124, "HTXN": 8, "ST": 2}, b""),
        ],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_flits(name: str) -> None:
    """V1 to V3 decode to the fields the design gives, all others being 0 [HSL-FLT-002]."""
    row = SPEC.find("flits", "golden", name)
    fmt = SPEC.find("flits", "format", row["format"])
    data = flit_bytes(row["hex"])
    header, messages = GOLDEN[name]
    fields = decode.flit_fields(SPEC, fmt, data)
    assert {key: value for key, value in fields.items() if value} == header
    found, rest = decode.messages(SPEC, decode.payload(fmt, data))
    assert not any(rest)
    got = [(m.name, {key: value for key, value in m.fields.items() if value}, m.data) for m in found]
    assert got == messages


def test_every_bit_of_a_flit_counts() -> None:
    """Each single bit of a golden flit, flipped, changes the checker's CRC [HSL-FLT-006]."""
    crc = SPEC.find("flits", "crc", "CRC-32C")
    data = flit_bytes(SPEC.find("flits", "golden", "V2")["hex"])[:60]
    good = checksum(crc, data)
    word = int.from_bytes(data, "little")
    for bit in range(8 * len(data)):
        assert checksum(crc, (word ^ 1 << bit).to_bytes(60, "little")) != good, bit


def test_a_message_that_is_not_whole() -> None:
    """Granules of a message that goes on in the next flit are left over."""
    granules = flit_bytes("a00040500001100c a0a0a0a0a0a0a0a0")
    assert decode.messages(SPEC, granules) == ([], granules)
