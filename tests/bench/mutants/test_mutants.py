"""The command that makes mutants: what it refuses, whom it asks, and what it writes down."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from bench.kit.errors import BenchError
from bench.mutants import __main__ as command
from bench.mutants.cases import BUDGET, Case, Mutant, Session, Touched, Verdict, make_case
from bench.mutants.modules import INSTALL, MODEL, all_modules, choose, judges, own_first
from bench.mutants.report import Book, Scope
from tests.rigs.bench.machine import MACHINE

MUTANT = Mutant("pipeline/ledger/lua/tune.lua", 3, range(3, 4), "== to ~=", "if a == b\n", "if a ~= b\n")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command.app, arguments)


def test_what_is_not_there_to_be_changed_is_said() -> None:
    result = run("--only", "pipeline/ledger/lua/,pipeline/nothing.py")
    assert result.exit_code == 1
    assert "--only pipeline/nothing.py: no module begins so; there are pipeline/openfaas/signing.py, " in result.output


@pytest.mark.parametrize("name", ["PIPELINE_LOCAL_REDIS_URL", "PIPELINE_LOCAL_S3_ENDPOINT"])
def test_services_of_the_user_are_not_emptied(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    result = run()
    assert result.exit_code == 1
    assert f"{name} is set: the services of this run are emptied again and again; unset it" in result.output


def test_a_missing_tool_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "cosmic_ray" else name)
    result = run()
    assert result.exit_code == 1
    assert f"error: cosmic-ray==8.7.0 not found, which the locked requirements leave out: {INSTALL}" in result.output


def test_modules_are_chosen_by_the_beginnings_of_their_paths() -> None:
    assert choose("pipeline/ledger/lua/fin, pipeline/openfaas/sign") == [
        "pipeline/openfaas/signing.py",
        "pipeline/ledger/lua/finish.lua",
    ]
    assert choose("") == all_modules()
    with pytest.raises(BenchError):
        choose("signing.py")


def test_the_modules_to_change_are_there() -> None:
    root = Path(command.__file__).parents[2]
    assert [path for path in all_modules() if not (root / path).is_file()] == []


def test_all_judge_that_start_no_services_of_their_own() -> None:
    root = Path(command.__file__).parents[2]
    assert {"tests/batch/test_older_redis_snapshot.py", "tests/openfaas/test_signing.py"} <= set(judges(root))
    starts = re.compile(r"redis\.nodes|redis_server\(|s3_server\(|\.kill\(\)|\.restart\(\)")
    assert [path for path in judges(root) if starts.search((root / path).read_text())] == []


def test_own_tests_come_first() -> None:
    order = [
        "tests/inputs/test_csv_rows.py::a",
        "tests/ledger/scripts/test_fail_and_defer.py::a",
        "tests/modes/test_tune.py::a",
    ]
    assert [own_first("pipeline/ledger/lua/tune.lua", test) for test in order] == [2, 1, 0]
    assert [own_first("pipeline/modes/tune.py", test) for test in order] == [2, 2, 0]


def touched() -> Touched:
    """Three tests, one of which fails; `''` stands for an import."""
    found = Touched()
    lines = {"pipeline/modes/tune.py": {"1": [""], "2": ["", "slow"], "3": ["fast", "broken"], "9": ["broken"]}}
    found.add({"seconds": {"slow": 30.0, "fast": 1.0}, "failed": [], "lines": lines, "scripts": {"tune": ["slow"]}})
    found.add(
        {"seconds": {"broken": 1.0, "a::b": 0.1}, "failed": ["broken"], "lines": {}, "scripts": {"fail": ["a::b"]}}
    )
    return found


def test_the_judges_of_a_line_touch_it_and_pass_with_nothing_changed() -> None:
    module = "pipeline/modes/tune.py"
    assert touched().by_lines(module, range(2, 4)) == {"slow", "fast"}
    assert touched().by_lines(module, range(3, 4)) == {"fast"}
    assert touched().by_lines(module, range(9, 10)) == set()
    assert touched().by_lines(module, range(20, 30)) == set()


def test_all_that_use_a_module_judge_what_its_import_runs() -> None:
    assert touched().by_lines("pipeline/modes/tune.py", range(1, 2)) == {"slow", "fast"}


def test_the_judges_of_a_script_run_it_and_all_judge_what_is_before_every_script() -> None:
    assert touched().by_script("tune") == {"slow"}
    assert touched().by_script("common") == {"slow", "a::b"}
    assert touched().by_script("none") == set()


def test_fast_tests_judge_until_the_budget_is_used_up_and_the_model_alone() -> None:
    model = f"{MODEL}::test"
    seconds = {"b": BUDGET / 2, "a": BUDGET, "c": BUDGET * 2, "tests/modes/test_tune.py::x": 3.0, model: 7.0}
    found = Touched()
    found.add({"seconds": seconds, "failed": [], "lines": {}, "scripts": {"tune": list(seconds)}})
    case = make_case(MUTANT, found)
    assert [session.tests for session in case.sessions] == [("tests/modes/test_tune.py::x", "b", "a"), (model,)]
    assert [(session.seconds, session.slowest) for session in case.sessions] == [(BUDGET * 1.5 + 3, BUDGET), (7.0, 7.0)]
    assert (case.tests, case.reaching) == (4, 5)


def test_a_run_leaves_rows_a_page_and_the_machine(tmp_path: Path) -> None:
    book = Book(tmp_path, MACHINE, Console(quiet=True))
    book.begin(
        Scope({MUTANT.path: 40, "pipeline/openfaas/signing.py": 30}, 1000, ("tests/inputs/test_csv_rows.py::a",)), 5
    )
    case = Case(MUTANT, (Session(("a", "b"), 1.0, 1.0),), 3)
    python = replace(case, mutant=replace(MUTANT, path="pipeline/openfaas/signing.py"))
    book.done(case, Verdict("killed", 1.0, "a"))
    book.done(case, Verdict("timeout", 1.0, ""))
    book.done(case, Verdict("survived", 1.0, ""))
    book.done(replace(python, sessions=(), reaching=0), Verdict("unreached", 0.0, ""))
    book.done(replace(case, control=True, mutant=replace(MUTANT, code=MUTANT.source)), Verdict("survived", 1.0, ""))
    with (tmp_path / "mutation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["verdict"] for row in rows) == ["killed", "survived", "survived", "timeout", "unreached"]
    assert [row["verdict"] for row in rows if row["control"] == "1"] == ["survived"]
    assert json.loads((tmp_path / "mutation.json").read_text()) == MACHINE
    page = (tmp_path / "mutation.md").read_text().splitlines()
    assert "Controls, with nothing changed: 1 of 1 survived. Tests that may judge: 1000." in page
    assert "- `tests/inputs/test_csv_rows.py::a`" in page
    assert [line for line in page if line.startswith("| ")][2:] == [
        "| pipeline/ledger/lua/tune.lua | 40 | 3 | 2 | 1 | 67% |",
        "| pipeline/openfaas/signing.py | 30 | 1 | 0 | 1 | 0% |",
        "| all .py | 30 | 1 | 0 | 1 | 0% |",
        "| all .lua | 40 | 3 | 2 | 1 | 67% |",
        "| all | 70 | 4 | 2 | 2 | 50% |",
    ]
    assert page[-2:] == [
        "- pipeline/ledger/lua/tune.lua:3, == to ~=, 2 of 3 tests: `if a == b` => `if a ~= b`",
        "- pipeline/openfaas/signing.py:3, == to ~=, no test reaches it: `if a == b` => `if a ~= b`",
    ]
    assert book.broken == []


def test_a_control_that_was_killed_is_no_mutant_and_is_told(tmp_path: Path) -> None:
    book = Book(tmp_path, MACHINE, Console(quiet=True))
    control = Case(replace(MUTANT, code=MUTANT.source), (Session(("a",), 1.0, 1.0),), 1, control=True)
    book.done(control, Verdict("killed", 1.0, "a"))
    book.done(replace(control, control=False, mutant=MUTANT), Verdict("killed", 1.0, "a"))
    assert book.broken == ["pipeline/ledger/lua/tune.lua:3 by a"]
    assert "Controls, with nothing changed: 0 of 1 survived." in (tmp_path / "mutation.md").read_text()
