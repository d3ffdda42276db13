"""The bound of the regression bench, and the ratios that it holds against it."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from bench.kit.results import publish_rows, read_frame
from bench.speed.parallelism.ways import BARE
from bench.speed.regress import WAYS, app, judge, ratios
from tests.rigs.bench.machine import MACHINE

STEADY = [0.8, 0.81, 0.79, 0.8, 0.82, 0.78, 0.8]


def run(way: str, repeat: int, seconds: float, cpu: float) -> dict[str, object]:
    case = {"way": way, "parallelism": 4, "model_ms": 0, "items": 100, "repeat": repeat, "at_once": 1}
    return {**case, "seconds": seconds, "function_cpu_ms_per_item": cpu}


def test_a_ratio_is_to_the_bare_queue_of_the_same_repeat() -> None:
    runs = [run(BARE, 1, 1.0, 0.3), run("direct", 1, 2.0, 0.6), run(BARE, 2, 4.0, 0.5), run("direct", 2, 2.0, 0.5)]

    assert ratios(pl.DataFrame(runs)) == {"direct: items/s": [0.5, 2.0], "direct: processor time": [2.0, 1.0]}


@pytest.mark.parametrize(
    ("name", "now", "is_worse"),
    [
        ("direct: items/s", 0.8, False),
        ("direct: items/s", 2.0, False),
        ("direct: items/s", 0.77, False),
        ("direct: items/s", 0.7, True),
        ("direct: processor time", 0.8, False),
        ("direct: processor time", 0.1, False),
        ("direct: processor time", 0.83, False),
        ("direct: processor time", 0.9, True),
    ],
)
def test_worse_is_worse_than_noise_and_slack_explain(name: str, now: float, is_worse: bool) -> None:  # noqa: FBT001
    (verdict,) = judge({name: STEADY}, {name: [now] * 5}, slack=0.02)

    assert verdict.is_worse is is_worse
    assert (verdict.recorded, verdict.now) == (0.8, now)


def test_what_varies_more_may_be_worse_by_more() -> None:
    wild = [0.4, 1.2, 0.8, 0.5, 1.1, 0.8, 0.8]

    bounds = [judge({"a: items/s": values}, {"a: items/s": [0.8] * 5}, slack=0)[0].bound for values in (STEADY, wild)]

    assert 0.78 <= bounds[0] < 0.8
    assert bounds[1] < 0.6


def test_more_repeats_leave_less_to_noise() -> None:
    bounds = [judge({"a: items/s": STEADY}, {"a: items/s": [0.8] * size}, slack=0)[0].bound for size in (3, 25)]

    assert bounds[0] < bounds[1]


def test_a_way_that_is_not_on_record_is_not_compared() -> None:
    assert judge({"a: items/s": STEADY}, {"b: items/s": STEADY}, slack=0) == []


@pytest.mark.attack
def test_a_run_is_recorded_and_the_next_one_compared_with_it(tmp_path: Path) -> None:
    options = ["--repeats", "3", "--items", "300", "--against", str(tmp_path)]

    assert CliRunner().invoke(app, [*options, "--record"]).exit_code == 0
    rows = read_frame(tmp_path, "regress")
    assert rows.group_by("way").len().sort("way").rows() == [(way, 3) for way in sorted(WAYS)]
    is_bare = pl.col("way") == BARE
    for factor, code in ((1000, 0), (0.001, 1)):
        # On record the bare queue is a thousand times as fast and as cheap beside the others, or as slow and dear.
        scaled = rows.with_columns(
            seconds=pl.when(is_bare).then(pl.col("seconds") / factor).otherwise("seconds"),
            function_cpu_ms_per_item=pl.when(is_bare).then(0.1 / factor).otherwise(1.0),
        )
        publish_rows(tmp_path, MACHINE, {"regress": scaled.to_dicts()})
        compared = CliRunner().invoke(app, options)
        assert (compared.exit_code, "worse" in compared.stdout) == (code, code == 1), compared.output
    assert compared.stderr.strip().endswith("slower than on record, by more than noise explains")


def test_without_rows_on_record_it_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--against", str(tmp_path)])

    assert result.exit_code == 1
    assert "holds no rows" in result.stderr
