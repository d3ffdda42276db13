"""The client and the command line on a whole platform."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline.client import Pipeline, RefusedError, SyncPipeline
from tests.rigs.openfaas.cluster import TOKEN, Cluster, cluster, to_csv, urls
from tests.rigs.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = ["good 1", "fail 422", "binary", 'a "quoted", row', "good 1", "big 3000"]
CSV = pl.DataFrame({"id": [str(number) for number in range(len(ROWS))], "url": ROWS, "status": ["mine"] * len(ROWS)})


async def command(running: Cluster, *arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run the command line in a process of its own; returns exit code, stdout and stderr."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pipeline.cli", *arguments),
        env={**os.environ, "OPENFAAS_URL": running.stack.gateway_url, "COLUMNS": "200", "NO_COLOR": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert child.returncode is not None
    return child.returncode, out.decode(), err.decode()


async def test_frame_equals_the_summary(steady: Cluster) -> None:
    async with Pipeline(steady.stack.gateway_url) as pipeline:
        batch = await pipeline.submit(CSV.write_csv().encode(), function="echo", inline_limit=2000, chunk=2)
        states = [progress.state async for progress in batch.follow(interval=0.05)]
        final = await batch.status()
        frame, summary = await batch.frame(), await batch.summary()
    assert states[-1] == "done"
    assert (final.over, final.succeeded, final.failed, final.flawless) == (True, 5, 1, False)
    (kind,) = final.failures
    assert (kind.status_code, kind.count) == (422, 1)
    assert frame.get_column("url").to_list() == ROWS
    assert frame.get_column("input.status").to_list() == ["mine"] * len(ROWS)
    assert frame.get_column("status").to_list() == ["succeeded", "failed", *["succeeded"] * 4]
    assert summary == await steady.summary(batch.id)
    assert summary is not None
    entries = {part: iter(summary[part]["results"]) for part in ("results", "failures")}
    for row in frame.iter_rows(named=True):
        entry: dict[str, Any] = next(entries["results" if row["status"] == "succeeded" else "failures"])
        result = None if row["result"] is None else json.loads(row["result"])
        expected = {"url": row["url"], "result": result, "statusCode": row["status_code"], "callId": row["call_id"]}
        more = {"encoding": row["encoding"], "resultRef": row["result_ref"]}
        assert entry == expected | {name: value for name, value in more.items() if value is not None}
        assert row["attempts"] >= 1
        assert row["duration"] > 0
    assert frame.get_column("result_ref").is_not_null().to_list() == [*[False] * 5, True]
    assert frame.get_column("encoding").to_list() == [None, None, "base64", None, None, None]


async def test_redriven_results_override_failures(steady: Cluster) -> None:
    rows = ["flaky redriven", "good", "slow 0.01"]
    async with Pipeline(steady.stack.gateway_url) as pipeline:
        await steady.put("client/rows.csv", to_csv(rows))
        batch = await pipeline.submit("client/rows.csv", function="echo", attempts=1)
        assert (await batch.wait(0.05)).failed == 1
        assert (await batch.frame()).get_column("status").to_list() == ["failed", "succeeded", "succeeded"]
        assert await batch.redrive()
        assert (await batch.wait(0.05)).flawless
        frame = await batch.frame()
        assert not await batch.redrive()
    assert frame.get_column("status").to_list() == ["succeeded"] * 3
    assert json.loads(frame.get_column("result").item(0)) == {"length": len(rows[0])}


async def test_batch_is_steered_listed_and_deleted(steady: Cluster) -> None:
    rows = [f"slow 0.05 {number}" for number in range(400)]
    async with Pipeline(steady.stack.gateway_url) as pipeline:
        batch = await pipeline.submit(to_csv(rows), function="echo", batch_id="steered", window=4)
        again = await pipeline.submit(to_csv(rows), function="echo", batch_id="steered", window=4)
        assert again.id == batch.id
        await batch.pause()
        assert (await batch.status()).state == "paused"
        assert "steered" in [brief.batch_id for brief in (await pipeline.list()).open]
        await batch.resume()
        await batch.tune(window=2, rate=50)
        tuned = await batch.status()
        assert (tuned.window, tuned.rate_limit) == (2, 50.0)
        with pytest.raises(RefusedError, match="has no outputs yet: it is"):
            await batch.outputs()
        await batch.cancel()
        final = await batch.wait(0.05)
        assert (final.state, final.flawless) == ("cancelled", False)
        frame = await batch.frame()
        counts = dict(frame.get_column("status").value_counts().rows())
        assert counts == {"succeeded": final.succeeded, "not run": len(rows) - final.succeeded}
        assert "steered" in [brief.batch_id for brief in (await pipeline.list()).ended]
        assert await wait_until(batch.delete)
        with pytest.raises(RefusedError) as gone:
            await batch.status()
    assert gone.value.status == 404


async def test_large_csv_is_compressed_for_the_upload(steady: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    filler = "x" * 2**20
    path.write_text("url,note\n" + "".join(f"row {number},{filler}\n" for number in range(65)))
    assert path.stat().st_size > 64 * 2**20
    async with Pipeline(steady.stack.gateway_url) as pipeline:
        batch = await pipeline.submit(path, function="echo", chunk=65)
        assert (await batch.wait(0.05)).succeeded == 65


async def test_sync_client_runs_a_batch(steady: Cluster) -> None:
    def work() -> tuple[list[str], int]:
        with SyncPipeline(steady.stack.gateway_url) as pipeline:
            batch = pipeline.submit(to_csv(urls(3)), function="echo")
            return [progress.state for progress in batch.follow(0.05)][-1:], batch.frame().height

    assert await asyncio.to_thread(work) == (["done"], 3)


async def test_command_line_runs_from_submission_to_deletion(steady: Cluster, tmp_path: Path) -> None:
    rows, frame = tmp_path / "rows.csv", tmp_path / "frame.parquet"
    rows.write_bytes(CSV.write_csv().encode())
    code, out, err = await command(steady, "submit", str(rows), "--function", "echo", "--id", "lines", "--watch")
    assert (code, err) == (1, "")
    assert f"Watch it: {steady.url}/?batch=lines" in out
    assert "5 succeeded, 1 failed" in out
    assert "422: as asked" in out
    code, out, err = await command(steady, "results", "lines", "--to", str(frame))
    assert (code, out, err) == (0, f"Wrote {frame}\n", "")
    assert pl.read_parquet(frame).get_column("url").to_list() == ROWS
    code, out, _ = await command(steady, "results", "lines")
    assert code == 0
    assert 'a "quoted", row' in out
    code, out, _ = await command(steady, "list", "--json")
    assert code == 0
    assert json.loads(out)["ended"][0]["batch_id"] == "lines"
    code, out, _ = await command(steady, "delete", "lines", "--json")
    assert (code, json.loads(out)) == (0, {"batch_id": "lines", "deleted": True})
    code, out, err = await command(steady, "status", "lines")
    assert (code, out, err) == (3, "", "error: refused (404): there is no batch 'lines'\n")


async def test_doctor_command_finds_the_function(steady: Cluster) -> None:
    code, out, err = await command(steady, "doctor", "--json")
    checks = {check["name"]: check["status"] for check in json.loads(out)["checks"]}
    assert (checks["gateway: reachable"], checks["clock: as this machine's"], err) == ("ok", "ok", "")
    assert code == ("failed" in checks.values())
    code, out, _ = await command(steady, "doctor", "--pipeline-name", "nosuch")
    assert code == 1
    assert "the gateway knows no function nosuch" in out
    code, out, _ = await command(steady, "doctor", "--pipeline-name", "echo")
    assert code == 1
    assert "echo does not serve" in out


async def test_token_is_never_printed(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("client-token")
    async with cluster(folder, workers=2) as running:
        (running.stack.secrets_dir / "pipeline-token").write_text(TOKEN)
        await running.replace_replica()
        file = folder / "token"
        file.write_text(f"{TOKEN}\n")
        code, out, err = await command(running, "list")
        assert (code, out) == (3, "")
        assert err.startswith("error: refused (401): the header Authorization is missing")
        code, out, err = await command(running, "list", "--token-file", str(file))
        assert (code, err) == (0, "")
        code, out, err = await command(running, "list", PIPELINE_TOKEN=TOKEN[:-1] + "x")
        assert code == 3
        assert "the token is not known" in err
        assert TOKEN[:-1] not in out + err
        async with Pipeline(running.stack.gateway_url, token=TOKEN) as pipeline:
            batch = await pipeline.submit(to_csv(urls(3)), function="echo")
            assert (await batch.wait(0.05)).flawless
            assert (await batch.frame()).height == 3
