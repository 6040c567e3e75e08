"""Names and codes: none twice, none unknown, and the small rules of single tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from spec.gen.emit_litmus import BETWEEN
from spec.gen.load import Refusal, Row, Spec
from spec.gen.names import ENUMS

# An access of a litmus thread: an operation, with the stream of an NCR, then a register, if it reads, and a
# location; or a fence.
ACCESS = re.compile(r"fence(\.(ld|st|nc))*|[a-z_]+(\.s\d+)? (r\d+,)?[a-qs-z]\w*(,\w+)*", re.ASCII)
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
UNIQUE = (  # document, table, keys that no two rows share
    *((enum.doc, table, ("name", enum.key)) for table, enum in ENUMS.items()),
    ("profile", "limit", ("name",)),
    ("flits", "header", ("name",)),
    ("flits", "crc", ("name", "ident")),
    ("flits", "golden", ("name",)),
    ("messages", "header", ("name",)),
    ("opcodes", "x_use", ("name",)),
    ("atomics", "size", ("code", "bytes")),
    ("atomics", "float", ("aop",)),
    ("credits", "minimum", ("vc",)),
    ("bindings", "binding", ("name", "uri")),
    ("bindings", "frame", ("binding",)),
    ("address_map", "entry", ("name", "base")),
    ("non_coherent", "record", ("name",)),
    ("reference_system", "record", ("name",)),
    ("errors", "check", ("name",)),
    ("timers", "timer", ("name", "order")),
    ("timers", "count", ("name",)),
    ("timers", "instant", ("step",)),
    ("requirements", "chapter", ("name", "title", "file")),
    ("requirements", "requirement", ("id",)),
)
REFERENCES = (  # document, table, key; document, table and key that must have the value (or each value)
    ("messages", "vc", "receivers", "messages", "role", "name"),
    ("opcodes", "opcode", "vc", "messages", "vc", "name"),
    ("opcodes", "opcode", "x", "opcodes", "x_use", "name"),
    ("opcodes", "opcode", "completion", "opcodes", "opcode", "name"),
    ("opcodes", "opcode", "grants", "messages", "state", "name"),
    ("opcodes", "opcode", "feature", "ctl", "feature", "name"),
    ("opcodes", "opcode", "right", "address_map", "right", "name"),
    ("atomics", "aop", "class", "ctl", "atomic_class", "name"),
    ("atomics", "aop", "sizes", "atomics", "size", "bytes"),
    ("atomics", "float", "aop", "atomics", "aop", "name"),
    ("credits", "minimum", "vc", "messages", "vc", "name"),
    ("errors", "error", "severity", "errors", "severity", "code"),
    ("errors", "check", "error", "errors", "error", "name"),
    ("errors", "check", "requirement", "requirements", "requirement", "id"),
    ("bindings", "frame", "binding", "bindings", "binding", "name"),
    ("ctl", "caps.fields", "of", "ctl", "caps.fields", "name"),
    ("requirements", "requirement", "chapter", "requirements", "chapter", "name"),
)
NEEDED = (  # document, table, names without which the generator has nothing to say
    (
        "profile",
        "limit",
        "LINE_BYTES GRANULE_BYTES SEQ_MODULUS ACK_NONE MAX_CREDITS MAX_LINKS MAX_TU_EXP HOME_TU_ABOVE "
        "CREDIT_RETURN_TU",
    ),
    ("flits", "crc", "CRC-32C"),
    ("messages", "header", "COMMON A0 A1 B0"),
    ("ctl", "ctl", "HELLO CAPS"),
    ("timers", "count", "N_REPLAY N_RECOV N_REQ_MEM N_REQ_LOSS"),
    ("timers", "timer", "T_STATE T_DEADKA T_REPLAY T_NAK T_ACK T_CR T_KA T_SNP T_MEM T_CACK T_REQ T_LOSS"),
)
NEEDED_FIELDS = (("A0", "BE POISON AOP DOM"), ("A1", "X ADDR"), ("B0", "ST"))  # header, its fields, as above
IDENTIFIERS = (  # document, table, key whose values become names in Python and C
    *((enum.doc, table, "name") for table, enum in ENUMS.items()),
    ("profile", "limit", "name"),
    ("flits", "header", "name"),
    ("flits", "crc", "ident"),
    ("messages", "header", "name"),
    ("address_map", "entry", "name"),
    ("non_coherent", "record", "name"),
    ("reference_system", "record", "name"),
    ("timers", "count", "name"),
)
WORDS = (  # document, table, key, legal words
    ("messages", "vc", "header", "A B"),
    ("messages", "vc", "unknown", "none len"),
    ("opcodes", "opcode", "data", "none len"),
    ("opcodes", "opcode", "be", "0 any"),
    ("opcodes", "opcode", "align", "line data atomic zero none"),
    ("opcodes", "opcode", "aop", "zero atomic stream"),
    ("opcodes", "opcode", "order", "stream translation management none"),
    ("ctl", "caps.fields", "rule", "version highest guid min nack max slow bits security result zero"),
    ("address_map", "entry", "access", "RO RW"),
    ("address_map", "register", "access", "RO RW"),
    ("non_coherent", "ut_op", "moves", "none write line operand read intr"),
    ("timers", "timer", "scope", "link port transaction"),
    ("timers", "timer", "unit", "TU_EXP SLOW_EXP"),
    ("requirements", "requirement", "level", "MUST SHOULD MAY RESERVED"),
    ("requirements", "requirement", "role", "link home cache memory io"),
    ("requirements", "requirement", "control", "C0 C1 C2 C3"),
)


def check(spec: Spec) -> Iterator[Refusal]:
    """All refusals about names and codes."""
    for doc, table, keys in UNIQUE:
        for key in keys:
            yield from _unique(spec.rows(doc, table), table, key)
    for doc, table, key, *target in REFERENCES:
        known = {row[target[2]] for row in spec.rows(target[0], target[1])}
        yield from _known(spec.rows(doc, table), table, key, known)
    for doc, table, key, words in WORDS:
        yield from _known(spec.rows(doc, table), table, key, set(words.split()))
    for doc, table, names in NEEDED:
        have = {row["name"] for row in spec.rows(doc, table)}
        for name in names.split():
            if name not in have:
                yield spec[doc].refuse(f"there is no {table} {name}, which the generator needs", table)
    headers = {row["name"]: row for row in spec.rows("messages", "header")}
    for header, names in NEEDED_FIELDS:
        have = {
            field["name"]
            for row in (headers.get(header), headers.get("COMMON"))
            if row
            for field in row["fields"]
        }
        for name in names.split():
            if header in headers and name not in have:
                yield headers[header].refuse(
                    f"{header} has no field {name}, which the generator needs", "name"
                )
    for doc, table, key in IDENTIFIERS:
        for row in spec.rows(doc, table):
            if not IDENTIFIER.fullmatch(row[key]):
                yield row.refuse(f"{table}: {row[key]} is not an identifier", key)
    for opcode in spec.rows("opcodes", "opcode"):
        yield from _opcode(spec, opcode)
    yield from _credits(spec)
    yield from _timers(spec)
    yield from _litmus(spec)


def _unique(rows: Iterable[Row], table: str, key: str) -> Iterator[Refusal]:
    seen: dict[Any, Row] = {}
    for row in rows:
        value = row[key]
        if value in seen:
            yield row.refuse(
                f"{table}: {key} {_show(value)} is used at line {seen[value].lines[key]} already", key
            )
        seen.setdefault(value, row)


def _show(value: Any) -> str:
    return f"0x{value:02X}" if isinstance(value, int) and value > 9 else str(value)


def _known(rows: Iterable[Row], table: str, key: str, known: set[Any]) -> Iterator[Refusal]:
    for row in rows:
        value = row.get(key, [])
        if key == "right":  # letters, one a right
            value = list(value)
        for item in value if isinstance(value, list) else [value]:
            if item not in known:
                yield row.refuse(f"{table}: unknown {key} {item}", key)


def _opcode(spec: Spec, opcode: Row) -> Iterator[Refusal]:
    name, code = opcode["name"], opcode["code"]
    vcs = {vc["name"]: vc["code"] for vc in spec.rows("messages", "vc")}
    if opcode["vc"] in vcs and code >> 5 != vcs[opcode["vc"]]:
        yield opcode.refuse(
            f"{name}: OP[7:5] of 0x{code:02X} is {code >> 5}, {opcode['vc']} is VC {vcs[opcode['vc']]}",
            "code",
        )
    for length in opcode["len"]:
        if length > 3:
            yield opcode.refuse(f"{name}: LEN {length} does not fit 2 bits", "len")
    if ("order" in opcode) != (opcode["vc"] == "NCR"):
        yield opcode.refuse(f"{name}: order is for the opcodes of NCR, all of them", "name")
    yield from _uses(spec, opcode)
    carriers = {o["name"] for o in spec.rows("opcodes", "opcode") if o["vc"] in ("RSP", "DAT")}
    for completion in opcode["completion"]:
        if completion not in carriers:
            yield opcode.refuse(f"{name}: completion {completion} is not in RSP or DAT", "completion")


def _uses(spec: Spec, opcode: Row) -> Iterator[Refusal]:
    """`uses` stands with the opcodes of class B, and with no other."""
    name, short = opcode["name"], {vc["name"] for vc in spec.rows("messages", "vc") if vc["header"] == "B"}
    if ("uses" in opcode) != (opcode["vc"] in short):
        yield opcode.refuse(f"{name}: uses is for the opcodes of class B, all of them", "name")
    own = {
        f["name"]
        for header in spec.rows("messages", "header")
        if header["name"] == "B0"
        for f in header["fields"]
    }
    for field in opcode.get("uses", []):
        if field not in own:
            yield opcode.refuse(f"{name}: uses {field}, which is not a field of B0", "uses")


def _credits(spec: Spec) -> Iterator[Refusal]:
    document = spec["credits"]
    vcs = [vc["name"] for vc in spec.rows("messages", "vc")]
    limits = {limit["name"]: limit["value"] for limit in spec.rows("profile", "limit")}
    most = limits.get("MAX_CREDITS", 0)
    for name in document["wheel"]:
        if name not in vcs:
            yield document.refuse(f"wheel: unknown VC {name}", "wheel")
    minima = {row["vc"] for row in document["minimum"]}
    for name in vcs:
        if name not in document["wheel"]:
            yield document.refuse(f"wheel: {name} never gets a turn", "wheel")
        if name not in minima:
            yield document.refuse(f"no minimum for {name}", "minimum")
    for row in document["minimum"]:
        if not 1 <= row["credits"] <= most:
            yield row.refuse(f"minimum of {row['vc']}: {row['credits']} is not in 1..{most}", "credits")


def _timers(spec: Spec) -> Iterator[Refusal]:
    for place, timer in enumerate(spec.rows("timers", "timer"), 1):
        if timer["order"] != place:
            yield timer.refuse(f"{timer['name']} has order {timer['order']}, its place is {place}", "order")
        if not timer["tu"]:
            yield timer.refuse(f"{timer['name']} expires at once", "tu")


def _litmus(spec: Spec) -> Iterator[Refusal]:
    """Check the rules of the litmus emitter: accesses of threads, one mark for each thread that has two."""
    for shape in spec.rows("litmus", "shape") if "litmus" in spec.docs else ():
        threads = [thread.split("; ") for thread in shape["threads"]]
        for access in (access for thread in threads for access in thread):
            if not ACCESS.fullmatch(access):
                yield shape.refuse(
                    f"{shape['name']}: {access!r} is not an access of a litmus test", "threads"
                )
        pairs = sum(len(thread) == 2 for thread in threads)
        for variant in shape["variants"]:
            marks = variant.split("+")
            if not BETWEEN.keys() >= set(marks) or len(marks) < pairs:
                yield shape.refuse(f"{shape['name']}: {variant!r} does not mark {pairs} threads", "variants")
