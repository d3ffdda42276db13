"""A process that is frozen before it deletes objects, and wakes up in the next life of the id, deletes nothing."""

from collections.abc import Awaitable, Callable, Sequence

import pytest
from aiohttp import web

from pipeline.errors import UnavailableError
from pipeline.store.bucket import Check, Store
from tests.rigs.fixtures.event_loop import Freeze
from tests.rigs.function.interrupted_close import before_close
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering
from tests.rigs.s3.proxy import S3Proxy, drop


@pytest.fixture(autouse=True)
def echo(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))


async def everything(pipeline: PipelineBench) -> list[str]:
    return [*await pipeline.objects(), *await pipeline.context.store.list(f"ended/{pipeline.name}")]


def after_the_check(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[], Awaitable[object]]
) -> None:
    """Run `meanwhile` once, between a deleter's next check of its lease and its request."""
    many = pipeline.context.store.delete_many

    async def delete_many(keys: Sequence[str], check: Check | None = None) -> None:
        async def check_and_go_on() -> None:
            assert check is not None
            await check()
            await meanwhile()

        monkeypatch.setattr(pipeline.context.store, "delete_many", many)
        await many(keys, check_and_go_on)

    monkeypatch.setattr(pipeline.context.store, "delete_many", delete_many)


async def test_deletion_that_wakes_up_in_the_next_life_deletes_nothing(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, freeze: Freeze
) -> None:
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    later: list[str] = []

    async def other_replicas_go_on() -> None:
        await pipeline.bench().age(lease_until=-1)
        assert (await pipeline.handle("delete", {"batch": pipeline.batch})).status == 200
        await pipeline.submit_rows("x", "y", window="1")
        later.extend(await everything(pipeline))
        freeze()

    after_the_check(pipeline, monkeypatch, other_replicas_go_on)
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await everything(pipeline) == later
    await pipeline.deliver_all()
    assert (await pipeline.status())["succeeded"] == 2


async def test_discarded_opening_that_wakes_up_deletes_nothing(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, freeze: Freeze
) -> None:
    later: list[str] = []

    async def id_is_taken_again() -> None:
        await pipeline.bench().age(lease_until=-1)
        await pipeline.bench().ledger.abandon(pipeline.batch, "")
        await pipeline.context.records.erase(pipeline.batch)
        await pipeline.submit_rows("x", window="1")
        later.extend(await everything(pipeline))
        freeze()

    after_the_check(pipeline, monkeypatch, id_is_taken_again)
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await pipeline.submit("url\na\nb,c\n", CSV)
    assert await everything(pipeline) == later
    pipeline.queue.clear()


async def test_opening_that_lost_its_claim_does_not_drop_the_snapshot_of_another(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 1)
    await pipeline.context.store.put(f"{pipeline.name}.csv", b"url\na\nb,c\n")
    assert (await pipeline.submit(f"{pipeline.name}.csv")).status == 202
    drop_snapshot, part = pipeline.context.snapshots.drop, f"{pipeline.batch}/input/0/000000.parquet"

    async def overtaken(batch: str, generation: int, still_ours: Check) -> None:
        submission = await pipeline.context.records.read(batch)
        await pipeline.bench().age(lease_until=-1)
        await pipeline.context.ledger.claim(batch, "another", submission, kind="queued")
        await pipeline.context.store.put(part, b"of another opening")
        await drop_snapshot(batch, generation, still_ours)

    monkeypatch.setattr(pipeline.context.snapshots, "drop", overtaken)
    with pytest.raises(UnavailableError, match="is being opened by another request"):
        await pipeline.deliver_all()
    assert await pipeline.context.store.get(part) == b"of another opening"
    assert (await pipeline.status())["state"] == "opening"


async def test_request_is_not_repeated_once_its_right_is_over(
    proxied_store: Store, proxy: S3Proxy, name: str, freeze: Freeze
) -> None:
    async def check() -> None:
        """The right is there."""

    async def drop_and_freeze(proxied: S3Proxy, request: web.Request) -> web.Response:
        freeze()
        return await drop(proxied, request)

    await proxied_store.put(name, b"")
    proxy.affects = lambda request: "delete" in request.query
    proxy.faults.append(drop_and_freeze)
    with pytest.raises(UnavailableError, match="the right to it may be lost"):
        await proxied_store.delete_many([name], check)
    assert await proxied_store.get(name) == b""
    await proxied_store.delete_many([name], check)
    assert await proxied_store.list(name) == []


async def test_late_close_keeps_the_end_of_the_next_life(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")
    unclose = pipeline.context.records.unclose

    async def replace_batch() -> None:
        await pipeline.handle("delete", {"batch": pipeline.batch})
        await pipeline.submit_rows("x", "y", window="1")

        async def late(batch: str) -> None:
            monkeypatch.undo()
            await pipeline.deliver_all()
            await unclose(batch)

        monkeypatch.setattr(pipeline.context.records, "unclose", late)

    before_close(pipeline, monkeypatch, replace_batch)
    await pipeline.deliver_all()
    await pipeline.redis.flushall()
    assert (await pipeline.status())["succeeded"] == 2
    assert [batch for batch, _ in await pipeline.context.records.ended_batches()] == [pipeline.batch]
