"""`python -m hsl` and the script `hsl` are the `hsl` command."""

import contextlib
import os
import sys

from hsl.interruption import Interruption, finish, install


def keep_streams() -> None:
    """Put the null device in the place of each standard stream that the caller has closed.

    Otherwise the next file that is opened gets its number, and with it what somebody prints. Standard input
    stays None, so that `-` is refused.
    """
    for number, name in enumerate((None, "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
            if name is not None:
                setattr(sys, name, open(number, "w", encoding="utf-8", errors="replace"))  # noqa: SIM115, PTH123


def run() -> None:
    """Run the command of sys.argv, with its signals handled from the first moment on."""
    keep_streams()
    try:
        with contextlib.suppress(Interruption):
            install()
            from hsl.cli import main  # it takes long, so the handlers come first

            main(prog_name="hsl")
    finally:
        finish()


if __name__ == "__main__":
    run()
