"""The operations that a capture of links shows: non-allocating accesses, by words of 8 bytes (HSL 5.3, 5.9).

A capture does not show hits in caches, accesses of agents in the node of the home, nor in which order a
program meant its accesses to different lines. So only words are judged that nothing but whole, non-allocating
accesses on these links can have changed; the others are counted with the reason. The initial value of a word
is the one value that was read and never written.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from hsl._generated.constants import LINE_BYTES, Aop, Op, St, Vc
from hsl.agents import atomics
from hsl.agents.atomics import extract
from hsl.capture import Reader
from hsl.capture.messages import carried
from hsl.codec.message import Message
from hsl.errors import ConfigError
from hsl.verify.trace_operation import MAX_OPERATIONS, Trace, TraceOperation

__all__ = ["Seen", "operations_of"]

WORD = 8
MAX_WORDS = 1 << 23  # that are not judged: 700 MB, of the lines of an input of 64 MiB
MAX_OPEN = 1 << 16  # requests without completion: what all TXNs of sixteen agents allow
_ONE_VALUE = (Op.ReadOnce, Op.WriteFull, Op.WritePtl, Op.AtomicLoad)

CACHED, PARTIAL, UNSEEN, TWICE, FAILED = (
    "a cache held it", "part of it was written", "values from elsewhere", "a value written twice",
    "a write without an end",
)  # fmt: skip


class Seen(NamedTuple):
    """The trace, how many words it judges, and how many it does not, by reason."""

    trace: Trace
    words: int
    unjudged: dict[str, int]


class _Sent(NamedTuple):
    message: Message
    flit: int
    time: int


def operations_of(stream: BinaryIO) -> Seen:
    """The operations of a capture. Raises CaptureError, and ConfigError beyond the caps."""
    found: list[TraceOperation] = []
    unjudged: dict[int, str] = {}
    for request, answer in _exchanges(stream, unjudged):
        for operation in _words(request, answer, unjudged):
            found.append(operation)
            if len(found) > MAX_OPERATIONS * WORD:
                raise ConfigError(f"capture: more than {MAX_OPERATIONS * WORD} accesses of words")
    found.sort(key=lambda each: each.source)
    return _judged(found, unjudged)


def _exchanges(stream: BinaryIO, unjudged: dict[int, str]) -> Iterator[tuple[_Sent, _Sent]]:
    """Requests with their completions, as they complete; marks lines that caches hold."""
    pending: dict[tuple[int, int], _Sent] = {}
    for each in _messages(stream):
        message = each.message
        if message.vc in (Vc.REQ, Vc.RWD):
            if message.op not in _ONE_VALUE:
                _mark(unjudged, message.addr, PARTIAL if message.op == Op.AtomicStore else CACHED)
            pending[message.src, message.txn] = each
            if len(pending) > MAX_OPEN:
                raise ConfigError(f"capture: more than {MAX_OPEN} requests without completion")
        elif message.vc == Vc.SNP:
            _mark(unjudged, message.addr, CACHED)
        elif message.op in (Op.Cmp, Op.CmpData):
            request = pending.pop((message.dst, message.txn), None)
            if request is not None and request.message.op in _ONE_VALUE and message.st == St.I:
                yield request, each
    for request in pending.values():
        if request.message.vc == Vc.RWD:
            _mark(unjudged, request.message.addr, FAILED)


def _messages(stream: BinaryIO) -> Iterator[_Sent]:
    """The messages of all lanes, in the order in which the flits that end them were first sent."""
    for each in carried(Reader(stream)):
        if not each.repeated:
            for message in each.messages:
                yield _Sent(message, each.number, each.time)


def _mark(unjudged: dict[int, str], addr: int, why: str) -> None:
    first = addr - addr % LINE_BYTES
    for word in range(first, first + LINE_BYTES, WORD):
        unjudged.setdefault(word, why)
    if len(unjudged) > MAX_WORDS:
        raise ConfigError(f"capture: more than {MAX_WORDS} words; give it in parts")


def _words(request: _Sent, answer: _Sent, unjudged: dict[int, str]) -> Iterator[TraceOperation]:
    """The accesses of words that one exchange is."""
    message, end = request.message, answer.message
    plain = TraceOperation(
        message.src,
        "",
        line=message.addr // LINE_BYTES,
        begin=request.time,
        end=answer.time,
        flits=tuple(dict.fromkeys((request.flit, answer.flit))),
        source=request.flit,
    )
    if end.err or end.poison or message.poison:
        if message.vc == Vc.RWD:
            _mark(unjudged, message.addr, FAILED)
    elif message.op == Op.ReadOnce:
        for at, read in enumerate(_values(end.data)):
            yield plain._replace(kind="load", addr=message.addr + at * WORD, read=read)
    elif message.op == Op.AtomicLoad:
        yield from _atomic(message, end, plain, unjudged)
    else:
        for at, value in enumerate(_values(message.data)):
            enabled = message.enables >> at * WORD & 0xFF
            if enabled == 0xFF:
                yield plain._replace(kind="store", addr=message.addr + at * WORD, value=value)
            elif enabled:
                unjudged.setdefault(message.addr + at * WORD, PARTIAL)


def _values(data: bytes) -> Iterator[int]:
    return (int.from_bytes(data[at : at + WORD], "little") for at in range(0, len(data), WORD))


def _atomic(
    message: Message, end: Message, plain: TraceOperation, unjudged: dict[int, str]
) -> Iterator[TraceOperation]:
    """An atomic of a word is a read and a write at once; of other sizes the words are set aside."""
    if message.x & 3 != 1 or message.aop in (Aop.FADD32, Aop.FADD64):
        _mark(unjudged, message.addr, PARTIAL)
        return
    old = extract(WORD, message.addr, end.data)
    new, _ = atomics.apply(message.aop, WORD, old, message.data)
    read, value = int.from_bytes(old, "little"), int.from_bytes(new, "little")
    kind = {"kind": "load"} if read == value else {"kind": "atomic", "value": value}
    yield plain._replace(addr=message.addr, read=read, **kind)


def _unwritten(values: list[int]) -> int:
    """Return the lowest number that was not written."""
    taken = set(values)
    return next(number for number in range(len(taken) + 1) if number not in taken)


def _judged(found: list[TraceOperation], unjudged: dict[int, str]) -> Seen:
    """Return the words that can be judged: their values tell writes apart and come from these links."""
    written: dict[int, list[int]] = defaultdict(list)
    read: dict[int, set[int]] = defaultdict(set)
    for each in found:
        if each.value is not None:
            written[each.addr].append(each.value)
        if each.read is not None:
            read[each.addr].add(each.read)
    initial: dict[int, int] = {}
    for addr in {each.addr for each in found}:
        elsewhere = read[addr] - set(written[addr])
        if len(elsewhere) > 1:
            unjudged.setdefault(addr, UNSEEN)
        elif len(set(written[addr])) < len(written[addr]):
            unjudged.setdefault(addr, TWICE)
        elif elsewhere:
            initial[addr] = elsewhere.pop()
    kept = [each for each in found if each.addr not in unjudged]
    if len(kept) > MAX_OPERATIONS:
        raise ConfigError(f"capture: {len(kept)} accesses to judge; expected at most {MAX_OPERATIONS}")
    words = {each.addr for each in kept}
    free = {addr: _unwritten(written[addr]) for addr in words - initial.keys()}
    trace = Trace(kept, {addr: value for addr, value in (initial | free).items() if addr in words})
    return Seen(trace, len(words), dict(Counter(unjudged.values())))
