"""Model checking with rumur: a Murphi text becomes C, a program (cached by the text), and a verdict."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from hsl.cli.exits import ExitCode
from hsl.cli.folders import OwnFolder
from hsl.cli.processes import Children

__all__ = ["APT", "Checker", "ModelBroken", "Outcome", "ToolMissing"]

APT = {"rumur": "rumur", "gcc": "gcc libc6-dev"}
# One thread per model: several models run at once, and the numbers of states are the same in every run.
# No deadlock detection: a resting link is one. What must not stick is a liveness property of the model.
RUMUR = ("--threads", "1", "--deadlock-detection", "off", "--output-format", "machine-readable")
# rumur copies its syntax trees over and over; without fast bins the C library needs a third of the time.
MALLOC = {"GLIBC_TUNABLES": "glibc.malloc.mxfast=0"}
GCC = ("-std=c11", "-w", "-mcx16")
# From so many states on the time that gcc needs for more comes back in the search (2, 3, 4 and 8 s of a
# processor for a coherence model; 150, 65, 45 and 40 us for a state).
EFFORT = ((0, "-O0"), (12_000, "-Og"), (50_000, "-O1"), (1_000_000, "-O2"))
MAX_PROGRAMS = 256  # in the cache: some editions of all models and mutants; a program has about 0.3 MB
PROGRAM = re.compile(r"[0-9a-f]{32}")  # what a program in the cache is called
MAX_OUTPUT = 1 << 24  # bytes of a checker's report: a trace of a thousand steps has one


class ToolMissing(Exception):
    """A program that is needed is not installed; the text has the line that installs it."""

    exit_code = ExitCode.INTERNAL


class ModelBroken(Exception):
    """rumur or gcc refused a text, or the checker died: no verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of a checker. `violated` is the text of the property, "" if all hold."""

    states: int
    rules: int
    violated: str
    trace: tuple[str, ...]  # names of the rules from the start to the violation
    seconds: float  # of the search; cached programs are as fast as new ones
    cached: bool


class Checker:
    """Compiles and runs models, in any number of threads; `children` are its processes."""

    def __init__(self, cache: Path, timeout: float, children: Children) -> None:
        """`timeout`: seconds that one search may take. Raises ToolMissing."""
        for tool, packages in APT.items():
            if shutil.which(tool) is None:
                raise ToolMissing(
                    f"{tool} is not installed: apt-get install -y --no-install-recommends {packages}"
                )
        self.cache = cache
        self.timeout = timeout
        self.children = children
        self.version = self._run(["rumur", "--version"]).stdout.strip().removeprefix("Rumur version ")
        cache.mkdir(parents=True, exist_ok=True)

    def check(self, text: str, states: int = 0) -> Outcome:
        """Search all states of a model; `states` is about how many. Raises ModelBroken."""
        program, cached = self.compile(text, states)
        start = time.monotonic()
        report = self._search(program)
        return parse(report, time.monotonic() - start, cached)

    def compile(self, text: str, states: int = 0) -> tuple[Path, bool]:
        """The program of a model, and whether it was in the cache. Raises ModelBroken."""
        gcc = (*GCC, next(effort for least, effort in reversed(EFFORT) if states >= least))
        key = "\0".join((self.version, *RUMUR, *gcc, text))
        program = self.cache / hashlib.sha256(key.encode()).hexdigest()[:32]
        if program.exists():
            os.utime(program)
            return program, True
        with OwnFolder("new-", self.cache) as folder:
            model, source, binary = (folder / name for name in ("model.m", "model.c", "model"))
            model.write_text(text)
            self._run(["rumur", *RUMUR, "--output", str(source), str(model)])
            # A gcc that is killed leaves its temporary files, here in a folder that is removed.
            self._run(["gcc", *gcc, "-o", str(binary), str(source), "-lpthread"], TMPDIR=str(folder))
            binary.rename(program)
        self._prune()
        return program, False

    def _run(self, command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env=os.environ | MALLOC | environment,
            process_group=self.children.group,
        )
        if done.returncode:
            raise ModelBroken(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")
        return done

    def _search(self, program: Path) -> str:
        """Return the XML of a checker; its exit status adds nothing to it."""
        with tempfile.TemporaryFile("w+") as out:
            process = self.children.start(
                [str(program)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
            )
            try:
                process.wait(self.timeout)
            except subprocess.TimeoutExpired:
                raise ModelBroken(f"no verdict in {self.timeout:g} s") from None
            finally:
                process.kill()
                process.wait()
            out.seek(0)
            return out.read(MAX_OUTPUT)

    def _prune(self) -> None:
        """Keep the programs that were used last; other files in the folder are the user's."""
        programs = sorted(
            (path for path in self.cache.iterdir() if PROGRAM.fullmatch(path.name) and path.is_file()),
            key=lambda path: path.stat().st_mtime,
        )
        for path in programs[:-MAX_PROGRAMS]:
            path.unlink(missing_ok=True)


def parse(report: str, seconds: float, cached: bool) -> Outcome:
    """The outcome in a checker's report. Raises ModelBroken when it is not whole."""
    try:
        # Written by a program that was generated here: no foreign XML.
        root = ET.fromstring(report)  # noqa: S314
    except ET.ParseError as error:
        raise ModelBroken(f"the checker's report is cut off: {error}: {report[-300:]!r}") from None
    summary, message = root.find("summary"), root.findtext("error/message", "")
    if summary is None:
        raise ModelBroken("the checker's report has no summary")
    return Outcome(
        states=int(summary.attrib["states"]),
        rules=int(summary.attrib["rules_fired"]),
        violated=spoken(message),
        trace=tuple(step(element) for element in root.iterfind("error/transition")),
        seconds=seconds,
        cached=cached,
    )


def spoken(message: str) -> str:
    """The text of the property that a message of the checker is about; other messages as they are."""
    if message.startswith(("Assertion failed: ", "Invariant ", "invariant ", "liveness ")):
        named = message.split('"')
        return named[1] if len(named) > 2 else message.split(": ", 2)[-1]
    return message


def step(transition: ET.Element) -> str:
    """A step of a trace: the rule's name and its parameters."""
    rule = (transition.text or "").strip().removeprefix("Rule ").strip('"')
    return " ".join([rule, *(f"{p.attrib['name']}={p.text}" for p in transition.iterfind("parameter"))])
