"""Items that are JSON objects, in a dry run and in a direct call."""

import io

import orjson
import polars as pl

from tests.rigs.function.pipeline_bench import PipelineBench, document

ROWS = pl.DataFrame({"url": ["a", "b", None], "n": [1, None, 3], "tags": [["x"], [], None]})
OBJECT = b'{"n":1,"url":"a","tags":["x"]}'
JSON_TYPE = "application/json"
PARQUET = {"Content-Type": "application/vnd.apache.parquet"}


def body() -> bytes:
    buffer = io.BytesIO()
    ROWS.write_parquet(buffer)
    return buffer.getvalue()


async def test_dry_run_shows_json_items_as_they_are_sent(pipeline: PipelineBench) -> None:
    query = {"dry_run": "true", "columns": "n,url,tags"}
    found = document(await pipeline.submit(body(), PARQUET, query))
    assert (found["column"], found["columns"], found["items"]) == ("item", ROWS.columns, 3)
    assert found["first_calls"][0]["body"].encode() == OBJECT
    assert found["first_calls"][0]["headers"]["Content-Type"] == JSON_TYPE
    found = document(await pipeline.submit(body(), PARQUET, query | {"chunk_call": "true", "chunk": "3"}))
    assert [orjson.loads(call["body"])[2] for call in found["first_calls"]] == [{"n": 3, "url": None, "tags": None}]
    found = document(await pipeline.submit(body(), PARQUET, query | {"direct": "true"}))
    assert found["first_calls"][0]["headers"]["Content-Type"] == JSON_TYPE
    assert await pipeline.objects() == []


async def test_direct_call_sends_the_json_of_its_item(pipeline: PipelineBench) -> None:
    assert (await pipeline.submit(body(), PARQUET, {"columns": "n,url,tags", "direct": "true"})).status == 201
    queued = pipeline.gateway.queues[f"{pipeline.name}-model"]
    assert (queued[0].body, queued[0].headers["Content-Type"]) == (OBJECT, JSON_TYPE)
    queued.clear()
