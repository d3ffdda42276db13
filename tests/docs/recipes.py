"""The README's recipes as they are printed: a specification, a model function, and commands."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.docs.reading import README, Block, Command, blocks, chapter, is_shell, lines_of, spans

# What the recipe of an API says that it allows, in calls a second.
(LIMIT,) = {int(number) for number in re.findall(r"takes (\d+) calls a second", README.read_text())}


@dataclass(frozen=True)
class Recipe:
    """What stands under one heading; `result` is the first piece of JSON among the sentences after the commands."""

    heading: str
    lines: range
    spec_file: str
    spec: dict[str, Any]
    handler_file: str
    handler: Block
    commands: list[Command]
    result: dict[str, Any]

    @property
    def function(self) -> str:
        """The model function's name, by which its folder is called too."""
        return str(self.spec["function"])


def recipes() -> list[Recipe]:
    """Return all of them, in order; AssertionError for one that lacks a part, or has it twice."""
    text = README.read_text().splitlines()
    inside = [text[line - 1] for line in chapter("Recipes")]
    return [_read(line.removeprefix("### ")) for line in inside if line.startswith("### ")]


def _read(heading: str) -> Recipe:
    lines = chapter(heading)
    mine = [block for block in blocks() if block.line in lines]
    (spec,) = (block for block in mine if block.info == "json")
    (handler,) = (block for block in mine if block.info == "python")
    (shell,) = (block for block in mine if is_shell(block))
    results = [code for line, code, _ in spans() if line in lines and line > shell.line and code.startswith("{")]
    return Recipe(
        heading=heading,
        lines=lines,
        spec_file=_file_of(spec, "json"),
        spec=json.loads(spec.text),
        handler_file=_file_of(handler, "py"),
        handler=handler,
        commands=lines_of(shell),
        result=json.loads(results[0]),
    )


def _file_of(block: Block, suffix: str) -> str:
    """Return the name that the sentence before a block gives it."""
    before = "\n".join(README.read_text().splitlines()[: block.line - 1])
    found = re.search(rf"`([\w/]+\.{suffix})`:\s*$", before)
    assert found, f"README.md:{block.line}: no name of a file stands before this block"
    return found[1]
