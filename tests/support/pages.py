"""The commands on the pages for operators: every block of them, in order, with the heading that it stands under."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = (
    *(DOCS / "operations" / "first-stack.md", DOCS / "operations.md"),
    *(DOCS / "operations" / name for name in ("schema.md", "ended-badly.md", "maintenance.md")),
    *sorted((DOCS / "alerts").glob("*.md")),
)
"""In the order in which an environment meets them."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One block of code."""

    page: str
    """Its name, without the ending."""
    heading: str
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, those within lists included."""
    heading, fence = "", None
    lines: list[str] = []
    for line in page.read_text().splitlines():
        if fence is not None and line.strip() == "```":
            yield Block(page=page.stem, heading=heading, language=fence, text=textwrap.dedent("\n".join(lines)))
            fence = None
        elif fence is not None:
            lines.append(line)
        elif found := re.match(r" *```(\w*)", line):
            fence, lines = found[1], []
        elif found := re.match(r"#+ (.*)", line):
            heading = found[1].replace("`", "")


def code(page: Path, language: str) -> list[str]:
    """Return the blocks of a page that are in one language."""
    return [block.text for block in blocks(page) if block.language == language]


def commands() -> list[Block]:
    """Return what an operator runs: every block for the shell and for Prometheus."""
    return [block for page in PAGES for block in blocks(page) if block.language in ("sh", "promql")]
