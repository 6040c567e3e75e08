"""A JSON document on standard output or in a file."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import click

__all__ = ["json_text", "print_json"]

SURROGATE: Final = re.compile("[\ud800-\udfff]")
BYTE: Final = 0xDC00  # Python keeps the byte b of a file name that is not UTF-8 as U+DC00 + b


def json_text(document: Any) -> str:
    r"""Return the text of a document. A lone surrogate, which strict parsers refuse, is spelled out.

    So `\xff` stands for a byte of a file name that is not UTF-8.
    """
    text = json.dumps(document, indent=2)
    return json.dumps(_readable(document), indent=2) if r"\ud" in text else text


def print_json(document: Any) -> None:
    """Print a document on standard output."""
    click.echo(json_text(document))


def _readable(value: Any) -> Any:
    if isinstance(value, str):
        return SURROGATE.sub(_spelled, value)
    if isinstance(value, dict):
        return {_readable(key): _readable(each) for key, each in value.items()}
    return [_readable(each) for each in value] if isinstance(value, (list, tuple)) else value


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return rf"\x{code - BYTE:02x}" if 0x80 <= code - BYTE <= 0xFF else rf"\u{code:04x}"
