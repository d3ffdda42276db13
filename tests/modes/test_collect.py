"""collect: a callback settles its task once, or counts a failure, and performs the duties that follow."""

import asyncio
import dataclasses

import pytest
from multidict import CIMultiDict

from pipeline.errors import ForbiddenError
from pipeline.handler import handle
from pipeline.request import SIGNATURE_HEADER, Event, Response
from tests.rigs.function.pipeline_bench import PipelineBench, answering, document, query_of
from tests.rigs.openfaas.fake_gateway import Message


@pytest.fixture(autouse=True)
def echo(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))


async def first_message(pipeline: PipelineBench, **options: str) -> Message:
    await pipeline.submit_rows("a", "b", "c", window="1", **options)
    return pipeline.queue.pop(0)


async def test_answer_settles_its_task_and_releases_the_next(pipeline: PipelineBench) -> None:
    message = await first_message(pipeline)
    assert await pipeline.deliver(message) == {"verdict": "settled"}
    assert [queued.task for queued in pipeline.queue] == [1]
    status = await pipeline.status()
    assert (status["succeeded"], status["settled"], status["released"], status["in_flight"]) == (1, 1, 2, 1)


async def test_callback_does_not_wait_for_the_release_of_the_next_task(pipeline: PipelineBench) -> None:
    message = await first_message(pipeline)
    answer = await pipeline.run_task(message)
    accepted = pipeline.gateway.held[pipeline.name] = asyncio.Event()
    headers = CIMultiDict(answer.headers)
    event = Event(answer.body, headers, "POST", query_of(message.headers["X-Callback-Url"]), "/collect")
    assert document(await handle(event, pipeline.context)) == {"verdict": "settled"}
    assert pipeline.queue == []
    accepted.set()
    await pipeline.context.background.wait_idle()
    assert [queued.task for queued in pipeline.queue] == [1]


async def test_answer_delivered_three_times_settles_once(pipeline: PipelineBench) -> None:
    message = await first_message(pipeline)
    answer = await pipeline.run_task(message)
    verdicts = [(await pipeline.call_back(message, answer))["verdict"] for _ in range(3)]
    assert verdicts == ["settled", "duplicate", "duplicate"]
    assert [queued.task for queued in pipeline.queue] == [1]
    assert (await pipeline.status())["succeeded"] == 1


@pytest.mark.parametrize("status", [404, 429, 500, 502, 503, 504])
async def test_callback_without_an_answer_retries_the_task_later(pipeline: PipelineBench, status: int) -> None:
    message = await first_message(pipeline)
    assert await pipeline.call_back(message, None, status) == {"verdict": "retry"}
    assert pipeline.queue == []
    bench = pipeline.bench()
    await bench.age_duty("t:0")
    await pipeline.sweep()
    (again, *fresh) = sorted(pipeline.queue, key=lambda queued: queued.task)
    assert (again.task, again.attempt, fresh) == (0, 1, [])
    assert await pipeline.call_back(message, None, status) == {"verdict": "stale"}
    assert await pipeline.deliver(again) == {"verdict": "settled"}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("404", 404),
        ("500", 500),
        ("504", 504),
        ("200", 502),
        ("", 502),
        ("nonsense", 502),
        ("9" * 5000, 502),
        ("600", 502),
    ],
)
async def test_task_that_is_never_answered_fails_its_items_with_the_last_status(
    pipeline: PipelineBench, sent: str, expected: int
) -> None:
    message = await first_message(pipeline, attempts="1")
    query = query_of(message.headers["X-Callback-Url"])
    headers = {"X-Function-Status": sent}
    response = await pipeline.handle("collect", query, headers, path="/collect")
    assert response.body == b'{"verdict":"exhausted"}'
    status = await pipeline.status()
    assert (status["failed"], status["settled"]) == (1, 1)
    for _ in range(2):
        await pipeline.deliver_all()
    (failure,) = (await pipeline.summary())["failures"]["results"]
    assert (failure["url"], failure["statusCode"]) == ("a", expected)
    assert failure["result"] == f"the task brought no answer in 1 attempts (the last: status {expected})"


@pytest.mark.parametrize("status", [429, 503])
async def test_overload_does_not_use_up_the_attempts_of_a_task(pipeline: PipelineBench, status: int) -> None:
    message = await first_message(pipeline, attempts="1")
    bench = pipeline.bench()
    for attempt in range(3):
        assert await pipeline.call_back(message, None, status) == {"verdict": "retry"}
        await bench.age_duty("t:0")
        await pipeline.sweep()
        (message,) = pipeline.queue
        pipeline.queue.clear()
        assert message.attempt == attempt + 1
    assert await pipeline.deliver(message) == {"verdict": "settled"}


@pytest.mark.parametrize("wrong", ["body", "signature", "no signature", "another task's"])
async def test_answer_with_a_wrong_signature_counts_as_a_failure(pipeline: PipelineBench, wrong: str) -> None:
    message = await first_message(pipeline)
    answer = await pipeline.run_task(message)
    signature = answer.headers[SIGNATURE_HEADER]
    other = pipeline.context.signer.answer(await pipeline.bench().current(1), answer.body)
    forged = {
        "body": Response(200, answer.body.replace(b'"succeeded":1', b'"succeeded":9'), answer.headers),
        "signature": Response(200, answer.body, {SIGNATURE_HEADER: signature[:-1] + "x"}),
        "no signature": Response(200, answer.body),
        "another task's": Response(200, answer.body, {SIGNATURE_HEADER: other}),
    }[wrong]
    assert await pipeline.call_back(message, forged) == {"verdict": "retry"}
    assert (await pipeline.status())["settled"] == 0
    assert await pipeline.call_back(message, answer) == {"verdict": "settled"}


@pytest.mark.parametrize("change", ["batch", "generation", "task", "attempt", "sig", "key"])
async def test_callback_url_with_a_wrong_signature_is_refused(pipeline: PipelineBench, change: str) -> None:
    message = await first_message(pipeline)
    query = query_of(message.headers["X-Callback-Url"])
    other = "other" if change == "batch" else "7"
    for wrong in ({**query, change: other}, {k: v for k, v in query.items() if k != change}, dict(message.query)):
        with pytest.raises(ForbiddenError):
            await pipeline.handle("collect", wrong, path="/collect")
    assert (await pipeline.status())["settled"] == 0


@pytest.mark.parametrize("mode", ["batch", "cancel", "sweep", "nonsense", ""])
async def test_headers_do_not_choose_the_mode_on_the_callback_path(pipeline: PipelineBench, mode: str) -> None:
    message = await first_message(pipeline)
    answer = await pipeline.run_task(message)
    headers = {"X-Mode": mode, "X-Batch-Id": "another", "X-Connector": "cron-connector"}
    assert await pipeline.call_back(message, answer, headers=headers) == {"verdict": "settled"}
    assert (await pipeline.status())["state"] == "running"


@pytest.mark.parametrize(
    ("pro", "tried", "most", "verdict"),
    [
        (False, "1", "5", "retry"),
        (True, "1", "5", "extended"),
        (True, "5", "5", "retry"),
        (True, "", "", "retry"),
        (True, "x", "5", "retry"),
        (True, "1", "9" * 5000, "retry"),
    ],
)
async def test_only_openfaas_pro_callbacks_announce_another_try(
    pipeline: PipelineBench, tried: str, most: str, verdict: str, *, pro: bool
) -> None:
    settings = pipeline.context.settings.model_copy(update={"openfaas_pro": pro})
    pipeline.context = dataclasses.replace(pipeline.context, settings=settings)
    message = await first_message(pipeline)
    await pipeline.bench().age_releases(t0=-1000)
    headers = {"X-Retry": tried, "X-Retry-Max": most}
    assert await pipeline.call_back(message, None, 500, headers) == {"verdict": verdict}
    if verdict == "extended":
        bench = pipeline.bench()
        assert "x:0" in await bench.attempts()
        assert await pipeline.deliver(message) == {"verdict": "settled"}


async def test_unanswered_task_of_a_closing_batch_is_skipped(pipeline: PipelineBench) -> None:
    message = await first_message(pipeline)
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    assert await pipeline.call_back(message, None, 502) == {"verdict": "skip"}
    assert [queued.mode for queued in pipeline.queue] == ["reduce"]
    await pipeline.deliver_all()
    summary = await pipeline.summary()
    assert summary["failures"]["count"] == 3
    failures = {(entry["statusCode"], entry["result"]) for entry in summary["failures"]["results"]}
    assert failures == {(None, "not run: cancelled on request")}


async def test_release_refused_by_the_gateway_stays_due(pipeline: PipelineBench) -> None:
    message = await first_message(pipeline)
    pipeline.gateway.refusals[pipeline.name] += [500]
    assert await pipeline.deliver(message) == {"verdict": "settled"}
    assert pipeline.queue == []
    bench = pipeline.bench()
    await bench.age_duty("t:1")
    await pipeline.sweep()
    assert [queued.task for queued in pipeline.queue] == [1]


async def test_unknown_model_function_stops_the_batch_with_a_reason(pipeline: PipelineBench) -> None:
    pipeline.gateway.models.clear()
    await pipeline.submit_rows(*map(str, range(40)), window="4")
    await pipeline.deliver_all()
    assert sum(message.mode == "task" for message in pipeline.delivered) < 20
    status = await pipeline.status()
    assert status["state"] == "failed"
    assert status["reason"] == (
        f"the model function '{pipeline.name}-model' answered 404 to the first 10 calls: "
        "is it deployed under this name?"
    )
    summary = await pipeline.summary()
    assert summary["failures"]["count"] == 40
    assert [entry["url"] for entry in summary["failures"]["results"]] == list(map(str, range(40)))


async def test_callback_of_a_deleted_batch_changes_nothing(pipeline: PipelineBench) -> None:
    message = await first_message(pipeline)
    answer = await pipeline.run_task(message)
    bench = pipeline.bench()
    for part in ("", "settled", "inflight", "remaining"):
        await pipeline.redis.delete(bench.key(part))
    assert await pipeline.call_back(message, answer) == {"verdict": "unknown"}
    assert await pipeline.call_back(message, None, 500) == {"verdict": "unknown"}
    pipeline.forget()
    await pipeline.context.records.erase(pipeline.batch)
    assert await pipeline.call_back(message, None, 500) == {"verdict": "unknown"}


async def test_openfaas_pro_answer_settles_on_any_try(pipeline: PipelineBench) -> None:
    settings = pipeline.context.settings.model_copy(update={"openfaas_pro": True})
    pipeline.context = dataclasses.replace(pipeline.context, settings=settings)
    message = await first_message(pipeline)
    answer = await pipeline.run_task(message)
    assert await pipeline.call_back(message, answer, 200, {"X-Retry": "0", "X-Retry-Max": "9"}) == {
        "verdict": "settled"
    }
