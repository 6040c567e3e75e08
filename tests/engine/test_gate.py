"""The gate of a port: what a session leaves to the next (HSL 6.2 F8, 6.3)."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from hsl._generated.constants import PROTO_LIMIT, PROTO_WINDOW_TU, Op, Vc
from hsl.codec.message import Message
from hsl.engine.gate import Gate


class Still:
    """A port that is up, and what its gate asked of it."""

    def __init__(self) -> None:
        self.up = True
        self.hold = False
        self.loss = SimpleNamespace(admit=lambda: None)
        self.links: list[Any] = []
        self.messages_sent: Counter[int] = Counter()
        self.here: list[Message] = []
        self.released: list[int] = []
        self.fatals = 0

    def messages(self) -> list[Message]:
        taken, self.here = self.here, []
        return taken

    def release(self, vc: int) -> None:
        self.released.append(vc)

    def fatal(self, *_: Any) -> None:
        self.fatals += 1


def opened() -> tuple[Gate, Still]:
    """A gate whose session has begun."""
    port = Still()
    gate = Gate(0, port, frozenset({0}))  # type: ignore[arg-type]
    gate.open(range(16, 20), 1, 1, 0)
    return gate, port


def test_a_credit_that_is_held_back_ends_with_its_session() -> None:
    """A credit that the token bucket delays is not returned in the next session, which has new ones.

    HSL 6.2 F8.
    """
    gate, port = opened()
    gate.bucket.set(1, 1, 0)
    for _ in range(3):
        gate.release(Vc.REQ)
    assert port.released == [Vc.REQ]
    gate.close()
    gate.open(range(16, 20), 1, 1, 10)
    gate.tick(1 << 20)
    assert port.released == [Vc.REQ], "6.2 F8: the credits of a session end with it"


def test_messages_of_a_lost_session_accuse_nobody() -> None:
    """A message that the gate has not taken before LINK_DOWN is dropped; the error log names no forgery.

    HSL 6.2 F8.
    """
    gate, port = opened()
    port.here = [Message(Op.ReadShared, 16, 0, 1, 3)]
    gate.close()
    gate.collect(1)
    assert (gate.waiting, list(gate.log.entries)) == (0, []), "6.3: its SRC was that of a node of the port"


def test_the_window_of_errors_begins_with_the_session() -> None:
    """PROTO_LIMIT errors within 2^20 TU from LINK_UP end a port, whenever LINK_UP was.

    HSL 6.3 [HSL-SEC-003].
    """
    gate, port = opened()
    gate.close()
    gate.open(range(16, 20), 1, 1, PROTO_WINDOW_TU - 10)
    for i in range(PROTO_LIMIT):
        gate.proto(PROTO_WINDOW_TU - 5 + i)
    assert port.fatals == 1, "6.3: all in the first window of the session"


def test_the_rate_of_a_port_is_counted_in_its_tu() -> None:
    """RATE is messages in 1,024 TU of the session. HSL 6.3, 5.14."""
    gate, _ = opened()
    gate.close()
    gate.open(range(16, 20), 1000, 1000, 0)
    gate.bucket.set(1, 1, 0)
    for _ in range(2):
        gate.release(Vc.REQ)
    assert gate.next_deadline() == 1024 * 1000
