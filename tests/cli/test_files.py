"""Every file that a command reads: what is no such file ends in exit 4 with one line that names it."""

import errno
import io
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.cli.meter import ENVIRONMENT
from hsl.errors import ConfigError
from hsl.files import create_text, parse_json, read_at_most, read_file

# A Python exception, its class or its hint, is nothing that a user can act on.
PYTHON = ("Error", "Errno", "codec can't", "recursion", "set_int_max_str_digits", "internal", "Traceback")
NODE = ["node", "gpu", "--connect", "udp://127.0.0.1:9", "--wait", "0.1"]
# What reads a file -> the command, without the file.
READERS = {
    "topology": ["demo", "--topology"],
    "topology of perf": ["perf", "program", os.devnull, "--topology"],
    "incarnation": [*NODE, "--incarnation-file"],
    "scenario": ["demo", "--faults"],
    "input": ["demo", "--input"],
    "input of a node": ["node", "cpu", "--listen", "tcp://127.0.0.1:0", "--input"],
    "check": ["check"],
    "replay": ["replay"],
    "litmus": ["litmus", "run", "--runs", "1"],
    "operations": ["stress", "--input"],
    "decode": ["codec", "decode", "--input"],
    "encode": ["codec", "encode", "--input"],
    "trace": ["perf", "program"],
}
STREAMS = {"decode", "encode", "trace"}  # read once, in pieces: a pipe or a device will do
ANY_BYTES = {"input", "input of a node", "decode"}
SUFFIX = {"scenario": ".toml", "litmus": ".litmus"}


@pytest.fixture(autouse=True)
def no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short run prints no progress, as at a user."""
    monkeypatch.delenv(ENVIRONMENT)


@contextmanager
def bounded(seconds: int) -> Iterator[None]:
    """TimeoutError in what blocks for ever."""

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused(reader: str, path: Path) -> str:
    """The line with which a command ends that cannot use a file."""
    with bounded(10):
        done = CliRunner().invoke(main, [*READERS[reader], str(path)])
    assert not isinstance(done.exception, TimeoutError), f"{reader} blocks on {path}"
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("seed ", "waiting for "))]
    assert done.exit_code == ExitCode.USAGE, f"bad input ends in exit code 4: {lines}"
    assert len(lines) == 1, f"one line: {lines}"
    assert str(path) in lines[0], f"the line names the file: {lines}"
    assert not any(word in lines[0] for word in PYTHON), f"the line speaks to the user: {lines[0]}"
    assert done.stdout == ""
    return lines[0]


def link_to(reader: str, target: str, folder: Path) -> Path:
    path = folder / f"file{SUFFIX.get(reader, '')}"
    path.symlink_to(target)
    return path


@pytest.mark.parametrize("reader", READERS)
def test_a_file_that_is_not_there_is_named(reader: str, tmp_path: Path) -> None:
    """A missing file ends in exit 4 with what the system says of it."""
    folder = tmp_path / "missing"  # a file of incarnations is made, but not its folder
    assert os.strerror(errno.ENOENT) in refused(reader, folder / f"file{SUFFIX.get(reader, '')}")


@pytest.mark.parametrize("reader", sorted(READERS.keys() - STREAMS))
def test_a_pipe_is_refused_and_not_waited_for(reader: str, tmp_path: Path) -> None:
    """A named pipe without a writer is no file that could be read as a whole: nobody waits for it."""
    path = tmp_path / f"pipe{SUFFIX.get(reader, '')}"
    os.mkfifo(path)
    assert "not a regular file" in refused(reader, path)


@pytest.mark.parametrize("reader", sorted(READERS))
def test_a_device_without_end_is_not_read_to_its_end(reader: str, tmp_path: Path) -> None:
    """A device is refused, or where a stream will do read up to a limit."""
    refused(reader, link_to(reader, "/dev/zero", tmp_path))


@pytest.mark.parametrize("reader", READERS)
def test_a_folder_is_no_file(reader: str, tmp_path: Path) -> None:
    """A folder is refused in the words of the system."""
    path = tmp_path / f"folder{SUFFIX.get(reader, '')}"
    path.mkdir()
    refused(reader, path)


@pytest.mark.parametrize("reader", sorted(READERS.keys() - ANY_BYTES))
def test_bytes_that_are_no_text_are_refused(reader: str, tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are named without the words of the decoder."""
    path = tmp_path / f"bytes{SUFFIX.get(reader, '')}"
    path.write_bytes(b"\x8f\xff\n")
    refused(reader, path)


@pytest.mark.parametrize("reader", sorted(READERS.keys() - ANY_BYTES))
@pytest.mark.parametrize("text", ["x = " + "[" * 5000 + "]" * 5000, "[" * 100_000, "x = " + "1" * 5000])
def test_values_that_no_parser_reads_are_refused(text: str, reader: str, tmp_path: Path) -> None:
    """Nesting without end and numbers without end are bad input, whatever the parser makes of them."""
    path = tmp_path / f"deep{SUFFIX.get(reader, '')}"
    path.write_text(text.removeprefix("x = ") if "topology" not in reader and reader != "scenario" else text)
    refused(reader, path)


@pytest.mark.parametrize("name", [".", "/", ".."])
def test_a_folder_without_a_name_is_no_file(name: str) -> None:
    """A path whose last part is no name is refused as every folder."""
    assert os.strerror(errno.EISDIR) in refused("incarnation", Path(name))


def test_a_document_that_is_none_names_its_file(tmp_path: Path) -> None:
    """A document of another shape than `codec encode` takes is refused by the name of its file."""
    path = tmp_path / "numbers.json"
    path.write_text("[1]")
    refused("encode", path)


# A text of Windows that a command takes -> the command.
WINDOWS = {
    '{"schema": "hsl.operations/1"}\r\n{"agent": 0, "kind": "fence"}\r\n': "check",
    "0: M[0] := 1\r\n": "check",
    "core_sets = 8\r\n": "perf program trace --topology",
    "[[fault]]\r\nkind = 'crc'\r\nrate = 0.0\r\n": "link soak --flits 10 --faults",
    '{"schema": "hsl.codec/1",\r\n"flits": [{"format": "L64", "type": "NOP"}]}\r\n': "codec encode --input",
    "HSL X\r\n{ }\r\n P0 ;\r\n load r0,x ;\r\nexists (0:r0=0)\r\n": "litmus run --runs 1",
}


@pytest.mark.parametrize("text", WINDOWS)
def test_a_text_of_windows_is_read(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte order mark before a text, and lines that end in CR LF, change nothing."""
    monkeypatch.chdir(tmp_path)
    Path("trace").write_text(" L 1000,8\n")
    name = "file.litmus" if "litmus" in WINDOWS[text] else "file.toml"
    Path(name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    done = CliRunner().invoke(main, [*WINDOWS[text].split(), name])
    assert done.exit_code == ExitCode.OK, done.stderr


LONG = "x" * 300  # no file system of ours has such a name


@pytest.mark.parametrize(
    "line",
    [
        "coverage link --input",
        "coverage coherence --input",
        "litmus run",
        "demo --transport loopback --input /dev/null --capture",
    ],
)
def test_a_name_that_is_too_long_is_bad_input(line: str) -> None:
    """A name that no file can have ends in a line about it, and is no internal error."""
    done = CliRunner().invoke(main, [*line.split(), LONG])
    assert done.exit_code in (ExitCode.USAGE, ExitCode.NOTHING), done.stderr
    assert LONG in done.stderr.splitlines()[-1]
    assert not any(word in done.stderr for word in PYTHON), done.stderr


@pytest.mark.parametrize("text", ["null", "true"])
def test_a_wrong_document_is_shown_as_json(text: str, tmp_path: Path) -> None:
    """A document that is null or true is shown so, and not as None or True."""
    path = tmp_path / "flits.json"
    path.write_text(text)
    done = CliRunner().invoke(main, ["codec", "encode", "--input", str(path)])
    assert f"{path}: {text}; expected an object" in done.stderr


def test_a_record_of_coverage_is_read_as_every_file(tmp_path: Path) -> None:
    """A record that is a pipe, a device, or nested without end ends in exit 4 and is named."""
    for make in (
        os.mkfifo,
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text("{}"),
        lambda path: path.write_text("[]"),
    ):
        path = tmp_path / "record.json"
        make(path)
        with bounded(10):
            done = CliRunner().invoke(main, ["coverage", "link", "--input", str(tmp_path)])
        assert done.exit_code == ExitCode.USAGE
        assert done.stderr.count("\n") == 1
        assert str(path) in done.stderr
        assert not any(word in done.stderr for word in PYTHON), done.stderr
        path.unlink()


def test_a_wrong_setting_names_the_file(tmp_path: Path) -> None:
    """A setting that a topology cannot have is reported with the name of its file."""
    path = tmp_path / "wrong.toml"
    for text in ("cores = 99", "colour = 1", "flit = 3"):
        path.write_text(text)
        refused("topology", path)


def test_the_null_device_is_an_empty_file() -> None:
    """/dev/null is no regular file and yet means nothing at all: a topology without settings."""
    done = CliRunner().invoke(main, ["perf", "program", os.devnull, "--topology", os.devnull])
    assert done.exit_code == ExitCode.NOTHING, done.stderr


def test_a_named_pipe_with_a_writer_is_a_trace(tmp_path: Path) -> None:
    """Where a stream will do, a named pipe is read like a file."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(b" L 1000,8\n" * 3,))
    writer.start()
    with bounded(10):
        done = CliRunner().invoke(main, ["perf", "program", str(path)])
    writer.join()
    assert done.exit_code == ExitCode.OK, done.stderr
    assert "3 accesses" in done.stdout


@pytest.mark.parametrize("size", [0, 1, 7, 8])
def test_a_file_may_be_as_large_as_the_limit(size: int, tmp_path: Path) -> None:
    """A file of the limit is read, one of a byte more is refused with the limit."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    if size <= 7:
        assert read_file(path, 7) == b"x" * size
    else:
        with pytest.raises(ConfigError, match="larger than the limit of 7 bytes"):
            read_file(path, 7)


def test_a_file_without_a_size_is_bounded_too() -> None:
    """A file of the kernel says that it has no bytes: what is read of it is bounded all the same."""
    path = Path("/proc/self/maps")
    assert path.stat().st_size == 0
    with pytest.raises(ConfigError, match="limit"):
        read_file(path, 100)


class Endless(io.BytesIO):
    """A stream that counts what it is asked for."""

    most = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        self.most = max(self.most, size)
        return b"x" * min(size, 1000)


@pytest.mark.parametrize("line", ["demo --kernel saxpy --topology -", "litmus list -"])
def test_no_more_of_stdin_is_copied_than_is_taken(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless standard input is copied up to the limit of its reader, and not until the disk is full."""
    monkeypatch.setattr("hsl.files.MAX_STDIN", 1 << 25)
    done = CliRunner().invoke(main, line.split(), input=b"x" * ((1 << 25) + 1))
    assert done.exit_code == ExitCode.USAGE
    found = re.search(r"-: larger than the limit of (\d+) bytes", done.stderr)
    assert found, done.stderr
    assert int(found[1]) <= 1 << 18


def test_memory_is_taken_for_what_is_there_and_not_for_what_is_legal() -> None:
    """No read asks for the whole limit at once, which Python would allocate before it reads."""
    stream = Endless()
    assert len(read_at_most(stream, 3_000_000)) == 3_000_000
    assert stream.most < 3_000_000


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """What was written is there afterwards; whatever interrupts the writing, no part of a file stays."""
    path = tmp_path / "file"
    with create_text(path) as stream:
        stream.write("x" * 100_000)
    assert path.read_text() == "x" * 100_000
    with pytest.raises(KeyboardInterrupt):
        write_something(path, KeyboardInterrupt)
    assert not path.exists()


def test_a_device_is_written_and_never_removed() -> None:
    """A device that takes no more is named, and stays."""
    with pytest.raises(ConfigError, match=f"^/dev/full: {os.strerror(errno.ENOSPC)}"):
        write_something(Path("/dev/full"))
    assert Path("/dev/full").is_char_device()


def write_something(path: Path, end: type[BaseException] | None = None) -> None:
    with create_text(path) as stream:
        stream.write("y" * 100_000)
        if end is not None:
            raise end


def test_a_key_that_comes_twice_is_named() -> None:
    """One of its values would be lost; the error names the first such key, and at once."""
    keys = ", ".join(f'"k{number}": 1' for number in range(100_000))
    with pytest.raises(ConfigError, match="x: not JSON: key 'k7' comes twice in an object"):
        parse_json(f'{{"a": [{{{keys}, "k7": 2, "k8": 3}}]}}', "x")
