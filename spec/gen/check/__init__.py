"""Refuses a specification that contradicts itself: every refusal names file and line."""

from __future__ import annotations

from spec.gen.check import coherence, layouts, link, names, shape, times
from spec.gen.check import prose as chapters
from spec.gen.load import Refusal, Spec

CHECKS = (layouts.check, names.check, times.check, link.check, coherence.check)


def check_data(spec: Spec) -> list[Refusal]:
    """Return the errors of the TOML, shape before contents; with any, nothing may be generated."""
    return list(shape.check(spec)) or [refusal for check in CHECKS for refusal in check(spec)]


def check_prose(spec: Spec) -> list[Refusal]:
    """Return the errors of the chapters. The data must have passed `check_data`."""
    return list(chapters.check(spec))
