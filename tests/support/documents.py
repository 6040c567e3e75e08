"""The pages for readers, README and docs/, as blocks of code that a test can run.

A fence of `sh` holds commands, one of `console` a command behind `$ ` and its output, where `...` stands for
any text. Marks are comments directly above a fence:

    <!-- file: NAME -->     the fence is the content of a file that later commands of the page use
    <!-- together -->       the commands of the fence run at the same time, as in several terminals
    <!-- exit: 1 0 -->      their exit codes, when not 0
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted(ROOT.glob("docs/**/*.md"))]
FENCE = re.compile(
    r"^(?P<marks>(?:<!-- .*? -->\n)*)```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
INSTALLS = re.compile(r"(make|pip|apt-get|git|cd|\.) ")  # commands that are not run: they change the machine
MARK = re.compile(r"<!-- (\w+)(?:: (.*?))? -->")


class Block(NamedTuple):
    """One fence: its language, its text, and the marks above it by name."""

    language: str
    body: str
    marks: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """The commands of an `sh` or `console` block that can be run, without comments."""
        lines = self.body.replace("\\\n", " ").splitlines()
        if self.language == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        if self.language != "sh":
            return []
        return [line for line in lines if line and not line.startswith("#") and not INSTALLS.match(line)]

    @property
    def codes(self) -> list[int]:
        """The exit code of each command."""
        given = [int(code) for code in self.marks.get("exit", "").split()]
        return given or [0] * len(self.commands)


def blocks(text: str) -> Iterator[Block]:
    """Yield the fences of a page, in order."""
    for fence in FENCE.finditer(text):
        yield Block(fence["language"], fence["body"], dict(MARK.findall(fence["marks"])))


def expected(output: str) -> re.Pattern[str]:
    """Return what the output of a command must match."""
    lines = [line.rstrip() for line in output.splitlines()]
    parts = [
        "(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*?") + "\n" for line in lines
    ]
    return re.compile("".join(parts))
