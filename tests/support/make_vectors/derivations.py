"""Derivations by hand, from the prose alone. After `->` stand bytes of the flits, in order."""

DERIVATIONS: dict[str, dict[str, str]] = {}
