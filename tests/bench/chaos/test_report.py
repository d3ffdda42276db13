"""What the chaos runs write down."""

import csv
from pathlib import Path
from typing import Any

from bench.chaos.__main__ import render, write_scenario
from bench.chaos.evidence import Evidence, Seen
from bench.chaos.plan import make_plan
from bench.chaos.run import Result
from bench.kit.results import publish_rows
from tests.rigs.bench.machine import MACHINE


def result(seed: int, violations: list[str]) -> Result:
    plan = make_plan(seed, short=True)
    entries: list[dict[str, Any]] = [
        {"item": "good 1", "statusCode": 503, "result": "busy"},
        {"item": "good 2", "statusCode": 504, "result": "no reply within 0.2 s"},
        {"item": "good 3", "statusCode": None, "result": "not run: cancelled on request"},
    ]
    evidence = Evidence(
        rows=plan.rows,
        options=plan.options,
        status={"state": "cancelled", "succeeded": 2, "generation": 1},
        summary={"failures": {"results": entries}, "results": {"results": []}},
        later=None,
        calls=[("a", "good 4"), ("b", "good 4")],
        seen=[Seen("call", "a", "good 4", "", 200), Seen("call", "b", "good 4", "", 200)],
    )
    return Result(plan, evidence, ["step"], {"wipe-queue": 1, "drop-callback": 3}, 12.34, violations)


def test_a_run_is_a_row() -> None:
    found = result(3, ["counts: wrong"]).row()
    named = ("seed", "faults", "state", "succeeded", "failed", "time_up", "never_run", "generations", "model_calls")
    assert [found[name] for name in named] == [3, "drop-callback=3 wipe-queue=1", "cancelled", 2, 2, 1, 1, 2, 2]
    assert (found["repeated_calls"], found["seconds"], found["violations"]) == (1, 12.3, "counts: wrong")


def test_runs_are_added_up(tmp_path: Path) -> None:
    rows = [result(2, []).row(), result(4, ["counts: wrong | or not"]).row()]
    publish_rows(tmp_path, MACHINE, {"chaos": rows}, render)
    text = (tmp_path / "chaos.md").read_text()
    for line in (
        *("| runs | 2 |", "| runs with a violation | 1 |", "| ended as | cancelled 2 |", "| drop-callback | 6 |"),
        *("| faults | 8 |", "| 4 | counts: wrong / or not |", "`python -m bench.some`"),
    ):
        assert line in text


def test_a_scenario_takes_the_place_of_its_last_row(tmp_path: Path) -> None:
    figures = {"items": 10, "model_calls": 12, "repeated_calls": 2, "text": "as planned"}
    for name, seconds, violations in (("wipe", 3.0, None), ("wipe", 4.0, None), ("drops", 1.0, "too many")):
        verdict = {"scenario": name, **figures, "seconds": seconds, "violations": violations}
        write_scenario(tmp_path, verdict, MACHINE)
    with (tmp_path / "chaos-scenarios.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(one["scenario"], one["seconds"]) for one in lines] == [("drops", "1.0"), ("wipe", "4.0")]
    assert "too many" in (tmp_path / "chaos-scenarios.md").read_text()
