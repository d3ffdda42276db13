"""What watching costs is measured on a real stack and in a real browser, and written down as it was."""

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from bench.kit.machine import RESULTS
from bench.page import watch
from bench.page.watch import app, render


def test_the_page_shows_the_figures_of_the_rows() -> None:
    page = render(RESULTS)["watching.md"]
    rows = pl.read_csv(RESULTS / "watching.csv").to_dicts()
    assert all(f"| {items:,} |" in page for items in (row["items"] for row in rows))
    assert f"{rows[-1]['watched_ms']:.1f} ms with the page open" in " ".join(page.split())


@pytest.mark.attack
def test_a_small_run_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SETTLED", 60)
    monkeypatch.setattr(watch, "READS", 5)
    ended = CliRunner().invoke(app, ["--items", "5000", "--seconds", "1", "--out", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    small, large = pl.read_csv(tmp_path / "watching.csv").to_dicts()
    assert (small["items"], large["items"]) == (120, 5000)
    for read in (small, large):
        assert read["settled"] >= 60
        assert read["kinds"] >= 1
        assert read["redis_commands"] >= 6
    assert large["watched_ms"] >= 0
    assert large["nodes"] > 100
    assert (tmp_path / "watching.md").read_text() in ended.output
