"""notify: when a try is due, which replica makes it, and how many run at once."""

import asyncio
from typing import Any

import pytest

from pipeline.answers.reply import Reply
from pipeline.errors import UnavailableError
from pipeline.notify import deliver as notifying
from pipeline.notify.deliver import deliver_due
from tests.rigs.function.notified_batches import notify_hooks, run
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.openfaas.receivers import Receiver, allow, due_again, notified, status_answer, wait_of


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks)


async def test_accepted_target_is_notified_after_it_left_the_allow_list(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    await pipeline.submit_rows("a", notify=hooks.url)
    allow(pipeline, allowed_urls=None)
    await pipeline.deliver_all()
    assert len(hooks.calls) == 1


async def test_hanging_target_does_not_delay_others(pipeline: PipelineBench, hooks: Receiver) -> None:
    async def hang(_request: object) -> Any:
        await asyncio.Event().wait()

    allow(pipeline, hooks, task_timeout=0.2)
    hooks.answers.append(hang)
    function = Receiver(0)
    pipeline.gateway.models["next"] = function.model
    status = await run(pipeline, notify=f"{hooks.url},next")
    assert notified(status) == [("due", 1, None), ("delivered", 1, 204)]


async def test_tries_beyond_the_concurrency_limit_stay_due(pipeline: PipelineBench, hooks: Receiver) -> None:
    slots = pipeline.context.webhook_client.slots
    while not slots.locked():
        await slots.acquire()
    await run(pipeline, notify=hooks.url)
    assert hooks.calls == []
    assert await pipeline.bench().due() == {"n:0": 0}
    slots.release()
    await pipeline.sweep()
    assert len(hooks.calls) == 1


async def test_sweep_without_a_free_slot_reads_nothing_from_s3(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many batches may wait while a target is down, and each sweep goes through all of them."""
    slots = pipeline.context.webhook_client.slots
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=hooks.url)
    await pipeline.sweep()
    await due_again(pipeline)
    while not slots.locked():
        await slots.acquire()

    requests = []

    async def away(*arguments: object) -> None:
        requests.append(arguments)
        raise UnavailableError("S3 is away")

    for name in ("get", "put", "head"):
        monkeypatch.setattr(pipeline.context.store, name, away)
    await pipeline.sweep()
    monkeypatch.undo()
    assert requests == []
    slots.release()
    await pipeline.sweep()
    assert len(hooks.calls) == 2


async def test_only_one_of_two_replicas_makes_a_try(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(500))
    await run(pipeline, notify=hooks.url)
    await due_again(pipeline)
    first = pipeline.context
    pipeline.forget()
    await asyncio.gather(
        *(deliver_due(context, pipeline.batch) for context in (first, pipeline.context) for _ in range(5))
    )
    assert len(hooks.calls) == 2
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


async def test_backoff_doubles_up_to_a_minute(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    hooks.answers += [status_answer(500)] * 9
    await run(pipeline, notify=hooks.url)
    waits = [await wait_of(pipeline)]
    for _ in range(8):
        await due_again(pipeline)
        await pipeline.sweep()
        waits.append(await wait_of(pipeline))
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    monkeypatch.setattr("random.uniform", lambda low, _high: low)
    assert notifying._backoff(1, Reply(500, b"")) == 1
