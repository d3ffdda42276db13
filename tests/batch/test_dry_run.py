"""dry_run: a submission is described as the batch would be, and leaves no trace."""

import asyncio
import gzip
import tempfile
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.store.cut_tasks import Cutter
from pipeline.units import KIB, MIB
from tests.rigs.function.direct_calls import Direct
from tests.rigs.function.dry_runs import DRY_RUN, ROWS, dry_run, no_trace, refusal
from tests.rigs.function.pipeline_bench import CSV, document
from tests.rigs.function.pipeline_bench import PipelineBench as Pipeline

Fields = dict[str, str]
DEFAULTS: tuple[Any, ...] = getattr(Cutter.__init__, "__defaults__", ())


async def test_dry_run_describes_the_batch_and_leaves_no_trace(pipeline: Pipeline) -> None:
    model = f"{pipeline.gateway.url}/function/{pipeline.name}-model"
    call = {"method": "POST", "url": model}
    plain = {"Content-Type": "text/plain; charset=utf-8", "X-Call-Id": "…"}
    assert await dry_run(pipeline, ROWS, {"chunk": "2"}) == {
        "dry_run": True,
        "input": f"{pipeline.batch}/input.csv",
        "column": "url",
        "columns": ["id", "url"],
        "items": 3,
        "chunk": 2,
        "tasks": 2,
        "calls": 3,
        "messages": 3,
        "first_calls": [{**call, "headers": plain, "body": text} for text in "abc"],
    }


async def test_dry_run_is_not_a_field_of_the_batch(pipeline: Pipeline) -> None:
    await dry_run(pipeline, ROWS)
    assert (await pipeline.submit(ROWS, CSV)).status == 201
    assert (await pipeline.submit(ROWS, CSV, {"dry_run": "false"})).status == 200
    assert "dry_run" not in (await pipeline.context.records.read(pipeline.batch)).fields
    answer = await dry_run(pipeline, ROWS)
    assert (answer["exists"], answer["state"], answer["items"]) == (True, "running", 3)


async def test_json_specification_can_be_dry_run(pipeline: Pipeline) -> None:
    key = f"{pipeline.name}.in/data.csv"
    await pipeline.context.store.put(key, ROWS)
    body = orjson.dumps({"input": key, "function": f"{pipeline.name}-model", "dry_run": True})
    async with no_trace(pipeline):
        answer = document(await pipeline.submit(body))
    assert (answer["input"], answer["items"], answer["tasks"]) == (key, 3, 3)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("body", [ROWS, gzip.compress(ROWS), b"url\ncaf\xe9\n"], ids=["plain", "packed", "refused"])
async def test_dry_run_leaves_no_file(
    pipeline: Pipeline, body: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    used: list[int] = []
    read = Cutter.feed

    def feed(cutter: Cutter, frame: pl.DataFrame) -> list[pl.DataFrame]:
        used.append(len(files(tmp_path)))
        return read(cutter, frame)

    monkeypatch.setattr(Cutter, "feed", feed)
    if b"caf" in body:
        await refusal(pipeline, body, CSV, DRY_RUN)
    else:
        await dry_run(pipeline, body)
        assert used == [1]
    assert files(tmp_path) == []


COUNTED: dict[str, tuple[bytes, Fields]] = {
    "one by one": (ROWS, {}),
    "chunks": (b"url\n" + b"x\n" * 1001, {"chunk": "10"}),
    "auto": (b"url\n" + b"x\n" * 1001, {"chunk": "auto"}),
    "auto, a chunk a call": (b"url\n" + b"x\n" * 1001, {"chunk": "auto", "chunk_call": "true"}),
    "chunks cut short by their bytes": (b"url\n" + (b"x" * (3 * MIB) + b"\n") * 7, {"chunk": "10"}),
    "blank lines": (b"url\n\n\na\n\nb\n\n", {"chunk": "2"}),
    "direct": (ROWS, {"direct": "true"}),
    "no rows": (b"url\n", {}),
}


@pytest.mark.parametrize(("body", "query"), COUNTED.values(), ids=COUNTED)
async def test_dry_run_counts_as_the_batch_does(pipeline: Pipeline, body: bytes, query: Fields) -> None:
    shown = await dry_run(pipeline, body, query)
    opened = document(await pipeline.submit(body, CSV, query))
    assert (shown["items"], shown["tasks"]) == (opened["batch_size"], opened["tasks"])
    assert shown["messages"] == opened["tasks"] + 1
    assert len(shown["first_calls"]) == min(3, shown["calls"])
    assert shown["calls"] == opened["tasks" if "chunk_call" in query else "batch_size"]


async def test_dry_run_counts_as_any_batch_does(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    task_bytes, part_bytes = 40, 100
    monkeypatch.setattr(Cutter.__init__, "__defaults__", (task_bytes, part_bytes, *DEFAULTS[2:]))
    loop, number = asyncio.get_running_loop(), 0

    async def compare(rows: list[str], chunk: int) -> None:
        nonlocal number
        number += 1
        batch, body = f"{pipeline.name}.{number}", "\n".join(["url", *rows, ""]).encode()
        query = {"chunk": str(chunk)}
        shown = document(await pipeline.submit(body, CSV, {**query, **DRY_RUN}, batch))
        opened = document(await pipeline.submit(body, CSV, query, batch))
        assert (shown["items"], shown["tasks"]) == (opened["batch_size"], opened["tasks"])

    @given(st.lists(st.text("ab", max_size=60), max_size=30), st.integers(1, 12))
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def compare_any(rows: list[str], chunk: int) -> None:
        asyncio.run_coroutine_threadsafe(compare(rows, chunk), loop).result()

    await asyncio.to_thread(compare_any)
    assert number >= 25


async def test_large_input_counts_the_message_of_its_opening(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    assert (await dry_run(pipeline, ROWS))["messages"] == 1 + 3 + 1


CHUNKING: dict[str, Fields] = {
    "one by one": {},
    "chunks": {"chunk": "2"},
    "a chunk a call": {"chunk": "2", "chunk_call": "true"},
}


@pytest.mark.parametrize("query", CHUNKING.values(), ids=CHUNKING)
async def test_first_calls_are_the_calls_that_are_made(pipeline: Pipeline, query: Fields) -> None:
    shown = (await dry_run(pipeline, ROWS, query))["first_calls"]
    made: list[tuple[str, str, str, dict[str, str]]] = []

    async def model(request: web.Request, body: bytes) -> web.Response:
        made.append((request.method, str(request.url), body.decode(), dict(request.headers)))
        return web.json_response([0] * len(orjson.loads(body)) if "chunk_call" in query else 0)

    pipeline.serve(model)
    assert (await pipeline.submit(ROWS, CSV, query)).status == 201
    await pipeline.deliver_all()
    made.sort(key=lambda call: call[2])
    assert [call["body"] for call in shown] == [body for _, _, body, _ in made][:3]
    for call, (method, url, _, headers) in zip(shown, made, strict=True):
        assert (call["method"], call["url"]) == (method, url)
        assert call["headers"].items() - {("X-Call-Id", "…")} <= headers.items()
        assert set(headers) - set(call["headers"]) == {
            "Host",
            "Accept",
            "Accept-Encoding",
            "User-Agent",
            "Content-Length",
        }


async def test_direct_call_is_shown_as_queued_without_its_signature(pipeline: Pipeline, direct: Direct) -> None:
    rows = b"url\na\n" + b"x" * (128 * KIB + 1) + b"\n"
    small, large = (await dry_run(pipeline, rows, {"direct": "true"}))["first_calls"]
    await pipeline.submit(rows, CSV, {"direct": "true"})
    (message,) = direct.calls
    callback = message.headers["X-Callback-Url"]
    assert small["url"] == f"{pipeline.gateway.url}/async-function/{pipeline.name}-model"
    assert small["headers"] == {
        "Content-Type": message.headers["Content-Type"],
        "X-Timeout": message.headers["X-Timeout"],
        "X-Call-Id": "…",
        "X-Callback-Url": callback.partition("?")[0] + "?…",
    }
    assert large["url"] == f"{pipeline.gateway.url}/function/{pipeline.name}-model", "too large for a message"
    assert (large["body"], len(large["body"])) == ("x" * 1024 + "…", 1025)


async def test_long_body_is_cut_between_two_characters(pipeline: Pipeline) -> None:
    cut, whole = (await dry_run(pipeline, f"url\nx{'ä' * 512}\n{'ä' * 512}\n".encode()))["first_calls"]
    assert cut["body"] == "x" + "ä" * 511 + "…"
    assert whole["body"] == "ä" * 512


async def test_possible_secret_header_is_redacted(pipeline: Pipeline) -> None:
    key = f"{pipeline.name}.in/data.csv"
    await pipeline.context.store.put(key, b"url\na\n")
    secret = {"Authorization": "Basic hush", "cookie": "hush", "X-Api-Key": "hush", "X-Amz-Security-Token": "hush"}
    fields = {"input": key, "function": "m", "headers": {**secret, "X-Size": "small"}, "dry_run": True}
    answer = await pipeline.submit(orjson.dumps(fields))
    assert b"hush" not in answer.body
    headers = document(answer)["first_calls"][0]["headers"]
    assert {name: headers[name] for name in secret} == dict.fromkeys(secret, "***")
    assert headers["X-Size"] == "small"


@pytest.mark.parametrize(("value", "shown"), [("text", ""), (1, "null"), ([1], "null")])
async def test_missing_item_is_shown_as_it_is_sent(pipeline: Pipeline, value: object, shown: str) -> None:
    lines = b"".join(orjson.dumps({"url": item}) + b"\n" for item in (None, value))
    answer = await dry_run(pipeline, lines, headers={"Content-Type": "application/x-ndjson"})
    assert answer["first_calls"][0]["body"] == shown
    chunked = {"chunk": "2", "chunk_call": "true"}
    answer = await dry_run(pipeline, lines, chunked, headers={"Content-Type": "application/x-ndjson"})
    assert orjson.loads(answer["first_calls"][0]["body"]) == [shown if shown == "" else None, value]
