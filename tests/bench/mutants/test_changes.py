"""The changes that are made to code, and where none are made."""

import re
from pathlib import Path

import pytest
from cosmic_ray.mutating import mutate_code
from cosmic_ray.work_db import use_db

from bench.mutants.operators import DropCall, LuaChange, lua_changes
from bench.mutants.sample import Change, choose, made_again, make_change, protected, sample

SCRIPTS = sorted((Path(__file__).parents[3] / "pipeline" / "ledger" / "lua").glob("*.lua"))


def changed(source: str) -> list[str]:
    """Return the changed sources."""
    return [code for _, code in lua_changes(source)]


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
        ("if a == '==' then -- ==\n", ["if a ~= '==' then -- ==\n"]),
        ("x = '--' == y\n", ["x = '--' ~= y\n"]),
    ],
)
def test_lua_line_has_its_changes(source: str, expected: list[str]) -> None:
    assert changed(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "x = '1 and 0 == not true'\n",
        'x = "1 and 0 == not true"\n',
        "-- 1 and 0 == true\n",
        "x = y  -- not 1 < 0\n",
        "x = KEYS[1]\n",
        "x = 1000000\n",
        "x = 0.1\n",
        "local function one(a)\n",
        "call('HSET', LEDGER,\n  tostring(x)\n)\n",
        "  call('GET', LEDGER), x)\n",
        "end\n",
    ],
)
def test_lua_line_without_changes(source: str) -> None:
    assert changed(source) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_changes_of_a_script_differ_and_touch_one_line(script: Path) -> None:
    source = script.read_text()
    codes = changed(source)
    assert len({source, *codes}) == 1 + len(codes)
    lines = source.splitlines()
    assert {sum(a != b for a, b in zip(lines, code.splitlines(), strict=True)) for code in codes} <= {1}


def test_cosmic_ray_writes_a_script_back_with_one_change() -> None:
    source = SCRIPTS[0].read_text()
    last = len(changed(source)) - 1
    assert mutate_code(source, LuaChange(), last) == changed(source)[last]
    assert mutate_code(source, LuaChange(), last + 1) is None


PYTHON = '''\
"""Doc."""
Kind = Literal["a", "b"]


@dataclass(frozen=True)
class One:
    size: int = 1


async def run(x: int = 2) -> None:
    """Doc."""
    log.info("at %d", x)
    await keep(
        x,
    )
    y = keep()
'''


def test_code_without_behaviour_is_not_changed() -> None:
    lines = PYTHON.splitlines()
    parts = [lines[line - 1][column:end] for (line, column), (_, end) in protected(PYTHON)]
    expected = ['Literal["a", "b"]', "dataclass(frozen=True)", "int", "int", "None", 'log.info("at %d", x)']
    assert sorted(parts) == sorted(expected)


def test_call_for_its_effect_is_dropped() -> None:
    assert mutate_code(PYTHON, DropCall(), 1) == re.sub(r"await keep\(.*?\n    \)", "pass", PYTHON, flags=re.DOTALL)
    assert mutate_code(PYTHON, DropCall(), 2) is None


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module, a script and a file that is never changed."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("modes/a.py", PYTHON), ("ledger/lua/b.lua", "return a == 1\n"), ("cli/c.py", "x = 1\n")):
        path = tmp_path / "pipeline" / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return tmp_path


def test_sample_is_of_the_seed_and_of_changes_with_behaviour(tree: Path) -> None:
    with use_db(tree / "session") as work:
        chosen = [list(sample(work, choose(""), 9, seed)) for seed in (1, 1, 2)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert sorted({change.operator for change in chosen[0] if change.module.endswith(".lua")}) == ["lua/Change"]
    assert sorted(change.line for change in chosen[0] if change.module.endswith(".py")) == [7, 10, 13]
    assert sorted({change.module for change in chosen[0]}) == ["pipeline/ledger/lua/b.lua", "pipeline/modes/a.py"]


def test_change_is_made_again_where_its_line_has_moved(tree: Path) -> None:
    script = tree / "pipeline" / "ledger" / "lua" / "b.lua"
    change = make_change(script.read_text(), "pipeline/ledger/lua/b.lua", "lua/Change", 1)
    assert change == Change("pipeline/ledger/lua/b.lua", "lua/Change", 1, 1, "return a == 1", "return a == 2")
    row = {name: str(value) for name, value in vars(change).items()}
    script.write_text("local c = 0\nreturn a == 1\n")
    moved = made_again(row)
    assert moved
    assert (moved.occurrence, moved.line, moved.new) == (2, 2, change.new)
    script.write_text("return b == 1\n")
    assert made_again(row) is None
    script.unlink()
    assert made_again(row) is None
