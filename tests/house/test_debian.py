"""`tests/support/debian.sh`, up to where it needs root and a network."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "support/debian.sh"


TOOLS = ("bash", "dirname", "realpath", "sed")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of programs without debootstrap, to be the PATH."""
    for name in TOOLS:
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    return tmp_path


def run(bare: Path, user: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    (bare / "id").write_text(f"#!{bare / 'bash'}\necho {user}\n")
    (bare / "id").chmod(0o755)
    return subprocess.run(
        [bare / "bash", SCRIPT, *arguments],
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_without_a_suite(bare: Path) -> None:
    """Without a SUITE the usage is printed."""
    done = run(bare, 0)
    assert done.returncode == 4
    assert "debian.sh SUITE [FOLDER [COMMAND...]]" in done.stdout


@pytest.mark.parametrize(("user", "needs"), [(1000, "Needs root"), (0, "Needs debootstrap")])
def test_what_it_needs(user: int, needs: str, bare: Path) -> None:
    """Without root, or without debootstrap, one line says what is missing, and nothing is made."""
    done = run(bare, user, "trixie", str(bare / "root"))
    assert done.returncode == 3
    assert done.stdout.startswith(needs)
    assert len(done.stdout.splitlines()) == 1
    assert not (bare / "root").exists()
