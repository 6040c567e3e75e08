"""The records that CPU and devices of the reference system exchange in memory (HSL annex A)."""

from __future__ import annotations

from typing import Any, Final

from hsl._generated import layouts
from hsl._generated.constants import GRANULE_BYTES

__all__ = ["ARRAY_JOB", "COMPLETION", "COUNT_JOB", "Record"]


class Record:
    """A record of `size` bytes; its fields are those of its granules, by name."""

    def __init__(self, size: int, *granules: Any) -> None:
        self._size = size
        self._granules = granules

    def pack(self, fields: dict[str, int]) -> bytes:
        """Return the bytes of a record with these fields; fields that are not named are 0."""
        return b"".join(granule.build(fields) for granule in self._granules).ljust(self._size, b"\0")

    def unpack(self, data: bytes) -> dict[str, int]:
        """Return the fields of a record."""
        found: dict[str, int] = {}
        for index, granule in enumerate(self._granules):
            found |= granule.parse(data[GRANULE_BYTES * index :][:GRANULE_BYTES])
        return found


COUNT_JOB: Final = Record(
    layouts.COUNT_JOB_BYTES,
    layouts.COUNT_JOB_D0,
    layouts.COUNT_JOB_D1,
    layouts.COUNT_JOB_D2,
    layouts.COUNT_JOB_D3,
    layouts.COUNT_JOB_D4,
    layouts.COUNT_JOB_D5,
)
ARRAY_JOB: Final = Record(
    layouts.ARRAY_JOB_BYTES,
    layouts.ARRAY_JOB_D0,
    layouts.ARRAY_JOB_D1,
    layouts.ARRAY_JOB_D2,
    layouts.ARRAY_JOB_D3,
    layouts.ARRAY_JOB_D4,
    layouts.ARRAY_JOB_D5,
    layouts.ARRAY_JOB_D6,
    layouts.ARRAY_JOB_D7,
)
COMPLETION: Final = Record(layouts.COMPLETION_BYTES, layouts.COMPLETION_D0, layouts.COMPLETION_D1)
