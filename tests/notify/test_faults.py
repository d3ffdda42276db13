"""notify: a target that is down, answers wrongly or is hostile, and replicas that die around a try."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from pipeline.errors import UnavailableError
from pipeline.ledger.notices import Notifications
from pipeline.ledger.replies import MICROSECONDS
from pipeline.notify.tell import tell
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.function.told_batches import hear, run
from tests.rigs.openfaas.receivers import Answer, Receiver, allow, due_again, notified, saying, wait_of
from tests.rigs.redis.ledger_bench import Bench


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    hear(pipeline, hooks, task_timeout=0.3)


async def told(pipeline: PipelineBench, **options: str) -> list[tuple[str, int, int | None]]:
    return notified(await run(pipeline, **options))


async def hang(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def babble(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.write(b"NONSENSE\r\n\r\n" * 3)
    request.transport.close()
    return web.Response()


BAD: dict[str, tuple[Answer, int | None]] = {
    **{str(status): (saying(status), status) for status in (400, 401, 404, 408, 413, 429, 500, 502, 503)},
    "nothing in time": (hang, None),
    "hangs up": (hang_up, None),
    "no HTTP": (babble, None),
    "a header that is too long": (saying(200, X_Long="x" * 20_000), None),
}


@pytest.mark.parametrize(("answer", "status"), BAD.values(), ids=BAD)
async def test_what_is_no_2xx_is_tried_again_when_it_is_its_turn(
    pipeline: PipelineBench, hooks: Receiver, answer: Answer, status: int | None
) -> None:
    hooks.answers.append(answer)
    assert await told(pipeline, notify=hooks.url) == [("due", 1, status)]
    assert 1 <= await wait_of(pipeline) <= 2
    await due_again(pipeline)
    for _ in range(2):
        await pipeline.sweep()
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]
    first, second = hooks.calls
    assert first.id == second.id
    assert pipeline.mark not in await pipeline.objects()


async def test_a_target_that_is_down_is_told_once_when_it_is_back(pipeline: PipelineBench, hooks: Receiver) -> None:
    await hooks.down()
    assert await told(pipeline, notify=hooks.url) == [("due", 1, None)]
    for _ in range(3):
        await due_again(pipeline)
        await pipeline.sweep()
    assert notified(await pipeline.status()) == [("due", 4, None)]
    await hooks.up()
    await due_again(pipeline)
    for _ in range(3):
        await pipeline.sweep()
    (call,) = hooks.calls
    call.verify()
    assert notified(await pipeline.status()) == [("delivered", 5, 204)]


async def test_nobody_is_told_before_it_is_their_turn(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(500, Retry_After="600"))
    await told(pipeline, notify=hooks.url)
    for _ in range(3):
        await pipeline.sweep()
    assert len(hooks.calls) == 1


async def test_a_function_that_is_not_there_yet_is_told_when_it_is(pipeline: PipelineBench) -> None:
    assert await told(pipeline, notify="next") == [("due", 1, 404)]
    behind = Receiver(0)
    pipeline.gateway.models["next"] = behind.model
    await due_again(pipeline)
    await pipeline.sweep()
    assert len(behind.calls) == 1
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


# What is asked for, and the least and the longest wait that may come of it.
LATER = {
    "seconds": ("120", 120, 120),
    "a date": ("date", 2000, 3000),
    "an hour at most": ("86400", 3600, 3600),
    "more than a number": ("9" * 400, 3600, 3600),
    "less than the backoff": ("0", 1, 2),
    "a date that has passed": (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 1, 2),
    "nonsense": ("soon", 1, 2),
    "a number of another script": ("\u0661", 1, 2),
}


@pytest.mark.parametrize(("asked", "least", "longest"), LATER.values(), ids=LATER)
async def test_a_target_may_ask_for_a_later_time(
    pipeline: PipelineBench, hooks: Receiver, asked: str, least: float, longest: float
) -> None:
    if asked == "date":
        asked = format_datetime(datetime.now(UTC) + timedelta(seconds=longest), usegmt=True)
    hooks.answers.append(saying(503, Retry_After=asked))
    await told(pipeline, notify=hooks.url)
    assert least <= await wait_of(pipeline) <= longest


async def test_a_target_that_is_gone_is_given_up_at_once(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(saying(410))
    assert await told(pipeline, notify=hooks.url) == [("given up", 1, 410)]
    assert await pipeline.bench().due() == {}
    assert pipeline.mark not in await pipeline.objects()
    assert await pipeline.context.ledger.index.telling() == []
    assert b'pipeline_notifications_total{result="given up"} 1.0' in pipeline.context.metrics.exposition()


async def age_turn(pipeline: PipelineBench, target: int, seconds: float) -> None:
    """Its turn began so many seconds earlier."""
    bench = pipeline.bench()
    kept = (await Bench._await(pipeline.redis.hget(bench.key("notices"), str(target)))).split()
    kept[4] = str(int(kept[4]) - int(seconds * MICROSECONDS)).encode()
    await Bench._await(pipeline.redis.hset(bench.key("notices"), str(target), b" ".join(kept)))


async def test_a_target_is_given_up_after_a_day(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers += [saying(500)] * 3
    await told(pipeline, notify=hooks.url)
    for seconds in (86_000, 400):
        await age_turn(pipeline, 0, seconds)
        await due_again(pipeline)
        await pipeline.sweep()
    assert notified(await pipeline.status()) == [("given up", 3, 500)]
    kept = await pipeline.context.specs.read_status(pipeline.batch)
    assert kept is not None
    assert notified(kept) == [("given up", 3, 500)]
    assert pipeline.mark not in await pipeline.objects()


Death = Callable[..., Awaitable[Any]]


async def away(*_arguments: object) -> Any:
    raise UnavailableError("the replica is gone")


async def test_a_replica_that_dies_between_the_try_and_its_record_is_followed_by_another(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The target is told twice, by the same name, so that it can drop the second."""
    with monkeypatch.context() as fault:
        fault.setattr(Notifications, "attempted", away)
        assert await told(pipeline, notify=hooks.url) == [("due", 1, None)]
    # Its lease is over the time of a call.
    assert await pipeline.bench().due() == {"n:0": 30}
    await pipeline.sweep()
    assert len(hooks.calls) == 1
    await due_again(pipeline)
    await pipeline.sweep()
    first, second = hooks.calls
    assert first.id == second.id
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


@pytest.mark.parametrize(("target", "seconds"), [("url", 30 + 30), ("next", 50 + 30)])
async def test_a_try_is_anothers_when_its_call_must_be_over(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch, target: str, seconds: float
) -> None:
    """A URL has 30 s to answer, a function all of the task's time; and then there is time to record it."""
    allow(pipeline, hooks, task_timeout=50)
    monkeypatch.setattr(Notifications, "attempted", away)
    await told(pipeline, notify=hooks.url if target == "url" else target)
    assert await pipeline.bench().due() == {"n:0": seconds}


@pytest.mark.parametrize("step", ["attempt", "read"])
async def test_a_replica_that_dies_before_the_try_leaves_it_due(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(Notifications, step, away)
        assert await told(pipeline, notify=hooks.url) == [("due", 0, None)]
    await pipeline.sweep()
    assert notified(await pipeline.status()) == [("delivered", 1, 204)]
    assert len(hooks.calls) == 1


async def test_a_replica_that_dies_before_the_end_is_in_s3_is_followed_by_another(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as fault:
        fault.setattr(pipeline.context.specs, "close", away)
        with pytest.raises(UnavailableError):
            await told(pipeline, notify=hooks.url)
    assert hooks.calls == []
    await pipeline.sweep()
    assert len(hooks.calls) == 1
    assert pipeline.mark not in await pipeline.objects()


async def test_what_was_told_while_s3_was_away_is_kept_there_by_the_next_sweep(
    pipeline: PipelineBench, hooks: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks.answers.append(saying(500))
    await told(pipeline, notify=hooks.url)
    with monkeypatch.context() as fault:
        await due_again(pipeline)
        close = pipeline.context.specs.close

        async def away_at_last(batch: str, status: dict[str, Any]) -> None:
            if len(hooks.calls) > 1:
                await away()
            await close(batch, status)

        fault.setattr(pipeline.context.specs, "close", away_at_last)
        await pipeline.sweep()
    assert pipeline.mark in await pipeline.objects()
    await pipeline.sweep()
    kept = await pipeline.context.specs.read_status(pipeline.batch)
    assert kept is not None
    assert notified(kept) == [("delivered", 2, 204)]
    assert pipeline.mark not in await pipeline.objects()
    assert len(hooks.calls) == 2


async def test_a_slow_try_that_delivers_counts_though_another_one_was_refused_meanwhile(
    pipeline: PipelineBench, hooks: Receiver
) -> None:
    async def overtaken(_request: web.Request) -> web.Response:
        await due_again(pipeline)
        await tell(pipeline.context, pipeline.batch)
        return web.Response(status=200)

    allow(pipeline, hooks, task_timeout=50)
    hooks.answers += [overtaken, saying(500)]
    assert await told(pipeline, notify=hooks.url) == [("delivered", 2, 200)]
    await pipeline.sweep()
    assert len(hooks.calls) == 2
