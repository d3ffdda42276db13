"""Requests that are as large as they may be: none of them holds the event loop up."""

import asyncio
import gzip
from collections.abc import Callable, Sequence

import orjson
import pytest
from aiohttp import web

from pipeline.answers.reply import RESULT_LIMIT
from pipeline.bodies import BODY_LIMIT
from pipeline.errors import PipelineError
from pipeline.request import Response
from pipeline.units import KIB, MIB
from tests.rigs.function.direct_calls import Direct
from tests.rigs.function.pipeline_bench import PipelineBench, document
from tests.rigs.openfaas.fake_gateway import Model

pytestmark = pytest.mark.usefixtures("watchdog")
CSV, JSON, NDJSON = "text/csv", "application/json", "application/x-ndjson"


def wide_csv() -> bytes:
    return b",".join(b"%d" % number for number in range(16_384)) + b"\n" + b"," * 16_383 + b"\n"


SUBMITTED: dict[str, tuple[str, Callable[[], bytes], dict[str, str]]] = {
    "a large CSV": (CSV, lambda: b"url\n" + (b"x" * 999 + b"\n") * (63 * KIB), {}),
    "a broken CSV": (CSV, lambda: b"\xff" * BODY_LIMIT, {}),
    "a wide CSV": (CSV, wide_csv, {"column": "7"}),
    "a wide CSV without its column": (CSV, wide_csv, {"column": "x"}),
    "a wide CSV with a query": (CSV, wide_csv, {"column": "7", "sql": "SELECT * FROM results"}),
    "an array": (JSON, lambda: b"[" + b",".join([b'{"url":"%s"}' % (b"x" * 999)] * (62 * KIB)) + b"]", {}),
    "a white body": ("text/plain", lambda: b" " * BODY_LIMIT, {}),
    "a white body of JSON": (JSON, lambda: b"\n" * (BODY_LIMIT - 1) + b"[", {}),
    "lines of JSON": (NDJSON, lambda: b'{"url":"%s"}\n' % (b"x" * 999) * (62 * KIB), {}),
    "many fields": (JSON, lambda: b'{"input": "a",' + b",".join(b'"a%d":1' % n for n in range(25_000)) + b"}", {}),
    "many headers": (JSON, lambda: orjson.dumps({"input": "a", "headers": {f"a{n}": "" for n in range(20_000)}}), {}),
    "many columns": (JSON, lambda: orjson.dumps({"input": "a", "columns": [f"a{n}" for n in range(25_000)]}), {}),
    "a long name": (JSON, lambda: orjson.dumps({"input": "a" * 250_000}), {}),
}


async def answered(pipeline: PipelineBench, body: bytes, content_type: str, query: dict[str, str]) -> Response | None:
    try:
        return await pipeline.submit(body, {"Content-Type": content_type}, query)
    except PipelineError:
        return None


@pytest.mark.parametrize("dry_run", ["false", "true"])
@pytest.mark.parametrize(("content_type", "body", "query"), SUBMITTED.values(), ids=SUBMITTED)
async def test_submission(
    pipeline: PipelineBench, content_type: str, body: Callable[[], bytes], query: dict[str, str], dry_run: str
) -> None:
    await answered(pipeline, await asyncio.to_thread(body), content_type, query | {"dry_run": dry_run})


def words(size: int) -> bytes:
    return b"a word \xc3\xa4 " * (size // 10)


REPLIES: dict[str, Callable[[], bytes]] = {
    "JSON": lambda: b"[" + b",".join([b'{"a": 1.5}'] * (RESULT_LIMIT // 11 - 1)) + b"]",
    "numbers": lambda: b"[" + b"1," * (RESULT_LIMIT // 2 - 2) + b"1]",
    "deep JSON": lambda: b"[" * (RESULT_LIMIT // 2) + b"]" * (RESULT_LIMIT // 2),
    "nearly JSON": lambda: b"[" + b"1," * (RESULT_LIMIT // 2 - 2) + b"x]",
    "text": lambda: words(RESULT_LIMIT),
    "control characters": lambda: b"\x01" * RESULT_LIMIT,
    "bytes": lambda: b"\xff" * RESULT_LIMIT,
    "bytes at the end": lambda: b'"' + b"x" * (RESULT_LIMIT - 3) + b"\xff" + b'"',
    "small JSON": lambda: b"[" + b"1," * (MIB // 2 - 2) + b"1]",
}


def replying(body: bytes) -> Model:
    async def model(_request: web.Request, _body: bytes) -> web.Response:
        return web.Response(body=body)

    return model


@pytest.mark.parametrize("body", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("options", [{}, {"chunk_call": "true"}, {"inline_limit": str(4 * MIB)}], ids=str)
async def test_result(pipeline: PipelineBench, body: Callable[[], bytes], options: dict[str, str]) -> None:
    pipeline.serve(replying(await asyncio.to_thread(body)))
    await pipeline.submit_rows("a", "b", chunk="2", concurrency="1", attempts="1", **options)
    await pipeline.deliver_all()


@pytest.mark.parametrize("body", REPLIES.values(), ids=REPLIES)
@pytest.mark.parametrize("encoding", ["", "gzip"])
async def test_direct_result(direct: Direct, body: Callable[[], bytes], encoding: str) -> None:
    await direct.submit("a", attempts="1")
    sent = await asyncio.to_thread(lambda: gzip.compress(body(), 1) if encoding else body())
    await direct.call_back(direct.calls.pop(0), 200, sent, Content_Encoding=encoding)
    await direct.work(lambda _: (200, b""))


async def test_answer_that_is_not_signed(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a")
    (message,) = pipeline.queue
    await pipeline.call_back(message, Response(200, await asyncio.to_thread(words, BODY_LIMIT)))


async def test_links_to_many_parts(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.serve(replying(b"1"))
    await pipeline.submit_rows("a")
    await pipeline.deliver_all()
    sizes = pipeline.context.store.sizes

    async def many_sizes(prefix: str) -> Sequence[tuple[str, int]]:
        return [each for each in await sizes(prefix) for _ in range(1000)]

    monkeypatch.setattr(pipeline.context.store, "sizes", many_sizes)
    response = await pipeline.handle("outputs", {"batch": pipeline.batch, "parts": "true"})
    assert len(document(response)["snapshot"]) == 1000
