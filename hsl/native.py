"""The C library: its functions, and the Python names of those that need nothing else of the package."""

from hsl.errors import ConfigError

try:
    from hsl._native import ffi, lib
except ModuleNotFoundError as error:
    raise ConfigError(
        "the native engine is not built: `make venv` builds it in a checkout, `pip install .` elsewhere; "
        "HSL_ENGINE=reference runs without it"
    ) from error

__all__ = [
    "CPU_FEATURES",
    "cpu_features",
    "crc32c",
    "crc32c_portable",
    "crc64xz",
    "crc64xz_portable",
    "ffi",
    "lib",
    "version",
]

Buffer = bytes | bytearray | memoryview

CPU_FEATURES = {
    "sse4.2": lib.HSL_CPU_SSE42,
    "pclmulqdq": lib.HSL_CPU_PCLMULQDQ,
    "bmi2": lib.HSL_CPU_BMI2,
}


def crc32c(data: Buffer, crc: int = 0) -> int:
    """CRC-32C of `data`, continued from `crc` (0 to start). HSL 2.4 [HSL-FLT-003].

    `data` is any C-contiguous buffer. Takes the SSE4.2 instruction where the CPU has it.
    """
    # cffi passes bytes as they are, in half the time of from_buffer.
    view = data if isinstance(data, bytes) else ffi.from_buffer(data)
    return lib.hsl_crc32c(crc, view, len(view))


def crc32c_portable(data: Buffer, crc: int = 0) -> int:
    """The same value as `crc32c`, by tables, on every CPU: for tests."""
    view = data if isinstance(data, bytes) else ffi.from_buffer(data)
    return lib.hsl_crc32c_portable(crc, view, len(view))


def crc64xz(data: Buffer, crc: int = 0) -> int:
    """CRC-64/XZ of `data`, continued from `crc` (0 to start). HSL 2.4 [HSL-FLT-004].

    `data` is any C-contiguous buffer. Takes carry-less multiplication where the CPU has it.
    """
    view = data if isinstance(data, bytes) else ffi.from_buffer(data)
    return lib.hsl_crc64xz(crc, view, len(view))


def crc64xz_portable(data: Buffer, crc: int = 0) -> int:
    """The same value as `crc64xz`, by tables, on every CPU: for tests."""
    view = data if isinstance(data, bytes) else ffi.from_buffer(data)
    return lib.hsl_crc64xz_portable(crc, view, len(view))


def cpu_features() -> list[str]:
    """The CPU features in use, of `CPU_FEATURES`."""
    found = lib.hsl_cpu_features()
    return [name for name, bit in CPU_FEATURES.items() if found & bit]


def version() -> str:
    """The version of the native library."""
    text = ffi.string(lib.hsl_version())
    assert isinstance(text, bytes)
    return text.decode()
