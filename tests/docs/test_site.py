"""The site of the pages: every page has its place, every link leads somewhere, and a browser shows what it should."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.support.browser import Browser, browser
from tools import site

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PICTURES = ROOT / ".pytest_cache" / "site"
"""Where the pictures are kept for whoever wants to look."""


def nav(part: object) -> Iterator[str]:
    """Yield the pages of a part of the navigation."""
    if isinstance(part, str):
        yield part
    else:
        for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
            yield from nav(each)


def test_every_page_has_one_place_in_the_navigation() -> None:
    text = re.sub(r"!!python/\S+", "", (ROOT / "mkdocs.yml").read_text())
    named = list(nav(yaml.safe_load(text)["nav"]))
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
    assert sorted(pages - set(named)) == [], "add a line to `nav` of mkdocs.yml"
    assert sorted(name for name in set(named) if name not in pages or named.count(name) > 1) == []


def test_lists_are_indented_by_four_whatever_they_were() -> None:
    text = "Words:\n1. one\n\n   ```sh\n   a\n     b\n   ```\n\n2. two,\n   still two\n   - in it\n\nafter\n"
    assert site.indented(text) == (
        "Words:\n\n1. one\n\n    ```sh\n    a\n      b\n    ```\n\n2. two,\n    still two\n    - in it\n\nafter\n"
    )


def test_a_diagram_is_a_picture_with_its_words() -> None:
    drawn = site.drawn("```mermaid\nflowchart LR\n  a[blue pods] --> b{gate}\n```\n")
    assert "<svg" in drawn
    assert "blue pods" in drawn.partition("<details>")[0]


def test_a_heading_with_angles_is_called_as_on_the_forges() -> None:
    text = "## `services.<service>.routes`\n\n```sh\n# a <b>\n```\n\n## `network`\n"
    assert site.named(text) == text.replace("routes`", "routes` {#servicesserviceroutes}")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site anew."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_nothing_of_the_site_comes_from_another_host(built: Path) -> None:
    loads = re.compile(
        r"""<(?:script|img|iframe|source)[^>]*\ssrc=["'](?:https?:)?//|<link[^>]*\shref=["'](?:https?:)?//"""
    )
    pages = list(built.rglob("*.html"))
    assert len(pages) > 80
    assert [page.name for page in pages if loads.search(page.read_text())] == []


@pytest.mark.slow
def test_every_link_within_the_site_leads_to_a_place_that_is_there(built: Path) -> None:
    pages = {page: page.read_text() for page in built.rglob("*.html") if page.name != "404.html"}
    places = {page: set(re.findall(r' id="([^"]+)"', text)) for page, text in pages.items()}
    dead, seen = [], 0
    for page, text in pages.items():
        for path, place in re.findall(r'<a [^>]*href="([^"#:]*)#?([^":]*)"', text):
            file = (page.parent / path).resolve() if path else page
            seen += 1
            if not file.exists() or (place and file in places and place not in places[file]):
                dead.append(f"{page.relative_to(built)}: {path}#{place}")
    assert dead == []
    assert seen > 1000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Start a browser, where there is one."""
    found = subprocess.run([ROOT / "tools/chromium.sh"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.skip(found.stderr.strip())
    with browser(found.stdout.strip()) as running:
        yield running


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    """Serve the site, and say where."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.slow
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("page", ["index", "comparison", "pipeline", "reference/configuration", "tutorial"])
def test_a_page_fits_its_window_and_asks_nothing_that_is_not_there(
    page: str, width: int, address: str, chromium: Browser
) -> None:
    look = chromium.look(f"{address}/{page}.html", width)
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{page.replace('/', '-')}-{width}.png").write_bytes(look.picture)
    assert look.wrong == []
    assert look.wider <= 0
