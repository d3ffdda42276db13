"""The figures of the comparison in the README are those of the committed run."""

import csv
import json
from statistics import median
from typing import Any

import pytest

from tests.rigs.docs.pages import README
from tests.rigs.images import ROOT

RESULTS = ROOT / "bench" / "results"
ITEMS = 1_000
# The forms of a row of the comparison, by the beginning of its first cell.
FORMS = {
    "pipeline, `chunk` 1": ["pipeline"],
    "pipeline, `direct`": ["pipeline-direct"],
    "pipeline, `auto`": ["pipeline-auto"],
    "pipeline, `auto` with `chunk_call`": ["pipeline-auto-call"],
    "the original: three functions and a counter": ["original"],
    "Celery chord, 1 / 25 items a task": ["celery", "celery-chunk"],
    "Dask, 1 / 25 items a task": ["dask", "dask-chunk"],
    "Lithops on localhost, 1 / 25 items a call": ["lithops", "lithops-chunk"],
}


def rows_of(heading: str) -> list[list[str]]:
    """Return the rows of the README's table whose first column has this heading."""
    lines = README.text.splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def medians(name: str, figure: str, **wanted: str) -> float:
    """Return the median of a figure over the rows with these cells."""
    with (RESULTS / name).open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row[key] == value for key, value in wanted.items())]
    return median(float(row[figure]) for row in rows)


@pytest.mark.parametrize("row", rows_of("way"), ids=lambda row: row[0])
def test_a_comparison_is_that_of_the_committed_run(row: list[str]) -> None:
    found = [ITEMS / medians("compare.csv", "seconds", form=form) for form in FORMS[row[0]]]
    assert row[1] == " / ".join(f"{figure:,.0f}" for figure in found)


def test_a_run_is_named_by_its_day_and_commit() -> None:
    machine: dict[str, Any] = json.loads((RESULTS / "compare.json").read_text())
    commit, _, dirty = machine["code"].partition("-")
    words = f"{machine['date'][:10]}, commit {commit}" + (" (with uncommitted changes)" if dirty else "")
    assert words in " ".join(README.text.split())
