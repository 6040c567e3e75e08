"""The Makefile: what it asks of the host, and when it installs again."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A python3 that is too old until apt-get has run, and what stands in for apt-get and id.
STUBS = {
    "python": '#!/bin/sh\ntest -e "$STATE/installed"\n',
    "apt-get": '#!/bin/sh\necho "apt-get $*"\ntest -e "$STATE/broken" || touch "$STATE/installed"\n',
    "id": "#!/bin/sh\necho $USER_ID\n",
}


def make(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", "-C", ROOT, *arguments], env=clean | environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def bare_host(tmp_path: Path) -> dict[str, str]:
    """The environment of a host whose python3 cannot be used yet."""
    for name, text in STUBS.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "STATE": str(tmp_path),
        "PYTHON": str(tmp_path / "python"),
    }


def host(environment: dict[str, str], user: int) -> subprocess.CompletedProcess[str]:
    return make("host", f"PYTHON={environment['PYTHON']}", **environment, USER_ID=str(user))


def test_good_host_is_silent() -> None:
    """Where nothing is missing the check prints nothing."""
    done = make("--no-print-directory", "host")
    assert (done.returncode, done.stdout) == (0, "")


def test_user_is_told_the_line(bare_host: dict[str, str]) -> None:
    """Without root the missing packages are printed as the line that installs them, and make stops."""
    done = host(bare_host, user=1000)
    assert done.returncode != 0
    assert "apt-get update && apt-get install -y --no-install-recommends python3 " in done.stdout
    assert "\napt-get update\n" not in done.stdout


def test_root_installs(bare_host: dict[str, str]) -> None:
    """As root the line is printed, then run, and the check is made again."""
    done = host(bare_host, user=0)
    assert done.returncode == 0, done.stdout + done.stderr
    line, *ran = done.stdout.split("Needs python3")[1].splitlines()[1:]
    assert line.strip() == " && ".join(ran[:2])


def test_apt_did_not_help(bare_host: dict[str, str], tmp_path: Path) -> None:
    """When python3 is still too old after the install, make says how to give another one."""
    (tmp_path / "broken").touch()
    done = host(bare_host, user=0)
    assert done.returncode != 0
    assert "make PYTHON=" in done.stdout


@pytest.mark.parametrize(
    "path", ["pyproject.toml", "native/src/crc.c", "native/include/hsl/crc.h", "native/CMakeLists.txt"]
)
def test_edit_installs_again(path: str) -> None:
    """An edit of pyproject.toml or of anything in native/ makes the editable install due again."""
    assert "--editable" in make("-n", "-W", path, "venv").stdout


def test_no_edit_no_install() -> None:
    """What is installed is what the tree says; an edit of Python needs no install."""
    done = make("-n", "-W", "hsl/errors.py", "venv")
    assert "--editable" not in done.stdout, (
        "native/ or pyproject.toml changed since the install: run `make venv`"
    )


def test_the_demo_installs_no_tools() -> None:
    """`make demo` installs the package and what it needs, and says so; tests and checks need more."""
    demo, tests = (make("-n", "-W", "pyproject.toml", target).stdout for target in ("demo", "test"))
    assert "--editable" in demo
    assert "and installing construct cffi numpy " in demo
    assert "[test,dev]" not in demo
    assert "[test,dev]" in tests


def test_an_edit_of_c_installs_no_tools() -> None:
    """After an edit of C the package is installed again, the tools of tests and checks are not."""
    done = make("-n", "-W", "native/src/crc.c", "venv")
    assert "[test,dev]" not in done.stdout, "pyproject.toml changed since the install: run `make venv`"


def test_help_has_columns() -> None:
    """What a target does begins in one column, apart from the longest name."""
    lines = make("--no-print-directory", "help").stdout.splitlines()
    matches = [re.match(r"[a-z0-9]+ {2,}", line) for line in lines]
    assert len({match.end() if match else line for match, line in zip(matches, lines, strict=True)}) == 1


def test_help_lists_every_target() -> None:
    """`make help` has a line for each target that is meant for people."""
    listed = {line.split()[0] for line in make("--no-print-directory", "help").stdout.splitlines()}
    assert listed >= {"demo", "test", "venv", "lint", "types", "drift", "layers", "ctest"}
