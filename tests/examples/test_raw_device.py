"""The raw device is booted and runs jobs, against a CPU of raw peers: text against text, without `hsl`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.attacks.judge import END_SECONDS
from tests.attacks.nodes import Node
from tests.examples.raw_host import system
from tests.examples.test_raw_peer import raw

TEXT = b"the quick brown fox jumps over the lazy dog\n" * 140  # 6,160 bytes: 4 chunks


@pytest.mark.parametrize("kernel", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"host_flits": 1}, {"bare": True}, {"damage": 0.02}, {"exercise": True}],
    ids=["B256", "L64", "bare", "damage", "exercise"],
)
def test_jobs_are_counted(monkeypatch: pytest.MonkeyPatch, kernel: int, options: dict[str, Any]) -> None:
    """A device that is booted counts the input of each job right, and says BYE after EXIT."""
    with system(monkeypatch, **options) as cpu:
        cpu.boot()
        assert cpu.count(TEXT, kernel) == (1,)
        cpu.verify(TEXT, kernel, 2, 4)
        assert cpu.count(TEXT[:100], kernel) == (1,)
        cpu.verify(TEXT[:100], kernel, 2, 1)
        assert cpu.interrupts == [(1, 1), (1, 2)]
        cpu.ring(8, 0)
        assert cpu.host.run(lambda: len(cpu.interrupts) == 3, 10.0)
        assert cpu.interrupts[2][0] == 2
        assert not any(cpu.home.holders.values()), "what it held is given back before BYE"
        if "damage" in options:
            assert cpu.device.total["flits damaged"]
        if "exercise" in options:
            assert cpu.device.total["lines compared"]
            assert not cpu.device.total["wrong"]


def test_a_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that come through a ring are counted by compute unit 0."""
    with system(monkeypatch) as cpu:
        cpu.boot()
        assert cpu.count(TEXT, 3) == (1,)
        cpu.verify(TEXT, 3, 1, 97)


WAYS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "tcp": ("tcp://127.0.0.1:0", (), ()),
    "unix": ("unix://{}/link", (), ("--bare",)),
    "udp": ("udp://127.0.0.1:0", (), ("--damage", "0.01")),
    "L64": ("tcp://127.0.0.1:0", ("--flit", "L64"), ("--damage", "0.01", "--exercise")),
    "histogram": ("tcp://127.0.0.1:0", ("--kernel", "histogram"), ()),
    "other NIDs": ("tcp://127.0.0.1:0", (), ("--nid", "900", "--exercise")),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_emulated_cpu(way: tuple[str, tuple[str, ...], tuple[str, ...]], tmp_path: Path) -> None:
    """The command line is a device for `hsl node cpu`, which verifies its job; both end with 0."""
    uri, of_cpu, of_device = way
    (tmp_path / "input").write_bytes(TEXT)
    node = Node(tmp_path / "cpu.err", "cpu", "--listen", uri.format(tmp_path), "--input", "input", *of_cpu)
    try:
        done = raw(node.uris()[0], *of_device)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert re.fullmatch(r"1 job, 4 chunks(, \d+ [a-z ]+)*, bye\n", done.stdout), done.stdout
        assert node.ended(END_SECONDS) == 0, node.errors()
        assert node.output().startswith("VERIFIED  cpu: "), node.output()
    finally:
        node.kill()


def test_it_leaves(tmp_path: Path) -> None:
    """With --seconds it leaves in the middle of a job, with 0 if all lines that it has read were right."""
    (tmp_path / "input").write_bytes(TEXT * 140)
    node = Node(tmp_path / "cpu.err", "cpu", "--listen", "tcp://127.0.0.1:0", "--input", "input", "--once")
    try:
        done = raw(node.uris()[0], "--exercise", "--seconds", "1.5")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"0 jobs, 0 chunks, [1-9]\d* lines compared, 0 wrong\n", done.stdout), done.stdout
        assert node.ended(END_SECONDS) == 7, node.errors()
        assert "DATA_LOST" not in node.errors(), "it gives back all that it holds"
    finally:
        node.kill()
