"""The table of the ledger's fields against the scripts and against what Python sends and reads."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pipeline
from pipeline.ledger.fields import FIELDS
from pipeline.ledger.headers import read_rows
from pipeline.store.batch_records import OpenMark
from tests.rigs.redis.layout import is_field

ROOT = Path(pipeline.__file__).parent
LUA = "".join(re.sub(r"--.*", "", path.read_text()) for path in sorted((ROOT / "ledger" / "lua").glob("*.lua")))
# A field of a list: read or written, or a pattern whose number comes from a variable.
ARGUMENT = re.compile(r"'([\w:]+)'(?: \.\. (\w+))?")


def arguments(call: str) -> list[str]:
    """What a call of a function is given, each as it stands in the script."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(call):
        depth += (letter in "({") - (letter in ")}")
        if depth < 0 or (depth == 0 and letter == ","):
            parts.append(call[start:place].strip())
            start = place + 1
        if depth < 0:
            break
    return parts


def fields_in_scripts() -> Iterator[str]:
    """The fields that the scripts name, a pattern with a number of its own."""
    named = [part for call in re.finditer(r"\bget\((?!\.)", LUA) for part in arguments(LUA[call.end() :])]
    for call in re.finditer(r"call\('(HSET|HGET|HINCRBY|HDEL)', LEDGER, ", LUA):
        parts = arguments(LUA[call.end() :])
        named += parts[::2] if call[1] == "HSET" else parts if call[1] == "HDEL" else parts[:1]
    for part in named:
        # Those that stand in a variable come from Python.
        if part != "field":
            match = ARGUMENT.fullmatch(part)
            assert match, part
            yield match[1] + ("0" if match[2] else "")


def fields_in_python() -> Iterator[str]:
    """The fields that Python reads from a state, and that it sends for a batch that Redis has lost."""
    yield from OpenMark(1, 1, cancelled=True, paused=True, window=1, rate=1).fields()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and re.search(
                r"\b(state|claimed)\.(number|seconds)$", ast.unparse(node.func)
            ):
                yield from _text(node.args[0])
            elif isinstance(node, ast.Subscript) and re.search(r"\b(state|claimed)$", ast.unparse(node.value)):
                yield from _text(node.slice)


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant | ast.JoinedStr):
        yield re.sub(r"\{.*?\}", "0", ast.unparse(node).removeprefix("f").strip("'"))


def test_every_field_of_a_script_is_declared_and_every_declared_field_is_used() -> None:
    used = set(fields_in_scripts())
    assert [name for name in used if not is_field(name)] == []
    declared = {re.sub("<.*?>", "0", field.name) for field in FIELDS}
    assert declared - used == set()


def test_every_field_that_python_reads_or_sends_is_declared() -> None:
    used = set(fields_in_python())
    assert {"state", "epoch_0", "succeeded", "rate"} <= used
    assert [name for name in used if not is_field(name)] == []


def test_every_declared_field_has_a_line() -> None:
    text = (ROOT / "ledger" / "lua" / "fields.lua").read_text()
    assert len(read_rows(text, "field")) == text.count("@field") == len({field.name for field in FIELDS})
