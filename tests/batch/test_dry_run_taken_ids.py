"""dry_run with an id that is taken answers as the submission would."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from aiohttp import web

from pipeline.errors import ConflictError, PipelineError, UnavailableError
from pipeline.spec.submission import Submission
from tests.rigs.function.dry_runs import DRY_RUN, ROWS, dry_run, no_trace, refusal
from tests.rigs.function.pipeline_bench import CSV
from tests.rigs.function.pipeline_bench import PipelineBench as Pipeline

Occupy = Callable[[Pipeline], Awaitable[None]]


async def another_batch(pipeline: Pipeline) -> None:
    await pipeline.submit(ROWS + b"4,d\n", CSV)


async def forgotten_batch(pipeline: Pipeline) -> None:
    await another_batch(pipeline)
    await pipeline.redis.flushall()


async def foreign_objects(pipeline: Pipeline) -> None:
    await pipeline.context.store.put(f"{pipeline.batch}/notes.txt", b"precious")


async def deletion(pipeline: Pipeline) -> None:
    await pipeline.context.ledger.control.delete(pipeline.batch, "somebody")


async def expired_claim_of_another_batch(pipeline: Pipeline) -> None:
    submission = await submission_of_rows(pipeline)
    other = msgspec.structs.replace(submission, source="another")
    await pipeline.context.ledger.claim(pipeline.batch, "another", other)
    await pipeline.bench().age(lease_until=-1)


TAKEN: dict[str, tuple[Occupy, type[PipelineError], str]] = {
    "another batch": (another_batch, ConflictError, "exists with another specification"),
    "a claim of another batch": (expired_claim_of_another_batch, ConflictError, "exists with another specification"),
    "a forgotten batch": (forgotten_batch, ConflictError, "had another specification"),
    "foreign objects": (foreign_objects, ConflictError, "that are no batch's: choose another id"),
    "a deletion": (deletion, UnavailableError, "is being deleted: try again in a moment"),
}


@pytest.mark.parametrize(("occupy", "error", "words"), TAKEN.values(), ids=TAKEN)
async def test_taken_id_is_refused_as_the_submission_would_be(
    pipeline: Pipeline, occupy: Occupy, error: type[PipelineError], words: str
) -> None:
    await occupy(pipeline)
    async with no_trace(pipeline):
        error_of_dry_run = await refusal(pipeline, ROWS, CSV, DRY_RUN)
    assert error_of_dry_run[0] is error
    assert words in error_of_dry_run[1]
    assert error_of_dry_run == await refusal(pipeline, ROWS, CSV, {})


async def ended(pipeline: Pipeline) -> None:
    async def model(_request: web.Request, _body: bytes) -> web.Response:
        return web.Response(text="done")

    pipeline.serve(model)
    await pipeline.submit(ROWS, CSV)
    await pipeline.deliver_all()


async def ended_and_forgotten(pipeline: Pipeline) -> None:
    await ended(pipeline)
    await pipeline.redis.flushall()


async def running_and_forgotten(pipeline: Pipeline) -> None:
    await pipeline.submit(ROWS, CSV)
    await pipeline.redis.flushall()


async def claimed(pipeline: Pipeline) -> None:
    """Another submitter is still opening the batch."""
    await pipeline.context.ledger.claim(pipeline.batch, "another", await submission_of_rows(pipeline))


async def submission_of_rows(pipeline: Pipeline) -> Submission:
    """The submission of ROWS, as `batch` makes it."""
    await pipeline.submit(ROWS, CSV)
    submission = await pipeline.context.records.read(pipeline.batch)
    await pipeline.redis.flushall()
    await pipeline.context.records.erase(pipeline.batch)
    pipeline.queue.clear()
    return submission


@pytest.mark.parametrize(
    ("occupy", "state"),
    [
        (ended, "done"),
        (ended_and_forgotten, "done"),
        (running_and_forgotten, "opening"),
        (claimed, "opening"),
    ],
)
async def test_same_batch_is_reported_as_existing(pipeline: Pipeline, occupy: Occupy, state: str) -> None:
    await occupy(pipeline)
    answer = await dry_run(pipeline, ROWS)
    assert (answer["exists"], answer["state"], answer["items"]) == (True, state, 3)


async def test_expired_claim_is_not_a_batch(pipeline: Pipeline) -> None:
    await claimed(pipeline)
    await pipeline.bench().age(lease_until=-1)
    assert "exists" not in await dry_run(pipeline, ROWS)
    assert (await pipeline.submit(ROWS, CSV)).status == 201


@pytest.mark.parametrize("is_another", [False, True])
async def test_ledger_without_objects_in_s3_is_not_a_batch(pipeline: Pipeline, *, is_another: bool) -> None:
    await pipeline.submit(ROWS, CSV)
    await pipeline.context.records.erase(pipeline.batch)
    rows = ROWS + b"4,d\n" * is_another
    assert "exists" not in await dry_run(pipeline, rows)
    assert (await pipeline.submit(rows, CSV)).status == 201


async def test_forgotten_batch_without_a_snapshot_is_not_a_batch(pipeline: Pipeline) -> None:
    await running_and_forgotten(pipeline)
    await pipeline.context.snapshots.drop(pipeline.batch, 0)
    assert "exists" not in await dry_run(pipeline, ROWS)
    assert (await pipeline.submit(ROWS, CSV)).status == 201
