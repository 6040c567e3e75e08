"""The name that a misspelled one most likely stands for, and the end of a message that says so."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["expected", "nearest"]

MAX_GIVEN = 80  # characters of a text that is compared: the time of a comparison grows with the square
MAX_LISTED = 32  # names that a message lists


def nearest(given: object, names: Iterable[object]) -> str:
    """Return the name of `names` that is spelled most like `given`, "" if none is near.

    Capitals make no difference. Names other than strings are compared as they are printed.
    """
    if not isinstance(given, str) or len(given) > MAX_GIVEN:
        return ""
    spelled = {str(name).casefold(): str(name) for name in names}
    near = get_close_matches(given.casefold(), spelled, n=1)
    return spelled[near[0]] if near else ""


def expected(names: Iterable[object], given: object = None) -> str:
    """Return `expected a, b or c`; a message begins with the invalid value and `; `.

    The name nearest to `given` follows, if one is near and more than two are listed. `names` is not empty.
    """
    known = [str(name) for name in names]
    listed = known[:MAX_LISTED]
    rest = len(known) - len(listed)
    *most, last = [*listed, f"{rest} more"] if rest else listed
    text = f"expected {', '.join(most)} or {last}" if most else f"expected {last}"
    near = nearest(given, known) if len(known) > 2 else ""
    return f"{text}; did you mean {near}?" if near else text
