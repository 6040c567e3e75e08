"""`python -m hsl` and the script `hsl` are the `hsl` command."""

import contextlib

from hsl.interruption import Interruption, finish, install


def run() -> None:
    """Run the command of sys.argv, with its signals handled from the first moment on."""
    try:
        with contextlib.suppress(Interruption):
            install()
            from hsl.cli import main  # it takes long, so the handlers come first

            main(prog_name="hsl")
    finally:
        finish()


if __name__ == "__main__":
    run()
