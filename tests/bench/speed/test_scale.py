import csv
import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from bench.kit.counters import s3_requests
from bench.kit.publish import read_runs, write_rows
from bench.speed.scale.__main__ import app
from bench.speed.scale.figures import PROCESSES, Line, Run, by_chunk, fit
from bench.speed.scale.plan import Assumed, fleet, need, plan_page

ONE = Run(1_000, 100, **{field.name: 1.0 for field in fields(Run)[2:]})


def sized(items: int, **figures: Any) -> Run:
    return replace(ONE, items=items, **figures)


def test_a_run_knows_its_rate_and_sums() -> None:
    run = sized(1_001, open_seconds=1, map_seconds=5, reduce_seconds=4, model_cpu_ms=3, s3_put=5, summary_bytes=8)

    assert run.items_per_second == pytest.approx(100.1)
    assert (run.cpu_ms, run.s3_requests, run.stored_bytes) == (7, 7, 10)


def test_a_line_finds_what_is_paid_once_and_what_an_item_costs() -> None:
    runs = [sized(items, reduce_seconds=3 + 0.01 * items) for items in (100, 1_000, 100_000)]

    line = fit(runs, "reduce_seconds")

    assert line is not None
    assert line.fixed == pytest.approx(3)
    assert line.per_item == pytest.approx(0.01)
    assert line.off < 1e-6
    assert line.straight


def test_what_grows_faster_than_the_items_is_no_straight_line() -> None:
    line = fit([sized(items, map_seconds=items**1.5) for items in (100, 1_000, 10_000, 100_000)], "map_seconds")

    assert line is not None
    assert not line.straight
    assert Line(0, 1, 0.25).straight
    assert not Line(0, 1, 0.26).straight


def test_the_smallest_batch_counts_as_much_for_a_line_as_the_largest() -> None:
    runs = [sized(items, map_seconds=items * (2 if items == 100 else 1)) for items in (100, 1_000, 10_000, 100_000)]

    line = fit(runs, "map_seconds")

    assert line is not None
    assert line.off < 0.25
    assert line.fixed == pytest.approx(100, rel=0.3)


@pytest.mark.parametrize("runs", [[sized(1), sized(2)], [sized(1), sized(2), sized(2)], [sized(1, s3_put=0)] * 3])
def test_few_sizes_have_no_line(runs: list[Run]) -> None:
    assert fit(runs, "s3_put") is None


def test_runs_are_grouped_by_chunk_the_largest_first_and_sorted_by_size() -> None:
    runs = [sized(20), replace(sized(10), chunk=1), sized(10)]

    assert {chunk: [run.items for run in group] for chunk, group in by_chunk(runs).items()} == {100: [10, 20], 1: [10]}
    assert list(by_chunk(runs)) == [100, 1]


def test_requests_are_counted_by_the_group_of_their_price() -> None:
    metrics = "\n".join(
        f'SeaweedFS_s3_request_total{{bucket="b",code="{code}",type="{kind}"}} {count}'
        for code, kind, count in [
            *[(200, "GET", 3), (404, "GET", 1), (200, "HEAD", 1), (204, "DELETE", 7)],
            *[(200, "PUT", "1e+06"), (200, "POST", 2), (200, "COPY", 3), (200, "LIST", 4)],
        ]
    )
    other = 'SeaweedFS_s3_request_seconds_count{bucket="b",type="GET"} 50'

    assert s3_requests(f"{metrics}\n{other}\n") == {"get": 5, "put": 1_000_009, "delete": 7}
    assert s3_requests("") == {"get": 0, "put": 0, "delete": 0}


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    runs = [sized(1_000_000, map_seconds=1.25, redis_bytes=4_000_000), replace(ONE, chunk=1, s3_delete=0)]

    write_rows(tmp_path / "scale.csv", [asdict(run) for run in runs])

    assert read_runs(tmp_path / "scale.csv", Run) == runs


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
    snapshot_bytes=0,
    segment_bytes=0,
    summary_bytes=500_000,
)


def test_a_hundred_million_items_need_what_they_need_whatever_the_time() -> None:
    needs = need(MEASURED)

    # 60 s an invocation at 20 us an item are 3,000,000 items a batch.
    assert (needs.batches, needs.batch_items) == (34, 2_941_177)
    assert needs.reduce_seconds == pytest.approx(2_000 / 34)
    assert needs.open_seconds == pytest.approx(100 / 34)
    assert needs.redis_bytes == 34_000_000
    assert (needs.s3_puts, needs.s3_gets, needs.stored_bytes) == (400_000, 1_000_000, 50e9)
    assert needs.messages == 1_000_000 + 68
    assert needs.request_dollars == pytest.approx(2 + 0.4)
    assert needs.month_dollars == pytest.approx(50 * 0.023)


def test_a_batch_never_has_more_rows_than_are_allowed() -> None:
    assert need(sized(1_000, open_seconds=0.0001, reduce_seconds=0.0001)).batches == 10
    assert need(MEASURED, 1_000).batches == 1


def test_half_the_time_takes_twice_the_fleet_and_names_what_is_full_first() -> None:
    day, half = fleet(MEASURED, 24), fleet(MEASURED, 12)

    # 2,000 s of processor time at 70 % of a core; 1,035,000 s of queue-workers.
    assert fleet(MEASURED, 1).pipelines == 1
    assert fleet(MEASURED, 0.1).pipelines == 8
    assert (day.queue_workers, half.queue_workers) == (12, 24)
    assert day.messages_a_second == pytest.approx(1_000_068 / 86_400)
    assert half.loads == {name: pytest.approx(2 * load) for name, load in day.loads.items()}
    assert day.bottleneck == "one Redis core"
    assert day.loads[day.bottleneck] == pytest.approx(1_000 / 86_400 / 0.7)
    assert day.least_hours == pytest.approx(1_000 / 3_600 / 0.7)
    assert half.least_hours == pytest.approx(day.least_hours)
    assert fleet(MEASURED, 24, assumed=Assumed(nats_messages=10)).bottleneck == "one NATS"


def test_the_plan_says_what_it_assumes_and_has_a_column_a_chunk() -> None:
    page = plan_page([MEASURED, replace(MEASURED, chunk=1)])

    assert "PUT, COPY, POST and LIST $5 a million, GET $0.4 a million" in page
    assert "|  | chunk 100 (measured at 1,000) | chunk 1 (measured at 1,000) |" in page
    assert "| messages in NATS | 1,000,068 | 100,000,068 |" in page
    assert "| first bottleneck | one Redis core | one NATS |" in page


def test_a_small_batch_on_the_local_stack_leaves_rows_a_chart_and_a_plan(tmp_path: Path) -> None:
    options = ["--sizes", "300", "--workers", "2", "--out", str(tmp_path)]

    result = CliRunner().invoke(app, options)

    assert result.exit_code == 0, result.output
    with (tmp_path / "scale.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["items"], row["chunk"]) for row in rows] == [("300", "1000"), ("300", "1")]
    for row in rows:
        check(row)
    assert ET.parse(tmp_path / "scale.svg").getroot().tag.endswith("svg")
    assert json.loads((tmp_path / "scale.json").read_text())["command"].startswith("python -m bench.speed.scale")
    plan = (tmp_path / "scale-plan.md").read_text()
    assert "chunk 1,000 (measured at 300)" in plan

    again = CliRunner().invoke(app, ["--rows", str(tmp_path / "scale.csv"), "--out", str(tmp_path / "again")])

    assert again.exit_code == 0, again.output
    assert (tmp_path / "again" / "scale-plan.md").read_text() == plan
    assert not (tmp_path / "again" / "scale.csv").exists()


def check(row: dict[str, str]) -> None:
    """The figures of one run are possible."""
    assert list(row) == [field.name for field in fields(Run)]
    figures = {name: float(value) for name, value in row.items()}
    items, tasks = int(row["items"]), -(-int(row["items"]) // int(row["chunk"]))
    assert all(figures[f"{phase}_seconds"] > 0 for phase in ("open", "map", "reduce"))
    assert all(figures[f"{name}_rss_mb"] > 1 for name in (*PROCESSES, "opening", "reduce"))
    assert figures["pipeline_cpu_ms"] > 0
    assert figures["redis_scripts"] > tasks
    assert figures["redis_commands"] > figures["redis_scripts"]
    assert figures["redis_bytes"] > 0
    # The input is put before, and the summary read after it.
    assert 5 < figures["s3_put"] < 40
    assert 1 <= figures["s3_get"] < 40
    assert figures["segment_bytes"] > 200 * items
    assert figures["summary_bytes"] > 2 * 200 * items
    assert figures["snapshot_bytes"] > 0


def test_rows_that_are_not_there_are_one_line_and_exit_code_1(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--rows", str(tmp_path / "none.csv"), "--out", str(tmp_path)])

    assert result.exit_code == 1
    assert result.output.startswith("error: ")


@pytest.mark.parametrize("sizes", ["0", "1,x", "", "-1"])
def test_sizes_are_whole_numbers_from_one_on(sizes: str) -> None:
    assert CliRunner().invoke(app, ["--sizes", sizes]).exit_code == 2
