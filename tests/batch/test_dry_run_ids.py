"""dry_run: what an id stands for is said as the submission would say it."""

from collections.abc import Awaitable, Callable

import msgspec
import pytest
from aiohttp import web

from pipeline.errors import ConflictError, PipelineError, UnavailableError
from pipeline.spec.submission import Submission
from tests.rigs.function.pipeline_bench import CSV
from tests.rigs.function.pipeline_bench import PipelineBench as Pipeline
from tests.rigs.function.tries import ROWS, TRIED, no_trace, refused, tried

Occupy = Callable[[Pipeline], Awaitable[None]]


async def another_batch(pipeline: Pipeline) -> None:
    await pipeline.submit(ROWS + b"4,d\n", CSV)


async def another_batch_that_redis_forgot(pipeline: Pipeline) -> None:
    await another_batch(pipeline)
    await pipeline.redis.flushall()


async def foreign_objects(pipeline: Pipeline) -> None:
    await pipeline.context.store.put(f"{pipeline.batch}/notes.txt", b"precious")


async def a_deletion(pipeline: Pipeline) -> None:
    await pipeline.context.ledger.control.delete(pipeline.batch, "somebody")


async def another_claim_that_was_given_up(pipeline: Pipeline) -> None:
    submission = await of_rows(pipeline)
    other = msgspec.structs.replace(submission, source="another")
    await pipeline.context.ledger.claim(pipeline.batch, "another", other)
    await pipeline.bench().age(lease_until=-1)


TAKEN: dict[str, tuple[Occupy, type[PipelineError], str]] = {
    "another batch": (another_batch, ConflictError, "exists with another specification"),
    "a claim of another batch": (another_claim_that_was_given_up, ConflictError, "exists with another specification"),
    "a forgotten batch": (another_batch_that_redis_forgot, ConflictError, "had another specification"),
    "foreign objects": (foreign_objects, ConflictError, "that are no batch's: choose another id"),
    "a deletion": (a_deletion, UnavailableError, "is being deleted: try again in a moment"),
}


@pytest.mark.parametrize(("occupy", "error", "words"), TAKEN.values(), ids=TAKEN)
async def test_an_id_that_is_taken_is_refused_in_the_words_of_the_submission(
    pipeline: Pipeline, occupy: Occupy, error: type[PipelineError], words: str
) -> None:
    await occupy(pipeline)
    async with no_trace(pipeline):
        said = await refused(pipeline, ROWS, CSV, TRIED)
    assert said[0] is error
    assert words in said[1]
    assert said == await refused(pipeline, ROWS, CSV, {})


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
    """Its submitter is still at it."""
    await pipeline.context.ledger.claim(pipeline.batch, "another", await of_rows(pipeline))


async def of_rows(pipeline: Pipeline) -> Submission:
    """The submission of ROWS, as `batch` makes it."""
    await pipeline.submit(ROWS, CSV)
    submission = await pipeline.context.specs.read(pipeline.batch)
    await pipeline.redis.flushall()
    await pipeline.context.specs.erase(pipeline.batch)
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
async def test_the_same_batch_is_said_to_exist(pipeline: Pipeline, occupy: Occupy, state: str) -> None:
    await occupy(pipeline)
    there = await tried(pipeline, ROWS)
    assert (there["exists"], there["state"], there["items"]) == (True, state, 3)


async def test_a_claim_that_was_given_up_is_no_batch(pipeline: Pipeline) -> None:
    await claimed(pipeline)
    await pipeline.bench().age(lease_until=-1)
    assert "exists" not in await tried(pipeline, ROWS)
    assert (await pipeline.submit(ROWS, CSV)).status == 201


@pytest.mark.parametrize("is_another", [False, True])
async def test_a_ledger_from_an_old_copy_of_redis_is_no_batch(pipeline: Pipeline, *, is_another: bool) -> None:
    await pipeline.submit(ROWS, CSV)
    await pipeline.context.specs.erase(pipeline.batch)
    rows = ROWS + b"4,d\n" * is_another
    assert "exists" not in await tried(pipeline, rows)
    assert (await pipeline.submit(rows, CSV)).status == 201


async def test_a_batch_that_had_no_snapshot_yet_when_redis_forgot_it_is_none(pipeline: Pipeline) -> None:
    await running_and_forgotten(pipeline)
    await pipeline.context.snapshots.drop(pipeline.batch, 0)
    assert "exists" not in await tried(pipeline, ROWS)
    assert (await pipeline.submit(ROWS, CSV)).status == 201
