"""What README.md prints for people to paste, as a markdown parser finds it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.rigs.images import ROOT

README = ROOT / "README.md"
ASSIGNMENT = re.compile(r"\w+=.*")
# What begins a command line that somebody may write into a sentence or a table.
PROGRAMS = {
    *("curl", "echo", "faas-cli", "head", "iconv", "make", "openssl", "pip", "pipeline", "pytest", "python", "python3"),
    *("apt-get", "arkade", "aws", "brew", "cat", "cd", "chromium", "docker", "export", "git", "helm", "kubectl"),
    *("mypy", "npm", "psql", "redis-cli", "ruff", "sh", "sudo", "uv", "wget"),
}


@dataclass(frozen=True)
class Block:
    """A fenced or indented block; `info` is what its fence says of the language."""

    line: int
    info: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command line, as printed; `line` counts from 1, `stands_in` is `block` or `text`."""

    line: int
    text: str
    stands_in: str

    def words(self) -> list[str]:
        """Split it as a shell does, with |, <, > and & as words of their own."""
        return list(_words(self.text))

    def parts(self) -> list[list[str]]:
        """Split it at pipes and the like; a part begins with its program, without folder and variables."""
        parts: list[list[str]] = [[]]
        for word in self.words():
            if re.fullmatch(r"[|&;]+", word):
                parts.append([])
            elif parts[-1]:
                parts[-1].append(word)
            elif not ASSIGNMENT.fullmatch(word):
                parts[-1].append(program_of(word))
        return parts

    def programs(self) -> list[str]:
        """Name the program of each part."""
        return [part[0] for part in self.parts() if part]


def program_of(word: str) -> str:
    """Name a program without its folder."""
    return word.rpartition("/")[2]


def blocks() -> list[Block]:
    """Return every block of the README, in order."""
    return [
        Block(token.map[0] + 1, token.info.strip(), token.content)
        for token in _tokens()
        if token.map is not None and token.type in {"fence", "code_block"}
    ]


def spans() -> Iterator[tuple[int, str, int]]:
    """Yield each piece of code in a sentence or a table: its line, its text, and the number of its cell, 0 outside."""
    line = cell = cells = 0
    for token in _tokens():
        line = token.map[0] + 1 if token.map else line
        if token.type == "td_open":
            cell = cells = cells + 1
        elif token.type == "td_close":
            cell = 0
        yield from ((line, child.content, cell) for child in token.children or [] if child.type == "code_inline")


def commands() -> list[Command]:
    """Return every command line of the README: of blocks that hold such lines, then of sentences and tables."""
    printed = [command for block in blocks() if is_shell(block) for command in lines_of(block)]
    inline = [Command(line, text, "text") for line, text in _written_out() if is_command(text)]
    return sorted([*printed, *inline], key=lambda command: command.line)


def is_shell(block: Block) -> bool:
    """Say whether a block is for a shell: it says so, or says nothing and begins as a command does."""
    return block.info in {"sh", "shell", "bash", "console"} or (block.info == "" and is_command(block.text, words=1))


def is_command(text: str, words: int = 2) -> bool:
    """Say whether code is a command line: a known program, or any with an option, and at least so many words."""
    try:
        split = [word for word in _words(text) if not ASSIGNMENT.fullmatch(word)]
    except ValueError:
        return False
    if len(split) < words:
        return False
    has_option = any(re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word) for word in split[1:])
    return program_of(split[0]) in PROGRAMS or (has_option and re.fullmatch(r"[a-z./][\w./-]*", split[0]) is not None)


def lines_of(block: Block) -> list[Command]:
    """Split a block into command lines; what a backslash or an open quotation continues is one."""
    found: list[Command] = []
    pending, begun = "", block.line + 1
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        begun = begun if pending else number
        pending = f"{pending}\n{line}" if pending else line
        if pending.endswith("\\") or _is_open(pending):
            continue
        if pending.strip() and not pending.lstrip().startswith("#"):
            found.append(Command(begun, pending, "block"))
        pending = ""
    assert not pending, f"line {begun}: this command does not end:\n{pending}"
    return found


def section(heading: str) -> str:
    """Return what stands under a heading, up to the next one."""
    _, found, after = README.read_text().partition(f" {heading}\n")
    assert found, f"no heading {heading!r}"
    return re.split(r"^#+ ", after, maxsplit=1, flags=re.MULTILINE)[0]


def chapter(heading: str) -> range:
    """Return the lines under a heading, from 1, with all that is under it up to a heading of its own level."""
    headings = [token for token in _tokens() if token.type == "heading_open" and token.map]
    lines = README.read_text().splitlines()
    marked = [(token.map[0] + 1, int(token.tag[1:])) for token in headings if token.map]
    begin, level = next((line, depth) for line, depth in marked if lines[line - 1] == f"{'#' * depth} {heading}")
    end = (line for line, depth in marked if line > begin and depth <= level)
    return range(begin, next(end, len(lines) + 1))


def _written_out() -> Iterator[tuple[int, str]]:
    """Yield the code of sentences and tables; a single word after a command in a cell stands for its last one."""
    command, its_cell = "", 0
    for line, text, cell in spans():
        if cell and is_command(text):
            command, its_cell = text, cell
            yield line, text
        elif cell and cell == its_cell and re.fullmatch(r"[a-z]+", text):
            yield line, f"{command.rpartition(' ')[0]} {text}"
        else:
            yield line, text


def _is_open(text: str) -> bool:
    try:
        shlex.split(text)
    except ValueError:
        return True
    return False


def _words(text: str) -> Iterator[str]:
    lexer = shlex.shlex(text.replace("\\\n", " "), posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split = True
    lexer.commenters = ""
    yield from lexer


def _tokens() -> list[Token]:
    return _parsed(README.read_text())


@cache
def _parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)
