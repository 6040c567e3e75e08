"""Temporary folders: removed at the end; those of dead owners by the next one, and nothing else."""

import errno
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.cli.folders import OwnFolder, sweep
from hsl.errors import ConfigError

NAME = "hsl-x-0123abc_.hsl-own"  # as if a dead owner had left it


def left(parent: Path, name: str = NAME) -> Path:
    """A folder with a file and a socket."""
    folder = parent / name
    folder.mkdir(mode=0o700)
    (folder / "file").write_text("x")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(folder / "link"))
    return folder


@pytest.mark.parametrize("line", ["demo --transport unix", "demo --input -", "check -"])
def test_no_folder_takes_a_temporary_file(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no temporary file can be made the command says so, and what to do, in exit code 4."""

    def nowhere() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", nowhere)
    done = CliRunner().invoke(main, line.split(), input="0: M[0] := 1")
    assert done.exit_code == ExitCode.USAGE
    assert done.stderr.endswith("no folder takes a temporary file; set TMPDIR to one that does\n")


def test_a_folder_that_takes_no_folder_is_named(tmp_path: Path) -> None:
    """A folder in which no folder can be made is bad input, and is named."""
    with (
        pytest.raises(ConfigError, match=f"{tmp_path}/x: {os.strerror(errno.ENOENT)}"),
        OwnFolder("hsl-", tmp_path / "x"),
    ):
        pass


def test_a_folder_of_a_dead_owner_is_swept(tmp_path: Path) -> None:
    """A new folder removes the old one, whose owner holds no lock, and goes itself at the end."""
    left(tmp_path)
    with OwnFolder("hsl-x-", tmp_path) as folder:
        (folder / "file").touch()
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_living_owner_stays(tmp_path: Path) -> None:
    """A folder is not swept while its owner lives, in this process or in another one; then it is."""
    code = "import sys; from pathlib import Path; from hsl.cli.folders import OwnFolder\n"
    code += "with OwnFolder('hsl-x-', Path(sys.argv[1])): print('made', flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "made\n"
        with OwnFolder("hsl-x-", tmp_path), OwnFolder("hsl-x-", tmp_path):
            assert len(list(tmp_path.iterdir())) == 3
        owner.kill()
    sweep("hsl-x-", tmp_path)
    assert list(tmp_path.iterdir()) == []


def foreign_name(parent: Path) -> Path:
    return left(parent, "hsl-x-build.hsl-own")


def other_prefix(parent: Path) -> Path:
    return left(parent, "hsl-y-0123abc_.hsl-own")


def a_users_folder(parent: Path) -> Path:
    return left(parent, "hsl-x-captures")  # eight letters, as mkdtemp would draw them


def with_a_folder(parent: Path) -> Path:
    folder = left(parent)
    (folder / "folder").mkdir()
    return folder


def open_to_others(parent: Path) -> Path:
    folder = left(parent)
    folder.chmod(0o755)
    return folder


def a_link_to_one(parent: Path) -> Path:
    folder = left(parent, "elsewhere")
    (parent / NAME).symlink_to(folder)
    return folder


def a_file(parent: Path) -> Path:
    (parent / NAME).write_text("x")
    return parent / NAME


@pytest.mark.parametrize(
    "make", [foreign_name, other_prefix, a_users_folder, with_a_folder, open_to_others, a_link_to_one, a_file]
)
def test_what_cannot_be_ours_stays(make: Callable[[Path], Path], tmp_path: Path) -> None:
    """Sweeping touches nothing that a command cannot have left, and follows no symbolic link."""
    path = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    sweep("hsl-x-", tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert path.exists()


def test_a_folder_of_another_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sweeping leaves other users alone, also as root."""
    folder = left(tmp_path)
    user = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: user)
    sweep("hsl-x-", tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["file", "link"]


def test_a_link_in_a_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    """Of a symbolic link in a folder that is swept only the link goes."""
    kept = tmp_path / "kept"
    kept.write_text("x")
    (left(tmp_path) / "link to it").symlink_to(kept)
    sweep("hsl-x-", tmp_path)
    assert list(tmp_path.iterdir()) == [kept]


def test_a_folder_that_is_swept_before_its_lock_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making and locking another command may sweep the folder: its owner takes a new one."""
    found: list[Path] = []
    opening = os.open

    def late(path: Path, flags: int) -> int:
        if not found:
            found.append(Path(path))
            monkeypatch.setattr(os, "open", opening)
            sweep("hsl-x-", tmp_path)
        return opening(path, flags)

    with OwnFolder("hsl-x-", tmp_path) as first:
        assert first.exists()
        monkeypatch.setattr(os, "open", late)
        with OwnFolder("hsl-x-", tmp_path) as folder:
            assert folder.exists()
            assert found
