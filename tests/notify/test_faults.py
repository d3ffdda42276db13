"""notify: targets that are down or answer with errors."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from aiohttp import web

from pipeline.units import MICROSECONDS
from tests.rigs.function.notified_batches import notify_hooks, run
from tests.rigs.function.pipeline_bench import PipelineBench
from tests.rigs.openfaas.receivers import Answer, Receiver, due_again, notified, status_answer, wait_of
from tests.rigs.redis.ledger_bench import Bench


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, hooks: Receiver) -> None:
    notify_hooks(pipeline, hooks, task_timeout=2)


async def run_notified(pipeline: PipelineBench, **options: str) -> list[tuple[str, int, int | None]]:
    return notified(await run(pipeline, **options))


async def hang(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def send_no_http(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.write(b"NONSENSE\r\n\r\n" * 3)
    request.transport.close()
    return web.Response()


BAD: dict[str, tuple[Answer, int | None]] = {
    **{str(status): (status_answer(status), status) for status in (400, 401, 404, 408, 413, 429, 500, 502, 503)},
    "nothing in time": (hang, None),
    "hangs up": (hang_up, None),
    "no HTTP": (send_no_http, None),
    "a header that is too long": (status_answer(200, X_Long="x" * 20_000), None),
}


@pytest.mark.parametrize(("answer", "status"), BAD.values(), ids=BAD)
async def test_any_answer_but_2xx_is_tried_again_when_due(
    pipeline: PipelineBench, hooks: Receiver, answer: Answer, status: int | None
) -> None:
    hooks.answers.append(answer)
    assert await run_notified(pipeline, notify=hooks.url) == [("due", 1, status)]
    assert 1 <= await wait_of(pipeline) <= 2
    await due_again(pipeline)
    for _ in range(2):
        await pipeline.sweep()
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]
    first, second = hooks.calls
    assert first.id == second.id
    assert pipeline.mark not in await pipeline.objects()


async def test_unreachable_target_is_notified_once_when_it_is_back(pipeline: PipelineBench, hooks: Receiver) -> None:
    await hooks.down()
    assert await run_notified(pipeline, notify=hooks.url) == [("due", 1, None)]
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


async def test_nothing_is_sent_before_the_next_try_is_due(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(500, Retry_After="600"))
    await run_notified(pipeline, notify=hooks.url)
    for _ in range(3):
        await pipeline.sweep()
    assert len(hooks.calls) == 1


async def test_function_deployed_later_is_notified_then(pipeline: PipelineBench) -> None:
    assert await run_notified(pipeline, notify="next") == [("due", 1, 404)]
    function = Receiver(0)
    pipeline.gateway.models["next"] = function.model
    await due_again(pipeline)
    await pipeline.sweep()
    assert len(function.calls) == 1
    assert notified(await pipeline.status()) == [("delivered", 2, 204)]


# The value of Retry-After, and the shortest and longest wait that it may lead to.
RETRY_AFTER = {
    "seconds": ("120", 120, 120),
    "a date": ("date", 2000, 3000),
    "an hour at most": ("86400", 3600, 3600),
    "more than a number": ("9" * 400, 3600, 3600),
    "less than the backoff": ("0", 1, 2),
    "a date that has passed": (format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True), 1, 2),
    "nonsense": ("soon", 1, 2),
    "a number of another script": ("\u0661", 1, 2),
}


@pytest.mark.parametrize(("asked", "least", "longest"), RETRY_AFTER.values(), ids=RETRY_AFTER)
async def test_retry_after_delays_the_next_try(
    pipeline: PipelineBench, hooks: Receiver, asked: str, least: float, longest: float
) -> None:
    if asked == "date":
        asked = format_datetime(datetime.now(UTC) + timedelta(seconds=longest), usegmt=True)
    hooks.answers.append(status_answer(503, Retry_After=asked))
    await run_notified(pipeline, notify=hooks.url)
    assert least <= await wait_of(pipeline) <= longest


async def test_target_answering_410_is_given_up_at_once(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers.append(status_answer(410))
    assert await run_notified(pipeline, notify=hooks.url) == [("given up", 1, 410)]
    assert await pipeline.bench().due() == {}
    assert pipeline.mark not in await pipeline.objects()
    assert await pipeline.context.ledger.index.notifying() == []
    assert b'pipeline_notifications_total{result="given up"} 1.0' in pipeline.context.metrics.exposition()


async def age_turn(pipeline: PipelineBench, target: int, seconds: float) -> None:
    """Let the tries of a target have begun `seconds` earlier."""
    bench = pipeline.bench()
    notice = (await Bench._await(pipeline.redis.hget(bench.key("notices"), str(target)))).split()
    notice[4] = str(int(notice[4]) - int(seconds * MICROSECONDS)).encode()
    await Bench._await(pipeline.redis.hset(bench.key("notices"), str(target), b" ".join(notice)))


async def test_target_is_given_up_after_a_day(pipeline: PipelineBench, hooks: Receiver) -> None:
    hooks.answers += [status_answer(500)] * 3
    await run_notified(pipeline, notify=hooks.url)
    for seconds in (86_000, 400):
        await age_turn(pipeline, 0, seconds)
        await due_again(pipeline)
        await pipeline.sweep()
    assert notified(await pipeline.status()) == [("given up", 3, 500)]
    stored = await pipeline.context.records.read_status(pipeline.batch)
    assert stored is not None
    assert notified(stored) == [("given up", 3, 500)]
    assert pipeline.mark not in await pipeline.objects()
