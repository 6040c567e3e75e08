"""The report of a run: a score per package, and the survivors as JSON (`report.schema.json`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from tests.mutation.trial import Outcome, Trial

__all__ = ["lines", "report"]

KILLED = (Outcome.KILLED, Outcome.TIMEOUT)
COLUMNS = tuple(Outcome)


def score(counts: Counter[Outcome]) -> float | None:
    """Return the killed in percent of the killed and the survivors; None if there are neither."""
    killed = sum(counts[each] for each in KILLED)
    judged = killed + counts[Outcome.SURVIVED]
    return round(100 * killed / judged, 1) if judged else None


def tally(trials: Iterable[Trial]) -> dict[str, Counter[Outcome]]:
    """Count the outcomes of each package."""
    found: dict[str, Counter[Outcome]] = {}
    for trial in trials:
        found.setdefault(trial.mutant.package, Counter())[trial.outcome] += 1
    return found


def survivor(trial: Trial) -> dict[str, Any]:
    """Return a survivor as JSON."""
    return {
        "package": trial.mutant.package,
        "file": trial.mutant.file,
        "line": trial.mutant.line,
        "diff": trial.mutant.diff,
        "tests": dict(trial.tests),
        "left_out": trial.left_out,
    }


def report(trials: list[Trial], seed: int, budget: float) -> dict[str, Any]:
    """Return all of it as JSON."""
    packages = {
        name: {each.value.replace(" ", "_"): counts[each] for each in COLUMNS} | {"score": score(counts)}
        for name, counts in tally(trials).items()
    }
    survivors = [survivor(trial) for trial in trials if trial.outcome is Outcome.SURVIVED]
    survivors.sort(key=lambda each: (each["file"], each["line"]))
    return {"seed": seed, "budget_minutes": budget, "packages": packages, "survivors": survivors}


def lines(trials: list[Trial]) -> list[str]:
    """Return the table of scores as lines of text."""
    rows = [("package", *(each.value for each in COLUMNS), "score")]
    counted = tally(trials)
    for name, counts in [*counted.items(), ("all", sum(counted.values(), Counter()))]:
        percent = score(counts)
        rows.append(
            (name, *(str(counts[each]) for each in COLUMNS), "-" if percent is None else f"{percent} %")
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
