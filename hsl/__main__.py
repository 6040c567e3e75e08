"""`python -m hsl` is the `hsl` command."""

from hsl.cli import main

main(prog_name="hsl")
