"""The worked examples of the chapters, decoded by the reference codec and compared field by field.

A block is `hsl-hex KIND` (L64, B256, message, caps) or `hsl-frame KIND` (tcp, udp). Lines of hexadecimal
(`56*00` repeats, `00..3f` counts up) are followed by what they mean: `flit`, `ctl`, `caps`, `frame`, `msg`
and `hash` lines of `field=value`. A field that is not named is 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

from hsl._generated.constants import Aop, CtlOp, Err, FlitType, Op, St, Vc
from hsl._generated.layouts import CAPS_BYTES, CAPS_RECORD, TCP_FRAME, UDP_FRAME
from hsl.codec.crc import crc32c
from hsl.codec.ctl import Ctl, decode_ctl, encode_ctl
from hsl.codec.flit import Flit
from hsl.codec.message import Message
from hsl.codec.reference import Unpacker, decode_flit, encode_flit, encode_message
from hsl.errors import HslError

TEXT = Path(__file__).parents[2] / "spec" / "text"
FENCE = re.compile(r"^```hsl-(?:hex|frame) (\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CLAIMS = ("flit", "ctl", "caps", "frame", "msg", "hash")
NAMED: Mapping[str, type[IntEnum]] = {"ft": FlitType, "cvc": Vc, "st": St, "err": Err, "aop": Aop}
FRAMES = {"tcp": TCP_FRAME, "udp": UDP_FRAME}


@dataclass(frozen=True, slots=True)
class Example:
    """One block: where it stands, its kind, the bytes before each claim, and the claims in order."""

    where: str
    kind: str
    hex: tuple[bytes, ...]
    claims: tuple[tuple[str, dict[str, str]], ...]


def examples() -> list[Example]:
    """All blocks of all chapters."""
    return [
        parse(f"{path.stem}:{text[: block.start()].count(chr(10)) + 1}", block[1], block[2])
        for path in sorted(TEXT.glob("*.md"))
        for text in [path.read_text()]
        for block in FENCE.finditer(text)
    ]


def parse(where: str, kind: str, body: str) -> Example:
    """A block from its lines."""
    before, pending, claims = [], b"", []
    for line in body.splitlines():
        word, *rest = line.split()
        if word in CLAIMS:
            claims.append((word, dict(part.split("=", 1) for part in rest)))
            before.append(pending)
            pending = b""
        else:
            pending += octets(line)
    assert not pending, f"{where}: bytes at the end that no line explains"
    return Example(where, kind, tuple(before), tuple(claims))


def octets(text: str) -> bytes:
    """`51c00014 40*00 00..3f` as bytes; commas are blanks."""
    out = b""
    for token in text.replace(",", " ").split():
        if "*" in token:
            count, _, part = token.partition("*")
            out += bytes.fromhex(part) * int(count)
        elif ".." in token:
            first, _, last = token.partition("..")
            out += bytes(range(int(first, 16), int(last, 16) + 1))
        else:
            out += bytes.fromhex(token)
    return out


def number(name: str, text: str) -> int:
    """A value by its name in the profile, or as a number."""
    return int(NAMED[name][text]) if text in getattr(NAMED.get(name), "__members__", ()) else int(text, 0)


def stated_message(claims: Mapping[str, str]) -> Message:
    """The message that a `msg` line states."""
    fields: dict[str, Any] = {
        name: number(name, text) for name, text in claims.items() if name not in ("op", "data")
    }
    return Message(op=Op[claims["op"]], data=octets(claims.get("data", "")), **fields)


def stated_ctl(claims: Mapping[str, str], record: bytes) -> Ctl:
    """The CTL that a `ctl` line states, with the record of the `caps` line that follows it."""
    op = CtlOp[claims["op"]]
    body: dict[str, Any] = {"record": record} if op is CtlOp.CAPS else {}
    for name, text in claims.items():
        if name == "magic":
            body[name] = text.encode()
        elif name not in ("op", "seen", "epoch", "peer"):
            numbers = [int(part, 0) for part in text.split(",")]
            body[name] = numbers if len(numbers) > 1 else numbers[0]
    head = (int(claims.get(name, "0"), 0) for name in ("seen", "epoch", "peer"))
    seen, epoch, peer = head
    return Ctl(op, bool(seen), epoch, peer, body)


def stated_record(claims: Mapping[str, str]) -> bytes:
    """The CAPS record that a `caps` line states."""
    names = [field.name for field in CAPS_RECORD.subcons]
    assert set(claims) <= set(names), f"no CAPS field {set(claims) - set(names)}"
    values: dict[str, Any] = {name: int(claims.get(name, "0"), 0) for name in names if name != "zero1"}
    record: bytes = CAPS_RECORD.build(values | {"zero1": bytes(9)})
    return record


def stated_frame(kind: str, claims: Mapping[str, str]) -> bytes:
    """The header that a `frame` line states."""
    header: bytes = FRAMES[kind].build(
        {name: text.encode() if name == "magic" else int(text, 0) for name, text in claims.items()}
    )
    return header


class Reader:
    """Goes through the claims of one block; AssertionError where bytes and claim differ."""

    def __init__(self, example: Example) -> None:
        self.example = example
        self.stream = Unpacker()
        self.messages: list[Message] = []
        self.payload = b""
        self.record = b""

    def run(self) -> None:
        """Checks every claim, and that nothing is left over."""
        claims = [*self.example.claims, ("", {})]
        for data, (word, stated), (following, more) in zip(
            self.example.hex, claims, claims[1:], strict=False
        ):
            self.record = stated_record(more) if following == "caps" else self.record
            getattr(self, f"_{word}")(data, stated)
        assert not self.messages, f"not stated: {self.messages}"
        assert not self.stream.unfinished, "a message has no end"

    def _frame(self, data: bytes, stated: dict[str, str]) -> None:
        header = stated_frame(self.example.kind, stated)
        self.payload = data[len(header) :]
        assert data[: len(header)] == header
        assert len(self.payload) == int(stated["length"])

    def _flit(self, data: bytes, stated: dict[str, str]) -> None:
        if self.example.kind in FRAMES:
            data, form = self.payload, "L64"
        else:
            form = self.example.kind
        flit = decode_flit(data, form)
        assert encode_flit(flit) == data
        fields = {name: number(name, text) for name, text in stated.items()}
        assert flit == Flit(format=form, payload=flit.payload, **{"ft": -1} | fields)
        if flit.ft == FlitType.PROT:
            som = flit.som if form == "B256" else None
            found, error = self.stream.feed(flit.payload, som, lambda vc: True)
            assert error is None
            self.messages += found
        elif flit.ft == FlitType.NOP:
            assert not any(flit.payload)
        self.payload = flit.payload

    def _ctl(self, data: bytes, stated: dict[str, str]) -> None:
        ctl = stated_ctl(stated, self.record)
        assert not data
        assert encode_ctl(ctl) == self.payload
        read = decode_ctl(self.payload)
        assert (read.op, read.seen, read.epoch, read.peer) == ctl[:4]
        assert {name: read.body[name] for name in ctl.body} == ctl.body

    def _caps(self, data: bytes, stated: dict[str, str]) -> None:
        self.record = stated_record(stated)
        assert data in (b"", self.record)
        assert len(self.record) == CAPS_BYTES

    def _hash(self, data: bytes, stated: dict[str, str]) -> None:
        assert crc32c(self.record) == int(stated["cfg_hash"], 0)

    def _msg(self, data: bytes, stated: dict[str, str]) -> None:
        message = stated_message(stated)
        if data:
            assert encode_message(message) == data
            found, error = self.stream.feed(data, None, lambda vc: True)
            assert error is None
            self.messages += found
        assert self.messages, "no message ends here"
        assert self.messages.pop(0) == message


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.where)
def test_example_is_what_the_text_says(example: Example) -> None:
    """Every worked example of the chapters decodes, CRC good, to exactly the fields stated beside it."""
    Reader(example).run()


def test_every_chapter_of_this_edition_works_in_bytes() -> None:
    """The introduction and the seven chapters on flits to coherence each have a worked example."""
    chapters = {int(example.where[:2]) for example in examples()}
    assert chapters >= set(range(1, 9))


def test_golden_flits_stand_in_their_chapter() -> None:
    """Chapter 2 shows all three golden flits, whole."""
    spec = (TEXT.parent / "flits.toml").read_text()
    golden = {octets(text.replace("+", " ")) for text in re.findall(r'^hex = "(.*)"$', spec, re.MULTILINE)}
    shown = {b"".join(example.hex) for example in examples() if example.where.startswith("02")}
    assert len(golden) == 3
    assert golden <= shown


@pytest.mark.parametrize(
    "body",
    [
        "00c0ff00 56*00 87fcd868\nflit ft=NOP ack=1023",
        "00c0ff00 56*00 87fcd869\nflit ft=NOP ack=1022",
        "00c0ff00 56*00 87fcd869\nflit ft=NOP",
        "00c0ff00 56*00 87fcd869\nflit ft=NOP ack=1023\nctl op=NAK epoch=1",
        "51c00014 2001083012030000 409a785634120000 40*00 4d0fe06e\nflit ft=PROT seq=5 ack=3 cvc=RSP ccnt=2",
        "51c00014 2001083012030000 409a785634120000 40*00 4d0fe06e\nflit ft=PROT seq=5 ack=3 cvc=RSP ccnt=2\n"
        "msg op=ReadShared src=1 dst=2 txn=0x124 len=3 addr=0x123456789a40",
    ],
    ids=["crc", "field", "field not named", "content", "message not named", "message field"],
)
def test_wrong_example_is_seen(body: str) -> None:
    """An example whose CRC, field or list of messages is wrong fails."""
    with pytest.raises((AssertionError, HslError)):
        Reader(parse("planted", "L64", body)).run()


def test_bytes_without_a_claim_are_seen() -> None:
    """An example that ends in bytes nobody explains fails."""
    with pytest.raises(AssertionError, match="no line explains"):
        parse("planted", "L64", "00c0ff00 56*00 87fcd869")
