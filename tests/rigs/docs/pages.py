"""The pages of the project, and what each holds as a markdown parser reads it: blocks, commands, headings, links."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.rigs.docs.commands import Command, is_command, is_open
from tests.rigs.images import ROOT

FOLDERS = ("", "pipeline/docs", "bench", "tests")


@dataclass(frozen=True)
class Block:
    """A fenced or indented block; `info` is the language that its fence names."""

    page: str
    line: int
    info: str
    text: str

    def is_shell(self) -> bool:
        """Return whether it is for a shell: by its language, or by its first words if it names no language."""
        return self.info in {"sh", "shell", "bash", "console"} or (self.info == "" and is_command(self.text, words=1))

    def commands(self) -> list[Command]:
        """Split it into command lines, without comments; a backslash or an open quotation continues a line."""
        found: list[Command] = []
        pending, begun = "", self.line + 1
        for number, line in enumerate(self.text.splitlines(), self.line + 1):
            begun = begun if pending else number
            code = re.sub(r"(^|\s+)# .*$", "", line)
            pending = f"{pending}\n{code}" if pending else code
            if pending.endswith("\\") or is_open(pending):
                continue
            if pending.strip():
                found.append(Command(self.page, begun, pending, "block"))
            pending = ""
        assert not pending, f"{self.page}:{begun}: this command does not end:\n{pending}"
        return found


@dataclass(frozen=True)
class Heading:
    """A heading with its level, its plain text and its anchor."""

    line: int
    level: int
    text: str
    anchor: str


@dataclass(frozen=True)
class Page:
    """A page; lines count from 1."""

    path: Path

    @property
    def name(self) -> str:
        """Its path from the root of the project."""
        return str(self.path.relative_to(ROOT)) if self.path.is_relative_to(ROOT) else self.path.name

    @property
    def text(self) -> str:
        """The whole page."""
        return self.path.read_text()

    def blocks(self) -> list[Block]:
        """Return every block, in order."""
        return [
            Block(self.name, token.map[0] + 1, token.info.strip(), token.content)
            for token in _parsed(self.text)
            if token.map is not None and token.type in {"fence", "code_block"}
        ]

    def commands(self) -> list[Command]:
        """Return every command line: of blocks for a shell, of sentences and of tables."""
        printed = [command for block in self.blocks() if block.is_shell() for command in block.commands()]
        inline = [Command(self.name, line, text, "text") for line, text in self._written_out() if is_command(text)]
        return sorted([*printed, *inline], key=lambda command: command.line)

    def spans(self) -> Iterator[tuple[int, str, int]]:
        """Yield each piece of code in a sentence or a table: line, text, and the number of its cell, 0 outside."""
        line = cell = cells = 0
        for token in _parsed(self.text):
            line = token.map[0] + 1 if token.map else line
            if token.type == "td_open":
                cell = cells = cells + 1
            elif token.type == "td_close":
                cell = 0
            yield from ((line, child.content, cell) for child in token.children or [] if child.type == "code_inline")

    def headings(self) -> list[Heading]:
        """Return all headings, with the anchors that GitHub gives them."""
        found: list[Heading] = []
        tokens = _parsed(self.text)
        for opening, inline in pairwise(tokens):
            if opening.type == "heading_open" and opening.map:
                text = "".join(child.content for child in inline.children or [])
                slug = re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")
                same = sum(heading.text == text for heading in found)
                anchor = f"{slug}-{same}" if same else slug
                found.append(Heading(opening.map[0] + 1, int(opening.tag[1:]), text, anchor))
        return found

    def links(self) -> list[tuple[int, str]]:
        """Return the target of each link and picture, with its line."""
        names = {"link_open": "href", "image": "src"}
        found: list[tuple[int, str]] = []
        line = 0
        for token in _parsed(self.text):
            line = token.map[0] + 1 if token.map else line
            inner = [child for child in token.children or [] if child.type in names]
            found += [(line, str(child.attrs[names[child.type]])) for child in inner]
        return found

    def chapter(self, heading: str) -> range:
        """Return the lines of a heading and of all that is under it, up to a heading of its own level."""
        headings = self.headings()
        begin = next((one for one in headings if one.text == heading), None)
        assert begin, f"{self.name}: no heading {heading!r}"
        ends = (one.line for one in headings if one.line > begin.line and one.level <= begin.level)
        return range(begin.line, next(ends, len(self.text.splitlines()) + 1))

    def part(self, heading: str) -> str:
        """Return the text of a chapter."""
        lines = self.text.splitlines()
        return "\n".join(lines[line - 1] for line in self.chapter(heading))

    def table(self, heading: str) -> dict[str, str]:
        """Return the first table whose first column has this heading: first cell to second cell, without backticks."""
        rows: dict[str, str] = {}
        lines = iter(self.text.splitlines())
        for line in lines:
            if line.startswith(f"| {heading} |"):
                next(lines)
                for row in lines:
                    if not row.startswith("|"):
                        return rows
                    names, value = (cell.strip() for cell in row.strip("|").split(" | ")[:2])
                    rows |= dict.fromkeys(re.findall(r"`([^`]+)`", names), value.strip("`"))
        assert rows, f"{self.name}: no table {heading!r}"
        return rows

    def _written_out(self) -> Iterator[tuple[int, str]]:
        """Yield the code of sentences and tables; a single word after a command in a cell stands for its last one."""
        command, its_cell = "", 0
        for line, text, cell in self.spans():
            if cell and is_command(text):
                command, its_cell = text, cell
                yield line, text
            elif cell and cell == its_cell and re.fullmatch(r"[a-z]+", text):
                yield line, f"{command.rpartition(' ')[0]} {text}"
            else:
                yield line, text


def pages() -> list[Page]:
    """Return all pages of the project."""
    return [Page(path) for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]


def docs(name: str) -> Page:
    """Return a page of pipeline/docs."""
    return Page(ROOT / "pipeline" / "docs" / name)


README, BENCH = Page(ROOT / "README.md"), Page(ROOT / "bench" / "README.md")
DEPLOY, BATCHES, RESULTS, CLIENTS, OPERATE, GUARANTEES, RECIPES = (
    docs(f"{name}.md") for name in ("deploy", "batches", "results", "clients", "operate", "guarantees", "recipes")
)


def blocks() -> list[Block]:
    """Return every block of every page."""
    return [block for page in pages() for block in page.blocks()]


def commands() -> list[Command]:
    """Return every command line of every page. The changelog has none to paste: it tells of the past."""
    return [command for page in pages() if page.name != "CHANGELOG.md" for command in page.commands()]


def without_repeats(printed: Iterable[Command]) -> list[Command]:
    """Return the first of the command lines that say the same."""
    return list({command.text: command for command in reversed(list(printed))}.values())[::-1]


@cache
def _parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)
