"""The measurement of the inputs of every format."""

import csv
from pathlib import Path

from typer.testing import CliRunner

from bench.data.inputs import CASES, app, make_body, make_rows


def test_each_input_is_measured(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["--rows", "2000", "--repeats", "1", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    with (tmp_path / "formats-in.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["input"] for row in rows] == [str(case) for case in CASES]
    assert {row["rows"] for row in rows} == {"2000"}
    assert all(float(row["seconds"]) > float(row["open_seconds"]) > 0 for row in rows)
    typed = {row["input"] for row in rows if float(row["reader_peak_rss_mb"])}
    assert typed == {str(case) for case in CASES if case.form in {"parquet", "ndjson", "json"}}
    page = (tmp_path / "formats-in.md").read_text()
    assert [line for line in page.splitlines() if line.startswith("| ndjson.gz | ")]


def test_every_input_holds_the_same_rows() -> None:
    sizes = {str(case): len(make_body(make_rows(1000), case)) for case in CASES}
    assert len(set(sizes)) == len(CASES)
    assert sizes["csv.gz"] < sizes["csv"] < sizes["ndjson"] < sizes["json"] + 1000
