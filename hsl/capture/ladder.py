"""A ladder: a message sequence chart as a plain value, and its two renderings, SVG and text.

Rows run down in the order of time; each has its own height, so distances say nothing about durations. All
text is set in a monospaced font, so that the width of a text is known without the font.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple
from xml.sax.saxutils import escape

from hsl.errors import ConfigError
from hsl.nearest import expected

__all__ = ["Arrow", "Divider", "Fate", "Kind", "Ladder", "Lifeline", "Note", "Step", "to_svg", "to_text"]

# A picture with more is not read; a caller that has more shows a part and a Divider for the rest.
MAX_STEPS: Final = 1000
# In 80 columns each lifeline keeps 8 characters for the label of an arrow to its neighbour.
MAX_LIFELINES: Final = 8


class Kind(StrEnum):
    """The kind of an arrow, which decides its colour."""

    REQUEST = "request"
    SNOOP = "snoop"
    RESPONSE = "response"
    DATA = "data"
    LINK = "link"  # below the messages: the link repairs something


class Fate(StrEnum):
    """The fate of an arrow on its way."""

    ARRIVED = "arrived"
    LOST = "lost"  # it ends before the target
    DAMAGED = "damaged"  # it reaches the target, and the target drops it
    IGNORED = "ignored"  # it reaches the target whole, and the target drops it


class Lifeline(NamedTuple):
    """One participant; `about` is a second line of its head."""

    name: str
    about: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A message from one lifeline to another. `time` in ns; `detail` is shown dimmed below the label."""

    time: int
    source: str
    target: str
    label: str
    kind: Kind
    fate: Fate = Fate.ARRIVED
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A box on a lifeline: a state, or what happens inside the participant. `time` in ns."""

    time: int
    lifeline: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Divider:
    """A line across the picture: a new phase, or steps that are left out. `time` in ns."""

    time: int
    text: str


Step = Arrow | Note | Divider


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """Participants from left to right, and steps in the order of time.

    Raises ConfigError for a step of an unknown lifeline, an arrow to its own lifeline, steps out of order,
    and more steps or lifelines than a picture can hold.
    """

    title: str
    lifelines: Sequence[Lifeline]
    steps: Sequence[Step]

    def __post_init__(self) -> None:
        names = [lifeline.name for lifeline in self.lifelines]
        if not 1 <= len(names) <= MAX_LIFELINES or len(set(names)) < len(names):
            raise ConfigError(f"lifelines {names}: expected 1 to {MAX_LIFELINES} different names")
        if len(self.steps) > MAX_STEPS:
            raise ConfigError(f"{len(self.steps)} steps; a ladder has at most {MAX_STEPS}")
        for step in self.steps:
            for name in _lifelines_of(step):
                if name not in names:
                    raise ConfigError(f"unknown lifeline {name!r}; {expected(names, name)}")
            if isinstance(step, Arrow) and step.source == step.target:
                raise ConfigError(f"arrow {step.label!r} leads to its own lifeline; use a Note")
        for before, after in pairwise(self.steps):
            if after.time < before.time:
                raise ConfigError(f"step at {after.time} ns follows a step at {before.time} ns")

    def index(self, name: str) -> int:
        """Return the position of a lifeline, from the left."""
        return [lifeline.name for lifeline in self.lifelines].index(name)


def _lifelines_of(step: Step) -> tuple[str, ...]:
    match step:
        case Arrow(source=source, target=target):
            return source, target
        case Note(lifeline=lifeline):
            return (lifeline,)
        case Divider():
            return ()


# ---- text: its width, and lines that fit


def columns_of(text: str) -> int:
    """Return the width of a text in columns of a terminal: ideographs take two."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _printable(text: str) -> str:
    """Replace what has no glyph, and what XML cannot hold."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def wrap(text: str, width: int) -> list[str]:
    """Break a text into lines of at most `width` columns, between words where that is possible."""
    lines = [""]
    for word in map(_printable, text.split()):
        joined = f"{lines[-1]} {word}".strip()
        if columns_of(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for character in word:
            if columns_of(lines[-1] + character) > width:
                lines.append("")
            lines[-1] += character
    return [line for line in lines if line]


def _time(time: int) -> str:
    return f"{time:,} ns"


# ---- SVG. Lengths in px of a picture that is shown at its own size; a phone shows it at two thirds.

WIDTH: Final = 560  # up to three lifelines; the text is still 9 px high on a screen of 390 px
WIDE: Final = 900  # more lifelines
FONT: Final = 15
LINE: Final = 20  # from one line of text to the next
COLUMN: Final = 9.3  # of FONT: 0.62 em, which no common monospaced font exceeds
GAP: Final = 12  # between rows
PAD: Final = 8  # inside boxes, and beside labels
HEAD: Final = 6  # length of an arrow head
LOST_AT: Final = 0.7  # of the way
FAMILY: Final = (
    "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',"
    "'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',monospace"
)
# Name of a colour: on a light and on a dark screen. Text has a contrast of 4.5 or more on both.
COLOURS: Final = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1f2328", "#f0f6fc"),
    "dim": ("#59636e", "#9198a1"),
    "rule": ("#c2cad2", "#4b535d"),
    "box": ("#f1f4f7", "#1c232c"),
    Kind.REQUEST: ("#0969da", "#58a6ff"),
    Kind.SNOOP: ("#8250df", "#bc8cff"),
    Kind.RESPONSE: ("#1a7f37", "#3fb950"),
    Kind.DATA: ("#1a7f37", "#3fb950"),
    Kind.LINK: ("#8a5a00", "#d29922"),
    Fate.LOST: ("#cf222e", "#ff7b72"),
}
RULES: Final = (
    f"text{{font:{FONT}px {FAMILY};fill:var(--ink);paint-order:stroke;stroke:var(--paper);stroke-width:4px}}",
    ".dim{fill:var(--dim)}",
    ".boxed{stroke:none}",
    ".title,.name{font-weight:600}",
    ".paper{fill:var(--paper)}",
    ".box{fill:var(--box);stroke:var(--rule)}",
    ".life,.gap{stroke:var(--rule);stroke-width:2}",
    ".gap{stroke-dasharray:2 6}",
    "g.arrow{stroke-width:2;fill:none}",
    ".ignored line,.damaged line{stroke-dasharray:7 5}",
    ".link line{stroke-dasharray:2 4}",
    ".data line{stroke-width:4}",
    *(f"g.{kind}{{stroke:var(--{kind})}}" for kind in Kind),
    *(f"g.arrow.{fate}{{stroke:var(--lost)}}" for fate in Fate if fate != Fate.ARRIVED),
    ".fate{fill:var(--lost)}",
)


def to_svg(ladder: Ladder) -> str:
    """Return a picture that needs no other file, readable on light and on dark pages.

    The same ladder gives the same text, to the byte. No text covers another one; what does not fit its place
    is broken into lines.
    """
    return _Picture(ladder).svg()


def _style() -> str:
    light, dark = ("".join(f"--{name}:{pair[index]};" for name, pair in COLOURS.items()) for index in (0, 1))
    return f"svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}" + "".join(RULES)


class _Picture:
    """The elements of a picture, as they are drawn from top to bottom."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.width = WIDTH if len(ladder.lifelines) <= 3 else WIDE
        times = [columns_of(_time(step.time)) for step in ladder.steps]
        self.gutter = 2 * PAD + round(COLUMN * max(times, default=0))
        self.pitch = (self.width - self.gutter) // len(ladder.lifelines)
        self.y = GAP  # of the next row
        self.under: list[str] = []  # what text covers
        self.over: list[str] = []
        self._last_time: int | None = None

    def svg(self) -> str:
        """Draw everything."""
        self._title()
        top = self.y
        self._heads()
        for step in self.ladder.steps:
            self._step(step)
        bottom = self.y
        lives = [
            f'<line class="life" x1="{x}" y1="{top}" x2="{x}" y2="{bottom}"/>'
            for x in map(self._x, range(len(self.ladder.lifelines)))
        ]
        height = bottom + GAP
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {height}" '
                f'width="{self.width}" height="{height}" role="img" aria-labelledby="title desc">',
                f'<title id="title">{escape(_printable(self.ladder.title))}</title>',
                f'<desc id="desc">{escape(_printable(_told(self.ladder)))}</desc>',
                f"<style>{_style()}</style>",
                f'<rect class="paper" width="{self.width}" height="{height}" rx="8"/>',
                *lives,
                *self.under,
                *self.over,
                "</svg>\n",
            ]
        )

    def _x(self, index: int) -> int:
        return self.gutter + self.pitch // 2 + index * self.pitch

    def _text(self, x: int, text: str, *classes: str, anchor: str = "middle") -> None:
        """One line of text in the next row; the caller moves on."""
        style = f' class="{" ".join(classes)}"' if classes else ""
        self.over.append(
            f'<text x="{x}" y="{self.y + FONT}" text-anchor="{anchor}"{style}>{escape(text)}</text>'
        )

    def _lines(self, x: int, lines: Sequence[str], *classes: str, anchor: str = "middle") -> None:
        for line in lines:
            self._text(x, line, *classes, anchor=anchor)
            self.y += LINE

    def _title(self) -> None:
        room = int((self.width - 2 * GAP) / COLUMN)
        self._lines(GAP, wrap(self.ladder.title, room), "title", anchor="start")
        self.y += GAP

    def _heads(self) -> None:
        """The names of the participants, in boxes of one height."""
        room = int((self.pitch - 4 * PAD) / COLUMN)
        heads = [(wrap(name, room), wrap(about, room)) for name, about in self.ladder.lifelines]
        height = max(len(names) + len(abouts) for names, abouts in heads) * LINE + 2 * PAD
        top = self.y
        for index, (names, abouts) in enumerate(heads):
            x = self._x(index)
            self._box(x, top, self.pitch - 2 * PAD, height)
            self.y = top + PAD
            self._lines(x, names, "boxed", "name")
            self._lines(x, abouts, "boxed", "dim")
        self.y = top + height + GAP

    def _box(self, x: int, y: int, width: int, height: int) -> None:
        self.under.append(
            f'<rect class="box" x="{x - width // 2}" y="{y}" width="{width}" height="{height}" rx="4"/>'
        )

    def _step(self, step: Step) -> None:
        least = self.y + LINE
        if step.time != self._last_time:
            self._text(self.gutter - PAD, _time(step.time), "dim", anchor="end")
            self._last_time = step.time
        match step:
            case Arrow():
                self._arrow(step)
            case Note():
                self._note(step)
            case Divider():
                self._divider(step)
        self.y = max(self.y, least) + GAP

    def _arrow(self, arrow: Arrow) -> None:
        start, end = (self._x(self.ladder.index(name)) for name in (arrow.source, arrow.target))
        middle, room = (start + end) // 2, int((abs(end - start) - 2 * PAD) / COLUMN)
        self._lines(middle, wrap(arrow.label, room))
        bad = () if arrow.fate == Fate.ARRIVED else ("fate",)
        self._lines(middle, wrap(arrow.detail, room), *(bad or ("dim",)))
        y, way = self.y + HEAD, 1 if end > start else -1
        if arrow.fate == Fate.LOST:
            end = start + round((end - start) * LOST_AT)
        marks = [f'<line x1="{start}" y1="{y}" x2="{end - way * 2}" y2="{y}"/>']
        if arrow.fate in (Fate.ARRIVED, Fate.IGNORED):
            marks.append(f'<path d="M{end - way * 10} {y - HEAD}L{end - way * 2} {y}l{-way * 8} {HEAD}"/>')
        if arrow.fate in (Fate.LOST, Fate.DAMAGED):
            marks.append(f'<path d="M{end - 7} {y - 7}l14 14m0 -14l-14 14"/>')
        self.under.append(f'<g class="arrow {arrow.kind} {arrow.fate}">{"".join(marks)}</g>')
        self.y = y + HEAD

    def _note(self, note: Note) -> None:
        x = self._x(self.ladder.index(note.lifeline))
        lines = wrap(note.text, int((self.pitch - 4 * PAD) / COLUMN))
        height = LINE * len(lines) + PAD
        self._box(x, self.y, self.pitch - 2 * PAD, height)
        bottom = self.y + height
        self.y += PAD // 2
        self._lines(x, lines, "boxed")
        self.y = bottom

    def _divider(self, divider: Divider) -> None:
        left, right = self.gutter, self.width - GAP
        lines = wrap(divider.text, int((right - left) / COLUMN))
        y = self.y + LINE * max(len(lines), 1) // 2
        self.under.append(f'<line class="gap" x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>')
        self._lines((left + right) // 2, lines, "dim")


def _told(ladder: Ladder) -> str:
    """The picture in words, for people who hear it."""
    words = []
    for step in ladder.steps:
        match step:
            case Arrow(source=source, target=target, label=label, fate=fate, detail=detail):
                about = ", ".join(filter(None, (detail, "" if fate == Fate.ARRIVED else fate)))
                words.append(f"{source} sends {label} to {target}{about and f' ({about})'}.")
            case Note(lifeline=lifeline, text=text):
                words.append(f"{lifeline}: {text}.")
            case Divider(text=text):
                words.append(f"{text}.")
    return " ".join(words)


# ---- text

TEXT_WIDTH: Final = 80
HEADS: Final = {Fate.ARRIVED: ("<", ">"), Fate.LOST: "xx", Fate.DAMAGED: "XX", Fate.IGNORED: "()"}


def to_text(ladder: Ladder) -> str:
    """Return the ladder in lines of at most 80 columns.

    `-->` is an arrow that arrives, `--x` one that is lost, `--X` one that is damaged, `--)` one that is
    ignored.
    """
    return "".join(f"{line.rstrip()}\n" for line in _Lines(ladder).draw())


class _Lines:
    """A ladder in characters. A row is a list of cells; a wide character has an empty one behind it."""

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.gutter = max((columns_of(_time(step.time)) for step in ladder.steps), default=0) + 1
        self.pitch = (TEXT_WIDTH - self.gutter) // len(ladder.lifelines)
        self.posts = [self.gutter + self.pitch // 2 + at * self.pitch for at in range(len(ladder.lifelines))]

    def draw(self) -> list[str]:
        """Return all lines."""
        rows = []
        heads = [wrap(f"{name} {about}", self.pitch - 2) for name, about in self.ladder.lifelines]
        for line in range(max(map(len, heads))):
            row = self._bare()
            for post, head in zip(self.posts, heads, strict=True):
                _put(row, post, *head[line : line + 1])
            rows.append(row)
        last = None
        for step in self.ladder.steps:
            block = self._step(step)
            if step.time != last:
                text = _time(step.time)
                block[0][: len(text)] = text
            last = step.time
            rows += block
        return [*wrap(self.ladder.title, TEXT_WIDTH), "", *("".join(row) for row in rows)]

    def _bare(self) -> list[str]:
        row = [" "] * TEXT_WIDTH
        for post in self.posts:
            row[post] = "|"
        return row

    def _step(self, step: Step) -> list[list[str]]:
        match step:
            case Arrow():
                return self._arrow(step)
            case Note():
                texts = [f"[{line}]" for line in wrap(step.text, self.pitch - 4)]
                return self._block(self.posts[self.ladder.index(step.lifeline)], texts)
            case Divider():
                texts = [f" {line} " for line in wrap(step.text, TEXT_WIDTH - self.gutter - 2)]
                return self._block((self.gutter + TEXT_WIDTH) // 2, texts)

    def _block(self, centre: int, texts: Sequence[str]) -> list[list[str]]:
        rows = []
        for text in texts or [""]:
            rows.append(self._bare())
            _put(rows[-1], centre, text)
        return rows

    def _arrow(self, arrow: Arrow) -> list[list[str]]:
        start, end = (self.posts[self.ladder.index(name)] for name in (arrow.source, arrow.target))
        left, right = min(start, end) + 1, max(start, end)
        texts = [line for text in (arrow.label, arrow.detail) for line in wrap(text, right - left - 2)]
        rows = self._block((left + right) // 2, texts) if texts else []
        rows.append(self._bare())
        rightward = end > start
        reach = round((right - left) * LOST_AT) if arrow.fate == Fate.LOST else right - left
        stroke = "-" * (reach - 1) + HEADS[arrow.fate][rightward]
        at = slice(left, left + reach) if rightward else slice(right - reach, right)
        rows[-1][at] = stroke if rightward else stroke[::-1]
        return rows


def _put(row: list[str], centre: int, text: str = "") -> None:
    """Write a text over a row, around a column."""
    at = max(centre - columns_of(text) // 2, 0)
    for character in text:
        cells = columns_of(character)
        if cells == 0:
            row[at - 1] += character
            continue
        row[at : at + cells] = [character, ""][:cells]
        at += cells
