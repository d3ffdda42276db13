"""Small sweeps of real platforms, and options that cannot be measured."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.kit.results import read_frame
from bench.kit.stack import MODEL
from bench.speed.parallelism.__main__ import app
from bench.speed.parallelism.report import points_of
from bench.speed.parallelism.ways import WAYS
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


@pytest.mark.attack
def test_a_small_sweep_leaves_rows_whose_figures_agree(tmp_path: Path) -> None:
    options = ["--parallelism", "2", "--model-ms", "0", "--items", "20", "--repeats", "1", "--out", str(tmp_path)]

    result = CliRunner().invoke(app, options)

    assert result.exit_code == 0, result.output
    rows = read_frame(tmp_path, "parallelism").to_dicts()
    assert [row["way"] for row in rows] == list(WAYS)
    for row in rows:
        check(row)
    charts = ("parallelism", "parallelism-costs", "parallelism-ratios")
    assert sorted(path.stem for path in tmp_path.glob("*.svg")) == sorted(charts)
    assert (tmp_path / "parallelism.md").read_text().strip() in result.output


def check(row: dict[str, Any]) -> None:
    """The figures of one run agree with each other, however busy the machine is."""
    assert (row["items"], row["repeat"]) == (20, 1)
    assert 0 < row["seconds"] <= row["total_seconds"]
    assert row["function_peak_rss_mb"] > 10
    requests = {"bare": 4, "chunk 1": 4, "direct": 3, "chunk 10": 1.3, "chunk auto": 4}[row["way"]]
    # The submission, and for a batch of the pipeline the look-up of the function, and its reduce: a message and a call.
    assert row["http_requests_per_item"] * 20 == pytest.approx(requests * 20 + (1 if row["way"] == "bare" else 4))
    services = [row[f"{name}_per_item"] for name in ("redis_round_trips", "redis_commands", "s3_requests")]
    # The pipeline at rest beside the bare queue works for other batches, not for its items.
    assert services == [None] * 3 if row["way"] == "bare" else min(services) > 0
    assert 0 < row["task_p50_ms"] <= row["task_p99_ms"]
    assert 0 < row["collect_p50_ms"] <= row["collect_p99_ms"]


@pytest.mark.attack
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
        arguments += ["--way", "chunk 1"]
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)

    assert result.exit_code == 0, result.output
    rows = read_frame(tmp_path, "parallelism")
    assert rows["repeat"].to_list() == [1, 2]
    # Its processes are out of sight.
    assert not [name for name in rows.columns if "cpu" in name or "rss" in name or "requests" in name]
    (point,) = points_of(rows).to_dicts()
    assert 0 < point["efficiency"] < 1.5


@pytest.mark.parametrize(
    ("options", "environment", "reason"),
    [
        (["--parallelism", "2", "--model-ms", "0"], S3, "the bare queue at http://127.0.0.1:"),
        (["--parallelism", "2", "--model-ms", "0"], NO_S3, "--gateway needs S3_ENDPOINT"),
        (["--parallelism", "1", "--parallelism", "2", "--model-ms", "0"], S3, "--gateway measures what is deployed"),
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
    result = CliRunner().invoke(app, ["--way=bare", "--way=nonsense"])

    assert result.exit_code == 2
    assert "bare, chunk 1, direct, chunk 10, chunk auto" in " ".join(result.stderr.replace("│", "").split())
