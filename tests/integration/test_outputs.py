"""What a batch has beside its summary once it has ended: the joined table, the rows to submit again, the report."""

import asyncio
import base64
import csv
import io
import random
from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl
import pytest

from pipeline import calls
from pipeline.columns import OUTCOME_TYPES
from pipeline.ending import TABLE_ATTEMPTS
from pipeline.errors import BadRequestError, UnavailableError
from pipeline.fieldrules import FORMATS
from pipeline.outputs import CONTENT_TYPES, names_of
from pipeline.specs import Specs
from pipeline.store import MissingObjectError
from tests.integration.pipeline_bench import CSV, PipelineBench, answering, document

ROWS = 'id,url,note\n1,a,"x, y"\n2,no b,\n3,c,""\n4,no d,"say ""d"""\n'


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """What begins with `no` fails."""
    monkeypatch.setattr(calls, "MOST_CALLS", 1)
    pipeline.serve(answering(lambda text: (422, f"no {text[3:]!r}") if text[:2] == "no" else (200, {"said": text})))


async def ended(pipeline: PipelineBench, rows: str = ROWS, batch: str = "", **options: str) -> dict[str, Any]:
    response = await pipeline.submit(rows, CSV, {"column": "url", **options}, batch)
    assert response.status == 201, response.body
    await pipeline.deliver_all()
    return await pipeline.status(batch)


async def output(pipeline: PipelineBench, name: str, batch: str = "") -> bytes:
    return await pipeline.context.store.get(f"{batch or pipeline.batch}/{name}")


async def outputs(pipeline: PipelineBench, generation: str = "") -> list[str]:
    """The outputs there are, in the batch's folder or that of a generation."""
    sizes = await pipeline.context.store.children(f"{pipeline.batch}/{generation}")
    return [name for name in CONTENT_TYPES if f"{pipeline.batch}/{generation}{name}" in sizes]


def cells(body: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(body.decode())))


async def test_every_row_is_in_every_format_with_what_became_of_it(pipeline: PipelineBench) -> None:
    status = await ended(pipeline)
    assert (status["state"], status["notes"]) == ("done", [])
    assert status["links"]["outputs"] == f"s3://{pipeline.context.store.bucket}/{pipeline.batch}/"
    assert await outputs(pipeline) == await outputs(pipeline, "0/") == names_of(FORMATS)
    frame = pl.read_parquet(await output(pipeline, "results.parquet"))
    assert frame.columns == ["id", "url", "note", *OUTCOME_TYPES]
    assert frame.select("id", "url", "note", "status", "status_code", "result").rows() == [
        ("1", "a", "x, y", "succeeded", 200, '{"said":"a"}'),
        ("2", "no b", None, "failed", 422, "\"no 'b'\""),
        ("3", "c", "", "succeeded", 200, '{"said":"c"}'),
        ("4", "no d", 'say "d"', "failed", 422, "\"no 'd'\""),
    ]
    table = pl.read_csv(await output(pipeline, "results.csv"), schema_overrides=frame.schema)
    assert table.equals(frame)
    lines = (await output(pipeline, "results.ndjson")).splitlines()
    assert [orjson.loads(line) for line in lines] == [
        row | {"result": orjson.loads(row["result"])} for row in frame.to_dicts()
    ]


async def test_the_rows_that_failed_are_submitted_again_as_they_are(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    again = await output(pipeline, "failures.csv")
    assert again == b'id,url,note\n2,no b,\n4,no d,"say ""d"""\n'
    typed = pl.read_parquet(await output(pipeline, "failures.parquet"))
    assert typed.rows() == [("2", "no b", None), ("4", "no d", 'say "d"')]
    pipeline.serve(answering(lambda text: (200, text)))
    second = f"{pipeline.name}.second"
    status = await ended(pipeline, again.decode(), second)
    assert (status["items"], status["succeeded"]) == (2, 2)
    assert [entry["url"] for entry in (await pipeline.summary(second))["results"]["results"]] == ["no b", "no d"]
    assert pl.read_parquet(await output(pipeline, "results.parquet", second)).select(typed.columns).equals(typed)
    assert await output(pipeline, "failures.csv", second) == b"id,url,note\n"
    assert pl.read_parquet(await output(pipeline, "failures.parquet", second)).equals(typed.clear())


@pytest.mark.parametrize("key", ["failures.csv", "0/failures.parquet", "results.ndjson"], ids=range(3))
async def test_an_output_is_the_input_of_a_next_batch_by_its_key(pipeline: PipelineBench, key: str) -> None:
    await ended(pipeline)
    spec = {"input": f"{pipeline.batch}/{key}", "column": "url"}
    assert (await pipeline.submit(orjson.dumps(spec), batch=f"{pipeline.name}.next")).status == 201
    await pipeline.deliver_all()
    entries = (await pipeline.summary(f"{pipeline.name}.next"))["failures"]["results"]
    assert [entry["url"] for entry in entries] == ["no b", "no d"]


@pytest.mark.parametrize(
    "key", ["spec.json", "0/summary.json", "segments/0/x.ndjson", "failures.csv/x", "x/results.csv"], ids=range(5)
)
async def test_what_is_no_output_of_a_batch_is_no_input(pipeline: PipelineBench, key: str) -> None:
    await ended(pipeline)
    spec = {"input": f"{pipeline.batch}/{key}", "column": "url"}
    with pytest.raises(BadRequestError, match="is the pipeline's own"):
        await pipeline.submit(orjson.dumps(spec), batch=f"{pipeline.name}.next")


async def test_the_report_says_what_was_asked_and_what_became_of_it(pipeline: PipelineBench) -> None:
    await pipeline.context.store.put(f"{pipeline.name}.csv", ROWS.encode())
    spec = {
        "input": f"{pipeline.name}.csv",
        "column": "url",
        "chunk": 2,
        "headers": {"X-Api-Key": "53cr3t", "X-Tenant": "t"},
    }
    await pipeline.submit(orjson.dumps(spec))
    await pipeline.deliver_all()
    status = await pipeline.status()
    body = await output(pipeline, "report.json")
    assert b"53cr3t" not in body
    report = orjson.loads(body)
    examples = [error.pop("example") for error in report["errors"]]
    assert [example["item"] for example in examples] == ["no b"]
    assert examples[0]["result"] == "no 'b'"
    expected = {
        "batch_id": pipeline.batch,
        "state": "done",
        "reason": None,
        "function": f"{pipeline.name}-model",
        "specification": {
            **spec,
            "function": f"{pipeline.name}-model",
            "headers": {"X-Api-Key": "***", "X-Tenant": "t"},
        },
        **{name: status[name] for name in ("items", "succeeded", "failed", "retried")},
        "not_run": 0,
        "generations": [{"generation": 0, "items": 4, "tasks": 2}],
        "timeline": {name: status[name] for name in ("created", "started", "completed", "throughput", "latency")},
        "errors": [{"kind": "no '…'", "status_code": 422, "count": 2, "first_index": 1}],
    }
    assert report == expected


@pytest.mark.parametrize(
    ("asked", "there"),
    [("csv", ["results.csv"]), ("ndjson,parquet", ["results.parquet", "results.ndjson"]), ("", [])],
)
async def test_only_the_formats_that_were_asked_for_are_written(
    pipeline: PipelineBench, asked: str, there: list[str]
) -> None:
    await ended(pipeline, outputs=asked)
    expected = [*there, "failures.csv", "failures.parquet", "report.json"]
    assert await outputs(pipeline) == await outputs(pipeline, "0/") == expected
    linked = document(await pipeline.handle("outputs", {"batch": pipeline.batch}))["outputs"]
    assert [link["name"] for link in linked] == expected
    assert [link["size"] for link in linked] == [len(await output(pipeline, name)) for name in expected]


async def test_a_redrive_replaces_all_of_them(pipeline: PipelineBench) -> None:
    await ended(pipeline, attempts="1")
    before = {name: await output(pipeline, name) for name in names_of(FORMATS)}
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert (await pipeline.status())["links"]["outputs"] is None
    await pipeline.deliver_all()
    for name, old in before.items():
        assert await output(pipeline, name) == await output(pipeline, f"1/{name}") != old
        assert await output(pipeline, f"0/{name}") == old
    assert cells(await output(pipeline, "failures.csv")) == [["id", "url", "note"]]
    report = orjson.loads(await output(pipeline, "report.json"))
    assert [(each["items"], each["tasks"]) for each in report["generations"]] == [(4, 4), (2, 2)]
    assert (report["succeeded"], report["failed"], report["retried"], report["errors"]) == (4, 0, 2, [])


async def test_a_batch_that_was_cancelled_before_it_ran_has_rows_to_submit_again(pipeline: PipelineBench) -> None:
    await pipeline.submit(ROWS, CSV, {"column": "url", "window": "1"})
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    pipeline.forget()
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "cancelled"
    assert cells(await output(pipeline, "failures.csv")) == cells(ROWS.encode())
    frame = pl.read_parquet(await output(pipeline, "results.parquet"))
    assert frame["status"].to_list() == ["not run"] * 4
    report = orjson.loads(await output(pipeline, "report.json"))
    assert (report["state"], report["failed"], report["not_run"]) == ("cancelled", 0, 4)


async def test_a_batch_without_rows_has_empty_tables(pipeline: PipelineBench) -> None:
    status = await ended(pipeline, "url\n")
    assert (status["state"], status["items"]) == ("done", 0)
    assert pl.read_parquet(await output(pipeline, "results.parquet")).columns == ["url", *OUTCOME_TYPES]
    assert cells(await output(pipeline, "results.csv")) == [["url", *OUTCOME_TYPES]]
    assert await output(pipeline, "results.ndjson") == b""
    assert await output(pipeline, "failures.csv") == b"url\n"


async def test_a_batch_that_never_opened_has_none(pipeline: PipelineBench) -> None:
    await pipeline.bench().claim()
    await pipeline.context.ledger.abandon(pipeline.batch, "opener", "no column")
    status = await pipeline.status()
    assert (status["links"]["outputs"], status["notes"]) == (None, [])
    assert document(await pipeline.handle("outputs", {"batch": pipeline.batch}))["outputs"] == []


async def test_results_that_are_elsewhere_or_no_text_say_so(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(lambda text: (200, b"\xff\x00" if text == "bytes" else "x" * 2000)))
    await ended(pipeline, "url\nbytes\nlarge\n", inline_limit="1000")
    frame = pl.read_parquet(await output(pipeline, "results.parquet")).select("result", "result_ref", "encoding")
    (first, reference, encoding), (second, where, other) = frame.rows()
    assert (first, reference, encoding) == ('"/wA="', None, "base64")
    assert (second, other) == (None, None)
    assert await pipeline.context.store.get(where) == b'"%s"' % (b"x" * 2000)
    lines = [orjson.loads(line) for line in (await output(pipeline, "results.ndjson")).splitlines()]
    assert [(line["result"], line["result_ref"]) for line in lines] == [("/wA=", None), (None, where)]


HOSTILE = ["^x.*$", "result", "status", "input.result", "pipeline.x", "", "*", "x1"]


async def test_hostile_names_of_columns_are_names(pipeline: PipelineBench) -> None:
    header = io.StringIO()
    csv.writer(header).writerows([["url", *HOSTILE], ["no", *map(str, range(len(HOSTILE)))]])
    await ended(pipeline, header.getvalue())
    named = ["url", "^x.*$", "input.input.result", "input.status", "input.result", "pipeline.x", "", "*", "x1"]
    frame = pl.read_parquet(await output(pipeline, "results.parquet"))
    assert frame.columns == [*named, *OUTCOME_TYPES]
    assert frame.row(0)[1 : len(named)] == tuple(map(str, range(len(HOSTILE))))
    assert cells(await output(pipeline, "results.csv"))[0] == frame.columns
    assert list(orjson.loads(await output(pipeline, "results.ndjson"))) == frame.columns
    assert cells(await output(pipeline, "failures.csv"))[0] == ["url", *HOSTILE]


async def test_as_many_columns_as_there_can_be(pipeline: PipelineBench) -> None:
    header = ",".join(f"c{number}" for number in range(16_383))
    await ended(pipeline, f"url,{header}\n" + f"no,{'x,' * 16_382}x\n" * 3)
    frame = pl.read_parquet(await output(pipeline, "results.parquet"))
    assert (frame.width, frame.height) == (16_384 + len(OUTCOME_TYPES), 3)
    assert [len(row) for row in cells(await output(pipeline, "failures.csv"))] == [16_384] * 4


async def test_deletion_takes_them_and_nothing_of_somebody_elses(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    theirs = [f"{pipeline.batch}/{name}" for name in ("results.xlsx", "results.csv.bak", "0/mine.csv", "x/results.csv")]
    for key in theirs:
        await pipeline.context.store.put(key, b"theirs")
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert sorted(await pipeline.objects()) == sorted(theirs)


async def until_the_reduce(pipeline: PipelineBench, **options: str) -> Mapping[str, str]:
    await pipeline.submit(ROWS, CSV, {"column": "url", **options})
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    return pipeline.queue.pop(0).query


async def test_a_table_that_kills_its_replica_does_not_keep_its_batch_from_ending(pipeline: PipelineBench) -> None:
    await ended(pipeline, attempts="1")
    assert "results.csv" in await outputs(pipeline)
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    while (pipeline.queue[0].mode, pipeline.queue[0].query["generation"]) != ("reduce", "1"):
        await pipeline.deliver(pipeline.queue.pop(0))
    reduce, bench = pipeline.queue.pop(0), pipeline.bench()
    assert reduce.mode == "reduce"
    for number in range(TABLE_ATTEMPTS):
        assert (await bench.ledger.lease(pipeline.batch, f"dead {number}", 1)).verdict == "leased"
        await bench.age(lease_until=-1)
    assert (await pipeline.deliver(reduce))["verdict"] == "done"
    status = await pipeline.status()
    assert status["links"]["outputs"] is None
    (note,) = status["notes"]
    assert note.startswith("there are no results.parquet, results.csv, results.ndjson, failures.csv, ")
    assert note.endswith("given up after 3 attempts that broke off (see the function's log and its replicas' memory)")
    assert (await pipeline.summary())["failures"]["count"] == 2
    # Those of the generation before are of another summary.
    assert await outputs(pipeline) == await outputs(pipeline, "1/") == []
    assert (await Specs(pipeline.context.store, pipeline.name).read_status(pipeline.batch) or {})["notes"] == [note]


async def test_a_full_disk_is_said_and_ends_in_a_summary_alone(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduce = await until_the_reduce(pipeline)
    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    trouble = r"the tables cannot be made under /\S+: No space left on device"
    for _ in range(TABLE_ATTEMPTS):
        with pytest.raises(UnavailableError, match=trouble):
            await pipeline.handle("reduce", reduce)
        assert "No space left on device" in (await pipeline.status())["trouble"]
        await pipeline.bench().age(lease_until=-1)
    await pipeline.handle("reduce", reduce)
    status = await pipeline.status()
    assert (status["state"], status["trouble"]) == ("done", None)
    assert "after 3 attempts that broke off (the tables cannot be made under" in status["notes"][0]


def full(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


async def test_an_s3_that_was_away_costs_no_output(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    reduce, put = await until_the_reduce(pipeline), pipeline.context.store.put

    async def away(key: str, *more: Any) -> Any:
        if key.endswith("report.json"):
            raise UnavailableError("S3 is away")
        return await put(key, *more)

    monkeypatch.setattr(pipeline.context.store, "put", away)
    for _ in range(TABLE_ATTEMPTS + 1):
        with pytest.raises(UnavailableError, match="S3 is away"):
            await pipeline.handle("reduce", reduce)
        await pipeline.bench().age(lease_until=-1)
    monkeypatch.undo()
    await pipeline.handle("reduce", reduce)
    assert await outputs(pipeline) == names_of(FORMATS)


@pytest.mark.parametrize("form", ["results.parquet", "results.csv", "results.ndjson"])
async def test_large_outputs_go_by_parts_and_what_is_given_up_is_aborted(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    # Letters that no packing makes small.
    pipeline.serve(answering(lambda text: (200, random_letters(int(text)))))
    await pipeline.submit_rows(*map(str, range(12)), inline_limit=str(4 * 1024 * 1024))
    while pipeline.queue[0].mode == "task":
        await pipeline.deliver(pipeline.queue.pop(0))
    store, start_upload = pipeline.context.store, pipeline.context.store.start_upload
    started = []

    async def cut_off(key: str, kind: str) -> Any:
        started.append(await start_upload(key, kind))
        if key.endswith(form):
            assert kind == CONTENT_TYPES[form]
            raise UnavailableError("S3 is away")
        return started[-1]

    monkeypatch.setattr(store, "start_upload", cut_off)
    with pytest.raises(UnavailableError, match="S3 is away"):
        await pipeline.deliver(pipeline.queue[0])
    monkeypatch.undo()
    for upload in started:
        if not upload.key.endswith(form):
            with pytest.raises(MissingObjectError):
                await upload.send(b"more")
    await pipeline.bench().age(lease_until=-1)
    await pipeline.deliver_all()
    assert await store.uploads(f"{pipeline.batch}/") == []
    assert (await store.head(f"{pipeline.batch}/{form}")).etag.endswith("-2")
    assert len(await output(pipeline, form)) > 10_000_000


def random_letters(seed: int) -> str:
    return base64.b64encode(random.Random(seed).randbytes(900_000)).decode()


async def test_a_replica_is_free_for_others_while_tables_are_written(pipeline: PipelineBench) -> None:
    reduce = asyncio.create_task(pipeline.handle("reduce", await until_the_reduce(pipeline)))
    answered = 0
    while not reduce.done():
        await asyncio.sleep(0)
        answered += 1
    assert answered > 10
