"""Cases of the codec: bytes made by `bigint`, the values they stand for, checkers that compare the two.

What an opcode carries is what `bigint` has typed from the prose, not what the generated tables say.
A checker takes the engine under test, so that a planted bug can be shown to be noticed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from hsl.codec.engines import Engine
from hsl.codec.flit import Flit
from hsl.codec.message import Message
from hsl.errors import CodecError
from tests.support import bigint

V1 = bytes.fromhex("00c0ff00" + "00" * 56 + "87fcd869")
V2 = bytes.fromhex("51c00014" + "2001083012030000" + "409a785634120000" + "00" * 40 + "4d0fe06e")
V3 = bytes.fromhex(
    "61400109"
    + "01020000"
    + "a00204301207200c"
    + bytes(range(64)).hex()
    + "8002044012082000"
    + "00" * 160
    + "06694da4b5989480"
)
V2_MESSAGE = Message(0x20, src=1, dst=2, txn=0x123, len=3, addr=0x123456789A40)
V3_MESSAGES = [
    Message(0xA0, src=2, dst=1, txn=0x123, htxn=7, st=2, len=3, data=bytes(range(64))),
    Message(0x80, src=2, dst=1, txn=0x124, htxn=8, st=2),
]

# What the third opinion knows, and the bits of its fields; "x8" is X where only 8 bits of it are used.
USES = bigint.OPERATIONS
BITS = {
    "src": 10, "dst": 10, "txn": 12, "len": 2, "qos": 2, "trace": 1, "dom": 12, "addr": 52, "poison": 1,
    "aop": 5, "x": 12, "x8": 8, "htxn": 12, "st": 2, "err": 3,
}  # fmt: skip
UNKNOWN_REQUESTS = (0x27, 0x3F, 0x45, 0x5F, 0xC3, 0xDF, 0xEC, 0xFF)
ONLY_A = ("addr", "be", "aop", "dom", "x")
ONLY_B = ("htxn", "st", "err")


def uses(op: int) -> set[str]:
    """The fields of `op`, and "data"."""
    return bigint.uses(op) - {"be"}


def is_class_b(op: int) -> bool:
    return op >> 5 in (4, 5)


def sample(op: int, **fields: Any) -> Message:
    """A message with `fields`; the rest 0, but for what SNP and SnpRspData must have; data counted up."""
    if op >> 5 == 3 or op == 0xA1:
        fields = {"len": 3} | fields
    length = 8 << fields.get("len", 0) if "data" in uses(op) else 0
    return Message(op, **{"data": bytes(i & 0xFF for i in range(1, length + 1))} | fields)


def granules(message: Message) -> bytes:
    """The third opinion on the bytes of `message`."""
    fields = message._asdict()
    if is_class_b(message.op):
        return bigint.class_b(**{name: value for name, value in fields.items() if name not in ONLY_A})
    return bigint.class_a(**{name: value for name, value in fields.items() if name not in ONLY_B})


def field_values(bits: int) -> Iterator[int]:
    """0, all ones, and each single bit."""
    yield 0
    yield (1 << bits) - 1
    yield from (1 << bit for bit in range(bits))


def field_cases() -> Iterator[Message]:
    """Every opcode, every field of it at 0, at max and with each single bit, and byte enables alike."""
    for op in (*USES, *UNKNOWN_REQUESTS):
        for name in sorted(uses(op) - {"data"}):
            for value in field_values(BITS[name]):
                if not (op >> 5 == 3 or op == 0xA1) or legal_in_snp(name, value):
                    yield sample(op, **{"x" if name == "x8" else name: value})
        if not is_class_b(op) and op >> 5 != 3:
            for be in field_values(64):
                yield sample(op, be=be, len=3)


def legal_in_snp(name: str, value: int) -> bool:
    """SNP and SnpRspData are of whole lines: LEN 3, ADDR a multiple of 64."""
    return value == 3 if name == "len" else name != "addr" or value % 64 == 0


class Broken(NamedTuple):
    """A payload that P7 refuses: what is delivered before, and the error."""

    name: str
    payload: bytes
    code: int
    requirement: str
    granule: int
    delivered: Sequence[Message] = ()
    som: int | None = None
    credits: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7)


READ = bigint.class_a(0x20, src=1, dst=2, txn=3, len=3, addr=0x40)
READ_MESSAGE = Message(0x20, src=1, dst=2, txn=3, len=3, addr=0x40)
PAD = bytes(8)
CMP = bigint.class_b(0x80, txn=9)
SNP = bigint.class_a(0x61, len=3, addr=0x80)

BROKEN = [
    Broken("PAD with a bit", bytes(7) + b"\x80", 8, "HSL-FLT-008", 0),
    Broken("opcode 1", PAD + b"\x01" + bytes(7), 8, "HSL-FLT-008", 1),
    Broken("opcode 0x1f after a message", READ + b"\x1f" + bytes(7), 8, "HSL-FLT-008", 2, [READ_MESSAGE]),
    Broken("no credit", PAD + READ, 5, "HSL-LNK-030", 1, credits=(2, 3)),
    Broken("no credit comes before an unknown opcode", b"\x63" + bytes(7), 5, "HSL-LNK-030", 0, credits=()),
    Broken("no VC comes before no credit", b"\x02" + bytes(7), 8, "HSL-FLT-008", 0, credits=()),
    Broken("unknown SNP", b"\x63" + bytes(7), 8, "HSL-LNK-034", 0),
    Broken("unknown RSP", CMP + b"\x83" + bytes(7), 8, "HSL-LNK-034", 1, [Message(0x80, txn=9)]),
    Broken("unknown DAT", b"\xbf" + bytes(7), 8, "HSL-LNK-034", 0),
    Broken("SNP of LEN 2", PAD + bigint.class_a(0x60, len=2), 8, "HSL-FLT-005", 2),
    Broken("SNP with BE", bigint.class_a(0x61, len=3, be=1), 8, "HSL-FLT-005", 1),
    Broken("SNP inside a line", bigint.class_a(0x62, len=3, addr=0x20), 8, "HSL-FLT-005", 1),
    *(
        Broken(f"ST {st} in {op:#x}", bigint.class_b(op, st=st, len=3), 8, "HSL-FLT-005", 0)
        for op in (0x80, 0x81, 0x82, 0xA0, 0xA1)
        for st in (4, 7)
    ),
    *(Broken(f"SnpRspData LEN {n}", bigint.class_b(0xA1, len=n), 8, "HSL-FLT-005", 0) for n in (0, 1, 2)),
    Broken("SOM missing", READ, 7, "HSL-FLT-010", 0, som=0),
    Broken("SOM comes before no credit", READ, 7, "HSL-FLT-010", 0, som=0, credits=()),
    Broken("SOM at PAD", PAD + READ, 7, "HSL-FLT-010", 0, som=0b11),
    Broken("SOM at the second granule", READ, 7, "HSL-FLT-010", 1, som=0b11),
    Broken("SOM after a message", READ, 7, "HSL-FLT-010", 2, [READ_MESSAGE], som=0b101),
    Broken("SOM in data", bigint.class_b(0xA0, len=3, data=bytes(64)), 7, "HSL-FLT-010", 5, som=0b100001),
    Broken("SOM comes before the format", bigint.class_a(0x60), 7, "HSL-FLT-010", 1, som=0b11),
    Broken(
        "format in the header comes before SOM behind it", bigint.class_b(0xA1), 8, "HSL-FLT-005", 0, som=0b11
    ),
    Broken("a bad granule of no VC begins no message", b"\x01" + bytes(7), 8, "HSL-FLT-008", 0, som=0),
    Broken("so SOM there is wrong", b"\x01" + bytes(7), 7, "HSL-FLT-010", 0, som=1),
    Broken("last granule", bytes(8 * 29) + b"\x01" + bytes(7), 8, "HSL-FLT-008", 29, som=0),
]


def unpack(engine: Engine, broken: Broken) -> tuple[list[Message], CodecError | None]:
    size = 56 if broken.som is None else 240
    result: tuple[list[Message], CodecError | None] = engine.Unpacker().feed(
        broken.payload.ljust(size, b"\0"), broken.som, lambda vc: vc in broken.credits
    )
    return result


def decode_stream(engine: Engine, flits: Iterable[bytes], form: str) -> list[Message]:
    """The messages of `flits`, all of which are good."""
    unpacker = engine.Unpacker()
    messages = []
    for data in flits:
        flit = engine.decode_flit(data, form)
        found, error = unpacker.feed(flit.payload, flit.som if form == "B256" else None, lambda vc: True)
        assert error is None, error
        messages += found
    assert not unpacker.unfinished
    return messages


def encode_stream(engine: Engine, messages: Iterable[Message], form: str) -> list[bytes]:
    """`messages` one after the other in PROT flits of SEQ 0, 1, ..."""
    packer, queue = engine.Packer(), deque(messages)
    flits: list[bytes] = []
    while packer.unfinished or queue:
        payload, som = packer.fill(lambda: queue.popleft() if queue else None, form)
        flits.append(engine.encode_flit(Flit(form, 1, seq=len(flits) % 1024, payload=payload, som=som)))
    return flits


def flits_of(messages: list[Message], form: str) -> list[bytes]:
    """The third opinion on `encode_stream`."""
    size = 56 if form == "L64" else 240
    stream, starts = b"", set()
    for message in messages:
        starts.add(len(stream) // 8)
        stream += granules(message)
    flits = []
    for at in range(0, len(stream), size):
        head = bigint.h0(ft=1, seq=at // size % 1024)
        som = sum(1 << granule for granule in range(size // 8) if at // 8 + granule in starts)
        part = stream[at : at + size]
        flits.append(bigint.l64(head, part) if form == "L64" else bigint.b256(head, part, som))
    return flits


# The checkers. Each takes an engine and fails with AssertionError or CodecError when the engine is wrong.


def check_golden(engine: Engine) -> None:
    """V1, V2 and V3 of 2.8, both ways."""
    nop = Flit("L64", 0, ack=1023, payload=bytes(56))
    read = Flit("L64", 1, seq=5, ack=3, cvc=4, ccnt=2, payload=V2[4:60])
    data = Flit("B256", 1, seq=6, ack=5, cvc=1, ccnt=1, payload=V3[8:248], som=0x201)
    for raw, flit in ((V1, nop), (V2, read), (V3, data)):
        assert engine.decode_flit(raw, flit.format) == flit
        assert engine.encode_flit(flit) == raw
    for flit, messages in ((read, [V2_MESSAGE]), (data, V3_MESSAGES)):
        queue: list[Message | None] = [None, *reversed(messages)]
        assert engine.Packer().fill(queue.pop, flit.format) == (flit.payload, flit.som)
        som = flit.som if flit.format == "B256" else None
        assert engine.Unpacker().feed(flit.payload, som, lambda vc: True) == (messages, None)


def check_fields(engine: Engine) -> None:
    """Every field case, both ways, in flits of both formats."""
    cases = list(field_cases())
    for message in cases:
        assert engine.encode_message(message) == granules(message), message
    for form in ("L64", "B256"):
        flits = flits_of(cases, form)
        assert decode_stream(engine, flits, form) == cases
        assert encode_stream(engine, cases, form) == flits


def check_damage(engine: Engine) -> None:
    """No flit with one flipped bit, of a wrong size, or with the CRC of other bytes is accepted."""
    for raw, form in ((V2, "L64"), (V3, "B256")):
        word = int.from_bytes(raw, "little")
        damaged = [(word ^ 1 << bit).to_bytes(len(raw), "little") for bit in range(8 * len(raw))]
        damaged += [raw[:cut] for cut in range(len(raw))] + [raw + b"\0", raw + raw]
        for data in damaged:
            assert error_of(engine.decode_flit, data, form).code == 1


def check_broken(engine: Engine) -> None:
    """Every case of BROKEN: messages delivered, code, requirement and offset."""
    for case in BROKEN:
        messages, error = unpack(engine, case)
        assert error is not None, case.name
        offset = (4 if case.som is None else 8) + 8 * case.granule
        found = (error.code, error.requirement, error.offset)
        assert found == (case.code, case.requirement, offset), case.name
        assert messages == list(case.delivered), case.name


CHECKERS = (check_golden, check_fields, check_damage, check_broken)


def error_of(call: Callable[..., object], *arguments: object) -> CodecError:
    """The CodecError of `call(*arguments)`, which must end in one."""
    try:
        result = call(*arguments)
    except CodecError as error:
        return error
    raise AssertionError(f"accepted: {result!r}")
