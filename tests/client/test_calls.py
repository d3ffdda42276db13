"""Calls of the client: their requests and results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.client import Pipeline, RefusedError
from tests.rigs.client.contract import Answer, open_client, progress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pipeline.client import Batch

QUICK = {"Retry-After": "0"}
OPENED = Answer({"batch_id": "b-1", "batch_size": 10, "tasks": 10, "status_url": "http://x"}, 201)


async def test_key_is_submitted_as_a_specification() -> None:
    async with open_client() as (server, pipeline):
        server.answer("batch", OPENED)
        batch = await pipeline.submit("data/demo.csv", function="classify", chunk="auto", headers={"X-Extra": "1"})
    assert batch.id == "b-1"
    (request,) = server.seen
    assert (request.method, request.query, request.headers["Content-Type"]) == ("POST", {}, "application/json")
    fields = {"function": "classify", "chunk": "auto", "headers": {"X-Extra": "1"}}
    assert json.loads(request.body) == {"input": "data/demo.csv", **fields}


async def test_csv_is_submitted_unchanged_with_its_fields_in_the_query() -> None:
    async with open_client() as (server, pipeline):
        server.answer("batch", OPENED)
        await pipeline.submit(b"url\nx\n", function="classify", chunk_call=True, rate=2.5, tolerate="5%")
    (request,) = server.seen
    assert (request.body, request.headers["Content-Type"]) == (b"url\nx\n", "text/csv")
    assert request.query == {"function": "classify", "chunk_call": "true", "rate": "2.5", "tolerate": "5%"}


async def test_retried_submission_has_the_same_id() -> None:
    async with open_client() as (server, pipeline):
        server.answer("batch", Answer({"error": "later"}, 503, headers=QUICK), OPENED)
        await pipeline.submit(b"url\nx\n")
        await pipeline.submit(b"url\nx\n")
        await pipeline.submit(b"url\nx\n", batch_id="monday")
    first, again, other, named = (request.headers["X-Batch-Id"] for request in server.seen)
    assert first == again != other
    assert named == "monday"
    assert {request.body for request in server.seen} == {b"url\nx\n"}


async def test_unknown_field_is_a_type_error() -> None:
    fields: Any = {"windw": 3}
    async with open_client() as (server, pipeline):
        with pytest.raises(TypeError, match="there is no field 'windw'; the fields are: function, column"):
            await pipeline.submit("a.csv", **fields)
    assert server.seen == []


async def test_dry_run_is_a_field_of_the_specification() -> None:
    found = {
        "dry_run": True,
        "input": "a.csv",
        "column": "url",
        "columns": ["url", "id"],
        "items": 3,
        "chunk": 2,
        "tasks": 2,
        "calls": 3,
        "messages": 4,
        "first_calls": [{"method": "POST", "url": "http://g/function/f", "headers": {"X-Call-Id": "1"}, "body": "x"}],
    }
    async with open_client() as (server, pipeline):
        server.answer("batch", found)
        by_key = await pipeline.dry_run("a.csv", function="f")
        by_body = await pipeline.dry_run(b"url\n")
    assert by_key == by_body
    assert (by_key.items, by_key.columns, by_key.first_calls[0].headers) == (3, ("url", "id"), {"X-Call-Id": "1"})
    assert json.loads(server.seen[0].body) == {"input": "a.csv", "function": "f", "dry_run": True}
    assert server.seen[1].query == {"dry_run": "true"}


@pytest.mark.parametrize(
    ("mode", "act", "query"),
    [
        ("cancel", lambda batch: batch.cancel(), {}),
        ("pause", lambda batch: batch.pause(), {}),
        ("resume", lambda batch: batch.resume(), {}),
        ("redrive", lambda batch: batch.redrive(), {}),
        ("delete", lambda batch: batch.delete(), {}),
        ("tune", lambda batch: batch.tune(window=3), {"window": "3"}),
        ("tune", lambda batch: batch.tune(window=3, rate=0.25), {"window": "3", "rate": "0.25"}),
        ("tune", lambda batch: batch.tune(rate=0), {"rate": "0"}),
        ("tune", lambda batch: batch.tune(rate=1234.5678), {"rate": "1234.5678"}),
    ],
)
async def test_batch_methods_send_their_mode(
    mode: str, act: Callable[[Batch], Awaitable[object]], query: dict[str, str]
) -> None:
    async with open_client() as (server, pipeline):
        server.answer(mode, Answer({"batch_id": "b-1"}, 202))
        await act(pipeline.batch("b-1"))
    (request,) = server.seen
    assert (request.method, request.mode, request.query) == ("POST", mode, {"batch": "b-1", **query})


async def test_redrive_and_delete_return_whether_they_did_something() -> None:
    async with open_client() as (server, pipeline):
        batch = pipeline.batch("b-1")
        server.answer("redrive", {"redriven": 0}, Answer({"batch_id": "b-1"}, 202))
        server.answer("delete", Answer({"batch_id": "b-1"}, 202), {"deleted": True})
        assert [await batch.redrive(), await batch.redrive()] == [False, True]
        assert [await batch.delete(), await batch.delete()] == [False, True]


async def test_deletion_whose_answer_was_lost_counts_as_done() -> None:
    gone = Answer({"error": "there is no batch 'b-1'"}, 404)
    async with open_client() as (server, pipeline):
        server.answer("delete", Answer(status=502, text="bad gateway", headers=QUICK), gone)
        assert await pipeline.batch("b-1").delete()
        with pytest.raises(RefusedError, match="there is no batch"):
            await pipeline.batch("b-1").delete()


async def test_follow_continues_through_transient_errors_to_the_end() -> None:
    async with open_client() as (server, pipeline):
        server.answer(
            "status",
            {"state": "opening", "items": None, "eta": None},
            Answer(status=500, text="no replica", headers=QUICK),
            progress("running", 3),
            Answer(status=429, text="busy", headers=QUICK),
            progress("done", 9, 1),
        )
        batch = pipeline.batch("b-1")
        seen = [status async for status in batch.follow(interval=0)]
        assert [(status.state, status.items) for status in seen] == [("opening", 0), ("running", 10), ("done", 10)]
        assert (await batch.wait()).failed == 1
        assert [status.state async for status in batch] == ["done"]


async def test_gateway_may_have_a_path_and_the_function_another_name() -> None:
    async with Pipeline("https://example.org/openfaas/", "other") as pipeline:
        assert pipeline.batch("b 1").page == "https://example.org/openfaas/function/other/?batch=b+1"


async def test_list_is_read_from_older_and_newer_functions() -> None:
    older = {"open": [{"batch_id": "a", "status_url": "http://x"}]}
    newer = {"open": [], "ended": [{"batch_id": "b", "state": None, "items": 3, "more": 1}], "later": {}}
    async with open_client() as (server, pipeline):
        server.answer("status", older, newer)
        first, second = await pipeline.list(), await pipeline.list()
    assert [brief.batch_id for brief in first.open] == ["a"]
    assert first.ended == ()
    assert (second.ended[0].state, second.ended[0].items) == (None, 3)


async def test_every_field_of_a_status_is_read() -> None:
    kind = {"kind": "422: no", "status_code": 422, "count": 2, "retried": 1, "at": 9.5}
    example = {"index": 4, "item": "x", "result": "no", "call_id": "c", "generation": 1}
    document = progress(
        "running",
        links={"status": "http://x", "summary": None},
        throughput={"width": 2, "counts": [1, 2]},
        latency={"tasks": 3, "p50": 0.1, "p90": 0.2, "p99": 0.3, "max": 0.4},
        failures=[{**kind, "example": example}],
        notifications=[
            {"target": "next", "kind": "reduce", "state": "due", "tries": 2, "status_code": None, "at": 3.5}
        ],
    )
    async with open_client() as (server, pipeline):
        server.answer("status", document)
        found = await pipeline.batch("b-1").status()
    assert found.throughput is not None
    assert found.latency is not None
    assert (found.throughput.counts, found.latency.p99, found.links.summary) == ((1, 2), 0.3, None)
    (failure,) = found.failures
    assert failure.example is not None
    assert (failure.count, failure.example.index) == (2, 4)
    (notice,) = found.notifications
    assert (notice.target, notice.kind, notice.state, notice.tries, notice.status_code, notice.at) == (
        *("next", "reduce", "due"),
        *(2, None, 3.5),
    )


async def test_checks_of_the_doctor_are_read() -> None:
    checks = [{"name": "redis", "status": "failed", "found": "allkeys-lru", "advice": "set noeviction"}]
    async with open_client() as (server, pipeline):
        server.answer("doctor", {"checks": checks, "now": 7.5})
        found = await pipeline.doctor()
    assert (found.now, found.checks[0].advice) == (7.5, "set noeviction")


async def test_empty_id_is_a_value_error() -> None:
    async with open_client() as (server, pipeline):
        with pytest.raises(ValueError, match="the batch's id is empty"):
            pipeline.batch("")
        with pytest.raises(ValueError, match="the batch's id is empty"):
            await pipeline.submit("a.csv", batch_id="")
    assert server.seen == []
