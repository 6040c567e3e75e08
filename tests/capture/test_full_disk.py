"""A capture on a full disk: whole packets, a typed error, nothing that is left over."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hsl.capture import Packet, Sink, Writer
from hsl.errors import CaptureError
from tests.capture.test_trace import INFO, LANES, packets, read

ROOM = 4096  # bytes of a file: some twenty packets


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes; a write across the limit is taken in part, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def refused(writer: Writer, packet: Packet) -> CaptureError | None:
    """The error with which a packet was not written."""
    try:
        writer.packet(packet)
    except CaptureError as error:
        return error
    return None


@pytest.mark.parametrize("size", range(ROOM, ROOM + 120, 7))
def test_a_capture_ends_with_a_whole_packet(size: int, tmp_path: Path) -> None:
    """Wherever the disk ends, the file has whole packets, and the error says why there are no more."""
    given = packets(100)
    writer = Writer(Sink(str(tmp_path / "x")), INFO, LANES)
    taken = 0
    with room(size):
        while (error := refused(writer, given[taken])) is None:
            taken += 1
        assert os.strerror(errno.EFBIG) in str(error)
        assert taken > 10
        try:
            writer.close({})
        except CaptureError:
            assert size - (tmp_path / "x").stat().st_size < len(LANES) * 64
    assert read(tmp_path / "x")[0] == given[:taken], "a capture has whole packets only"


def test_a_capture_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    """A packet that found no room leaves no hole and no rest before those that are written later."""
    given = packets(100)
    writer = Writer(Sink(str(tmp_path / "x")), INFO, LANES)
    with room(ROOM):
        taken = [packet for packet in given[:50] if refused(writer, packet) is None]
    assert 10 < len(taken) < 50
    for packet in given[50:]:
        writer.packet(packet)
    writer.close({})
    assert read(tmp_path / "x")[0] == taken + given[50:]


@pytest.mark.parametrize("size", [0, 10])
def test_a_capture_without_a_block_is_removed(size: int, tmp_path: Path) -> None:
    """Without room for the header no file is left, empty or cut."""
    sink = Sink(str(tmp_path / "x"))
    with room(size), pytest.raises(CaptureError):
        Writer(sink, INFO, LANES)
    sink.close()
    assert list(tmp_path.iterdir()) == []


def run(folder: Path, size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """An hsl command in a folder, whose files are at most `size` bytes long."""
    command = [sys.executable, "-B", "-m", "hsl", *arguments]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return subprocess.run(
        command, cwd=folder, preexec_fn=limit, capture_output=True, text=True, timeout=60, check=False
    )


def check_packets(path: Path) -> None:
    """The capture can be read to its end."""
    with path.open("rb") as stream:
        assert len(list(read(path)[0])) > 10, stream.name


def test_a_run_on_a_full_disk_ends_with_exit_code_4(tmp_path: Path) -> None:
    """A demo whose capture finds no room ends with code 4, one line, and whole packets up to there."""
    arguments = ("demo", "--transport", "loopback", "--seed", "1", "--capture", "x.pcapng", "--json")
    done = run(tmp_path, 1 << 16, *arguments)
    assert done.returncode == 4, done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert done.stderr.count("hsl: ") == 1, "the error is one line"
    assert done.stdout == ""
    check_packets(tmp_path / "x.pcapng")


@pytest.mark.parametrize(
    "command",
    [
        ["demo", "--transport", "loopback"],
        ["demo", "--transport", "unix"],
        ["link", "soak", "--flits", "100"],
        ["perf", "program", "../trace"],
    ],
)
def test_a_run_without_room_for_a_header_leaves_no_file(command: list[str], tmp_path: Path) -> None:
    """A capture that has no packet is removed, also if not even its header found room."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "trace").write_text(" L 1000,8\n")
    done = run(folder, 100, *command, "--seed", "1", "--capture", "x.pcapng")
    assert done.returncode == 4, done.stderr
    assert list(folder.iterdir()) == []


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB; where nobody may mount one a folder, whose files are bounded instead."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.tool("mount", apt="mount")
def test_a_capture_on_a_file_system_without_room(disk: Path) -> None:
    """On a full file system the nodes of a demo end with code 4, and leave no capture of their own."""
    done = run(disk, 1 << 16, "demo", "--transport", "unix", "--capture", "x.pcapng", "--json")
    assert done.returncode == 4, done.stderr
    assert any(os.strerror(code) in done.stderr for code in (errno.ENOSPC, errno.EFBIG))
    assert "Traceback" not in done.stderr
    assert {path.name for path in disk.iterdir()} <= {"x.pcapng"}
    for path in disk.iterdir():
        check_packets(path)


@pytest.mark.tool("mount", apt="mount")
@pytest.mark.parametrize(
    "command",
    [
        ["link", "soak", "--flits", "100", "--seed", "1", "--json", "--out"],
        ["codec", "encode", "--input", "../flits", "--out"],
        ["stress", "--ops", "200", "--seed", "1", "--json", "--save"],
    ],
)
def test_a_report_on_a_file_system_without_room(command: list[str], disk: Path) -> None:
    """A file that cannot be written to its end is removed: code 4, one line, no empty or cut file."""
    (disk.parent / "flits").write_text(
        json.dumps({"schema": "hsl.codec/1", "flits": [{"format": "B256", "type": "PROT"}] * 64})
    )
    (disk / "rest").write_bytes(bytes(64 << 10))
    done = run(disk, 100, *command, "x")
    assert done.returncode == 4, done.stderr
    assert any(os.strerror(code) in done.stderr for code in (errno.ENOSPC, errno.EFBIG))
    assert done.stderr.count("hsl: ") == 1, "the error is one line"
    assert "Traceback" not in done.stderr
    assert [path.name for path in disk.iterdir()] == ["rest"]
