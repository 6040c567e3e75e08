"""`hsl codec`: documents, views, both ways, and what becomes of bad input."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from hsl.cli import codec as cli_codec
from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.cli.flit_encode import encode_document
from hsl.cli.flit_json import DOCUMENT, ENCODED, decode_document
from hsl.cli.flit_view import flit_rows, prots_of, show_document
from hsl.cli.schema import schema_bundle
from hsl.codec import reference
from hsl.codec.ctl import CAPS, encode_ctl
from hsl.codec.flit import FORMATS
from hsl.codec.message import Message
from tests.codec import cases
from tests.codec.strategies import likely_payloads, messages
from tests.codec.test_ctl import BODIES
from tests.support import bigint

VALIDATOR = jsonschema.Draft202012Validator(schema_bundle(DOCUMENT))
READ: dict[str, Any] = {
    "op": "ReadShared",
    "opcode": 0x20,
    "src": 1,
    "dst": 2,
    "txn": 0x123,
    "len": 3,
    "addr": 0x123456789A40,
}
READ |= dict.fromkeys(("aop", "dom", "x", "poison", "qos", "trace"), 0) | {"flit": 0, "offset": 4}
ONE = [bigint.l64(bigint.h0(ft=1), cases.READ)]


def run(*arguments: str, data: bytes | str = b"") -> Result:
    return CliRunner().invoke(main, ["codec", *arguments], input=data)


def without_text(flits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A document without the words of its errors, the one thing that is an engine's own."""
    return [flit | {"error": flit["error"] | {"text": ""}} if "error" in flit else flit for flit in flits]


def decoded(data: bytes, form: str = "L64") -> list[dict[str, Any]]:
    """The document of `data`, which fits the schema and is the same by both engines."""
    flits = decode_document(data, form)
    assert without_text(decode_document(data, form, "native")) == without_text(flits)
    VALIDATOR.validate(json.loads(json.dumps(document(flits))))
    return flits


def document(flits: Any) -> dict[str, Any]:
    return {"schema": DOCUMENT, "flits": flits}


def flits_of(text: str) -> list[dict[str, Any]]:
    """The flits of a document as decode printed it, which fits the schema."""
    found = json.loads(text)
    VALIDATOR.validate(found)
    flits: list[dict[str, Any]] = found["flits"]
    return flits


def joined(flits: Any) -> bytes:
    """The bytes of a document, which are the same by both engines."""
    found = json.loads(json.dumps(document(flits)))
    encoded = encode_document(found)
    assert encode_document(found, "native") == encoded
    return b"".join(encoded)


def test_golden_l64(codec_engine: str) -> None:
    """V1 and V2 decode to the fields that the design gives, on both engines."""
    arguments = ("--engine", codec_engine, "--format", "L64", "--json")
    result = run("decode", *arguments, "--hex", cases.V1.hex() + " \n" + cases.V2.hex())
    nop, prot = flits_of(result.stdout)
    assert result.exit_code == ExitCode.OK
    assert nop == {
        "format": "L64",
        "ft": 0,
        "type": "NOP",
        "viral": 0,
        "seq": 0,
        "ack": 1023,
        "cvc": 0,
        "ccnt": 0,
        "messages": [],
    }
    head = {"format": "L64", "ft": 1, "type": "PROT", "viral": 0, "seq": 5, "ack": 3, "cvc": 4, "ccnt": 2}
    assert prot == head | {"messages": [READ | {"flit": 1}]}


def test_golden_b256(codec_engine: str) -> None:
    """V3 decodes to the fields that the design gives, on both engines."""
    arguments = ("--engine", codec_engine, "--format", "B256", "--json")
    (flit,) = flits_of(run("decode", *arguments, "--hex", cases.V3.hex()).stdout)
    head = {"ft": 1, "seq": 6, "ack": 5, "cvc": 1, "ccnt": 1, "som": 0x201}
    assert {name: flit[name] for name in head} == head
    first, second = flit["messages"]
    assert (first["op"], first["st"], first["htxn"], first["data"]) == (
        "CmpData",
        "E",
        7,
        bytes(range(64)).hex(),
    )
    assert (second["op"], second["txn"], second["offset"]) == ("Cmp", 0x124, 8 + 72)
    assert "len" not in second


@pytest.mark.parametrize(("raw", "form"), [(cases.V1 + cases.V2, "L64"), (cases.V3, "B256")])
def test_golden_round_trip(codec_engine: str, raw: bytes, form: str) -> None:
    """Encode takes the document of decode and gives the same bytes, as hex, as JSON and as a file."""
    engine = ("--engine", codec_engine)
    text = run("decode", *engine, "--format", form, "--hex", "-", "--json", data=raw.hex()).stdout
    lines = run("encode", *engine, data=text)
    assert bytes.fromhex("".join(lines.stdout.split())) == raw
    again = json.loads(run("encode", *engine, "--json", data=text).stdout)
    assert (again["schema"], bytes.fromhex("".join(again["flits"]))) == (ENCODED, raw)


def test_files(tmp_path: Path) -> None:
    """--in and --out read and write bytes."""
    flits, text, again = tmp_path / "flits", tmp_path / "document", tmp_path / "again"
    flits.write_bytes(cases.V1 + cases.V2)
    text.write_text(run("decode", "--input", str(flits), "--json").stdout)
    result = run("encode", "--input", str(text), "--out", str(again))
    assert (result.exit_code, result.stdout) == (ExitCode.OK, "")
    assert again.read_bytes() == flits.read_bytes()


@pytest.mark.parametrize("form", FORMATS)
@given(data=st.data())
def test_any_messages_come_back(form: str, data: st.DataObject) -> None:
    """Any messages over any flits fit the schema, are all there, and encode to the same bytes."""
    sent = data.draw(st.lists(messages(), min_size=1, max_size=8))
    raw = b"".join(cases.flits_of(sent, form))
    flits = decoded(raw, form)
    assert [message["opcode"] for flit in flits for message in flit["messages"]] == [
        message.op for message in sent
    ]
    assert joined(flits) == raw
    for flit in flits:
        for message in flit["messages"]:  # nothing but messages: the encoder finds the places by itself
            del message["flit"], message["offset"]
    assert joined(flits) == raw


@pytest.mark.parametrize("form", FORMATS)
@given(data=st.data())
def test_any_granules_come_back(form: str, data: st.DataObject) -> None:
    """Any granules, also broken and unfinished ones: encode gives what decode of it gives again."""
    size = FORMATS[form].payload_bytes
    raw = b""
    for seq in range(data.draw(st.integers(1, 4))):
        payload = data.draw(st.one_of(likely_payloads(size), st.just(bytes(size))))
        head = bigint.h0(ft=1, seq=seq, cvc=data.draw(st.integers(0, 1)))
        raw += (
            bigint.l64(head, payload)
            if form == "L64"
            else bigint.b256(head, payload, data.draw(st.integers(0, 3)))
        )
    flits = decoded(raw, form)
    again = joined(flits)
    assert len(again) == len(raw)
    assert decoded(again, form) == flits
    assert joined(decoded(again, form)) == again


@given(st.binary(max_size=200), st.sampled_from(sorted(FORMATS)))
def test_any_bytes_come_back(data: bytes, form: str) -> None:
    """Any bytes are a document with errors, and encode to themselves."""
    assert joined(decoded(data, form)) == data


def test_unfinished() -> None:
    """A message that is cut off by the end, or by a broken flit, leaves its granules and is encoded again."""
    raw = cases.flits_of([Message(0x82), cases.sample(0x40, len=3)], "L64")
    (alone,) = decoded(raw[0])
    assert alone["unfinished"] == raw[0][12:60].hex()
    assert joined([alone]) == raw[0]
    broken = bigint.b256(bigint.h0(ft=1, seq=1), bytes(240), 1)
    begun = bigint.b256(bigint.h0(ft=1), bytes(192) + raw[0][12:60], 1 << 24)
    first, second = decoded(begun + broken, "B256")
    assert (first["unfinished"], second["error"]["name"]) == (raw[0][12:60].hex(), "SOM")
    assert joined([first, second]) == begun + broken


def test_pad_is_kept() -> None:
    """PAD before a message is where it was, since a message has its offset; without it there is none."""
    raw = bigint.l64(bigint.h0(ft=1), cases.PAD * 3 + cases.READ)
    flits = decoded(raw)
    assert flits[0]["messages"][0]["offset"] == 4 + 24
    assert joined(flits) == raw
    del flits[0]["messages"][0]["offset"]
    assert joined(flits) == ONE[0]


@pytest.mark.parametrize(("ctl", "body"), BODIES, ids=[hex(ctl.op) for ctl, _ in BODIES])
@pytest.mark.parametrize("form", FORMATS)
def test_ctl(ctl: Any, body: str, form: str) -> None:
    """Every CTL is an object with its fields, and comes back."""
    size = FORMATS[form].payload_bytes
    head = bigint.h0(ft=2, seq=7, ack=8)
    payload = encode_ctl(ctl, size)
    if ctl.op == 2:  # reserved bytes of the record are not kept
        payload = encode_ctl(
            ctl._replace(body=ctl.body | {"record": CAPS.encode(CAPS.decode(ctl.body["record"]))}), size
        )
    raw = bigint.l64(head, payload) if form == "L64" else bigint.b256(head, payload, 0)
    (flit,) = decoded(raw, form)
    assert (flit["type"], flit["ctl"]["opcode"], flit["ctl"]["epoch"], flit["ctl"]["peer"]) == (
        "CTL", ctl.op, ctl.epoch, ctl.peer,
    )  # fmt: skip
    assert set(flit["ctl"]) == {"op", "opcode", "seen", "epoch", "peer", *ctl.body}
    assert joined([flit]) == raw


def test_hello_and_caps() -> None:
    """Names and hex: magic is hex, the record of CAPS an object."""
    hello, caps = (decoded(bigint.l64(bigint.h0(ft=2), encode_ctl(ctl)))[0]["ctl"] for ctl, _ in BODIES[:2])
    assert (hello["op"], hello["magic"], hello["guid"]) == ("HELLO", b"HSL1".hex(), 0x8877665544332211)
    assert (caps["op"], caps["seen"], caps["record"]["window"]) == ("CAPS", True, 0x0908)


# Flit -> error code, requirement, offset.
BAD = {
    "CRC": (cases.V2[:-1] + b"\0", 1, "HSL-FLT-003", 60),
    "size": (cases.V2[:63], 1, "HSL-FLT-001", 63),
    "CVC without CCNT": (bigint.l64(bigint.h0(ft=1, cvc=1), b""), 8, "HSL-LNK-031", 3),
    "PAD": (bigint.l64(bigint.h0(ft=1), bytes(15) + b"\1"), 8, "HSL-FLT-008", 12),
    "unknown snoop": (bigint.l64(bigint.h0(ft=1), b"\x63"), 8, "HSL-LNK-034", 4),
    "reserved type": (bigint.l64(bigint.h0(ft=5), b""), 12, "HSL-FLT-007", 0),
}


@pytest.mark.parametrize("name", BAD)
def test_error_and_on(name: str) -> None:
    """A flit that does not decode is an error object with its bytes; the next flit is decoded; exit 1."""
    raw, code, requirement, offset = BAD[name]
    data = raw + (cases.V2 if len(raw) == 64 else b"")
    result = run("decode", "--hex", data.hex(), "--json")
    assert result.exit_code == ExitCode.FAILED
    flits = flits_of(result.stdout)
    error = flits[0]["error"]
    assert (error["code"], error["requirement"], error["offset"]) == (code, requirement, offset)
    assert flits[0]["raw"] == raw.hex()
    assert [message["op"] for flit in flits[1:] for message in flit["messages"]] == ["ReadShared"] * (
        len(flits) - 1
    )
    assert joined(flits) == data
    text = run("decode", "--hex", data.hex())
    assert text.exit_code == ExitCode.FAILED
    assert requirement in text.stdout


def test_messages_before_an_error() -> None:
    """Messages complete before the failing granule are in the document."""
    (flit,) = decoded(bigint.l64(bigint.h0(ft=1), cases.READ + b"\1"))
    assert [message["op"] for message in flit["messages"]] == ["ReadShared"]
    assert flit["error"]["offset"] == 4 + 16


def test_prot_s() -> None:
    """The granules of a PROT_S are secured: its payload is kept as it is."""
    raw = bigint.l64(bigint.h0(ft=3, cvc=1, ccnt=1), bytes(range(56)))
    (flit,) = decoded(raw)
    assert flit["payload"] == bytes(range(56)).hex()
    assert joined([flit]) == raw


def test_view() -> None:
    """Without --json each field has its offset, its bits, its value and what it means."""
    lines = [" ".join(line.split()) for line in run("decode", "--hex", cases.V2.hex()).stdout.splitlines()]
    assert lines[0] == "flit 0: L64 PROT"
    for line in (
        "0 FT [2:0] 1 PROT",
        "1 ACK [23:14] 3",
        "3 CVC [26:24] 4 RSP",
        "4 OP [7:0] ReadShared opcode 0x20 on REQ",
        "7 TXN [39:28] 291 = 0x123",
        "9 LEN [41:40] 3 64 bytes",
        "12 ADDR [51:0] 20015998343744 = 0x123456789a40",
        "60 CRC good",
    ):
        assert line in lines


def test_view_of_a_message_over_two_flits() -> None:
    """A message that began in an earlier flit has FLIT:BYTE for what is there."""
    flits = decoded(b"".join(cases.flits_of([cases.sample(0x42, len=3, be=7)], "L64")))
    rows = {row.field: row for row in flit_rows(flits, 1, prots_of(flits))}
    assert rows["OP [7:0]"].offset == "0:4"
    assert rows["byte enables"] == ("0:20", "byte enables", "0x7", "3 bytes")
    offsets = [row.offset for row in flit_rows(flits, 1, prots_of(flits)) if row.field == "data"]
    assert offsets == ["0:28", "0:36", "0:44", "0:52", "4", "12", "20", "28"]


def test_view_looks_at_each_flit_once() -> None:
    """Rows of a flit cost the same however many flits there are: the PROT among them are listed once."""

    class Counted(dict[str, Any]):
        looks = 0

        def get(self, key: str, default: Any = None) -> Any:
            Counted.looks += key == "ft"
            return super().get(key, default)

    flits = decoded(ONE[0] * 60)
    show_document([Counted(flit) for flit in flits])
    assert Counted.looks <= len(flits)


def test_every_view_and_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message, CTL and error has a view, on a terminal too."""
    data = b"".join(cases.flits_of([cases.sample(op) for op in cases.USES], "L64"))
    data += b"".join(bigint.l64(bigint.h0(ft=2), encode_ctl(ctl)) for ctl, _ in BODIES)
    data += (
        bigint.l64(bigint.h0(ft=3), b"")
        + BAD["PAD"][0]
        + cases.flits_of([cases.sample(0x40, len=3)], "L64")[0]
    )
    plain = run("decode", "--hex", data.hex()).stdout
    for word in ("AtomicLoad", "HELLO", "'HSL1'", "WINDOW", "MALFORMED", "unfinished", "payload"):
        assert word in plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    coloured = run("decode", "--hex", data.hex()).stdout
    assert "\x1b[" in coloured
    assert "FT [2:0]" in coloured


EMPTY = json.dumps(document([])).encode()
ENCODABLE = json.dumps(document([{"format": "L64", "ft": 0}])).encode()
# Arguments and stdin -> exit code, and what the one line on stderr says.
INPUTS: dict[str, tuple[tuple[str, ...], bytes, ExitCode, str]] = {
    "bad hex": (("decode", "--hex", "51zz"), b"", ExitCode.USAGE, "'z' at digit 2"),
    "odd length": (("decode", "--hex", "510"), b"", ExitCode.USAGE, "3 digits"),
    "bad hex on stdin": (("decode", "--hex", "-"), b"\xff\x00", ExitCode.USAGE, "digit 0"),
    "no file": (("decode", "--input", "/nonexistent"), b"", ExitCode.USAGE, "No such file"),
    "a directory": (("decode", "--input", "/"), b"", ExitCode.USAGE, "directory"),
    "two inputs": (("decode", "--hex", "", "--input", "-"), b"", ExitCode.USAGE, "cannot be used with"),
    "format": (("decode", "--format", "L65"), b"", ExitCode.USAGE, "L65"),
    "engine": (("decode", "--engine", "fast", "--hex", ""), b"", ExitCode.USAGE, "fast"),
    "engine of encode": (("encode", "--engine", "fast"), EMPTY, ExitCode.USAGE, "fast"),
    "nothing given": (("decode",), b"", ExitCode.NOTHING, "no flits"),
    "empty hex": (("decode", "--hex", ""), b"", ExitCode.NOTHING, "no flits"),
    "empty stdin": (("decode", "--input", "-", "--json"), b"", ExitCode.NOTHING, "no flits"),
    "empty document": (("encode", "--json"), EMPTY, ExitCode.NOTHING, "no flits"),
    "no document": (("encode",), b" \n", ExitCode.NOTHING, "no flits"),
    "no JSON": (("encode",), b"[{]", ExitCode.USAGE, "not JSON"),
    "no text": (("encode",), b"\xff\xfe\xfd", ExitCode.USAGE, "not JSON"),
    "deep JSON": (("encode",), b"[" * 100_000, ExitCode.USAGE, "not JSON"),
    "no schema": (("encode",), b"{}", ExitCode.USAGE, DOCUMENT),
    "array alone": (("encode",), b"[]", ExitCode.USAGE, DOCUMENT),
    "no flits": (("encode",), b'{"schema": "hsl.codec/1"}', ExitCode.USAGE, "flits"),
    "out to a directory": (("encode", "--out", "/"), ENCODABLE, ExitCode.USAGE, "directory"),
}


@pytest.mark.parametrize("name", INPUTS)
def test_bad_input(name: str) -> None:
    """Bad input ends in its exit code with a clear line, never in a traceback."""
    arguments, data, code, text = INPUTS[name]
    result = run(*arguments, data=data)
    assert (result.exit_code, text in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("command", "limit"), [("decode", cli_codec.MAX_FLITS), ("encode", cli_codec.MAX_DOCUMENT)]
)
def test_limit(command: str, limit: int, tmp_path: Path) -> None:
    """Input above the limit is refused with the limit."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(limit + 1)
    result = run(command, "--input", str(big))
    assert (result.exit_code, str(limit) in result.stderr) == (ExitCode.USAGE, True)


def test_what_decode_takes_encode_takes() -> None:
    """The longest document of the most flits, those full of RSP, is below the limit of encode."""
    count = 50
    many = [cases.sample(0x81, src=1023, dst=1023, txn=4095)] * (7 * count)
    part = decoded(b"".join(cases.flits_of(many, "L64")))
    for flit in part:
        for message in flit["messages"]:
            message["flit"] += cli_codec.MAX_FLITS // 64  # as many digits as the last one has
    longest = len(json.dumps(document(part), indent=2)) * cli_codec.MAX_FLITS // (64 * count)
    assert longest < cli_codec.MAX_DOCUMENT


def test_process() -> None:
    """As a process: a pipe from decode into encode, and exit codes."""
    hsl = [sys.executable, "-m", "hsl", "codec"]
    decode = subprocess.run(
        [*hsl, "decode", "--hex", cases.V2.hex(), "--json"], capture_output=True, check=True
    )
    encode = subprocess.run([*hsl, "encode"], input=decode.stdout, capture_output=True, check=True)
    assert bytes.fromhex(encode.stdout.decode()) == cases.V2
    bad = subprocess.run([*hsl, "decode", "--hex", "zz"], capture_output=True, check=False)
    assert (bad.returncode, bad.stderr.count(b"\n")) == (ExitCode.USAGE, 1)


def test_planted_bug_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that loses a field fails the round trip."""
    original = reference._message

    def losing(*arguments: Any) -> Message:
        return original(*arguments)._replace(txn=0)

    monkeypatch.setattr(reference, "_message", losing)
    assert joined(decode_document(cases.V2, "L64")) != cases.V2
    with pytest.raises(AssertionError):
        decoded(cases.V2)
