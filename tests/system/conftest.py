"""The system that most tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import hsl


@pytest.fixture
def s() -> Iterator[hsl.System]:
    """A CPU and a GPU without faults."""
    with hsl.System(memory_bytes=1 << 20, device_bytes=1 << 20) as opened:
        yield opened
