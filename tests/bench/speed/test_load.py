"""Figures follow from the samples of a load, its checks notice what is wrong, and a small one runs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from typer.testing import CliRunner

from bench.kit.results import read_frame
from bench.speed.load.__main__ import app, problem_of
from bench.speed.load.report import figures, growth
from pipeline.client import Progress

ROWS = ["a", "bb"]
STATUS = Progress("done", items=2, succeeded=2)
ONE = "rss_mb_replica_1"


def sample(seconds: float, rss: float, *, done: int = 0, over: int = 0, collects: str = "") -> dict[str, Any]:
    cells = {"seconds": seconds, "items_done": done, "batches_ended": over, ONE: float(rss)}
    counted = {"collects": len(collects.split()), "collect_ms": collects, "collects_refused": len(collects) % 2}
    return {**cells, **counted, "messages_waiting": done // 10}


def batch(role: str, seconds: float, *, retried: int = 0) -> dict[str, Any]:
    load = {"batches": 3, "size": 100, "small": 10, "replicas": 1, "workers": 2, "chunk": 10, "window": 16}
    return {"role": role, "items": 100 if role == "load" else 10, "seconds": seconds, "retried": retried, **load}


def follow(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return growth(pl.DataFrame(samples), ONE)


def test_the_figures_of_a_run() -> None:
    collects = [range(50), [], range(50, 100), [100]]
    samples = [sample(n, 1, done=60, collects=" ".join(map(str, part))) for n, part in enumerate(collects)]
    small = [batch("alone", 2.0), batch("alone", 1.0), batch("alone", 9.0), batch("amid", 5.0)]
    together = [batch("load", 8.0), batch("load", 10.0, retried=3), batch("load", 13.0, retried=1)]

    one = figures(pl.DataFrame(samples), pl.DataFrame([*small, *together]))

    assert (one["items"], one["items that ran again"], one["longest batch, s"]) == (300, 4, 13)
    assert one["items/s"] == pytest.approx(300 / 13)
    assert one["spread, of the median"] == 0.5
    assert (one["small batch alone, s"], one["among the others, s"]) == (2, 5)
    assert [one[f"collect p{part}, ms"] for part in (50, 95, 99, 100)] == [50, 95, 99, 100]
    assert (one["callbacks"], one["not answered 200"], one["deepest queue, messages"]) == (101, 3, 6)


def test_memory_is_followed_from_the_start_to_the_end() -> None:
    samples = [sample(0, 100), sample(1, 120, done=90), sample(4, 111, done=100, over=1)]
    used = follow(samples)

    assert (used["process"], used["start"], used["peak"], used["end"]) == ("replica_1", 100, 120, 111)


def test_the_first_half_is_no_growth() -> None:
    rising = [sample(second, 100 + 10 * min(second, 5), done=second) for second in range(11)]
    used = follow([*rising, sample(11, 190, done=12, over=1)])

    assert used["a minute"] == pytest.approx(0)
    assert used["flat"]


def test_halves_are_halves_of_the_time_not_of_the_samples() -> None:
    sparse = [sample(second, 100 + second) for second in (0, 1, 2, 3, 4, 16, 18, 20)]

    assert follow(sparse)["a minute"] == pytest.approx(60)
    assert follow(sparse[:5] + sparse[-1:])["a minute"] is None


def test_growth_while_all_run_is_not_flat() -> None:
    rising = [sample(second, 100 + 2 * second, done=second) for second in range(21)]
    used = follow([*rising, sample(21, 142, done=22, over=1)])

    assert used["a minute"] == pytest.approx(120)
    assert used["flat"] is False


def test_the_time_after_the_first_end_does_not_count() -> None:
    still = [sample(second, 100, done=second) for second in range(10)]
    merging = [sample(10 + second, 100 + 20 * second, done=10, over=1) for second in range(5)]
    used = follow([*still, *merging, sample(15, 180, done=10, over=2)])

    assert used["a minute"] == pytest.approx(0)
    assert used["flat"]


def test_a_short_run_does_not_tell_whether_memory_grows() -> None:
    used = follow([sample(0, 100), sample(1, 200, done=1), sample(2, 300, done=2, over=1)])

    assert (used["a minute"], used["flat"]) == (None, None)


def summary(*items: str, failed: Sequence[str] = ()) -> dict[str, Any]:
    results = [{"item": item, "result": {"length": len(item)}} for item in items]
    failures = [{"item": item, "result": "no"} for item in failed]
    return {
        "results": {"count": len(results), "results": results},
        "failures": {"count": len(failures), "results": failures},
    }


def test_a_good_batch_has_no_problem() -> None:
    assert problem_of(ROWS, STATUS, summary("a", "bb")) == ""


@pytest.mark.parametrize(
    ("status", "written", "problem"),
    [
        ({"state": "failed", "reason": "why"}, summary("a", "bb"), r"it is failed \(why\)"),
        ({}, None, "it is done"),
        ({"succeeded": 1}, summary("a", "bb"), r"\(2, 1, 0\) are its items, successes and failures"),
        ({}, summary("a"), "each row once"),
        ({}, summary("bb", "a"), "in order"),
        ({}, summary("a", "bb", "bb"), "each row once"),
        ({}, summary("a", "bb", failed=["bb"]), "each row once"),
    ],
)
def test_a_bad_batch_is_noticed(status: dict[str, Any], written: Any, problem: str) -> None:
    assert re.search(problem, problem_of(ROWS, msgspec.structs.replace(STATUS, **status), written))


def test_wrong_counts_and_results_of_other_items_are_noticed() -> None:
    for part, entry in (("results", {"count": 1}), ("failures", {"count": 1})):
        written = summary("a", "bb")
        written[part].update(entry)
        assert problem_of(ROWS, STATUS, written)
    written = summary("a", "bb")
    written["results"]["results"][0]["result"] = {"length": 2}
    assert problem_of(ROWS, STATUS, written)


@pytest.mark.attack
def test_a_small_load_on_the_local_stack_keeps_every_check(tmp_path: Path) -> None:
    options = {"batches": 2, "items": 60, "small": 20, "replicas": 2, "workers": 4, "window": 8, "out": tmp_path}
    arguments = [part for name, value in options.items() for part in (f"--{name}", str(value))]

    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 0, result.output
    samples = read_frame(tmp_path, "load")
    one = figures(samples, read_frame(tmp_path, "load-batches"))
    assert (one["items"], one["not answered 200"]) == (120, 0)
    # Twelve tasks of the two, and two of the small batch between them.
    assert one["callbacks"] >= 14
    assert one["deepest queue, messages"] > 0
    assert {name for name in samples.columns if "rss" in name} == {
        f"rss_mb_{name}" for name in ("replica_1", "replica_2", "redis", "s3")
    }
    assert samples["items_done"][-1] == 120
    assert (tmp_path / "load.md").read_text() in result.output
