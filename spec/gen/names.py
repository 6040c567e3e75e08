"""The enumerations of the specification: where each stands, what its values are, what Python calls it."""

from __future__ import annotations

from typing import NamedTuple

from spec.gen.load import Spec


class Enum(NamedTuple):
    """A table of named values. key: `code` and `offset` are numbers, `bit` is a bit number."""

    doc: str
    key: str
    python: str


ENUMS: dict[str, Enum] = {  # by table
    "flit_type": Enum("flits", "code", "FlitType"),
    "format": Enum("flits", "bit", "FlitSize"),
    "vc": Enum("messages", "code", "Vc"),
    "state": Enum("messages", "code", "St"),
    "err": Enum("messages", "code", "Err"),
    "role": Enum("messages", "bit", "Role"),
    "opcode": Enum("opcodes", "code", "Op"),
    "aop": Enum("atomics", "code", "Aop"),
    "ctl": Enum("ctl", "code", "CtlOp"),
    "flag": Enum("ctl", "bit", "CtlFlag"),
    "atomic_class": Enum("ctl", "bit", "AtomicClass"),
    "security": Enum("ctl", "bit", "Security"),
    "power": Enum("ctl", "bit", "Power"),
    "feature": Enum("ctl", "bit", "Feature"),
    "severity": Enum("errors", "code", "Severity"),
    "error": Enum("errors", "code", "ErrorCode"),
    "sam_type": Enum("address_map", "code", "SamType"),
    "right": Enum("address_map", "bit", "Right"),
    "node_class": Enum("address_map", "code", "NodeClass"),
    "register": Enum("address_map", "offset", "Register"),
    "err_msg": Enum("non_coherent", "code", "ErrMsgKind"),
    "page_code": Enum("non_coherent", "code", "PageCode"),
    "fence_command": Enum("non_coherent", "code", "FenceCommand"),
    "mgmt_type": Enum("non_coherent", "code", "MgmtType"),
    "log_op": Enum("non_coherent", "code", "LogOp"),
    "ut_op": Enum("non_coherent", "code", "UtOp"),
    "system_nid": Enum("reference_system", "code", "SystemNid"),
    "page_register": Enum("reference_system", "offset", "PageRegister"),
    "job_vector": Enum("reference_system", "code", "JobVector"),
    "kernel": Enum("reference_system", "code", "Kernel"),
}


def values(spec: Spec, table: str) -> dict[str, int]:
    """Names and numbers (codes, bit numbers, offsets) of an enumeration."""
    doc, key, _ = ENUMS[table]
    return {row["name"]: row[key] for row in spec.rows(doc, table)}
