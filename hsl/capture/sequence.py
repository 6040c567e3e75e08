"""The ladder of a capture: the messages of a line, and what the link repaired (HSL 3.4, 5.3)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from heapq import merge
from itertools import islice
from typing import BinaryIO, Final

from hsl._generated.constants import LINE_BYTES, CtlOp, Err, FlitType, Op, St, Vc
from hsl.capture.ladder import MAX_STEPS, Arrow, Divider, Fate, Kind, Ladder, Lifeline, Note, Step
from hsl.capture.messages import Carried, Landing, carried
from hsl.capture.trace import Clock, Reader
from hsl.codec.ctl import decode_ctl
from hsl.codec.message import Message
from hsl.errors import ConfigError

__all__ = ["sequence"]

KINDS: Final = {
    Vc.REQ: Kind.REQUEST,
    Vc.RWD: Kind.REQUEST,
    Vc.SNP: Kind.SNOOP,
    Vc.RSP: Kind.RESPONSE,
    Vc.DAT: Kind.DATA,
    Vc.MEM: Kind.REQUEST,
    Vc.NCR: Kind.REQUEST,
}
# Of one sending: the fate of its arrow, and the words for it; {seq} is the SEQ of its flit.
FATES: Final = {
    Landing.ACCEPTED: (Fate.ARRIVED, "flit {seq} again"),  # only if it is a repetition
    Landing.LOST: (Fate.LOST, "flit {seq} is lost"),
    Landing.DAMAGED: (Fate.DAMAGED, "flit {seq}: CRC error"),
    Landing.AHEAD: (Fate.IGNORED, "flit {seq} after a gap"),
    Landing.AGAIN: (Fate.IGNORED, "flit {seq} is a duplicate"),
}
WITH_STATE: Final = frozenset({Op.Cmp, Op.CmpData, Op.SnpRsp, Op.SnpRspData})
WITH_ADDRESS: Final = frozenset({Vc.REQ, Vc.RWD, Vc.SNP, Vc.MEM})
NON_COHERENT: Final = frozenset({Op.NcRead, Op.NcWrite, Op.NcEnq})
MAX_OPEN: Final = 1 << 16  # transactions without an answer: what all TXNs of sixteen agents allow
SHORTEST_TEXT: Final = 4  # fewer printable bytes are a number
SHOWN_BYTES: Final = 16  # of data, from the first byte that is not 0

Tag = tuple[int, int, int]


def sequence(
    stream: BinaryIO,
    *,
    title: str,
    line: int | None = None,
    heads: Mapping[str, Lifeline] | None = None,
    notes: Iterable[Note] = (),
) -> Ladder:
    """Return the ladder of the messages in a capture of one session.

    One lifeline per node: first those of `heads`, which gives nodes another head, then the others as they
    appear. `line`: an address; only messages of its 64-byte line are shown, with what the link did to repair
    their flits. `notes` are added by time, before the arrows of the same time; each names a node. Times of a
    capture with a wall clock count from its first flit.

    Raises CaptureError for bytes that are no capture, and ConfigError for a port of several links, whose
    messages cannot be told apart by link, and for steps that are out of order.
    """
    story = _Story(None if line is None else line - line % LINE_BYTES)
    reader = Reader(stream)
    arrows: Iterable[Step] = story.arrows(carried(reader))
    steps = list(islice(merge(notes, arrows, key=_time), MAX_STEPS + 1))
    if len(steps) > MAX_STEPS:
        steps[MAX_STEPS - 1 :] = [Divider(time=steps[MAX_STEPS - 1].time, text="more steps follow")]
    if reader.info is not None and reader.info.clock == Clock.WALL and story.start is not None:
        steps = [replace(step, time=max(step.time - story.start, 0)) for step in steps]
    named = {**(heads or {})}
    named |= {node: Lifeline(node) for node in story.nodes if node not in named}
    return Ladder(
        title=title, lifelines=list(named.values()), steps=[_renamed(step, named) for step in steps]
    )


def _time(step: Step) -> int:
    return step.time


def _renamed(step: Step, named: Mapping[str, Lifeline]) -> Step:
    """The step with the names of lifelines instead of those of nodes."""
    match step:
        case Arrow():
            return replace(step, source=named[step.source].name, target=named[step.target].name)
        case Note() if step.lifeline in named:
            return replace(step, lifeline=named[step.lifeline].name)
    return step


class _Story:
    """Picks the flits that belong to a line; `nodes` are those of the capture, once all is read."""

    def __init__(self, line: int | None) -> None:
        self.line = line
        self.nodes: list[str] = []
        self.start: int | None = None  # time of the first flit
        self._links: dict[tuple[str, str], str] = {}
        self._lines = _Lines()
        # Of each direction, the messages of the line by SEQ, and the SEQs that did not get through.
        self._shown: dict[tuple[str, str], dict[int, list[Message]]] = {}
        self._missing: dict[tuple[str, str], set[int]] = {}

    def arrows(self, flits: Iterable[Carried]) -> Iterator[Arrow]:
        for each in flits:
            if self.start is None:
                self.start = each.time
            way = each.lane.source, each.lane.target
            self._see(way, each.lane.link)
            if each.flit.ft == FlitType.CTL:
                yield from self._nak(each, way)
            elif each.messages:
                yield from self._messages(each, way)

    def _see(self, way: tuple[str, str], link: str) -> None:
        if self._links.setdefault(way, link) != link:
            raise ConfigError(f"{way[0]} and {way[1]} have several links; a ladder needs a port of one link")
        self.nodes += [node for node in way if node not in self.nodes]

    def _nak(self, each: Carried, way: tuple[str, str]) -> Iterator[Arrow]:
        """A NAK is part of the story while a flit of the line is missing at its sender."""
        ctl = decode_ctl(each.flit.payload)
        if ctl.op != CtlOp.NAK or not self._missing.get((way[1], way[0])):
            return
        yield Arrow(
            time=each.time,
            source=way[0],
            target=way[1],
            label="NAK",
            kind=Kind.LINK,
            detail=f"send again from {ctl.body['exp']}",
        )

    def _messages(self, each: Carried, way: tuple[str, str]) -> Iterator[Arrow]:
        seq = each.flit.seq
        shown, missing = self._shown.setdefault(way, {}), self._missing.setdefault(way, set())
        if not each.repeated:
            lines = [(message, self._lines.of(message)) for message in each.messages]
            shown[seq] = [message for message, line in lines if self.line in (None, line)]
        if not shown.get(seq):
            return
        (missing.discard if each.landing in (Landing.ACCEPTED, Landing.AGAIN) else missing.add)(seq)
        fate, words = FATES[each.landing]
        plain = each.landing == Landing.ACCEPTED and not each.repeated
        for message in shown[seq]:
            data = _preview(message.data)
            detail = " ".join(filter(None, (data, "" if plain else words.format(seq=seq))))
            yield Arrow(
                time=each.time,
                source=way[0],
                target=way[1],
                label=_label(message, with_address=self.line is None),
                kind=KINDS[Vc(message.vc)],
                fate=fate,
                detail=detail,
            )


class _Lines:
    """The line of each message: that of the request or snoop that it belongs to. HSL 2.6, 5.3."""

    def __init__(self) -> None:
        # By who asked, who answers, and the tag, until the answer comes.
        self._asked: dict[Tag, int] = {}
        self._snooped: dict[Tag, int] = {}
        self._granted: dict[Tag, int] = {}

    def of(self, message: Message) -> int | None:
        """Return the address of the line; None for a message of no line, or if its request was not seen."""
        answer = message.dst, message.src, message.txn
        match message.op:
            case Op.CmpAck:
                return self._granted.pop(answer, None)
            case Op.SnpRsp | Op.SnpRspData:
                return self._snooped.pop(answer, None)
            case Op.Cmp | Op.CmpData:
                line = self._asked.pop(answer, None)
                if line is not None and message.st != St.I:
                    self._keep(self._granted, (message.src, message.dst, message.htxn), line)
                return line
        if message.vc not in WITH_ADDRESS and message.op not in NON_COHERENT:
            return None
        line = message.addr - message.addr % LINE_BYTES
        tags = self._snooped if message.vc == Vc.SNP else self._asked
        self._keep(tags, (message.src, message.dst, message.txn), line)
        return line

    def _keep(self, tags: dict[Tag, int], tag: Tag, line: int) -> None:
        if len(tags) == MAX_OPEN:
            raise ConfigError(f"capture: more than {MAX_OPEN} transactions that do not end")
        tags[tag] = line


def _label(message: Message, *, with_address: bool) -> str:
    """`CmpData(S)`, `Cmp(I) ERR=DECODE`, `ReadShared 0x40`: as the specification writes them. HSL 1.5."""
    label = Op(message.op).name
    if message.op in WITH_STATE:
        label += f"({St(message.st).name})"
    if message.err:
        label += f" ERR={Err(message.err).name}"
    if message.poison:
        label += " POISON"
    return f"{label} {message.addr:#x}" if with_address and message.vc in WITH_ADDRESS else label


def _preview(data: bytes) -> str:
    """The data in a few characters: text in quotes, else hex; nothing for zeros."""
    some = data.strip(b"\0")
    cut = "..." if len(some) > SHOWN_BYTES else ""
    some = some[:SHOWN_BYTES]
    if len(some) >= SHORTEST_TEXT and some.isascii() and some.decode("ascii").isprintable():
        return f'"{some.decode("ascii")}{cut}"'
    return f"{some.hex()}{cut}"
