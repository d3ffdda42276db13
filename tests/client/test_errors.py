"""Errors of the client: their kinds, retries, and a token that never leaks."""

from __future__ import annotations

import asyncio

import pytest

from pipeline.client import BrokenError, CallError, Pipeline, RefusedError, UnreachableError
from pipeline.local.services.ports import free_port
from tests.rigs.client.contract import TOKEN, Answer, contract, open_client
from tests.rigs.waiting import PATIENCE

QUICK = {"Retry-After": "0"}
OPENED = Answer({"batch_id": "b-1", "batch_size": 10, "tasks": 10, "status_url": "http://x"}, 201)


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (
            Answer({"error": "not valid", "problems": ["chunk: too big", "column: empty"]}, 400),
            RefusedError,
            "refused (400): not valid; chunk: too big; column: empty",
        ),
        (Answer({"error": "taken", "batch_id": None}, 409), RefusedError, "refused (409): taken"),
        (Answer(status=404, text="error finding function"), RefusedError, "refused (404): error finding function"),
        (Answer({"error": "internal error"}, 500), BrokenError, "failed (500): internal error"),
        (Answer(status=502, text="Bad\n gateway\x1b[31m\n"), BrokenError, "failed (502): Bad gateway�[31m"),
        (Answer(status=504, text=" "), BrokenError, "failed (504): Gateway Timeout, and no more"),
        (Answer([1], 400), RefusedError, "refused (400): [1]"),
        (Answer(text="<html>"), BrokenError, "failed (200): the answer is not the pipeline's, but <html>"),
        (
            Answer(status=301, text="moved", headers={"Location": "https://x/"}),
            RefusedError,
            "refused (301): the gateway redirects to https://x/: give the address that answers itself",
        ),
    ],
)
async def test_error_is_one_line_in_the_words_of_the_pipeline(
    answer: Answer, kind: type[CallError], message: str
) -> None:
    async with open_client(patience=0) as (server, pipeline):
        server.answer("status", answer)
        with pytest.raises(kind) as raised:
            await pipeline.list()
    assert str(raised.value) == message


async def test_deeply_nested_answer_is_broken() -> None:
    async with open_client() as (server, pipeline):
        server.answer("status", Answer(text='{"state": "done", "x": ' + "[" * 900 + "]" * 900 + "}"))
        with pytest.raises(BrokenError, match="the answer is not the pipeline's: "):
            await pipeline.batch("b-1").status()


async def test_answer_of_another_shape_is_broken() -> None:
    async with open_client() as (server, pipeline):
        server.answer("status", {"state": 7})
        with pytest.raises(BrokenError, match=r"the answer is not the pipeline's: Expected `str`, got `int`"):
            await pipeline.batch("b-1").status()


async def test_error_has_its_status_and_problems() -> None:
    async with open_client() as (server, pipeline):
        server.answer("batch", Answer({"error": "not valid", "problems": ["chunk: too big"]}, 400))
        with pytest.raises(RefusedError) as raised:
            await pipeline.submit("a.csv")
    assert (raised.value.status, raised.value.error, raised.value.problems) == (400, "not valid", ("chunk: too big",))


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_transient_error_is_retried_after_its_retry_after(status: int) -> None:
    messages: list[str] = []
    async with open_client(tell=lambda error: messages.append(str(error))) as (server, pipeline):
        server.answer("cancel", Answer({"error": "later"}, status, headers={"Retry-After": "0"}), {"batch_id": "b"})
        await pipeline.batch("b").cancel()
    assert len(server.seen) == 2
    assert len(messages) == 1
    assert "later" in messages[0]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 500])
async def test_permanent_error_is_not_retried(status: int) -> None:
    async with open_client() as (server, pipeline):
        server.answer("cancel", Answer({"error": "no"}, status, headers=QUICK))
        with pytest.raises(CallError):
            await pipeline.batch("b").cancel()
    assert len(server.seen) == 1


async def test_retry_after_beyond_the_patience_is_final() -> None:
    async with open_client(patience=30) as (server, pipeline):
        server.answer("cancel", Answer({"error": "much later"}, 503, headers={"Retry-After": "31"}))
        with pytest.raises(BrokenError, match="much later"):
            await asyncio.wait_for(pipeline.batch("b").cancel(), PATIENCE)
    assert len(server.seen) == 1


async def test_unreachable_gateway_is_retried_and_then_an_error() -> None:
    errors: list[CallError] = []
    url = f"http://127.0.0.1:{free_port()}"
    async with Pipeline(url, patience=1, tell=errors.append) as pipeline:
        with pytest.raises(UnreachableError, match=f"{url} cannot be reached: ") as raised:
            await pipeline.list()
    assert errors
    assert raised.value.attempts == len(errors) + 1


async def test_token_goes_to_the_function_and_into_no_error() -> None:
    async with open_client(token=TOKEN) as (server, pipeline):
        server.answer("status", Answer({"error": "the token is not known"}, 401))
        with pytest.raises(RefusedError) as raised:
            await pipeline.list()
        assert server.seen[0].headers["Authorization"] == f"Bearer {TOKEN}"
        assert not {"Content-Length", "Transfer-Encoding"} & server.seen[0].headers.keys()
    assert TOKEN not in f"{raised.value!r} {raised.value.__dict__}"


async def test_repr_of_a_client_does_not_show_its_token() -> None:
    async with Pipeline("http://host", token=TOKEN) as pipeline:
        batch = pipeline.batch("b-1")
        assert TOKEN not in f"{pipeline!r} {batch!r} {batch.transport.target!r}"


async def test_client_that_is_not_open_is_a_runtime_error() -> None:
    pipeline = Pipeline("http://host")
    with pytest.raises(RuntimeError, match="the client is not open: use it inside `async with"):
        await pipeline.list()
    async with pipeline:
        pass
    with pytest.raises(RuntimeError, match="the client is not open"):
        pipeline.batch("b-1")


async def test_redirect_does_not_forward_the_token() -> None:
    async with contract() as other, open_client(token=TOKEN) as (server, pipeline):
        where = f"{other.url}/function/pipeline"
        server.answer("status", Answer(status=307, text="there", headers={"Location": where}))
        with pytest.raises(RefusedError, match="redirects to"):
            await pipeline.list()
    assert other.seen == []


@pytest.mark.parametrize(
    ("url", "token", "message"),
    [
        ("gateway:8080", None, "the gateway's URL is not usable"),
        ("", None, "the gateway's URL is not usable"),
        ("http://", None, "the gateway's URL is not usable"),
        ("http://[", None, "the gateway's URL is not usable"),
        ("http://host?x=1", None, "the gateway's URL is not usable"),
        ("http://ada:secret@host", None, "the gateway's URL names a user"),
        ("http://host", "", "the token is not usable"),
        ("http://host", "secret\nsecond", "the token is not usable"),
        ("http://host", "secret\u00e9", "the token is not usable"),
    ],
)
def test_unusable_url_or_token_is_refused_without_showing_it(url: str, token: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        Pipeline(url, token=token)
    assert "secret" not in str(raised.value)
