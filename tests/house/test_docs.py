"""The built documentation, and README and docs as a code host shows them: links, width of a page."""

import fcntl
import html
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from markdown_it import MarkdownIt

from tests.support.documents import FENCE, PAGES, ROOT
from tests.support.external_tools import apt_line, leave_out, list_as_not_run

TEXTS = [path for path in PAGES if path.exists()] + [
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("spec/**/*.md")),
]
WIDTHS = (390, 1280)  # of a telephone and of a laptop
MEASURED = [
    "docs/index.html",
    "docs/test-your-device.html",
    "docs/compare.html",
    "docs/api.html",
    "spec/text/04-bring-up.html",
]
RENDER = MarkdownIt("commonmark", {"html": True}).enable("table").render
WIDE = "wide.html"  # a page that does not fit, so that the measurement is seen to find one
# What a code host does with a README: the width of its column, and boxes that scroll by themselves.
README_PAGE = """<!doctype html><meta charset=utf-8><meta name=viewport content="width=device-width">
<style>body {{ max-width: 838px; margin: auto; padding: 16px; font: 16px sans-serif }}
body {{ overflow-wrap: break-word }}
pre, table {{ display: block; overflow: auto }} img {{ max-width: 100% }}</style>{body}"""
FRAMES = """<!doctype html><body><script>
const wanted = {wanted}, found = []
for (const [page, width] of wanted) {{
  const frame = document.createElement('iframe')
  frame.style = `width: ${{width}}px; height: 800px; border: 0`
  frame.src = page
  frame.onload = () => setTimeout(() => {{
    const box = frame.contentDocument.scrollingElement
    found.push([page, width, box.scrollWidth, box.clientWidth])
    if (found.length == wanted.length) document.body.innerHTML = `<pre>${{JSON.stringify(found)}}</pre>`
  }}, 100)
  document.body.append(frame)
}}
</script>"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it, once for all processes that run tests."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "site"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            command = [sys.executable, "-m", "sphinx", "-E", "-q", "-W", "--keep-going", "-c", "docs"]
            done = subprocess.run(
                [*command, ".", folder], cwd=ROOT, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, done.stderr
    return folder


class Page(HTMLParser):
    """The links, sources and anchors of a page, and what it leads to by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name in ("href", "src", "srcset"):
            if target := given.get(name):
                (self.links if tag == "a" else self.fetched).add(html.unescape(target))
        if given.get("http-equiv") == "refresh":
            self.links.add(given["content"].partition("url=")[2])


def is_outside(link: str) -> bool:
    return re.match(r"[a-z]+:|//", link) is not None


def pages_of(folder: Path) -> dict[Path, Page]:
    """Return the pages in a folder."""
    return {path.resolve(): Page(path.read_text("utf-8")) for path in folder.rglob("*.html")}


def dead_links(pages: dict[Path, Page]) -> list[str]:
    """Return what leads from one of `pages` to no file, or to no anchor of one of them."""
    dead = []
    for path, page in pages.items():
        for link in page.links | page.fetched:
            name, anchor = urldefrag(unquote(link))
            name = name.partition("?")[0]
            target = (path.parent / name).resolve() if name else path
            if not is_outside(link) and (
                not target.is_file() or (target in pages and anchor not in pages[target].anchors)
            ):
                dead.append(f"{path.name}: {link}")
    return dead


def fetched_elsewhere(folder: Path) -> list[str]:
    """Return what the pages and styles in a folder need from another host."""
    needed = [
        link
        for page in pages_of(folder).values()
        for link in page.fetched
        if is_outside(link) and not link.startswith("data:")
    ]
    for path in folder.rglob("*.css"):
        needed += re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*", path.read_text("utf-8"))
    return needed


def test_no_dead_link(site: Path) -> None:
    """Each link, picture, style and script of the built site leads to a file and an anchor of it."""
    pages = pages_of(site)
    assert len(pages) > 30
    assert dead_links(pages) == []


def test_nothing_is_fetched(site: Path) -> None:
    """A page of the site needs nothing from another host: no font, script, style or picture."""
    assert fetched_elsewhere(site) == []


def test_the_front_page_leads_to_the_index(site: Path) -> None:
    """The front page of the site leads to the index page."""
    assert Page((site / "index.html").read_text()).links == {"docs/index.html"}


@pytest.mark.parametrize(
    "body",
    [
        '<a href="none.html">a</a>',
        '<a href="#none">a</a>',
        '<a href="b.html#none">a</a>',
        '<img src="none.svg">',
        '<link rel="stylesheet" href="none.css?v=1">',
        '<meta http-equiv="refresh" content="0; url=none.html">',
    ],
)
def test_a_dead_link_of_a_page_is_seen(body: str, tmp_path: Path) -> None:
    """A link to no page or to no anchor, a picture, a style and a way on that are not there are found."""
    live = '<p id="p"><a href="#p">a</a><a href="b.html?x#q">b</a><a href="https://none.example/">c</a>'
    (tmp_path / "b.html").write_text('<p id="q">')
    (tmp_path / "a.html").write_text(live)
    assert dead_links(pages_of(tmp_path)) == []
    (tmp_path / "a.html").write_text(live + body)
    assert len(dead_links(pages_of(tmp_path))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", '<script src="https://none.example/a.js"></script>'),
        ("a.html", '<link rel="stylesheet" href="//none.example/a.css">'),
        ("a.html", '<img src="http://none.example/a.png">'),
        ("a.css", "@font-face {src: url('https://none.example/a.woff2')}"),
    ],
)
def test_what_is_fetched_is_seen(name: str, text: str, tmp_path: Path) -> None:
    """Scripts, styles, pictures and fonts of another host are found. Links to another host are left alone."""
    (tmp_path / "b.html").write_text('<a href="https://none.example/">a</a><img src="data:image/png,x">')
    assert fetched_elsewhere(tmp_path) == []
    (tmp_path / name).write_text(text)
    assert len(fetched_elsewhere(tmp_path)) == 1


def test_every_command_has_a_heading(site: Path) -> None:
    """The command reference has the help of each command, groups and leaves."""
    from hsl.cli import COMMANDS

    text = (site / "docs/command-line.html").read_text()
    for name in [*COMMANDS, "node cpu", "link soak"]:
        assert f'id="hsl-{name.replace(" ", "-")}"' in text


def test_requirements_are_linked(site: Path) -> None:
    """A requirement that prose cites is a link to its row of the table, a clause to its section."""
    text = (site / "docs/test-your-device.html").read_text()
    assert re.search(r'href="../spec/text/04-bring-up.html#hsl-lnk-001">\s*HSL-LNK-001', text)
    assert re.search(r'href="../spec/text/07-bindings.html#[^"]*">\s*3\.9', text)


def slugs(text: str) -> Iterator[str]:
    """Yield the anchors that a code host makes of headings."""
    for heading in re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead_in_source(path: Path, text: str) -> Iterator[str]:
    """Yield the relative links of `text`, the Markdown file `path`, that lead to no file or no heading."""
    page = Page(RENDER(text))
    for link in page.links | page.fetched:
        name, anchor = urldefrag(unquote(link))
        target = path.parent / name if name else path
        if is_outside(link):
            continue
        has_headings = target.exists() and target.suffix == ".md"
        if not target.exists() or (anchor and has_headings and anchor not in set(slugs(target.read_text()))):
            yield link


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_the_sources(path: Path) -> None:
    """Each relative link of a Markdown file leads to a file of the tree, and to a heading of it."""
    assert list(dead_in_source(path, path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "[a](none.md)",
        '[a](none.md "title")',
        "[a][b]\n\n[b]: none.md",
        "[a](README.md#none)",
        "[a](#none)",
        "![a](none.svg)",
        "<a href='none.md'>a</a>",
    ],
)
def test_a_dead_link_of_a_source_is_seen(text: str) -> None:
    """Each kind of link in Markdown is found when it leads nowhere; what stands in code is no link."""
    live = "[a](README.md#install) `[a](none.md)` <https://none.example>\n\n```sh\n[a](none.md)\n```\n\n"
    path = ROOT / "README.md"
    assert list(dead_in_source(path, live)) == []
    assert len(list(dead_in_source(path, live + text))) == 1


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that does not log requests."""

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server(site: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a folder with the site, the rendered READMEs, their pictures, and `frames.html`."""
    (tmp_path / "site").symlink_to(site)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    pages = [f"site/{name}" for name in MEASURED]
    for readme in ROOT.glob("README*.md"):
        pages.append(readme.with_suffix(".html").name)
        (tmp_path / pages[-1]).write_text(README_PAGE.format(body=RENDER(readme.read_text("utf-8"))), "utf-8")
    (tmp_path / WIDE).write_text('<!doctype html><div style="width: 2000px; height: 1px"></div>')
    pages.append(WIDE)
    wanted = [[page, width] for page in pages for width in WIDTHS]
    (tmp_path / "frames.html").write_text(FRAMES.format(wanted=json.dumps(wanted)))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> str:
    """The path of Chromium."""
    path = shutil.which("chromium")
    if path is None and platform.freedesktop_os_release().get("ID") == "ubuntu":
        list_as_not_run(request.node, "Ubuntu has Chromium as a snap only")
    if path is None:
        leave_out(request.node, "chromium missing", apt_line("chromium"))
    return path


def test_no_page_scrolls_sideways(browser: str, server: str, tmp_path: Path) -> None:
    """READMEs and five pages fit into 390 and 1280 pixels: wide tables and code scroll in their own box."""
    command = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
    ]
    command += ["--virtual-time-budget=20000", "--dump-dom", f"{server}/frames.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    shown = re.search(r"<pre>(.*)</pre>", done.stdout)
    assert shown, done.stderr
    found = json.loads(html.unescape(shown[1]))
    assert len(found) >= len(WIDTHS) * (len(MEASURED) + 2)
    assert [entry for entry in found if entry[1] not in WIDTHS or abs(entry[3] - entry[1]) > 20] == []
    assert {entry[0] for entry in found if entry[2] > entry[3]} == {WIDE}
