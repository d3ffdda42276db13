"""The recipes as they are printed: a specification, a model function, and commands."""

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.rigs.docs.commands import Command
from tests.rigs.docs.kinds import COMING_OVER
from tests.rigs.docs.pages import RECIPES, Block

# The limit of the recipe's API, in calls a second.
(LIMIT,) = {int(number) for number in re.findall(r"takes (\d+) calls a second", RECIPES.text)}


@dataclass(frozen=True)
class Recipe:
    """The parts under one heading; `result` is the first JSON in the sentences after the commands."""

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
        """The name of the model function and of its folder."""
        return str(self.spec["function"])


def recipes() -> list[Recipe]:
    """Return all of them, in order; AssertionError for one that lacks a part, or has it twice."""
    return [_read(one.text) for one in RECIPES.headings() if one.level == 2 and one.text != COMING_OVER]


def _read(heading: str) -> Recipe:
    lines = RECIPES.chapter(heading)
    mine = [block for block in RECIPES.blocks() if block.line in lines]
    (spec,) = (block for block in mine if block.info == "json")
    (handler,) = (block for block in mine if block.info == "python")
    (shell,) = (block for block in mine if block.is_shell())
    results = [
        code for line, code, _ in RECIPES.spans() if line in lines and line > shell.line and code.startswith("{")
    ]
    return Recipe(
        heading=heading,
        lines=lines,
        spec_file=_file_of(spec, "json"),
        spec=json.loads(spec.text),
        handler_file=_file_of(handler, "py"),
        handler=handler,
        commands=shell.commands(),
        result=json.loads(results[0]),
    )


def _file_of(block: Block, suffix: str) -> str:
    """Return the file name in the sentence before a block."""
    before = "\n".join(RECIPES.text.splitlines()[: block.line - 1])
    found = re.search(rf"`([\w/]+\.{suffix})`:\s*$", before)
    assert found, f"{block.page}:{block.line}: no name of a file stands before this block"
    return found[1]
