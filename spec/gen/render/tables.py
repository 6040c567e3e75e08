"""Blocks that are tables of the spec: enumerations, opcodes, timers, limits, errors, requirements."""

from __future__ import annotations

from collections.abc import Iterator

from spec.gen.load import Spec
from spec.gen.names import ENUMS
from spec.gen.render.markdown import BlockError, chosen, none, one, table

ALIASES = {"ctl_flag": "flag"}
UNITS = {"TU_EXP": "TU", "SLOW_EXP": "slow TU"}  # 3.1


def sentence(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The sentence that stands first everywhere."""
    none(arguments)
    yield f"> **{spec['profile']['sentence']}**"


def enum(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """An enumeration: code or bit, name, meaning."""
    if arguments == ("aop_size",):
        yield from table(
            "code | operand", ((s["code"], f"{s['bytes']} bytes") for s in spec.rows("atomics", "size"))
        )
        return
    name = one(arguments, [*ENUMS, *ALIASES, "aop_size"])
    doc, key, _ = ENUMS[ALIASES.get(name, name)]
    rows = spec.rows(doc, ALIASES.get(name, name))
    wide = any(row[key] > 31 for row in rows)
    with_text = any("text" in row for row in rows)
    lines = (
        [f"0x{r[key]:02X}" if wide else r[key], r["name"], *([r.get("text", "")] if with_text else [])]
        for r in rows
    )
    yield from table(f"{key} | name" + (" | meaning" if with_text else ""), lines)


def aops(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Atomic operations with sizes and classes."""
    none(arguments)
    rows = (
        (a["code"], a["name"], a["text"], "yes" if a["store"] else "no", _list(a["sizes"]), a["class"])
        for a in spec.rows("atomics", "aop")
    )
    yield from table("AOP | name | new value | AtomicStore | operand bytes | class", rows)


def opcodes(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Opcodes of all VCs or of one."""
    rows = (
        (
            f"0x{o['code']:02X}",
            o["name"],
            o["vc"],
            _list(o["len"]),
            "8 << LEN bytes" if o["data"] == "len" else "-",
            o["be"],
            o["align"],
            " or ".join(o["completion"]) or "-",
            _list(o["grants"]) or "-",
            o["text"],
        )
        for o in chosen(spec.rows("opcodes", "opcode"), "vc", arguments)
    )
    yield from table("OP | name | VC | LEN | data | BE | ADDR | completion | grants | meaning", rows)


def ncr_classes(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Render the NCR: the order class of each, whether it sinks, and whether it is repeated after BUSY."""
    none(arguments)
    rows = (
        (
            o["name"],
            o["order"],
            "yes" if o.get("sinks") else "-",
            "yes" if o.get("repeated") else "-",
        )
        for o in spec.rows("opcodes", "opcode")
        if "order" in o
    )
    yield from table("OP | order class | sinks | repeated after BUSY", rows)


def vcs(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Virtual channels."""
    none(arguments)
    least = {m["vc"]: m["credits"] for m in spec.rows("credits", "minimum")}
    rows = (
        (v["code"], v["name"], v["header"], _list(v["receivers"]), least[v["name"]], v["text"])
        for v in spec.rows("messages", "vc")
    )
    yield from table("VC | name | header class | receivers | least credits | content", rows)


def arbiter(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The wheel of the VC arbiter."""
    none(arguments)
    wheel = spec["credits"]["wheel"]
    head = " | ".join(["place", *(str(i) for i in range(len(wheel)))])
    yield from table(head, [["VC", *wheel]])


def timers(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Timers of one scope or all."""
    keys = ("scope", "starts", "restarts", "stops", "expiry")
    rows = (
        (t["name"], f"{t['tu']} {UNITS[t['unit']]}", *(t[key] for key in keys))
        for t in chosen(spec.rows("timers", "timer"), "scope", arguments)
    )
    yield from table("timer | length | per | starts | restarts | stops | at expiry", rows)


def counts(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Counts of the link."""
    rows = chosen(spec.rows("timers", "count"), "name", arguments)
    yield from table("count | value | meaning", ((c["name"], c["value"], c["text"]) for c in rows))


def instants(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Render the order of events at one instant."""
    none(arguments)
    order = [t["name"] for t in spec.rows("timers", "timer")]
    for number, instant in enumerate(spec.rows("timers", "instant"), 1):
        names = f": {', '.join(order)}" if instant["step"] == "timers" else ""
        yield f"{number}. {instant['step']}{names}"


def limits(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Scalars of the profile."""
    rows = chosen(spec.rows("profile", "limit"), "name", arguments)
    yield from table("name | value | meaning", ((r["name"], r["value"], r["text"]) for r in rows))


def bindings(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """PAL bindings."""
    rows = chosen(spec.rows("bindings", "binding"), "name", arguments)
    lines = ((b["name"], f"`{b['uri']}`", f"{b['overhead']} bytes a flit", b["text"]) for b in rows)
    yield from table("binding | URI | overhead | note", lines)


def registers(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Configuration registers and tables of entries."""
    none(arguments)
    rows: list[tuple[object, ...]] = [
        (f"0x{r['offset']:04X}", r["name"], r["access"], r["text"])
        for r in spec.rows("address_map", "register")
    ]
    rows += [
        (
            f"0x{e['base']:04X} + {e['stride']} i",
            f"{e['name']} entry i",
            e["access"],
            f"i = 0..{e['count'] - 1}",
        )
        for e in spec.rows("address_map", "entry")
    ]
    yield from table("offset | register | access | content", rows)


def errors(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """Error codes with severities and reactions."""
    none(arguments)
    severities = {s["code"]: s["name"].replace("_", "-") for s in spec.rows("errors", "severity")}
    rows = (
        (e["code"], e["name"], severities[e["severity"]], e["reaction"], e["text"])
        for e in spec.rows("errors", "error")
    )
    yield from table("code | name | severity | reaction | meaning", rows)


def requirements(spec: Spec, arguments: tuple[str, ...]) -> Iterator[str]:
    """The requirements of a chapter."""
    if len(arguments) != 1:
        raise BlockError("needs the name of one chapter")
    rows = (
        (r["id"], r["level"], _list(r["role"]), r["text"])
        for r in chosen(spec.rows("requirements", "requirement"), "chapter", arguments)
    )
    yield from table("id | level | role | requirement", rows)


def _list(items: list[object]) -> str:
    return ", ".join(str(item) for item in items)


KINDS = {
    "sentence": sentence,
    "enum": enum,
    "aops": aops,
    "opcodes": opcodes,
    "ncr-classes": ncr_classes,
    "vcs": vcs,
    "arbiter": arbiter,
    "timers": timers,
    "counts": counts,
    "instants": instants,
    "limits": limits,
    "bindings": bindings,
    "registers": registers,
    "errors": errors,
    "requirements": requirements,
}
