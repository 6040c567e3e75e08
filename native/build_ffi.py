"""Writes the C source of hsl._native: `build_ffi.py OUTPUT`.

The declarations are not typed twice: they are the regions of the public headers between
`/* cffi:begin */` and `/* cffi:end */`, and the numbers of hsl_constants.h.
"""

import re
import sys
from pathlib import Path

from cffi import FFI

NATIVE = Path(__file__).parent
REGION = re.compile(r"/\* cffi:begin \*/(.*?)/\* cffi:end \*/", re.DOTALL)
NUMBER = re.compile(r"^#define HSL_\w+ \w+$", re.MULTILINE)
# In this order: a declaration needs those before it.
HEADERS = ("version", "crc", "fault", "flit", "message", "ctl", "stream", "codec")


def main(output: str) -> None:
    ffi = FFI()
    ffi.cdef("\n".join(NUMBER.findall((NATIVE / "generated/hsl_constants.h").read_text())))
    headers = [f"hsl/{name}.h" for name in HEADERS]
    for path in ("generated/hsl_ctl_bodies.h", *(f"include/{header}" for header in headers)):
        for region in REGION.findall((NATIVE / path).read_text()):
            ffi.cdef(region)
    ffi.set_source("hsl._native", "\n".join(f'#include "{header}"' for header in headers))
    ffi.emit_c_code(output)


main(sys.argv[1])
