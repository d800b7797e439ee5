"""Hooks of the site that `make docs` builds with MkDocs: they let it take the pages as they are for the forges.

What a page links outside `docs/` comes along, Markdown as a page and anything else as a page with its text. Lists are
indented as this Markdown wants them, headings are called as the forges call them, and diagrams are drawn here, so that
no browser needs a script for them.
"""

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import merm
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
DOCS: Final = ROOT / "docs"
OUTSIDE: Final = "repository/"
"""Where in the site the files are that are not in `docs/`."""
LINK: Final = re.compile(r"(?<=\]\()(?![a-z]+:)[^)#\s]+")
ITEM: Final = re.compile(r"(?:[-*]|\d+\.) +")
FENCE: Final = re.compile(r" *```")
ANGLED: Final = re.compile(r"^#+ `([^`\n]*<[^`\n]*)`$", re.MULTILINE)
"""A heading such as `services.<service>`, in which this Markdown sees a tag, and leaves it out of the name."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is linked and not in `docs/`, and what that links in turn."""
    pages = [DOCS / file.src_uri for file in files.documentation_pages()]
    while pages:
        page = pages.pop()
        for target in linked(page):
            if files.get_file_from_path(address(target)) is None and target.is_file():
                text = target.read_text()
                if target.suffix == ".md":
                    pages.append(target)
                else:
                    name = target.relative_to(ROOT)
                    text = f"# `{name}`\n\n````{target.suffix[1:] or 'text'}\n{text}````\n"
                kept = InclusionLevel.NOT_IN_NAV
                files.append(File.generated(config, address(target), content=text, inclusion=kept))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Let links lead to where the site has their files."""
    uri = page.file.src_uri
    source = ROOT / uri.removeprefix(OUTSIDE) if uri.startswith(OUTSIDE) else DOCS / uri
    if not source.is_file():
        return markdown  # a file that is no page
    here = Path(uri).parent

    def place(link: re.Match[str]) -> str:
        return os.path.relpath(address((source.parent / link[0]).resolve()), here)

    return drawn(named(indented(LINK.sub(place, markdown))))


def linked(page: Path) -> Iterator[Path]:
    """Yield the files that a page links."""
    for link in LINK.findall(page.read_text()):
        yield (page.parent / link).resolve()


def address(file: Path) -> str:
    """Return the path within the site of a file of the repository."""
    if file.is_relative_to(DOCS):
        return file.relative_to(DOCS).as_posix()
    return OUTSIDE + file.relative_to(ROOT).as_posix() + ("" if file.suffix == ".md" else ".md")


def indented(markdown: str) -> str:
    """Return the text with what belongs to an item of a list indented by four for each level, whatever it was."""
    lines: list[str] = []
    levels: list[int] = []  # where the text of each open item begins
    fenced = False
    for line in markdown.splitlines():
        bare = line.lstrip()
        indent = len(line) - len(bare)
        item = None if fenced else ITEM.match(bare)
        if bare and not fenced:
            while levels and indent < levels[-1] and (item or not lines[-1].strip() or not indent):
                levels.pop()
        if item and not levels and lines and lines[-1].strip() and not ITEM.match(lines[-1]):
            lines.append("")  # without it the list would be a part of the paragraph
        inner = max(indent - (levels[-1] if levels else 0), 0)
        lines.append((" " * (4 * len(levels) + inner) + bare) if bare else "")
        if item:
            levels.append(indent + len(item[0]))
        fenced ^= bool(FENCE.match(line))
    return "\n".join(lines) + "\n"


def named(markdown: str) -> str:
    """Return the text in which a heading with angles says what it is called."""
    return ANGLED.sub(lambda heading: f"{heading[0]} {{#{re.sub('[^a-z0-9_-]', '', heading[1].lower())}}}", markdown)


def drawn(markdown: str) -> str:
    """Return the text with its diagrams as pictures."""
    return re.sub(r"^```mermaid\n(.*?)^```$", _picture, markdown, flags=re.DOTALL | re.MULTILINE)


def _picture(block: re.Match[str]) -> str:
    picture = ElementTree.fromstring(merm.render_diagram(block[1].replace("<br>", " ")))
    for name in ("height", "width", "style"):  # site.css has these
        picture.attrib.pop(name, None)
    ElementTree.register_namespace("", "http://www.w3.org/2000/svg")
    svg = " ".join(ElementTree.tostring(picture, "unicode").split())
    source = html.escape(block[1]).replace("\n", "&#10;")
    return f'<div class="diagram">{svg}</div><details><summary>as text</summary><pre>{source}</pre></details>'
