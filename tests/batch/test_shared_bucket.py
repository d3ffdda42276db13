"""Functions that share a bucket: of two that take an id at once one gets it, and nobody deletes what another owns."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pipeline.context import LedgerCache
from pipeline.errors import BadRequestError, ConflictError
from pipeline.ledger.ledger import Ledger
from pipeline.metrics import Metrics
from pipeline.openfaas.gateway import Gateway
from pipeline.store.batch_records import BatchRecords
from pipeline.store.bucket import Store
from pipeline.store.object_info import ObjectInfo
from pipeline.store.owners import Owners
from pipeline.store.snapshot import Snapshots
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document
from tests.rigs.s3.proxy import S3Proxy, refuse

Put = Any


@pytest.fixture
def neighbour(pipeline: PipelineBench) -> PipelineBench:
    """Another deployment with a Redis of its own, in the same bucket."""
    ours, name = pipeline.context, f"{pipeline.name}-neighbour"
    ledger = Ledger(pipeline.redis, name)
    changes: dict[str, Any] = {
        "settings": ours.settings.model_copy(update={"function_name": name}),
        "ledger": ledger,
        "ledger_cache": LedgerCache(ledger),
        "records": BatchRecords(ours.store, name),
        "snapshots": Snapshots(ours.store),
        "gateway": Gateway(pipeline.gateway.session, pipeline.gateway.url, name, ours.signer, Metrics()),
    }
    pipeline.serve(answering(lambda text: (200, text)))
    return PipelineBench(replace(ours, **changes), pipeline.redis, pipeline.gateway, name)


@pytest.fixture
def old_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that ignores the condition of a write."""
    put = Store.put

    async def unconditional(store: Store, *arguments: Any, only_new: bool = False) -> ObjectInfo:
        assert isinstance(only_new, bool)
        return await put(store, *arguments)

    monkeypatch.setattr(Store, "put", unconditional)


def submit_meanwhile(monkeypatch: pytest.MonkeyPatch, neighbour: PipelineBench, batch: str, function: str) -> None:
    """Let the neighbour submit once a submission has passed this function."""
    original = getattr(__import__("pipeline.batch.submit", fromlist=["submit"]), function)

    async def overtaken(*arguments: Any) -> Any:
        monkeypatch.undo()
        result = await original(*arguments)
        assert (await neighbour.submit("url\nx\ny\n", CSV, batch=batch)).status == 201
        return result

    monkeypatch.setattr(f"pipeline.batch.submit.{function}", overtaken)


@pytest.mark.parametrize("rows", ["url\na\n", "url\na\nb,c\n"])
@pytest.mark.parametrize("function", ["check_function", "mark_open"])
async def test_of_two_submissions_at_once_one_gets_the_id(
    pipeline: PipelineBench, neighbour: PipelineBench, monkeypatch: pytest.MonkeyPatch, function: str, rows: str
) -> None:
    submit_meanwhile(monkeypatch, neighbour, pipeline.batch, function)
    with pytest.raises(ConflictError, match=f"is another function's, {neighbour.name!r}"):
        await pipeline.submit(rows, CSV)
    assert pipeline.queue == []
    assert pipeline.mark not in await pipeline.objects()
    await neighbour.deliver_all()
    assert (await neighbour.status(pipeline.batch))["state"] == "done"
    summary = await neighbour.summary(pipeline.batch)
    assert [entry["url"] for entry in summary["results"]["results"]] == ["x", "y"]


@pytest.mark.usefixtures("old_server")
async def test_old_server_deletes_nothing_of_another_owner(
    pipeline: PipelineBench, neighbour: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sees the other's object before it writes: the neighbour writes last, and has the id."""
    create = pipeline.context.records.owners._create

    async def before_the_neighbour(key: str) -> bool:
        monkeypatch.setattr(pipeline.context.records.owners, "_create", create)
        is_created = await create(key)
        await pipeline.context.store.delete(key)
        assert (await neighbour.submit("url\nx\n", CSV, batch=pipeline.batch)).status == 201
        theirs.extend(await neighbour.objects(pipeline.batch))
        return is_created

    theirs: list[str] = []
    monkeypatch.setattr(pipeline.context.records.owners, "_create", before_the_neighbour)
    with pytest.raises(BadRequestError):
        await pipeline.submit("url\na\nb,c\n", CSV)
    assert await neighbour.objects(pipeline.batch) == theirs
    neighbour.queue.clear()


async def test_id_has_an_owner_until_its_batch_is_deleted(pipeline: PipelineBench, neighbour: PipelineBench) -> None:
    owners = pipeline.context.records.owners
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    assert await owners.find(pipeline.batch) == pipeline.name
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await owners.find(pipeline.batch) is None
    with pytest.raises(BadRequestError):
        await pipeline.submit("url\na\nb,c\n", CSV)
    assert await owners.find(pipeline.batch) is None
    assert (await neighbour.submit("url\nx\n", CSV, batch=pipeline.batch)).status == 201
    neighbour.queue.clear()


async def test_deletion_that_broke_off_deletes_nothing_of_the_next_owner(
    pipeline: PipelineBench, neighbour: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()

    async def dies(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.ledger.control, "forget", dies)
        with pytest.raises(KeyboardInterrupt):
            await pipeline.handle("delete", {"batch": pipeline.batch})
    assert (await neighbour.submit("url\nx\n", CSV, batch=pipeline.batch)).status == 201
    theirs = await neighbour.objects(pipeline.batch)
    await pipeline.bench().age(lease_until=-1)
    await pipeline.bench().age_duty("d")
    await pipeline.sweep()
    assert await neighbour.objects(pipeline.batch) == theirs
    assert await pipeline.bench().fields() == {}
    neighbour.queue.clear()


async def test_batch_of_an_older_version_has_no_owner_and_can_be_deleted(
    pipeline: PipelineBench, neighbour: PipelineBench
) -> None:
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    await pipeline.context.store.delete(f"owners/{pipeline.batch}")
    with pytest.raises(ConflictError, match="in this bucket is another function's"):
        await neighbour.handle("delete", {"batch": pipeline.batch})
    await neighbour.context.records.erase(pipeline.batch)
    assert (await pipeline.status())["state"] == "done"
    await pipeline.context.store.delete(f"owners/{pipeline.batch}")
    assert document(await pipeline.handle("delete", {"batch": pipeline.batch}))["deleted"]
    assert await pipeline.objects() == []


async def test_one_of_many_functions_gets_the_id(store: Store, name: str) -> None:
    functions = [Owners(store, f"{name}-{number}") for number in range(20)]
    results = await asyncio.gather(*(owners.take(name) for owners in functions), return_exceptions=True)
    assert [type(result) for result in results].count(ConflictError) == 19
    owner = await functions[0].find(name)
    assert results[int(str(owner).rpartition("-")[2])] is None


async def test_server_of_the_local_stack_honours_the_condition(store: Store, name: str) -> None:
    assert await Owners(store, name).are_exclusive()
    assert await store.list(f"doctor/{name}/") == []


async def test_conflict_of_two_writes_is_tried_again(proxied_store: Store, proxy: S3Proxy, name: str) -> None:
    owners = Owners(proxied_store, name)
    proxy.affects = lambda request: "If-None-Match" in request.headers
    proxy.faults += [refuse(409, "ConditionalRequestConflict")] * 2
    assert await owners.are_exclusive()
    proxy.faults += [refuse(409, "ConditionalRequestConflict")] * 2
    await owners.take(name)
    assert await owners.find(name) == name


async def test_server_without_conditional_writes_is_checked_by_a_read(
    proxied_store: Store, proxy: S3Proxy, name: str
) -> None:
    owners = Owners(proxied_store, name)
    proxy.affects = lambda request: "If-None-Match" in request.headers
    proxy.faults += [refuse(501, "NotImplemented")] * 50
    assert not await owners.are_exclusive()
    await owners.take(name)
    await owners.take(name)
    with pytest.raises(ConflictError):
        await Owners(proxied_store, "neighbour").take(name)
