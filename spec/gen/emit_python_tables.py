"""Emits `hsl/_generated/tables.py`: the tables of opcodes, credits, link and coherence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spec.gen.check.link import parse_cell
from spec.gen.load import Spec, bit_range
from spec.gen.python_text import HEADER, dict_literal, field_name, literal, quoted

TABLE_TYPES = '''
from typing import NamedTuple

from hsl._generated.constants import LinkState


class OpInfo(NamedTuple):
    """The rules of 5.3, 5.12 and 5.14 for an opcode; spec/opcodes.toml explains the words."""

    code: int
    name: str
    vc: int
    data: bool
    len: tuple[int, ...]
    be: str
    align: str
    x: str
    aop: str
    completion: tuple[int, ...]
    grants: tuple[int, ...]
    feature: int
    right: str
    order: str
    sinks: bool
    repeated: bool


class AopInfo(NamedTuple):
    """An atomic operation: legal in AtomicStore, operand sizes in bytes, CAPS class bit."""

    name: str
    store: bool
    sizes: tuple[int, ...]
    atomic_class: int


class FloatInfo(NamedTuple):
    """A format that FADD adds: numbers side by side, bits of exponent and fraction, the canonical NaN."""

    lanes: int
    exponent: int
    fraction: int
    nan: int


class RegisterInfo(NamedTuple):
    """8 bytes of configuration space: the register, which of its granules, which bits can be written."""

    name: str
    granule: int
    writable: int


class Cell(NamedTuple):
    """A cell of the link table: action codes in order, next state or None. "i" ignores, "-" cannot happen."""

    actions: tuple[str, ...]
    next: LinkState | None


class LinkRow(NamedTuple):
    """A row of the link table; cells in the order of LinkState."""

    number: int
    event: str
    group: str
    text: str
    cells: tuple[Cell, ...]


class TransmitItem(NamedTuple):
    """An item of the transmission order (3.3.3)."""

    rank: int
    item: str
    states: frozenset[LinkState]


class CoherenceRow(NamedTuple):
    """A row of a coherence table: guards (variable, legal values), actions in words, next state or "="."""

    guards: tuple[tuple[str, tuple[str, ...]], ...]
    actions: tuple[tuple[str, ...], ...]
    next: str

'''


def tables(spec: Spec) -> Iterator[str]:
    """Return the lines of `tables.py`."""
    yield HEADER.format(doc="Tables of the profile.", sources="spec/*.toml")
    yield TABLE_TYPES.strip("\n") + "\n\n"
    yield from _opcode_table(spec)
    yield from _register_table(spec)
    yield from _credit_tables(spec)
    yield from _link_tables(spec)
    yield from _coherence_tables(spec)


def _opcode_table(spec: Spec) -> Iterator[str]:
    codes = {o["name"]: o["code"] for o in spec["opcodes"]["opcode"]}
    vcs = {v["name"]: v["code"] for v in spec["messages"]["vc"]}
    states = {s["name"]: s["code"] for s in spec["messages"]["state"]}
    features = {f["name"]: 1 << f["bit"] for f in spec["ctl"]["feature"]}
    yield "OPCODES: dict[int, OpInfo] = {"
    for o in spec["opcodes"]["opcode"]:
        info = (
            o["code"], o["name"], vcs[o["vc"]], o["data"] == "len", tuple(o["len"]), o["be"], o["align"],
            o["x"], o["aop"], tuple(codes[c] for c in o["completion"]), tuple(states[g] for g in o["grants"]),
            features.get(o.get("feature", ""), 0), o.get("right", ""), o.get("order", ""),
            o.get("sinks", False), o.get("repeated", False),
        )  # fmt: skip
        yield f"    0x{o['code']:02X}: OpInfo{literal(info)},"
    yield "}"
    classes = {c["name"]: 1 << c["bit"] for c in spec["ctl"]["atomic_class"]}
    yield "AOPS: dict[int, AopInfo] = {"
    for a in spec["atomics"]["aop"]:
        aop = (a["name"], a["store"], tuple(a["sizes"]), classes[a["class"]])
        yield f"    {a['code']}: AopInfo{literal(aop)},"
    yield "}"
    sizes = {s["code"]: s["bytes"] for s in spec["atomics"]["size"]}
    yield f"ATOMIC_SIZES: dict[int, int] = {sizes}"
    aops = {a["name"]: a["code"] for a in spec["atomics"]["aop"]}
    yield "FLOATS: dict[int, FloatInfo] = {"
    for f in spec["atomics"]["float"]:
        nan = f"0x{f['nan']:X}"
        yield f"    {aops[f['aop']]}: FloatInfo({f['lanes']}, {f['exponent']}, {f['fraction']}, {nan}),"
    yield "}"


def _register_table(spec: Spec) -> Iterator[str]:
    yield "REGISTERS: dict[int, RegisterInfo] = {"
    for register in spec["address_map"]["register"]:
        fields = register.get("fields", [])
        for granule in range(max((f["granule"] for f in fields), default=0) + 1):
            ranges = [bit_range(f["bits"]) for f in fields if f["granule"] == granule]
            bits = sum(((1 << width) - 1) << low for low, width in ranges)
            writable = bits if register["access"] == "RW" else 0
            offset = register["offset"] + 8 * granule
            yield f"    0x{offset:04X}: RegisterInfo({quoted(register['name'])}, {granule}, 0x{writable:X}),"
    yield "}"
    yield "# Operation of the upper tester: kind of access, what it moves."
    yield "UT_OPS: dict[int, tuple[str, str]] = {"
    for op in spec["non_coherent"]["ut_op"]:
        yield f"    {op['code']}: {literal((op['access'], op['moves']))},"
    yield "}"


def _credit_tables(spec: Spec) -> Iterator[str]:
    vcs = {v["name"]: v["code"] for v in spec["messages"]["vc"]}
    roles = {r["name"]: 1 << r["bit"] for r in spec["messages"]["role"]}
    yield f"ARBITER_WHEEL: tuple[int, ...] = {literal(tuple(vcs[v] for v in spec['credits']['wheel']))}"
    minima = {vcs[m["vc"]]: m["credits"] for m in spec["credits"]["minimum"]}
    yield f"CREDIT_MINIMA: dict[int, int] = {minima}  # VC: least advertisement of a receiver"
    receivers = {v["code"]: sum(roles[r] for r in v["receivers"]) for v in spec["messages"]["vc"]}
    yield f"VC_RECEIVERS: dict[int, int] = {receivers}  # VC: roles that receive on it"
    headers = {v["code"]: v["header"] for v in spec["messages"]["vc"]}
    yield f"VC_HEADER: dict[int, str] = {dict_literal(headers)}  # VC: class of its message header"
    yield from _uses(spec)
    severities = {e["code"]: e["severity"] for e in spec["errors"]["error"]}
    yield f"ERROR_SEVERITY: dict[int, int] = {severities}"
    codes = {e["name"]: e["code"] for e in spec["errors"]["error"]}
    yield "# What the codec checks, the first that fails counts: name, error code, requirement. HSL 2.5 P7."
    yield "CODEC_CHECKS: tuple[tuple[str, int, str], ...] = ("
    for check in spec["errors"]["check"]:
        yield f"    {literal((check['name'], codes[check['error']], check['requirement']))},"
    yield ")"
    rules = {field_name(f["name"]): f["rule"] for f in spec["ctl"]["caps"]["fields"]}
    yield f"CAPS_RULES: dict[str, str] = {dict_literal(rules)}"


def _uses(spec: Spec) -> Iterator[str]:
    """Write the fields that opcodes use and the VCs that carry data, by 2.5 P7 and 2.6."""
    vcs = spec.rows("messages", "vc")
    sets = {
        "UNANSWERED": ("have no completion that could carry an error", [not vc["answered"] for vc in vcs]),
        "UNKNOWN_WITH_DATA": ("carry data with an unknown opcode", [vc["unknown"] == "len" for vc in vcs]),
        "WITH_DOM": ("use DOM", [vc["dom"] for vc in vcs]),
    }
    for name, (text, flags) in sets.items():
        codes = ", ".join(str(vc["code"]) for vc, flag in zip(vcs, flags, strict=True) if flag)
        yield f"{name}: frozenset[int] = frozenset({{{codes}}})  # VCs that {text}"
    masks = {row["name"]: row["mask"] for row in spec.rows("opcodes", "x_use")}
    yield f"X_USED: dict[str, int] = {dict_literal(masks)}  # OpInfo.x: bits of X"
    yield "# Class B: the fields behind TXN that the opcode uses, besides QOS and TRACE."
    yield "B_USED: dict[int, tuple[str, ...]] = {"
    for row in spec.rows("opcodes", "opcode"):
        if "uses" in row:
            yield f"    0x{row['code']:02X}: {literal(tuple(field_name(name) for name in row['uses']))},"
    yield "}"


def _link_tables(spec: Spec) -> Iterator[str]:
    link = spec["link"]
    actions = {a["code"]: a["name"] for a in link["action"]}
    yield f"LINK_ACTIONS: dict[str, str] = {dict_literal(actions)}"
    yield f"LINK_PRECEDENCE: tuple[int, ...] = {literal(tuple(link['precedence']))}"
    yield "TRANSMIT_ORDER: tuple[TransmitItem, ...] = ("
    for item in link["transmit"]:
        states = ", ".join(f"LinkState.{s}" for s in item["states"])
        yield f"    TransmitItem({item['rank']}, {quoted(item['item'])}, frozenset({{{states}}})),"
    yield ")"
    yield "LINK_ROWS: tuple[LinkRow, ...] = ("
    for row in link["row"]:
        head = f"{row['number']}, {quoted(row['event'])}, {quoted(row['group'])}, {quoted(row['text'])}"
        yield f"    LinkRow({head}, ("
        for state in link["states"]:
            words, following = parse_cell(row[state])
            yield f"        Cell({literal(words)}, {'LinkState.' + following if following else None}),"
        yield "    )),"
    yield ")"


def _coherence_tables(spec: Spec) -> Iterator[str]:
    coherence = spec["coherence"]
    for name in ("ra", "ha"):
        table = coherence[name]
        upper = name.upper()
        yield f"{upper}_STATES: tuple[str, ...] = {literal(tuple(table['states']))}"
        yield f"{upper}_EVENTS: tuple[str, ...] = {literal(tuple(table['events']))}"
        yield f"{upper}_ACTIONS: tuple[str, ...] = {literal(tuple(coherence['actions'][name]))}"
        yield f"{upper}_TABLE: dict[tuple[str, str], tuple[CoherenceRow, ...]] = {{"
        for key, rows in _by_cell(table).items():
            yield f"    {literal(key)}: ("
            for guards, actions, following in rows:
                yield f"        CoherenceRow({literal(guards)}, {literal(actions)}, {quoted(following)}),"
            yield "    ),"
        yield "}"
    guards = {name: tuple(domain) for name, domain in coherence["ha"]["guards"].items()}
    yield "HA_GUARDS: dict[str, tuple[str, ...]] = {"
    for name, domain in guards.items():
        yield f"    {quoted(name)}: {literal(domain)},"
    yield "}"


def _by_cell(table: dict[str, Any]) -> dict[tuple[str, str], list[tuple[Any, Any, str]]]:
    cells: dict[tuple[str, str], list[tuple[Any, Any, str]]] = {}
    for row in table["row"]:
        guards = tuple((k, tuple(v)) for k, v in row.get("g", {}).items())
        actions = tuple(tuple(a.split()) for a in row["a"])
        for state in row["s"]:
            for event in row["e"]:
                cells.setdefault((state, event), []).append((guards, actions, row["n"]))
    return dict(sorted(cells.items()))
