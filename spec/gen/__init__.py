"""Checks the specification and generates everything that is made from it: `python -m spec.gen [--check]`."""
