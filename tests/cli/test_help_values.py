"""The names and limits that help repeats are those of the packages that own them."""

from inspect import signature
from pathlib import Path
from typing import Any

import click
import pytest

from hsl._generated.constants import MAX_DEVICES, TU_EXPONENT_HARDWARE, TU_EXPONENT_SOFTWARE
from hsl.capture.sink import LEAST_SIZE
from hsl.cli import help_values, limits, litmus
from hsl.cli.commands.telemetry import DEFAULT as WATCHED
from hsl.codec.flit import FORMATS
from hsl.emulator import array_cpu, array_kernels, kernels, program_run, topology
from hsl.errors import ConfigError
from hsl.perf import predict
from hsl.telemetry.topics import DEFAULT_PORT
from hsl.transport import fault_plan
from hsl.verify import soak, stress_config
from hsl.verify.memory_graph import MODELS
from tests.support.commands import leaves

ROOT = Path(__file__).parents[2]
STRESS = stress_config.StressConfig()
# Each row: what help shows, and what its owner says.
ROWS: dict[str, tuple[Any, Any]] = {
    "flit formats": (help_values.FORMATS, tuple(FORMATS)),
    "counting kernels": (help_values.COUNTING_KERNELS, tuple(kernels.KERNELS)),
    "array kernels": (help_values.ARRAY_KERNELS, tuple(array_kernels.ARRAY_KERNELS)),
    "homes": (tuple(help_values.HOMES), array_cpu.HOMES),
    "homes of a program": (tuple(help_values.HOMES)[:4], tuple(program_run.HOMES)),
    "homes of stress": (tuple(help_values.HOMES)[:4], tuple(stress_config.HOMES)),
    "GPUs": (help_values.MAX_GPUS, MAX_DEVICES),
    "burst": (help_values.MAX_BURST, fault_plan.MAX_BURST),
    "capture": (help_values.LEAST_CAPTURE, LEAST_SIZE),
    "caches of a program": (help_values.PROGRAM_CACHES, program_run.CACHES),
    "sets": ((1, help_values.CACHE_SETS), topology.LIMITS["core_sets"]),
    "sets of an L2": ((1, help_values.CACHE_SETS), topology.LIMITS["l2_sets"]),
    "ways": ((1, help_values.CACHE_WAYS), topology.LIMITS["core_ways"]),
    "ways of an L2": ((1, help_values.CACHE_WAYS), topology.LIMITS["l2_ways"]),
    "memory models": (set(help_values.MEMORY_MODELS), set(MODELS)),
    "threads of a long test": (help_values.LONG_THREADS, litmus.LONG_THREADS),
    "faults of litmus": (help_values.LITMUS_FAULTS, litmus.FAULTS),
    "rates": ((help_values.MIN_RATE, help_values.MAX_RATE), (predict.MIN_RATE, predict.MAX_RATE)),
    "lanes": (help_values.MAX_LANES, predict.MAX_LANES),
    "bit errors": (help_values.MAX_BER, predict.MAX_BER),
    "delay": (help_values.MAX_DELAY_NS, predict.MAX_DELAY_NS),
    "messages": (help_values.MAX_MESSAGES, predict.MAX_MESSAGES),
    "stress limits": (
        help_values.STRESS_LIMITS,
        {name: row for name, row in stress_config.LIMITS.items() if name != "seed"},
    ),
    "stress defaults": (
        help_values.STRESS_DEFAULTS,
        {name: getattr(STRESS, name) for name in stress_config.LIMITS if name != "seed"},
    ),
    "stress ways": (help_values.STRESS_VIA, stress_config.VIA),
    "stress hand-over": (help_values.STRESS_HAND_OVER, stress_config.HAND_OVER),
    "stress kinds": (help_values.STRESS_KINDS, tuple(stress_config.KINDS)),
}


@pytest.mark.parametrize("name", ROWS)
def test_help_repeats_its_owner(name: str) -> None:
    """A name or a limit that help shows is the one that the engine has."""
    shown, owned = ROWS[name]
    assert shown == owned


TOPOLOGY = topology.Topology()
MODEL = predict.Model()
PROGRAM = {name: each.default for name, each in signature(program_run.ProgramRun).parameters.items()}
TU = f"{TU_EXPONENT_SOFTWARE} on sockets, {TU_EXPONENT_HARDWARE} on loopback"
# Command and option -> the default that help shows, and the one that its owner has.
DEFAULTS = {
    "demo --gpus": TOPOLOGY.gpus,
    "demo --links": TOPOLOGY.links,
    "demo --flit": TOPOLOGY.flit,
    "demo --tu": TU,
    "demo --seed": "drawn",
    "demo --faults": "none",
    "node cpu --links": TOPOLOGY.links,
    "node cpu --flit": TOPOLOGY.flit,
    "node cpu --tu": TU,
    "link soak --links": 1,
    "link soak --flit": soak.SoakPlan.__dataclass_fields__["flit"].default,
    "link predict --rate": f"{MODEL.rate:g}GT/s",
    "link predict --lanes": MODEL.lanes,
    "link predict --ber": MODEL.ber,
    "link predict --delay": MODEL.delay_ns,
    "link predict --window": MODEL.window,
    "link predict --flit": MODEL.flit,
    "link predict --messages": MODEL.messages,
    "litmus run --faults": litmus.FAULTS,
    "perf program --home": PROGRAM["home"],
    "perf program --on": PROGRAM["caches"],
    "perf program --stay": PROGRAM["stay"],
    "stress --home": STRESS.home,
    "stress --via": STRESS.via,
    "telemetry broker --port": DEFAULT_PORT,
}


def options_of(command: click.Command) -> dict[str, click.Option]:
    """The options of a command by their first names."""
    return {each.opts[0]: each for each in command.params if isinstance(each, click.Option)}


@pytest.mark.parametrize("line", DEFAULTS)
def test_help_shows_the_default(line: str) -> None:
    """The default at the end of the help of an option is that of its owner, and so is the value itself."""
    path, _, name = line.rpartition(" ")
    command = dict(leaves())[path]
    option = options_of(command)[name]
    record = option.get_help_record(click.Context(command))
    assert record is not None
    assert record[1].endswith(f"default: {DEFAULTS[line]}]")
    assert str(option.default) in (str(DEFAULTS[line]), "None") or not isinstance(
        option.default, str | int | float
    )


def test_help_of_the_time_unit_and_of_sizes() -> None:
    """The ranges that are part of a sentence are those of the check and of the kernels."""
    options = options_of(dict(leaves())["demo"])
    least, most = limits.TU_RANGES["sockets"]
    assert f"Sockets take {least} to {most}." in str(options["--tu"].help)
    vectors, matrices = array_kernels.ARRAY_KERNELS["saxpy"], array_kernels.ARRAY_KERNELS["matmul"]
    assert array_kernels.ARRAY_KERNELS["reduction"].greatest == vectors.greatest
    text = str(options["--size"].help)
    assert (
        f"a multiple of {array_kernels.BLOCK} for each GPU, at most 2^{vectors.greatest.bit_length() - 1})"
        in text
    )
    assert f"a multiple of {array_kernels.TILE} for each GPU, at most {matrices.greatest})" in text


def test_watch_looks_where_broker_listens() -> None:
    """`hsl telemetry watch` looks by default where `hsl telemetry broker` listens by default."""
    assert f"mqtt://127.0.0.1:{DEFAULT_PORT}" == WATCHED


@pytest.mark.parametrize(
    ("option", "setting"),
    [("--lanes", "lanes"), ("--delay", "delay_ns"), ("--window", "window"), ("--messages", "messages"),
     ("--ber", "ber")],
)  # fmt: skip
def test_the_ends_of_a_range_are_those_of_the_model(option: str, setting: str) -> None:
    """`hsl link predict` takes what the model takes: both ends of each range, and nothing beyond."""
    kind: Any = options_of(dict(leaves())["link predict"])[option].type
    ends = (0, help_values.MAX_BER) if option == "--ber" else (kind.least, kind.most)
    for end in ends:
        taken: dict[str, Any] = {setting: kind.convert(str(end), None, None)}
        assert getattr(predict.Model(**taken), setting) == end
    for out in (ends[0] - 1, ends[1] * 2):
        refused: dict[str, Any] = {setting: out}
        with pytest.raises(ConfigError):
            predict.Model(**refused)
        with pytest.raises(click.BadParameter):
            kind.convert(str(out), None, None)


def test_folders_of_records_are_those_of_make() -> None:
    """`hsl coverage` reads by default what `make coverage` writes."""
    recipe = (ROOT / "Makefile").read_text()
    for name in ("link", "coherence"):
        option = options_of(dict(leaves())[f"coverage {name}"])["--input"]
        assert f"--{name}-coverage {option.default}\n" in recipe


def test_a_node_waits_as_long_as_the_page_says() -> None:
    """--wait is five seconds by default, as "Getting started" says, and at most an hour."""
    text = (ROOT / "docs/getting-started.md").read_text().replace("\n", " ")
    assert "tries for five seconds (`--wait`)" in text
    for name in ("cpu", "gpu", "memory"):
        option = options_of(dict(leaves())[f"node {name}"])["--wait"]
        assert [option.type.convert(each, option, None) for each in ("0", "3600")] == [0, 3600]
        assert option.default == 5


@pytest.mark.parametrize("path", ["litmus run", "model link", "model coherence"])
def test_jobs_are_at_least_one(path: str) -> None:
    """--jobs 0 would run nothing, and is refused by every command that has it."""
    option = options_of(dict(leaves())[path])["--jobs"]
    assert option.type.convert("1", option, None) == 1
    with pytest.raises(click.BadParameter, match=f"expected 1 to {help_values.MAX_JOBS}"):
        option.type.convert("0", option, None)
