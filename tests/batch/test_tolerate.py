"""tolerate: a batch with more failures than that stops, and ends with the results so far."""

import pytest

from tests.rigs.function.pipeline_bench import PipelineBench, answering
from tests.rigs.redis.ledger_bench import Bench


@pytest.mark.parametrize(("tolerated", "failures", "closes"), [(0, 1, True), (2, 2, False), (2, 3, True)])
async def test_one_failure_more_than_tolerated_stops_the_batch(
    bench: Bench,
    tolerated: int,
    failures: int,
    closes: bool,  # noqa: FBT001
) -> None:
    await bench.claim(window=1)
    await bench.begin(tasks=9, items=9, tolerated=tolerated)
    for task in range(failures):
        settled = await bench.settle(task, succeeded=0, failed=1)
        assert bool(settled.release) is not (closes and task == failures - 1)
    fields = await bench.fields()
    assert (fields["state"] == "reducing") is closes
    if closes:
        assert fields["outcome"] == "failed"
        assert fields["reason"] == f"{failures} items failed, and {tolerated} are tolerated"


async def test_retryable_failure_counts_only_in_the_last_generation(bench: Bench) -> None:
    await bench.claim()
    await bench.begin(tasks=3, tolerated=1)
    for task in range(3):
        await bench.settle(task, succeeded=0, failed=1, retryable=1)
    assert (await bench.fields())["outcome"] == "done"
    await bench.reduce()
    assert await bench.begin(1, tasks=3, owner="reducer", again=3, final=True, tolerated=1) == ("running", [0, 1, 2])
    await bench.settle(0, succeeded=0, failed=1, retryable=1, generation=1)
    assert await bench.state() == "running"
    await bench.settle(1, succeeded=0, failed=1, retryable=1, generation=1)
    assert await bench.state() == "closing"


async def test_batch_without_a_limit_tolerates_any_number(bench: Bench) -> None:
    await bench.open(20, window=2)
    for task in range(19):
        await bench.settle(task, succeeded=0, failed=1)
    assert await bench.state() == "running"
    assert "given_up" in await bench.fields()


@pytest.mark.parametrize(("tolerate", "run"), [("1", 3), ("25%", 4), ("0", 2)])
async def test_stopped_batch_ends_as_failed_with_its_results(pipeline: PipelineBench, tolerate: str, run: int) -> None:
    pipeline.serve(answering(lambda text: (400 if text.startswith("bad") else 200, text)))
    rows = ["good", *[f"bad {n}" for n in range(7)]]
    await pipeline.submit_rows(*rows, window="1", tolerate=tolerate)
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == ("failed", f"{run - 1} items failed, and {run - 2} are tolerated")
    summary = await pipeline.summary()
    ran = [entry["url"] for entry in summary["failures"]["results"] if entry["statusCode"]]
    assert ran == [f"bad {n}" for n in range(run - 1)]
    assert (summary["results"]["count"], summary["failures"]["count"]) == (1, 7)
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    assert (await pipeline.status())["succeeded"] == 8


async def test_tolerated_failures_leave_the_batch_done(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (400 if text == "bad" else 200, text)))
    await pipeline.submit_rows("a", "bad", "c", tolerate="34%")
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["failed"]) == ("done", 1)


async def test_unknown_function_stops_a_redrive_too(pipeline: PipelineBench) -> None:
    rows = [f"row {n}" for n in range(30)]
    await pipeline.submit_rows(*rows, window="2", function=f"{pipeline.name}-gone")
    for _ in range(2):
        await pipeline.deliver_all()
        status = await pipeline.status()
        assert status["state"] == "failed"
        assert "answered 404 to the first 10 calls" in status["reason"]
        assert status["failed"] < 15
        await pipeline.handle("redrive", {"batch": pipeline.batch})
    pipeline.queue.clear()


async def test_a_404_after_other_answers_is_an_ordinary_failure(bench: Bench) -> None:
    await bench.claim()
    await bench.begin(tasks=12)
    for task in range(12):
        await bench.settle(task, succeeded=0, failed=1, retryable=1)
    await bench.reduce()
    await bench.begin(1, tasks=12, owner="reducer", again=12)
    for task in range(11):
        await bench.settle(task, succeeded=0, failed=1, not_found=1, generation=1)
    assert await bench.state() == "running"
