"""dry_run: a submission is tried, as it would be taken or refused, and leaves no trace."""

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

from pipeline.store.cutter import Cutter
from pipeline.units import KIB, MIB
from tests.rigs.function.direct_calls import Direct
from tests.rigs.function.pipeline_bench import CSV, document
from tests.rigs.function.pipeline_bench import PipelineBench as Pipeline
from tests.rigs.function.tries import ROWS, TRIED, no_trace, refused, tried

Fields = dict[str, str]
DEFAULTS: tuple[Any, ...] = getattr(Cutter.__init__, "__defaults__", ())


async def test_a_dry_run_says_what_the_batch_would_be_and_leaves_no_trace(pipeline: Pipeline) -> None:
    model = f"{pipeline.gateway.url}/function/{pipeline.name}-model"
    call = {"method": "POST", "url": model}
    plain = {"Content-Type": "text/plain; charset=utf-8", "X-Call-Id": "…"}
    assert await tried(pipeline, ROWS, {"chunk": "2"}) == {
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


async def test_it_is_no_part_of_the_batch(pipeline: Pipeline) -> None:
    await tried(pipeline, ROWS)
    assert (await pipeline.submit(ROWS, CSV)).status == 201
    assert (await pipeline.submit(ROWS, CSV, {"dry_run": "false"})).status == 200
    assert "dry_run" not in (await pipeline.context.specs.read(pipeline.batch)).fields
    there = await tried(pipeline, ROWS)
    assert (there["exists"], there["state"], there["items"]) == (True, "running", 3)


async def test_a_specification_in_json_is_tried_too(pipeline: Pipeline) -> None:
    key = f"{pipeline.name}.in/data.csv"
    await pipeline.context.store.put(key, ROWS)
    body = orjson.dumps({"input": key, "function": f"{pipeline.name}-model", "dry_run": True})
    async with no_trace(pipeline):
        answer = document(await pipeline.submit(body))
    assert (answer["input"], answer["items"], answer["tasks"]) == (key, 3, 3)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize("body", [ROWS, gzip.compress(ROWS), b"url\ncaf\xe9\n"], ids=["plain", "packed", "refused"])
async def test_no_file_is_left(
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
        await refused(pipeline, body, CSV, TRIED)
    else:
        await tried(pipeline, body)
        assert used == [1]
    assert files(tmp_path) == []


ALIKE: dict[str, tuple[bytes, Fields]] = {
    "one by one": (ROWS, {}),
    "chunks": (b"url\n" + b"x\n" * 1001, {"chunk": "10"}),
    "auto": (b"url\n" + b"x\n" * 1001, {"chunk": "auto"}),
    "auto, a chunk a call": (b"url\n" + b"x\n" * 1001, {"chunk": "auto", "chunk_call": "true"}),
    "chunks cut short by their bytes": (b"url\n" + (b"x" * (3 * MIB) + b"\n") * 7, {"chunk": "10"}),
    "blank lines": (b"url\n\n\na\n\nb\n\n", {"chunk": "2"}),
    "direct": (ROWS, {"direct": "true"}),
    "no rows": (b"url\n", {}),
    "nothing": (b"", {}),
}


@pytest.mark.parametrize(("body", "query"), ALIKE.values(), ids=ALIKE)
async def test_it_counts_what_the_batch_has(pipeline: Pipeline, body: bytes, query: Fields) -> None:
    said = await tried(pipeline, body, query)
    opened = document(await pipeline.submit(body, CSV, query))
    assert (said["items"], said["tasks"]) == (opened["batch_size"], opened["tasks"])
    assert said["messages"] == opened["tasks"] + 1
    assert len(said["first_calls"]) == min(3, said["calls"])
    assert said["calls"] == opened["tasks" if "chunk_call" in query else "batch_size"]


async def test_it_counts_what_any_batch_has(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    task_bytes, part_bytes = 40, 100
    monkeypatch.setattr(Cutter.__init__, "__defaults__", (task_bytes, part_bytes, *DEFAULTS[2:]))
    loop, number = asyncio.get_running_loop(), 0

    async def both(rows: list[str], chunk: int) -> None:
        nonlocal number
        number += 1
        batch, body = f"{pipeline.name}.{number}", "\n".join(["url", *rows, ""]).encode()
        query = {"chunk": str(chunk)}
        said = document(await pipeline.submit(body, CSV, {**query, **TRIED}, batch))
        opened = document(await pipeline.submit(body, CSV, query, batch))
        assert (said["items"], said["tasks"]) == (opened["batch_size"], opened["tasks"])

    @given(st.lists(st.text("ab", max_size=60), max_size=30), st.integers(1, 12))
    @settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def hold(rows: list[str], chunk: int) -> None:
        asyncio.run_coroutine_threadsafe(both(rows, chunk), loop).result()

    await asyncio.to_thread(hold)
    assert number >= 25


async def test_a_large_input_counts_its_opening(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    assert (await tried(pipeline, ROWS))["messages"] == 1 + 3 + 1


SENT: dict[str, Fields] = {
    "one by one": {},
    "chunks": {"chunk": "2"},
    "a chunk a call": {"chunk": "2", "chunk_call": "true"},
}


@pytest.mark.parametrize("query", SENT.values(), ids=SENT)
async def test_the_first_calls_are_those_that_are_made(pipeline: Pipeline, query: Fields) -> None:
    said = (await tried(pipeline, ROWS, query))["first_calls"]
    made: list[tuple[str, str, str, dict[str, str]]] = []

    async def model(request: web.Request, body: bytes) -> web.Response:
        made.append((request.method, str(request.url), body.decode(), dict(request.headers)))
        return web.json_response([0] * len(orjson.loads(body)) if "chunk_call" in query else 0)

    pipeline.serve(model)
    assert (await pipeline.submit(ROWS, CSV, query)).status == 201
    await pipeline.deliver_all()
    made.sort(key=lambda call: call[2])
    assert [call["body"] for call in said] == [body for _, _, body, _ in made][:3]
    for call, (method, url, _, headers) in zip(said, made, strict=True):
        assert (call["method"], call["url"]) == (method, url)
        assert call["headers"].items() - {("X-Call-Id", "…")} <= headers.items()
        assert set(headers) - set(call["headers"]) == {
            "Host",
            "Accept",
            "Accept-Encoding",
            "User-Agent",
            "Content-Length",
        }


async def test_a_direct_call_is_shown_as_it_is_queued_without_its_signature(pipeline: Pipeline, direct: Direct) -> None:
    rows = b"url\na\n" + b"x" * (128 * KIB + 1) + b"\n"
    small, large = (await tried(pipeline, rows, {"direct": "true"}))["first_calls"]
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


async def test_a_body_is_cut_between_two_letters(pipeline: Pipeline) -> None:
    cut, whole = (await tried(pipeline, f"url\nx{'ä' * 512}\n{'ä' * 512}\n".encode()))["first_calls"]
    assert cut["body"] == "x" + "ä" * 511 + "…"
    assert whole["body"] == "ä" * 512


async def test_a_header_that_may_be_a_secret_is_shown_by_its_name(pipeline: Pipeline) -> None:
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
async def test_a_missing_item_is_shown_as_it_is_sent(pipeline: Pipeline, value: object, shown: str) -> None:
    lines = b"".join(orjson.dumps({"url": each}) + b"\n" for each in (None, value))
    there = await tried(pipeline, lines, headers={"Content-Type": "application/x-ndjson"})
    assert there["first_calls"][0]["body"] == shown
    chunked = {"chunk": "2", "chunk_call": "true"}
    there = await tried(pipeline, lines, chunked, headers={"Content-Type": "application/x-ndjson"})
    assert orjson.loads(there["first_calls"][0]["body"]) == [shown if shown == "" else None, value]
