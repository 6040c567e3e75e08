"""Files that are given to `hsl codec decode` by mistake: one line says what the file is."""

import bz2
import gzip
import json
import lzma
import struct
import sys
from pathlib import Path

import pytest

from hsl.cli.exits import ExitCode
from hsl.cli.file_kind import foreign
from tests.cli.test_codec import run
from tests.codec import cases

HEX = cases.V1.hex()
# File -> the line that says what it is.
KINDS = {
    "pcapng": (b"\x0a\x0d\x0d\x0a" + bytes(124), "pcapng capture; hsl.capture.Reader reads it"),
    "gzip": (gzip.compress(bytes(200)), "gzip file; unpack it first (gunzip)"),
    "xz": (lzma.compress(bytes(200)), "xz file"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(60), "zstd file; unpack it first (unzstd)"),
    "bzip2": (bz2.compress(bytes(200)), "bzip2 file; unpack it first (bunzip2)"),
    "pcap": (struct.pack("<I", 0xA1B2C3D4) + bytes(60), "pcap capture"),
    "pcap of a big-endian machine": (struct.pack(">I", 0xA1B2C3D4) + bytes(60), "pcap capture"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + bytes(60), "PNG picture"),
    "text with a byte order mark": (("Apache License\n" * 20).encode("utf-8-sig"), "this is text"),
    "list": (b'[{"ft": "PROT"}]', "hsl codec encode"),
    "zip": (b"PK\x03\x04" + bytes(60), "zip file"),
    "ELF": (Path(sys.executable).resolve().read_bytes()[:4096], "ELF file"),
    "hex": (f"{HEX[:64]}\n{HEX[64:]}\n".encode(), "--hex"),
    "document": (json.dumps({"schema": "hsl.codec/1", "flits": []}).encode(), "hsl codec encode"),
    "recording": (b'{"hslr": 1, "target": "stress"}\n', "hsl replay"),
    "text": (b"Apache License\n" * 20, "this is text"),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_kinds(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    """A file of another kind is bad input: one line with its kind, and no flits."""
    data, text = KINDS[name]
    path = tmp_path / "file"
    path.write_bytes(data)
    result = run("decode", "--input", str(path), *options)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"hsl: {path}: ")
    assert text in line


@pytest.mark.parametrize("data", [cases.V2[:-1] + b"\0", bytes(64), b"\xff" * 64, b"{" + bytes(63)])
def test_damaged_flits_pass(data: bytes) -> None:
    """Bytes that may be a damaged flit are not taken for a file."""
    assert foreign(data) == ""


def test_flits_that_begin_like_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose first flit decodes is never taken for another kind."""
    monkeypatch.setattr("hsl.cli.file_kind.MAGICS", {cases.V2[:4]: "this is a trap"})
    path = tmp_path / "flits"
    path.write_bytes(cases.V2)
    assert run("decode", "--input", str(path)).exit_code == ExitCode.OK
    path.write_bytes(cases.V2[:-1] + b"\0")
    assert "trap" in run("decode", "--input", str(path)).stderr
