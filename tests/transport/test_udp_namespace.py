"""udp over a wire of the kernel that loses datagrams: two network namespaces, a veth pair, and nftables."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hsl.emulator.report import demo_report
from tests.support.external_tools import leave_out
from tests.support.sessions import run

ADDRESSES = ("10.99.7.1", "10.99.7.2")  # inside namespaces of our own: nothing else can have or reach them
EVERY = 23  # of so many datagrams that come in, one is dropped; at random a short run may lose none


def ip(*arguments: str) -> None:
    """Run `ip`, which must succeed."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def namespaces(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Two namespaces with a veth pair between them, each dropping some of what comes in; gone afterwards."""
    names = tuple(f"hsl-{uuid.uuid4().hex[:8]}" for _ in ADDRESSES)
    made = []
    try:
        for name in names:
            if os.geteuid() or subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode:
                leave_out(request.node, "no network namespaces", "run as root, where they are permitted")
            made.append(name)
        ip(
            "link",
            "add",
            "wire",
            "netns",
            names[0],
            "type",
            "veth",
            "peer",
            "name",
            "wire",
            "netns",
            names[1],
        )
        lines = (
            "table ip hsl {",
            "chain in {",
            "type filter hook input priority 0",
            f"ip protocol udp numgen inc mod {EVERY} == {EVERY // 2} counter drop",
            "}",
            "}",
        )
        rules = "".join(f"{line}\n" for line in lines)
        for name, address in zip(names, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
            ip("-n", name, "link", "set", "wire", "up")
            inside = ["ip", "netns", "exec", name, "nft", "-f", "-"]
            subprocess.run(inside, input=rules, text=True, check=True, capture_output=True)
        yield names[0], names[1]
    finally:
        for name in made:
            ip("netns", "del", name)


async def start(name: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start a node inside a namespace."""
    return await asyncio.create_subprocess_exec(
        *(
            "ip",
            "netns",
            "exec",
            name,
            sys.executable,
            "-m",
            "hsl",
            "node",
            *arguments,
            "--json",
            "--seed",
            "1",
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.tool("nft", apt="nftables")
@pytest.mark.tool("ip", apt="iproute2")
def test_demo_over_a_wire_that_loses(namespaces: tuple[str, str], tmp_path: Path) -> None:
    """Over a network that drops a datagram now and then a demo is verified, with replays [HSL-PAL-004]."""
    text = tmp_path / "input.txt"
    text.write_bytes(b"Snoops, credits and flits. " * 60)

    async def body() -> None:
        cpu = await start(namespaces[0], "cpu", "--listen", f"udp://{ADDRESSES[0]}:0", "--input", str(text))
        assert cpu.stderr is not None
        line = ""
        while "udp://" not in line:
            line = (await cpu.stderr.readline()).decode()
            assert line, "the CPU ended"
        uri = line[line.index("udp://") :].strip()
        gpu = await start(namespaces[1], "gpu", "--connect", uri)
        (cpu_out, cpu_err), (gpu_out, gpu_err) = await asyncio.gather(cpu.communicate(), gpu.communicate())
        assert (cpu.returncode, gpu.returncode) == (0, 0), (cpu_err, gpu_err)
        report = demo_report({"cpu": json.loads(cpu_out), "gpu": json.loads(gpu_out)}, {})
        assert report["verified"], report["directions"]
        assert sum(node["datagrams"]["lost"] for node in report["nodes"].values()) > 0
        assert report["replays"] > 0

    run(body())
