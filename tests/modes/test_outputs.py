"""outputs: links to the outputs of an ended batch, which anyone with a link can read for an hour."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import orjson
import polars as pl
import pytest

from pipeline.errors import BadRequestError, ConflictError, NotFoundError
from pipeline.local.services.s3_client import S3Info
from pipeline.store.bucket import Store
from tests.rigs.fixtures.services import connection
from tests.rigs.function.pipeline_bench import PipelineBench, answering, document


async def ended(pipeline: PipelineBench) -> None:
    """Run a batch with a second generation for its failures."""
    pipeline.serve(answering(lambda text: (400 if text == "bad" else 200, text)))
    await pipeline.submit("id,url\n1,a\n2,bad\n", {"Content-Type": "text/csv"})
    await pipeline.deliver_all()
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver_all()


async def outputs(pipeline: PipelineBench, **query: str) -> dict[str, Any]:
    response = await pipeline.handle("outputs", {"batch": pipeline.batch, **query})
    assert response.status == 200
    return document(response)


async def read(url: str) -> tuple[bytes, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await response.read(), response.headers["Content-Disposition"]


async def test_summary_link_is_readable_without_credentials(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    found = await outputs(pipeline)
    assert set(found) == {"batch_id", "expires", "summary", "outputs"}
    assert found["batch_id"] == pipeline.batch
    assert 3500 < found["expires"] - time.time() < 3700
    summary = found["summary"]
    body, disposition = await read(summary["url"])
    assert body == await pipeline.context.store.get(f"{pipeline.batch}.json")
    assert (summary["key"], summary["size"]) == (f"{pipeline.batch}.json", len(body))
    assert disposition == f'attachment; filename="{pipeline.batch}.json"'
    assert parse_qs(urlsplit(summary["url"]).query)["X-Amz-Expires"] == ["3600"]


async def test_parts_are_the_snapshot_and_every_segment(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    found = await outputs(pipeline, parts="true")
    (part,) = found["snapshot"]
    rows = pl.read_parquet((await read(part["url"]))[0])
    assert rows["id"].to_list() == ["1", "2"]
    assert found["column"] == "url"
    assert [segment["generation"] for segment in found["segments"]] == [0, 1]
    bodies = [(await read(segment["url"]))[0] for segment in found["segments"]]
    assert [body.count(b"statusCode") for body in bodies] == [2, 1]
    assert [segment["size"] for segment in found["segments"]] == list(map(len, bodies))


async def test_segments_of_another_epoch_are_left_out(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    await pipeline.context.store.put(f"{pipeline.batch}/segments/0/000000.1.0-1.0.ndjson", b"{}")
    assert len((await outputs(pipeline, parts="true"))["segments"]) == 2


async def test_forgotten_batch_has_outputs(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    before = await outputs(pipeline, parts="true")
    await pipeline.redis.delete(*[key async for key in pipeline.redis.scan_iter(match=f"{pipeline.name}:*")])
    pipeline.forget()
    after = await outputs(pipeline, parts="true")
    assert [link["key"] for link in after["segments"]] == [link["key"] for link in before["segments"]]


async def test_batch_that_never_opened_has_no_outputs(pipeline: PipelineBench) -> None:
    await pipeline.bench().claim()
    await pipeline.context.ledger.abandon(pipeline.batch, "opener", "no column")
    found = await outputs(pipeline, parts="true")
    assert [found[name] for name in ("summary", "column", "snapshot", "segments")] == [None, None, [], []]


@pytest.mark.parametrize("parts", ["false", "true"])
async def test_batch_of_another_function_is_a_409(pipeline: PipelineBench, parts: str) -> None:
    """Two deployments may share a bucket and have different tokens."""
    await ended(pipeline)
    store, spec = pipeline.context.store, f"{pipeline.batch}/spec.json"
    await pipeline.redis.delete(*[key async for key in pipeline.redis.scan_iter(match=f"{pipeline.name}:*")])
    await store.put(spec, orjson.dumps(orjson.loads(await store.get(spec)) | {"owner": "another"}))
    pipeline.forget()
    with pytest.raises(ConflictError, match="in this bucket is another function's, 'another'"):
        await outputs(pipeline, parts=parts)


async def test_foreign_objects_are_not_linked(pipeline: PipelineBench) -> None:
    store = pipeline.context.store
    await store.put(f"{pipeline.batch}/status.json", b'{"state": "done"}')
    await store.put(f"{pipeline.batch}.json", b"somebody's")
    with pytest.raises(NotFoundError, match="there is no batch"):
        await outputs(pipeline)


async def test_running_batch_is_a_409(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    with pytest.raises(ConflictError, match="has no outputs yet: it is running"):
        await outputs(pipeline)


async def test_unknown_batch_is_a_404(pipeline: PipelineBench) -> None:
    with pytest.raises(NotFoundError, match="there is no batch"):
        await outputs(pipeline)


async def test_parts_must_be_true_or_false(pipeline: PipelineBench) -> None:
    with pytest.raises(BadRequestError, match="parts is 'yes': expected true or false"):
        await outputs(pipeline, parts="yes")


async def test_link_names_the_public_endpoint(s3: S3Info) -> None:
    settings, secrets = connection(s3)
    public = settings.model_copy(update={"s3_public_endpoint": "https://s3.example.org"})
    async with Store.connect(public, secrets) as store:
        url = urlsplit(await store.presign("a/b.json", 60, "b.json"))
        assert (url.scheme, url.netloc, url.path) == ("https", "s3.example.org", f"/{s3.bucket}/a/b.json")
        assert secrets.s3_secret not in url.query
        await store.put("where.json", b"{}")
    async with Store.connect(settings, secrets) as store:
        assert (await store.get("where.json")) == b"{}"
