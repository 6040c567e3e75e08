"""`hsl demo` with array kernels: every place of the data, star and mesh, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.emulator import ArrayCpuDevice, Topology
from tests.cli.test_demo import validate

SMALL = {"saxpy": "1024", "reduction": "1024", "matmul": "32"}


def invoke(*arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `hsl demo`."""
    done = CliRunner().invoke(main, ["demo", *arguments])
    return done.exit_code, done.stdout, done.stderr


def demo(kernel: str, *arguments: str) -> dict[str, Any]:
    """The report of a small run that must be verified."""
    code, out, err = invoke("--kernel", kernel, "--size", SMALL[kernel], "--seed", "3", "--json", *arguments)
    assert code == 0, err + out
    report: dict[str, Any] = json.loads(out)
    validate(report, "arrays")
    assert report["verified"]
    assert (report["errors"] == 0) == (report["faults"] == "none")
    return report


@pytest.mark.parametrize("kernel", SMALL)
@pytest.mark.parametrize("home", ["hostmem", "host", "device", "interleaved"])
def test_result_is_exact_wherever_the_data_are(kernel: str, home: str) -> None:
    """Each kernel in each memory gives numpy's result to the bit; snoops and bytes are told."""
    report = demo(kernel, "--home", home)
    assert all(report["checks"].values())
    assert sum(phase["wire_bytes"] for phase in report["phases"].values()) <= report["wire_bytes"]


def test_kernel_in_its_own_memory_needs_no_link() -> None:
    """Data that the CPU's caches have let go cost the GPU no message: device bias. [HSL-COH-033]."""
    device, host = (demo("matmul", "--home", home)["gpu_kernels"][0] for home in ("device", "host"))
    assert device["accesses"] == host["accesses"]
    assert device["over_links"] == device["snoops_sent"] <= 64  # the lines that the CPU still has
    assert device["device_local"] == device["accesses"] - device["over_links"]
    assert host["over_links"] > device["over_links"]


@pytest.mark.parametrize(("gpus", "shape"), [(2, "star"), (4, "star"), (2, "mesh")])
def test_gpus_share_the_work(gpus: int, shape: str) -> None:
    """Up to four GPUs, each with its share, give the very result of one."""
    size = ["--gpus", str(gpus), "--topology", shape]
    report = demo("reduction", *size, "--size", str(1024 * gpus))
    assert [gpu["node"] for gpu in report["gpu_kernels"]] == [f"gpu{k}" for k in range(gpus)]
    assert all(gpu["accesses"] for gpu in report["gpu_kernels"])


def test_memory_node_and_faults(tmp_path: Path) -> None:
    """Data in a node that is nothing but memory; damaged and lost flits do not show in the result."""
    path = tmp_path / "topology.toml"
    path.write_text('memory_nodes = 1\nl2s = 2\nflit = "B256"\n')
    report = demo("matmul", "--home", "memory", "--topology", str(path), "--faults", "crc:0.01")
    assert report["checks"]["result"]


def test_same_seed_same_run() -> None:
    """A run is its seed, to the nanosecond and the byte."""
    one, two = (demo("reduction") for _ in range(2))
    assert one == two


REFUSED = {
    ("--kernel", "saxpy", "--transport", "tcp"): "needs --kernel wordcount, histogram or ring",
    ("--kernel", "saxpy", "--input", "x"): "needs --kernel wordcount, histogram or ring",
    ("--kernel", "wordcount", "--home", "host"): "needs --kernel saxpy, reduction or matmul",
    ("--kernel", "saxpy", "--size", "1000"): "a multiple of 1024 (1024 for each GPU)",
    ("--kernel", "saxpy", "--gpus", "3", "--size", "4096"): "a multiple of 3072 (1024 for each GPU)",
    ("--kernel", "matmul", "--size", "2048"): "a multiple of 16 for each GPU, at most 1024",
    ("--kernel", "saxpy", "--size", str(1 << 22)): "does not fit",
    ("--kernel", "saxpy", "--home", "memory"): "memory_nodes = 1",
    ("--kernel", "saxpy", "--home", "interleaved", "--gpus", "2"): "mesh",
}


@pytest.mark.parametrize(("arguments", "text"), REFUSED.items(), ids=lambda value: str(value)[:60])
def test_refused(arguments: tuple[str, ...], text: str) -> None:
    """What cannot be done is said before anything runs, with exit code 4."""
    code, out, err = invoke(*arguments)
    assert (code, out) == (4, "")
    assert text in err


def test_view_for_a_person() -> None:
    """Without --json there are eight lines at most, the first of them the verdict; -v adds tables."""
    run = ("--kernel", "matmul", "--size", "16", "--home", "host", "--seed", "1")
    code, out, _ = invoke(*run)
    assert (code, out.splitlines()[0].split("  ")[0]) == (0, "VERIFIED")
    assert len(out.splitlines()) <= 8
    told = invoke(*run, "-v")[1]
    assert "device local" in told
    assert told.endswith(out)


@pytest.mark.parametrize(
    ("home", "place"),
    [
        ("hostmem", "CPU memory, home at the CPU"),
        ("host", "device memory, home at the CPU"),
        ("device", "device memory, home at the device"),
        ("interleaved", "homes alternate"),
    ],
)
def test_the_result_says_where_the_data_are(home: str, place: str) -> None:
    """--home host is device memory whose home is the CPU; the report does not call it host memory."""
    code, out, err = invoke("--kernel", "saxpy", "--size", "1024", "--seed", "3", "--home", home)
    assert code == 0, err
    assert f"on 1 GPU; {place}\n" in out


def test_the_default_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --home the data are where help says, in `hsl demo` as in `hsl node cpu`."""
    assert demo("saxpy")["home"] == "device"
    homes: list[str] = []

    def built(name: str, options: object, build: Callable[..., ArrayCpuDevice]) -> int:
        homes.append(build(Topology(), itertools.count(1).__next__, 1).home)
        return 0

    monkeypatch.setattr("hsl.cli.node.run", built)
    line = ["node", "cpu", "--listen", "tcp://:0", "--kernel", "saxpy", "--size", "1024"]
    assert CliRunner().invoke(main, line).exit_code == 0
    assert homes == ["device"]
