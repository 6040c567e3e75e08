"""Reports as plain data: one per node, and the report of a demo, which compares both ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hsl._generated.constants import ErrorCode, LinkState, Op, Vc
from hsl.emulator.array_cpu import ArrayCpuDevice
from hsl.emulator.cpu import CpuDevice
from hsl.emulator.device import Device
from hsl.emulator.idle_cpu import IdleCpuDevice
from hsl.link.classify import ENDED_STATES
from hsl.link.events import Event, LinkUp, StateChanged
from hsl.transport.faults import KINDS, FaultInjector, FaultKind

__all__ = ["DEMO_SCHEMA", "NODE_SCHEMA", "History", "demo_report", "node_report", "summed"]

NODE_SCHEMA, DEMO_SCHEMA = "hsl.node/1", "hsl.demo/1"
PERCENTILES = (50, 99)
NAMES = {int(op): op.name for op in Op}
INJECTED = ("damaged", "lost", "prot_lost", "prot_duplicated")  # properties of an injector


ORDERLY = frozenset({"sw_disable", "DISABLE"})  # events by which a session ends as it should


class History:
    """Time of the first link in each state, from the events of its port, and the reasons why links ended.

    Nothing grows with the length of the run.
    """

    def __init__(self) -> None:
        self.state = LinkState.DISABLED
        self.since = 0
        self.times: dict[LinkState, int] = dict.fromkeys(LinkState, 0)
        self.entries: dict[LinkState, int] = dict.fromkeys(LinkState, 0)
        self.up_at: int | None = None
        self.left: dict[int, str] = {}  # link -> the event by which it left the session, "" while it is there

    def see(self, event: Event) -> None:
        """Take one event of the link."""
        if isinstance(event, StateChanged):
            self._move(event)
        if isinstance(event, StateChanged) and event.link == 0:
            self.times[event.old] += event.now - self.since
            self.entries[event.new] += 1
            self.state, self.since = event.new, event.now
        elif isinstance(event, LinkUp) and self.up_at is None:
            self.up_at = event.now

    def _move(self, event: StateChanged) -> None:
        if event.new is LinkState.ACTIVE:
            self.left[event.link] = ""
        elif event.new in ENDED_STATES and self.left.get(event.link) == "":
            self.left[event.link] = event.cause

    @property
    def alive(self) -> int:
        """The links that carried the session to its end: bit i for link i."""
        return sum(1 << link for link, cause in self.left.items() if not cause or cause in ORDERLY)

    def as_dict(self, now: int) -> dict[str, Any]:
        """Times in ns and numbers of entries, of the states that were seen, up to `now`."""
        times = dict(self.times)
        times[self.state] += now - self.since
        return {
            "up_at_ns": self.up_at,
            "ns": {state.name: ns for state, ns in times.items() if ns},
            "entries": {state.name: count for state, count in self.entries.items() if count},
        }


def node_report(
    device: Device,
    history: History,
    injectors: Sequence[FaultInjector],
    now: int,
    reconnections: int = 0,
    clock: str = "virtual",
) -> dict[str, Any]:
    """The report of one node at `now` (ns): link, messages, agents, reads; of a CPU the verified result.

    `clock` names the clock of all its times: "virtual" on the loopback, "wall" of a process on sockets.
    Link and messages are those of port 0, which is the CPU's to the GPU: `link` is the sum of `links`, and
    `alive` the mask of those that were there to the end.
    """
    port = device.node.ports[0]
    links = [link.counters.as_dict() for link in port.links]
    report: dict[str, Any] = {
        "schema": NODE_SCHEMA,
        "node": device.node.name,
        "verified": device.finished,
        "clock": clock,
        "elapsed_ns": now,
        "flit": None if port.result is None else port.result.form,
        "states": history.as_dict(now),
        "alive": history.alive,
        "link": summed(links),
        "links": links,
        "credits": {
            vc.name: {
                "sent": port.credits_sent[vc],
                "received": port.credits_received[vc],
                "waits": port.credit_waits[vc],
            }
            for vc in Vc
        },
        "messages": {"sent": by_name(port.messages_sent), "received": by_name(port.messages_received)},
        "agents": {str(nid): agent.counters.as_dict() for nid, agent in device.node.agents.items()},
        "reads": latencies(device),
        "injected": {name: sum(getattr(injector, name) for injector in injectors) for name in INJECTED},
        "injected_kinds": total(
            {str(kind): hits.total() for kind, hits in injector.counts.items() if hits}
            for injector in injectors
        ),
        "reconnections": reconnections,
        "errors": {
            ErrorCode(code).name: count for code, count in device.node.error_log.counters.items() if count
        },
    }
    if isinstance(device, ArrayCpuDevice):
        report |= {
            "verified": device.finished and device.verified,
            "kernel": device.kernel.name,
            "home": device.home,
            "size": device.size,
            "checks": device.checks,
        }
    if isinstance(device, IdleCpuDevice):
        report |= {"calls": device.calls}
    if isinstance(device, CpuDevice):
        report |= {
            "verified": device.finished and device.verified,
            "kernel": device.kernel.name,
            "input_bytes": len(device.data),
            "checks": device.checks,
            "result": device.result,
            "expected": device.kernel.expected(device.data),
        }
    return report


def summed(links: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The counters of all links of a port together."""
    return {
        name: total(link[name] for link in links)
        if isinstance(value, dict)
        else sum(link[name] for link in links)
        for name, value in links[0].items()
    }


def by_name(counts: Mapping[int, int]) -> dict[str, int]:
    """Return messages per opcode name in the order of the opcodes; an opcode of no table is its number."""
    return {NAMES.get(op, f"{op:#04x}"): counts[op] for op in sorted(counts) if counts[op]}


def latencies(device: Device) -> dict[str, Any]:
    """Coherent reads that missed the cache: how many, and percentiles in ns (None without any)."""
    values = device.read_latencies
    points = np.percentile(values, PERCENTILES).round().astype(int).tolist() if values else [None, None]
    return {"count": device.reads} | {f"p{p}_ns": v for p, v in zip(PERCENTILES, points, strict=True)}


def demo_report(nodes: Mapping[str, dict[str, Any]], setup: dict[str, Any]) -> dict[str, Any]:
    """Both nodes side by side: the result, and whether the counters of both ends agree to the flit."""
    cpu, gpu = nodes["cpu"], nodes["gpu"]
    directions = [direction(cpu, gpu), direction(gpu, cpu)]
    messages = cpu["messages"]["sent"] == gpu["messages"]["received"] and (
        gpu["messages"]["sent"] == cpu["messages"]["received"]
    )
    agree = messages and all(line["agree"] for line in directions)
    return {
        "schema": DEMO_SCHEMA,
        "verified": cpu["verified"] and gpu["verified"] and agree,
        "how": "counters in coherent memory compared with Python's own count of the same bytes; "
        "scratch words of both sides; message and flit counters of both ends",
        **setup,
        "clock": cpu["clock"],
        "engines": cpu["engines"],
        "result": cpu["result"],
        "expected": cpu["expected"],
        "checks": cpu["checks"] | {"messages_agree": messages, "flits_agree": agree},
        "messages": total(node["messages"]["sent"] for node in nodes.values()),
        "flits": sum(sum(node["link"]["flits_sent"].values()) for node in nodes.values()),
        **{
            key: sum(node["link"][key] for node in nodes.values())
            for key in ("replays", "recoveries", "stale")
        },
        "directions": directions,
        "nodes": dict(nodes),
    }


def total(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    """The sum of several counts by name."""
    result: dict[str, int] = {}
    for part in counts:
        for name, value in part.items():
            result[name] = result.get(name, 0) + value
    return result


def direction(sender: dict[str, Any], receiver: dict[str, Any]) -> dict[str, Any]:
    """Flits from one node to the other: what was sent was accepted, dropped, or lost on purpose.

    Some things take flits with them that nobody counts: a connection that was cut, as a truncated frame does
    to a stream, a link that was lost, faults with which a port dies, and datagrams that were lost.
    `unbalanced_by` names them; then no more can have arrived than was sent, and of datagrams no less than the
    lost ones explain.
    """
    sent, got, faults = sender["link"], receiver["link"], sender["injected"]
    dropped = got["prot_duplicate"] + got["prot_gap"] + got["prot_stray"]
    counts: dict[str, Any] = {
        "from": sender["node"],
        "to": receiver["node"],
        "damaged_injected": faults["damaged"],
        "crc_errors": got["crc_errors"],
        "prot_sent": sent["prot_sent"],
        "prot_accepted": got["prot_accepted"],
        "prot_lost_by_injection": faults["prot_lost"],
        "prot_duplicated_by_injection": faults["prot_duplicated"],
        "prot_dropped": dropped,
        "reconnections": receiver["reconnections"],
    }
    missing = sent["prot_sent"] + faults["prot_duplicated"] - got["prot_accepted"] - dropped
    reasons = [kind for kind in sender["injected_kinds"] if not KINDS[FaultKind(kind)].exact]
    reasons += ["reconnection"] if receiver["reconnections"] else []
    reasons += ["link lost"] if receiver["alive"] != (1 << len(receiver["links"])) - 1 else []
    undamaged, unexplained = faults["damaged"] - got["crc_errors"], missing - faults["prot_lost"]
    if reasons:
        agree = undamaged >= 0 and missing >= 0
    else:
        agree = undamaged == unexplained == 0
        if not agree and "datagrams" in receiver:
            reasons = ["udp"]
            lost = sender["datagrams"]["sent"] - receiver["datagrams"]["accepted"]
            agree = 0 <= undamaged <= lost and 0 <= unexplained <= lost
    return counts | {"agree": agree, "unbalanced_by": reasons}
