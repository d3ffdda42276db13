"""The summary: every item once, in input order, in the list of its status."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import polars as pl
import pytest

from pipeline.answers.outcome import Outcome
from pipeline.errors import UnavailableError
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.summary import Totals, write_summary
from pipeline.store import snapshot as snapshot_module
from pipeline.store.bucket import PART_SIZE, Store
from pipeline.store.columns import INDEX, ITEM
from pipeline.store.errors import MissingObjectError
from pipeline.store.multipart import Upload
from pipeline.store.segments import list_segments, write_segment
from pipeline.store.snapshot import Shape, Snapshots
from pipeline.store.writer import Writer
from tests.rigs.s3.outcomes import answer, outcome

URL = Shape("url")


async def summarize(
    store: Store, name: str, rows: int, outcomes: Sequence[Outcome], *, shape: Shape = URL, text: str = "item %d"
) -> tuple[bytes, list[Upload]]:
    """Write the summary of a batch with these outcomes; return its bytes and the recorded uploads."""

    async def frames() -> AsyncIterator[pl.DataFrame]:
        texts = [text % n for n in range(rows)]
        yield pl.DataFrame({ITEM: texts, INDEX: range(rows)}, schema_overrides={INDEX: pl.Int64})

    recorded: list[Upload] = []

    async def record(upload: Upload) -> None:
        assert upload.parts == []
        recorded.append(upload)

    snapshots = Snapshots(store)
    manifest = await snapshots.write(name, 0, frames(), shape, 1)
    await write_segment(store, name, 0, "e", 0, [answer([found]) for found in outcomes])
    failed = sum(found.status == "failed" for found in outcomes)
    totals = Totals(1.5, 2_000_000_000.25, len(outcomes) - failed, "not run: cancelled")
    segments = await list_segments(store, name, 0, "e", 1)
    written = await write_summary(
        lambda: Writer(store, f"{name}.json", record), BatchRows(store, snapshots, name, manifest, segments), totals
    )
    assert (written.succeeded, written.failed) == (len(outcomes) - failed, failed)
    body = await store.get(f"{name}.json")
    assert (written.object.key, written.object.size) == (f"{name}.json", len(body))
    return body, recorded


async def test_summary_has_its_documented_shape(store: Store, name: str) -> None:
    found = [outcome(2, result=b'{"b":1,"a":[2]}'), outcome(0, result=b'"text"'), outcome(1, "failed", result=b'"no"')]
    body, recorded = await summarize(store, name, 3, found)
    assert recorded == []
    assert orjson.loads(body) == {
        "batchId": name,
        "batchStarted": "1970-01-01T00:00:01.500Z",
        "batchCompleted": "2033-05-18T03:33:20.250Z",
        "failures": {
            "count": 1,
            "results": [{"url": "item 1", "result": "no", "statusCode": 500, "callId": "call-1"}],
        },
        "results": {
            "count": 2,
            "results": [
                {"url": "item 0", "result": "text", "statusCode": 200, "callId": "call-0"},
                {"url": "item 2", "result": {"b": 1, "a": [2]}, "statusCode": 200, "callId": "call-2"},
            ],
        },
    }
    assert list(orjson.loads(body)) == ["batchId", "batchStarted", "batchCompleted", "failures", "results"]
    assert b'"result":{"b":1,"a":[2]}' in body
    assert body.endswith(b"}\n")


async def test_items_that_never_ran_are_failures_in_their_place(store: Store, name: str) -> None:
    body, _ = await summarize(store, name, 5, [outcome(1), outcome(3, "failed")])
    failures = orjson.loads(body)["failures"]
    assert failures["count"] == 4
    assert [(entry["url"], entry["statusCode"]) for entry in failures["results"]] == [
        *[("item 0", None), ("item 2", None), ("item 3", 500), ("item 4", None)],
    ]
    not_run = {"url": "item 0", "result": "not run: cancelled", "statusCode": None, "callId": None}
    assert failures["results"][0] == not_run


@pytest.mark.parametrize("column", ["result", "statusCode", "callId", "encoding", "resultRef"])
async def test_column_named_like_a_field_becomes_item(store: Store, name: str, column: str) -> None:
    body, _ = await summarize(store, name, 1, [outcome(0, result=b"7")], shape=Shape(column))
    (entry,) = orjson.loads(body)["results"]["results"]
    assert entry == {"item": "item 0", "result": 7, "statusCode": 200, "callId": "call-0"}


async def test_json_item_is_shown_as_json(store: Store, name: str) -> None:
    shape = Shape("item", derived=True, json_items=True)
    body, _ = await summarize(store, name, 3, [outcome(0), outcome(1, "failed")], shape=shape, text='{"n":%d,"f":1.50}')
    document = orjson.loads(body)
    assert [entry["item"] for entry in document["results"]["results"]] == [{"n": 0, "f": 1.5}]
    assert [entry["item"] for entry in document["failures"]["results"]] == [{"n": 1, "f": 1.5}, {"n": 2, "f": 1.5}]
    assert b'"item":{"n":0,"f":1.50}' in body


@pytest.mark.parametrize(
    ("more", "fields"),
    [({"encoding": "base64"}, {"encoding": "base64"}), ({"ref": "b/refs/0"}, {"resultRef": "b/refs/0"})],
)
async def test_referenced_or_encoded_result_is_marked(
    store: Store, name: str, more: dict[str, Any], fields: dict[str, str]
) -> None:
    body, _ = await summarize(store, name, 1, [outcome(0, **more)])
    (entry,) = orjson.loads(body)["results"]["results"]
    assert entry == {"url": "item 0", "result": None, "statusCode": 200, "callId": "call-0", **fields}


async def test_summary_without_outcomes_has_both_lists(store: Store, name: str) -> None:
    async def record(_upload: Upload) -> None:
        raise AssertionError

    snapshots = Snapshots(store)
    manifest = await snapshots.write(name, 0, nothing(), Shape("url"), 1)
    await write_summary(
        lambda: Writer(store, f"{name}.json", record),
        BatchRows(store, snapshots, name, manifest, []),
        Totals(1, 2, 0, ""),
    )
    document: dict[str, Any] = orjson.loads(await store.get(f"{name}.json"))
    assert (document["failures"], document["results"]) == ({"count": 0, "results": []}, {"count": 0, "results": []})


async def nothing() -> AsyncIterator[pl.DataFrame]:
    return
    yield


async def test_large_summary_is_multipart_and_the_same_in_a_second_run(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_module, "ITEMS_AT_ONCE", 7)
    found = [outcome(index, result=b'"' + b"x" * 100_000 + b'"') for index in range(200)]
    body, recorded = await summarize(store, name, 200, found)
    assert len(body) > 2 * PART_SIZE
    assert [upload.key for upload in recorded] == [f"{name}.json"]
    assert len(recorded[0].parts) == 3
    results = orjson.loads(body)["results"]["results"]
    assert [entry["url"] for entry in results] == [f"item {index}" for index in range(200)]
    again, _ = await summarize(store, name, 200, found)
    assert again == body


async def test_part_is_sent_while_the_next_is_collected(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, never, recorded = asyncio.Event(), asyncio.Event(), list[Upload]()

    async def stuck(_upload: Upload, _body: bytes) -> None:
        sent.set()
        await never.wait()

    async def record(upload: Upload) -> None:
        recorded.append(upload)

    async def write_half() -> None:
        async with Writer(store, f"{name}.json", record) as writer:
            await writer.write(b"x" * PART_SIZE)
            await sent.wait()
            await writer.write(b"more")
            raise UnavailableError("in the middle")

    monkeypatch.setattr(Upload, "send", stuck)
    before = asyncio.all_tasks()
    with pytest.raises(UnavailableError, match="in the middle"):
        await write_half()
    assert asyncio.all_tasks() == before
    monkeypatch.undo()
    (upload,) = recorded
    with pytest.raises(MissingObjectError):
        await upload.send(b"x")
