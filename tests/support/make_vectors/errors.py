"""Vectors of every error of the codec, and of which of two comes first (2.4, 2.5 P2, P3, P7, 3.5 F5, F8)."""

from collections.abc import Callable, Iterator

from tests.support import bigint
from tests.support.make_vectors.vector import (
    PAYLOAD,
    PAYLOAD_AT,
    Message,
    Stream,
    Vector,
    flit,
    name_of,
    raw,
    refused,
    sample,
)

SECTION = "2.5"
ABOUT = "Flits that are refused: code, requirement, offset of the failed check, what was delivered before."
FLAGS = {
    "Checksum": "The CRC is not that of the bytes before it.",
    "Credit": "A message without a credit; only the VCs in `credits` have any.",
    "CreditReturn": "CVC without CCNT, or CCNT without CVC.",
    "Format": "A message that has no completion which could say what is wrong with it.",
    "Precedence": "Two errors at once: the one that is checked first is the one that counts.",
    "Size": "Neither 64 nor 256 bytes, or the size of the other format.",
    "Som": "SOM is not what the granules say.",
    "Spanning": "The error is not in the first flit.",
    "UnknownOpcode": "An opcode of SNP, RSP or DAT that is in no table.",
    "VcZero": "An opcode that is on no VC, or PAD with a bit set.",
}
ACK = sample(0x81, src=1, dst=2, txn=4)
READ = sample(0x20, src=1, dst=2, txn=3, addr=0x40)
LINE = sample(0xA0, src=2, dst=1, txn=5, len=3)
FORMS = ("L64", "B256")
GOLDEN = {
    "L64": flit("L64", {"ft": 1, "seq": 5, "ack": 3, "cvc": 4, "ccnt": 2}, raw(READ)),
    "B256": flit("B256", {"ft": 1, "seq": 6, "ack": 5, "cvc": 1, "ccnt": 1}, raw(READ), 1),
}
CRC_AT = {"L64": 60, "B256": 248}
CRC_REQUIREMENT = {"L64": "HSL-FLT-003", "B256": "HSL-FLT-004"}


def vectors() -> Iterator[Vector]:
    for form in FORMS:
        yield from _sizes(form)
        yield from _checksums(form)
        yield from _credit_returns(form)
        yield from _spanning(form)
    yield from _no_vc()
    yield from _credits()
    yield from _unknown()
    yield from _format()
    yield from _som()
    yield from _precedence()


def _sizes(form: str) -> Iterator[Vector]:
    whole = GOLDEN[form]
    for size in (0, 1, 4, 59, 60, 63, 64, 65, 128, 247, 248, 255, 256, 257, 320):
        if size != len(whole):
            data = (whole * 5)[:size]
            at = min(size, len(whole))
            comment = f"{size} bytes where {len(whole)} are due"
            yield refused(
                f"{form}-size-{size}", comment, form, [data], "CRC", "HSL-FLT-001", at, flags=["Size"]
            )
    data = GOLDEN["B256" if form == "L64" else "L64"]
    comment = "A good flit of the other format"
    at = min(len(data), len(whole))
    yield refused(f"{form}-other-format", comment, form, [data], "CRC", "HSL-FLT-001", at, flags=["Size"])


def _checksums(form: str) -> Iterator[Vector]:
    """A bit of every byte, every bit of H0 and of the CRC, and checksums that are nearly right."""
    whole = GOLDEN[form]
    at = CRC_AT[form]
    bits = (
        {8 * byte + byte % 8 for byte in range(len(whole))}
        | set(range(32))
        | set(range(8 * at, 8 * len(whole)))
    )
    for bit in sorted(bits):
        data = (int.from_bytes(whole, "little") ^ 1 << bit).to_bytes(len(whole), "little")
        yield _checksum(f"{form}-flipped-{bit}", f"Bit {bit % 8} of byte {bit // 8} flipped", form, data)
    for name, comment, tail in _wrong_checksums(form, whole[:at]):
        yield _checksum(f"{form}-checksum-{name}", comment, form, whole[:at] + tail)
    zeros = bytes(len(whole))
    yield _checksum(f"{form}-all-zeros", "All bytes 0", form, zeros)
    yield _checksum(f"{form}-all-ones", "All bits 1", form, b"\xff" * len(whole))


def _checksum(id: str, comment: str, form: str, data: bytes) -> Vector:
    requirement = CRC_REQUIREMENT[form]
    return refused(id, comment, form, [data], "CRC", requirement, CRC_AT[form], flags=["Checksum"])


def _wrong_checksums(form: str, body: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Flits of wrong implementations: another span, another parameter, another byte order."""
    size = len(GOLDEN[form]) - len(body)
    right: Callable[[bytes], bytes] = bigint.crc32c if form == "L64" else bigint.crc64xz
    payload_at = PAYLOAD_AT[form]
    yield "span-payload", "Over the payload alone", right(body[payload_at:])
    yield "span-short", "Without the last granule", right(body[:-8])
    yield "span-byte-less", "Without the last byte", right(body[:-1])
    yield "span-byte-late", "Without the first byte", right(body[1:])
    yield "span-itself", "With its own place as zeros", right(body + bytes(size))
    yield "big-endian", "Most significant byte first", right(body)[::-1]
    yield "not-inverted", "Without the final inversion", bytes(byte ^ 0xFF for byte in right(body))
    swapped = bytes(int(f"{byte:08b}"[::-1], 2) for byte in body)
    yield "not-reflected", "Bits of each byte in the other order", right(swapped)
    width, other = (32, 0x04C11DB7) if form == "L64" else (64, 0xAD93D23594C93659)
    name = "CRC-32" if form == "L64" else "CRC-64/NVME"
    yield "other-polynomial", f"{name} instead", bigint.crc(body, width, other).to_bytes(size, "little")
    yield "zero", "0, as if it were off", bytes(size)


def _credit_returns(form: str) -> Iterator[Vector]:
    for field, other in (("cvc", "ccnt"), ("ccnt", "cvc")):
        for label, value in bigint.values(bigint.H0[field][1]):
            if value:
                wire = flit(form, {"ft": 1, "seq": 7, field: value}, raw(ACK), 1 if form == "B256" else 0)
                comment = f"{field.upper()} = {value} with {other.upper()} = 0"
                yield refused(
                    f"{form}-{field}-{label}-alone",
                    comment,
                    form,
                    [wire],
                    "MALFORMED",
                    "HSL-LNK-031",
                    3,
                    flags=["CreditReturn"],
                )


def one(
    id: str,
    comment: str,
    stream: Stream,
    code: str,
    requirement: str,
    granule: int,
    *flags: str,
    form: str = "L64",
    som: int = 0,
    delivered: int = 0,
    credits: dict[str, int] | None = None,
    **head: int,
) -> Vector:
    """An error at `granule` of the last flit of `stream`; its first `delivered` messages are delivered."""
    wires, _ = stream.flits(form, som, **head)
    at = PAYLOAD_AT[form] + 8 * granule
    messages = stream.messages[:delivered]
    return refused(
        id, comment, form, wires, code, requirement, at, delivered=messages, flags=flags, credits=credits
    )


def _no_vc() -> Iterator[Vector]:
    """OP 0x01 to 0x1F; OP 0 with each other bit. P2."""
    for op in range(1, 0x20):
        stream = Stream().skip(bytes([op]) + bytes(7))
        comment = f"OP {op:#04x} is on no VC"
        yield one(f"op-{op:#04x}", comment, stream, "MALFORMED", "HSL-FLT-008", 0, "VcZero")
    for bit in range(8, 64):
        stream = Stream().skip((1 << bit).to_bytes(8, "little"))
        comment = f"PAD with bit {bit} set"
        yield one(f"pad-bit{bit}", comment, stream, "MALFORMED", "HSL-FLT-008", 0, "VcZero")
    bad = b"\x00\x01" + bytes(6)
    for form in FORMS:
        for at in range(PAYLOAD[form] // 8):
            stream = Stream(*[ACK] * at).skip(bad)
            comment = f"PAD with a bit set at granule {at}, behind {at} messages"
            yield one(
                f"{form}-pad-at-{at}", comment, stream, "MALFORMED", "HSL-FLT-008", at, "VcZero", form=form,
                delivered=at,
            )  # fmt: skip


def _credits() -> Iterator[Vector]:
    """A message of each VC without a credit of it, and with one credit too few. F5."""
    names = ("REQ", "RWD", "SNP", "RSP", "DAT", "MEM", "NCR")
    for vc, name in enumerate(names, 1):
        op = 0x42 if name == "RWD" else next(op for op in bigint.OPERATIONS if op >> 5 == vc)
        others = {other: 9 for other in names if other != name}
        stream = Stream(sample(op))
        comment = f"{name} without a credit, all other VCs with"
        yield one(
            f"credit-{name}-none", comment, stream, "CREDIT_UNDERFLOW", "HSL-LNK-030", 0, "Credit",
            credits=others,
        )  # fmt: skip
        at = len(stream.granules) // 8
        stream.start(raw(sample(op))[:8])
        comment = f"Two messages of {name} with one credit"
        yield one(
            f"credit-{name}-one", comment, stream, "CREDIT_UNDERFLOW", "HSL-LNK-030", at, "Credit",
            credits={name: 1}, delivered=1,
        )  # fmt: skip
    stream = Stream().skip(bytes(16)).add(READ)
    comment = "PAD needs no credit, the message behind it does"
    yield one(
        "credit-behind-pad", comment, stream, "CREDIT_UNDERFLOW", "HSL-LNK-030", 2, "Credit", credits={}
    )


def _unknown() -> Iterator[Vector]:
    """Every opcode of SNP, RSP and DAT that is in no table."""
    for op in (*range(0x60, 0x80), *range(0x80, 0xA0), *range(0xA0, 0xC0)):
        if op not in bigint.OPERATIONS:
            stream = Stream(ACK).start(bytes([op]) + bytes(7))
            comment = f"OP {op:#04x} is unknown on its VC"
            yield one(
                f"op-{op:#04x}", comment, stream, "MALFORMED", "HSL-LNK-034", 1, "UnknownOpcode", delivered=1
            )


def malformed() -> Iterator[tuple[str, str, Message]]:
    """Messages of SNP, RSP and DAT with a format error. 5.12."""
    for op in (0x60, 0x61, 0x62):
        for length in range(3):
            yield f"len{length}", f"LEN {length}", sample(op, len=length)
        yield "addr-max", "ADDR all ones", sample(op, addr=(1 << 52) - 1)
        for bit in range(6):
            yield f"addr-bit{bit}", f"ADDR inside a line, bit {bit}", sample(op, addr=0x1000 | 1 << bit)
            yield f"addr-bit{bit}-alone", f"ADDR = {1 << bit:#x}", sample(op, addr=1 << bit)
        for label, be in (("zero", 0), ("max", (1 << 64) - 1)):
            yield f"be-{label}", f"BE = 1, byte enables {be:#x}", sample(op, be=be)
    for op in (0x80, 0x81, 0x82, 0xA0, 0xA1):
        for state in range(4, 8):
            yield f"st{state}", f"ST = {state} is reserved", sample(op, st=state)
    for length in range(3):
        yield f"len{length}", f"LEN {length}", sample(0xA1, len=length)


def _format() -> Iterator[Vector]:
    """A class B header is complete with its first granule, that of a SNP with its second."""
    for label, comment, message in malformed():
        op = message["op"]
        last = 1 if op >> 5 == 3 else 0
        yield one(
            f"{name_of(op)}-{label}", f"{name_of(op)}: {comment}", Stream().start(raw(message)[:56]),
            "MALFORMED", "HSL-FLT-005", last, "Format",
        )  # fmt: skip


def _som() -> Iterator[Vector]:
    """A bit of SOM too many or too few. P3."""
    for at in range(30):
        stream = Stream().skip(bytes(8 * at)).add(ACK)
        comment = f"The bit of the message at granule {at} is 0"
        yield _one_som(f"som-missing-{at}", comment, stream, at, 1 << at)
        stream = Stream()
        comment = f"Bit {at} of SOM at PAD"
        yield _one_som(f"som-at-pad-{at}", comment, stream, at, 1 << at)
    for at in range(1, 9):
        comment = f"Bit {at} of SOM inside a message of 9 granules"
        yield _one_som(f"som-inside-{at}", comment, Stream(LINE), at, 1 << at)
    comment = "The bit one granule late"
    yield _one_som("som-late", comment, Stream(READ), 0, 0b11)
    yield _one_som("som-behind", "A bit at the PAD behind a message", Stream(READ), 2, 1 << 2, delivered=1)
    yield _one_som("som-all", "All 30 bits", Stream(READ), 1, 0x3FFFFFFE)
    comment = "A bit inside the second half of a message"
    stream = Stream(*[ACK] * 27, LINE)
    yield _one_som("som-second-half", comment, stream, 2, 1 << 2, "Spanning", delivered=27)


def _one_som(
    id: str, comment: str, stream: Stream, granule: int, flipped: int, *flags: str, delivered: int = 0
) -> Vector:
    return one(
        id, comment, stream, "SOM", "HSL-FLT-010", granule, "Som", *flags, form="B256", som=flipped,
        delivered=delivered,
    )  # fmt: skip


def _spanning(form: str) -> Iterator[Vector]:
    """Errors behind, and inside, a message that began in an earlier flit."""
    fill = PAYLOAD[form] // 8
    stream = Stream(*[ACK] * (fill - 1), READ).skip(b"\x01" + bytes(7))
    comment = "Behind a message that ends in this flit"
    yield one(
        f"{form}-behind-spanning", comment, stream, "MALFORMED", "HSL-FLT-008", 1, "Spanning", "VcZero",
        form=form, delivered=fill,
    )  # fmt: skip
    snoop = sample(0x61, addr=0x48)
    stream = Stream(*[ACK] * (fill - 1), snoop)
    comment = "A snoop whose header ends, and so fails, in the second flit"
    yield one(
        f"{form}-torn-snoop", comment, stream, "MALFORMED", "HSL-FLT-005", 0, "Format", "Spanning",
        form=form, delivered=fill - 1,
    )  # fmt: skip
    stream = Stream(*[ACK] * fill, sample(0x82, st=5))
    comment = "In the second flit, which begins at a boundary"
    yield one(
        f"{form}-second-flit", comment, stream, "MALFORMED", "HSL-FLT-005", 0, "Format", "Spanning",
        form=form, delivered=fill,
    )  # fmt: skip


def _precedence() -> Iterator[Vector]:
    """Each check against those after it, in the order of 2.4 and P7."""
    bad_pad, no_vc = b"\x00\x01" + bytes(6), b"\x01" + bytes(7)
    short = flit("L64", {"ft": 1, "cvc": 1}, bad_pad)[:63]
    yield refused(
        "size-before-checksum", "A byte is missing, so the CRC is wrong too", "L64", [short], "CRC",
        "HSL-FLT-001", 63, flags=["Precedence"],
    )  # fmt: skip
    for name, head, payload in (
        ("type", {"ft": 7}, b""),
        ("credit-return", {"ft": 1, "cvc": 1}, b""),
        ("granules", {"ft": 1}, bad_pad),
    ):
        wire = flit("L64", head, payload)
        data = wire[:-1] + bytes([wire[-1] ^ 1])
        yield refused(
            f"checksum-before-{name}", f"The CRC is wrong, and so is what it covers: {name}", "L64", [data],
            "CRC", "HSL-FLT-003", 60, flags=["Precedence"],
        )  # fmt: skip
    fault = ("MALFORMED", "HSL-LNK-031", 3)
    for name, payload, som in (
        ("no-vc", no_vc, 0),
        ("som", raw(READ), 0),
        ("credit", raw(READ), 1),
        ("unknown", b"\x63" + bytes(7), 1),
        ("format", raw(sample(0x80, st=4)), 1),
    ):
        wire = flit("B256", {"ft": 1, "cvc": 3}, payload, som)
        yield refused(
            f"credit-return-before-{name}", f"CVC without CCNT; in granule 0: {name}", "B256", [wire], *fault,
            flags=["Precedence", "CreditReturn"], credits={},
        )  # fmt: skip
    yield from _precedence_of_granules(no_vc)


def _precedence_of_granules(no_vc: bytes) -> Iterator[Vector]:
    som, vc = ("SOM", "HSL-FLT-010"), ("MALFORMED", "HSL-FLT-008")
    credit, unknown, form = (
        ("CREDIT_UNDERFLOW", "HSL-LNK-030"),
        ("MALFORMED", "HSL-LNK-034"),
        ("MALFORMED", "HSL-FLT-005"),
    )
    snoop, late = sample(0x60, len=0), sample(0xA1, len=0)
    unknown_response = b"\x83" + bytes(5) + b"\xff\xff"  # its ST would be reserved
    no_credit: dict[str, int] = {}
    rows: list[tuple[str, str, Stream, tuple[str, str], int, int, dict[str, int] | None]] = [
        ("som-before-no-vc", "SOM at a granule of no VC", Stream().skip(no_vc), som, 0, 1, None),
        ("no-vc-alone", "No SOM there, so only the VC is wrong", Stream().skip(no_vc), vc, 0, 0, no_credit),
        ("som-before-credit", "No SOM, no credit", Stream(READ), som, 0, 1, no_credit),
        (
            "som-before-unknown",
            "No SOM, unknown opcode",
            Stream().start(unknown_response),
            som,
            0,
            1,
            None,
        ),
        ("som-before-format", "No SOM, reserved ST", Stream(sample(0x80, st=7)), som, 0, 1, None),
        (
            "som-before-format-of-snoop",
            "SOM at granule 1, where a bad snoop is complete",
            Stream(snoop),
            som,
            1,
            2,
            None,
        ),
        (
            "credit-before-unknown",
            "No credit, unknown opcode",
            Stream().start(unknown_response),
            credit,
            0,
            0,
            no_credit,
        ),
        (
            "credit-before-format",
            "No credit, reserved ST",
            Stream(sample(0x80, st=4)),
            credit,
            0,
            0,
            no_credit,
        ),
        (
            "credit-before-format-of-snoop",
            "No credit at granule 0, LEN 0 seen at granule 1",
            Stream(snoop),
            credit,
            0,
            0,
            no_credit,
        ),
        (
            "unknown-before-format",
            "Unknown opcode, reserved ST",
            Stream().start(unknown_response),
            unknown,
            0,
            0,
            None,
        ),
        ("format-before-later-som", "LEN 0 at granule 0, SOM at granule 1", Stream(late), form, 0, 2, None),
        (
            "earlier-granule-first",
            "A reserved ST at granule 0, PAD with a bit at granule 1",
            Stream(sample(0x80, st=6)).skip(no_vc),
            form,
            0,
            0,
            None,
        ),
    ]
    for key, comment, stream, (code, requirement), granule, flipped, having in rows:
        yield one(
            key, comment, stream, code, requirement, granule, "Precedence", form="B256", som=flipped,
            credits=having,
        )  # fmt: skip
    stream = Stream(ACK, READ).skip(no_vc)
    comment = "What is complete before the failing granule is delivered"
    yield one("delivered-before", comment, stream, *vc, 3, "Precedence", delivered=2)
