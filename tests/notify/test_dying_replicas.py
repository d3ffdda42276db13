"""notify: replicas that die before, during or after a delivery."""

from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import UnavailableError
from pipeline.ledger.notices import NoticeBoard
from pipeline.notify.deliver import deliver_due
from tests.rigs.function.notified_batches import notify_hooks, run
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.openfaas.receivers import Receiver, allow, due_again, notified, status_answer


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks, task_timeout=2)


async def run_notified(pipeline: PipelineBench, **options: str) -> list[tuple[str, int, int | None]]:
    return notified(await run(pipeline, **options))


async def away(*_arguments: object) -> Any:
    raise UnavailableError("the replica is gone")


async def test_replica_that_dies_before_recording_a_try_is_succeeded(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target gets two requests with the same id, so that it can drop the second."""
    with monkeypatch.context() as fault:
        fault.setattr(NoticeBoard, "record_delivery", away)
        assert await run_notified(pipeline, notify=hooks.url) == [("due", 1, None)]
    # The lease of a try is longer than the timeout of its call.
    assert await pipeline.bench().due() == {"n:0": 30}
    await pipeline.sweep()
    assert len(hooks.calls) == 1
    await due_again(pipeline)
    await pipeline.sweep()
    first, second = hooks.calls
    assert first.id == second.id
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


@pytest.mark.parametrize(("target", "seconds"), [("url", 30 + 30), ("next", 50 + 30)])
async def test_lease_of_a_try_lasts_longer_than_its_call(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch, target: str, seconds: float
) -> None:
    """A URL has 30 s to answer, a function the time of a task; another 30 s are for recording the answer."""
    allow(pipeline, hooks, task_timeout=50)
    monkeypatch.setattr(NoticeBoard, "record_delivery", away)
    await run_notified(pipeline, notify=hooks.url if target == "url" else target)
    assert await pipeline.bench().due() == {"n:0": seconds}


@pytest.mark.parametrize("step", ["start_delivery", "read"])
async def test_replica_that_dies_before_a_try_leaves_it_due(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(NoticeBoard, step, away)
        assert await run_notified(pipeline, notify=hooks.url) == [("due", 0, None)]
    await pipeline.sweep()
    assert notified(await pipeline.status()) == [("delivered", 1, 204)]
    assert len(hooks.calls) == 1


async def test_replica_that_dies_before_closing_the_batch_is_succeeded(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.records, "close", away)
        with pytest.raises(UnavailableError):
            await run_notified(pipeline, notify=hooks.url)
    assert hooks.calls == []
    await pipeline.sweep()
    assert len(hooks.calls) == 1
    assert pipeline.mark not in await pipeline.objects()


async def test_delivery_while_s3_is_away_is_stored_by_the_next_sweep(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(status_answer(500))
    await run_notified(pipeline, notify=hooks.url)
    with monkeypatch.context() as fault:
        await due_again(pipeline)
        close = pipeline.context.records.close

        async def away_after_two_calls(batch: str, status: dict[str, Any]) -> None:
            if len(hooks.calls) > 1:
                await away()
            await close(batch, status)

        fault.setattr(pipeline.context.records, "close", away_after_two_calls)
        await pipeline.sweep()
    assert pipeline.mark in await pipeline.objects()
    await pipeline.sweep()
    stored = await pipeline.context.records.read_status(pipeline.batch)
    assert stored is not None
    assert notified(stored) == [("delivered", 2, 204)]
    assert pipeline.mark not in await pipeline.objects()
    assert len(hooks.calls) == 2


async def test_slow_delivery_counts_after_another_try_was_refused(pipeline: PipelineBench, hooks: Receiver) -> None:
    async def answer_after_another_try(_request: web.Request) -> web.Response:
        await due_again(pipeline)
        await deliver_due(pipeline.context, pipeline.batch)
        return web.Response(status=200)

    allow(pipeline, hooks, task_timeout=50)
    hooks.answers += [answer_after_another_try, status_answer(500)]
    assert await run_notified(pipeline, notify=hooks.url) == [("delivered", 2, 200)]
    await pipeline.sweep()
    assert len(hooks.calls) == 2
