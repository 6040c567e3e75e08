"""`hsl schema`."""

import cloup

from hsl.cli.help import Example, Leaf
from hsl.cli.options import json_only

__all__ = ["command"]

command = Leaf(
    "schema",
    calls="hsl.cli.schema:print_schema",
    summary="Print the JSON Schemas of what --json prints.",
    text="""
    Without NAME the names are listed. NAME is the value of `schema` in a document, such as
    hsl.link.soak/1; link.soak is enough. A schema holds all schemas that it refers to.
    """,
    arguments=[cloup.Argument(["name"], required=False, metavar="[NAME]", help="Name of a schema.")],
    output=json_only(),
    examples=[
        Example("hsl schema", "List the names."),
        Example("hsl schema demo", "Print the schema of the report of hsl demo."),
    ],
    ends={0: "The schema is printed.", 5: "No schema has this name."},
)
