"""Every table has the keys that it must have, of the right type, and no others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spec.gen.load import Refusal, Row, Spec

# table: "key:type ...". str: printable, not empty; num: a number, or "0x..." beyond 63 bits.
# `?` may be missing, `*` any other key. A key of type table or tables has its own shape, one name deeper.
FIELD = "name:str text:str enum:str? reserved:bool?"
TABLE = "states:strs events:strs row:tables"
SHAPES: dict[str, str] = {
    "profile": "name:str short:str major:int minor:int sentence:str limit:tables",
    "profile.limit": "name:str value:int section:str text:str",
    "flits": "format:tables header:tables flit_type:tables crc:tables golden:tables",
    "flits.format": "name:str bit:int bytes:int header:strs payload:table crc:table",
    "flits.format.payload": "offset:int granules:int",
    "flits.format.crc": "name:str offset:int",
    "flits.header": "name:str offset:int bits:int fields:tables",
    "flits.header.fields": f"{FIELD} bits:str",
    "flits.flit_type": "code:int name:str text:str",
    "flits.crc": "name:str ident:str bits:int poly:num init:num xorout:num reflected:bool check:num "
    "distance:int",
    "flits.golden": "name:str format:str text:str hex:str",
    "messages": "vc:tables header:tables state:tables err:tables role:tables",
    "messages.vc": "code:int name:str header:str answered:bool unknown:str dom:bool receivers:strs text:str",
    "messages.header": "name:str granule:int extends:str? fields:tables",
    "messages.header.fields": f"{FIELD} bits:str",
    "messages.state": "code:int name:str text:str?",
    "messages.err": "code:int name:str text:str",
    "messages.role": "bit:int name:str text:str",
    "opcodes": "x_use:tables opcode:tables",
    "opcodes.x_use": "name:str mask:int",
    "opcodes.opcode": "code:int name:str vc:str data:str len:ints be:str align:str x:str aop:str "
    "order:str? sinks:bool? repeated:bool? uses:strs? completion:strs grants:strs feature:str? right:str? "
    "section:str text:str",
    "atomics": "aop:tables size:tables float:tables",
    "atomics.aop": "code:int name:str store:bool sizes:ints class:str text:str",
    "atomics.size": "code:int bytes:int",
    "atomics.float": "aop:str lanes:int exponent:int fraction:int nan:int",
    "ctl": "header:table body:table flag:tables ctl:tables caps:table atomic_class:tables security:tables "
    "power:tables feature:tables",
    "ctl.header": "bytes:int fields:tables",
    "ctl.header.fields": f"{FIELD} offset:int type:str",
    "ctl.body": "offset:int bytes:int",
    "ctl.flag": "bit:int name:str text:str?",
    "ctl.ctl": "code:int name:str text:str fields:tables",
    "ctl.ctl.fields": f"{FIELD} offset:int type:str value:str?",
    "ctl.caps": "bytes:int fields:tables",
    "ctl.caps.fields": f"{FIELD} offset:int type:str rule:str of:str?",
    "ctl.atomic_class": "bit:int name:str text:str",
    "ctl.security": "bit:int name:str text:str",
    "ctl.power": "bit:int name:str text:str",
    "ctl.feature": "bit:int name:str text:str",
    "credits": "wheel:strs minimum:tables",
    "credits.minimum": "vc:str credits:int",
    "bindings": "queue_flits:int frame_timeout_tu:int binding:tables frame:tables",
    "bindings.binding": "name:str uri:str overhead:int text:str magic:str? version:int?",
    "bindings.frame": "binding:str fields:tables",
    "bindings.frame.fields": f"{FIELD} offset:int type:str",
    "address_map": "sam_type:tables right:tables node_class:tables entry:tables register:tables",
    "address_map.sam_type": "code:int name:str text:str",
    "address_map.right": "bit:int name:str text:str",
    "address_map.node_class": "code:int name:str text:str",
    "address_map.entry": "name:str access:str base:int stride:int count:int sparse:bool? fields:tables",
    "address_map.entry.fields": f"{FIELD} granule:int bits:str",
    "address_map.register": "name:str offset:int access:str text:str fields:tables?",
    "address_map.register.fields": f"{FIELD} granule:int bits:str",
    "non_coherent": "err_msg:tables page_code:tables fence_command:tables mgmt_type:tables log_op:tables "
    "ut_op:tables record:tables log_entry:table",
    "non_coherent.err_msg": "code:int name:str text:str",
    "non_coherent.page_code": "code:int name:str text:str",
    "non_coherent.fence_command": "code:int name:str text:str",
    "non_coherent.mgmt_type": "code:int name:str text:str",
    "non_coherent.log_op": "code:int name:str text:str",
    "non_coherent.ut_op": "code:int name:str access:str moves:str text:str",
    "non_coherent.record": "name:str bytes:int text:str fields:tables",
    "non_coherent.record.fields": f"{FIELD} granule:int bits:str",
    "non_coherent.log_entry": "bytes:int fields:tables",
    "non_coherent.log_entry.fields": f"{FIELD} offset:int type:str",
    "reference_system": "system_nid:tables page_register:tables job_vector:tables kernel:tables "
    "record:tables",
    "reference_system.system_nid": "code:int name:str text:str",
    "reference_system.page_register": "offset:int name:str text:str",
    "reference_system.job_vector": "code:int name:str text:str",
    "reference_system.kernel": "code:int name:str text:str",
    "reference_system.record": "name:str bytes:int text:str fields:tables",
    "reference_system.record.fields": f"{FIELD} granule:int bits:str",
    "errors": "severity:tables error:tables check:tables",
    "errors.severity": "code:int name:str text:str",
    "errors.error": "code:int name:str severity:int reaction:str text:str",
    "errors.check": "name:str error:str requirement:str text:str",
    "timers": "tu_exponent_hardware:int tu_exponent_software:int round_trip_tu:int timer:tables count:tables "
    "instant:tables",
    "timers.timer": "name:str tu:int unit:str scope:str order:int starts:str restarts:str stops:str "
    "expiry:str",
    "timers.count": "name:str value:int text:str",
    "timers.instant": "step:str",
    "litmus": "shape:tables",
    "litmus.shape": "name:str text:str threads:strs exists:str registers:str? variants:strs",
    "link": "states:strs precedence:ints up_states:strs transmit:tables word:tables action:tables row:tables",
    "link.transmit": "rank:int item:str states:strs text:str",
    "link.word": "code:str text:str",
    "link.action": "code:str name:str text:str",
    "link.row": "number:int event:str group:str text:str *:str",
    "coherence": "format:int order:table actions:table ra:table ha:table mt:table",
    "coherence.order": "checks:strs",
    "coherence.actions": "ra:table ha:table",
    "coherence.actions.ra": "*:str",
    "coherence.actions.ha": "*:str",
    "coherence.ra": TABLE,
    "coherence.ra.row": "s:strs e:strs a:strs n:str",
    "coherence.ha": f"{TABLE} ops:strs guards:table meaning:table impossible:tables",
    "coherence.ha.guards": "*:strs",
    "coherence.ha.meaning": "*:str",
    "coherence.ha.impossible": "s:strs g:table",
    "coherence.ha.impossible.g": "*:strs",
    "coherence.ha.row": "s:strs e:strs g:table? a:strs n:str",
    "coherence.ha.row.g": "*:strs",
    "coherence.mt": "row:tables",
    "coherence.mt.row": "e:strs a:strs",
    "requirements": "chapter:tables requirement:tables",
    "requirements.chapter": "name:str title:str file:str",
    "requirements.requirement": "id:str level:str role:strs chapter:str passive:bool control:str text:str",
}


def check(spec: Spec) -> Iterator[Refusal]:
    """Missing documents and keys, unknown keys, wrong types."""
    for name, doc in spec.docs.items():
        if name in SHAPES:
            yield from _table(doc, name)
        else:
            yield doc.refuse(f"unknown document {name}.toml")
    for name in SHAPES:
        if "." not in name and name not in spec.docs:
            yield next(iter(spec.docs.values())).refuse(f"there is no {name}.toml beside this document")


def _table(row: Row, path: str) -> Iterator[Refusal]:
    wanted = dict(word.split(":") for word in SHAPES[path].split())
    for key, kind in wanted.items():
        if key not in row and key != "*" and not kind.endswith("?"):
            yield row.refuse(f"{path} without {key}")
    for key, value in row.items():
        expected = (wanted.get(key) or wanted.get("*") or "").rstrip("?")
        if not expected:
            yield row.refuse(f"unknown key {key} in {path}", key)
        elif not _fits(value, expected):
            yield row.refuse(f"{path}.{key} is not of type {expected}", key)
        elif expected == "table":
            yield from _table(value, f"{path}.{key}")
        elif expected == "tables":
            for item in value:
                yield from _table(item, f"{path}.{key}")


def _fits(value: Any, kind: str) -> bool:
    match kind:
        case "int":
            return _natural(value)
        case "num":
            return _natural(value) or (isinstance(value, str) and _hexadecimal(value))
        case "str":
            return isinstance(value, str) and value != "" and value.isprintable()
        case "bool":
            return isinstance(value, bool)
        case "table":
            return isinstance(value, Row)
    item = {"strs": "str", "ints": "int", "tables": "table"}[kind]
    return isinstance(value, list) and all(_fits(v, item) for v in value)


def _natural(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _hexadecimal(text: str) -> bool:
    return text[:2] == "0x" and text[2:] != "" and not set(text[2:]) - set("0123456789abcdefABCDEF")
