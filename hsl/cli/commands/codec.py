"""`hsl codec`."""

from hsl.cli.help import Branch, Example, Leaf
from hsl.cli.help_values import FORMATS
from hsl.cli.options import Choice, Option, input_file, json_only, option, output
from hsl.engine.select import ENGINES

__all__ = ["command"]

FLIT = (
    "51c000142001083012030000409a785634120000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000004d0fe06e"
)


def engine() -> Option:
    """Return --engine of a command that runs the codec alone."""
    return option(
        "--engine",
        type=Choice(ENGINES),
        default="reference",
        help="Engine of the codec. Both give the same flits; reference explains errors better.",
    )


DECODE = Leaf(
    "decode",
    calls="hsl.cli.codec:decode",
    summary="Decode flits, one behind the other.",
    options={
        "Input": [
            option(
                "--hex",
                "hex_text",
                metavar="HEX",
                help="Flits as hex digits; - is stdin. Spaces are skipped.",
            ),
            input_file("Flits as bytes; - is stdin."),
            option("--format", "form", type=Choice(FORMATS), default="L64", help="Flit format."),
        ],
        "Run": [engine()],
    },
    output=json_only(),
    examples=[
        Example(f"hsl codec decode --hex {FLIT}", "Show the fields of a flit."),
        Example("hsl codec decode --input flits.bin --json", "Decode a file of flits to JSON.", cheap=False),
    ],
    ends={0: "Every flit decodes.", 1: "A flit does not decode.", 5: "The input has no flit."},
)
ENCODE = Leaf(
    "encode",
    calls="hsl.cli.codec:encode",
    summary="Encode the JSON that 'decode --json' prints.",
    text="One line of hex digits per flit is printed, and with --json an object whose `flits` has them.",
    options={
        "Input": [input_file("JSON document to encode; - is stdin.", default="-")],
        "Run": [engine()],
    },
    output=output(out="Write the flits to FILE, as bytes."),
    examples=[
        Example(
            f"hsl codec decode --json --hex {FLIT} | hsl codec encode", "Decode a flit and encode it again."
        ),
        Example("hsl codec encode --input flits.json --out flits.bin", "Write a file of flits.", cheap=False),
    ],
    ends={0: "Every flit was encoded.", 4: "A field is missing or invalid.", 5: "The document has no flit."},
)
command = Branch(
    "codec", summary="Decode flits to fields, and encode fields to flits.", commands=[DECODE, ENCODE]
)
