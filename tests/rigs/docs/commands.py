"""Command lines as pages print them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

ASSIGNMENT = re.compile(r"\w+=.*")
# Programs that begin a command line in a sentence or a table.
PROGRAMS = {
    *("curl", "echo", "faas-cli", "head", "make", "openssl", "pip", "pipeline", "pytest", "python", "python3"),
    *("apt-get", "arkade", "aws", "brew", "cat", "cd", "chromium", "docker", "export", "git", "helm", "kubectl"),
    *("mypy", "npm", "psql", "redis-cli", "ruff", "sh", "sudo", "uv", "wget"),
}


@dataclass(frozen=True)
class Command:
    """One command line as printed: its page and its line from 1; `stands_in` is `block` or `text`."""

    page: str
    line: int
    text: str
    stands_in: str

    @property
    def place(self) -> str:
        """Page and line, as compilers write them."""
        return f"{self.page}:{self.line}"

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


def is_command(text: str, words: int = 2) -> bool:
    """Return whether code is a command line: a known program, or any with an option, and at least so many words."""
    try:
        split = [word for word in _words(text) if not ASSIGNMENT.fullmatch(word)]
    except ValueError:
        return False
    if len(split) < words:
        return False
    has_option = any(re.fullmatch(r"--?[a-z][\w-]*(=.*)?", word) for word in split[1:])
    return program_of(split[0]) in PROGRAMS or (has_option and re.fullmatch(r"[a-z./][\w./-]*", split[0]) is not None)


def is_open(text: str) -> bool:
    """Return whether a quotation in the text has no end yet."""
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
