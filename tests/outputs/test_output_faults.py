"""The outputs of a batch whose reduce is interrupted, has no disk space, or is large."""

import asyncio
import base64
import random
from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from pipeline.errors import UnavailableError
from pipeline.outputs.end_batch import TABLE_ATTEMPTS
from pipeline.spec.field_rules import FORMATS
from pipeline.store.batch_records import BatchRecords
from pipeline.store.errors import MissingObjectError
from pipeline.store.keys import CONTENT_TYPES, output_names
from pipeline.tasks import model_call as calls
from tests.rigs.function.ended_batches import ROWS, ended, output, outputs
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items that begin with `no` fail."""
    monkeypatch.setattr(calls, "MOST_CALLS", 1)
    pipeline.serve(answering(lambda text: (422, f"no {text[3:]!r}") if text[:2] == "no" else (200, {"said": text})))


async def run_until_the_reduce(pipeline: PipelineBench, **options: str) -> Mapping[str, str]:
    await pipeline.submit(ROWS, CSV, {"column": "url", **options})
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    return pipeline.queue.pop(0).query


async def test_tables_are_given_up_after_several_lost_replicas(pipeline: PipelineBench) -> None:
    await ended(pipeline, attempts="1")
    assert "results.csv" in await outputs(pipeline)
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    while (pipeline.queue[0].mode, pipeline.queue[0].query["generation"]) != ("reduce", "1"):
        await pipeline.deliver(pipeline.queue.pop(0))
    reduce, bench = pipeline.queue.pop(0), pipeline.bench()
    assert reduce.mode == "reduce"
    for number in range(TABLE_ATTEMPTS):
        assert (await bench.ledger.lease_reduce(pipeline.batch, f"dead {number}", 1)).verdict == "leased"
        await bench.age(lease_until=-1)
    assert (await pipeline.deliver(reduce))["verdict"] == "done"
    status = await pipeline.status()
    assert status["links"]["outputs"] is None
    (note,) = status["notes"]
    assert note.startswith("there are no results.parquet, results.csv, results.ndjson, failures.csv, ")
    assert note.endswith("given up after 3 attempts that broke off (see the function's log and its replicas' memory)")
    assert (await pipeline.summary())["failures"]["count"] == 2
    # Outputs of the generation before belong to another summary.
    assert await outputs(pipeline) == await outputs(pipeline, "1/") == []
    records = BatchRecords(pipeline.context.store, pipeline.name)
    assert (await records.read_status(pipeline.batch) or {})["notes"] == [note]


async def test_full_disk_ends_the_batch_with_a_summary_only(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce = await run_until_the_reduce(pipeline)
    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    trouble = r"the tables cannot be made under /\S+: No space left on device"
    for _ in range(TABLE_ATTEMPTS):
        with pytest.raises(UnavailableError, match=trouble):
            await pipeline.handle("reduce", reduce)
        assert "No space left on device" in (await pipeline.status())["trouble"]
        await pipeline.bench().age(lease_until=-1)
    await pipeline.handle("reduce", reduce)
    status = await pipeline.status()
    assert (status["state"], status["trouble"]) == ("done", None)
    assert "after 3 attempts that broke off (the tables cannot be made under" in status["notes"][0]


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


async def test_s3_outage_costs_no_output(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    reduce, put = await run_until_the_reduce(pipeline), pipeline.context.store.put

    async def away(key: str, *more: Any) -> Any:
        if key.endswith("report.json"):
            raise UnavailableError("S3 is away")
        return await put(key, *more)

    monkeypatch.setattr(pipeline.context.store, "put", away)
    for _ in range(TABLE_ATTEMPTS + 1):
        with pytest.raises(UnavailableError, match="S3 is away"):
            await pipeline.handle("reduce", reduce)
        await pipeline.bench().age(lease_until=-1)
    monkeypatch.undo()
    await pipeline.handle("reduce", reduce)
    assert await outputs(pipeline) == output_names(FORMATS)


@pytest.mark.parametrize("form", ["results.parquet", "results.csv", "results.ndjson"])
async def test_large_outputs_are_multipart_and_failed_uploads_are_aborted(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    # Letters that cannot be compressed.
    pipeline.serve(answering(lambda text: (200, random_letters(int(text)))))
    await pipeline.submit_rows(*map(str, range(12)), inline_limit=str(4 * 1024 * 1024))
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    store, start_upload = pipeline.context.store, pipeline.context.store.start_upload
    started = []

    async def cut_off(key: str, kind: str) -> Any:
        started.append(await start_upload(key, kind))
        if key.endswith(form):
            assert kind == CONTENT_TYPES[form]
            raise UnavailableError("S3 is away")
        return started[-1]

    monkeypatch.setattr(store, "start_upload", cut_off)
    with pytest.raises(UnavailableError, match="S3 is away"):
        await pipeline.deliver(pipeline.queue[0])
    monkeypatch.undo()
    for upload in started:
        if not upload.key.endswith(form):
            with pytest.raises(MissingObjectError):
                await upload.send(b"more")
    await pipeline.bench().age(lease_until=-1)
    await pipeline.deliver_all()
    assert await store.uploads(f"{pipeline.batch}/") == []
    assert (await store.head(f"{pipeline.batch}/{form}")).etag.endswith("-2")
    assert len(await output(pipeline, form)) > 10_000_000


def random_letters(seed: int) -> str:
    return base64.b64encode(random.Random(seed).randbytes(900_000)).decode()


async def test_replica_serves_requests_while_tables_are_written(pipeline: PipelineBench) -> None:
    reduce = asyncio.create_task(pipeline.handle("reduce", await run_until_the_reduce(pipeline)))
    answered = 0
    while not reduce.done():
        await asyncio.sleep(0)
        answered += 1
    assert answered > 10
