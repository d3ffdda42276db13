"""Inputs as people have them, and what they are told about those that cannot be read."""

import asyncio
import gzip
from collections.abc import Sequence

import pytest

from tests.e2e.cluster import Cluster, to_csv, urls

pytestmark = pytest.mark.asyncio(loop_scope="module")


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
        (b"", []),
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
        "empty",
    ],
)
async def test_every_row_of_a_file_comes_out(steady: Cluster, body: bytes, rows: Sequence[str]) -> None:
    await steady.put("data/shape.csv", body)
    status, opened = await steady.call("batch", body=b"data/shape.csv")
    assert (status, opened["batch_size"]) == (201, len(rows))
    final = await steady.ended(opened["batch_id"])
    assert (final["state"], final["succeeded"]) == ("done", len(rows))
    summary = await steady.summary(opened["batch_id"])
    assert [next(iter(entry.values())) for entry in summary["results"]["results"]] == rows
    assert summary["results"]["count"] == len(rows)
    assert await steady.keys_without_ttl() == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"name,size\na,1\n", "name the column, there is none called 'url'; the columns are: name, size"),
        (b"url\ncaf\xe9\n", "the input cannot be read as CSV: it is not UTF-8: convert it"),
        ("url\na\n".encode("utf-16"), "the input is UTF-16, expected UTF-8"),
        (b"url,x\na,1,2,3\n", "the input cannot be read as CSV: found more fields"),
    ],
    ids=["column", "latin-1", "utf-16", "ragged"],
)
async def test_a_file_that_cannot_be_read_is_refused_and_leaves_nothing(
    steady: Cluster, body: bytes, problem: str
) -> None:
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
async def test_a_request_that_makes_no_sense_is_told_what_was_expected(
    steady: Cluster, body: bytes, batch: str, problem: str
) -> None:
    status, answer = await steady.call("batch", body=body, X_Batch_Id=batch)
    assert status == 400
    assert answer["error"].startswith(problem)


async def test_a_request_without_a_mode_is_told_the_modes(steady: Cluster) -> None:
    async with steady.http.post(steady.url, data=b"data/x.csv") as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert error.startswith("the header X-Mode is missing; the modes are: batch, task, collect, reduce, status, ")


async def test_two_submissions_of_one_id_at_the_same_moment_are_one_batch(steady: Cluster) -> None:
    await steady.put("data/twice.csv", to_csv(urls(300)))
    twice = [steady.call("batch", body=b"data/twice.csv", X_Batch_Id="twice") for _ in range(2)]
    answers = await asyncio.gather(*twice)
    assert max(status for status, _ in answers) in {201, 202}
    assert {document["batch_id"] for _, document in answers} == {"twice"}
    final = await steady.ended("twice")
    assert (final["state"], final["succeeded"], final["released"]) == ("done", 300, 300)
    again, document = await steady.call("batch", body=b"data/twice.csv", X_Batch_Id="twice")
    assert (again, document["state"], document["batch_size"]) == (200, "done", 300)


async def test_an_id_that_stands_for_another_batch_is_refused(steady: Cluster) -> None:
    await steady.put("data/mine.csv", to_csv(urls(2)))
    await steady.call("batch", body=b"data/mine.csv", X_Batch_Id="mine")
    await steady.ended("mine")
    status, answer = await steady.call("batch", body=b'{"input": "data/mine.csv", "chunk": 2}', X_Batch_Id="mine")
    assert status == 409
    assert answer["error"].startswith("batch 'mine' exists with another specification or another input")
    assert (await steady.status("mine"))["tasks"] == 2


async def test_an_id_under_which_the_bucket_holds_other_objects_is_refused(steady: Cluster) -> None:
    await steady.put("precious/input.csv", to_csv(urls(1)))
    status, answer = await steady.call("batch", body=b"precious/input.csv", X_Batch_Id="precious")
    assert status == 409
    assert answer["error"].startswith("the bucket holds objects under 'precious' that are no batch's")
    assert await steady.get("precious/input.csv") == to_csv(urls(1))
