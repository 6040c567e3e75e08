# The cffi extension; native/build_ffi.py makes it from native/include/hsl/*.h, where the contracts are.
from typing import Any, Final, TypeAlias

_C: TypeAlias = Any  # a pointer, array or struct of C: no stub knows its members
_Bytes: TypeAlias = _C | bytes  # cffi passes bytes as they are

class _Lib:
    HSL_CPU_SSE42: Final[int]
    HSL_CPU_PCLMULQDQ: Final[int]
    HSL_CPU_BMI2: Final[int]
    HSL_CREDIT_VCS: Final[int]
    HSL_MESSAGE_BYTES: Final[int]
    def hsl_version(self) -> _C: ...
    def hsl_cpu_features(self) -> int: ...
    def hsl_crc32c(self, crc: int, data: _Bytes, size: int) -> int: ...
    def hsl_crc32c_portable(self, crc: int, data: _Bytes, size: int) -> int: ...
    def hsl_crc64xz(self, crc: int, data: _Bytes, size: int) -> int: ...
    def hsl_crc64xz_portable(self, crc: int, data: _Bytes, size: int) -> int: ...
    def hsl_requirement_name(self, requirement: int) -> _C: ...
    def hsl_field_name(self, field: int) -> _C: ...
    def hsl_format(self, bytes: int) -> _C: ...
    def hsl_flit_decode(self, format: _C, data: _Bytes, size: int, flit: _C) -> bool: ...
    def hsl_check_credit_return(self, flit: _C, fault: _C) -> bool: ...
    def hsl_flit_encode(
        self, format: _C, flit: _C, payload: _Bytes, size: int, out: _C, fault: _C
    ) -> bool: ...
    def hsl_message_encode(self, message: _C, out: _C, fault: _C) -> int: ...
    def hsl_check_request(self, message: _C, negotiated: _C) -> int: ...
    def hsl_ctl_decode(self, payload: _Bytes, size: int, ctl: _C, fault: _C) -> bool: ...
    def hsl_ctl_encode(self, ctl: _C, payload: _C, fault: _C) -> bool: ...
    def hsl_unpack(
        self,
        format: _C,
        unpacker: _C,
        payload: _Bytes,
        size: int,
        first: int,
        som: int,
        credits: _C,
        messages: _C,
        flit: int,
        began: _C,
        fault: _C,
    ) -> int: ...
    def hsl_pack(
        self,
        packer: _C,
        messages: _C,
        count: int,
        payload: _C,
        size: int,
        filled: _C,
        som: _C,
        fault: _C,
    ) -> int: ...
    def hsl_decode(
        self,
        format: _C,
        data: _Bytes,
        size: int,
        unpacker: _C,
        credits: _C,
        flits: _C,
        flit_room: int,
        messages: _C,
        message_room: int,
        first_flit: int,
        message_count: _C,
    ) -> int: ...
    def hsl_decode_portable(
        self,
        format: _C,
        data: _Bytes,
        size: int,
        unpacker: _C,
        credits: _C,
        flits: _C,
        flit_room: int,
        messages: _C,
        message_room: int,
        first_flit: int,
        message_count: _C,
    ) -> int: ...
    def hsl_encode(
        self,
        format: _C,
        flits: _C,
        flit_count: int,
        packer: _C,
        messages: _C,
        message_count: int,
        out: _C,
        messages_taken: _C,
    ) -> int: ...

ffi: Final[Any]
lib: Final[_Lib]
