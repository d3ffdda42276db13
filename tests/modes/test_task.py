"""task: a signed invocation reads its slice, calls the model function and returns a signed answer."""

import asyncio
import base64
from typing import Any

import msgspec
import orjson
import pytest
from aiohttp import web

from pipeline.answers.envelope import decode_envelope
from pipeline.answers.outcome import Outcome
from pipeline.errors import ForbiddenError
from pipeline.request import SIGNATURE_HEADER, Response
from pipeline.tasks import model_call as calls
from tests.rigs.function.pipeline_bench import PipelineBench, answering, document
from tests.rigs.log_lines import LogLines


@pytest.fixture(autouse=True)
def one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call a model function only once: retries are tested elsewhere."""
    monkeypatch.setattr(calls, "MOST_CALLS", 1)


def outcomes(response: Response) -> list[Outcome]:
    _, lines = decode_envelope(response.body)
    return [msgspec.json.decode(line, type=Outcome) for line in lines.split(b"\n")] if lines else []


async def run(pipeline: PipelineBench, *items: str, **options: str) -> tuple[Response, list[Outcome]]:
    """Submit items as one task and run it."""
    await pipeline.submit_rows(*items, chunk="100", **options)
    response = await pipeline.run_task(pipeline.queue[0])
    return response, outcomes(response)


async def test_task_answers_one_outcome_an_item_with_a_signature(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, {"length": len(text)}) if text != "no" else (400, b"bad item")))
    response, (first, second, third) = await run(pipeline, "one", "no", "three")
    envelope, _ = decode_envelope(response.body)
    assert (envelope.succeeded, envelope.failed, envelope.not_found, envelope.first, envelope.last) == (2, 1, 0, 0, 2)
    assert (first.index, first.item, first.status, first.status_code, bytes(first.result)) == (
        *(0, "one", "succeeded", 200, b'{"length":3}'),
    )
    assert (second.status, second.status_code, second.retryable, bytes(second.result)) == (
        *("failed", 400, False, b'"bad item"'),
    )
    identity = await pipeline.bench().current(0)
    assert [found.call_id for found in (first, second, third)] == [identity.call_id(index) for index in range(3)]
    pipeline.context.signer.verify_answer(identity, response.body, response.headers[SIGNATURE_HEADER])


async def test_model_function_is_called_with_the_item_as_its_body(pipeline: PipelineBench) -> None:
    seen: list[tuple[bytes, str, str]] = []

    async def model(request: web.Request, body: bytes) -> web.Response:
        seen.append((body, request.headers["Content-Type"], request.headers["X-Call-Id"]))
        return web.Response(body=b"\xff\x00")

    pipeline.serve(model)
    _, (found,) = await run(pipeline, "caf\u00e9")
    assert seen == [("caf\u00e9".encode(), "text/plain; charset=utf-8", found.call_id)]
    assert (orjson.loads(bytes(found.result)), found.encoding) == (base64.b64encode(b"\xff\x00").decode(), "base64")


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(301, False), (400, False), (404, False), (408, True), (429, True), (500, True), (503, True)],
)
async def test_transient_statuses_are_retryable(pipeline: PipelineBench, status: int, *, retryable: bool) -> None:
    pipeline.serve(answering(lambda _text: (status, b"")))
    response, (found,) = await run(pipeline, "item")
    assert (found.status, found.status_code, found.retryable) == ("failed", status, retryable)
    assert decode_envelope(response.body)[0].not_found == (status == 404)


async def test_call_without_an_answer_in_time_is_a_retryable_504(pipeline: PipelineBench) -> None:
    async def model(_request: web.Request, _body: bytes) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    pipeline.serve(model)
    _, (found,) = await run(pipeline, "item", timeout="0.05")
    assert (found.status, found.status_code, found.retryable) == ("failed", 504, True)
    assert orjson.loads(bytes(found.result)) == "no reply within 0.05 s"


@pytest.mark.parametrize("change", ["batch", "generation", "task", "attempt", "function", "sig", "key"])
async def test_invocation_with_a_wrong_signature_is_refused(pipeline: PipelineBench, change: str) -> None:
    await pipeline.submit_rows("a", "b")
    message = pipeline.queue[0]
    other = {"batch": "other", "function": "another"}.get(change, "7")
    for query in ({**message.query, change: other}, {k: v for k, v in message.query.items() if k != change}):
        with pytest.raises(ForbiddenError):
            await pipeline.handle("task", query)


@pytest.mark.parametrize("purpose", ["reduce", "open", "callback", "answer"])
async def test_url_signed_for_another_purpose_is_no_invocation(pipeline: PipelineBench, purpose: Any) -> None:
    await pipeline.submit_rows("a")
    identity = await pipeline.bench().current(0)
    with pytest.raises(ForbiddenError, match="the signature is not that of this task"):
        await pipeline.handle("task", pipeline.signed(purpose, identity, f"{pipeline.name}-model"))


@pytest.mark.parametrize("other", ["another", "zebra"])
async def test_invocation_signed_for_another_model_function_is_refused(pipeline: PipelineBench, other: str) -> None:
    await pipeline.submit_rows("a")
    with pytest.raises(ForbiddenError, match="signed for another model function"):
        await pipeline.handle("task", pipeline.signed("task", await pipeline.bench().current(0), other))


@pytest.mark.parametrize("gone", ["cancelled", "later generation", "no ledger"])
async def test_task_of_a_cancelled_or_unknown_batch_calls_nothing(pipeline: PipelineBench, gone: str) -> None:
    pipeline.serve(answering(lambda _text: (200, "called")))
    await pipeline.submit_rows("a")
    query: dict[str, str] = dict(pipeline.queue[0].query)
    if gone == "cancelled":
        await pipeline.handle("cancel", {"batch": pipeline.batch})
    elif gone == "later generation":
        query = pipeline.signed("task", await pipeline.bench().current(0, generation=1), f"{pipeline.name}-model")
    else:
        await pipeline.redis.delete(pipeline.bench().key())
    response = await pipeline.handle("task", query)
    assert response.status == 200
    assert outcomes(response) == []
    assert decode_envelope(response.body)[0].first == -1


async def test_results_over_the_inline_limit_are_stored_and_referenced(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text * int(text))))
    _, found = await run(pipeline, "9", "2000", "3000", inline_limit="9000")
    assert [bool(outcome.ref) for outcome in found] == [False, False, True]
    assert (bytes(found[0].result), bytes(found[1].result)) == (b'"999999999"', b'"' + b"2000" * 2000 + b'"')
    assert bytes(found[2].result) == b"null"
    assert str(found[2].ref).startswith(f"{pipeline.batch}/refs/0.0.2.")
    assert await pipeline.context.store.get(str(found[2].ref)) == b'"' + b"3000" * 3000 + b'"'


@pytest.mark.parametrize(("limit", "stored"), [("0", 2), ("1", 0)])
async def test_inline_limit_0_stores_every_result(pipeline: PipelineBench, limit: str, stored: int) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    _, found = await run(pipeline, "a", "b", inline_limit=limit)
    assert len([outcome for outcome in found if outcome.ref]) == stored


def as_array(reply: Any, status: int = 200) -> Any:
    async def model(_request: web.Request, body: bytes) -> web.Response:
        items = orjson.loads(body)
        answer = reply(items)
        return web.Response(status=status, body=answer if isinstance(answer, bytes) else orjson.dumps(answer))

    return model


async def test_chunk_call_sends_an_array_and_splits_the_answer(pipeline: PipelineBench) -> None:
    pipeline.serve(as_array(lambda items: [{"is": item} for item in items]))
    _, found = await run(pipeline, "a", "b", "c", chunk_call="true")
    assert [(outcome.index, outcome.status, orjson.loads(bytes(outcome.result))) for outcome in found] == [
        (index, "succeeded", {"is": item}) for index, item in enumerate("abc")
    ]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (lambda items: items[1:], "an array of 3 and answered with an array of 2"),
        (lambda items: [*items, "d"], "an array of 3 and answered with an array of 4"),
        (lambda _items: [], "an array of 3 and answered with an array of 0"),
        (lambda _items: {"a": 1}, "an array of 3 and answered with something else"),
        (lambda _items: b"not JSON", "an array of 3 and answered with something else"),
        (lambda _items: b"[1,2,3", "an array of 3 and answered with something else"),
    ],
)
async def test_chunk_call_with_a_malformed_answer_fails_every_item_retryably(
    pipeline: PipelineBench, reply: Any, says: str
) -> None:
    pipeline.serve(as_array(reply))
    _, found = await run(pipeline, "a", "b", "c", chunk_call="true")
    assert [(outcome.status, outcome.status_code, outcome.retryable) for outcome in found] == [
        ("failed", 502, True)
    ] * 3
    assert all(says in orjson.loads(bytes(outcome.result)) for outcome in found)


@pytest.mark.parametrize("status", [400, 413, 500])
@pytest.mark.parametrize("items", [("a",), ("a", "b")])
async def test_failed_chunk_call_is_retried_one_by_one(
    pipeline: PipelineBench, status: int, items: tuple[str, ...]
) -> None:
    pipeline.serve(as_array(lambda _items: b"", status))
    _, found = await run(pipeline, *items, chunk_call="true")
    expected = ("failed", status, len(items) > 1 or status == 500)
    assert [(outcome.status, outcome.status_code, outcome.retryable) for outcome in found] == [expected] * len(items)


async def test_model_function_headers_do_not_steer_the_pipeline(pipeline: PipelineBench) -> None:
    async def model(_request: web.Request, _body: bytes) -> web.Response:
        return web.Response(text="1", headers={"X-Mode": "cancel", SIGNATURE_HEADER: "forged", "X-Batch-Id": "other"})

    pipeline.serve(model)
    response, _ = await run(pipeline, "a")
    assert {key for key in response.headers if key.startswith("X-")} == {SIGNATURE_HEADER}
    answer = await pipeline.call_back(pipeline.queue[0], response, headers={"X-Mode": "cancel", "X-Batch-Id": "o"})
    assert answer == {"verdict": "settled"}


async def test_task_that_runs_again_has_the_same_call_ids(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    _, first = await run(pipeline, "a", "b")
    await pipeline.bench().age_run(0)
    again = outcomes(await pipeline.run_task(pipeline.queue[0]))
    assert [outcome.call_id for outcome in first] == [outcome.call_id for outcome in again]
    assert document(await pipeline.handle("status", {"batch": pipeline.batch}))["settled"] == 0


@pytest.mark.parametrize("stopped", [False, True])
async def test_duplicate_of_a_task_that_runs_calls_nothing_and_settles_nothing(
    pipeline: PipelineBench,
    stopped: bool,  # noqa: FBT001
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    called: list[bytes] = []

    async def model(_request: web.Request, body: bytes) -> web.Response:
        called.append(body)
        begun.set()
        await go_on.wait()
        return web.Response(text="1")

    pipeline.serve(model)
    await pipeline.submit_rows("a", "b", window="1")
    message = pipeline.queue.pop(0)
    first = asyncio.create_task(pipeline.handle_without_background("task", message.query))
    await begun.wait()
    if stopped:
        await pipeline.handle_without_background("cancel", {"batch": pipeline.batch})
    duplicate = await pipeline.handle_without_background("task", message.query)
    assert await pipeline.call_back(message, duplicate) == {"verdict": "duplicate"}
    assert called == [b"a"]
    go_on.set()
    assert await pipeline.call_back(message, await first) == {"verdict": "settled"}
    status = await pipeline.status()
    assert (status["succeeded"], status["state"]) == (1, "reducing" if stopped else "running")


async def test_message_of_a_settled_task_calls_nothing(pipeline: PipelineBench) -> None:
    called: list[bytes] = []

    async def model(_request: web.Request, body: bytes) -> web.Response:
        called.append(body)
        return web.Response(text="1")

    pipeline.serve(model)
    await pipeline.submit_rows("a", "b", window="1")
    message = pipeline.queue.pop(0)
    assert await pipeline.deliver(message) == {"verdict": "settled"}
    assert await pipeline.deliver(message) == {"verdict": "duplicate"}
    assert called == [b"a"]


async def test_task_runs_again_when_its_run_ended_in_an_error(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.submit_rows("a", window="1")
    message = pipeline.queue.pop(0)
    assert (await pipeline.run_task(message)).status == 200
    assert await pipeline.call_back(message, None, 502) == {"verdict": "retry"}
    assert len(outcomes(await pipeline.run_task(message))) == 1


async def test_log_lines_of_a_task_name_it(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (422, text)))
    await pipeline.submit_rows("a", "b", chunk="1")
    with LogLines.captured() as lines:
        await pipeline.run_task(pipeline.queue[1])
    (line,) = [line for line in lines.all() if line["event"] == "item failed"]
    assert [line[name] for name in ("batch", "generation", "task", "attempt")] == [pipeline.batch, 0, 1, 0]
