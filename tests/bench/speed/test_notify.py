"""Who is down when a batch ends is told on a real stack, and what came is written down as it was."""

import csv
from pathlib import Path

from typer.testing import CliRunner

from bench.speed import notify
from tests.rigs.bench.machine import MACHINE


def figures(page: str) -> dict[str, str]:
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ")][2:]
    return {row[0]: row[1] for row in rows}


def test_a_small_run_is_written_down(tmp_path: Path) -> None:
    ended = CliRunner().invoke(notify.app, ["--batches", "2", "--down", "3", "--kills", "2", "--out", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    with (tmp_path / "notify.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["batch"] for row in rows}) == 2
    for row in rows:
        assert (row["calls"], row["ids"], row["verified"]) == ("1", "1", "1")
        assert int(row["tries"]) >= 2
    page = (tmp_path / "notify.md").read_text()
    assert page in ended.output
    assert figures(page)["notified once"] == "2"


def test_what_is_told_twice_is_counted_so() -> None:
    rows = [notify.Row("a", 3, 1, 1, 1, 0.5), notify.Row("b", 9, 2, 2, 1, 7.5), notify.Row("c", 4, 2, 1, 2, 1.5)]
    page = notify.as_page(rows, MACHINE, 60, 5)
    assert list(figures(page).values()) == ["3", "1", "2", "1", "1", "3, 9", "1.5, 7.5"]
