"""Judges worked examples of the prose: `hsl-hex` blocks, bytes beside what they mean.

`hsl-hex L64` (or B256): flits. Hexadecimal, `flit field=value ...`, then `msg op=NAME ...` for each message
that ends in the flit, or `ctl op=NAME ...`, followed by `caps ...` for a CAPS record.
`hsl-hex tcp` (or another binding): frames. Hexadecimal, `frame field=value ...`, then as for flits.
`hsl-hex message`: messages. Hexadecimal, then `msg op=NAME ...`.
`hsl-hex caps`: a CAPS record. Hexadecimal, then `caps ...`, then `hash cfg_hash=...`.
Fields have the spec's names in lower case; those not named are 0. A flag is named by its own name (`seen=1`).
"""

from __future__ import annotations

from collections.abc import Iterator

from spec.gen import decode
from spec.gen.blocks import Example, Problem
from spec.gen.check.layouts import flit_problem
from spec.gen.crc import checksum
from spec.gen.golden import flit_bytes
from spec.gen.load import Row, Spec, type_size
from spec.gen.names import values


def judge(spec: Spec, example: Example) -> Iterator[Problem]:
    """Return the errors of a worked example."""
    formats = {fmt["name"]: fmt for fmt in spec.rows("flits", "format")}
    frames = {frame["binding"]: frame for frame in spec.rows("bindings", "frame")}
    kinds = [*formats, *frames, "message", "caps"]
    if example.argument not in kinds:
        yield Problem(example.line, f"hsl-hex {example.argument}: needs one of {' '.join(kinds)}")
        return
    reader = _Reader(spec, formats.get(example.argument), frames.get(example.argument))
    for number, line in example.lines:
        word, *claims = line.split()
        try:
            if word in reader.claims:
                reader.claims[word](dict(_claim(text) for text in claims))
            else:
                reader.pending += flit_bytes(line)
        except ValueError as error:
            yield Problem(number, str(error))
            return
    if problem := reader.rest():
        yield Problem(example.lines[-1][0] if example.lines else example.line, problem)


def _claim(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise ValueError(f"{text} is not field=value")
    return name, value


class _Reader:
    """Bytes seen and not yet explained, and messages decoded and not yet named. Methods raise ValueError."""

    def __init__(self, spec: Spec, fmt: Row | None, frame: Row | None) -> None:
        self.spec = spec
        self.fmt = fmt
        self.frame = frame
        self.pending = b""  # bytes that no line has explained: of a flit, of messages, of a CAPS record
        self.stream = b""  # granules of PROT flits that end no message yet
        self.body = b""  # payload of a CTL flit
        self.record = b""  # CAPS record
        self.messages: list[decode.DecodedMessage] = []
        self.claims = {
            "frame": self._frame,
            "flit": self._flit,
            "msg": self._msg,
            "ctl": self._ctl,
            "caps": self._caps,
            "hash": self._hash,
        }

    def rest(self) -> str:
        """Return the bytes left unexplained at the end, or ""."""
        if self.pending or self.stream or self.body or self.record:
            return "bytes at the end that no line explains"
        return f"{self.messages[0].name} at the end that no msg line names" if self.messages else ""

    def _decode(self, granules: bytes) -> None:
        found, self.stream = decode.messages(self.spec, granules)
        self.messages += found

    def _frame(self, claims: dict[str, str]) -> None:
        if self.frame is None:
            raise ValueError("a frame in a block that has none")
        size = sum(type_size(field["type"]) for field in self.frame["fields"])
        head, self.pending = self.pending[:size], self.pending[size:]
        self._layout("frame", self.frame["fields"], head, claims)
        sizes = {fmt["bytes"]: fmt for fmt in self.spec.rows("flits", "format")}
        if len(self.pending) not in sizes:
            raise ValueError(f"the frame holds {len(self.pending)} bytes, which is not the size of a flit")
        self.fmt = sizes[len(self.pending)]

    def _flit(self, claims: dict[str, str]) -> None:
        if self.fmt is None:
            raise ValueError("a flit in a block of messages")
        data, self.pending = self.pending, b""
        if problem := flit_problem(self.spec, self.fmt, data):
            raise ValueError(problem)
        rows = [f for name in self.fmt["header"] for f in self.spec.find("flits", "header", name)["fields"]]
        fields = decode.flit_fields(self.spec, self.fmt, data)
        self._compare("flit", rows, fields, claims)
        kind = {code: name for name, code in values(self.spec, "flit_type").items()}.get(fields["FT"], "")
        content = decode.payload(self.fmt, data)
        if kind.startswith("PROT"):
            self._decode(self.stream + content)
        elif kind == "CTL":
            self.body = content
        elif any(content):
            raise ValueError(f"the payload of {kind or 'a reserved flit type'} is not 0")

    def _msg(self, claims: dict[str, str]) -> None:
        if self.fmt is None and self.pending:
            self._decode(self.pending)
            self.pending = b""
        if not self.messages:
            raise ValueError("no message ends here")
        message = self.messages.pop(0)
        if claims.pop("op", "") != message.name:
            raise ValueError(f"the message is {message.name}")
        if flit_bytes(claims.pop("data", "").replace(",", " ")) != message.data:
            raise ValueError(f"{message.name} carries data {message.data.hex() or 'none'}")
        be = claims.pop("be", None)
        if (None if be is None else int(be, 0)) != message.be:
            raise ValueError(
                f"{message.name} has byte enables {'none' if message.be is None else hex(message.be)}"
            )
        fields = {name: value for name, value in message.fields.items() if name not in ("OP", "BE")}
        rows = [f for h in self.spec.rows("messages", "header") for f in h["fields"] if f["name"] in fields]
        self._compare(message.name, rows, fields, claims)

    def _ctl(self, claims: dict[str, str]) -> None:
        ctl = self.spec["ctl"]
        name = claims.pop("op", "")
        if name not in values(self.spec, "ctl"):
            raise ValueError(f"unknown CTL {name}")
        flags = values(self.spec, "flag")
        given = [flag for flag in flags if int(claims.pop(flag.lower(), "0"), 0)]
        claims |= {"ctl_op": name, "flags": str(sum(1 << flags[flag] for flag in given))}
        head, rows = ctl["header"]["fields"], self.spec.find("ctl", "ctl", name)["fields"]
        if name == "CAPS":
            start = ctl["body"]["offset"]
            self.record = self.body[start : start + ctl["caps"]["bytes"]]
            claims["record"] = self.record.hex()
        split = ctl["body"]["offset"]
        known = {row["name"].lower() for row in head} - {"zero"}
        self._layout(name, head, self.body[:split], {k: v for k, v in claims.items() if k in known})
        self._layout(name, rows, self.body[split:], {k: v for k, v in claims.items() if k not in known})
        self.body = b""

    def _caps(self, claims: dict[str, str]) -> None:
        caps = self.spec["ctl"]["caps"]
        if self.fmt is None:
            self.record, self.pending = self.pending, b""
        if len(self.record) != caps["bytes"]:
            raise ValueError(f"{len(self.record)} bytes, the CAPS record has {caps['bytes']}")
        self._layout("CAPS record", caps["fields"], self.record, claims)
        if self.fmt is not None:
            self.record = b""

    def _hash(self, claims: dict[str, str]) -> None:
        value = checksum(self.spec.find("flits", "crc", "CRC-32C"), self.record)
        if list(claims) != ["cfg_hash"] or int(claims["cfg_hash"], 0) != value:
            raise ValueError(f"cfg_hash is 0x{value:08X}")
        self.record = b""

    def _layout(self, what: str, rows: list[Row], data: bytes, claims: dict[str, str]) -> None:
        """Compares bytes with claims, field by field; what is not named or follows the last field is 0."""
        left = bytearray(data)
        for row in rows:
            part = slice(row["offset"], row["offset"] + type_size(row["type"]))
            name = row["name"].lower()
            here = data[part]
            left[part] = bytes(len(here))
            if _bytes_of(self.spec, row, claims.pop(name, ""), len(here)) != here:
                raise ValueError(f"{what}: {name} is {here.hex()}")
        if claims or any(left):
            raise ValueError(
                f"{what}: {'no field ' + ' '.join(claims) if claims else 'bytes after the last field'}"
            )

    def _compare(self, what: str, rows: list[Row], fields: dict[str, int], claims: dict[str, str]) -> None:
        enums = {row["name"]: row.get("enum") for row in rows}
        for name, value in fields.items():
            if _number(self.spec, enums[name], claims.pop(name.lower(), "0")) != value:
                raise ValueError(f"{what}: {name.lower()} is {value} (0x{value:X})")
        if claims:
            raise ValueError(f"{what} has no field {' '.join(claims)}")


def _number(spec: Spec, enum: str | None, text: str) -> int:
    named = values(spec, enum) if enum else {}
    return named[text] if text in named else int(text, 0)


def _bytes_of(spec: Spec, row: Row, claim: str, size: int) -> bytes:
    """A claim in bytes: nothing is 0, else text of its length, hexadecimal, or numbers and commas."""
    if not claim:
        return bytes(size)
    if row["type"].startswith("bytes") and len(claim) == size:
        return claim.encode()
    if row["type"].startswith("bytes"):
        return flit_bytes(claim.replace(",", " "))
    numbers = [_number(spec, row.get("enum"), part) for part in claim.split(",")]
    width = size // len(numbers)
    try:
        return b"".join(value.to_bytes(width, "little") for value in numbers)
    except OverflowError as error:
        raise ValueError(f"{row['name'].lower()}={claim} does not fit {row['type']}") from error
