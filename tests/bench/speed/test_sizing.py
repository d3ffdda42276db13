"""Requests are counted and priced as S3 does, and the formulas fit the rows."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner

from bench.kit.results import as_frame, read_frame
from bench.speed import sizing
from bench.speed.sizing import Case, fit_memory, render, request_lines

SMALL = (
    Case("size", 50, 1),
    Case("size", 1_000, 1),
    Case("result", 40, 10, result_bytes=10_240),
    Case("attempts", 40, 1, attempts=1, fails="items", workers=8),
    Case("parallelism", 40, 1, window=4, model_ms=10),
)


def row(items: int, *, puts: int = 0, gets: int = 0) -> dict[str, Any]:
    return {**asdict(Case("size", items, 10)), "s3_put": puts, "s3_get": gets}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return as_frame(rows)


def test_a_million_items_cost_what_a_batch_costs_once_and_each_thousand() -> None:
    rows = frame(row(10_000, puts=32, gets=21), row(5_000, puts=99), row(1_000, puts=14, gets=12))
    (line,) = request_lines(rows).to_dicts()
    assert [line[name] for name in ("puts_once", "gets_once", "puts_each", "gets_each")] == [12, 11, 2, 1]
    assert line["dollars"] == pytest.approx((2_012 * 0.005 + 1_011 * 0.0004) / 1000)


def test_the_memory_of_a_batch_is_fitted_to_the_rows() -> None:
    def measured(window: int, outcomes: int) -> dict[str, Any]:
        inflight = 60 * window
        cells = {"window": window, "key_outcomes": outcomes, "key_inflight": inflight}
        return row(100_000) | cells | {"redis_peak": 100_000 + inflight + 2 * outcomes}

    rows = [measured(32, 300_000), measured(512, 400_000), measured(128, 8_000_000)]
    task, line = fit_memory(frame(*rows))
    assert line is not None
    assert [line.fixed, task, line.each] == pytest.approx([100_000, 60, 2])
    assert line.off < 1e-6
    _, wrong = fit_memory(frame(rows[0] | {"redis_peak": 2 * rows[0]["redis_peak"]}, *rows[1:]))
    assert wrong is not None
    assert wrong.off > 0.2


@pytest.mark.attack
def test_a_small_batch_of_each_group_leaves_rows_and_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "CASES", SMALL)

    result = CliRunner().invoke(sizing.app, ["--out", str(tmp_path)])

    assert result.exit_code == 0, result.output
    rows = read_frame(tmp_path, "sizing").to_dicts()
    assert [row["items"] for row in rows] == [case.items for case in SMALL]
    for one in rows:
        check(one)
    sized, apart, failing = rows[1], rows[2], rows[3]
    assert sized["redis_peak"] > sized["key_outcomes"] > 0
    assert sized["key_inflight"] > 0
    assert apart["s3_put"] > sized["s3_put"]
    assert apart["stored_refs"] > 10_240
    assert failing["failed"]
    assert failing["calls"] == failing["items"] + 4 * failing["failed"]
    blocks = render(tmp_path)
    assert all(blocks.values())
    assert blocks["stored"] in result.output


def check(one: dict[str, Any]) -> None:
    """The figures of one batch are possible."""
    assert one["messages"] == -(-one["items"] // one["chunk"]) + 1, "one for each task, and the reduce"
    assert one["redis_peak"] > 0
    assert 0 < one["redis_kept"] < 10_000
    assert one["key_other"] == 0
    assert one["s3_put"] >= 5
    assert one["s3_get"] >= 3
    assert one["stored_input"] > 0
    assert one["stored_segments"] + one["stored_refs"] > one["result_bytes"] * (one["items"] - one["failed"])
