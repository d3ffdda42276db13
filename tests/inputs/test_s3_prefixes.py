"""A prefix whose objects are the items, inputs in other buckets, and addresses that are no input."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import orjson
import polars as pl
import pytest
import pytest_asyncio

from pipeline.batch.open import NewBatch, claim, open_batch
from pipeline.errors import BadRequestError, ConflictError, UnavailableError
from pipeline.inputs import find_input, s3_prefix
from pipeline.local.services.s3_client import S3Info
from pipeline.spec.submission import Submission
from pipeline.store.bucket import Store
from pipeline.store.columns import ITEM
from tests.rigs.fixtures.services import connection
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, document
from tests.rigs.function.snapshots import put, snapshot

Pipeline = PipelineBench


async def test_every_object_under_a_prefix_is_an_item(pipeline: Pipeline) -> None:
    names = ["b.jpg", "a/2.jpg", "a.jpg", "a/1.jpg", "ä.jpg"]
    for name in names:
        await put(pipeline, f"pictures/{name}", name.encode())
    await put(pipeline, "pictures/", b"")
    await put(pipeline, "pictures/empty/", b"")
    await put(pipeline, "pictures.txt", b"no part of it")
    prefix = f"{pipeline.name}.in/pictures/"
    assert document(await pipeline.submit(prefix))["batch_size"] == len(names)
    found = await snapshot(pipeline)
    bucket = pipeline.context.store.bucket
    keys = sorted(prefix + name for name in names)
    assert found["key"].to_list() == keys
    assert found[ITEM].to_list() == [f"s3://{bucket}/{key}" for key in keys]
    assert found["size"].to_list() == [len(key.removeprefix(prefix).encode()) for key in keys]
    assert found["bucket"].unique().to_list() == [bucket]
    assert found["etag"].to_list() == [(await pipeline.context.store.head(key)).etag for key in keys]
    assert found.schema["modified"] == pl.Datetime("us", "UTC")
    await put(pipeline, "pictures/later.jpg", b"")
    assert (await pipeline.submit(prefix)).status == 200
    with pytest.raises(ConflictError):
        await pipeline.submit(prefix, query={"chunk": "2"})
    pipeline.queue.clear()


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """List few rows a piece, and open few objects at once."""
    monkeypatch.setattr(s3_prefix, "PAGES_A_PIECE", 1)
    monkeypatch.setattr(s3_prefix, "SORTED_PIECE_ROWS", 4)
    monkeypatch.setattr(find_input, "INLINE_OBJECTS", 4)


@pytest.mark.usefixtures("small_pages")
async def test_large_prefix_is_listed_by_a_queued_opening(pipeline: Pipeline) -> None:
    for number in range(5):
        await put(pipeline, f"many/{number}", b"x")
    prefix = f"s3://{pipeline.context.store.bucket}/{pipeline.name}.in/many/"
    assert (await pipeline.submit(prefix, query={"columns": "key,size"})).status == 202
    assert [message.mode for message in pipeline.queue] == ["open"]
    await pipeline.deliver(pipeline.queue.pop())
    items = [orjson.loads(item) for item in (await snapshot(pipeline))[ITEM]]
    assert items == [{"key": f"{pipeline.name}.in/many/{number}", "size": 1} for number in range(5)]
    pipeline.queue.clear()


async def test_more_than_a_thousand_objects_are_listed_in_order(pipeline: Pipeline) -> None:
    names = [f"{number}{'/x' * (number % 2)}" for number in range(1001)]
    # A few at a time: the store gives up a connection that a busy machine does not open in time.
    for few in [names[at : at + 50] for at in range(0, len(names), 50)]:
        await asyncio.gather(*(put(pipeline, f"many/{name}", b"") for name in few))
    assert (await pipeline.submit(f"{pipeline.name}.in/many/")).status == 202
    await pipeline.deliver(pipeline.queue.pop())
    assert (await snapshot(pipeline))["key"].to_list() == sorted(f"{pipeline.name}.in/many/{name}" for name in names)
    pipeline.queue.clear()


async def test_opening_does_not_overwrite_the_list_of_the_claim_owner(pipeline: Pipeline) -> None:
    await put(pipeline, "few/a", b"x")
    submission = Submission({"input": f"{pipeline.name}.in/few/", "function": f"{pipeline.name}-model"}, "", 0, "")
    ours, theirs = (NewBatch(pipeline.batch, submission, owner) for owner in ("ours", "theirs"))
    assert (await claim(pipeline.context, theirs)).verdict == "claimed"
    with pytest.raises(UnavailableError, match="is being opened by another request"):
        await open_batch(pipeline.context, ours)
    assert await pipeline.objects() == []
    opened = await open_batch(pipeline.context, theirs)
    assert opened is not None
    assert opened.items == 1
    pipeline.queue.clear()


async def test_prefix_with_more_objects_than_max_rows_is_refused(pipeline: Pipeline) -> None:
    for number in range(3):
        await put(pipeline, f"few/{number}", b"x")
    pipeline.context = replace(pipeline.context, settings=pipeline.context.settings.model_copy(update={"max_rows": 2}))
    with pytest.raises(BadRequestError, match=r"there are more than 2 objects under '.*/few/' \(setting max_rows\)"):
        await pipeline.submit(f"{pipeline.name}.in/few/")
    assert await pipeline.objects() == []


async def test_prefix_without_objects_names_similar_keys(pipeline: Pipeline) -> None:
    key = await put(pipeline, "pictures/a.jpg", b"x")
    bucket = pipeline.context.store.bucket
    folder = await put(pipeline, "folder/", b"")
    for wrong, near in {"picture": key, "folder": folder, "film": f"{folder}, {key}"}.items():
        with pytest.raises(BadRequestError) as caught:
            await pipeline.submit(f"{pipeline.name}.in/{wrong}/")
        assert (
            str(caught.value)
            == f"no objects under '{pipeline.name}.in/{wrong}/' in bucket '{bucket}'; there are: {near}"
        )
    assert await pipeline.objects() == []


async def test_prefix_without_its_slash_is_hinted_at(pipeline: Pipeline) -> None:
    key = await put(pipeline, "pictures/a.jpg", b"x")
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(f"{pipeline.name}.in/pictures")
    assert str(caught.value).endswith(f"there are: {key}; a prefix, whose objects are the items, ends in a slash")
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(f"{pipeline.name}.in/picture")
    assert str(caught.value).endswith(f"there are: {key}")


@pytest.mark.parametrize(
    "address", ["https://example.com/a.csv", "S3://bucket/a.csv", "s3a://bucket/a.csv", "gs://b/c/"]
)
async def test_address_of_another_kind_is_refused(pipeline: Pipeline, address: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(address)
    (problem,) = caught.value.problems
    assert problem == "input: expected a key, or s3://bucket/key: what is elsewhere has to be put into a bucket first"


@pytest.mark.parametrize(
    "own", ["open/", "open/x", "ended/", "doctor/", "doctor/x/", "BATCH/", "BATCH/input/", "BATCH/spec.json"]
)
@pytest.mark.parametrize("address", ["", "s3://BUCKET/"])
async def test_own_objects_of_the_pipeline_are_no_input(pipeline: Pipeline, own: str, address: str) -> None:
    await pipeline.submit(b"url\na\n", CSV)
    given = (address + own).replace("BATCH", pipeline.batch).replace("BUCKET", pipeline.context.store.bucket)
    with pytest.raises(BadRequestError, match="is the pipeline's own: expected the key of an input of yours"):
        await pipeline.submit(given, batch=f"{pipeline.name}.other")
    pipeline.queue.clear()


async def test_whole_bucket_is_no_input(pipeline: Pipeline) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(f"s3://{pipeline.context.store.bucket}/")
    assert "the whole of the pipeline's own bucket is no input" in caught.value.problems[0]


LINES = b'{"url":"a"}\n{"url":"b"}'


@pytest_asyncio.fixture(loop_scope="session")
async def other_bucket(pipeline: Pipeline, s3: S3Info) -> AsyncIterator[Store]:
    """A second bucket, which batches may read."""
    name = f"other-{pipeline.name}"
    await pipeline.context.store._client.create_bucket(Bucket=name)
    allowed = pipeline.context.settings.model_copy(update={"allowed_buckets": "other-*"})
    pipeline.context = replace(pipeline.context, settings=allowed)
    async with Store.connect(*connection(replace(s3, bucket=name))) as store:
        yield store


async def test_allowed_bucket_is_read(pipeline: Pipeline, other_bucket: Store) -> None:
    await other_bucket.put("data/rows.ndjson", LINES)
    address = f"s3://{other_bucket.bucket}/data/rows.ndjson"
    assert document(await pipeline.submit(address))["batch_size"] == 2
    assert (await pipeline.submit(address)).status == 200
    whole = f"{pipeline.name}.whole"
    assert document(await pipeline.submit(f"s3://{other_bucket.bucket}/", batch=whole))["batch_size"] == 1
    assert (await snapshot(pipeline, whole))[ITEM].to_list() == [address]
    await other_bucket.put("data/rows.ndjson", LINES + b"\n")
    with pytest.raises(ConflictError):
        await pipeline.submit(address)
    pipeline.context = replace(
        pipeline.context, settings=pipeline.context.settings.model_copy(update={"allowed_buckets": None})
    )
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(address, batch=whole)
    assert f"the bucket '{other_bucket.bucket}' is not allowed" in caught.value.problems[0]
    pipeline.queue.clear()


async def test_errors_name_the_other_bucket(pipeline: Pipeline, other_bucket: Store) -> None:
    await other_bucket.put("data/rows.csv", b"url\na\n")
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(f"s3://{other_bucket.bucket}/data/row.csv")
    assert str(caught.value) == f"no object 'data/row.csv' in bucket '{other_bucket.bucket}'; there are: data/rows.csv"
    for address in ("s3://other-nowhere/rows.csv", "s3://other-nowhere/rows/"):
        with pytest.raises(BadRequestError, match=r"^there is no bucket 'other-nowhere'$"):
            await pipeline.submit(address)
    assert await pipeline.objects() == []


async def test_changed_input_in_another_bucket_is_refused(
    pipeline: Pipeline, other_bucket: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 0)
    await other_bucket.put("rows.csv", b"url\na\n")
    assert (await pipeline.submit(f"s3://{other_bucket.bucket}/rows.csv")).status == 202
    await other_bucket.put("rows.csv", b"url\nb\n")
    await pipeline.deliver(pipeline.queue.pop())
    status = await pipeline.status()
    assert status["state"] == "failed"
    assert status["reason"] == f"'s3://{other_bucket.bucket}/rows.csv' changed while it was being read"
