"""The text of every script: headers, arguments, states, and what only another Redis than that of the tests refuses."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

import pipeline
from pipeline.ledger.scripts import read_scripts
from pipeline.ledger.states import CHANGES, ENDED, EXPIRY, SETTLING, STATES

LEDGER = Path(pipeline.__file__).parent / "ledger"
COMMON = "".join((LEDGER / "lua" / f"{name}.lua").read_text() for name in ("fields", "common"))
SOURCES = read_scripts()
TYPES = {"text", "bytes", "json", "int", "number", "flag", "us", "unix", "seconds", "ints", "pairs", "hash", "raw_hash"}
HEADER = re.compile(r"-- @(arg|rest|reply) +(?:\.\.\.)?(\w+) +(\w+)\??(?:  .*)?")

scripts = pytest.mark.parametrize("script", SOURCES)


def body(script: str) -> str:
    return (LEDGER / "lua" / f"{script}.lua").read_text()


def code(text: str) -> str:
    """A script without its comments."""
    return re.sub(r"--.*", "", text)


@scripts
def test_no_script_passes_a_negated_number_to_redis(script: str) -> None:
    assert re.findall(r"[,(=]\s*-[A-Za-z(]", code(body(script))) == []


@scripts
def test_header_has_purpose_arguments_and_reply_with_types(script: str) -> None:
    lines = body(script).splitlines()
    header = lines[: next(number for number, line in enumerate(lines) if not line.startswith("--"))]
    declared = [line for line in header if line.startswith("-- @")]
    assert header[0].startswith("-- ")
    assert header[0] not in declared
    rows = [row.groups() for row in map(HEADER.fullmatch, declared) if row]
    assert len(rows) == len(declared)
    assert {kind for _, _, kind in rows} <= TYPES
    assert rows == sorted(rows, key=lambda row: ["arg", "rest", "reply"].index(row[0]))
    replies = re.search(r"\breturn (?!end\b)", code(body(script)))
    assert bool(replies) is any(what == "reply" for what, _, _ in rows)


@scripts
def test_script_uses_each_argument_by_its_name_only(script: str) -> None:
    source = SOURCES[script]
    names = [*source.arguments, source.rest] if source.rest else [*source.arguments]
    text = code(body(script))
    assert "ARGV" not in text
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []
    # A local of the same name would hide it.
    hidden = set(re.findall(r"\w+", " ".join(re.findall(r"(?m)^local ([\w, ]+?)(?:=|$)", code(COMMON) + text))))
    assert hidden & set(names) == set()


def test_each_script_is_run_by_one_method_with_the_names_of_its_header() -> None:
    calls = [call for path in sorted(LEDGER.glob("*.py")) for call in _runs(ast.parse(path.read_text()))]
    assert Counter(name for name, _ in calls) == Counter(dict.fromkeys(SOURCES, 1))
    for name, keywords in calls:
        # Those of a mapping are compared when the script is run.
        assert keywords - {None} <= set(SOURCES[name].arguments)
        assert None in keywords or keywords == set(SOURCES[name].arguments)


def _runs(tree: ast.AST) -> list[tuple[str, set[str | None]]]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "self._run"]
    return [(ast.literal_eval(call.args[0]), {keyword.arg for keyword in call.keywords}) for call in calls]


def test_no_line_is_added_to_a_script() -> None:
    for script, source in SOURCES.items():
        assert source.text.count("\n") == COMMON.count("\n") + body(script).count("\n")


def test_states_in_the_scripts_equal_the_table() -> None:
    text = re.sub(r"\bget\([^()]*\)", "", code(COMMON + "".join(map(body, SOURCES))))
    compared = re.findall(r"\b(?:state|outcome) [=~]= ('\w+')", text)
    written = re.findall(r"(?:'(?:state|outcome)', |\bstate = |\bstart_closing\()([^,)\n]*)", text)
    assert set(re.findall(r"'(\w+)'", " ".join(compared + written))) == STATES
    assert {change.script for change in CHANGES} - {EXPIRY} <= SOURCES.keys()


@pytest.mark.parametrize(("function", "states"), [("has_ended", ENDED), ("accepts_answers", SETTLING)])
def test_sets_of_states_are_the_same_in_the_scripts(function: str, states: frozenset[str]) -> None:
    (line,) = re.findall(rf"local function {function}\(state\)\n(.*)\nend", COMMON)
    assert set(re.findall(r"'(\w+)'", line)) == states
