"""`hsl completion`."""

import cloup

from hsl.cli.help import Example, Leaf
from hsl.cli.options import Choice

__all__ = ["command"]

command = Leaf(
    "completion",
    calls="hsl.cli.manual:print_completion",
    summary="Print the completion script of a shell.",
    text="""
    Add the line of your shell to its start-up file:

    \b
    bash  ~/.bashrc                  eval "$(hsl completion bash)"
    zsh   ~/.zshrc                   eval "$(hsl completion zsh)"
    fish  ~/.config/fish/config.fish hsl completion fish | source
    """,
    arguments=[
        cloup.Argument(
            ["shell"], type=Choice(["bash", "zsh", "fish"]), metavar="SHELL", help="bash, zsh or fish."
        )
    ],
    examples=[
        Example('eval "$(hsl completion bash)"', "Complete hsl in this shell."),
        Example("hsl completion fish", "Print the script for fish."),
    ],
    ends={0: "The script is printed."},
)
