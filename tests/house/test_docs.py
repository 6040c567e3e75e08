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
    """The links, sources and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.fetched: set[str] = set()
        self.anchors = {"", "top"}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        target = given.get("href", given.get("src", ""))
        if target:
            (self.links if tag == "a" else self.fetched).add(html.unescape(target))


def is_outside(link: str) -> bool:
    return re.match(r"[a-z]+:|//", link) is not None


def test_no_dead_link(site: Path) -> None:
    """Each link, picture, style and script of the built site leads to a file and an anchor of it."""
    pages = {path.resolve(): Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 30
    dead = []
    for path, page in pages.items():
        for link in page.links | page.fetched:
            name, anchor = urldefrag(unquote(link))
            name = name.partition("?")[0]
            target = (path.parent / name).resolve() if name else path
            if not is_outside(link) and (
                not target.is_file() or (target in pages and anchor not in pages[target].anchors)
            ):
                dead.append(f"{path.relative_to(site)}: {link}")
    assert dead == []


def test_nothing_is_fetched(site: Path) -> None:
    """A page of the site needs nothing from another host: no font, script, style or picture."""
    for path in site.rglob("*.html"):
        assert [
            link for link in Page(path).fetched if is_outside(link) and not link.startswith("data:")
        ] == []
    for path in site.rglob("*.css"):
        assert re.findall(r"url\(\s*['\"]?(?:https?:)?//[^)]*", path.read_text("utf-8")) == []


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


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_the_sources(path: Path) -> None:
    """Each relative link of a Markdown file leads to a file of the tree, and to a heading of it."""
    text = FENCE.sub("", path.read_text("utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|srcset|href)="([^"]+)"', text):
        if not is_outside(link):
            name, anchor = urldefrag(unquote(link))
            target = path.parent / name if name else path
            assert target.exists(), link
            if anchor and target.suffix == ".md":
                assert anchor in set(slugs(target.read_text("utf-8"))), link


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that does not log requests."""

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def server(site: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a folder with the site, the rendered READMEs, their pictures, and `frames.html`."""
    (tmp_path / "site").symlink_to(site)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    render = MarkdownIt("commonmark", {"html": True}).enable("table").render
    pages = [f"site/{name}" for name in MEASURED]
    for readme in ROOT.glob("README*.md"):
        pages.append(readme.with_suffix(".html").name)
        (tmp_path / pages[-1]).write_text(README_PAGE.format(body=render(readme.read_text("utf-8"))), "utf-8")
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
