"""The index of open batches: it has every batch that begins or runs, and none that has ended."""

import time

import pytest

from pipeline.batch import sweep as sweeping
from pipeline.errors import UnavailableError
from pipeline.ledger.index import SURVEY_INTERVAL, SURVEY_LEASE
from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.ledger_bench import Bench


async def open_batches(pipeline: PipelineBench) -> list[str]:
    return [batch for batch, _ in await pipeline.context.ledger.index.open_batches()]


async def ended(pipeline: PipelineBench) -> None:
    """Run a batch of which one row fails."""
    pipeline.serve(answering(lambda text: (400 if text == "bad" else 200, text)))
    await pipeline.submit_rows("a", "bad")
    await pipeline.deliver_all()


async def test_batch_is_open_from_its_submission_to_its_end_and_in_a_redrive(
    pipeline: PipelineBench,
) -> None:
    pipeline.serve(answering(lambda text: (400 if text == "bad" else 200, text)))
    await pipeline.submit_rows("a", "bad")
    assert await open_batches(pipeline) == [pipeline.batch]
    await pipeline.deliver_all()
    assert await open_batches(pipeline) == []
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert await open_batches(pipeline) == [pipeline.batch]
    await pipeline.deliver_all()
    assert await open_batches(pipeline) == []


@pytest.mark.parametrize("mode", ["pause", "resume", "tune", "cancel"])
async def test_request_to_a_batch_puts_it_back_into_the_index(pipeline: PipelineBench, mode: str) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    await pipeline.context.ledger.index.remove(pipeline.batch)
    await pipeline.handle(mode, {"batch": pipeline.batch, **({"window": "2"} if mode == "tune" else {})})
    assert await open_batches(pipeline) == [pipeline.batch]
    pipeline.queue.clear()


async def test_redrive_that_fails_at_once_leaves_the_batch_in_the_index(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(pipeline)

    async def away(_batch: str) -> None:
        raise UnavailableError("Redis is away")

    monkeypatch.setattr(pipeline.context.ledger.control, "redrive", away)
    with pytest.raises(UnavailableError, match="Redis is away"):
        await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert await open_batches(pipeline) == [pipeline.batch]


async def test_interrupted_deletion_is_in_the_index_until_the_sweep(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(pipeline)

    async def away(*_: object) -> None:
        raise UnavailableError("S3 is away")

    with monkeypatch.context() as broken:
        broken.setattr(pipeline.context.records, "erase", away)
        with pytest.raises(UnavailableError, match="S3 is away"):
            await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await open_batches(pipeline) == [pipeline.batch]
    await pipeline.bench().age(lease_until=-1)
    await pipeline.bench().age_duty("d")
    await pipeline.sweep()
    assert await open_batches(pipeline) == []
    assert await pipeline.objects() == []


@pytest.mark.parametrize(("younger", "kept"), [(60, True), (-60, False)])
async def test_id_without_a_batch_leaves_the_index_after_ten_minutes(
    pipeline: PipelineBench, younger: float, *, kept: bool
) -> None:
    at = time.time() - sweeping.ORPHAN_AGE + younger
    await pipeline.redis.zadd(f"{pipeline.name}:open", {"nobody": at})
    await pipeline.sweep()
    assert await open_batches(pipeline) == (["nobody"] if kept else [])
    assert sweeping.ORPHAN_AGE == 600


async def test_noted_again_a_batch_keeps_its_place(pipeline: PipelineBench) -> None:
    await pipeline.redis.zadd(f"{pipeline.name}:open", {"old": 1.0})
    await pipeline.context.ledger.index.add_open("old")
    assert await pipeline.context.ledger.index.open_batches() == [("old", 1.0)]
    await pipeline.context.ledger.index.remove("old")


async def test_finished_survey_holds_longer_than_a_started_one(pipeline: PipelineBench) -> None:
    index, mark = pipeline.context.ledger.index, f"{pipeline.name}:epoch"
    await pipeline.redis.delete(mark)
    assert await index.begin_survey()
    assert 0 < await pipeline.redis.ttl(mark) <= SURVEY_LEASE
    assert not await index.begin_survey()
    await index.end_survey()
    assert SURVEY_LEASE < await pipeline.redis.ttl(mark) <= SURVEY_INTERVAL


async def test_index_of_open_batches_is_sorted_by_age_and_forgets(bench: Bench) -> None:
    for batch in ("one", "two", "three"):
        await bench.ledger.index.add_open(batch)
    noted = await bench.ledger.index.open_batches()
    assert [name for name, _ in noted] == ["one", "two", "three"]
    now = await bench.now()
    assert max(abs(since - now) for _, since in noted) < 60
    assert [name for name, _ in await bench.ledger.index.open_batches(2)] == ["one", "two"]
    await bench.ledger.index.remove("two")
    assert [name for name, _ in await bench.ledger.index.open_batches()] == ["one", "three"]
