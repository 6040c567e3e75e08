"""Kinds of files that are given as flits by mistake, each with the command that reads it."""

from typing import Final

__all__ = ["foreign"]

# First bytes -> the kind of the file and the reader of it.
MAGICS: Final = {
    b"\x0a\x0d\x0d\x0a": "this is a pcapng capture; hsl.capture.Reader reads it, hsl check judges it",
    b"\xd4\xc3\xb2\xa1": "this is a pcap capture; expected flits, one behind the other",
    b"\xa1\xb2\xc3\xd4": "this is a pcap capture; expected flits, one behind the other",
    b"\x1f\x8b\x08": "this is a gzip file; unpack it first (gunzip)",
    b"\x28\xb5\x2f\xfd": "this is a zstd file; unpack it first (unzstd)",
    b"\xfd7zXZ\x00": "this is an xz file; unpack it first (unxz)",
    b"BZh": "this is a bzip2 file; unpack it first (bunzip2)",
    b"PK\x03\x04": "this is a zip file; unpack it first (unzip)",
    b"\x7fELF": "this is an ELF file; expected flits, one behind the other",
    b"\x89PNG": "this is a PNG picture; expected flits, one behind the other",
    b"\xef\xbb\xbf": "this is text; expected flits as bytes",
    b'{"hslr"': "this is a recording; hsl replay runs it",
    b"{": "this is JSON; hsl codec encode makes flits of the document of decode --json",
    b"[": "this is JSON; hsl codec encode makes flits of the document of decode --json",
}
HEX: Final = b"0123456789abcdefABCDEF \t\r\n"


def foreign(data: bytes) -> str:
    """Return the kind of a file that does not hold flits, and its reader; "" if it may hold flits.

    Ask only about bytes whose first flit does not decode: a flit may begin like any file.
    """
    text = data.isascii() and b"\0" not in data
    if text and not data.translate(None, HEX):
        return "these are hex digits; give them with --hex, or with --hex - on stdin"
    begin = data.lstrip() if text else data
    found = next((kind for magic, kind in MAGICS.items() if begin.startswith(magic)), "")
    if found.startswith("this is JSON") and not text:
        return ""
    return found or ("this is text; expected flits as bytes" if text else "")
