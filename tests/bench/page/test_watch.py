"""What watching costs is measured on a real stack and in a real browser, and written down as it was."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.page import measure
from bench.page import watch as watching


def test_a_small_run_is_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SETTLED", 60)
    monkeypatch.setattr(measure, "READS", 5)
    ended = CliRunner().invoke(watching.app, ["--items", "5000", "--seconds", "1", "--out", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    document = json.loads((tmp_path / "watching.json").read_text())
    assert [read["items"] for read in document["readings"]] == [120, 5000]
    for read in document["readings"]:
        assert read["settled"] >= 60
        assert read["kinds"] >= 1
        assert read["redis_commands"] >= 6
    assert document["cost"]["watched_ms"] >= 0
    assert document["look"]["nodes_after"] > 100
    page = (tmp_path / "watching.md").read_text()
    assert page in ended.output
    assert "| 5,000 |" in page
