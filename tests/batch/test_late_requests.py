"""Late requests, and requests of another function, change nothing in a current batch."""

import asyncio
import dataclasses
from typing import Any

import msgspec
import pytest

from pipeline.context import LedgerCache
from pipeline.errors import ConflictError, UnavailableError
from pipeline.identity import Identity
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.replies import Cancelled
from pipeline.spec.field_rules import FORMATS
from pipeline.spec.submission import Submission
from pipeline.store.batch_records import BatchRecords, OpenMark
from pipeline.store.bucket import Check
from pipeline.store.keys import output_names
from pipeline.store.object_info import ObjectInfo
from tests.rigs.function.interrupted_close import before_close
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document
from tests.rigs.log_lines import LogLines


async def test_batch_of_another_function_in_the_same_bucket_is_left_alone(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    before = await pipeline.context.store.list(pipeline.batch)
    ours, ledger = pipeline.context, Ledger(pipeline.redis, "neighbour")
    pipeline.context = dataclasses.replace(
        ours, records=BatchRecords(ours.store, "neighbour"), ledger=ledger, ledger_cache=LedgerCache(ledger)
    )
    for mode in ("status", "outputs", "delete", "redrive", "cancel", "pause", "resume", "tune"):
        with pytest.raises(ConflictError, match=f"in this bucket is another function's, {pipeline.name!r}"):
            await pipeline.handle(mode, {"batch": pipeline.batch, **({"window": "2"} if mode == "tune" else {})})
    # The neighbour may have had a batch of this id, deleted since.
    await pipeline.context.ledger.index.add_ended({pipeline.batch: 1.0})
    assert document(await pipeline.handle("status"))["ended"] == []
    with pytest.raises(ConflictError, match="in this bucket is another function's"):
        await pipeline.submit("url\na\n", CSV)
    assert await pipeline.context.store.list(pipeline.batch) == before
    assert await pipeline.context.store.list("open/neighbour/") == []


async def test_expired_claim_does_not_run_an_ended_batch_again(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    submission = await pipeline.context.records.read(pipeline.batch)
    for other in (False, True):
        await pipeline.redis.flushall()
        claimed = msgspec.structs.replace(submission, source="other") if other else submission
        assert (await pipeline.context.ledger.claim(pipeline.batch, "dead", claimed)).verdict == "claimed"
        await pipeline.context.ledger.index.add_open(pipeline.batch)
        await pipeline.bench().age(lease_until=-1)
        await pipeline.bench().age_duty("o")
        await pipeline.sweep()
        assert [answer["verdict"] for answer in await pipeline.deliver_all()] == ["conflict" if other else "ended"]
        assert (await pipeline.status())["state"] == "done"


async def test_request_to_a_batch_lost_meanwhile_asks_to_try_again(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    pipeline.queue.clear()
    control = pipeline.context.ledger.control
    cancel = control.cancel

    async def then_lost(batch: str) -> Cancelled:
        found = await cancel(batch)
        await pipeline.redis.flushall()
        return found

    monkeypatch.setattr(control, "cancel", then_lost)
    with pytest.raises(UnavailableError, match=r"Redis has lost batch .* just now: try again"):
        await pipeline.handle("cancel", {"batch": pipeline.batch})


async def test_redrive_undone_by_a_failover_is_started_again(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    bench = pipeline.bench()
    before = await bench.fields()
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    pipeline.queue.clear()
    await pipeline.redis.delete(bench.key(), bench.key("due"))
    await bench.write(**before)
    await pipeline.redis.expire(bench.key(), 3600)
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.sweep()
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["generation"], status["succeeded"]) == ("done", 1, 1)


async def test_claim_lost_by_redis_is_not_renewed(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    pipeline.queue.clear()
    submission = await pipeline.context.records.read(pipeline.batch)
    await pipeline.redis.flushall()
    claimed = await pipeline.context.ledger.claim(pipeline.batch, "opener", submission, kind="renewed")
    assert claimed.verdict == "unknown"
    assert await pipeline.bench().fields() == {}


async def test_late_opening_erases_no_foreign_object(pipeline: PipelineBench) -> None:
    store = pipeline.context.store
    await store.put(f"{pipeline.batch}.json", b"mine")
    answer = await pipeline.handle("open", pipeline.signed("open", Identity(pipeline.batch, 0)))
    assert answer.status == 200
    assert await store.get(f"{pipeline.batch}.json") == b"mine"


async def test_submission_that_was_given_up_while_its_replica_was_frozen_is_to_be_repeated(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    write = pipeline.context.records.write

    async def frozen(batch: str, submission: Submission) -> None:
        monkeypatch.undo()
        await pipeline.bench().age(lease_until=-1)
        await pipeline.bench().age_duty("o")
        await pipeline.sweep()
        assert [answer["verdict"] for answer in await pipeline.deliver_all()] == ["unknown"]
        await write(batch, submission)

    monkeypatch.setattr(pipeline.context.records, "write", frozen)
    with pytest.raises(UnavailableError, match="is being opened by another request: try again"):
        await pipeline.submit_rows("a")
    assert await pipeline.objects() == []
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"


async def test_batch_deleted_while_it_is_closed_leaves_nothing(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    before_close(pipeline, monkeypatch, lambda: pipeline.handle("delete", {"batch": pipeline.batch}))
    await pipeline.deliver_all()
    assert await pipeline.objects() == []
    assert await pipeline.context.store.list(f"ended/{pipeline.name}/") == []


async def test_superseded_reduce_publishes_nothing(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    await pipeline.deliver(pipeline.queue.pop(0))
    put = pipeline.context.store.put

    async def stalled(key: str, *arguments: Any) -> Any:
        if key.endswith("summary.json"):
            bench = pipeline.bench()
            await bench.age(lease_until=-1)
            assert (await bench.ledger.lease_reduce(pipeline.batch, "heir", 0)).verdict == "leased"
        return await put(key, *arguments)

    monkeypatch.setattr(pipeline.context.store, "put", stalled)
    assert (await pipeline.deliver(pipeline.queue.pop(0)))["verdict"] == "lost"
    assert f"{pipeline.batch}.json" not in await pipeline.objects()


@pytest.mark.parametrize("missing", [(), ("results.csv", "report.json")], ids=["all of it", "all that there is"])
async def test_reduce_superseded_while_publishing_keeps_the_newer_outputs(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...]
) -> None:
    mended = False
    pipeline.serve(answering(lambda text: (200 if mended or not text.startswith("no") else 422, text)))
    await pipeline.submit_rows("a", "no b", attempts="1")
    for _ in range(2):
        await pipeline.deliver(pipeline.queue.pop(0))
    reduce, store = pipeline.queue.pop(0), pipeline.context.store
    copy, overtaking = store.copy, asyncio.Lock()

    async def stalled(source: ObjectInfo, key: str, *kind: str) -> None:
        nonlocal mended
        async with overtaking:
            if not mended:
                monkeypatch.undo()
                await pipeline.bench().age(lease_until=-1)
                await pipeline.deliver(reduce)
                mended = True
                await pipeline.handle("redrive", {"batch": pipeline.batch})
                await pipeline.deliver_all()
                assert (await pipeline.summary())["results"]["count"] == 2
                for name in missing:
                    await store.delete_many([f"{pipeline.batch}/{name}", f"{pipeline.batch}/1/{name}"])
        await copy(source, key, *kind)

    monkeypatch.setattr(store, "copy", stalled)
    assert (await pipeline.deliver(reduce))["verdict"] == "lost"
    assert (await pipeline.summary())["results"]["count"] == 2
    for name in set(output_names(FORMATS)) - set(missing):
        published = await store.get(f"{pipeline.batch}/{name}")
        assert published == await store.get(f"{pipeline.batch}/1/{name}")
        assert published != await store.get(f"{pipeline.batch}/0/{name}")
    assert {f"{pipeline.batch}/{name}" for name in missing}.isdisjoint(await pipeline.objects())
    assert await pipeline.context.snapshots.generations(pipeline.batch) == [0, 1]


async def test_two_concurrent_requests_are_both_in_the_mark_in_s3(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    records = pipeline.context.records
    mark_open = records.mark_open

    async def overtaken(batch: str, marker: OpenMark) -> None:
        monkeypatch.undo()
        await pipeline.handle("cancel", {"batch": batch})
        await mark_open(batch, marker)

    monkeypatch.setattr(records, "mark_open", overtaken)
    await pipeline.handle("tune", {"batch": pipeline.batch, "window": "2"})
    marker = await records.read_marker(pipeline.batch)
    assert marker is not None
    assert (marker.cancelled, marker.window) == (True, 2)


async def test_redrive_during_a_deletion_is_a_conflict(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    await pipeline.redis.flushall()
    pipeline.forget()
    mark_open = pipeline.context.records.mark_open

    async def overtaken(batch: str, marker: OpenMark) -> None:
        await mark_open(batch, marker)
        await pipeline.context.ledger.control.delete(batch, "deleter")

    monkeypatch.setattr(pipeline.context.records, "mark_open", overtaken)
    with pytest.raises(ConflictError, match="is being deleted"):
        await pipeline.handle("redrive", {"batch": pipeline.batch})


async def test_every_open_batch_is_swept_however_many_there_are(pipeline: PipelineBench) -> None:
    await pipeline.redis.zadd(f"{pipeline.name}:open", {f"older-{number}": 1 for number in range(1000)})
    await pipeline.submit_rows("a")
    assert pipeline.batch in [batch for batch, _ in await pipeline.context.ledger.index.open_batches()]


async def test_deletion_denied_by_s3_does_not_stop_other_deletions(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    first, second = f"{pipeline.batch}-1", f"{pipeline.batch}-2"
    for batch in (first, second):
        assert (await pipeline.submit("url\na\n", CSV, batch=batch)).status == 201
        await pipeline.deliver_all()
    settings = pipeline.context.settings.model_copy(update={"retention": 1e-6})
    pipeline.context = dataclasses.replace(pipeline.context, settings=settings)
    erase = pipeline.context.records.erase

    async def denied(batch: str, check: Check) -> None:
        if batch == first:
            raise UnavailableError("S3 left 1 of 3 objects undeleted (AccessDenied)")
        await erase(batch, check)

    monkeypatch.setattr(pipeline.context.records, "erase", denied)
    await pipeline.redis.delete(f"{pipeline.name}:epoch")
    with LogLines.captured() as lines:
        await pipeline.sweep()
    assert [batch for batch, _ in await pipeline.context.records.ended_batches()] == [first]
    (entry,) = [line for line in lines.all() if line["event"] == "the batch could not be deleted"]
    assert (entry["batch"], entry["error"]) == (first, "S3 left 1 of 3 objects undeleted (AccessDenied)")
