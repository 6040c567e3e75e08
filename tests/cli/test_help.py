"""Help: every command and option is explained, in our words, on 80 columns, and without an engine."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import cloup
import pytest
from click.testing import CliRunner, Result

from hsl.cli import COMMANDS, SECTIONS, main
from hsl.cli.commands.help import TOPICS
from hsl.cli.exits import ExitCode
from hsl.cli.help import CODES, COMMON, Branch, Example, Leaf
from hsl.cli.help_values import HOMES
from hsl.cli.manual import ENVIRONMENT
from hsl.cli.manual import TOPICS as PAGES
from hsl.cli.options import Integer, candidates

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
@pytest.mark.parametrize("columns", ["80", "200"])
@pytest.mark.parametrize("path", TREE, ids=name)
def test_a_page_fits_80_columns(path: tuple[str, ...], columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line of help is cut, and none but an example is longer than 80 columns, on a wide terminal too."""
    monkeypatch.setenv("COLUMNS", columns)
    context: click.Context = main.context_class(main, info_name="hsl", **main.context_settings)
    for word in path:  # click's runner would force a width of its own
        assert isinstance(context.command, click.Group)
        child = context.command.get_command(context, word)
        assert child is not None
        context = child.context_class(child, parent=context, info_name=word, **child.context_settings)
    examples = {f"  {example.line}" for example in getattr(TREE[path], "examples", ())}
    page = context.command.get_help(context)
    assert page.startswith(f"Usage: {context.command_path} ")
    for line in page.splitlines()[1:]:
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
    titles = re.findall(r"^(\w[\w ]*):$", call(*path, "--help").stdout, re.MULTILINE)
    assert ("Output" in titles, "Options" in titles) == (bool(leaf.option_groups), not leaf.option_groups)


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


@pytest.mark.parametrize(
    ("least", "most", "shown"),
    [
        (1, None, "1 or more"),
        (0, 65535, "0 to 65535"),
        (1, 100_000, "1 to 100000"),
        (1, 1 << 24, "1 to 2^24"),
        (0, (1 << 64) - 1, "0 to 2^64-1"),
    ],
)
def test_the_limits_of_an_integer(least: int, most: int | None, shown: str) -> None:
    """Help shows the range of a number, large powers of two as powers; both ends belong to it."""
    kind = Integer(least, most)
    assert kind.limits == shown
    ends = [least] if most is None else [least, most]
    assert [kind.convert(str(end), None, None) for end in ends] == ends
    for out in [least - 1] if most is None else [least - 1, most + 1]:
        with pytest.raises(click.BadParameter, match=re.escape(shown)):
            kind.convert(str(out), None, None)


@pytest.mark.parametrize("path", [path for path in OPTIONS if path[-1] == "--home"], ids=name)
def test_each_home_is_explained(path: tuple[str, ...]) -> None:
    """The help of --home says what each value means that the command takes, and of no other one."""
    option = OPTIONS[path]
    assert isinstance(option.type, click.Choice)
    assert option.help is not None
    assert re.findall(r"(\w+): ", option.help) == list(option.type.choices)
    assert all(f"{home}: {HOMES[home]}" in option.help for home in option.type.choices)


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
    assert "--time-limit" not in call("info", "--seconds", "1").stderr, "info has no such option"


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("dmeo", "'demo'"),
        ("link soka", "'soak'"),
        ("help cdec", "'codec'"),
        ("help link soka", "'soak'"),
        ("help exit-code", "'exit-codes'"),
        ("demo --fualts 1", "'--faults'"),
        ("info --quite", "'--quiet'"),
        ("info --hlep", "'--help'"),
        ("stress --no-shrnk", "'--no-shrink'"),
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
    assert page.endswith(f"\n  {COMMON}\n")
    words = " ".join(page.split())
    for example in leaf.examples:
        assert f"# {example.what} {' '.join(example.line.split())} " in words, (
            "a comment, and the line below it"
        )
    assert re.findall(r"^  (\d)  ", page[page.index("Exit codes:") :], re.MULTILINE) == [
        str(code) for code in sorted(leaf.ends)
    ]


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
    words = " ".join(codes.split())
    for code, text in {
        ExitCode.OK: "did its work",
        ExitCode.FAILED: "The check failed",
        ExitCode.INTERRUPTED: "Interrupted",
        ExitCode.INTERNAL: "internal error",
        ExitCode.USAGE: "Wrong usage",
        ExitCode.NOTHING: "Nothing was selected",
        ExitCode.PEER_LOST: "The peer is lost",
    }.items():
        assert re.search(rf" {code:d} [^0-9]*{text}", words), code


def test_the_topic_of_the_environment_is_whole() -> None:
    """`hsl help environment` lists the variables of the documentation, and each of ours is read somewhere."""
    page = call("help", "environment").stdout
    shown = re.findall(r"^  ([A-Z_]+) ", page, re.MULTILINE)
    documented = Path(ROOT, "docs/command-line.md").read_text().partition("## Environment variables")[2]
    assert shown == list(ENVIRONMENT) == re.findall(r"^\| `([A-Z_]+)` \|", documented, re.MULTILINE)
    sources = [path for path in Path(ROOT, "hsl").rglob("*.py") if path.name != "manual.py"]
    text = "".join(path.read_text() for path in sources)
    assert [each for each in shown if each.startswith("HSL_") and f'"{each}"' not in text] == []
    assert not page.endswith("\n\n")


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


# Command line -> the exit code in which it ends, which the help of the command explains.
EXPLAINED = {
    "codec decode --hex 00": 1,
    "codec decode --input /dev/null": 5,
    "codec encode --input /dev/null": 5,
    "check /dev/null": 5,
    "coverage link --input /nonexistent": 5,
    "coverage coherence --input /nonexistent": 5,
    "litmus list xyzzy": 5,
    "litmus run xyzzy": 5,
    "model link --only xyzzy": 5,
    "perf program /dev/null": 5,
    "schema xyzzy": 5,
    "spec path xyzzy": 5,
    "node gpu --wait 0 --connect unix:///nonexistent": 7,
}


@pytest.mark.parametrize("line", EXPLAINED)
def test_help_explains_the_exit_code(line: str) -> None:
    """A code in which a command ends, other than those of every command, is in its help."""
    path = next(path for path in LEAVES if line.startswith(" ".join(path)))
    assert call(*line.split()).exit_code == EXPLAINED[line]
    assert EXPLAINED[line] in LEAVES[path].ends


# ---- completion
def test_completion_offers_what_begins_with_the_word() -> None:
    """A name that only contains the word is not offered; `hsl help` completes every topic."""
    command = LEAVES["spec", "path"]
    complete = candidates(lambda: ["link", "uplink", "line"])
    assert complete(click.Context(command), command.params[0], "li") == ["link", "line"]
    assert list(TOPICS) == list(PAGES)


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
