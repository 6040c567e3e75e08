"""Writes the C source of hsl._native: `build_ffi.py OUTPUT`.

The declarations are not typed twice: they are the regions of the public headers between
`/* cffi:begin */` and `/* cffi:end */`.
"""

import re
import sys
from pathlib import Path

from cffi import FFI

INCLUDE = Path(__file__).parent / "include"
REGION = re.compile(r"/\* cffi:begin \*/(.*?)/\* cffi:end \*/", re.DOTALL)


def main(output: str) -> None:
    headers = sorted(INCLUDE.glob("hsl/*.h"))
    ffi = FFI()
    for header in headers:
        for region in REGION.findall(header.read_text()):
            ffi.cdef(region)
    includes = [f'#include "{header.relative_to(INCLUDE).as_posix()}"' for header in headers]
    ffi.set_source("hsl._native", "\n".join(includes))
    ffi.emit_c_code(output)


main(sys.argv[1])
