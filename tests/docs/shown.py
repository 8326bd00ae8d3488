"""What a page shows: its code blocks, commands with the output beneath them, links and headings."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """``file`` is the name given to it by a line ``**`name`**`` just above, or empty."""

    info: str
    text: str
    line: int
    file: str


@dataclass
class Command:
    text: str
    line: int
    code: int
    output: list[str] = field(default_factory=list)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        above = text[: match.start()].rstrip().rsplit("\n", 1)[-1]
        named = re.fullmatch(r"\*\*`([^`]+)`\*\*", above)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(match["info"].strip(), match["text"], line, named[1] if named else ""))
    return found


def commands(block: Block) -> list[Command]:
    """The commands of a console block; ``# exit N`` at a command's end is what it must exit with."""
    found: list[Command] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith("$ "):
            text, _, code = line[2:].partition("  # exit ")
            found.append(Command(text.strip(), number, int(code or 0)))
        else:
            assert found, f"line {number}: output without a command"
            found[-1].output.append(line)
    return found


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-"))
    return found
