"""An interrupted task makes no further calls, and an interrupted reduce is explained in the status."""

import asyncio

import pytest
from aiohttp import web

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.outputs import end_batch as ending
from tests.rigs.function.pipeline_bench import PipelineBench, answering


async def test_task_that_fails_makes_no_further_calls(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[bytes] = []

    async def model(_request: web.Request, body: bytes) -> web.Response:
        begun.append(body)
        if body != b"first":
            await asyncio.Event().wait()
        return web.json_response(1)

    async def away(*_: object) -> None:
        raise UnavailableError("S3 is away")

    pipeline.serve(model)
    monkeypatch.setattr("pipeline.tasks.run.store_large_results", away)
    await pipeline.submit_rows("first", *(f"row {n}" for n in range(20)), chunk="100", concurrency="3")
    with pytest.raises(UnavailableError, match="S3 is away"):
        await pipeline.run_task(pipeline.queue[0])
    assert [task for task in asyncio.all_tasks() if "one" in str(task.get_coro())] == []
    assert len(begun) <= 4
    pipeline.queue.clear()


async def test_reduce_with_an_unexpected_error_names_it_in_the_status(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")

    async def divide_by_zero(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as fault:
        fault.setattr(ending, "write_summary", divide_by_zero)
        with pytest.raises(ZeroDivisionError):
            await pipeline.deliver_all()
    trouble = (await pipeline.status())["trouble"]
    assert trouble == "unexpected error (ZeroDivisionError): see the function's log"
    await pipeline.bench().age(lease_until=-1)
    await pipeline.bench().age_duty("r")
    await pipeline.sweep()
    await pipeline.deliver_all()
    assert (await pipeline.status())["trouble"] is None


@pytest.mark.parametrize(("chunk", "rate"), [("100", "2"), ("auto", "2"), ("10", "0.2")])
async def test_tuning_an_opening_batch_to_an_impossible_rate_is_refused(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, chunk: str, rate: str
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 1)
    await pipeline.context.store.put(f"{pipeline.name}.csv", b"url\na\n")
    assert (await pipeline.submit(f"{pipeline.name}.csv", query={"chunk": chunk})).status == 202
    with pytest.raises(BadRequestError, match=r"cannot be tuned so: a chunk of .* calls a second takes 50 s"):
        await pipeline.handle("tune", {"batch": pipeline.batch, "rate": rate})
    assert (await pipeline.handle("tune", {"batch": pipeline.batch, "rate": "100"})).status == 202
    pipeline.queue.clear()


async def test_tuning_before_the_submission_is_written_is_refused(pipeline: PipelineBench) -> None:
    assert await pipeline.bench().claim() == "claimed"
    with pytest.raises(UnavailableError, match="is being opened by another request: try again in a moment"):
        await pipeline.handle("tune", {"batch": pipeline.batch, "rate": "1"})
    await pipeline.context.ledger.abandon(pipeline.batch, "opener")
