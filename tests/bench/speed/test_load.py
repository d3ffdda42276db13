"""What follows from a load run's samples, what its checks notice, and a small one of it."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from bench.speed.load.__main__ import app, figures, markdown, sample_row, write
from bench.speed.load.figures import Ended, Sample, latency, memory, second_half, slope, spread
from bench.speed.load.scenario import Load, Result, ended, summary_problems
from pipeline.client import Progress
from tests.rigs.bench.machine import MACHINE

LOAD = Load(batches=2, items=100, small=10, replicas=1, workers=2, chunk=10, window=16)
ROWS = ["a", "bb"]
STATUS = Progress("done", items=2, succeeded=2)


def sample(seconds: float, rss: float, *, done: int = 0, over: int = 0, collects: tuple[float, ...] = ()) -> Sample:
    return Sample(seconds, done, over, 3, collects, {"replica 1": rss}, redis_mb=2.0, keys=7)


def batch(seconds: float, retried: int = 0) -> Ended:
    return Ended("b", 100, seconds, "done", 100, retried)


def run(problems: Sequence[str] = ()) -> Result:
    samples = [
        sample(0, 100),
        sample(60, 110, done=100, collects=(1.0, 3.0)),
        sample(120, 108, done=200, over=2, collects=(5.0,)),
        sample(121, 107, done=200, over=2),
    ]
    small = [batch(2.0), batch(1.0), batch(9.0)]
    return Result(samples, [batch(80.0, 3), batch(100.0, 1)], small, batch(5.0), 12, 4, list(problems))


def summary(*items: str, failed: Sequence[str] = ()) -> dict[str, Any]:
    results = [{"item": item, "result": {"length": len(item)}} for item in items]
    failures = [{"item": item, "result": "no"} for item in failed]
    return {
        "results": {"count": len(results), "results": results},
        "failures": {"count": len(failures), "results": failures},
    }


def test_the_spread_is_a_share_of_the_median() -> None:
    apart = spread([batch(8.0), batch(10.0), batch(13.0)])

    assert apart == {"shortest": 8, "median": 10, "longest": 13, "spread": 0.5}


def test_latencies_are_percentiles_of_all_values() -> None:
    told = latency([float(value) for value in range(101)])

    assert told == {"count": 101, "p50": 50, "p95": 95, "p99": 99, "longest": 100}


def test_memory_is_followed_from_the_start_over_a_quarter_to_the_end() -> None:
    samples = [sample(0, 100), sample(1, 104, done=24), sample(2, 109, done=25), sample(3, 120, done=90)]
    used = memory([*samples, sample(4, 111, done=100, over=1)], "replica 1")

    assert (used.start, used.quarter, used.peak, used.end) == (100, 109, 120, 111)


def test_what_happens_in_the_first_half_is_no_growth() -> None:
    rising = [sample(second, 100 + 10 * min(second, 5), done=second) for second in range(11)]
    used = memory([*rising, sample(11, 190, done=12, over=1)], "replica 1")

    assert used.slope == pytest.approx(0)
    assert used.growth == pytest.approx(0)
    assert used.flat is True


def test_growth_while_all_run_is_not_flat() -> None:
    rising = [sample(second, 100 + 2 * second, done=second) for second in range(21)]
    used = memory([*rising, sample(21, 142, done=22, over=1)], "replica 1")

    assert used.slope == pytest.approx(120)
    assert used.growth == pytest.approx(20 / 120)
    assert used.flat is False


def test_the_end_of_a_batch_is_kept_apart_from_the_time_in_which_all_run() -> None:
    still = [sample(second, 100, done=second) for second in range(10)]
    merging = [sample(10 + second, 100 + 20 * second, done=10, over=1) for second in range(5)]
    used = memory([*still, *merging, sample(15, 180, done=10, over=2)], "replica 1")

    assert used.slope is not None
    assert used.slope > 0
    assert used.steady == pytest.approx(0)
    assert used.flat is True


def test_a_short_run_does_not_tell_whether_memory_grows() -> None:
    used = memory([sample(0, 100), sample(1, 200, done=1), sample(2, 300, done=2, over=1)], "replica 1")

    assert (used.slope, used.steady, used.growth, used.flat) == (None, None, None, None)
    assert slope([], "replica 1") is None


def test_halves_are_halves_of_the_time_not_of_the_samples() -> None:
    samples = [sample(second, 1) for second in (0, 1, 2, 3, 4, 20)]

    assert [one.seconds for one in second_half(samples)] == [20]


def test_the_figures_of_a_run() -> None:
    told = figures(LOAD, run())

    assert (told["items"], told["seconds"], told["items_per_second"], told["retried"]) == (200, 100, 2, 4)
    assert told["batch_seconds"]["spread"] == pytest.approx(20 / 90)
    assert told["small"] == {"alone": 2, "amid": 5, "times": 2.5}
    assert (told["collect_ms"]["count"], told["collect_ms"]["longest"]) == (3, 5)
    assert (told["callbacks_not_200"], told["deepest_queue"]) == (4, 12)
    assert told["redis_keys"] == {"peak": 7, "end": 7}


def test_a_time_counts_from_the_submission() -> None:
    counts = Progress("done", "b", items=2, succeeded=2, retried=1)
    status = msgspec.structs.replace(counts, created=99.0, started=101.0, completed=110.0, ended=110.5)

    assert ended(status, 100.0) == Ended("b", 2, 10.5, "done", 2, 1)


def test_samples_are_rows() -> None:
    rows = [sample_row(one) for one in run().samples]

    assert [row["items_done"] for row in rows] == [0, 100, 200, 200]
    assert [row["collect_p50_ms"] for row in rows] == [None, 2.0, 5.0, None]
    assert rows[1]["replica_1_rss_mb"] == 110.0


def test_the_files_say_where_figures_come_from(tmp_path: Path) -> None:
    page = write(tmp_path, LOAD, run(), MACHINE)

    document = json.loads((tmp_path / "load.json").read_text())
    assert document["command"] == MACHINE["command"]
    assert document["load"]["workers"] == 2
    assert [one["seconds"] for one in document["batches"]] == [80, 100]
    assert (tmp_path / "load.md").read_text() == page
    assert "- code: abc" in page
    assert "| 10 items | 2.00 s alone, 5.00 s amid the others: 2.5 times |" in page


def test_the_page_names_what_did_not_hold() -> None:
    assert "All hold." in markdown(LOAD, figures(LOAD, run()), MACHINE)
    page = markdown(LOAD, figures(LOAD, run(["b has no summary"])), MACHINE)
    assert "- b has no summary" in page
    assert "All hold." not in page


def test_a_good_summary_has_no_problems() -> None:
    assert summary_problems("b", ROWS, STATUS, summary("a", "bb")) == []


@pytest.mark.parametrize(
    ("status", "found", "problem"),
    [
        ({"state": "failed", "reason": "why"}, summary("a", "bb"), "b is failed: why"),
        ({}, None, "b has no summary"),
        ({}, summary("a"), "b: the results are not the rows, each once and in order"),
        ({}, summary("bb", "a"), "b: the results are not the rows, each once and in order"),
        ({}, summary("a", "bb", "bb"), "b: the results are not the rows, each once and in order"),
        ({}, summary("a", failed=["bb"]), "b: 1 items failed"),
        ({"succeeded": 1}, summary("a", "bb"), "b: the status counts (2, 1, 0) items, succeeded and failed"),
    ],
)
def test_a_bad_batch_is_noticed(status: dict[str, Any], found: Any, problem: str) -> None:
    problems = summary_problems("b", ROWS, msgspec.structs.replace(STATUS, **status), found)

    assert any(text.startswith(problem) for text in problems), problems


def test_a_count_that_is_not_its_lists_length_is_noticed() -> None:
    found = summary("a", "bb")
    found["failures"]["count"] = 1

    assert summary_problems("b", ROWS, STATUS, found) == ["b: failures counts 1, the list has 0"]


def test_another_items_result_is_noticed() -> None:
    found = summary("a", "bb")
    found["results"]["results"][0]["result"] = {"length": 2}

    assert summary_problems("b", ROWS, STATUS, found) == ["b: a result belongs to another item"]


def test_a_small_load_on_the_local_stack_keeps_every_check(tmp_path: Path) -> None:
    options = {"batches": 2, "items": 60, "small": 20, "replicas": 2, "workers": 4, "window": 8, "out": tmp_path}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]

    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "load.json").read_text())
    told = document["figures"]
    assert told["problems"] == []
    assert (told["items"], told["callbacks_not_200"]) == (120, 0)
    assert [one["succeeded"] for one in document["batches"]] == [60, 60]
    # Twelve tasks of the two, and two of the small batch between them.
    assert told["collect_ms"]["count"] == 14
    assert told["deepest_queue"] > 0
    assert set(told["memory_mb"]) == {"replica 1", "replica 2", "redis", "s3"}
    with (tmp_path / "load.csv").open(newline="") as file:
        assert [int(row["items_done"]) for row in csv.DictReader(file)][-1] == 120
