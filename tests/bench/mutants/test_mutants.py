"""The tests that judge a mutant, its verdict, and the score."""

import csv
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from cosmic_ray.work_item import TestOutcome as Outcome
from cosmic_ray.work_item import WorkerOutcome, WorkResult
from rich.console import Console
from typer.testing import CliRunner

from bench.kit.errors import BenchError
from bench.kit.machine import ROOT
from bench.mutants.__main__ import app
from bench.mutants.judges import BESIDE, copy_of_tree, end_processes, failures, judges, rooms
from bench.mutants.report import CONTROL, Row, broken_controls, markdown
from bench.mutants.run import Plan, run, verdict
from bench.mutants.sample import Change, choose
from tests.rigs.bench.machine import MACHINE

CHANGE = Change("pipeline/modes/tune.py", "core/AddNot", 3, 7, "if a:", "if not a:")
OUTPUT = (
    "..F\nFAILED tests/modes/test_tune.py::test_one[a-b] - assert 1 == 2\nERROR tests/modes/test_tune.py::test_two\n"
)


def judged(outcome: Outcome, output: str) -> WorkResult:
    return WorkResult(WorkerOutcome.NORMAL, output, outcome)


def every(path: str) -> list[str]:
    named, others = judges(path)
    return [*named, *others]


def test_every_file_has_judges_of_its_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    files = [str(path) for path in choose("")]
    assert {"pipeline/sql/child.py", "pipeline/server.py", "pipeline/ledger/lua/settle.lua"} < set(files)
    without = [path for path in files if not any(test.startswith(f"tests/{rooms(path)[0]}/") for test in every(path))]
    assert {rooms(path)[0] for path in without} == {"webhooks"}
    assert [room for beside in BESIDE.values() for room in beside if not Path("tests", room).is_dir()] == []


def test_tests_named_after_a_file_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert judges("pipeline/openfaas/signing.py")[0] == ["tests/openfaas/test_signing.py"]
    assert "tests/ledger/scripts/test_settle.py" in judges("pipeline/ledger/lua/settle.lua")[0]
    assert "tests/model/test_ledger_machine.py" in judges("pipeline/ledger/lua/fields.lua")[1]
    nodes = "tests/ledger/redis/test_sentinel.py"
    assert nodes in judges("pipeline/ledger/redis/client.py")[1]
    assert nodes not in judges("pipeline/ledger/ledger.py")[1]


def test_beginning_without_a_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(BenchError, match=r"--only signing\.py: no file of the function begins so"):
        choose("pipeline/openfaas/, signing.py")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (judged(Outcome.KILLED, OUTPUT), ("killed", "tests/modes/test_tune.py::test_one[a-b]")),
        (judged(Outcome.KILLED, "timeout"), ("timeout", "")),
        (judged(Outcome.INCOMPETENT, "Traceback"), ("killed", "")),
        (judged(Outcome.SURVIVED, "3 passed"), ("survived", "")),
        (judged(Outcome.KILLED, "=== 12 deselected in 0.1s ==="), ("survived", "")),
    ],
)
def test_verdict(result: WorkResult, expected: tuple[str, str]) -> None:
    row = verdict(CHANGE, result)
    assert (row["verdict"], row["by"]) == expected


def test_failing_tests_are_read_from_the_end_of_the_output() -> None:
    assert failures(OUTPUT) == ["tests/modes/test_tune.py::test_one[a-b]", "tests/modes/test_tune.py::test_two"]


def row(module: str, word: str, operator: str = "core/AddNot") -> Row:
    return {**vars(CHANGE), "module": module, "operator": operator, "verdict": word, "by": ""}


def test_score_counts_mutants_that_a_test_could_notice_and_no_controls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = ["module,old,new,judgement,why", "pipeline/ledger/lua/a.lua,if a:,if not a:,equivalent,never reached"]
    (tmp_path / "mutation-survivors.csv").write_text("\n".join(lines))
    monkeypatch.setattr("bench.mutants.report.RESULTS", tmp_path)
    rows = [
        row("pipeline/ledger/lua/a.lua", "killed"),
        row("pipeline/ledger/lua/a.lua", "timeout"),
        row("pipeline/ledger/lua/a.lua", "survived"),
        row("pipeline/modes/b.py", "survived"),
        row("pipeline/modes/b.py", "survived", CONTROL),
    ]
    page = markdown(rows, ["tests/modes/test_tune.py::test_one"], MACHINE).splitlines()
    assert "Controls, with nothing changed: 1 of 1 survived." in page
    assert "- `tests/modes/test_tune.py::test_one`" in page
    assert [line for line in page if line.startswith("| ")][2:] == [
        "| pipeline/ledger/lua/a.lua | 3 | 2 | 0 | 1 | 100% |",
        "| pipeline/modes/b.py | 1 | 0 | 1 | 0 | 0% |",
        "| all .py | 1 | 0 | 1 | 0 | 0% |",
        "| all .lua | 3 | 2 | 0 | 1 | 100% |",
        "| all | 4 | 2 | 1 | 1 | 67% |",
    ]
    assert page[-2] == "- pipeline/ledger/lua/a.lua:7, core/AddNot: `if a:` => `if not a:`: equivalent: never reached"
    assert page[-1] == "- pipeline/modes/b.py:7, core/AddNot: `if a:` => `if not a:`: not judged"
    assert broken_controls(rows) == []
    assert broken_controls([row("pipeline/modes/b.py", "killed", CONTROL)]) == ["pipeline/modes/b.py:7 by killed"]


def test_nothing_is_left_of_a_copy() -> None:
    lasting = (sys.executable, "-c", "input()")
    with copy_of_tree("") as tree:
        temporary = tree.parent / "tmp"
        (temporary / "file").touch()
        with subprocess.Popen(lasting, stdin=subprocess.PIPE, start_new_session=True) as first:
            end_processes()
            assert list(temporary.iterdir()) == []
            assert not psutil.pid_exists(first.pid)
        second = subprocess.Popen(lasting, stdin=subprocess.PIPE, start_new_session=True)
    with second:
        assert not psutil.pid_exists(second.pid)
    assert not tree.parent.exists()


def test_commit_that_does_not_exist_is_an_error() -> None:
    result = CliRunner().invoke(app, ["--tests", "no-such-commit"])
    assert result.exit_code == 1
    assert "error: git rev-parse no-such-commit^{commit} fails" in result.output


@pytest.mark.attack
def test_mutants_of_a_module_are_judged_again_by_the_tests_of_a_commit(tmp_path: Path) -> None:
    console = Console(quiet=True)
    first = run(Plan(1, "pipeline/spec/chunk_size.py", 1, None, ""), console, tmp_path, MACHINE)
    again = run(Plan(1, "", 1, tmp_path / "mutation.csv", "HEAD"), console, tmp_path / "again", MACHINE)
    assert first == again
    assert broken_controls(first) == []
    with (tmp_path / "mutation.csv").open(newline="") as file:
        assert [line["operator"] for line in csv.DictReader(file)][1:] == [CONTROL]
