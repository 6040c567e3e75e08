"""The wheel, built from the sdist, installed into an environment of its own, used from another directory."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hsl import __version__
from hsl._generated.constants import PROFILE_SENTENCE
from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.spec_files import FILES

ROOT = Path(__file__).parents[2]
# The flit V2 of HSL 2.8: a PROT flit with one ReadShared.
V2 = "51c00014" + "2001083012030000" + "409a785634120000" + "00" * 40 + "4d0fe06e"


TRACE = " L 1000,8\n S 1008,8\n"
OPERATIONS = """{"schema": "hsl.operations/1"}
{"agent": 0, "kind": "store", "addr": 64, "value": 1}
{"agent": 1, "kind": "load", "addr": 64, "read": 1}
"""
MAX_ENVIRONMENT = 344_000_000 // 2  # bytes
NOBODY = "tcp://127.0.0.1:1"
CHECKOUT = (ExitCode.INTERNAL, "checkout of hsl")
RECORDS = (ExitCode.NOTHING, "`make coverage` in a checkout of hsl writes them")
CALLS_NOBODY = (ExitCode.PEER_LOST, f"nobody answers at {NOBODY}")
EXTRA = (ExitCode.INTERNAL, "pip install 'hsl-interconnect[mqtt]'")
VERIFIED = (ExitCode.OK, "")
# Each command with its options, its exit status, and what it says: on stdout if all is well, else on stderr.
COMMANDS: dict[str, tuple[str, tuple[ExitCode, str]]] = {
    "demo": ("--seed 1", (ExitCode.OK, "VERIFIED")),
    "node cpu": (f"--connect {NOBODY} --wait 0 --input {{folder}}/trace.lk", CALLS_NOBODY),
    "node gpu": (f"--connect {NOBODY} --wait 0", CALLS_NOBODY),
    "node memory": (f"--connect {NOBODY} --wait 0", CALLS_NOBODY),
    "codec decode": (f"--format L64 --hex {V2}", (ExitCode.OK, "ReadShared")),
    "codec encode": ("--input {folder}/flits.json", (ExitCode.OK, V2)),
    "info": ("", (ExitCode.OK, __version__)),
    "link soak": ("--flits 20 --seed 1", VERIFIED),
    "link predict": ("--links 1 --messages 100 --seed 1", VERIFIED),
    "coverage link": ("", RECORDS),
    "coverage coherence": ("", RECORDS),
    "inject list": ("", (ExitCode.OK, "crc")),
    "model link": ("", CHECKOUT),
    "model coherence": ("", CHECKOUT),
    "telemetry broker": ("", EXTRA),
    "telemetry watch": ("", EXTRA),
    "stress": ("--ops 20 --seed 1 --save {folder}/run.hslr", VERIFIED),
    "replay": ("{folder}/run.hslr", (ExitCode.OK, "as recorded")),
    "litmus list": ("", (ExitCode.OK, "IRIW")),
    "litmus run": ("CoRR@cpu-gpu --runs 2 --seed 1", VERIFIED),
    "check": ("{folder}/operations.jsonl", VERIFIED),
    "perf program": ("{folder}/trace.lk --seed 1", VERIFIED),
    "help": ("demo", (ExitCode.OK, "Usage: hsl demo")),
    "completion": ("bash", (ExitCode.OK, "complete")),
    "schema": ("demo", (ExitCode.OK, "hsl.demo/1")),
    "spec list": ("", (ExitCode.OK, "hsl_pkg.sv")),
    "spec path": ("hsl_pkg.sv", (ExitCode.OK, "hsl/spec/generated/hsl_pkg.sv")),
}


def run(*command: str | Path, cwd: Path) -> str:
    """The output of a command that must succeed; pip takes a minute on a busy machine."""
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made from the sdist of this tree: what the sdist lacks, the wheel lacks."""
    out = tmp_path_factory.mktemp("wheel")
    make_sdist = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", make_sdist, out, cwd=ROOT)
    (sdist,) = out.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run(*pip, f"--wheel-dir={out}", sdist, cwd=out)
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
    """The wheel holds package, extension, types, data, and the specification without its generator."""
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name.startswith(f"hsl_interconnect-{__version__}-cp311-abi3-")
    wanted = {"hsl/py.typed", "hsl/_native.pyi", "hsl/_native.abi3.so", "hsl/_generated/prose.txt"}
    wanted |= {f"hsl/spec/{file.place}" for file in FILES if Path(file.place).suffix}
    wanted |= {f"hsl/spec/{path.relative_to(ROOT / 'spec')}" for path in (ROOT / "spec/vectors").iterdir()}
    assert not wanted - set(names)
    assert {name.split("/")[0] for name in names} == {"hsl", f"hsl_interconnect-{__version__}.dist-info"}
    assert not [name for name in names if name.endswith((".c", ".a", ".m"))]
    assert not [name for name in names if name.startswith("hsl/spec/") and name.endswith(".py")]


def test_info(installed: Path, tmp_path: Path) -> None:
    """`hsl info` runs from anywhere, names its version and its native library, and says what it is not."""
    info = json.loads(run(installed / "hsl", "info", "--json", cwd=tmp_path))
    assert (info["version"], info["native"]["version"], info["sentence"]) == (
        __version__,
        __version__,
        PROFILE_SENTENCE,
    )


@pytest.fixture(scope="module")
def folder(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands of COMMANDS read."""
    folder = tmp_path_factory.mktemp("input")
    decoded = run(installed / "hsl", "codec", "decode", "--hex", V2, "--json", cwd=folder)
    (folder / "flits.json").write_text(decoded)
    (folder / "operations.jsonl").write_text(OPERATIONS)
    (folder / "trace.lk").write_text(TRACE)
    return folder


def wrong(command: str, program: Path, folder: Path) -> str:
    """Run a command of COMMANDS in a folder that is not ours; what is not as it should be."""
    options, (status, text) = COMMANDS[command]
    words = [*command.split(), *options.format(folder=folder).split()]
    done = subprocess.run(
        [program, *words], cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    if status == ExitCode.OK:
        good = done.stdout and text in done.stdout
    else:
        lines = [line for line in done.stderr.splitlines() if line.startswith("hsl: ")]
        good = len(lines) == 1 and text in lines[0] and "Traceback" not in done.stderr
    good = good and done.returncode == status and "site-packages" not in done.stderr
    return "" if good else f"status {done.returncode}\n{done.stdout}\n{done.stderr}"


def test_commands(installed: Path, folder: Path) -> None:
    """Each command works from the wheel, anywhere and without extras, or says in one line what it needs."""
    found = {command: wrong(command, installed / "hsl", folder) for command in COMMANDS}
    assert not {command: text for command, text in found.items() if text}


def leaves(group: click.Command, path: str = "") -> Iterator[str]:
    """The full name of each command that runs something."""
    if not isinstance(group, click.Group):
        yield path.strip()
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from leaves(command, f"{path} {name}")


def test_every_command_is_in_the_table() -> None:
    """No command is left out of COMMANDS."""
    assert sorted(leaves(main)) == sorted(COMMANDS)


def test_size(installed: Path) -> None:
    """What the demo needs stays below half of what tests and checks need: 344 MB."""
    files = (path for path in installed.parent.rglob("*") if path.is_file() and not path.is_symlink())
    assert sum(path.stat().st_size for path in files) < MAX_ENVIRONMENT


def test_spec_is_not_installed(installed: Path, tmp_path: Path) -> None:
    """There is no module `spec`: the generator of the specification stays in the checkout."""
    code = "import importlib.util, hsl; print(importlib.util.find_spec('spec'), hsl.__file__)"
    found, package = run(installed / "python", "-c", code, cwd=tmp_path).split()
    assert found == "None"
    assert Path(package).is_relative_to(installed.parent)
