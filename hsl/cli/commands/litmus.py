"""`hsl litmus`."""

import cloup

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.help_values import LITMUS_FAULTS, LONG_THREADS, MAX_JOBS, MAX_RUNS
from hsl.cli.options import Choice, flag, integer, json_only, option, output, seed

__all__ = ["command"]


def names() -> cloup.Argument:
    """Return the argument that selects tests."""
    return cloup.Argument(
        ["names"],
        nargs=-1,
        metavar="[NAME|FILE.litmus]...",
        help="Tests to select: names with * and ?, or files (- is stdin). Default: all.",
    )


LIST = Leaf(
    "list",
    calls="hsl.cli.litmus:list_tests",
    summary="List the litmus tests.",
    arguments=[names()],
    output=json_only(),
    examples=[
        Example("hsl litmus list", "List all tests."),
        Example("hsl litmus list 'MP+rel*'", "List the tests whose names begin with MP+rel."),
    ],
    ends={0: "The tests are printed.", 5: "No test has such a name."},
)
RUN = Leaf(
    "run",
    calls="hsl.cli.litmus:run_tests",
    summary="Run litmus tests on the agents.",
    text="""
    The outcomes must be those that HSL 5.9 allows. --exhaustive explores every schedule, and then every
    allowed outcome must be seen, too.
    """,
    arguments=[names()],
    options={
        "Schedules": [
            flag("--exhaustive", help="Explore every schedule. Without it the seed draws --runs schedules."),
            integer(
                "--runs",
                least=1,
                most=MAX_RUNS,
                default=200,
                help="Schedules of each test, if not all are explored.",
            ),
            seed("the schedules"),
            flag(
                "--long",
                help=f"Run tests of {LONG_THREADS} threads too, and free the order of all completions. "
                "Takes minutes.",
            ),
            flag("--in-order", help="Begin an access when the one before has ended (HSL 5.9, column a)."),
        ],
        "System": [
            option(
                "--via",
                type=Choice(["agents", "links"]),
                default="agents",
                help="Run the agents alone, or over links with faults. Not with --exhaustive.",
            ),
            option(
                "--hand-over",
                type=Choice(["all", "none"]),
                default="all",
                help="Nodes that offer dirty hand-over, the answer CmpData(M): all or none.",
            ),
            option(
                "--faults",
                metavar="FAULTS",
                default_is=LITMUS_FAULTS,
                help="Faults on the links; 'hsl inject list' shows the kinds. Only with --via links.",
            ),
        ],
        "Run": [integer("--jobs", least=1, most=MAX_JOBS, default=2, help="Processes that run tests.")],
    },
    output=output(),
    examples=[
        Example("hsl litmus run 'MP+rel*' --exhaustive --seed 1", "Explore every schedule of some tests."),
        Example("hsl litmus run 'MP@*' --via links --runs 20 --seed 1", "Run a test over links with faults."),
    ],
    ends={
        0: "Every outcome is allowed, and --exhaustive saw every allowed one.",
        1: "A forbidden outcome was seen, an allowed one was missed, an agent is at fault, or the faults "
        "ended a link.",
        5: "No test has such a name.",
    },
)
command = Branch("litmus", summary="List and run litmus tests of memory order.", commands=[LIST, RUN])
