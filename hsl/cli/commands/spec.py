"""`hsl spec`."""

import cloup

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.options import candidates, json_only
from hsl.spec_files import FILES

__all__ = ["command"]

LIST = Leaf(
    "list",
    calls="hsl.cli.spec:list_files",
    summary="List the names that 'hsl spec path' takes.",
    output=json_only(),
    examples=[
        Example("hsl spec list", "Show each name with a line about its file."),
        Example("hsl spec list --json", "Print the same as JSON."),
    ],
    ends={0: "The list is printed."},
)
PATH = Leaf(
    "path",
    calls="hsl.cli.spec:print_path",
    summary="Print the path of a file of the specification.",
    text="Without NAME the path of the folder that has all files is printed.",
    arguments=[
        cloup.Argument(
            ["name"],
            required=False,
            metavar="[NAME]",
            shell_complete=candidates(lambda: [file.name for file in FILES]),
            help="A name of 'hsl spec list', or a file below the folder, such as text/08-coherence.md.",
        )
    ],
    output=json_only(),
    examples=[
        Example("hsl spec path hsl.h", "Print the path of the C header."),
        Example('ls "$(hsl spec path vectors)"', "List the test vectors."),
    ],
    ends={0: "The path is printed.", 5: "The specification has no such file."},
)
command = Branch("spec", summary="Find the files of the specification.", commands=[LIST, PATH])
