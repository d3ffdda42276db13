"""Rows are read as they were written, and what is made of them is right."""

from pathlib import Path
from typing import Any

import pytest

from bench.kit.errors import BenchError
from bench.kit.results import as_page, figures_table, medians, publish_rows, read_frame, read_machine, table
from tests.rigs.bench.machine import MACHINE

NAMES = ("way", "items", "seconds", "s3_get")
RUNS = [
    dict(zip(NAMES, cells, strict=True))
    for cells in [("b", 3, 1.00004, 1), ("a", 3, None, 2), ("b", 3, 4.0, 4), ("b", 3, 2.0, 6)]
]


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    publish_rows(tmp_path / "new", MACHINE, {"runs": RUNS, "others": [{"a": 1}]})

    frame = read_frame(tmp_path / "new", "runs")
    assert tuple(frame.columns) == NAMES
    assert frame.rows() == [("b", 3, 1.0, 1), ("a", 3, None, 2), ("b", 3, 4.0, 4), ("b", 3, 2.0, 6)]
    assert read_frame(tmp_path / "new", "others").rows() == [(1,)]
    assert read_machine(tmp_path / "new", "runs") == MACHINE


def test_missing_rows_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    for name in ("none", "empty"):
        with pytest.raises(BenchError, match="holds no rows"):
            read_frame(tmp_path, name)
    with pytest.raises(BenchError, match="names no machine"):
        read_machine(tmp_path, "none")


def test_medians_are_those_of_each_case_in_the_order_of_the_runs(tmp_path: Path) -> None:
    publish_rows(tmp_path, MACHINE, {"runs": RUNS})

    rows = medians(read_frame(tmp_path, "runs"), "way")

    assert rows.rows() == [("b", 3, 2.0, 4), ("a", 3, None, 2)]
    assert table(rows).splitlines() == [
        "| way | items | seconds | s3 get |",
        *("| --- | --- | --- | --- |", "| b | 3 | 2 | 4 |", "| a | 3 |  | 2 |"),
    ]
    assert table(rows, {"way": ("way", ""), "s": ("seconds", ".1f")}).splitlines()[2:] == ["| b | 2.0 |", "| a |  |"]


def test_figures_have_three_digits_and_lose_none_before_the_point() -> None:
    figures: dict[str, list[Any]] = {"a": [0.123456, 12.3456, 1234.56], "b": [1234567, True, None]}

    assert figures_table(figures).splitlines()[2:] == ["| a | 0.123 | 12.3 | 1,235 |", "| b | 1,234,567 | True |  |"]


def test_files_are_rendered_from_the_rows(tmp_path: Path) -> None:
    def render(folder: Path) -> dict[str, str]:
        page = as_page("Runs", read_machine(folder, "runs"), f"{read_frame(folder, 'runs').height} runs.")
        return {"runs.md": page, "chart.svg": "<svg/>", "count": "4"}

    printed = publish_rows(tmp_path, MACHINE, {"runs": RUNS}, render)

    page = (tmp_path / "runs.md").read_text()
    assert page == "# Runs\n\n`python -m bench.some`, 2026-11-25, abc, 2 cores: some\n\n4 runs.\n"
    assert printed == f"{page}\n\n4"
    assert {path.name for path in tmp_path.iterdir()} == {"runs.csv", "runs.json", "runs.md", "chart.svg"}
