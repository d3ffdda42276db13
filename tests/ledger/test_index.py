"""The index of open batches: what begins or goes on is in it, what has ended or was never there is not."""

import time

import pytest

from pipeline.batch import sweep as sweeping
from pipeline.errors import UnavailableError
from pipeline.ledger.index import SURVEY_INTERVAL, SURVEY_LEASE
from tests.rigs.function.pipeline_bench import PipelineBench, answering


async def noted(pipeline: PipelineBench) -> list[str]:
    return [batch for batch, _ in await pipeline.context.ledger.index.batches()]


async def ended(pipeline: PipelineBench) -> None:
    """A batch of which one row failed."""
    pipeline.serve(answering(lambda text: (400 if text == "bad" else 200, text)))
    await pipeline.submit_rows("a", "bad")
    await pipeline.deliver_all()


async def test_a_batch_is_in_it_from_its_submission_to_its_end_and_again_while_it_is_redriven(
    pipeline: PipelineBench,
) -> None:
    pipeline.serve(answering(lambda text: (400 if text == "bad" else 200, text)))
    await pipeline.submit_rows("a", "bad")
    assert await noted(pipeline) == [pipeline.batch]
    await pipeline.deliver_all()
    assert await noted(pipeline) == []
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert await noted(pipeline) == [pipeline.batch]
    await pipeline.deliver_all()
    assert await noted(pipeline) == []


@pytest.mark.parametrize("mode", ["pause", "resume", "tune", "cancel"])
async def test_what_is_asked_of_a_batch_puts_it_back(pipeline: PipelineBench, mode: str) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    await pipeline.context.ledger.index.forget(pipeline.batch)
    await pipeline.handle(mode, {"batch": pipeline.batch, **({"window": "2"} if mode == "tune" else {})})
    assert await noted(pipeline) == [pipeline.batch]
    pipeline.queue.clear()


async def test_a_redrive_that_dies_at_once_is_in_it(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    await ended(pipeline)

    async def away(_batch: str) -> None:
        raise UnavailableError("Redis is away")

    monkeypatch.setattr(pipeline.context.ledger.control, "redrive", away)
    with pytest.raises(UnavailableError, match="Redis is away"):
        await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert await noted(pipeline) == [pipeline.batch]


async def test_a_deletion_that_breaks_off_is_in_it_until_the_sweep_has_made_it(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ended(pipeline)

    async def away(*_: object) -> None:
        raise UnavailableError("S3 is away")

    with monkeypatch.context() as broken:
        broken.setattr(pipeline.context.specs, "erase", away)
        with pytest.raises(UnavailableError, match="S3 is away"):
            await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await noted(pipeline) == [pipeline.batch]
    await pipeline.bench().age(lease_until=-1)
    await pipeline.bench().age_duty("d")
    await pipeline.sweep()
    assert await noted(pipeline) == []
    assert await pipeline.objects() == []


@pytest.mark.parametrize(("younger", "kept"), [(60, True), (-60, False)])
async def test_a_name_without_a_batch_leaves_it_after_ten_minutes(
    pipeline: PipelineBench, younger: float, *, kept: bool
) -> None:
    at = time.time() - sweeping.ORPHAN_AGE + younger
    await pipeline.redis.zadd(f"{pipeline.name}:open", {"nobody": at})
    await pipeline.sweep()
    assert await noted(pipeline) == (["nobody"] if kept else [])
    assert sweeping.ORPHAN_AGE == 600


async def test_noted_again_a_batch_keeps_its_place(pipeline: PipelineBench) -> None:
    await pipeline.redis.zadd(f"{pipeline.name}:open", {"old": 1.0})
    await pipeline.context.ledger.index.note("old")
    assert await pipeline.context.ledger.index.batches() == [("old", 1.0)]
    await pipeline.context.ledger.index.forget("old")


async def test_a_survey_that_is_made_holds_longer_than_one_that_was_begun(pipeline: PipelineBench) -> None:
    index, mark = pipeline.context.ledger.index, f"{pipeline.name}:epoch"
    await pipeline.redis.delete(mark)
    assert await index.take_survey()
    assert 0 < await pipeline.redis.ttl(mark) <= SURVEY_LEASE
    assert not await index.take_survey()
    await index.surveyed()
    assert SURVEY_LEASE < await pipeline.redis.ttl(mark) <= SURVEY_INTERVAL
