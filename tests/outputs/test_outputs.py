"""The outputs of an ended batch beside its summary: the joined table, the rows to submit again, the report."""

import csv
import io

import orjson
import polars as pl
import pytest

from pipeline.errors import BadRequestError
from pipeline.spec.field_rules import FORMATS
from pipeline.store.columns import OUTCOME_TYPES
from pipeline.store.keys import output_names
from pipeline.tasks import model_call as calls
from tests.rigs.function.ended_batches import ROWS, cells, ended, output, outputs
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Items that begin with `no` fail."""
    monkeypatch.setattr(calls, "MOST_CALLS", 1)
    pipeline.serve(answering(lambda text: (422, f"no {text[3:]!r}") if text[:2] == "no" else (200, {"said": text})))


async def test_results_have_every_row_with_its_outcome_in_every_format(pipeline: PipelineBench) -> None:
    status = await ended(pipeline)
    assert (status["state"], status["notes"]) == ("done", [])
    assert status["links"]["outputs"] == f"s3://{pipeline.context.store.bucket}/{pipeline.batch}/"
    assert await outputs(pipeline) == await outputs(pipeline, "0/") == output_names(FORMATS)
    frame = pl.read_parquet(await output(pipeline, "results.parquet"))
    assert frame.columns == ["id", "url", "note", *OUTCOME_TYPES]
    assert frame.select("id", "url", "note", "status", "status_code", "result").rows() == [
        ("1", "a", "x, y", "succeeded", 200, '{"said":"a"}'),
        ("2", "no b", None, "failed", 422, "\"no 'b'\""),
        ("3", "c", None, "succeeded", 200, '{"said":"c"}'),
        ("4", "no d", 'say "d"', "failed", 422, "\"no 'd'\""),
    ]
    table = pl.read_csv(await output(pipeline, "results.csv"), schema_overrides=frame.schema)
    assert table.equals(frame)
    lines = (await output(pipeline, "results.ndjson")).splitlines()
    assert [orjson.loads(line) for line in lines] == [
        row | {"result": orjson.loads(row["result"])} for row in frame.to_dicts()
    ]


async def test_failures_can_be_submitted_again_unchanged(pipeline: PipelineBench) -> None:
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
async def test_output_can_be_the_input_of_another_batch(pipeline: PipelineBench, key: str) -> None:
    await ended(pipeline)
    spec = {"input": f"{pipeline.batch}/{key}", "column": "url"}
    assert (await pipeline.submit(orjson.dumps(spec), batch=f"{pipeline.name}.next")).status == 201
    await pipeline.deliver_all()
    entries = (await pipeline.summary(f"{pipeline.name}.next"))["failures"]["results"]
    assert [entry["url"] for entry in entries] == ["no b", "no d"]


@pytest.mark.parametrize(
    "key", ["spec.json", "0/summary.json", "segments/0/x.ndjson", "failures.csv/x", "x/results.csv"], ids=range(5)
)
async def test_other_object_of_a_batch_cannot_be_an_input(pipeline: PipelineBench, key: str) -> None:
    await ended(pipeline)
    spec = {"input": f"{pipeline.batch}/{key}", "column": "url"}
    with pytest.raises(BadRequestError, match="is the pipeline's own"):
        await pipeline.submit(orjson.dumps(spec), batch=f"{pipeline.name}.next")


async def test_report_has_the_specification_and_the_outcome(pipeline: PipelineBench) -> None:
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
async def test_only_the_requested_formats_are_written(pipeline: PipelineBench, asked: str, there: list[str]) -> None:
    await ended(pipeline, outputs=asked)
    expected = [*there, "failures.csv", "failures.parquet", "report.json"]
    assert await outputs(pipeline) == await outputs(pipeline, "0/") == expected
    linked = document(await pipeline.handle("outputs", {"batch": pipeline.batch}))["outputs"]
    assert [link["name"] for link in linked] == expected
    assert [link["size"] for link in linked] == [len(await output(pipeline, name)) for name in expected]


async def test_redrive_replaces_all_outputs(pipeline: PipelineBench) -> None:
    await ended(pipeline, attempts="1")
    before = {name: await output(pipeline, name) for name in output_names(FORMATS)}
    pipeline.serve(answering(lambda text: (200, text)))
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert (await pipeline.status())["links"]["outputs"] is None
    await pipeline.deliver_all()
    for name, old in before.items():
        assert await output(pipeline, name) == await output(pipeline, f"1/{name}") != old
        assert await output(pipeline, f"0/{name}") == old
    assert cells(await output(pipeline, "failures.csv")) == [["id", "url", "note"]]
    report = orjson.loads(await output(pipeline, "report.json"))
    assert [(generation["items"], generation["tasks"]) for generation in report["generations"]] == [(4, 4), (2, 2)]
    assert (report["succeeded"], report["failed"], report["retried"], report["errors"]) == (4, 0, 2, [])


async def test_cancelled_batch_has_its_rows_as_failures(pipeline: PipelineBench) -> None:
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


async def test_batch_without_rows_has_empty_tables(pipeline: PipelineBench) -> None:
    status = await ended(pipeline, "url\n")
    assert (status["state"], status["items"]) == ("done", 0)
    assert pl.read_parquet(await output(pipeline, "results.parquet")).columns == ["url", *OUTCOME_TYPES]
    assert cells(await output(pipeline, "results.csv")) == [["url", *OUTCOME_TYPES]]
    assert await output(pipeline, "results.ndjson") == b""
    assert await output(pipeline, "failures.csv") == b"url\n"


async def test_batch_that_never_opened_has_no_outputs(pipeline: PipelineBench) -> None:
    await pipeline.bench().claim()
    await pipeline.context.ledger.abandon(pipeline.batch, "opener", "no column")
    status = await pipeline.status()
    assert (status["links"]["outputs"], status["notes"]) == (None, [])
    assert document(await pipeline.handle("outputs", {"batch": pipeline.batch}))["outputs"] == []


async def test_referenced_and_binary_results_are_marked(pipeline: PipelineBench) -> None:
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


async def test_hostile_column_names_are_kept(pipeline: PipelineBench) -> None:
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


async def test_maximum_number_of_columns_is_written(pipeline: PipelineBench) -> None:
    header = ",".join(f"c{number}" for number in range(16_383))
    await ended(pipeline, f"url,{header}\n" + f"no,{'x,' * 16_382}x\n" * 3)
    frame = pl.read_parquet(await output(pipeline, "results.parquet"))
    assert (frame.width, frame.height) == (16_384 + len(OUTCOME_TYPES), 3)
    assert [len(row) for row in cells(await output(pipeline, "failures.csv"))] == [16_384] * 4


async def test_deletion_removes_the_outputs_and_no_foreign_object(pipeline: PipelineBench) -> None:
    await ended(pipeline)
    theirs = [f"{pipeline.batch}/{name}" for name in ("results.xlsx", "results.csv.bak", "0/mine.csv", "x/results.csv")]
    for key in theirs:
        await pipeline.context.store.put(key, b"theirs")
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert sorted(await pipeline.objects()) == sorted(theirs)
