"""Lines, sums and the plan follow from the rows, and a small batch leaves possible figures."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from bench.kit.results import read_frame
from bench.speed.plan import Assumed, plan, plan_page
from bench.speed.scale import PROCESSES, STRAIGHT, app, fit, summed
from tests.rigs.bench.machine import MACHINE

PHASES = ("open_seconds", "map_seconds", "reduce_seconds")
SERVICES = ("redis_bytes", "s3_put", "s3_get", "s3_delete", "snapshot_bytes", "segment_bytes", "summary_bytes")
COSTS = (*PHASES, *(f"{name}_cpu_ms" for name in PROCESSES), *SERVICES)
ONE: dict[str, Any] = {"chunk": 100, **dict.fromkeys(COSTS, 1.0)}


def sized(items: int, **figures: Any) -> dict[str, Any]:
    return {**ONE, "items": items, **figures}


def test_rates_and_sums_follow_from_the_rows() -> None:
    run = sized(1_001, open_seconds=1, map_seconds=5, reduce_seconds=4, model_cpu_ms=3, s3_put=5, summary_bytes=8)
    (row,) = summed(pl.DataFrame([run])).to_dicts()

    assert row["items_per_second"] == pytest.approx(100.1)
    assert (row["cpu_ms"], row["s3_requests"], row["stored_bytes"]) == (7, 7, 10)


def test_a_line_has_the_cost_of_a_batch_once_and_that_of_an_item() -> None:
    line = fit(pl.DataFrame([sized(n, reduce_seconds=3 + 0.01 * n) for n in (100, 1_000, 100_000)]), "reduce_seconds")

    assert line is not None
    assert [line.fixed, line.each] == pytest.approx([3, 0.01])
    assert line.off < 1e-6


def test_a_cost_that_grows_faster_than_the_items_is_no_straight_line() -> None:
    rows = pl.DataFrame([sized(items, map_seconds=items**1.5) for items in (100, 1_000, 10_000, 100_000)])
    line = fit(rows, "map_seconds")

    assert line is not None
    assert line.off > STRAIGHT


def test_the_smallest_batch_counts_as_much_for_a_line_as_the_largest() -> None:
    sizes = (100, 1_000, 10_000, 100_000)
    rows = pl.DataFrame([sized(items, map_seconds=float(items * (2 if items == 100 else 1))) for items in sizes])

    line = fit(rows, "map_seconds")

    assert line is not None
    assert line.off < 0.25
    assert line.fixed == pytest.approx(100, rel=0.3)


@pytest.mark.parametrize("runs", [[sized(1), sized(2)], [sized(1), sized(2), sized(2)], [sized(1, s3_put=0.0)] * 3])
def test_few_sizes_have_no_line(runs: list[dict[str, Any]]) -> None:
    assert fit(pl.DataFrame(runs), "s3_put") is None


def test_rows_are_sorted_by_chunk_the_largest_first_and_by_size() -> None:
    rows = summed(pl.DataFrame([sized(20), sized(10, chunk=1), sized(10)]))

    assert rows.select("chunk", "items").rows() == [(100, 10), (100, 20), (1, 10)]


MEASURED = sized(
    1_000,
    open_seconds=0.001,
    reduce_seconds=0.02,
    pipeline_cpu_ms=20,
    gateway_cpu_ms=5,
    redis_cpu_ms=10,
    redis_bytes=1_000_000,
    s3_put=4,
    s3_get=10,
    stored_bytes=500_000,
)


def test_a_hundred_million_items_need_the_same_whatever_the_time() -> None:
    needs = plan(MEASURED)

    # 60 s an invocation at 20 us an item are 3,000,000 items a batch.
    assert (needs["batches"], needs["items of one"]) == (34, 2_941_177)
    assert [needs["reduce of one, s"], needs["opening of one, s"]] == pytest.approx([2_000 / 34, 100 / 34])
    assert [needs[name] for name in ("Redis, all open, MB", "S3 PUT", "S3 GET", "stored, GB")] == [34, 4e5, 1e6, 50]
    assert needs["messages"] == 1_000_000 + 68
    assert [needs["requests, $"], needs["a month, $"]] == pytest.approx([2 + 0.4, 50 * 0.023])
    assert [plan(MEASURED, 1)[name] for name in ("batches", "S3 PUT")] == [34, 4e5]


def test_a_batch_never_has_more_rows_than_are_allowed() -> None:
    assert plan({**MEASURED, "open_seconds": 0.0001, "reduce_seconds": 0.0001})["batches"] == 10
    assert plan(MEASURED, items=1_000)["batches"] == 1


def test_half_the_time_takes_twice_the_fleet_and_names_the_first_bottleneck() -> None:
    day, half = plan(MEASURED, 24), plan(MEASURED, 12)

    # 2,000 s of processor time at 70 % of a core; 1,003,500 s of queue-workers.
    assert [plan(MEASURED, hours)["replicas"] for hours in (1, 0.1)] == [1, 8]
    assert (day["queue-workers"], half["queue-workers"]) == (12, 24)
    assert day["messages a second"] == pytest.approx(1_000_068 / 86_400)
    for name in ("Redis core", "NATS", "PUT", "GET"):
        assert half[f"used of one {name}"] == pytest.approx(2 * day[f"used of one {name}"])
    assert day["used of one Redis core"] == pytest.approx(1_000 / 86_400 / 0.7)
    assert day["first bottleneck"] == "Redis core"
    assert [day["full at, h"], half["full at, h"]] == pytest.approx([1_000 / 3_600 / 0.7] * 2)
    assert plan(MEASURED, 24, assumed=Assumed(message_rate=10))["first bottleneck"] == "NATS"


def test_the_plan_states_its_assumptions_and_has_a_table_a_chunk() -> None:
    page = plan_page([MEASURED, {**MEASURED, "chunk": 1}], MACHINE)

    assert "| put dollars | 5 |" in page
    assert "| chunk | 100 | 100 |" in page
    assert "| messages | 1,000,068 | 1,000,068 |" in page
    assert "| messages | 100,000,068 | 100,000,068 |" in page
    assert "| first bottleneck | NATS | NATS |" in page


@pytest.mark.attack
def test_a_small_batch_on_the_local_stack_leaves_possible_figures(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--size", "300", "--workers", "2", "--out", str(tmp_path)])

    assert result.exit_code == 0, result.output
    rows = read_frame(tmp_path, "scale").to_dicts()
    assert [(row["items"], row["chunk"]) for row in rows] == [(300, 1000), (300, 1)]
    for row in rows:
        check(row)
    assert "| measured with | 300 | 300 |" in (tmp_path / "scale-plan.md").read_text()
    assert (tmp_path / "scale.svg").exists()


def check(row: dict[str, Any]) -> None:
    """The figures of one run are possible."""
    items, tasks = row["items"], -(-row["items"] // row["chunk"])
    assert all(row[f"{phase}_seconds"] > 0 for phase in ("open", "map", "reduce"))
    assert all(row[f"{name}_rss_mb"] > 1 for name in (*PROCESSES, "opening", "reduce"))
    assert row["pipeline_cpu_ms"] > 0
    assert row["redis_scripts"] > tasks
    assert row["redis_commands"] > row["redis_scripts"]
    assert row["redis_bytes"] > 0
    # The input is put before, and the summary read after it.
    assert 5 < row["s3_put"] < 40
    assert 1 <= row["s3_get"] < 40
    assert row["segment_bytes"] > 200 * items
    assert row["summary_bytes"] > 2 * 200 * items
    assert row["snapshot_bytes"] > 0
