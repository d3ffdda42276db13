"""A receiver that was down is notified on a real stack, and repeated notifications are counted as such."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.kit.results import publish_rows, read_frame
from bench.speed import notify
from tests.rigs.bench.machine import MACHINE


def figures(page: str) -> list[str]:
    return [line.strip("| ").split(" | ")[1] for line in page.splitlines() if line.startswith("| ")][2:]


@pytest.mark.attack
def test_a_small_run_notifies_each_batch_once(tmp_path: Path) -> None:
    ended = CliRunner().invoke(notify.app, ["--batches", "2", "--down", "3", "--kills", "2", "--out", str(tmp_path)])

    assert ended.exit_code == 0, ended.output
    rows = read_frame(tmp_path, "notify")
    assert rows.select("calls", "ids", "verified").rows() == [(1, 1, 1)] * 2
    assert min(rows["tries"]) >= 2
    assert figures((tmp_path / "notify.md").read_text())[:5] == ["2", "2", "0", "0", "0"]


def test_repeated_notifications_are_counted(tmp_path: Path) -> None:
    names = ("tries", "calls", "ids", "verified", "seconds_after", "down_seconds", "kill_seconds")
    rows = [(3, 1, 1, 1, 0.5, 60, 5), (9, 2, 2, 1, 7.5, 60, 5), (4, 2, 1, 2, 1.5, 60, 5)]
    publish_rows(tmp_path, MACHINE, {"notify": [dict(zip(names, row, strict=True)) for row in rows]})

    page = notify.render(tmp_path)["notify.md"]

    assert figures(page) == ["3", "1", "2", "1", "1", "3, 9", "1.5", "7.5"]
