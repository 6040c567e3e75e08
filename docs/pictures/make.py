"""The pictures of README and docs, each made from a run: `make pictures` writes them beside this file.

A run has a seed and virtual time, so a picture changes only if the code behind it does; a test compares the
files with what this program makes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from hsl.capture.ladder import Lifeline, Note, to_svg
from hsl.capture.sequence import sequence
from hsl.system import System

__all__ = ["PICTURES", "shared_line"]

FOLDER: Final = Path(__file__).parent
ADDRESS: Final = 0x1000
PAUSE_NS: Final = 100  # between two steps of a story, so that their notes have times of their own


def shared_line() -> str:
    """The GPU stores into memory of the CPU, the CPU reads it back, and the link loses one flit."""
    notes = []
    with TemporaryDirectory() as folder:
        capture = Path(folder) / "run.pcapng"
        with System(gpus=1, seed=7, faults="drop@PROT:x1:nth=2:from=cpu", capture=capture) as s:

            def note(node: str, text: str) -> None:
                s.run(PAUSE_NS)
                notes.append(Note(time=s.now, lifeline=node, text=text))

            note("gpu", 'stores "hello"')
            s.gpu.store(ADDRESS, b"hello")
            note("gpu", "its cache alone has the new data")
            note("cpu", "a core loads the line")
            data = s.cpu.load(ADDRESS, 5)
            note("cpu", f'and reads "{data.decode()}"')
        with capture.open("rb") as stream:
            heads = {"cpu": Lifeline("CPU", "cores, home agent"), "gpu": Lifeline("GPU", "L2 cache")}
            return to_svg(
                sequence(
                    stream,
                    title="One line, two caches, one lost flit",
                    line=ADDRESS,
                    heads=heads,
                    notes=notes,
                )
            )


PICTURES: Final[dict[str, Callable[[], str]]] = {"shared-line.svg": shared_line}

if __name__ == "__main__":
    for name, picture in PICTURES.items():
        (FOLDER / name).write_text(picture())
