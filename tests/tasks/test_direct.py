"""direct: the queue-worker calls the model function itself, and its answer comes back by the callback."""

import base64
import dataclasses
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest

from pipeline.answers.envelope import decode_envelope
from pipeline.errors import BadRequestError, ForbiddenError
from pipeline.ledger.replies import GenerationRef
from pipeline.request import DIRECT_PATH
from pipeline.tasks import release as releasing
from pipeline.tasks.release import release
from tests.rigs.function.direct_calls import Direct
from tests.rigs.function.pipeline_bench import PipelineBench, answering, query_of


async def test_direct_batch_runs_without_tasks(direct: Direct) -> None:
    await direct.submit("a", "b", "c", "d", window="2")
    assert [call.body for call in direct.calls] == [b"a", b"b"]
    await direct.work(lambda text: (200, {"is": text}))
    assert [message.mode for message in direct.pipeline.delivered] == ["reduce"]
    summary = await direct.pipeline.summary()
    assert [entry["result"] for entry in summary["results"]["results"]] == [{"is": text} for text in "abcd"]
    assert [entry["callId"] for entry in summary["results"]["results"]] == [
        call.headers["X-Call-Id"] for call in direct.called
    ]


async def test_direct_call_carries_the_item_and_the_headers_of_the_batch(direct: Direct) -> None:
    await direct.submit("käse", content_type="text/x-item", timeout="2.5")
    (call,) = direct.calls
    assert call.body == "käse".encode()
    assert (call.headers["Content-Type"], call.headers["X-Timeout"]) == ("text/x-item", "2500ms")
    assert "X-Mode" not in call.headers
    callback = urlsplit(call.headers["X-Callback-Url"])
    assert callback.path == f"/function/{direct.pipeline.name}{DIRECT_PATH}"


@pytest.mark.parametrize(
    ("seconds", "headers", "sent"),
    [(0.0001, {}, ["1ms"]), (90, {}, ["90000ms"]), (90, {"x-timeout": "5s"}, ["5s"])],
)
async def test_direct_call_passes_its_timeout_unless_a_header_does(
    direct: Direct, seconds: float, headers: dict[str, str], sent: list[str]
) -> None:
    pipeline = direct.pipeline
    settings = pipeline.context.settings.model_copy(update={"task_timeout": 100.0})
    pipeline.context = dataclasses.replace(pipeline.context, settings=settings)
    await pipeline.context.store.put(f"{pipeline.name}.csv", b"url\na\n")
    spec = {"input": f"{pipeline.name}.csv", "direct": True, "timeout": seconds, "headers": headers}
    await pipeline.submit(orjson.dumps(spec), {"Content-Type": "application/json"})
    (call,) = direct.calls
    assert [value for name, value in call.headers.items() if name.lower() == "x-timeout"] == sent


async def test_release_that_finds_no_rows_stays_due(direct: Direct) -> None:
    await direct.submit("a", "b", window="1")
    call = direct.calls.pop(0)
    await direct.call_back(call, 200, b"1")
    direct.calls.clear()
    direct.pipeline.forget()
    spec = await direct.pipeline.context.store.get(f"{direct.pipeline.batch}/spec.json")
    await direct.pipeline.context.store.delete(f"{direct.pipeline.batch}/spec.json")
    bench = direct.pipeline.bench()
    of = GenerationRef(direct.pipeline.batch, (await bench.fields())["epoch"], 0, f"{direct.pipeline.name}-model")
    await release(direct.pipeline.context, of, [(1, 0)])
    assert "t:1" in await bench.due()
    await direct.pipeline.context.store.put(f"{direct.pipeline.batch}/spec.json", spec)


@pytest.mark.parametrize(
    ("body", "result", "encoding"),
    [
        (b'{"a":  1}', {"a": 1}, None),
        (b"plain text", "plain text", None),
        (b"", "", None),
        (b"\xff\x00", base64.b64encode(b"\xff\x00").decode(), "base64"),
        (b'{"succeeded":5,"failed":0,"notFound":0,"first":0,"last":4}\n{}', None, None),
    ],
)
async def test_any_answer_is_a_result_and_never_an_envelope(
    direct: Direct, body: bytes, result: Any, encoding: str | None
) -> None:
    await direct.submit("a")
    await direct.work(lambda _: (200, body))
    (entry,) = (await direct.pipeline.summary())["results"]["results"]
    assert entry["result"] == (body.decode() if result is None else result)
    assert entry.get("encoding") == encoding
    assert (await direct.pipeline.status())["succeeded"] == 1


async def test_answer_delivered_twice_counts_once(direct: Direct) -> None:
    await direct.submit("a", "b", window="1")
    call = direct.calls.pop(0)
    verdicts = [(await direct.call_back(call, 200, body))["verdict"] for body in (b"1", b"2")]
    assert verdicts == ["settled", "duplicate"]
    await direct.work(lambda _: (200, b"3"))
    results = (await direct.pipeline.summary())["results"]["results"]
    assert [entry["result"] for entry in results] == [1, 3]


@pytest.mark.parametrize("status", [429, 503])
async def test_overload_does_not_count_as_an_attempt(direct: Direct, status: int) -> None:
    await direct.submit("a", attempts="1")
    for attempt in range(3):
        call = direct.calls.pop(0)
        assert (await direct.call_back(call, status, b"busy"))["verdict"] == "retry"
        assert query_of(call.headers["X-Callback-Url"])["attempt"] == str(attempt)
        await direct.pipeline.bench().age_duty("t:0")
        await direct.pipeline.sweep()
    await direct.work(lambda _: (200, b"1"))
    assert (await direct.pipeline.status())["succeeded"] == 1


@pytest.mark.parametrize("status", [408, 500, 502, 504])
async def test_retryable_failure_runs_again_in_the_next_generation(direct: Direct, status: int) -> None:
    await direct.submit("a", "b")
    replies = iter([(200, b"1"), (status, b"not now"), (200, b"2")])
    await direct.work(lambda _: next(replies))
    await direct.pipeline.bench().age(not_before=-1)
    await direct.pipeline.sweep()
    await direct.work(lambda _: next(replies))
    assert [call.body for call in direct.called] == [b"a", b"b", b"b"]
    assert query_of(direct.called[2].headers["X-Callback-Url"])["generation"] == "1"
    assert (await direct.pipeline.status())["succeeded"] == 2


@pytest.mark.parametrize(("given", "status"), [("400", 400), ("302", 302), ("", 502), ("abc", 502), ("999", 502)])
async def test_failure_keeps_the_status_of_the_model_function(direct: Direct, given: str, status: int) -> None:
    await direct.submit("a", attempts="1")
    call = direct.calls.pop(0)
    assert (await direct.call_back(call, 200, b"why", X_Function_Status=given))["verdict"] == "settled"
    await direct.work(lambda _: (200, b""))
    (entry,) = (await direct.pipeline.summary())["failures"]["results"]
    assert (entry["statusCode"], entry["result"]) == (status, "why")


async def test_missing_model_function_stops_the_batch(direct: Direct) -> None:
    await direct.submit(*map(str, range(30)), window="3")
    await direct.work(lambda _: (404, b"error finding function"))
    status = await direct.pipeline.status()
    assert status["state"] == "failed"
    assert "answered 404 to the first 10 calls" in status["reason"]
    assert len(direct.called) < 20


async def test_duration_is_taken_from_the_queue_worker_if_it_is_valid(direct: Direct) -> None:
    await direct.submit("a", "b", "still to come")
    for given in ("1.250000", "inf"):
        await direct.call_back(direct.calls.pop(0), 200, b"1", X_Duration_Seconds=given)
    bench = direct.pipeline.bench()
    answers: Any = await bench.redis.lrange(bench.key("outcomes"), 0, -1)
    assert [orjson.loads(decode_envelope(answer)[1])["duration"] for answer in answers] == [1.25, 0.0]


async def test_item_too_large_for_a_message_runs_as_a_task(direct: Direct, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releasing, "LARGEST_DIRECT_ITEM", 4)
    direct.pipeline.serve(answering(lambda text: (200, text)))
    await direct.submit("four", "fives")
    assert [call.body for call in direct.calls] == [b"four"]
    assert [message.mode for message in direct.pipeline.queue] == ["task"]
    await direct.work(lambda text: (200, text))
    results = (await direct.pipeline.summary())["results"]["results"]
    assert [entry["result"] for entry in results] == ["four", "fives"]


async def test_url_signed_for_something_else_settles_nothing(direct: Direct) -> None:
    await direct.submit("a", "b", window="1")
    (call,) = direct.calls
    signed = query_of(call.headers["X-Callback-Url"])
    for changed in ({"task": "1"}, {"attempt": "1"}, {"sig": "0" * 64}, {"generation": "1"}):
        with pytest.raises(ForbiddenError):
            await direct.pipeline.handle("", {**signed, **changed}, {"X-Function-Status": "200"}, b"1", DIRECT_PATH)
    with pytest.raises(ForbiddenError, match="not that of this callback"):
        await direct.pipeline.handle("", signed, {"X-Function-Status": "200"}, b"1", "/collect")
    assert (await direct.pipeline.status())["settled"] == 0


async def test_callback_url_of_a_task_is_not_a_direct_one(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a")
    signed = query_of(pipeline.queue[0].headers["X-Callback-Url"])
    with pytest.raises(ForbiddenError, match="not that of this direct callback"):
        await pipeline.handle("", signed, {"X-Function-Status": "200"}, b"1", DIRECT_PATH)


@pytest.mark.parametrize("mode", ["batch", "cancel", "nonsense"])
async def test_no_header_of_the_model_function_chooses_the_mode(direct: Direct, mode: str) -> None:
    await direct.submit("a")
    call = direct.calls.pop(0)
    assert (await direct.call_back(call, 200, b"1", X_Mode=mode))["verdict"] == "settled"


async def test_answer_to_a_deleted_batch_changes_nothing(direct: Direct) -> None:
    await direct.submit("a", "b")
    late = direct.calls[0]
    await direct.work(lambda _: (200, b"1"))
    await direct.pipeline.handle("delete", {"batch": direct.pipeline.batch})
    direct.pipeline.forget()
    assert (await direct.call_back(late, 200, b"2"))["verdict"] == "unknown"
    assert (await direct.call_back(late, 503, b""))["verdict"] == "unknown"


async def test_cancelled_batch_makes_no_further_calls(direct: Direct) -> None:
    await direct.submit(*"abcdef", window="2")
    await direct.pipeline.handle("cancel", {"batch": direct.pipeline.batch})
    await direct.work(lambda _: (200, b"1"))
    assert len(direct.called) == 2
    summary = await direct.pipeline.summary()
    assert (summary["results"]["count"], summary["failures"]["count"]) == (2, 4)


async def test_rate_is_refused_for_direct_calls(direct: Direct) -> None:
    await direct.submit("a")
    with pytest.raises(BadRequestError, match="its calls are direct, at the queue-workers' own pace"):
        await direct.pipeline.handle("tune", {"batch": direct.pipeline.batch, "rate": "5"})
    response = await direct.pipeline.handle("tune", {"batch": direct.pipeline.batch, "window": "5"})
    assert response.status == 202
