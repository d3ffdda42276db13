"""The measured cases: what they write is checked, and a million rows stay in bounded memory."""

import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from bench.data import __main__
from bench.data.__main__ import CASES, FORMATS, NAME, QUERIES, app, check_answer, render, run_case
from bench.data.child import Order, RunQuery, WriteOutputs
from bench.data.dataset import make_body, make_rows
from bench.data.made_batch import FAILS, expected_table, make_batch
from bench.kit.errors import BenchError
from bench.kit.results import publish_rows
from pipeline.local.services.redis_and_s3 import s3_server
from tests.rigs.bench.machine import MACHINE

GIGABYTE = 1024


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "sql.parquet"
    table = expected_table(2 * FAILS)
    table.filter(status="succeeded").select("id", "label", "confidence").sort("id").write_parquet(path)
    return path


def test_an_answer_is_compared_with_that_of_duckdb(answers: Path) -> None:
    check_answer(answers, QUERIES["all rows"], expected_table(2 * FAILS))
    with pytest.raises(BenchError, match="ORDER BY id"):
        check_answer(answers, QUERIES["all rows"], expected_table(3 * FAILS))


def test_medians_are_those_of_the_runs_of_a_case(tmp_path: Path) -> None:
    row = {"part": "outputs", "case": "csv", "rows": 5, "size_mb": 1.0, "first_seconds": 1.0, "before_rss_mb": 9.0}
    more = {"peak_rss_mb": 9.0, "child_rss_mb": 0.0, "longest_hold_ms": None}
    runs = [{**row, **more, "repeat": repeat, "seconds": seconds} for repeat, seconds in enumerate((9.0, 1.0, 2.0))]

    publish_rows(tmp_path, MACHINE, {NAME: [*runs, {**runs[0], "part": "inputs"}]})

    outputs, inputs = render(tmp_path)["data.md"].split("## Inputs")
    assert "| csv | 5 | 1.0 | 1.0 | 2.0 | 9 | 9 | 0 |  |" in outputs
    assert "| csv | 5 | 1.0 | 1.0 | 9.0 | 9 | 9 | 0 |  |" in inputs


def test_a_json_array_holds_all_rows() -> None:
    rows = make_rows(1_000)
    assert [row["id"] for row in json.loads(make_body(rows, "json"))] == rows["id"].to_list()


def test_a_part_that_there_is_not_is_refused() -> None:
    assert CliRunner().invoke(app, ["--only", "nothing"]).exit_code == 2


@pytest.mark.attack
def test_a_case_of_each_kind_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"csv", "ndjson.gz", "summary and all", "top", "all rows"}
    some = {part: {name: case for name, case in cases.items() if name in names} for part, cases in CASES.items()}
    monkeypatch.setattr(__main__, "CASES", some)

    result = CliRunner().invoke(app, ["--rows", "2000", "--repeats", "1", "--out", str(tmp_path)])

    assert result.exit_code == 0, result.output
    rows = pl.read_csv(tmp_path / "data.csv")
    assert rows["case"].to_list() == [name for part in some.values() for name in part]
    assert rows.select((pl.col("seconds") >= pl.col("first_seconds")).all()).item()
    assert dict(rows.filter(part="queries").select("case", "rows").iter_rows()) == {"top": 0, "all rows": 1_980}
    readers = dict(rows.filter(part="inputs").select("case", "child_rss_mb").iter_rows())
    assert readers["csv"] == 0 < readers["ndjson.gz"]


@pytest.mark.attack
async def test_a_million_rows_are_written_and_asked_in_bounded_memory() -> None:
    items = 1_000_000
    async with s3_server() as server:
        async with Order(RunQuery(""), server.info, items).open_store() as store:
            await make_batch(store, items)
        written = await run_case(WriteOutputs(FORMATS, summary=True), server.info, items)
        asked = await run_case(RunQuery(QUERIES["groups"]), server.info, items)
    assert (written["rows"], asked["rows"]) == (items, 100_001)
    for figures in (written, asked):
        before, peak, child = (figures[name] or 0 for name in ("before_rss_mb", "peak_rss_mb", "child_rss_mb"))
        # Both at once, though the reduce waits while the query runs.
        assert before < peak + child < GIGABYTE
