"""delete and retention: an ended batch is deleted with all its objects, and nothing else."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from pipeline.batch import delete as deleting
from pipeline.errors import ConflictError, NotFoundError, UnavailableError
from pipeline.ledger.replies import Deletion
from pipeline.store.bucket import Check
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document


@pytest.fixture(autouse=True)
def echo(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))


async def delete(pipeline: PipelineBench, batch: str = "") -> None:
    response = await pipeline.handle("delete", {"batch": batch or pipeline.batch})
    assert (response.status, document(response)["deleted"]) == (200, True)


async def ended(pipeline: PipelineBench, batch: str = "", **options: str) -> None:
    response = await pipeline.submit("url\na\nb\n", CSV, options, batch)
    assert response.status == 201
    await pipeline.deliver_all()
    assert (await pipeline.status(batch))["state"] == "done"


async def left(pipeline: PipelineBench) -> list[str]:
    """The keys of the batch in the bucket and in Redis."""
    store = pipeline.context.store
    keys = [await store.list(prefix) for prefix in (pipeline.name, f"open/{pipeline.name}", f"ended/{pipeline.name}")]
    redis = [key.decode() async for key in pipeline.redis.scan_iter(match=f"{pipeline.name}:{{*")]
    return sorted(key for group in [*keys, redis] for key in group)


@pytest.mark.parametrize("forgotten", [False, True])
async def test_deletion_removes_everything_of_the_batch(pipeline: PipelineBench, forgotten: bool) -> None:  # noqa: FBT001
    await ended(pipeline, inline_limit="0")
    assert any("/refs/" in key for key in await left(pipeline))
    await pipeline.context.store.start_upload(f"{pipeline.batch}/0/summary.json")
    if forgotten:
        await pipeline.redis.flushall()
    await delete(pipeline)
    assert await left(pipeline) == []
    assert await pipeline.context.store.abort_uploads(pipeline.batch) == 0
    with pytest.raises(NotFoundError, match="there is no batch"):
        await pipeline.status()
    with pytest.raises(NotFoundError, match="there is no batch"):
        await delete(pipeline)


async def test_deletion_keeps_foreign_objects(pipeline: PipelineBench) -> None:
    store = pipeline.context.store
    await store.put(f"{pipeline.name}.csv", b"url\na\n")
    await pipeline.submit(f"{pipeline.name}.csv")
    await pipeline.deliver_all()
    other = f"{pipeline.batch}2"
    await ended(pipeline, other)
    theirs = await pipeline.objects(f"{other}")
    await store.put(f"{pipeline.batch}/notes.txt", b"mine")
    await delete(pipeline)
    assert await pipeline.objects(other) == theirs
    assert (await pipeline.status(other))["state"] == "done"
    assert await store.list(f"{pipeline.batch}/") == [f"{pipeline.batch}/notes.txt"]
    assert await store.get(f"{pipeline.name}.csv") == b"url\na\n"


async def test_deleted_id_can_be_used_again(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    await delete(pipeline)
    assert (await pipeline.submit("url\nx\n", CSV, {"chunk": "2"})).status == 201
    await pipeline.deliver_all()
    assert [entry["url"] for entry in (await pipeline.summary())["results"]["results"]] == ["x"]


async def test_open_batch_cannot_be_deleted(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    before = await pipeline.objects()
    with pytest.raises(ConflictError, match="cannot be deleted: it is running; cancel it first"):
        await delete(pipeline)
    await pipeline.redis.flushall()
    with pytest.raises(ConflictError, match="cannot be deleted: it has not ended; cancel it first"):
        await delete(pipeline)
    assert await pipeline.objects() == before
    pipeline.queue.clear()


async def test_foreign_objects_under_an_id_are_not_a_batch(pipeline: PipelineBench) -> None:
    await pipeline.context.store.put(f"{pipeline.batch}/input/mine.csv", b"mine")
    with pytest.raises(NotFoundError, match="there is no batch"):
        await delete(pipeline)
    assert await pipeline.context.store.get(f"{pipeline.batch}/input/mine.csv") == b"mine"


async def test_interrupted_deletion_is_completed_by_the_sweep(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(pipeline)
    with monkeypatch.context() as fault:

        async def away(*_: object) -> None:
            raise UnavailableError("S3 is away")

        fault.setattr(pipeline.context.store, "delete_many", away)
        with pytest.raises(UnavailableError):
            await delete(pipeline)
    assert (await pipeline.status())["state"] == "deleting"
    for mode in ("redrive", "pause", "cancel"):
        with pytest.raises(ConflictError, match="it is deleting"):
            await pipeline.handle(mode, {"batch": pipeline.batch})
    with pytest.raises(UnavailableError, match="is being deleted: try again in a moment, or choose another id"):
        await pipeline.submit("url\na\nb\n", CSV)
    assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 202
    assert f"{pipeline.batch}/spec.json" in await left(pipeline)
    await pipeline.bench().age(lease_until=-1)
    await pipeline.bench().age_duty("d")
    await pipeline.sweep()
    assert await left(pipeline) == []


async def test_batch_past_its_retention_is_deleted(pipeline: PipelineBench) -> None:
    await ended(pipeline, f"{pipeline.batch}.other")
    await pipeline.submit_rows("open")
    settings = pipeline.context.settings
    for retention, gone in ((None, False), (3600.0, False), (1e-6, True)):
        pipeline.context = replace(pipeline.context, settings=settings.model_copy(update={"retention": retention}))
        await pipeline.redis.delete(f"{pipeline.name}:epoch")
        await pipeline.sweep()
        assert (not await pipeline.objects(f"{pipeline.batch}.other")) is gone
        assert pipeline.mark in await pipeline.objects()
    pipeline.queue.clear()


async def test_running_redrive_is_kept_past_its_retention(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (400, text)))
    response = await pipeline.submit("url\na\n", CSV)
    assert response.status == 201
    await pipeline.deliver_all()
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    settings = pipeline.context.settings.model_copy(update={"retention": 1e-6})
    pipeline.context = replace(pipeline.context, settings=settings)
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    await pipeline.sweep()
    assert (await pipeline.status())["state"] == "reducing"
    assert await pipeline.objects() != []
    pipeline.queue.clear()


async def test_late_deletion_deletes_nothing_of_the_next_batch_of_the_id(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(pipeline)
    many, later = pipeline.context.store.delete_many, []

    async def stalled(keys: Sequence[str], check: Check | None = None) -> None:
        monkeypatch.undo()
        await pipeline.bench().age(lease_until=-1)
        await delete(pipeline)
        await pipeline.submit_rows("x", "y", window="1")
        later.extend(await left(pipeline))
        await many(keys, check)

    monkeypatch.setattr(pipeline.context.store, "delete_many", stalled)
    with pytest.raises(UnavailableError, match=r"the lease of the deletion of batch .* was lost"):
        await delete(pipeline)
    assert await left(pipeline) == later
    assert pipeline.mark in later
    await pipeline.deliver_all()
    assert (await pipeline.status())["succeeded"] == 2


async def test_deletion_keeps_a_reused_id_in_the_index(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(pipeline)
    index = pipeline.context.ledger.index
    forget = index.remove

    async def submit_first(batch: str) -> None:
        monkeypatch.undo()
        await pipeline.submit_rows("x", window="1")
        await forget(batch)

    monkeypatch.setattr(index, "remove", submit_first)
    await delete(pipeline)
    assert [batch for batch, _ in await index.open_batches()] == [pipeline.batch]
    await pipeline.deliver_all()


async def test_deletion_renews_its_lease(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    await ended(pipeline)
    monkeypatch.setattr(deleting, "DUTY_LEASE", 0.03)
    many, renewed = pipeline.context.store.delete_many, asyncio.Event()
    take = pipeline.context.ledger.control.delete

    async def taken(batch: str, owner: str, **options: bool) -> Deletion:
        if options.get("renewal"):
            renewed.set()
        return await take(batch, owner, **options)

    async def slow(keys: Sequence[str], check: Check | None = None) -> None:
        await renewed.wait()
        await many(keys, check)

    monkeypatch.setattr(pipeline.context.ledger.control, "delete", taken)
    monkeypatch.setattr(pipeline.context.store, "delete_many", slow)
    await delete(pipeline)
    assert await left(pipeline) == []
