"""Errors are told in our words: what is wrong, where, and what is expected; never what Python says of it."""

# ruff: noqa: E501 - a row of a table is a line

import json
import os
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

from hsl.cli import main
from hsl.cli.exits import ExitCode
from hsl.cli.json_text import json_text
from hsl.cli.meter import ENVIRONMENT

HSL = sysconfig.get_path("scripts") + "/hsl"
# Parts of messages of Python and of its libraries.
PYTHON = (
    "Errno", "codec can't", "recursion", "set_int_max_str_digits", "Traceback", "internal error", "Exception",
    "Expecting", "could not be cast", "out of range 0-65535", "invalid literal", "object has no attribute",
    "positional argument", "keyword argument", "required keyword", "argument must be", "is not a valid ",
    "unhashable", "NoneType", "not subscriptable", "unpack", "Connect call failed", "label empty", "idna",
    "(char ", "[code:", "__init__", "Error:", "datetime.", "= True", "BOM", "decode using",
)  # fmt: skip


class Case(NamedTuple):
    """A command line, in which `file` is a file with this text; the one line about it; the exit code."""

    line: str
    text: str
    said: str
    code: ExitCode = ExitCode.USAGE


LONG = "unix:///tmp/" + "a" * 120
NODE = "node gpu --wait 0 --connect"
HSLR = (
    '{"hslr": 1, "profile": "HSL Open Reference Profile 1.0", "target": "port", "config": {"epochs": [1]%s}}'
)
CASES = {
    "JSON value": Case("codec encode --input file", "[{]", "file: not JSON: expected a key in double quotes at line 1, column 3"),
    "JSON comma": Case("codec encode --input file", '[\n1 2]', "file: not JSON: expected a comma or a closing bracket at line 2, column 3"),
    "JSON end": Case("codec encode --input file", "[] 1", "file: not JSON: expected the end after the first value at line 1, column 4"),
    "JSON string": Case("codec encode --input file", '["a', "file: not JSON: a string without end begins at line 1, column 2"),
    "JSON escape": Case("codec encode --input file", '["\\q"]', "file: not JSON: invalid escape at line 1, column 3"),
    "JSON line": Case("replay file", "hello", "file, line 1: not JSON: expected a value at line 1, column 1"),
    "TOML": Case("demo --topology file", "gpus 1", "file: not TOML: expected '=' after a key in a key/value pair at line 1, column 6"),
    "a port of a replay": Case("replay file", HSLR % "", "file: port: guid, nid_base, nid_count, roles: missing"),
    "operation": Case("check file", '{"schema": "hsl.operations/1"}\n{"agent": 0, "kind": "load", "addr": 0}', 'file:2: load needs read, as in {"agent": 0, "kind": "load", "addr": 64, "read": 64}'),
    "no times": Case("check file --global-clock", "0: M[0] := 1", "file: --global-clock needs operations with begin or end"),
    "stress on a file": Case("stress --input file --lines 1", "0: M[0] := 1\n0: M[64] := 1", "file: operations on 2 lines; the run has 1 (--lines)"),
    "port -1": Case(f"{NODE} tcp://127.0.0.1:-1", "", "'tcp://127.0.0.1:-1': the port must be a number from 0 to 65535; expected tcp://host:port"),
    "port 70000": Case(f"{NODE} udp://127.0.0.1:70000", "", "'udp://127.0.0.1:70000': the port must be a number from 0 to 65535; expected udp://host:port"),
    "no port": Case(f"{NODE} tcp://127.0.0.1", "", "'tcp://127.0.0.1': the port is missing; expected tcp://host:port"),
    "scheme": Case(f"{NODE} tpc://127.0.0.1:1", "", "'tpc://127.0.0.1:1' is not the address of a link; expected one of loopback:, tcp://host:port, unix:///path, udp://host:port; did you mean tcp://host:port?"),
    "bracket": Case(f"{NODE} tcp://[::1:9", "", "'tcp://[::1:9': invalid host; expected tcp://host:port"),
    "empty label": Case(f"{NODE} tcp://a..b:9", "", "'tcp://a..b:9': invalid host; expected tcp://host:port"),
    "long label": Case(f"{NODE} udp://{'a' * 64}:9", "", f"'udp://{'a' * 64}:9': invalid host; expected udp://host:port"),
    "relative path": Case(f"{NODE} unix://x", "", "'unix://x': not an absolute path; expected unix:///path"),
    "long path": Case(f"{NODE} {LONG}", "", f"'{LONG}': the path has 125 bytes, the system takes at most 107; expected unix:///path"),
    "nobody": Case(f"{NODE} tcp://127.0.0.1:1", "", "nobody answers at tcp://127.0.0.1:1: Connection refused", ExitCode.PEER_LOST),
    "broker's port": Case("telemetry watch mqtt://a:-1", "", "mqtt://a:-1: the port must be a number from 1 to 65535; a broker is mqtt://host:port, mqtt://host, or mqtt: for one of our own"),
    "no broker": Case("telemetry watch mqtt://127.0.0.1:1", "", "mqtt://127.0.0.1:1: Connection refused; 'hsl telemetry broker' starts a broker", ExitCode.PEER_LOST),
    "no test": Case("litmus run SB@cpu-gpx", "", "SB@cpu-gpx: no test has this name; did you mean SB@cpu-gpu?", ExitCode.NOTHING),
    "no whole name": Case("litmus run MP", "", "MP: no test has this name; did you mean MP*?", ExitCode.NOTHING),
    "none and a kind": Case("stress --with moves,none", "", "stress: kinds = 'moves,none'; none stands alone"),
    "no test of two": Case("litmus run SB@cpu-gpu qqq*", "", "qqq*: no test has this name; see hsl litmus list", ExitCode.NOTHING),
    "no test to list": Case("litmus list SB@cpu-gpx", "", "SB@cpu-gpx: no test has this name; did you mean SB@cpu-gpu?", ExitCode.NOTHING),
    "a file as test": Case("litmus run file", "x", "file: no test has this name, and a file is read only if its name ends in .litmus", ExitCode.NOTHING),
    "a file whose name has a NUL": Case("check a\0b", "", "'a\\x00b': not a name of a file"),
    "a directory as test": Case("litmus run .", "x", ".: no test has this name, and a directory is read only if its name ends in .litmus", ExitCode.NOTHING),
    "only long tests": Case("litmus run IRIW*", "", "IRIW*: selects only tests of 4 threads, which need --long", ExitCode.NOTHING),
    "no model fits": Case("model coherence --agents 3 --short", "", "no model fits --short --agents 3", ExitCode.NOTHING),
    "no coverage": Case("coverage link --input .", "", "no records in .: `make coverage` in a checkout of hsl writes them", ExitCode.NOTHING),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short run prints no progress, as at a user."""
    monkeypatch.delenv(ENVIRONMENT)


@pytest.mark.parametrize("name", CASES)
def test_what_is_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends in its exit code with this line, and prints nothing else."""
    case = CASES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))  # what is said does not depend on tools
    (tmp_path / "file").write_text(case.text)
    done = CliRunner().invoke(main, case.line.split())
    said = [line for line in done.stderr.splitlines() if not line.startswith("seed ")]
    assert (said, done.exit_code, done.stdout) == ([f"hsl: {case.said}"], case.code, "")


def test_the_parts_of_a_key_are_not_a_tuple(tmp_path: Path) -> None:
    """The key of a TOML file is named as the file spells it."""
    path = tmp_path / "file"
    path.write_text("[a.b]\n[a.b]\n")
    done = CliRunner().invoke(main, ["demo", "--topology", str(path)])
    assert "not TOML: cannot declare a.b twice at line 2" in done.stderr


def test_a_model_that_is_not_there_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """--only with an unknown name selects nothing: exit code 5, the names, and the nearest; rumur or not."""
    monkeypatch.setenv("PATH", "")
    for option, name, near in (((), "repaly", "replay"), (("--mutants",), "x", "")):
        done = CliRunner().invoke(main, ["model", "link", "--only", name, *option])
        assert (done.exit_code, done.stderr.count("\n")) == (ExitCode.NOTHING, 1)
        assert done.stderr.startswith(
            f"hsl: --only {name}: no {'mutant' if option else 'model'} has this name"
        )
        assert done.stderr.endswith(f"did you mean {near}?\n") == bool(near)


def test_a_shape_that_is_unknown_names_those_that_are() -> None:
    """--topology with neither a shape nor a file names the shapes, and the nearest."""
    done = CliRunner().invoke(main, ["demo", "--topology", "mehs", "--kernel", "matmul"])
    assert done.exit_code == ExitCode.USAGE
    text = "No such file or directory; expected star, mesh or a file; did you mean mesh?"
    assert f"hsl: --topology mehs: {text}\n" in done.stderr


def test_a_topology_with_a_name_that_is_too_long() -> None:
    """A name that no file can have is bad input like that of a missing file."""
    done = CliRunner().invoke(main, ["demo", "--topology", "x" * 300, "--kernel", "matmul"])
    assert done.exit_code == ExitCode.USAGE, done.stderr
    assert "No such file or directory; expected star, mesh or a file\n" in done.stderr


# What a terminal obeys, in names and in contents: the line about it shows escapes, and stays one line.
OBEYED = "a\x1b[31m\x9b\x07\r\nb"
SHOWN = r"a\x1b[31m\x9b\x07\r\nb"
TOML_KEY = r"""a\u001b[31m\u009b\u0007\r\nb"""


@pytest.mark.parametrize(
    "line",
    [
        ["check", OBEYED],
        ["demo", "--topology", OBEYED],
        ["demo", "--faults", OBEYED],
        ["demo", "--out", f"{OBEYED}/x"],
        ["demo", "--capture", f"{OBEYED}/x"],
        ["litmus", "run", OBEYED],
        ["perf", "program", OBEYED],
        ["spec", "path", OBEYED],
        ["schema", OBEYED],
        ["help", OBEYED],
        ["coverage", "link", "--input", OBEYED],
        ["telemetry", "watch", OBEYED],
        ["info", OBEYED],
        ["demo", "--seed", OBEYED],
        [OBEYED],
    ],
    ids=lambda line: " ".join(line[:-1]),
)
def test_a_name_does_not_command_the_terminal(line: list[str]) -> None:
    """A control character of an argument is shown as its escape."""
    done = CliRunner().invoke(main, line)
    assert done.exit_code in (ExitCode.USAGE, ExitCode.NOTHING)
    assert SHOWN in done.stderr
    assert done.stderr.replace("\n", "").isprintable(), done.stderr


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("demo --kernel saxpy --topology file", f'"{TOML_KEY}" = 1'),
        ("demo --kernel saxpy --topology file", f'["{TOML_KEY}"]\n["{TOML_KEY}"]'),
        ("check file", f'{{"schema": "hsl.operations/1"}}\n{{"{TOML_KEY}": 1}}'),
        ("check file", f'{{"schema": "hsl.operations/1"}}\n{{"addr": "{TOML_KEY}"}}'),
        (
            "litmus run file.litmus",
            f"HSL X\nPlacement={OBEYED[:-3]}b\n{{ }}\n P0 ;\n load r0,x ;\nexists (0:r0=0)",
        ),
    ],
)
def test_a_file_does_not_command_the_terminal(
    line: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control character of a file is shown as its escape in the line about it."""
    monkeypatch.chdir(tmp_path)
    Path(line.split()[-1]).write_text(text)
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code == ExitCode.USAGE
    assert r"a\x1b[31m" in done.stderr
    assert len([line for line in done.stderr.splitlines() if not line.startswith("seed ")]) == 1
    assert done.stderr.replace("\n", "").isprintable(), done.stderr


@pytest.mark.parametrize(
    "line", ["demo --transport loopback --input", "demo -v --kernel ring --transport loopback --input"]
)
@pytest.mark.parametrize(("name", "shown"), [("n\udcff", r"n\udcff"), ("n\x1b[2J", r"n\x1b[2J")])
def test_the_name_of_an_input_is_printable(
    line: str, name: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report shows the name of its input in characters that can be printed, and does nothing else."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("a b\n")
    done = CliRunner().invoke(main, [*line.split(), name])
    assert done.exit_code == ExitCode.OK, done.stderr
    assert shown in done.stdout


def test_the_name_of_a_recording_is_printable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a saved run is shown in characters that can be printed."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["stress", "--ops", "2", "--seed", "1", "--save", "n\udcff\x1b"])
    assert done.exit_code == ExitCode.OK, done.stderr
    assert r"saved: n\udcff\x1b" in done.stdout


def test_a_title_does_not_command_the_terminal(tmp_path: Path) -> None:
    """The title of a litmus test from a file is shown with escapes."""
    path = tmp_path / "x.litmus"
    path.write_text('HSL X\n"a\x1b]0;b\x07"\n{ }\n P0 ;\n load r0,x ;\nexists (0:r0=0)\n')
    done = CliRunner().invoke(main, ["litmus", "list", str(path)])
    assert done.exit_code == ExitCode.OK
    assert r"a\x1b]0;b\x07" in done.stdout


def test_a_long_value_is_shown_in_part(tmp_path: Path) -> None:
    """A message has at most 2000 characters, whatever came: its begin and its end are kept."""
    path = tmp_path / "file"
    path.write_text('{"schema": "hsl.operations/1"}\n' + json.dumps({"a" * 9000: 1}))
    for line in (
        ["demo", "--faults", "x" * 100_000],
        ["demo", "--seed", "x" * 100_000],
        ["check", "y" * 9000],
    ):
        done = CliRunner().invoke(main, line)
        assert done.exit_code == ExitCode.USAGE
        assert len(done.stderr) < 2500, len(done.stderr)
        assert " ... " in done.stderr


# Texts that no command takes; each is given to every option and argument that reads a file or an address.
CORPUS = (
    "", "\0", "\x8f", "{", "[", "[]", "{}", "null", "NaN", "1e999", '"', "x = ", "[[a]]\n[a]", "x = 1\nx = 2",
    '{"hslr": 1}', "[{}]", '[{"ft": []}]', '[{"ft": "PROT", "messages": [{"op": {}}]}]', "9" * 5000,
    "[" * 100_000, HSLR % "", HSLR % ', "roles": []', HSLR % ', "guid": "x", "roles": 1, "nid_base": {}, "nid_count": 1',
    HSLR % ', "guid": 1, "roles": 1, "nid_base": 0, "nid_count": 1' + '\n{"at": 0, "receive": {}}',
    '{"schema": "hsl.operations/1"}\n{"agent": "x"}', "[[fault]]\nkind = []", "[[fault]]\nkind = 'crc'\nrate = nan",
    "gpus = 'x'", "gpus = 1979-05-27", "gpus = true", "gpus = 0x" + "f" * 6000, "flit = 0x" + "f" * 6000, "gpus" + ".a" * 3000 + " = 1",
    "[[fault]]\nkind = 1979-05-27", "[[fault]]\nkind = 'crc'\nrate = 0x" + "f" * 6000, "[[fault]]\nkind" + ".a" * 3000 + " = 1",
    "\xef\xbb\xbf{}", "[1, NaN]", "I  1000,8\n S zz,8",
)  # fmt: skip
READERS = (
    "codec encode --input", "replay", "check", "stress --input", "litmus run", "perf program /dev/null --topology",
    "link soak --flits 1 --faults", "perf program",
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_no_word_of_python(reader: str, tmp_path: Path) -> None:
    """Whatever a file has, what is said of it begins with its name, and not one phrase of Python is in it."""
    suffix = {"litmus run": ".litmus"}.get(reader, ".toml" if "--faults" in reader else "")
    path = tmp_path / f"file{suffix}"
    for text in CORPUS:
        path.write_bytes(text.encode("latin-1"))
        done = CliRunner().invoke(main, [*reader.split(), str(path)])
        assert done.exit_code != ExitCode.INTERNAL, (text[:200], done.stderr)
        assert not [word for word in PYTHON if word in done.stderr], (text[:200], done.stderr)


ADDRESSES = (
    "", ":", "tcp", "tcp:", "tcp://", "tcp://:", "tcp://a:b", "tcp://a:1:2", "tcp://[", "tcp://[]:1", "tcp://@:1",
    "tcp://a:99999999999999999999", "tcp://a:+1", "tcp://a:1/x", "unix:", "unix://", "unix:///" + "x" * 200, "udp:a",
    "tcp://.:1", "tcp://\u00e9" + "\u00e9" * 70 + ":1", "tcp://a:\u0661", "mqtt", "mqtt://[", "mqtt://a:x", "mqtt://a..b",
    "http://a", "loopback:1", "tcp://a:1,tcp://b:2",
)  # fmt: skip


@pytest.mark.parametrize(
    "command", ["node gpu --wait 0 --connect", "node gpu --time-limit 0 --listen", "telemetry watch"]
)
@pytest.mark.parametrize("address", ADDRESSES)
def test_no_word_of_python_about_an_address(command: str, address: str) -> None:
    """An address that is none ends in one line of ours, at once."""
    done = CliRunner().invoke(main, [*command.split(), address])
    said = [line for line in done.stderr.splitlines() if not line.startswith("seed ")]
    assert done.exit_code in (ExitCode.USAGE, ExitCode.PEER_LOST)
    assert len(said) == 1
    assert not [word for word in PYTHON if word in said[0]], said


# ---- names of files that are not UTF-8


@pytest.mark.parametrize(
    ("text", "shown"), [("\ud800", r"\ud800"), ("\udc41", r"\udc41"), ("\udcff", r"\xff")]
)
def test_json_text_spells_a_lone_surrogate(text: str, shown: str) -> None:
    """A surrogate that stands for no byte is spelled with its code, in keys too."""
    assert json.loads(json_text({text: [text]})) == {shown: [shown]}


def test_json_text_has_no_lone_surrogate() -> None:
    """A byte of a file name is spelled out; every other character, two halves of one too, is kept."""
    given = {"n\udcff\udc80.txt": ["\ud800", "\U0001f600 \u00e9 \\udcff", 1, None]}
    expected = {r"n\xff\x80.txt": [r"\ud800", "\U0001f600 \u00e9 \\udcff", 1, None]}
    assert json.loads(json_text(given)) == expected
    json.loads(json_text(given)).__repr__().encode()


@pytest.mark.parametrize("form", ["--json", "--quiet"])
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("check", "0: M[0] := 1"),
        ("perf program", " L 1000,8\n"),
        ("demo --transport loopback --input", "a b\n"),
        ("stress --cpu 1 --input", "0: M[0] := 1"),
    ],
)
def test_a_file_name_that_is_not_utf_8(line: str, text: str, form: str, tmp_path: Path) -> None:
    """The command works, and its document is valid for parsers that refuse lone surrogates."""
    path = os.fsencode(tmp_path) + b"/n\xff.txt"
    with open(path, "w") as stream:  # noqa: PTH123 - a name of bytes
        stream.write(text)
    done = subprocess.run([HSL, *line.split(), path, form], capture_output=True, timeout=60, check=False)
    assert done.returncode == ExitCode.OK, done.stderr
    done.stdout.decode()
    if form == "--json":
        assert rb"\udc" not in done.stdout
        assert rb"n\\xff.txt" in done.stdout
