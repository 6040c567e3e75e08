"""Sessions in tests: bounded runs, pairs of sessions, and peers that speak the wire themselves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hsl.transport.faults import FaultInjector, FaultPlan

T = TypeVar("T")
LIMIT_SECONDS = 60  # a test that hangs fails after it; nothing else depends on it


def run(body: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; TimeoutError when it hangs."""

    async def bounded() -> T:
        return await asyncio.wait_for(body, LIMIT_SECONDS)

    return asyncio.run(bounded())


async def until(met: Callable[[], bool]) -> None:
    """Wait for a condition of another task."""
    while not met():
        await asyncio.sleep(0.002)


def no_faults() -> FaultInjector:
    """An injector that lets everything pass."""
    return FaultInjector(FaultPlan(), random.Random(0))
