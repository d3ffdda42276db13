import asyncio
import csv
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from bench.parallelism import app
from bench.platforms import MODEL
from bench.records import COLUMNS, PROCESSES
from pipeline.local.functions import FunctionSpec
from pipeline.local.ports import free_port
from pipeline.local.stack import local_stack

S3 = {
    "S3_ENDPOINT": "http://127.0.0.1:1",
    "S3_BUCKET": "bucket",
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
}
NO_S3 = dict.fromkeys(S3, "")


def test_a_small_sweep_of_the_local_stack_leaves_rows_a_chart_and_what_they_come_from(tmp_path: Path) -> None:
    out = tmp_path / "results"
    options = ["--parallelism", "1,2", "--model-ms", "0", "--items", "20", "--repeats", "1", "--out", str(out)]

    result = CliRunner().invoke(app, options)

    assert result.exit_code == 0, result.output
    with (out / "parallelism.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["parallelism"], row["model_ms"]) for row in rows] == [("1", "0"), ("2", "0")]
    for row in rows:
        check(row)
    assert ET.parse(out / "parallelism.svg").getroot().tag.endswith("svg")
    machine = json.loads((out / "parallelism.json").read_text())
    assert machine["command"].startswith("python -m bench.parallelism")
    assert machine["cores"] > 0
    assert machine["versions"]["aiohttp"]
    assert "items/s" in result.output


def check(row: dict[str, str]) -> None:
    """The figures of one run agree with each other."""
    assert tuple(row) == COLUMNS
    assert (row["items"], row["repeat"]) == ("20", "1")
    seconds, rate = float(row["seconds"]), float(row["items_per_second"])
    assert rate == pytest.approx(20 / seconds, rel=0.01)
    assert 0 < seconds <= float(row["total_seconds"])
    assert row["efficiency"] == ""
    assert all(float(row[f"{name}_cpu_ms_per_item"]) >= 0 for name in PROCESSES)
    assert float(row["pipeline_cpu_ms_per_item"]) > 0
    assert float(row["pipeline_peak_rss_mb"]) > 10


async def test_a_gateway_is_measured_as_it_is_deployed(tmp_path: Path) -> None:
    model = FunctionSpec("deployed", (sys.executable, str(MODEL)), environment={"BENCH_MODEL_MS": "5"})
    async with local_stack([model], workers=2) as stack:
        options = ["--gateway", stack.gateway_url, "--function", "deployed", "--parallelism", "2", "--model-ms", "5"]
        environment = {
            "S3_ENDPOINT": stack.s3.endpoint,
            "S3_BUCKET": stack.s3.bucket,
            "AWS_ACCESS_KEY_ID": stack.s3.access_key,
            "AWS_SECRET_ACCESS_KEY": stack.s3.secret_key,
        }
        arguments = [*options, "--items", "20", "--repeats", "2", "--out", str(tmp_path)]
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)

    assert result.exit_code == 0, result.output
    with (tmp_path / "parallelism.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["repeat"] for row in rows] == ["1", "2"]
    for row in rows:
        ideal = 20 * 0.005 / 2
        assert float(row["efficiency"]) == pytest.approx(ideal / float(row["seconds"]), rel=0.01)
        assert 0 < float(row["efficiency"]) < 1.5
        # Its processes are out of sight.
        assert {row[f"{name}_cpu_ms_per_item"] for name in PROCESSES} == {""}
        assert row["pipeline_peak_rss_mb"] == ""


@pytest.mark.parametrize(
    ("options", "environment", "reason"),
    [
        (["--parallelism", "2", "--model-ms", "0"], S3, "no gateway answers at http://127.0.0.1:"),
        (["--parallelism", "2", "--model-ms", "0"], NO_S3, "--gateway needs --s3-endpoint"),
        (["--parallelism", "1,2", "--model-ms", "0"], S3, "--gateway measures what is deployed"),
        (["--parallelism", "2"], S3, "--gateway measures what is deployed"),
    ],
)
def test_a_gateway_that_cannot_be_measured_is_one_line_and_exit_code_1(
    options: list[str], environment: dict[str, str], reason: str, tmp_path: Path
) -> None:
    gateway = f"http://127.0.0.1:{free_port()}"

    result = CliRunner().invoke(app, ["--gateway", gateway, "--out", str(tmp_path), *options], env=environment)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"error: {reason}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("numbers", ["", "1,", "x", "-1", "1.5", "0,1"])
def test_parallelism_that_is_no_list_of_numbers_is_refused(numbers: str) -> None:
    result = CliRunner().invoke(app, [f"--parallelism={numbers}"])

    assert result.exit_code == 2
    assert "--parallelism" in result.stderr
