"""A device of your own on a socket, attached to a running CPU: `hsl.attach` and `hsl.attach_async`."""

from __future__ import annotations

import os

from hsl._generated.constants import TU_EXPONENT_SOFTWARE
from hsl.attached.asynchronous import AsyncAttachedDevice
from hsl.attached.blocking import AttachedDevice
from hsl.attached.device import Doorbell
from hsl.attached.settings import Settings
from hsl.emulator.topology import NODE_NIDS

__all__ = ["AsyncAttachedDevice", "AttachedDevice", "Doorbell", "attach", "attach_async"]

MEMORY_BYTES = 16 << 20  # as each memory of a GPU of hsl.System
WAIT_SECONDS = 5.0


def attach(
    uri: str,
    *,
    listen: bool = False,
    nid: int = NODE_NIDS,
    memory_bytes: int = MEMORY_BYTES,
    sets: int = 64,
    ways: int = 4,
    tu: int = TU_EXPONENT_SOFTWARE,
    wait: float = WAIT_SECONDS,
    timeout: float | None = None,
    faults: str | float | os.PathLike[str] = "none",
    seed: int = 0,
    capture: str | os.PathLike[str] | None = None,
) -> AttachedDevice:
    """Attach a device of your own to a running CPU, and return it when the CPU has booted it. HSL 5.15.

    Start a CPU with `hsl node cpu --listen tcp://127.0.0.1:7410 --kernel none`, then::

        with hsl.attach("tcp://127.0.0.1:7410") as gpu:
            gpu.store(0x40, b"hello")
            print(gpu.load(0x40, 5))

    Args:
        uri: address of the CPU: tcp://host:port, unix:///path or udp://host:port
        listen: True to wait at `uri` for the CPU to call, False to call it
        nid: first of the 16 NIDs of the device, 0 to 1008; devices of one CPU need different ones. A CPU
            keeps 0 to 15, and turns a device with those away
        memory_bytes: size of the memory of the device, a multiple of 4096, at most 1 GiB; 0 for none.
            Its home is at the device (HDM-D)
        sets: sets of its cache, 1 to 65536
        ways: lines of 64 bytes in a set, 1 to 64
        tu: time unit of the link, 2^tu ns, 18 to 24; the larger one of both ends is taken
        wait: seconds to reach the CPU. A CPU that was reached has two T_STATE (8.6 s with tu=20) to bring the
            link up, and as long to boot the device
        timeout: seconds for a call; None for as long as the timers of the protocol let it take
        faults: faults to inject into what the device sends, as `hsl node gpu --faults` takes them
        seed: 0 to 2**64-1; decides where faults hit
        capture: file to capture all flits of the link to, in pcapng

    Raises ConfigError (an argument cannot be used), PeerUnreachable (nobody is there, or nobody that brings
    the link up and boots the device), LinkError (the CPU turned the device away; `code` is the ErrorCode of
    its ERR_FATAL), PeerLost (the CPU was lost meanwhile) and CaptureError.

    """
    return AttachedDevice(
        Settings.of(
            uri,
            listen=listen,
            nid=nid,
            memory_bytes=memory_bytes,
            sets=sets,
            ways=ways,
            tu=tu,
            wait=wait,
            timeout=timeout,
            faults=faults,
            seed=seed,
            capture=capture,
        )
    )


def attach_async(
    uri: str,
    *,
    listen: bool = False,
    nid: int = NODE_NIDS,
    memory_bytes: int = MEMORY_BYTES,
    sets: int = 64,
    ways: int = 4,
    tu: int = TU_EXPONENT_SOFTWARE,
    wait: float = WAIT_SECONDS,
    timeout: float | None = None,
    faults: str | float | os.PathLike[str] = "none",
    seed: int = 0,
    capture: str | os.PathLike[str] | None = None,
) -> AsyncAttachedDevice:
    """Return a device of your own for `async with`, which attaches it.

    The arguments are those of `hsl.attach`::

        async with hsl.attach_async("tcp://127.0.0.1:7410") as gpu:
            await gpu.store(0x40, b"hello")

    Raises ConfigError for an argument that cannot be used; `async with` raises the other errors of `attach`.
    """
    return AsyncAttachedDevice(
        Settings.of(
            uri,
            listen=listen,
            nid=nid,
            memory_bytes=memory_bytes,
            sets=sets,
            ways=ways,
            tu=tu,
            wait=wait,
            timeout=timeout,
            faults=faults,
            seed=seed,
            capture=capture,
        )
    )
