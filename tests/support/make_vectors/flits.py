"""Vectors of 2.1 to 2.4 and 2.8: the link headers, what of them is ignored, the golden flits."""

from collections.abc import Iterator, Sequence

from tests.support import bigint
from tests.support.make_vectors.vector import PAYLOAD, Stream, Vector, accepted, flit, sample

SECTION = "2.1"
ABOUT = "One flit: every field of H0 and H1, the golden flits of 2.8, every bit that is ignored."
FLAGS = {
    "CreditReturn": "CVC and CCNT return credits; the flit is credit-only where there are no messages.",
    "Golden": "A flit of clause 2.8.",
    "Ignored": "Bits that mean nothing in this flit are not 0: ignored, and sent 0.",
    "InteriorPad": "PAD where a sender that has more to send would not put it: legal, skipped.",
    "ReservedType": "FT 4 to 7: the codec gives the payload as it is; the link drops and counts it.",
    "Secured": "PROT_S: the payload is encrypted, so the codec gives it as it is.",
}
FORMS = ("L64", "B256")
READ = sample(0x20, src=1, dst=2, txn=0x123, addr=0x123456789A40)


def vectors() -> Iterator[Vector]:
    yield from _golden()
    for form in FORMS:
        yield from _fields(form)
        yield from _payloads(form)
        yield from _ignored(form)
    yield from _h1()


def _golden() -> Iterator[Vector]:
    head = {"ft": 0, "ack": 1023}
    yield accepted("golden-V1", "NOP, SEQ 0, ACK 1023", "L64", [flit("L64", head)], [head], flags=["Golden"])
    wires, heads = Stream(READ).flits("L64", seq=5, ack=3, cvc=4, ccnt=2)
    comment = "PROT, SEQ 5, ACK 3, two credits of RSP: ReadShared"
    yield accepted("golden-V2", comment, "L64", wires, heads, [READ], flags=["Golden", "CreditReturn"])
    line = sample(0xA0, src=2, dst=1, txn=0x123, htxn=7, st=2, len=3, data=bytes(range(64)))
    done = sample(0x80, src=2, dst=1, txn=0x124, htxn=8, st=2)
    wires, heads = Stream(line, done).flits("B256", seq=6, ack=5, cvc=1, ccnt=1)
    comment = "PROT, SEQ 6, ACK 5, one credit of REQ, SOM 0x201: CmpData(E), Cmp(E)"
    flags = ["Golden", "CreditReturn"]
    yield accepted("golden-V3", comment, "B256", wires, heads, [line, done], flags=flags)


def _fields(form: str) -> Iterator[Vector]:
    """Each field of H0 in a PROT without messages; CVC and CCNT only together."""
    plain = {"ft": 1}
    for field, (_, bits) in bigint.H0.items():
        partner = {"cvc": {"ccnt": 1}, "ccnt": {"cvc": 1}}.get(field, {})
        for label, value in bigint.values(bits):
            head = plain | (partner if value else {}) | {field: value}
            flags = ["CreditReturn"] if partner and value else []
            flags += ["ReservedType"] if head["ft"] > 3 else []
            comment = f"{field.upper()} = {value:#x}"
            yield _one(f"{form}-{field}-{label}", comment, form, head, flags=flags)
    for ft in range(8):
        head = {"ft": ft, "viral": 1, "seq": 0x2AA, "ack": 0x155}
        flags = ["ReservedType"] if ft > 3 else ["Secured"] if ft == 3 else []
        yield _one(f"{form}-type-{ft}", f"FT {ft} with SEQ, ACK and VIRAL", form, head, flags=flags)
    ones = {"ft": 1, "viral": 1, "seq": 1023, "ack": 1023, "cvc": 7, "ccnt": 31}
    yield _one(f"{form}-ones", "Every bit of H0 but those of FT", form, ones, flags=["CreditReturn"])


def _one(id: str, comment: str, form: str, head: dict[str, int], flags: Sequence[str]) -> Vector:
    """A flit without content; a CTL without content has CTL_OP 0, which nobody knows."""
    shown: dict[str, object] = dict(head)
    if head["ft"] == 2:
        shown["ctl"] = {"op": 0, "body": {"raw": bytes(44).hex()}}
    if head["ft"] > 2:
        shown["payload"] = bytes(PAYLOAD[form]).hex()
    return accepted(id, comment, form, [flit(form, head)], [shown], flags=flags)


def _payloads(form: str) -> Iterator[Vector]:
    """Payloads that are not granules for the codec come back unchanged."""
    payload = bytes(0xFF - i & 0xFF for i in range(PAYLOAD[form]))
    for ft in range(3, 8):
        head = {"ft": ft, "seq": ft}
        flags = ["Secured" if ft == 3 else "ReservedType"]
        comment = f"FT {ft} with a payload that is no granules"
        shown = head | {"payload": payload.hex()}
        yield accepted(
            f"{form}-payload-{ft}", comment, form, [flit(form, head, payload)], [shown], flags=flags
        )


def _ignored(form: str) -> Iterator[Vector]:
    """In a NOP: CVC, CCNT, H1 and the payload; in a CTL the same but the payload. 2.2, 2.3."""
    for ft, name in ((0, "NOP"), (2, "CTL")):
        head = {"ft": ft, "seq": 9, "ack": 8}
        payload = bigint.ctl(0x10, 0, 1, 2, (9).to_bytes(2, "little")) if ft == 2 else b""
        shown: dict[str, object] = dict(head)
        if ft == 2:
            shown["ctl"] = {"op": 0x10, "name": "NAK", "epoch": 1, "peer": 2, "body": {"exp": 9}}
        for field in ("cvc", "ccnt"):
            for label, value in bigint.values(bigint.H0[field][1]):
                if value:
                    wire = flit(form, head | {field: value}, payload)
                    clean = flit(form, head, payload)
                    comment = f"{field.upper()} = {value} in a {name}"
                    key = f"{form}-{name}-{field}-{label}"
                    yield accepted(key, comment, form, [wire], [shown], clean=[clean], flags=["Ignored"])
    head = {"ft": 0, "seq": 9, "ack": 8}
    for at in (0, 1, 7, 8, PAYLOAD[form] - 1):
        payload = bytes(at) + b"\x80"
        wire, clean = flit(form, head, payload), flit(form, head)
        key, comment = f"{form}-NOP-payload-{at}", f"Byte {at} of the payload of a NOP is not 0"
        yield accepted(key, comment, form, [wire], [head], clean=[clean], flags=["Ignored"])


def _h1() -> Iterator[Vector]:
    """SOM: 30 messages in one flit, and one at each place. Reserved bits; H1 of NOP and CTL."""
    acks = [sample(0x81, src=at, txn=at) for at in range(30)]
    wires, heads = Stream(*acks).flits("B256")
    yield accepted("B256-som-max", "A message in each granule", "B256", wires, heads, acks)
    for at in range(30):
        stream = Stream().skip(bytes(8 * at)).add(acks[at])
        wires, heads = stream.flits("B256")
        comment = f"One message, at granule {at}"
        flags = ["InteriorPad"] if at else []
        yield accepted(f"B256-som-bit{at}", comment, "B256", wires, heads, [acks[at]], flags=flags)
    ctl = bigint.ctl(0x10, 0, 1, 2, b"")
    shown_ctl = {"op": 0x10, "name": "NAK", "epoch": 1, "peer": 2, "body": {}}
    for label, bits in [("max", 3 << 30), ("bit30", 1 << 30), ("bit31", 1 << 31)]:
        head = {"ft": 1, "seq": 3}
        wire, clean = flit("B256", head, b"", bits), flit("B256", head)
        key, comment = f"B256-reserved-{label}", f"H1 = {bits:#x}: reserved bits in a PROT"
        yield accepted(key, comment, "B256", [wire], [head], clean=[clean], flags=["Ignored"])
    for ft, name, payload, extra in ((0, "NOP", b"", {}), (2, "CTL", ctl, {"ctl": shown_ctl})):
        for label, bits in [*bigint.values(32)][1:]:
            head = {"ft": ft}
            wire, clean = flit("B256", head, payload, bits), flit("B256", head, payload)
            key, comment = f"B256-{name}-h1-{label}", f"H1 = {bits:#x} in a {name}"
            yield accepted(key, comment, "B256", [wire], [head | extra], clean=[clean], flags=["Ignored"])
