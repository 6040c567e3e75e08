"""The wheel, built and installed into an environment of its own, used from another directory."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hsl import __version__
from hsl._generated.constants import PROFILE_SENTENCE

ROOT = Path(__file__).parents[2]
# The flit V2 of HSL 2.8: a PROT flit with one ReadShared.
V2 = "51c00014" + "2001083012030000" + "409a785634120000" + "00" * 40 + "4d0fe06e"


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed within two minutes."""
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built outside of it."""
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, f"--config-settings=build-dir={out / 'build'}", f"--wheel-dir={out}", ROOT, cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment that has the wheel and what it asks for, and nothing else."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", environment, cwd=environment)
    run(environment / "bin/python", "-m", "pip", "install", "--quiet", wheel, cwd=environment)
    return environment / "bin"


def test_what_is_inside(wheel: Path) -> None:
    """The wheel holds the package, its extension, types and data: neither the spec's sources nor any C."""
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.startswith(f"hsl_interconnect-{__version__}-cp311-abi3-")
    assert {"hsl/py.typed", "hsl/_native.pyi", "hsl/_native.abi3.so", "hsl/_generated/prose.txt"} <= set(
        names
    )
    assert {name.split("/")[0] for name in names} == {"hsl", f"hsl_interconnect-{__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".c", ".h", ".a", ".toml"))]


def test_info(installed: Path, tmp_path: Path) -> None:
    """`hsl info` runs from anywhere, names its version and its native library, and says what it is not."""
    info = json.loads(run(installed / "hsl", "info", "--json", cwd=tmp_path))
    assert (info["version"], info["native"]["version"], info["sentence"]) == (
        __version__,
        __version__,
        PROFILE_SENTENCE,
    )


def test_demo(installed: Path, tmp_path: Path) -> None:
    """`hsl demo` has its input in the wheel, and verifies its result."""
    assert json.loads(run(installed / "hsl", "demo", "--json", cwd=tmp_path))["verified"] is True


def test_codec_decode(installed: Path, tmp_path: Path) -> None:
    """`hsl codec decode` needs no file of the checkout."""
    decoded = run(
        installed / "hsl", "codec", "decode", "--format", "L64", "--hex", V2, "--json", cwd=tmp_path
    )
    (flit,) = json.loads(decoded)
    assert [message["op"] for message in flit["messages"]] == ["ReadShared"]


def test_spec_is_not_installed(installed: Path, tmp_path: Path) -> None:
    """The spec's sources and generator stay in the checkout; only what was generated is installed."""
    code = "import importlib.util, hsl; print(importlib.util.find_spec('spec'), hsl.__file__)"
    found, package = run(installed / "python", "-c", code, cwd=tmp_path).split()
    assert found == "None"
    assert Path(package).is_relative_to(installed.parent)
