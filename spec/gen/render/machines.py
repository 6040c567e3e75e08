"""Blocks of the state machines: the link table, and the coherence tables of cache and home."""

from __future__ import annotations

from collections.abc import Iterator

from spec.gen.load import Row, Spec
from spec.gen.render.markdown import chosen, none, one, table

GROUPS = {
    "local": "local requests",
    "pal": "PAL",
    "timer": "timers",
    "flit": "received, not CTL",
    "hello": "received HELLO",
    "ctl": "received CTL, not HELLO",
}


def link_table(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The link state table: all rows or those of one group."""
    states = spec["link"]["states"]
    lines: list[list[object]] = []
    group = ""
    for row in chosen(spec.rows("link", "row"), "group", arguments):
        if row["group"] != group and not arguments:
            lines.append(["", f"**{GROUPS[row['group']]}**", *("" for _ in states)])
        group = row["group"]
        lines.append([row["number"], row["text"], *(row[state] for state in states)])
    yield from table(" | ".join(["#", "event", *states]), lines)


def link_actions(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The words and action codes of the link table."""
    none(arguments)
    words = ((f"`{w['code']}`", "", w["text"]) for w in spec.rows("link", "word"))
    actions = ((f"`{a['code']}`", a["name"], a["text"]) for a in spec.rows("link", "action"))
    yield from table("code | name | what it does", [*words, *actions])


def transmit_order(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The transmission order."""
    none(arguments)
    every = spec["link"]["states"]
    rows = (
        (t["rank"], t["item"], "any" if t["states"] == every else ", ".join(t["states"]), t["text"])
        for t in spec.rows("link", "transmit")
    )
    yield from table("rank | item | states | note", rows)


def coherence(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The table of the request agent as a matrix, that of the home agent as lists."""
    if one(arguments, ["RA", "HA"]) == "RA":
        yield from _request_agent(spec["coherence"]["ra"])
    else:
        yield from _home_agent(spec["coherence"]["ha"])


def _cell(row: Row, state: str) -> str:
    actions = ["x" if action == "proto" else action for action in row["a"]]
    following = "" if row["n"] in ("=", state) else f" / {row['n']}"
    return (", ".join(actions) or "-") + following


def _request_agent(ra: Row) -> Iterator[str]:
    cells = {(s, e): _cell(row, s) for row in ra["row"] for s in row["s"] for e in row["e"]}
    first_message = next(i for i, event in enumerate(ra["events"]) if event.startswith("Snp"))
    never = [event for event in ra["events"] if all(cells[s, event] == "x" for s in ra["states"])]
    for title, events in (
        ("local accesses", ra["events"][:first_message]),
        ("messages and faults", ra["events"][first_message:]),
    ):
        shown = [event for event in events if event not in never]
        yield f"**Request agent, {title}**"
        yield ""
        yield from table(
            " | ".join(["state", *shown]), ([s, *(cells[s, e] for e in shown)] for s in ra["states"])
        )
        yield ""
    yield "`-` nothing; `x` log PROTO and drop; `/ STATE` the next state."
    yield f"{' and '.join(never)} are `x` in every state."


def _home_agent(ha: Row) -> Iterator[str]:
    for state in ha["states"]:
        yield f"**Home agent, state {state}**"
        yield ""
        rows = (
            (", ".join(row["e"]), _guards(row, ha["guards"]), *_home_cell(row, state))
            for row in ha["row"]
            if state in row["s"]
        )
        yield from table("event | when | actions | next", rows)
        yield ""
    yield "A guard that is not named may have any value; `=` the state stays; `proto` logs PROTO and drops."


def _home_cell(row: Row, state: str) -> tuple[str, str]:
    return ", ".join(row["a"]) or "-", "=" if row["n"] == state else row["n"]


def _guards(row: Row, domains: Row) -> str:
    parts = []
    for variable, words in row.get("g", {}).items():
        left_out = [word for word in domains[variable] if word not in words]
        if len(left_out) < len(words) and len(words) > 3:
            parts.append(f"{variable} not {', '.join(left_out)}")
        else:
            parts.append(f"{variable} = {' or '.join(words)}")
    return "; ".join(parts) or "always"


def coherence_actions(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Render the meaning of the action words of a coherence table."""
    actions = spec["coherence"]["actions"][one(arguments, ["RA", "HA"]).lower()]
    yield from table("action | what it does", ((f"`{name}`", text) for name, text in actions.items()))


def coherence_guards(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The guard variables of the home agent."""
    none(arguments)
    guards, meaning = spec["coherence"]["ha"]["guards"], spec["coherence"]["ha"]["meaning"]
    rows = ((name, ", ".join(domain), meaning[name]) for name, domain in guards.items())
    yield from table("guard | values | what it asks", rows)


def coherence_checks(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The checks before the tables."""
    none(arguments)
    for number, text in enumerate(spec["coherence"]["order"]["checks"], 1):
        yield f"{number}. {text}"


def memory_target(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Render the answers of a memory target."""
    none(arguments)
    rows = ((", ".join(row["e"]), "; ".join(row["a"])) for row in spec.rows("coherence", "mt.row"))
    yield from table("message | answer", rows)


KINDS = {
    "link-table": link_table,
    "link-actions": link_actions,
    "transmit-order": transmit_order,
    "coherence": coherence,
    "coherence-actions": coherence_actions,
    "coherence-guards": coherence_guards,
    "coherence-checks": coherence_checks,
    "memory-target": memory_target,
}
