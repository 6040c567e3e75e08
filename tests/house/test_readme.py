"""README.md: its first words, and that every command in it does what it is said to do."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from hsl._generated.constants import PROFILE_SENTENCE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in SHELL for line in block.splitlines() if line.startswith(".venv/bin/")]


def test_first_words() -> None:
    """The first paragraph says what this is not; `make demo` and `make test` are the first commands."""
    assert PROFILE_SENTENCE in README.split("\n\n")[1]
    assert [line.split("#")[0].strip() for line in SHELL[0].splitlines()] == ["make demo", "make test"]


@pytest.mark.parametrize("line", COMMANDS, ids=lambda line: line[:50])
def test_commands_run(line: str) -> None:
    """Each command of the README succeeds as it is written."""
    done = subprocess.run(shlex.split(line), cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_there_are_commands() -> None:
    """The README shows the main job and the codec."""
    assert {line.split()[1] for line in COMMANDS} >= {"demo", "codec", "info"}


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_links_lead_somewhere(link: str) -> None:
    """Each link to a file of the tree leads to one."""
    assert (ROOT / link).exists()
