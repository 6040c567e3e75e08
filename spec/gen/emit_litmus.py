"""Emits the tests of litmus.toml in the text format of herd: file by file, and all in one for the package."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from spec.gen.load import Row, Spec

PLACEMENTS = (("cpu", "gpu"), ("gpu", "cpu"))
# What stands between two accesses: mark of the first, instruction between, mark of the second.
BETWEEN = {
    "po": ("", "", ""),
    **{kind: ("", kind, "") for kind in ("fence", "fence.ld", "fence.st", "fence.nc")},
    "acq": (".acq", "", ""),
    "rel": ("", "", ".rel"),
    "dep": ("", "dep", ""),
}
HEAD = "Origin=spec/litmus.toml, do not edit"


def emit(spec: Spec) -> dict[str, str]:
    """The generated files: path below the project's root to text."""
    tests = dict(_tests(spec))
    files = {f"spec/litmus/{name}.litmus": text for name, text in tests.items()}
    return files | {"hsl/_generated/litmus.txt": "\n".join(tests.values())} if tests else {}


def _tests(spec: Spec) -> Iterator[tuple[str, str]]:
    if "litmus" not in spec.docs:  # a specification in a test may have none
        return
    for shape in spec.rows("litmus", "shape"):
        for variant in shape["variants"]:
            for one, other in PLACEMENTS:
                places = [(one, other)[p % 2] for p in range(len(shape["threads"]))]
                marks = variant.split("+") if variant.strip("po+") else []
                name = "+".join([shape["name"], *marks]) + "@" + "-".join(places[:2])
                yield name, _text(shape, name, places, variant.split("+"))


def _text(shape: Row, name: str, places: list[str], marks: list[str]) -> str:
    between = iter(marks)
    columns = []
    threads = [thread.split("; ") for thread in shape["threads"]]
    for p, thread in enumerate(threads):
        column = _marked(thread, next(between)) if len(thread) == 2 else thread
        width = max(len(f"P{p}"), *map(len, column))
        columns.append([each.ljust(width) for each in (f"P{p}", *column)])
    rows = zip_longest(*columns)
    widths = [len(column[0]) for column in columns]
    table = [
        " " + " | ".join((c or "").ljust(w) for c, w in zip(row, widths, strict=True)) + " ;" for row in rows
    ]
    places_line = f"Placement={' '.join(places)}"
    locations = sorted({word for thread in threads for each in thread for word in _location(each)})
    initial = "{ " + " ".join(f"{place}=0;" for place in locations) + " }"
    head = [f"HSL {name}", f'"{shape["text"]}"', HEAD, places_line, initial]
    head[3:3] = [f"Registers={shape['registers']}"] if "registers" in shape else []
    return "\n".join([*head, *table, f"exists ({shape['exists']})"]) + "\n"


def _location(instruction: str) -> list[str]:
    """Return the location of an access, its first operand that is not a register; a fence has none."""
    operands = instruction.partition(" ")[2].split(",")
    return [each for each in operands if each and not each.startswith("r")][:1]


def _marked(thread: list[str], mark: str) -> list[str]:
    """Two accesses with what orders them."""
    before, between, after = BETWEEN[mark]
    first, second = (
        " ".join([kind + suffix, rest])
        for suffix, (kind, _, rest) in zip(
            (before, after), (each.partition(" ") for each in thread), strict=True
        )
    )
    register = thread[0].partition(" ")[2].partition(",")[0]
    middle = [f"dep {register}" if between == "dep" else between] if between else []
    return [first, *middle, second]
