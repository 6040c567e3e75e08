"""The link state table: every state x every event has a cell of known actions, and known next states."""

from __future__ import annotations

from collections.abc import Iterator

from spec.gen.load import Refusal, Row, Spec

PSEUDO_ITEMS = {"REPLAY", "PROT", "NOP"}  # transmitted items that are no CTL
MAY_BE_IMPOSSIBLE = {"timer", "flit"}  # groups of events that some states cannot meet


def parse_cell(text: str) -> tuple[tuple[str, ...], str | None]:
    """(action codes, next state or None) of a cell of the link table."""
    words = text.split()
    following = words.pop()[1:] if words and words[-1].startswith(">") else None
    return tuple(words), following


def check(spec: Spec) -> Iterator[Refusal]:
    """All refusals about spec/link.toml."""
    link = spec["link"]
    yield from _states(link)
    yield from _transmit(spec)
    yield from _rows(spec)
    yield from _precedence(link)


def _states(link: Row) -> Iterator[Refusal]:
    if len(set(link["states"])) != len(link["states"]):
        yield link.refuse("a state is listed twice", "states")
    for state in link["up_states"]:
        if state not in link["states"]:
            yield link.refuse(f"up_states: unknown state {state}", "up_states")
    seen: set[str] = set()
    for action in [*link["word"], *link["action"]]:
        if action["code"] in seen:
            yield action.refuse(f"second action {action['code']}", "code")
        seen.add(action["code"])


def _transmit(spec: Spec) -> Iterator[Refusal]:
    link = spec["link"]
    known = PSEUDO_ITEMS | {ctl["name"] for ctl in spec.rows("ctl", "ctl")}
    rank, seen = 1, set()
    for item in link["transmit"]:
        name = item["item"]
        if name not in known:
            yield item.refuse(f"transmit: unknown item {name}", "item")
        if name in seen:
            yield item.refuse(f"transmit: second item {name}", "item")
        seen.add(name)
        if item["rank"] not in (rank, rank + 1):
            yield item.refuse(f"transmit: rank {item['rank']} after rank {rank}", "rank")
        rank = item["rank"]
        for state in item["states"]:
            if state not in link["states"]:
                yield item.refuse(f"transmit: unknown state {state}", "states")


def _rows(spec: Spec) -> Iterator[Refusal]:
    link = spec["link"]
    events: set[str] = set()
    timers = {timer["name"] for timer in spec.rows("timers", "timer")}
    for number, row in enumerate(link["row"], 1):
        event = row["event"]
        if row["number"] != number:
            yield row.refuse(f"row {row['number']} stands at place {number}", "number")
        if event in events:
            yield row.refuse(f"second row of event {event}", "event")
        events.add(event)
        if row["group"] == "timer" and event not in timers:
            yield row.refuse(f"unknown timer {event}", "event")
        for state in link["states"]:
            if state in row:
                yield from _cell(link, row, state)
            else:
                yield row.refuse(f"row {row['number']}: no cell for state {state}")
        for key in row.keys() - {"number", "event", "group", "text", *link["states"]}:
            yield row.refuse(f"row {row['number']}: unknown state {key}", key)


def _cell(link: Row, row: Row, state: str) -> Iterator[Refusal]:
    where = f"row {row['number']}, {state}"
    codes, following = parse_cell(row[state])
    known = {action["code"] for action in link["action"]}
    words = {word["code"] for word in link["word"]}
    if not codes and following is None:
        yield row.refuse(f"{where}: empty cell", state)
    for code in codes:
        if code not in known | words:
            yield row.refuse(f"{where}: unknown action {code}", state)
    if words.intersection(codes) - {"c"} and (len(codes) > 1 or following):
        yield row.refuse(f"{where}: {' '.join(codes)} with something else in the cell", state)
    if following is not None and following not in link["states"]:
        yield row.refuse(f"{where}: unknown next state {following}", state)
    if codes == ("-",) and row["group"] not in MAY_BE_IMPOSSIBLE:
        yield row.refuse(f"{where}: a {row['group']} event can occur in every state", state)


def _precedence(link: Row) -> Iterator[Refusal]:
    numbers = {row["number"] for row in link["row"]}
    for number in link["precedence"]:
        if number not in numbers:
            yield link.refuse(f"precedence: unknown row {number}", "precedence")
    if len(set(link["precedence"])) != len(link["precedence"]):
        yield link.refuse("precedence: a row is listed twice", "precedence")
