"""Limits of a submission: a refused batch leaves nothing behind, an accepted one runs to its end."""

from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from pipeline.access import Access
from pipeline.batch import read_submission as bodies
from pipeline.errors import BadRequestError, TooLargeError
from pipeline.units import MIB
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering

ROWS = b"url\na\nb\nc\n"


def change_settings(pipeline: PipelineBench, **settings: Any) -> None:
    """Change settings, as a new deployment does."""
    pipeline.context = replace(pipeline.context, settings=pipeline.context.settings.model_copy(update=settings))


async def test_input_with_too_many_rows_is_refused_and_leaves_nothing(pipeline: PipelineBench) -> None:
    change_settings(pipeline, max_rows=2)
    with pytest.raises(BadRequestError, match=r"^the input has more than 2 rows \(setting max_rows\)$"):
        await pipeline.submit(ROWS, CSV)
    assert await pipeline.objects() == []
    assert pipeline.queue == []
    change_settings(pipeline, max_rows=3)
    assert (await pipeline.submit(ROWS, CSV)).status == 201


@pytest.mark.parametrize("limit", ["rows", "cell"])
async def test_queued_opening_of_an_input_over_a_limit_fails_the_batch(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    change_settings(pipeline, max_rows=2)
    body = ROWS if limit == "rows" else b"url\na\n" + b"x" * (16 * MIB + 1)
    assert (await pipeline.submit(body, CSV)).status == 202
    (answer,) = await pipeline.deliver_all()
    assert answer["verdict"] == "given up"
    status = await pipeline.status()
    assert (status["state"], status["reason"]) == (
        "failed",
        "the input has more than 2 rows (setting max_rows)" if limit == "rows" else "the cell of row 2 is over 16 MiB",
    )


async def test_accepted_batch_runs_after_its_function_left_the_allow_list(
    pipeline: PipelineBench,
) -> None:
    pipeline.serve(answering(lambda text: (200, text)))
    assert (await pipeline.submit(ROWS, CSV)).status == 201
    change_settings(pipeline, allowed_functions="another")
    pipeline.forget()
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["succeeded"]) == ("done", 3)
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(ROWS, CSV, batch=f"{pipeline.name}.second")
    (problem,) = caught.value.problems
    assert problem == f"function: '{pipeline.name}-model' is not allowed; allowed are: another"


async def test_caller_token_is_not_passed_on(pipeline: PipelineBench) -> None:
    token = "a-token-of-the-tests"
    pipeline.context = replace(pipeline.context, access=Access((token.encode(),)))
    seen: list[str] = []

    async def model(request: web.Request, _body: bytes) -> web.Response:
        seen.append(str(dict(request.headers)))
        return web.Response(text="done")

    pipeline.serve(model)
    assert (await pipeline.submit(ROWS, {**CSV, "Authorization": f"Bearer {token}"})).status == 201
    seen += [str(dict(message.headers)) + str(message.query) for message in pipeline.queue]
    answers = await pipeline.deliver_all()
    assert len(seen) == 6
    stored = [(await pipeline.context.store.get(key)).decode(errors="replace") for key in await pipeline.objects()]
    assert not [text for text in [*seen, *stored, str(answers)] if token in text]


async def test_specification_at_its_limit_is_accepted_and_one_byte_more_is_not(pipeline: PipelineBench) -> None:
    await pipeline.context.store.put(f"{pipeline.name}.csv", ROWS)
    body = f"{pipeline.name}.csv".encode().ljust(bodies.SPEC_LIMIT)
    assert (await pipeline.submit(body)).status == 201
    with pytest.raises(TooLargeError, match=f"a specification has at most {bodies.SPEC_LIMIT} bytes"):
        await pipeline.submit(body + b" ", batch=f"{pipeline.name}.longer")
    assert bodies.SPEC_LIMIT == 262_144
    assert await pipeline.objects(f"{pipeline.name}.longer") == []
    pipeline.queue.clear()
