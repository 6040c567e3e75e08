# The cffi extension; native/build_ffi.py makes it from native/include/hsl/*.h, where the contracts are.
from typing import Final

from cffi import FFI

class _Lib:
    HSL_CPU_SSE42: Final[int]
    def hsl_cpu_features(self) -> int: ...
    def hsl_crc32c(self, crc: int, data: FFI.CData | bytes, size: int) -> int: ...
    def hsl_crc32c_portable(self, crc: int, data: FFI.CData | bytes, size: int) -> int: ...
    def hsl_version(self) -> FFI.CData: ...

ffi: Final[FFI]
lib: Final[_Lib]
