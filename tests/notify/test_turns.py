"""notify: whose turn it is, who makes the try, and how many there are at once."""

import asyncio
from typing import Any

import pytest

from pipeline.answers.reply import Reply
from pipeline.errors import UnavailableError
from pipeline.notify import tell as notifying
from pipeline.notify.tell import tell
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.function.told_batches import hear, run
from tests.rigs.openfaas.receivers import Receiver, allow, due_again, notified, saying, wait_of


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    hear(pipeline, hooks)


async def test_what_was_accepted_is_told_after_its_target_left_the_list(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    await pipeline.submit_rows("a", notify=hooks.url)
    allow(pipeline, allowed_urls=None)
    await pipeline.deliver_all()
    assert len(hooks.calls) == 1


async def test_one_that_hangs_keeps_nobody_else_waiting(pipeline: PipelineBench, hooks: Receiver) -> None:
    async def hang(_request: object) -> Any:
        await asyncio.Event().wait()

    allow(pipeline, hooks, task_timeout=0.2)
    hooks.answers.append(hang)
    behind = Receiver(0)
    pipeline.gateway.models["next"] = behind.model
    status = await run(pipeline, notify=f"{hooks.url},next")
    assert notified(status) == [("due", 1, None), ("delivered", 1, 204)]


async def test_no_more_than_so_many_are_told_at_once_and_the_rest_stays_due(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    slots = pipeline.context.hooks.slots
    while not slots.locked():
        await slots.acquire()
    await run(pipeline, notify=hooks.url)
    assert hooks.calls == []
    assert await pipeline.bench().due() == {"n:0": 0}
    slots.release()
    await pipeline.sweep()
    assert len(hooks.calls) == 1


async def test_a_sweep_that_has_no_room_to_tell_asks_s3_nothing(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many batches may wait as a target is down for, and each sweep goes through all of them."""
    slots = pipeline.context.hooks.slots
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    await pipeline.sweep()
    await due_again(pipeline)
    while not slots.locked():
        await slots.acquire()

    asked = []

    async def away(*given: object) -> None:
        asked.append(given)
        raise UnavailableError("S3 is away")

    for name in ("get", "put", "head"):
        monkeypatch.setattr(pipeline.context.store, name, away)
    await pipeline.sweep()
    monkeypatch.undo()
    assert asked == []
    slots.release()
    await pipeline.sweep()
    assert len(hooks.calls) == 2


async def test_of_two_replicas_one_makes_the_try(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(500))
    await run(pipeline, notify=hooks.url)
    await due_again(pipeline)
    first = pipeline.context
    pipeline.forget()
    await asyncio.gather(*(tell(context, pipeline.batch) for context in (first, pipeline.context) for _ in range(5)))
    assert len(hooks.calls) == 2
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


async def test_the_longest_wait_is_doubled_up_to_a_minute(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.uniform", lambda _low, high: high)
    hooks.answers += [saying(500)] * 9
    await run(pipeline, notify=hooks.url)
    waits = [await wait_of(pipeline)]
    for _ in range(8):
        await due_again(pipeline)
        await pipeline.sweep()
        waits.append(await wait_of(pipeline))
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60, 60]
    monkeypatch.setattr("random.uniform", lambda low, _high: low)
    assert notifying._backoff(1, Reply(500, b"")) == 1
