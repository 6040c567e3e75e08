"""Help: every command and option is explained, in our words, on 80 columns, and without an engine."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import import_module

import click
import cloup
import pytest
from click.testing import CliRunner, Result

from hsl.cli import COMMANDS, SECTIONS, main
from hsl.cli.exits import ExitCode
from hsl.cli.help import CODES, Branch, Example, Leaf

HSL = sysconfig.get_path("scripts") + "/hsl"
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))  # noqa: PTH120
PRONOUNS = (
    "it",
    "its",
    "they",
    "their",
    "this",
    "these",
    "that",
    "those",
    "what",
    "who",
    "which",
    "of",
    "another",
)
# Commands that answer at once and print no report: they have no JSON document.
WORDS_ONLY = {"help", "completion"}


def walk(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below `command`, with the words that name it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, (*path, name))


TREE = dict(walk(main))
LEAVES = {path: command for path, command in TREE.items() if isinstance(command, Leaf)}
BRANCHES = {path: command for path, command in TREE.items() if isinstance(command, click.Group)}
OPTIONS = {
    (*path, option.opts[0]): option
    for path, command in TREE.items()
    for option in command.params
    if isinstance(option, click.Option)
}
EXAMPLES = [(path, example) for path, leaf in LEAVES.items() for example in leaf.examples]


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="hsl")


def name(path: tuple[str, ...]) -> str:
    return " ".join(path) or "hsl"


# ---- summaries and pages
@pytest.mark.parametrize("path", TREE, ids=name)
def test_a_page_fits_80_columns(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of help is cut, and none but an example is longer than a terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    result = call(*path, "--help")
    assert result.exit_code == ExitCode.OK
    examples = {f"  {example.line}" for example in getattr(TREE[path], "examples", ())}
    for line in result.stdout.splitlines()[1:]:
        assert not line.endswith("..."), line
        assert len(line) <= 80 or line in examples, line


def test_summaries_are_those_of_the_commands() -> None:
    """The list of commands says of each what the command says itself, in one sentence."""
    shown = {command: summary for rows in SECTIONS.values() for command, summary in rows.items()}
    assert shown == {
        command: import_module(module).command.short_help for command, module in COMMANDS.items()
    }
    for path, command in TREE.items():
        if path:
            assert command.short_help, path
            assert command.short_help[0].isupper(), path
            assert command.short_help.endswith("."), path
            assert len(command.short_help) <= 66, path


def test_root_lists_every_command_in_a_section() -> None:
    """`hsl --help` shows each command in a section, with its whole summary."""
    page = call("--help").stdout
    for title, rows in SECTIONS.items():
        assert f"{title}:" in page
        for command, summary in rows.items():
            assert re.search(rf"^  {command} +{re.escape(summary)}$", page, re.MULTILINE), command


# ---- options
@pytest.mark.parametrize("path", OPTIONS, ids=name)
def test_every_option_is_explained(path: tuple[str, ...]) -> None:
    """The help of an option is a sentence that starts with a verb or a noun, no pronoun."""
    text = OPTIONS[path].help
    assert text
    assert text.rstrip().endswith(".")
    assert text[0].isupper() or text.split()[0].rstrip(",;:") in ("tcp", "star"), text
    assert text.split()[0].lower() not in PRONOUNS


@pytest.mark.parametrize("path", LEAVES, ids=name)
def test_options_are_in_groups(path: tuple[str, ...]) -> None:
    """Only what is printed stands outside of a named group, and what narrows an option follows it."""
    leaf = LEAVES[path]
    free = {option.name for option in leaf.ungrouped_options}
    assert free <= {"as_json", "out", "quiet", "verbose"}
    order = [parameter.name for parameter in leaf.params]
    for first, *narrowing in (("faults", "nth", "burst"), ("capture", "capture_size"), ("caches", "stay")):
        for each in narrowing:
            if each in order:
                assert order.index(first) < order.index(each)


@pytest.mark.parametrize("path", LEAVES, ids=name)
def test_what_every_command_takes(path: tuple[str, ...]) -> None:
    """Every command takes -h, and each that reports takes --json and -q."""
    names = {each for parameter in LEAVES[path].params for each in parameter.opts}
    assert call(*path, "-h").exit_code == ExitCode.OK
    if path[0] not in WORDS_ONLY:
        assert {"--json", "-q", "--quiet"} <= names


def test_one_meaning_for_each_option() -> None:
    """An option that several commands have takes the same kind of value in all of them."""
    kinds: dict[str, set[str]] = {}
    for path, option in OPTIONS.items():
        limits = getattr(option.type, "limits", "") if path[-1] == "--seed" else ""
        kinds.setdefault(path[-1], set()).add(f"{option.type.name} {limits}")
    shared = {each: sorted(found) for each, found in kinds.items() if len(found) > 1}
    assert shared == {"--input": ["directory ", "file "], "--links": ["links ", "n "]}


def test_old_names_are_gone() -> None:
    """No command has an option with a name of before, and the error about one tells the new name."""
    for old, path, new in (
        ("--homed", ("demo",), "--home"),
        ("--in", ("codec", "decode"), "--input"),
        ("--operations", ("stress",), "--input"),
        ("--records", ("coverage", "link"), "--input"),
        ("--seconds", ("telemetry", "watch"), "--time-limit"),
    ):
        assert old not in {each[-1] for each in OPTIONS}
        result = call(*path, old, "1")
        assert result.exit_code == ExitCode.USAGE
        assert f"Did you mean '{new}'?" in result.stderr


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("dmeo", "'demo'"),
        ("link soka", "'soak'"),
        ("help cdec", "'codec'"),
        ("help link soka", "'soak'"),
        ("help exit-code", "'exit-codes'"),
        ("demo --fualts 1", "'--faults'"),
        ("demo --kernel word-count", "wordcount"),
        ("check x --model tos", "tso"),
    ],
)
def test_a_misspelled_word_names_the_nearest(line: str, near: str) -> None:
    """The error about an unknown command, option or value ends with the one that is spelled most like it."""
    result = call(*shlex.split(line))
    assert result.exit_code == ExitCode.USAGE
    assert f"id you mean {near}?" in result.stderr


SEEDS = {"7": 7, "0x7": 7, "0XfF": 255, str(2**64 - 1): 2**64 - 1, hex(2**64 - 1): 2**64 - 1}


@pytest.mark.parametrize("path", [path for path in OPTIONS if path[-1] == "--seed"], ids=name)
def test_one_range_of_seeds(path: tuple[str, ...]) -> None:
    """Every --seed takes 0 to 2^64-1, decimal or hexadecimal, and nothing else."""
    option = OPTIONS[path]
    for text, value in SEEDS.items():
        assert option.type.convert(text, option, None) == value
    for text in ("-1", "x", "0x", "1e3", "1_000", "", str(2**64), hex(2**64), "9" * 5000):
        with pytest.raises(click.BadParameter, match=r"0 to 2\^64-1"):
            option.type.convert(text, option, None)


# ---- examples and exit codes
@pytest.mark.parametrize("path", LEAVES, ids=name)
def test_each_command_has_examples_and_exit_codes(path: tuple[str, ...]) -> None:
    """A command shows two or three examples of itself, and what its exit codes mean."""
    leaf = LEAVES[path]
    assert 2 <= len(leaf.examples) <= 3
    for example in leaf.examples:
        assert f"hsl {' '.join(path)}" in example.line
        assert example.what.endswith(".")
    assert leaf.ends[0]
    assert set(leaf.ends) <= set(CODES)
    page = call(*path, "--help").stdout
    assert "\nExamples:\n" in page
    assert "\nExit codes:\n" in page


@pytest.mark.parametrize(("path", "example"), EXAMPLES, ids=lambda each: str(each)[:60])
def test_examples_parse(path: tuple[str, ...], example: Example) -> None:
    """Every example is a command line that the command accepts."""
    inner = re.search(r'"\$\((.*)\)"', example.line)
    words = shlex.split(inner[1] if inner else example.line.split(" | ")[-1])
    assert words[: 1 + len(path)] == ["hsl", *path]
    command: click.Command = LEAVES[path]
    command.make_context("hsl", words[1 + len(path) :])


@pytest.mark.parametrize(
    "line", [example.line for _, example in EXAMPLES if example.cheap], ids=lambda line: line[:60]
)
def test_examples_run(line: str) -> None:
    """An example that needs neither a peer nor a file of the reader succeeds as it is written."""
    path = f"{os.path.dirname(HSL)}:{os.environ['PATH']}"  # noqa: PTH120
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout or line.startswith("eval")


# ---- the words of help
@pytest.mark.parametrize("words", [(), ("node",)])
def test_a_group_alone_prints_its_help_on_stdout(words: tuple[str, ...]) -> None:
    """A group without a command is an error of usage, but its help can be read in a pager."""
    result = call(*words)
    assert (result.exit_code, result.stderr) == (ExitCode.USAGE, "")
    assert result.stdout == call(*words, "--help").stdout


def test_help_of_a_command() -> None:
    """`hsl help X Y` prints what `hsl X Y --help` prints, and `hsl help` what `hsl --help` prints."""
    for path in TREE:
        assert call("help", *path).stdout == call(*path, "--help").stdout


def test_help_of_nothing() -> None:
    """`hsl help` of a command that is none, or of a command of a command that has none, is a usage error."""
    for words in (["demo", "x"], ["nonsense"]):
        assert call("help", *words).exit_code == ExitCode.USAGE


def test_topics() -> None:
    """The topics list every exit code and the variables that commands read."""
    codes = call("help", "exit-codes").stdout
    assert [int(each) for each in re.findall(r"^  (\d)  ", codes, re.MULTILINE)] == sorted(ExitCode)
    variables = call("help", "environment").stdout
    for each in ("HSL_ENGINE", "HSL_TRACEBACK", "NO_COLOR", "COLUMNS"):
        assert f"  {each} " in variables


def test_version() -> None:
    """-V prints what --version prints."""
    assert call("-V").stdout == call("--version").stdout


HEAVY = {"numpy", "asyncio", "rich", "hsl.emulator", "hsl.link", "hsl.codec", "hsl.transport", "hsl.verify"}


@pytest.mark.parametrize("path", TREE, ids=name)
def test_help_imports_no_engine(path: tuple[str, ...]) -> None:
    """Printing help imports neither numpy nor an engine, which takes longer than the page."""
    code = (
        "import sys\nfrom hsl.cli import main\n"
        f"try: main({[*path, '--help']!r})\n"
        f"except SystemExit: print(*{HEAVY!r} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr == "\n"


# ---- completion
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    """Each shell has a script that completes `hsl`."""
    result = call("completion", shell)
    assert (result.exit_code, result.stderr) == (ExitCode.OK, "")
    assert "_HSL_COMPLETE" in result.stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("hsl", "de"), ["demo"]),
        (("hsl", "link", ""), ["soak", "predict"]),
        (("hsl", "demo", "--kernel", "mat"), ["matmul"]),
        (("hsl", "demo", "--capture-"), ["--capture-size"]),
        (("hsl", "inject", "list", "dr"), ["drop"]),
        (("hsl", "spec", "path", "hsl."), ["hsl.h"]),
        (("hsl", "help", "ex"), ["exit-codes"]),
        (("hsl", "help", "node", "g"), ["gpu"]),
    ],
)
def test_bash_completes(words: tuple[str, ...], found: list[str]) -> None:
    """In a bash that has sourced the script, TAB completes commands, options and values."""
    script = (
        'eval "$(hsl completion bash)"\n'
        f"COMP_WORDS=({' '.join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}\n"
        "function_name=$(complete -p hsl | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n"
        '"$function_name" hsl; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{os.path.dirname(HSL)}:{os.environ['PATH']}"  # noqa: PTH120
    done = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert sorted(done.stdout.split()) == sorted(found), done.stderr


def test_groups_are_ours() -> None:
    """Every group below the root is a Branch, and every other command a Leaf."""
    for path, command in TREE.items():
        if path:
            assert isinstance(command, Branch if isinstance(command, cloup.Group) else Leaf), path
