import asyncio
import csv
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from bench.kit.stack import MODEL
from bench.speed.parallelism.__main__ import app
from bench.speed.parallelism.show import PROCESSES
from pipeline.local.openfaas.functions import FunctionSpec
from pipeline.local.services.ports import free_port
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
    ways = ("bare", "chunk 1", "direct", "chunk 10", "chunk auto")

    result = CliRunner().invoke(app, options)

    assert result.exit_code == 0, result.output
    with (out / "parallelism.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["parallelism"], row["way"]) for row in rows] == [(p, way) for p in ("1", "2") for way in ways]
    for row in rows:
        check(row)
    charts = ("parallelism", "parallelism-costs", "parallelism-ratios")
    assert sorted(path.stem for path in out.glob("*.svg")) == sorted(charts)
    assert all(ET.parse(path).getroot().tag.endswith("svg") for path in out.glob("*.svg"))
    machine = json.loads((out / "parallelism.json").read_text())
    assert machine["command"].startswith("python -m bench.speed.parallelism")
    assert machine["cores"] > 0
    assert machine["versions"]["aiohttp"]
    assert "items/s" in result.output


def check(row: dict[str, str]) -> None:
    """The figures of one run agree with each other."""
    assert (row["items"], row["repeat"]) == ("20", "1")
    seconds, rate = float(row["seconds"]), float(row["items_per_second"])
    assert rate == pytest.approx(20 / seconds, rel=0.01)
    assert 0 < seconds <= float(row["total_seconds"])
    assert row["efficiency"] == ""
    assert all(float(row[f"{name}_cpu_ms_per_item"]) >= 0 for name in PROCESSES)
    if row["way"] != "bare":
        assert float(row["function_cpu_ms_per_item"]) > 0
    assert float(row["function_peak_rss_mb"]) > 10
    requests = {"bare": 4, "chunk 1": 4, "direct": 3, "chunk 10": 1.3, "chunk auto": 4}[row["way"]]
    # A reduce, and looks at the status.
    assert requests <= float(row["http_requests_per_item"]) < requests + 1
    if row["way"] == "bare":
        assert float(row["redis_commands_per_item"]) == 0
    else:
        assert float(row["redis_round_trips_per_item"]) > 0
        assert float(row["s3_requests_per_item"]) > 0
    assert 0 < float(row["task_p50_ms"]) <= float(row["task_p99_ms"])
    assert 0 < float(row["collect_p50_ms"]) <= float(row["collect_p99_ms"])


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
        arguments += ["--ways", "chunk 1"]
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
        assert row["function_peak_rss_mb"] == ""
        assert row["http_requests_per_item"] == ""


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


def test_a_way_that_there_is_not_is_refused() -> None:
    result = CliRunner().invoke(app, ["--ways=bare,nonsense"])

    assert result.exit_code == 2
    assert "bare, chunk 1, direct, chunk 10, chunk auto" in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.parametrize("numbers", ["", "1,", "x", "-1", "1.5", "0,1"])
def test_parallelism_that_is_no_list_of_numbers_is_refused(numbers: str) -> None:
    result = CliRunner().invoke(app, [f"--parallelism={numbers}"])

    assert result.exit_code == 2
    assert "--parallelism" in result.stderr
