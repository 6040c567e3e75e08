"""`hsl link`: reports by their schemas, exit codes, captures, progress."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from hsl.capture import Reader
from hsl.cli import main
from hsl.cli.commands.link import Counts, Kill
from hsl.cli.exits import ExitCode
from hsl.cli.predict import HEADINGS, show
from hsl.link.port import Port

SOAK = ["link", "soak", "--flits", "300", "--faults", "crc:0.01,drop:0.01", "--seed", "1"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def valid(document: dict[str, Any], name: str) -> dict[str, Any]:
    schema = json.loads((files("hsl.cli") / f"schemas/{name}.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    return document


def test_soak_report() -> None:
    """The document is that of the schema; engines, seed, rate and floor are in it; progress is on stderr."""
    result = run(*SOAK, "--json")
    report = valid(json.loads(result.stdout), "link_soak")
    assert (result.exit_code, report["verified"], report["seed"]) == (ExitCode.OK, True, 1)
    assert report["engines"] == {"codec": "native", "link": "reference", "agents": "reference"}
    assert report["floor"]["ratio"] > 0
    assert result.stderr.startswith("seed 1\n")


def test_soak_with_rests() -> None:
    """--low-power is in the report, by its schema, in the line that repeats the run, and told to a person."""
    arguments = ("link", "soak", "--flits", "900", "--low-power", "200", "--seed", "1")
    report = valid(json.loads(run(*arguments, "--json").stdout), "link_soak")
    assert report["low_power"]["every"] == 200
    assert report["low_power"]["rests"] > 2
    assert report["command"].endswith("--low-power 200")
    assert f"{report['low_power']['rests']} rests, " in run(*arguments).stdout


def test_soak_for_a_person() -> None:
    """Without --json the report is a table, the verdict, and the line that repeats the run."""
    result = run(*SOAK, "--codec", "reference")
    assert "VERIFIED; seed 1; again: hsl link soak --flits 300 --seed 1" in result.stdout
    assert "a link 0" in result.stdout


def test_soak_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that loses credits ends with exit code 1, the seed, and the line that replays it."""
    monkeypatch.setattr(Port, "release", lambda *_: None)
    result = run(*SOAK, "--json")
    report = valid(json.loads(result.stdout), "link_soak")
    assert (result.exit_code, report["verified"]) == (ExitCode.FAILED, False)
    assert f"hsl: seed 1; again: {report['command']}" in result.stderr
    assert run(*report["command"].split()[1:]).exit_code == ExitCode.FAILED


def test_soak_capture(tmp_path: Path) -> None:
    """--capture writes each flit of both directions as it was sent."""
    target = tmp_path / "soak.pcapng"
    report = json.loads(run(*SOAK, "--json", "--capture", str(target)).stdout)
    with target.open("rb") as stream:
        reader = Reader(stream)
        packets = sum(1 for _ in reader)
    sent = [link["counters"]["flits_sent"] for end in report["ends"].values() for link in end["links"]]
    assert packets == sum(sum(types.values()) for types in sent)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--faults", "nonsense"],
        ["--kill-link", "1"],
        ["--kill-link", "0@5"],
        ["--links", "2", "--kill-link", f"{'9' * 5000}@1"],
        ["--links", "2", "--kill-link", f"1@{'9' * 5000}"],
        ["--faults", "crc:0.1:link=5"],
        ["--links", "9"],
        ["--low-power", "0"],
        ["--flits", "0"],
        ["--capture-size", "100000"],
        ["--engine", "native"],
    ],
)
def test_soak_usage(arguments: list[str]) -> None:
    """What cannot be run is refused with exit code 4 and one line, before anything runs."""
    result = run(*SOAK, *arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert "Traceback" not in result.stderr


def test_soak_takes_nth_and_burst() -> None:
    """--nth and --burst are of each fault that says none itself; the line that repeats the run has them."""
    result = run("link", "soak", "--flits", "200", "--seed", "1", "--json",
                 "--faults", "drop:x1,crc:x1:nth=9", "--nth", "30", "--burst", "3")  # fmt: skip
    report = valid(json.loads(result.stdout), "link_soak")
    assert result.exit_code == ExitCode.OK
    assert report["faults"] == "drop:x1:nth=30:burst=3,crc:x1:nth=9:burst=3"
    for end in report["ends"].values():
        kinds = end["links"][0]["injected"]["kinds"]
        assert {kind: sum(hits.values()) for kind, hits in kinds.items()} == {"crc": 3, "drop": 3}
    assert f"--faults {report['faults']}" in report["command"]


def test_soak_that_a_fault_kills() -> None:
    """A port-fatal fault is exit code 1, its error, and what it may do at worst; nothing is compared then."""
    result = run("link", "soak", "--flits", "300", "--seed", "1", "--faults", "credit:x1:nth=50:from=a")
    assert result.exit_code == ExitCode.FAILED
    assert "CREDIT_OVERFLOW" in result.stderr
    assert "hsl: the worst that the faults credit:x1:nth=50:from=a may do: port-fatal" in result.stderr
    assert "counters are not compared: credit" in result.stdout


PREDICT = ["link", "predict", "--links", "1", "--messages", "200", "--seed", "1"]


def test_predict_report() -> None:
    """The document is that of the schema and marked as modelled; the same seed gives the same bytes."""
    arguments = [
        *PREDICT,
        "--rate",
        "16GT/s",
        "--lanes",
        "8",
        "--ber",
        "1e-6",
        "--slow-link",
        "0:8",
        "--json",
    ]
    one, two = run(*arguments), run(*arguments)
    report = valid(json.loads(one.stdout), "link_predict")
    assert (one.exit_code, report["modelled"], one.stdout) == (ExitCode.OK, True, two.stdout)
    assert (report["model"]["rate"], report["model"]["slow_links"]) == (16.0, {"0": 8.0})


def test_predict_for_a_person() -> None:
    """Without --json there is a table, and the words that its times are modelled."""
    assert "modelled time, not measured; seed 1" in run(*PREDICT).stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--links", "0..3"],
        ["--links", "x"],
        ["--links", "9"],
        ["--rate", "fast"],
        ["--rate", "\uff13\uff12"],  # full-width digits, which int() takes
        ["--links", "\uff11"],
        ["--slow-link", "1"],
        ["--slow-link", f"{'9' * 5000}:1"],
        ["--links", "8", "--messages", "3"],
        ["--window", "512"],
        ["--ber", "nan"],
    ],
)
def test_predict_usage(arguments: list[str]) -> None:
    """What cannot be modelled is refused with exit code 4."""
    result = run(*PREDICT, *arguments)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")


@pytest.mark.parametrize(
    ("text", "links"),
    [("1", (1,)), ("1..3", (1, 2, 3)), ("8..8", (8,)), ("4,1", (4, 1)), ("1..8", tuple(range(1, 9)))],
)
def test_numbers_of_links(text: str, links: tuple[int, ...]) -> None:
    """A range has both of its ends; a list keeps its order."""
    assert Counts().convert(text, None, None) == links


def test_a_link_that_is_cut_needs_its_flit() -> None:
    """LINK@FLIT has both numbers: a number alone is not split into two."""
    assert Kill().convert("1@50000", None, None) == (1, 50_000)
    for text in ("150000", "1@", "@5", "1@5@6"):
        with pytest.raises(click.BadParameter, match="LINK@FLIT"):
            Kill().convert(text, None, None)


def test_a_row_of_predict_is_that_of_its_headings(capsys: pytest.CaptureFixture[str]) -> None:
    """Each value of the document stands below the heading that names it."""
    row = {
        "links": 2, "times_first": 1.75, "goodput_gb_per_s": {"modelled": 1.5, "expected": 2.5, "ratio": 0.6,
        "limited_by": "line"}, "latency_ns": {"min": 11, "p50": 22, "p99": 33, "expected": 44},
    }  # fmt: skip
    show({"rows": [row], "seed": 7})
    head, line, _ = capsys.readouterr().out.splitlines()
    assert re.split(r"  +", head.strip()) == list(HEADINGS)
    assert dict(zip(HEADINGS, line.split(), strict=True)) == {
        "links": "2", "GB/s": "1.50", "expected": "2.50", "ratio": "0.600", "x first": "1.75",
        "limit": "line", "min ns": "11", "p50": "22", "p99": "33", "expected ns": "44",
    }  # fmt: skip
