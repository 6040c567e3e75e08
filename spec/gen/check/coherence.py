"""The coherence tables: known names only, and for every state, event and guard valuation exactly one row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from spec.gen.load import Refusal, Row, Spec

REQUEST_VCS = ("REQ", "RWD")


def check(spec: Spec) -> Iterator[Refusal]:
    """All refusals about spec/coherence.toml; totality is judged once the names are right."""
    found = [*_names(spec, "ra"), *_names(spec, "ha"), *_guards(spec), *_events(spec)]
    yield from found or [*_total(spec, "ra"), *_total(spec, "ha"), *_needless(spec)]


def _names(spec: Spec, name: str) -> Iterator[Refusal]:
    table, actions = spec["coherence"][name], spec["coherence"]["actions"][name]
    arguments = _arguments(spec, name)
    for row in table["row"]:
        for key, known in (("s", table["states"]), ("e", table["events"])):
            for word in row[key]:
                if word not in known:
                    yield row.refuse(f"{name}: unknown {'state' if key == 's' else 'event'} {word}", key)
        if row["n"] != "=" and row["n"] not in table["states"]:
            yield row.refuse(f"{name}: unknown next state {row['n']}", "n")
        for action in row["a"]:
            word, *given = action.split() or [""]
            if word not in actions:
                yield row.refuse(f"{name}: unknown action {word}", "a")
            elif not _legal(given, arguments.get(word, [])):
                yield row.refuse(f"{name}: action {word} does not take {' '.join(given) or 'nothing'}", "a")


def _arguments(spec: Spec, name: str) -> Mapping[str, list[set[str]]]:
    """Action: the legal words of each of its arguments, in order; a set with "" may be left out."""
    opcodes = spec.rows("opcodes", "opcode")
    requests = {o["name"] for o in opcodes if o["vc"] in REQUEST_VCS}
    snoops = {o["name"] for o in opcodes if o["vc"] == "SNP"}
    states = {s["name"] for s in spec.rows("messages", "state")}
    errors = {e["name"] for e in spec.rows("messages", "err")} - {"OK"}
    if name == "ra":
        return {"send": [requests], "rsp": [states], "rspdata": [states]}
    return {
        "snoop": [snoops, {"owner", "others"}],
        "list": [{"q", "r"}],
        "unlist": [{"q", "r"}],
        "mem_write": [{"buf", "req", "new"}],
        "cmp": [states],
        "cmpdata": [states, {"mem", "buf", "old"}],
        "cmp_err": [errors | {"MEM"}],
    }


def _legal(given: list[str], wanted: list[set[str]]) -> bool:
    return len(given) == len(wanted) and all(word in legal for word, legal in zip(given, wanted, strict=True))


def _guards(spec: Spec) -> Iterator[Refusal]:
    ha = spec["coherence"]["ha"]
    for row in [*ha["row"], *ha["impossible"]]:
        for variable, words in row.get("g", {}).items():
            if variable not in ha["guards"]:
                yield row.refuse(f"ha: unknown guard {variable}", "g")
                continue
            for word in words:
                if word not in ha["guards"][variable]:
                    yield row.refuse(f"ha: guard {variable} is never {word}", "g")
    for variable in ha["guards"].keys() ^ ha["meaning"].keys():
        yield ha.refuse(f"ha: guard {variable} without domain or without meaning", "meaning")
    for row in ha["impossible"]:
        for state in row["s"]:
            if state not in ha["states"]:
                yield row.refuse(f"ha: unknown state {state}", "s")


def _events(spec: Spec) -> Iterator[Refusal]:
    """Events and ops named for a message are those of spec/opcodes.toml, and none of them is forgotten."""
    coherence = spec["coherence"]
    by_vc: dict[str, list[str]] = {}
    for opcode in spec.rows("opcodes", "opcode"):
        by_vc.setdefault(opcode["vc"], []).append(opcode["name"])
    requests = [name for vc in REQUEST_VCS for name in by_vc.get(vc, [])]
    ha = coherence["ha"]
    if ha["ops"] != [*requests, "Recall"]:
        yield ha.refuse(
            f"ha: ops are not the opcodes of REQ and RWD, and Recall: {' '.join(requests)}", "ops"
        )
    for row in coherence["mt"]["row"]:
        for event in row["e"]:
            if event not in by_vc.get("MEM", []):
                yield row.refuse(f"mt: unknown event {event}", "e")
    for key, have, want in (
        ("ha", ha["events"], [*ha["ops"], "CmpAck"]),
        ("ra", coherence["ra"]["events"], by_vc.get("SNP", [])),
    ):
        for name in want:
            if name not in have:
                yield coherence[key].refuse(f"{key}: no event {name}", "events")


def _total(spec: Spec, name: str) -> Iterator[Refusal]:
    """Enumerates every state x event x valuation of the guards that the rows of this cell mention."""
    table = spec["coherence"][name]
    domains = table.get("guards", {})
    impossible = table.get("impossible", [])
    for state, event in product(table["states"], table["events"]):
        rows = [row for row in table["row"] if state in row["s"] and event in row["e"]]
        used = [guard for guard in domains if any(guard in row.get("g", {}) for row in rows)]
        for values in product(*(domains[guard] for guard in used)):
            valuation = dict(zip(used, values, strict=True))
            matching = [row for row in rows if _matches(row.get("g", {}), valuation)]
            cell = f"{name}: {state} x {event}{_show(valuation)}"
            if len(matching) > 1:
                yield matching[1].refuse(f"{cell}: also matched by the row at line {matching[0].line}")
            elif not matching and not any(_excused(row, state, valuation) for row in impossible):
                yield table.refuse(f"{cell}: no row", "states")


def _matches(guards: Mapping[str, list[str]], valuation: Mapping[str, str]) -> bool:
    return all(valuation[variable] in words for variable, words in guards.items())


def _excused(row: Row, state: str, valuation: Mapping[str, str]) -> bool:
    return state in row["s"] and all(valuation.get(variable) in words for variable, words in row["g"].items())


def _needless(spec: Spec) -> Iterator[Refusal]:
    """An excuse that excuses nothing would hide a hole some day."""
    ha = spec["coherence"]["ha"]
    for excuse in ha["impossible"]:
        for state in excuse["s"]:
            if not any(_hole(ha, excuse, state, event) for event in ha["events"]):
                yield excuse.refuse(
                    f"ha: every combination in {state} that is called impossible here has a row", "s"
                )


def _hole(ha: Row, excuse: Row, state: str, event: str) -> bool:
    rows = [row for row in ha["row"] if state in row["s"] and event in row["e"]]
    used = {guard for row in rows for guard in row.get("g", {})}
    if not used >= excuse["g"].keys():
        return False
    free = sorted(used - excuse["g"].keys())
    domains = [*(excuse["g"][g] for g in excuse["g"]), *(ha["guards"][g] for g in free)]
    names = [*excuse["g"], *free]
    valuations = (dict(zip(names, values, strict=True)) for values in product(*domains))
    return any(not any(_matches(row.get("g", {}), v) for row in rows) for v in valuations)


def _show(valuation: Mapping[str, str]) -> str:
    return "".join(f" {variable}={value}" for variable, value in valuation.items())
