"""Ratios and medians are those of the rows."""

from pathlib import Path

import polars as pl
import pytest

from bench.kit.machine import RESULTS
from bench.kit.results import publish_rows, read_frame
from bench.speed.parallelism.report import points_of, render
from bench.speed.parallelism.ways import BARE, called_at_once, items_for
from tests.rigs.bench.machine import MACHINE


def run(
    seconds: float, *, repeat: int = 1, way: str = "chunk 1", model_ms: int = 0, cpu: float = 1
) -> dict[str, object]:
    case = {"way": way, "parallelism": 4, "model_ms": model_ms, "items": 100, "repeat": repeat, "at_once": 1}
    processes = dict.fromkeys(("model", "gateway", "redis", "s3"), 0.5) | {"function": cpu}
    return {**case, "seconds": seconds, **{f"{name}_cpu_ms_per_item": ms for name, ms in processes.items()}}


def test_efficiency_is_the_share_of_the_measured_time_that_the_ideal_one_would_take() -> None:
    rows = pl.DataFrame([run(1.25, model_ms=50), run(0.5), {**run(1.25, way="chunk 10", model_ms=50), "at_once": 2}])

    efficiency = dict(points_of(rows).select(pl.format("{} {}", "way", "model_ms"), "efficiency").rows())

    assert efficiency == {"chunk 1 50": 1, "chunk 1 0": None, "chunk 10 50": 0.5}


def test_medians_stand_for_their_runs() -> None:
    runs = [run(seconds, repeat=repeat, cpu=repeat) for repeat, seconds in enumerate([10.0, 5.0, 8.0], start=1)]

    (point,) = points_of(pl.DataFrame(runs)).to_dicts()

    assert (point["items_per_second"], point["function_cpu_ms_per_item"]) == (12.5, 2)
    assert point["spread"] == pytest.approx((20 - 10) / 12.5)
    assert point["of_bare"] is None


def test_a_way_is_compared_with_the_bare_queue_of_its_own_repeat() -> None:
    bare = [run(seconds, repeat=repeat, way=BARE) for repeat, seconds in enumerate([1.0, 10.0, 1.0], start=1)]
    direct = [run(seconds, repeat=repeat, way="direct") for repeat, seconds in enumerate([2.0, 8.0, 1.0], start=1)]
    other_time = run(0.001, way=BARE, model_ms=10)

    points = points_of(pl.DataFrame([*direct, *bare, other_time]))

    # 0.5, 1.25 and 1: the ratio of the medians would be 0.5.
    assert points.select("way", "model_ms", "of_bare").rows() == [(BARE, 0, 1), (BARE, 10, 1), ("direct", 0, 1)]


def test_processes_out_of_sight_leave_no_costs_and_no_chart_of_them(tmp_path: Path) -> None:
    rows = [{name: value for name, value in run(1.0, way=way).items() if "cpu" not in name} for way in (BARE, "direct")]
    publish_rows(tmp_path, MACHINE, {"parallelism": rows})

    assert set(render(tmp_path)) == {"parallelism.md", "parallelism.svg", "parallelism-ratios.svg"}


def test_a_part_of_a_sweep_has_no_blocks_and_a_whole_one_has_all(tmp_path: Path) -> None:
    rows = read_frame(RESULTS, "parallelism")
    for kept, blocks in ((rows, {"throughput", "origin", "findings"}), (rows.filter(model_ms=0), set())):
        publish_rows(tmp_path, MACHINE, {"parallelism": kept.to_dicts()})
        assert {name for name in render(tmp_path) if "." not in name} == blocks


@pytest.mark.parametrize("at_once", [1, 8])
@pytest.mark.parametrize("parallelism", [1, 3, 64])
@pytest.mark.parametrize("model_ms", [0, 10, 60_000])
def test_items_keep_every_worker_busy_to_the_last_round(parallelism: int, model_ms: int, at_once: int) -> None:
    items = items_for(parallelism, model_ms, at_once)

    assert items >= parallelism * at_once
    assert items % (parallelism * at_once) == 0


@pytest.mark.parametrize(("items", "tasks", "at_once"), [(100, 100, 1), (100, 50, 2), (100, 10, 8), (101, 100, 2)])
def test_a_task_calls_its_items_side_by_side_but_not_all_of_many(items: int, tasks: int, at_once: int) -> None:
    assert called_at_once(items, tasks) == at_once
