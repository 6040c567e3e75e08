"""HSL 2.4: each engine against published values, against the others, and against what a CRC promises."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl._generated.constants import CRC32C_CHECK, CRC64XZ_CHECK
from hsl.codec import crc, native
from hsl.errors import ConfigError

ENGINES = {
    "reference": crc.crc32c_reference,
    "native": native.crc32c,
    "native, portable path": native.crc32c_portable,
}

ENGINES64 = {
    "reference": crc.crc64xz_reference,
    "native": native.crc64xz,
    "native, portable path": native.crc64xz_portable,
}

# Data -> CRC-32C, of RFC 3720 B.4.
RFC3720 = {
    bytes(32): 0x8A9136AA,
    b"\xff" * 32: 0x62A8AB43,
    bytes(range(32)): 0x46DD794E,
    bytes(reversed(range(32))): 0x113FDB5C,
}
# The flits V1, V2 and V3 of HSL 2.8, whose last bytes are the CRC.
V1 = bytes.fromhex("00c0ff00" + "00" * 56 + "87fcd869")
V2 = bytes.fromhex("51c00014" + "2001083012030000" + "409a785634120000" + "00" * 40 + "4d0fe06e")
V3 = bytes.fromhex(
    "61400109" + "01020000" + "a00204301207200c" + bytes(range(64)).hex() + "8002044012082000" + "00" * 160
    + "06694da4b5989480"
)  # fmt: skip


@pytest.fixture(params=ENGINES)
def crc32c(request: pytest.FixtureRequest) -> crc.Crc:
    return ENGINES[request.param]


def test_check_value(crc32c: crc.Crc) -> None:
    """The CRC-32C of "123456789" is the check value of the spec."""
    assert crc32c(b"123456789") == CRC32C_CHECK


@pytest.mark.parametrize(("data", "expected"), RFC3720.items(), ids=["zeros", "ones", "up", "down"])
def test_published_values(crc32c: crc.Crc, data: bytes, expected: int) -> None:
    """CRC-32C is the one of iSCSI, byte order and all."""
    assert crc32c(data) == expected


@pytest.mark.parametrize("flit", [V1, V2], ids=["V1", "V2"])
def test_golden_flits(crc32c: crc.Crc, flit: bytes) -> None:
    """An L64 flit ends with the little-endian CRC-32C of its first 60 bytes [HSL-FLT-003]."""
    assert crc32c(flit[:60]).to_bytes(4, "little") == flit[60:]


@pytest.mark.parametrize("engine", ENGINES64)
def test_crc64_check_value_and_golden_flit(engine: str) -> None:
    """A B256 flit ends with the little-endian CRC-64/XZ of its first 248 bytes [HSL-FLT-004]."""
    crc64xz = ENGINES64[engine]
    assert crc64xz(b"123456789") == CRC64XZ_CHECK
    assert crc64xz(V3[:248]).to_bytes(8, "little") == V3[248:]
    assert crc64xz(b"", CRC64XZ_CHECK) == CRC64XZ_CHECK


def test_nothing_at_all(crc32c: crc.Crc) -> None:
    """No bytes leave the CRC where it was."""
    assert crc32c(b"") == 0
    assert crc32c(b"", CRC32C_CHECK) == CRC32C_CHECK


@given(data=st.binary(max_size=300), cut=st.integers(0, 300))
def test_engines_agree_and_resume(data: bytes, cut: int) -> None:
    """All engines give the same CRC, in one piece and resumed after any cut."""
    expected = crc.crc32c_reference(data)
    for name, engine in ENGINES.items():
        assert engine(data) == expected, name
        assert engine(data[cut:], engine(data[:cut])) == expected, name
    expected = crc.crc64xz_reference(data)
    for name, engine in ENGINES64.items():
        assert engine(data) == expected, name
        assert engine(data[cut:], engine(data[:cut])) == expected, name


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer(crc32c: crc.Crc, kind: type[crc.Buffer]) -> None:
    """bytes, bytearray and memoryview, sliced too, give the same CRC."""
    assert crc32c(kind(b"xx123456789")[2:]) == CRC32C_CHECK
    for engine in ENGINES64.values():
        assert engine(kind(b"xx123456789")[2:]) == CRC64XZ_CHECK


def test_engine_by_name(codec_engine: str) -> None:
    """The name of an engine selects that engine."""
    assert crc.crc32c_with(codec_engine) is ENGINES[codec_engine]
    assert crc.crc64xz_with(codec_engine) is ENGINES64[codec_engine]


def test_unknown_engine() -> None:
    """A name that is no engine is refused with the legal ones."""
    with pytest.raises(ConfigError, match="unknown engine 'fast'; expected reference or native"):
        crc.crc32c_with("fast")
    with pytest.raises(ConfigError, match="unknown engine 'fast'; expected reference or native"):
        crc.crc64xz_with("fast")


def run_python(code: str, engine: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={"HSL_ENGINE": engine}, capture_output=True, text=True, timeout=60
    )


def test_engine_of_the_environment(codec_engine: str) -> None:
    """HSL_ENGINE decides which engine `crc32c` is."""
    code = (
        "from hsl.codec import crc\n"
        "assert crc.crc32c is crc.crc32c_with(crc.ENGINE)\n"
        "assert crc.crc64xz is crc.crc64xz_with(crc.ENGINE)\n"
        "print(crc.ENGINE)"
    )
    assert run_python(code, codec_engine).stdout == f"{codec_engine}\n"


WITHOUT_EXTENSION = "import sys; sys.modules['hsl._native'] = None\nfrom hsl.codec import crc"


def test_no_silent_fallback() -> None:
    """Without the extension the native engine is an error that says how to build it."""
    assert (
        "ConfigError: the native engine is not built: `make venv`"
        in run_python(WITHOUT_EXTENSION, "native").stderr
    )


def test_reference_needs_no_extension() -> None:
    """The reference engine runs where the extension was never built."""
    assert run_python(WITHOUT_EXTENSION, "reference").stderr == ""
