"""pause, resume and tune: a batch stops releasing for a while, or changes its window or rate."""

from dataclasses import replace

import pytest

from pipeline.errors import BadRequestError, ConflictError, NotFoundError
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering


@pytest.fixture(autouse=True)
def echo(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (503, "later") if text == "flaky" else (200, text)))


async def ask(pipeline: PipelineBench, mode: str, **query: str) -> None:
    response = await pipeline.handle(mode, {"batch": pipeline.batch, **query})
    assert response.status == 202, response.body


async def test_paused_batch_settles_tasks_in_flight_and_releases_nothing(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*"abcdef", window="2")
    await ask(pipeline, "pause")
    await ask(pipeline, "pause")
    await pipeline.deliver_all()
    await pipeline.sweep()
    status = await pipeline.status()
    assert (status["state"], status["succeeded"], status["in_flight"], pipeline.queue) == ("paused", 2, 0, [])
    await ask(pipeline, "resume")
    assert [message.task for message in pipeline.queue] == [2, 3]
    await ask(pipeline, "resume")
    assert len(pipeline.queue) == 2
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"


async def test_task_that_failed_before_a_pause_runs_after_it(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    await pipeline.call_back(pipeline.queue.pop(0), None, 502)
    await ask(pipeline, "pause")
    await pipeline.bench().age_duty("t:0")
    await pipeline.sweep()
    assert [message.task for message in pipeline.queue] == [1]
    await ask(pipeline, "resume")
    assert [(message.task, message.attempt) for message in pipeline.queue] == [(1, 0), (0, 1)]
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"


async def test_silence_during_a_pause_loses_no_task(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    await ask(pipeline, "pause")
    pipeline.queue.clear()
    bench = pipeline.bench()
    await bench.age_releases(t0=-900, t1=-800)
    await bench.age(heard_at=-500, mark_at=-500, mark=-850, probed_at=-500)
    await pipeline.sweep()
    assert pipeline.queue == []
    assert await bench.attempts() == {}


async def test_generation_that_begins_during_a_pause_waits(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "flaky", attempts="2")
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    await ask(pipeline, "pause")
    await pipeline.deliver_all()
    await pipeline.bench().age(not_before=-1)
    await pipeline.sweep()
    status = await pipeline.status()
    assert (status["state"], status["generation"], pipeline.queue) == ("paused", 1, [])
    await ask(pipeline, "resume")
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"


async def test_paused_batch_keeps_its_deadline_and_can_be_cancelled(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b", window="1")
    await ask(pipeline, "pause")
    await pipeline.bench().age(deadline_at=-1)
    await pipeline.sweep()
    assert (await pipeline.status())["state"] == "closing"
    with pytest.raises(ConflictError, match="cannot be resumed: it is closing"):
        await ask(pipeline, "resume")
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "failed"


@pytest.mark.parametrize("mode", ["pause", "resume", "tune"])
async def test_ended_or_unknown_batch_is_refused(pipeline: PipelineBench, mode: str) -> None:
    query = {"window": "3"} if mode == "tune" else {}
    with pytest.raises(NotFoundError, match="there is no batch"):
        await ask(pipeline, mode, **query)
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    for _ in range(2):
        with pytest.raises(ConflictError, match=r"cannot be (paused|resumed|tuned): it is done"):
            await ask(pipeline, mode, **query)
        await pipeline.redis.flushall()


async def test_larger_window_fills_at_once_and_smaller_window_gradually(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*map(str, range(12)), window="2")
    await ask(pipeline, "tune", window="6")
    assert [message.task for message in pipeline.queue] == [0, 1, 2, 3, 4, 5]
    await ask(pipeline, "tune", window="3")
    for settled in range(1, 4):
        await pipeline.deliver(pipeline.queue.pop(0))
        assert len(pipeline.queue) == 6 - settled
    await pipeline.deliver(pipeline.queue.pop(0))
    assert len(pipeline.queue) == 3
    status = await pipeline.status()
    assert (status["window"], status["rate_limit"]) == (3, None)
    await pipeline.deliver_all()


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({}, "nothing to change"),
        ({"window": "0"}, "expected .window= from 1 to 10000"),
        ({"window": "many"}, "expected .window= from 1 to 10000"),
        ({"rate": "-1"}, "or .rate= up to 10000"),
        ({"rate": "nan"}, "or .rate= up to 10000"),
        ({"windows": "3"}, "expected .window= from 1 to 10000"),
    ],
)
async def test_invalid_change_says_what_was_expected(
    pipeline: PipelineBench, query: dict[str, str], problem: str
) -> None:
    await pipeline.submit_rows("a")
    before = await pipeline.bench().dump()
    with pytest.raises(BadRequestError, match=problem) as refused:
        await ask(pipeline, "tune", **query)
    assert len(refused.value.problems) == len(query)
    assert await pipeline.bench().dump() == before
    pipeline.queue.clear()


async def test_rate_releases_one_second_of_calls_and_more_with_time(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*map(str, range(40)), rate="5", chunk="2")
    bench = pipeline.bench()
    # Two calls take 0.4 s of the rate: at 0, 0.4, 0.8 s, within the burst of a second.
    assert [message.task for message in pipeline.queue] == [0, 1, 2]
    await pipeline.sweep()
    assert len(pipeline.queue) == 3
    await bench.age(paced_at=-10)
    await pipeline.sweep()
    assert [message.task for message in pipeline.queue] == [0, 1, 2, 3, 4, 5]
    await ask(pipeline, "tune", rate="0")
    assert len(pipeline.queue) == 20
    assert (await pipeline.status())["rate_limit"] is None
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"


async def test_rate_releases_only_tasks_that_can_run_in_time(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows(*map(str, range(100)), rate="2", window="100")
    bench = pipeline.bench()
    for _ in range(50):
        await bench.age(paced_at=-10)
        await pipeline.sweep()
    # 60 % of the 50 s of a task, at two calls a second.
    assert len(pipeline.queue) == 60
    pipeline.queue.clear()


async def test_calls_take_turns_at_the_rate(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", rate="4")
    ledger = pipeline.context.ledger
    turns = [await ledger.reserve_call(pipeline.batch, 10) for _ in range(4)]
    delays = [turn for turn in turns if turn is not None]
    assert len(delays) == 4
    # Each turn is a quarter of a second after the one before, less the time of the calls.
    assert delays[0] == 0
    assert all(0 <= 0.25 * place - delay < 0.25 for place, delay in enumerate(delays))
    assert await ledger.reserve_call(pipeline.batch, 0.2) is None
    assert await ledger.reserve_call(pipeline.batch, 10) is not None
    await ask(pipeline, "tune", rate="0")
    assert await ledger.reserve_call(pipeline.batch, 0) == 0
    pipeline.queue.clear()


async def test_rate_that_a_chunk_cannot_keep_is_refused(pipeline: PipelineBench) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit("url\na\n", CSV, {"rate": "2", "chunk": "100"})
    (problem,) = caught.value.problems
    assert problem.startswith("a chunk of 100 at 2 calls a second takes 50 s, and a task has 30 s for it: expected")
    response = await pipeline.submit("url\na\n", CSV, {"rate": "2", "chunk": "100", "chunk_call": "true"})
    assert response.status == 201
    pipeline.queue.clear()


async def test_rate_that_is_too_slow_for_the_task_timeout_is_refused(pipeline: PipelineBench) -> None:
    settings = pipeline.context.settings.model_copy(update={"task_timeout": 2.0})
    pipeline.context = replace(pipeline.context, settings=settings)
    await pipeline.submit_rows(*"abcdefgh", chunk="4", window="1", timeout="1")
    refusal = "cannot be tuned so: a chunk of 4 at 2 calls a second takes 2 s.*: expected a smaller chunk"
    with pytest.raises(BadRequestError, match=refusal):
        await pipeline.handle("tune", {"batch": pipeline.batch, "rate": "2"})
    assert (await pipeline.status())["rate_limit"] is None
    await ask(pipeline, "tune", rate="4")
    assert (await pipeline.status())["rate_limit"] == 4
