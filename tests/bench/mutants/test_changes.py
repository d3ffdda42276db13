"""The changes that are made to a Lua script, and where none are made to Python."""

import ast
import re
from pathlib import Path

import pytest

from bench.mutants.lua import lua_mutants
from bench.mutants.protected import protected, statement_lines, statements

SCRIPTS = sorted((Path(__file__).parents[3] / "pipeline" / "ledger" / "lua").glob("*.lua"))
QUOTED_OR_COMMENT = re.compile(r"'[^']*'|--.*")


def kept_in(source: str) -> list[str]:
    return QUOTED_OR_COMMENT.findall(source)


def changes(source: str) -> list[str]:
    """Return the changed sources."""
    return [mutant.code for mutant in lua_mutants("some.lua", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if a == b then\n", ["if a ~= b then\n"]),
        ("if a ~= b then\n", ["if a == b then\n"]),
        ("if a < b then\n", ["if a <= b then\n"]),
        ("if a <= b then\n", ["if a < b then\n"]),
        ("if a > b then\n", ["if a >= b then\n"]),
        ("if a >= b then\n", ["if a > b then\n"]),
        ("x = a + b\n", ["x = a - b\n"]),
        ("x = a - b\n", ["x = a + b\n"]),
        ("x = a * b\n", ["x = a / b\n"]),
        ("x = a and b\n", ["x = a or b\n"]),
        ("x = a or b\n", ["x = a and b\n"]),
        ("x = not b\n", ["x = b\n"]),
        ("x = true\n", ["x = false\n"]),
        ("x = false\n", ["x = true\n"]),
        ("x = math.max(a, b)\n", ["x = math.min(a, b)\n"]),
        ("x = math.min(a, b)\n", ["x = math.max(a, b)\n"]),
        ("return 1\n", ["return 2\n"]),
        ("return 0\n", ["return 1\n"]),
        ("set_expiry()\n", ["\n"]),
        ("  call('DEL', LEDGER)\n", ["\n"]),
        ("if gone then return end\n", ["\n"]),
    ],
)
def test_a_line_has_its_changes(source: str, expected: list[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "x = '1 and 0 == not true'\n",
        'x = "1 and 0 == not true"\n',
        "-- 1 and 0 == true\n",
        "x = y  -- not 1 < 0\n",
        "x = '--', y\n",
        "x = KEYS[1]\n",
        "x = 1000000\n",
        "x = 0.1\n",
        "local function one(a)\n",
        "call('HSET', LEDGER,\n",
        "  call('GET', LEDGER), x)\n",
        "end\n",
    ],
)
def test_what_stays_as_it_is(source: str) -> None:
    assert changes(source) == []


def test_code_beside_quotes_and_comments_is_changed() -> None:
    assert changes("if a == '==' then -- ==\n") == ["if a ~= '==' then -- ==\n"]
    assert changes("x = '--' == y\n") == ["x = '--' ~= y\n"]


def test_every_change_to_a_script_is_another_and_keeps_quotes_and_comments() -> None:
    sources = [path.read_text() for path in SCRIPTS]
    mutants = [mutant for source in sources for mutant in lua_mutants("some.lua", source)]
    codes = [mutant.code for mutant in mutants]
    assert len({*sources, *codes}) == len(sources) + len(codes)
    swaps = [mutant for mutant in mutants if mutant.what != "line dropped"]
    assert len(swaps) > len(sources)
    kept = [mutant for mutant in swaps if kept_in(mutant.code) == kept_in(mutant.source)]
    assert kept == swaps


def test_a_mutant_tells_its_change() -> None:
    mutant = lua_mutants("some.lua", "x = 5\n  if a < b then\nend\n")[0]
    assert (mutant.path, mutant.line, mutant.what) == ("some.lua", 2, "< to <=")
    assert mutant.change() == ("if a < b then", "if a <= b then")


PYTHON = '''\
"""Doc."""
Kind = Literal["a", "b"]


@dataclass(frozen=True)
class One:
    size: int = 1


def run(x: int = 2) -> None:
    """Doc."""
    log.info("at %d", x)
    keep(
        x,
    )
    if (
        x
    ):
        return
'''


def test_what_says_nothing_of_behaviour_is_kept() -> None:
    lines = PYTHON.splitlines()
    kept = [lines[line - 1][column:end] for (line, column), (_, end) in protected(ast.parse(PYTHON))]
    assert sorted(kept) == sorted(
        ['Literal["a", "b"]', "dataclass(frozen=True)", "int", "int", "None", 'log.info("at %d", x)']
    )


def test_a_call_can_be_dropped_but_no_docstring_and_no_log() -> None:
    assert [ast.unparse(node) for node in statements(ast.parse(PYTHON))] == ["keep(x)"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [(7, range(7, 8)), (10, range(10, 11)), (14, range(13, 16)), (15, range(13, 16)), (17, range(16, 19))],
)
def test_a_line_has_the_lines_of_its_statement(line: int, expected: range) -> None:
    assert statement_lines(ast.parse(PYTHON), line) == expected
