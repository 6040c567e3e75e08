"""`hsl codec decode` and `hsl codec encode`: flits to JSON or to a table, and JSON to flits."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from hsl.cli.exits import ExitCode
from hsl.cli.file_kind import foreign
from hsl.cli.flit_encode import encode_document
from hsl.cli.flit_json import DOCUMENT, ENCODED, decode_document
from hsl.cli.flit_view import show_document
from hsl.cli.json_text import print_json
from hsl.cli.stdin import STDIN, standard_input
from hsl.codec.engines import engine
from hsl.errors import ConfigError
from hsl.files import create_file, open_stream, parse_json, read_at_most

__all__ = ["decode", "encode"]

# A document is built whole, and takes up to 350 times its flits: this keeps the process below a gigabyte.
MAX_FLITS: Final = 1 << 21
# Its text is up to 33 times the flits: what decode prints, encode takes.
MAX_DOCUMENT: Final = 1 << 27
MAX_HEX: Final = 3 * MAX_FLITS  # two digits a byte, and white space


def decode(form: str, hex_text: str | None, path: Path | None, as_json: bool, engine: str) -> int:
    """Run `hsl codec decode`; its exit code."""
    data = from_hex(hex_text) if hex_text is not None else read(path, MAX_FLITS) if path is not None else b""
    flits = decode_document(data, form, engine)
    if not flits:
        click.echo("hsl: no flits; give them with --hex HEX or --input FILE, - is stdin", err=True)
        return ExitCode.NOTHING
    if path is not None and "error" in flits[0] and (kind := foreign(data)):
        raise ConfigError(f"{path}: {kind}")
    if as_json:
        print_json({"schema": DOCUMENT, "flits": flits})
    else:
        show_document(flits)
    return ExitCode.FAILED if any("error" in flit for flit in flits) else ExitCode.OK


def encode(path: Path, out: Path | None, as_json: bool, engine: str) -> int:
    """Run `hsl codec encode`; its exit code."""
    text = read(path, MAX_DOCUMENT)
    flits = encoded(parse_json(text, str(path)), path, engine) if text.strip() else []
    if not flits:
        click.echo("hsl: no flits in the document", err=True)
        return ExitCode.NOTHING
    if out is not None:
        with create_file(out, f"--out {out}") as stream:
            stream.write(b"".join(flits))
    if as_json:
        print_json({"schema": ENCODED, "flits": [flit.hex() for flit in flits]})
    elif out is None:
        for flit in flits:
            click.echo(flit.hex())
    return ExitCode.OK


def encoded(document: Any, path: Path, codec: str) -> list[bytes]:
    """Return the flits of the document of a file. Raises ConfigError, which names the file."""
    engine(codec)  # an engine that is not there is no fault of the file
    try:
        return encode_document(document, codec)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def from_hex(text: str) -> bytes:
    """Return the bytes of hex digits, `-` being stdin. Raises ConfigError for another character."""
    source = read(Path(STDIN), MAX_HEX).decode("latin-1") if text == STDIN else text
    digits = "".join(source.split())
    for at, digit in enumerate(digits):
        if digit not in "0123456789abcdefABCDEF":
            raise ConfigError(f"--hex: {digit!r} at digit {at}; expected 0-9, a-f or A-F")
    if len(digits) % 2:
        raise ConfigError(f"--hex: {len(digits)} digits; expected two per byte")
    return bytes.fromhex(digits)


def read(path: Path, limit: int) -> bytes:
    """Return the bytes of a file or of stdin. Raises ConfigError if they are more than `limit`."""
    if str(path) == STDIN:
        data = read_at_most(standard_input(), limit + 1)
    else:
        with open_stream(path) as stream:
            data = read_at_most(stream, limit + 1)
    if len(data) > limit:
        raise ConfigError(f"{path}: above the limit of {limit} bytes; give it in parts")
    return data
