"""The native codec: what `hsl._native` does for this layer. So far the CRC-32C."""

from hsl.errors import ConfigError

try:
    from hsl._native import ffi, lib
except ModuleNotFoundError as error:
    raise ConfigError(
        "the native engine is not built: `make venv` builds it in a checkout, `pip install .` elsewhere; "
        "HSL_ENGINE=reference runs without it"
    ) from error

__all__ = ["cpu_features", "crc32c", "crc32c_portable", "version"]

Buffer = bytes | bytearray | memoryview

CPU_FEATURES = {"sse4.2": lib.HSL_CPU_SSE42}


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


def cpu_features() -> list[str]:
    """The CPU features in use, of `CPU_FEATURES`."""
    found = lib.hsl_cpu_features()
    return [name for name, bit in CPU_FEATURES.items() if found & bit]


def version() -> str:
    """The version of the native library."""
    text = ffi.string(lib.hsl_version())
    assert isinstance(text, bytes)
    return text.decode()
