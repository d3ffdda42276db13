"""Inputs in many forms, and errors about inputs that cannot be read."""

import asyncio
import gzip
import io
from collections.abc import Sequence

import orjson
import polars as pl
import pytest

from tests.rigs.openfaas.cluster import Cluster, to_csv, urls

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"\xef\xbb\xbfurl\na\nb\n", ["a", "b"]),
        (b'url,note\r\n"a ""b"", c",1\r\nd,"two\r\nlines"\r\n', ['a "b", c', "d"]),
        (b'url\n"two\nlines"\n"and\n\nthree"\n', ["two\nlines", "and\n\nthree"]),
        (b"url\na\n\nb\n\n", ["a", "b"]),
        (b"text\nonly column\n", ["only column"]),
        (gzip.compress(b"url\na\nb\n"), ["a", "b"]),
        (b"url\n" + b"x" * 2_000_000 + b"\nshort\n", ["x" * 2_000_000, "short"]),
        (b"url\n", []),
    ],
    ids=[
        "bom",
        "crlf and quotes",
        "quoted newlines",
        "blank lines",
        "one column",
        "gzip",
        "2 MB cell",
        "no rows",
    ],
)
async def test_every_row_of_a_file_is_in_the_summary(steady: Cluster, body: bytes, rows: Sequence[str]) -> None:
    await steady.put("data/shape.csv", body)
    status, opened = await steady.call("batch", body=b"data/shape.csv")
    assert (status, opened["batch_size"]) == (201, len(rows))
    final = await steady.ended(opened["batch_id"])
    assert (final["state"], final["succeeded"]) == ("done", len(rows))
    summary = await steady.summary(opened["batch_id"])
    assert [next(iter(entry.values())) for entry in summary["results"]["results"]] == rows
    assert summary["results"]["count"] == len(rows)
    assert await steady.keys_without_ttl() == []


TYPED = pl.DataFrame({"n": range(500), "price": [n / 4 for n in range(500)], "tags": [["a", None], None] * 250})


async def test_parquet_rows_are_sent_as_objects_in_chunks(steady: Cluster) -> None:
    buffer = io.BytesIO()
    TYPED.write_parquet(buffer)
    await steady.put("data/typed.parquet", buffer.getvalue())
    spec = {"input": "data/typed.parquet", "function": "echo", "columns": ["tags", "n", "price"], "chunk": 40}
    _, tried = await steady.call("batch", body=orjson.dumps(spec | {"chunk_call": True, "dry_run": True}))
    assert (tried["columns"], tried["items"], tried["calls"]) == (TYPED.columns, 500, 13)
    status, opened = await steady.call("batch", body=orjson.dumps(spec | {"chunk_call": True}))
    assert (status, opened["batch_size"], opened["tasks"]) == (201, 500, 13)
    assert (await steady.ended(opened["batch_id"]))["succeeded"] == 500
    entries = (await steady.summary(opened["batch_id"]))["results"]["results"]
    rows = [{"tags": row["tags"], "n": row["n"], "price": row["price"]} for row in TYPED.to_dicts()]
    assert [entry["item"] for entry in entries] == rows
    assert [entry["result"] for entry in entries] == rows


async def test_objects_under_a_prefix_are_items(steady: Cluster) -> None:
    for number in range(20):
        await steady.put(f"pictures/{number:02d}.jpg", b"x" * number)
    status, opened = await steady.call("batch", body=b"pictures/", query={"columns": "key,size"})
    assert (status, opened["batch_size"]) == (201, 20)
    assert (await steady.ended(opened["batch_id"]))["succeeded"] == 20
    entries = (await steady.summary(opened["batch_id"]))["results"]["results"]
    assert [entry["result"] for entry in entries] == [
        {"key": f"pictures/{number:02d}.jpg", "size": number} for number in range(20)
    ]


async def test_hostile_file_stops_no_replica(steady: Cluster) -> None:
    deep = b'{"a":' + b"[" * 200_000
    for kind, body, words in (
        ("application/x-ndjson", deep, "1 is nested too deep"),
        ("application/json", b"[" + deep, "input cannot be read as JSON: it is nested too deep"),
    ):
        status, answer = await steady.call("batch", body=body, Content_Type=kind)
        assert (status, answer["error"].partition(" ")[2]) == (400, words)
    status, answer = await steady.call("batch", body=b"PAR1" * 5, Content_Type="application/vnd.apache.parquet")
    assert (status, answer["error"].partition(":")[0]) == (400, "the input cannot be read as Parquet")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"name,size\na,1\n", "name the column, there is none called 'url'; the columns are: name, size"),
        (b"url\ncaf\xe9\n", "line 2 of the input is not UTF-8: set encoding"),
        (b"", "the input is empty, expected CSV"),
        (b"url,x\na,1,2,3\n", "line 2 of the input has 4 cells, expected 2"),
    ],
    ids=["column", "latin-1", "empty", "ragged"],
)
async def test_unreadable_file_is_a_400_and_leaves_nothing(steady: Cluster, body: bytes, problem: str) -> None:
    await steady.put("data/broken.csv", body)
    status, answer = await steady.call("batch", body=b"data/broken.csv", X_Batch_Id="refused")
    assert status == 400
    assert answer["error"].startswith(problem)
    assert await steady.keys("refused") == []
    assert await steady.keys("open/refused") == []
    assert [key async for key in steady.redis.scan_iter("*{refused}*")] == []


@pytest.mark.parametrize(
    ("body", "batch", "problem"),
    [
        (b"data/nosuch.csv", "", "no object 'data/nosuch.csv' in bucket"),
        (b"", "", "the body is empty: expected the key of a CSV"),
        (b'{"input": ', "", "the body starts like JSON but is none"),
        (b"url\na\n", "", "the body has several lines: a CSV is sent with Content-Type: text/csv"),
        (b"\xff\xfe", "", "the body is not UTF-8"),
        (b'{"input": "x", "chunk": 0, "windw": 1}', "", "the specification is not valid; its fields are: input"),
        (b"data/x.csv", "../up", "X-Batch-Id '../up' is not a batch id"),
        (b'{"input": "x", "function": "pipeline"}', "", "the specification is not valid"),
    ],
)
async def test_malformed_request_gets_the_expected_form(steady: Cluster, body: bytes, batch: str, problem: str) -> None:
    status, answer = await steady.call("batch", body=body, X_Batch_Id=batch)
    assert status == 400
    assert answer["error"].startswith(problem)


async def test_request_without_a_mode_lists_the_modes(steady: Cluster) -> None:
    async with steady.http.post(steady.url, data=b"data/x.csv") as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert error.startswith("the header X-Mode is missing; the modes are: batch, task, collect, reduce, status, ")


async def test_concurrent_submissions_of_one_id_are_one_batch(steady: Cluster) -> None:
    await steady.put("data/twice.csv", to_csv(urls(300)))
    twice = [steady.call("batch", body=b"data/twice.csv", X_Batch_Id="twice") for _ in range(2)]
    answers = await asyncio.gather(*twice)
    assert max(status for status, _ in answers) in {201, 202}
    assert {document["batch_id"] for _, document in answers} == {"twice"}
    final = await steady.ended("twice")
    assert (final["state"], final["succeeded"], final["released"]) == ("done", 300, 300)
    again, document = await steady.call("batch", body=b"data/twice.csv", X_Batch_Id="twice")
    assert (again, document["state"], document["batch_size"]) == (200, "done", 300)


async def test_id_of_another_batch_is_a_409(steady: Cluster) -> None:
    await steady.put("data/mine.csv", to_csv(urls(2)))
    await steady.call("batch", body=b"data/mine.csv", X_Batch_Id="mine")
    await steady.ended("mine")
    status, answer = await steady.call("batch", body=b'{"input": "data/mine.csv", "chunk": 2}', X_Batch_Id="mine")
    assert status == 409
    assert answer["error"].startswith("batch 'mine' exists with another specification or another input")
    assert (await steady.status("mine"))["tasks"] == 2


async def test_id_with_foreign_objects_is_a_409(steady: Cluster) -> None:
    await steady.put("precious/input.csv", to_csv(urls(1)))
    status, answer = await steady.call("batch", body=b"precious/input.csv", X_Batch_Id="precious")
    assert status == 409
    assert answer["error"].startswith("the bucket holds objects under 'precious' that are no batch's")
    assert await steady.get("precious/input.csv") == to_csv(urls(1))
