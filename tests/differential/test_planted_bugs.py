"""Three bugs planted in each codec: a shifted field, an unchecked length, a wrong CRC span.

Each must be caught by the vectors, by the differential test and by the fuzz corpus alike.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from hsl._generated import layouts
from hsl.codec import checks, reference
from hsl.codec.flit import FORMATS, FlitFormat
from tests.support import detectors

ROOT = Path(__file__).parents[2]
ALL = list(detectors.DETECTORS)


def shifted_field(patch: pytest.MonkeyPatch) -> None:
    rows = [(name, shift + (name == "htxn"), mask) for name, shift, mask in layouts.B0_FIELDS]
    patch.setattr(layouts.B0, "rows", tuple(rows))


def unchecked_length(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reference, "malformed", lambda fields, info: checks.malformed(dict(fields, len=3), info))


def wrong_crc_span(patch: pytest.MonkeyPatch) -> None:
    def without_header(form: FlitFormat) -> Callable[[bytes], int]:
        return lambda data: form.crc(data[form.payload_offset :])

    for name, form in list(FORMATS.items()):
        patch.setitem(FORMATS, name, form._replace(crc=without_header(form)))


IN_REFERENCE: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "shifted field": shifted_field,
    "unchecked length": unchecked_length,
    "wrong CRC span": wrong_crc_span,
}
# File below native/ -> what stands there, what is planted.
IN_NATIVE: dict[str, tuple[str, str, str]] = {
    "shifted field": (
        "generated/hsl_names.h",
        "#define HSL_B0_HTXN_SHIFT 40u",
        "#define HSL_B0_HTXN_SHIFT 41u",
    ),
    "unchecked length": (
        "src/granules.h",
        " || (op->received >> len_of(op, g0) & 1) == 0;",
        ";",
    ),
    "wrong CRC span": (
        "src/head.h",
        "hsl_crc32c(0, flit, format->crc_offset)",
        "hsl_crc32c(0, flit + 4, format->crc_offset - 4u)",
    ),
}


@pytest.mark.parametrize("bug", IN_REFERENCE)
def test_bug_in_the_reference_is_caught(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each detector catches each bug of the reference, and nothing without it."""
    IN_REFERENCE[bug](monkeypatch)
    assert detectors.caught("reference") == ALL


def test_nothing_is_caught_without_a_bug(codec_engine: str) -> None:
    """Neither engine as it is makes a detector speak."""
    assert detectors.caught(codec_engine) == []


def build(native: Path) -> Path:
    """The extension built from the sources in `native`, without optimisation."""
    output = native / "_native.abi3.so"
    source, tables = native / "_native.c", native / "tables"
    include = [f"-I{native / folder}" for folder in ("include", "generated", "src", "")]
    script = [sys.executable, str(native / "build_ffi.py"), str(source)]
    subprocess.run(script, check=True, capture_output=True, timeout=60)
    compiler = ["cc", "-std=c11", *include]
    opcodes = native / "src/opcode.c"
    subprocess.run([*compiler, native / "src/tables.c", opcodes, "-o", tables], check=True, timeout=60)
    with (native / "tables.h").open("wb") as header:
        subprocess.run([tables], check=True, stdout=header, timeout=60)
    sources = [path for path in (native / "src").glob("*.c") if path.name != "tables.c"]
    flags = ["-O0", "-shared", "-fPIC", '-DHSL_VERSION="0"', f"-I{sysconfig.get_path('include')}"]
    subprocess.run([*compiler, *flags, source, *sources, "-o", output], check=True, timeout=120)
    return output


@pytest.mark.parametrize("bug", [*IN_NATIVE, "none"])
def test_bug_in_the_library_is_caught(bug: str, tmp_path: Path) -> None:
    """Each detector catches each bug of the C library, and nothing in the same build without it."""
    native = tmp_path / "native"
    shutil.copytree(ROOT / "native", native)
    if bug in IN_NATIVE:
        file, there, planted = IN_NATIVE[bug]
        text = (native / file).read_text()
        assert there in text, file
        (native / file).write_text(text.replace(there, planted))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.detectors", "native", build(native)],
        cwd=ROOT,
        env=os.environ | {"HSL_ENGINE": "reference"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == (ALL if bug in IN_NATIVE else [])
