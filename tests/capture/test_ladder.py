"""The ladder: what its pictures must show, read back from the SVG and from the text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsl.capture import ladder as module
from hsl.capture.ladder import (
    COLOURS,
    MAX_LIFELINES,
    MAX_STEPS,
    Arrow,
    Divider,
    Fate,
    Kind,
    Ladder,
    Lifeline,
    Note,
    Step,
    columns_of,
    to_svg,
    to_text,
    wrap,
)
from hsl.errors import ConfigError

SVG = "{http://www.w3.org/2000/svg}"
CPU, GPU = Lifeline("CPU", "cores and home"), Lifeline("GPU")
STORY = Ladder(
    title="The GPU stores, the CPU loads",
    lifelines=[CPU, GPU],
    steps=[
        Note(time=900, lifeline="GPU", text='stores "hello"'),
        Arrow(time=1000, source="GPU", target="CPU", label="ReadUnique", kind=Kind.REQUEST),
        Arrow(time=1100, source="CPU", target="GPU", label="CmpData(E)", kind=Kind.DATA, detail="64 bytes"),
        Divider(time=2000, text="the CPU loads"),
        Arrow(time=2000, source="CPU", target="GPU", label="SnpShared", kind=Kind.SNOOP, fate=Fate.LOST),
        Arrow(time=2500, source="CPU", target="GPU", label="SnpShared", kind=Kind.SNOOP, fate=Fate.DAMAGED),
        Arrow(time=3000, source="CPU", target="GPU", label="SnpShared", kind=Kind.SNOOP, fate=Fate.IGNORED),
        Arrow(time=3500, source="GPU", target="CPU", label="NAK", kind=Kind.LINK, detail="again from 2"),
        Arrow(time=4000, source="GPU", target="CPU", label="SnpRsp(I)", kind=Kind.RESPONSE),
    ],
)
# Advances of monospaced fonts, in em: the widest of those that browsers have, and of ideographs in them.
WIDEST = 0.62
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60) | st.text(
    "ab 你好", max_size=60
)


def parse(svg: str) -> ET.Element:
    """The elements of a picture. Raises ParseError when it is not well-formed."""
    return ET.fromstring(svg)  # noqa: S314 - our own text


class Box(NamedTuple):
    """Where a text or a rectangle is, in px."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """True if the two have a point in common."""
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def texts(svg: str) -> list[Box]:
    """The boxes of all texts, by what the SVG says of their font and place."""
    root = parse(svg)
    found = re.search(r"text\{font:(\d+)px", svg)
    assert found
    size = int(found[1])
    boxes = []
    for each in root.iter(f"{SVG}text"):
        x, y, words = float(each.attrib["x"]), float(each.attrib["y"]), each.text or ""
        width = columns_of(words) * WIDEST * size
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[each.attrib["text-anchor"]] * width
        boxes.append(Box(words, left, y - 0.8 * size, left + width, y + 0.25 * size))
    return boxes


def faults(svg: str) -> list[str]:
    """Return the faults in the places of a picture's texts."""
    root = parse(svg)
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    boxes = texts(svg)
    wrong = [
        f"{box.text!r} leaves the picture"
        for box in boxes
        if box.left < 0 or box.top < 0 or box.right > width or box.bottom > height
    ]
    return wrong + [f"{a.text!r} covers {b.text!r}" for a, b in combinations(boxes, 2) if a.overlaps(b)]


@st.composite
def ladders(draw: st.DrawFn) -> Ladder:
    """Any ladder, with texts of all kinds."""
    names = draw(st.lists(TEXTS.filter(str.strip), min_size=1, max_size=MAX_LIFELINES, unique=True))
    times = sorted(draw(st.lists(st.integers(0, 10**12), max_size=12)))
    steps: list[Step] = []
    for time in times:
        ends = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
        text, detail = draw(TEXTS), draw(TEXTS)
        kind, fate = draw(st.sampled_from(Kind)), draw(st.sampled_from(Fate))
        if len(ends) == 2:
            a, b = ends
            steps.append(
                Arrow(time=time, source=a, target=b, label=text, kind=kind, fate=fate, detail=detail)
            )
        elif draw(st.booleans()):
            steps.append(Note(time=time, lifeline=ends[0], text=text))
        else:
            steps.append(Divider(time=time, text=text))
    lifelines = [Lifeline(name, draw(TEXTS)) for name in names]
    return Ladder(title=draw(TEXTS), lifelines=lifelines, steps=steps)


@given(ladders())
def test_no_text_covers_another(ladder: Ladder) -> None:
    """Whatever the texts are, the SVG is well-formed; no text covers another one or leaves the picture."""
    assert faults(to_svg(ladder)) == []


@pytest.mark.parametrize(("name", "value"), [("LINE", 10), ("COLUMN", 3.0)])
def test_overlap_is_seen(monkeypatch: pytest.MonkeyPatch, name: str, value: float) -> None:
    """A renderer that sets lines too close, or takes texts for narrower than they are, is caught."""
    monkeypatch.setattr(module, name, value)
    long = Note(time=1, lifeline="CPU", text="a text that takes more than one line of its box " * 3)
    ladder = Ladder(title="a long title " * 9, lifelines=[CPU, GPU], steps=[long])
    assert faults(to_svg(ladder)) != []


def arrows(svg: str) -> list[tuple[set[str], float, float, float]]:
    """Of each arrow: its classes, its height, and where its line begins and ends."""
    found = []
    for group in parse(svg).iter(f"{SVG}g"):
        line = group.find(f"{SVG}line")
        assert line is not None
        x1, x2, y = (float(line.attrib[name]) for name in ("x1", "x2", "y1"))
        found.append((set(group.attrib["class"].split()), y, x1, x2))
    return found


def test_arrows_in_order() -> None:
    """Each arrow is drawn once, below the earlier ones, from source to target, by its kind and fate."""
    wanted = [step for step in STORY.steps if isinstance(step, Arrow)]
    drawn = arrows(to_svg(STORY))
    assert [({"arrow", str(each.kind), str(each.fate)}, each.target == "GPU") for each in wanted] == [
        (classes, end > start) for classes, _, start, end in drawn
    ]
    assert all(a[1] < b[1] for a, b in pairwise(drawn))


def test_heads_point_at_the_target() -> None:
    """The head of an arrow has its tip at the end of the line, and its barbs on the line's side."""
    for group in parse(to_svg(STORY)).iter(f"{SVG}g"):
        line, path = group.find(f"{SVG}line"), group.find(f"{SVG}path")
        assert line is not None
        assert path is not None
        head = re.match(r"M(\d+) \d+L(\d+) ", path.attrib["d"])
        if head is not None:
            barb, tip = map(int, head.groups())
            start, end = (int(line.attrib[name]) for name in ("x1", "x2"))
            assert tip == end
            assert (barb < tip) == (start < end)


def test_marks_of_each_fate() -> None:
    """An arrow that the target takes or ignores has a head, one that is lost or damaged a cross."""
    wanted = {Fate.ARRIVED: "head", Fate.IGNORED: "head", Fate.LOST: "cross", Fate.DAMAGED: "cross"}
    for group in parse(to_svg(STORY)).iter(f"{SVG}g"):
        (path,) = group.findall(f"{SVG}path")
        (fate,) = set(group.attrib["class"].split()) & set(Fate)
        assert ("head" if "L" in path.attrib["d"] else "cross") == wanted[Fate(fate)]


def test_colours_of_arrows() -> None:
    """Each kind has its own colour, and what did not arrive that of a loss."""
    svg = to_svg(STORY)
    for kind in Kind:
        assert f"g.{kind}{{stroke:var(--{kind})}}" in svg
    marked = re.findall(r"g\.arrow\.(\w+)\{stroke:var\(--lost\)\}", svg)
    assert marked == [Fate.LOST, Fate.DAMAGED, Fate.IGNORED]


THREE = [Lifeline(name) for name in ("left", "middle", "right")]


@pytest.mark.parametrize(("source", "target"), [(0, 1), (1, 0), (1, 2), (2, 1), (0, 2), (2, 0)])
def test_labels_are_at_their_arrow(source: int, target: int) -> None:
    """Label and detail stand in the middle between both lifelines, a note on its own, in SVG and in text."""
    start, end = THREE[source].name, THREE[target].name
    arrow = Arrow(time=0, source=start, target=end, label="label", kind=Kind.DATA, detail="about")
    note = Note(time=0, lifeline=start, text="noted")
    drawn = Ladder(title="", lifelines=THREE, steps=[arrow, note])
    root = parse(to_svg(drawn))
    lives = [float(each.attrib["x1"]) for each in root.iter(f"{SVG}line") if "life" in each.attrib.values()]
    middles = {each.text: float(each.attrib["x"]) for each in root.iter(f"{SVG}text")}
    middle = (lives[source] + lives[target]) // 2
    assert (middles["label"], middles["about"], middles["noted"]) == (middle, middle, lives[source])
    heads, label, about, _, noted = to_text(drawn).splitlines()[-5:]
    posts = [heads.index(each.name) + len(each.name) // 2 for each in THREE]
    for line, word in ((label, "label"), (about, "about")):
        assert abs(line.index(word) + 2 - (posts[source] + posts[target]) // 2) <= 1
    assert noted.index("[noted]") + 3 == posts[source]


def test_lost_arrow_does_not_arrive() -> None:
    """The line of a lost arrow ends well before its target; all others reach it."""
    drawn = arrows(to_svg(STORY))
    whole = max(abs(end - start) for _, _, start, end in drawn)
    assert {
        frozenset(classes & set(Fate)): abs(end - start) > 0.8 * whole for classes, _, start, end in drawn
    } == {frozenset({fate}): fate != Fate.LOST for fate in Fate}


def test_times_go_down() -> None:
    """Each new time stands once, at the height of its step, in the order of time."""
    heights = [(box.top, box.text) for box in texts(to_svg(STORY)) if box.text.endswith(" ns")]
    assert heights == sorted(heights)
    assert [text for _, text in heights] == [
        f"{time:,} ns" for time in dict.fromkeys(s.time for s in STORY.steps)
    ]


def test_accessible() -> None:
    """A screen reader is given the title, and every message, note and fate in words."""
    root = parse(to_svg(STORY))
    assert root.attrib["role"] == "img"
    said = {root.find(f'*[@id="{name}"]') for name in root.attrib["aria-labelledby"].split()}
    words = " ".join(each.text or "" for each in said if each is not None)
    assert STORY.title in words
    assert "GPU sends ReadUnique to CPU." in words
    assert "CPU sends SnpShared to GPU (lost)." in words
    assert 'GPU: stores "hello".' in words
    assert "GPU sends NAK to CPU (again from 2)." in words
    assert "the CPU loads." in words


def test_needs_no_other_file() -> None:
    """The SVG refers to nothing outside itself, and runs nothing: a code-hosting page shows it."""
    svg = to_svg(STORY)
    assert not re.search(r"href|url\(|@import|<script|<image|<foreignObject|\bon\w+=", svg)
    assert svg.count("http") == 1  # the name space


def test_same_bytes() -> None:
    """The same ladder gives the same bytes."""
    assert to_svg(STORY) == to_svg(STORY)


@pytest.mark.parametrize("count", range(1, MAX_LIFELINES + 1))
def test_width(count: int) -> None:
    """No picture is wider than 900 px; up to three lifelines the text is 9 px high on a phone of 390 px."""
    svg = to_svg(Ladder(title="", lifelines=[Lifeline(str(n)) for n in range(count)], steps=[]))
    width = float(parse(svg).attrib["width"])
    assert width <= 900
    if count <= 3:
        assert 15 * (390 - 32) / width >= 9


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("name", sorted(set(COLOURS) - {"paper", "box", "rule"}))
@pytest.mark.parametrize("dark", [False, True])
def test_contrast(name: str, dark: bool) -> None:
    """Every colour of text and arrows has a contrast of 4.5 to what is behind it, light and dark."""
    for background in ("paper", "box"):
        a, b = sorted(luminance(COLOURS[each][dark]) for each in (name, background))
        assert (b + 0.05) / (a + 0.05) >= 4.5
    assert COLOURS[name][dark] in to_svg(STORY).split("prefers-color-scheme:dark")[dark]


WRONG: dict[str, dict[str, Any]] = {
    "unknown lifeline 'NPU'": {"steps": [Note(time=0, lifeline="NPU", text="")]},
    "own lifeline": {
        "steps": [Arrow(time=0, source="CPU", target="CPU", label="x", kind=Kind.DATA)],
    },
    "unknown lifeline 'NIC'": {
        "steps": [Arrow(time=0, source="CPU", target="NIC", label="x", kind=Kind.DATA)],
    },
    "follows a step at 2 ns": {"steps": [Divider(time=2, text=""), Divider(time=1, text="")]},
    "at most 1000": {"steps": [Divider(time=0, text="")] * (MAX_STEPS + 1)},
    "expected 1 to 8": {"lifelines": [CPU, CPU]},
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_no_ladder(text: str) -> None:
    """A ladder that cannot be drawn is refused when it is made, with the reason."""
    with pytest.raises(ConfigError, match=text):
        Ladder(**{"title": "", "lifelines": [CPU, GPU], "steps": []} | WRONG[text])


@given(ladders())
def test_text_fits_a_terminal(ladder: Ladder) -> None:
    """No line of the text is wider than 80 columns, and each arrow has its line."""
    lines = to_text(ladder).splitlines()
    assert all(columns_of(line) <= 80 for line in lines)


def test_text() -> None:
    """The text shows the same steps in the same order; what did not arrive ends in another sign."""
    text = to_text(STORY)
    labels = [step.label for step in STORY.steps if isinstance(step, Arrow)]
    assert re.findall(r"ReadUnique|CmpData\(E\)|SnpShared|NAK|SnpRsp\(I\)", text) == labels
    ends = [re.sub("-+", "-", stroke) for stroke in re.findall(r"\|( *[<xX(]?-{8,}[>xX)]?)", text)]
    assert [end.strip() for end in ends] == ["<-", "->", "-x", "-X", "-)", "<-", "<-"]
    assert '[stores "hello"]' in text
    assert "64 bytes" in text
    assert " the CPU loads " in text
    assert "cores and home" in text
    times = [line.partition(" ns")[0] for line in text.splitlines() if line[:1].isdigit()]
    assert times == [f"{time:,}" for time in dict.fromkeys(step.time for step in STORY.steps)]


@pytest.mark.parametrize("fate", Fate)
def test_text_of_an_arrow(fate: Fate) -> None:
    """An arrow begins at its source; only a lost one ends before its target. To the left it is mirrored."""
    strokes = {
        Fate.ARRIVED: "-" * 35 + ">",
        Fate.LOST: "-" * 24 + "x" + " " * 11,
        Fate.DAMAGED: "-" * 35 + "X",
        Fate.IGNORED: "-" * 35 + ")",
    }
    found = []
    for source, target in (("CPU", "GPU"), ("GPU", "CPU")):
        arrow = Arrow(time=0, source=source, target=target, label="", kind=Kind.DATA, fate=fate)
        drawn = to_text(Ladder(title="", lifelines=[CPU, GPU], steps=[arrow])).splitlines()
        found.append(re.fullmatch(r"0 ns +\|(.{36})\|", drawn[-1]))
    right, left = (match[1] if match else "" for match in found)
    assert right == strokes[fate]
    assert left[::-1].translate(str.maketrans("<(", ">)")) == strokes[fate]


@pytest.mark.parametrize(("text", "columns"), [("ab", 2), ("e\u0301", 1), ("一致", 4), ("", 0)])
def test_columns(text: str, columns: int) -> None:
    """A combining mark takes no column, an ideograph two."""
    assert columns_of(text) == columns


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("a bc def", 4, ["a bc", "def"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("一致性", 4, ["一致", "性"]),
        (" \n ", 4, []),
        ("a\x00b", 4, ["a\ufffdb"]),
    ],
)
def test_wrap(text: str, width: int, lines: list[str]) -> None:
    """A text breaks between words, a word where it must; an ideograph takes two columns."""
    assert wrap(text, width) == lines
