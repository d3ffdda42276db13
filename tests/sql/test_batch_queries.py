"""Queries of a batch, from the submission to the answer; a failing query never fails its batch."""

import asyncio
import io
import json
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace

from pipeline.errors import UnavailableError
from pipeline.outputs.end_batch import SQL_ATTEMPTS
from pipeline.sql.child import OUTPUTS, Answer
from pipeline.sql.runner import RUN, Queries
from pipeline.store.batch_records import BatchRecords
from pipeline.store.errors import MissingObjectError
from tests.rigs.function.pipeline_bench import CSV, PipelineBench, answering, document

ROWS = "id,url\n1,espresso\n2,tripod\n3,espresso\n4,no\n5,deep\n"
LABELS = "SELECT label, count(*) AS n FROM results GROUP BY label ORDER BY n DESC, label"
ANSWERED = {"rows": 3, "columns": ["label", "n"], "first": [["espresso", 2], ["deep", 1], ["tripod", 1]]}


def classify(text: str) -> tuple[int, Any]:
    if text == "no":
        return 422, {"why": "no picture"}
    return 200, {"label": text, "score": len(text) / 10, "deep": {"list": [{"x": text[0]}]}}


@pytest.fixture(autouse=True)
def model(pipeline: PipelineBench) -> None:
    pipeline.serve(answering(classify))


async def submitted(pipeline: PipelineBench, text: str, rows: str = ROWS, **options: str) -> None:
    response = await pipeline.submit(rows, CSV, {"column": "url", "sql": text, **options})
    assert response.status == 201, response.body


async def answered(pipeline: PipelineBench, text: str, rows: str = ROWS, **options: str) -> dict[str, Any]:
    await submitted(pipeline, text, rows, **options)
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["trouble"]) == ("done", None)
    return dict(status["sql"])


async def sql_objects(pipeline: PipelineBench, folder: str = "") -> list[str]:
    sizes = await pipeline.context.store.children(f"{pipeline.batch}/{folder}")
    return [name for name in OUTPUTS if f"{pipeline.batch}/{folder}{name}" in sizes]


async def test_query_is_answered_when_its_batch_has_ended(pipeline: PipelineBench) -> None:
    await submitted(pipeline, LABELS + " LIMIT 3")
    assert (await pipeline.status())["sql"] is None
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert status["sql"] == {**ANSWERED, "error": None}
    assert (await BatchRecords(pipeline.context.store, pipeline.name).read_status(pipeline.batch) or {})[
        "sql"
    ] == status["sql"]
    assert await sql_objects(pipeline) == await sql_objects(pipeline, "0/") == list(OUTPUTS)
    body = await pipeline.context.store.get(f"{pipeline.batch}/sql.parquet")
    assert [list(row) for row in pl.read_parquet(io.BytesIO(body)).rows()] == ANSWERED["first"]
    text = (await pipeline.context.store.get(f"{pipeline.batch}/sql.csv")).decode()
    assert text == "label,n\nespresso,2\ndeep,1\ntripod,1\n"
    found = json.loads(await pipeline.context.store.get(f"{pipeline.batch}/sql.json"))
    assert found == [{"label": label, "n": n} for label, n in ANSWERED["first"]]
    linked = document(await pipeline.handle("outputs", {"batch": pipeline.batch}))["outputs"]
    assert [link["name"] for link in linked if link["name"].startswith("sql.")] == list(OUTPUTS)
    # The fields are columns of the query only.
    body = await pipeline.context.store.get(f"{pipeline.batch}/results.parquet")
    assert not [name for name in pl.read_parquet_schema(io.BytesIO(body)) if "field" in name]
    await pipeline.handle("delete", {"batch": pipeline.batch})
    assert await pipeline.objects() == []


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("SELECT id, label FROM results WHERE score > 0.7 ORDER BY id", [["1", "espresso"], ["3", "espresso"]]),
        ("SELECT url, why FROM results WHERE status = 'failed'", [["no", "no picture"]]),
        ("SELECT result.deep.list[0].x FROM results WHERE id = '2'", [["t"]]),
        ("SELECT count(*) FROM results WHERE nothing IS NULL", [[5]]),
        ("SELECT sum(nothing) AS s, max(upper(never)) AS m FROM results", [[None, None]]),
    ],
)
async def test_query_reads_fields_and_columns_of_every_row(
    pipeline: PipelineBench, text: str, first: list[list[Any]]
) -> None:
    assert (await answered(pipeline, text))["first"] == first


async def test_unknown_field_is_noted(pipeline: PipelineBench) -> None:
    await answered(pipeline, "SELECT url, lable, result.deep.list[3].x, score FROM results WHERE id = '2'")
    missing = ["lable", "deep.list[3].x"]
    notes = [f"sql: {name!r} is no column, and no result has such a field" for name in missing]
    assert sorted((await pipeline.status())["notes"]) == sorted(notes)


async def test_query_of_known_fields_has_no_note(pipeline: PipelineBench) -> None:
    await answered(pipeline, LABELS)
    assert (await pipeline.status())["notes"] == []


async def test_referenced_result_is_null_in_a_query(pipeline: PipelineBench) -> None:
    answer = await answered(pipeline, "SELECT count(label) AS l, count(result_ref) AS r FROM results", inline_limit="0")
    assert answer["first"] == [[0, 5]]


@pytest.mark.parametrize("rows", ["url\n", "id,url\n"])
async def test_batch_without_rows_is_queried(pipeline: PipelineBench, rows: str) -> None:
    assert (await answered(pipeline, "SELECT count(*) AS n FROM results", rows))["first"] == [[0]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT CAST(label AS BIGINT) AS x FROM results", "Could not convert string 'espresso' to INT64"),
        ("SELECT CAST(label AS BIGINT) AS x FROM results", 'LINE 2: SELECT CAST("label" AS BIGINT) AS x FROM results'),
        ("SELECT label FROM results WHERE label = 7", "Could not convert string 'espresso' to INT"),
        (
            "SELECT lower(score) AS x FROM results",
            "No function matches the given name and argument types 'lower(DOUBLE)'",
        ),
    ],
)
async def test_query_that_fails_at_the_end_fails_no_batch(pipeline: PipelineBench, text: str, words: str) -> None:
    answer = await answered(pipeline, text)
    assert words in answer["error"]
    assert (answer["rows"], answer["columns"], answer["first"]) == (0, [], [])
    assert await sql_objects(pipeline) == []
    assert (await pipeline.summary())["results"]["count"] == 4


async def test_query_over_its_limits_fails_no_batch(pipeline: PipelineBench) -> None:
    object.__setattr__(pipeline.context, "queries", Queries(run=replace(RUN, seconds=0.5)))
    many = "url\n" + "".join(f"r{number}\n" for number in range(500))
    crossed = "SELECT count(*) AS n FROM " + ", ".join(f"results r{number}" for number in range(5))
    answer = await answered(pipeline, crossed, many, chunk="100")
    assert answer["error"] == "it took more than 0.5 s"


async def test_query_without_a_process_fails_no_batch(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    await submitted(pipeline, LABELS)
    monkeypatch.setattr(asyncio, "create_subprocess_exec", full)
    await pipeline.deliver_all()
    answer = (await pipeline.status())["sql"]
    assert answer["error"] == "no process can be started: Resource temporarily unavailable"
    with pytest.raises(UnavailableError, match="no process can be started"):
        await pipeline.submit(ROWS, CSV, {"column": "url", "sql": LABELS}, f"{pipeline.name}.other")
    assert await pipeline.objects(f"{pipeline.name}.other") == []


async def run_until_the_reduce(pipeline: PipelineBench, generation: str) -> None:
    while (pipeline.queue[0].mode, pipeline.queue[0].query["generation"]) != ("reduce", generation):
        await pipeline.deliver(pipeline.queue.pop(0))


async def test_redrive_removes_the_answer_and_writes_a_new_one(pipeline: PipelineBench) -> None:
    failed = "SELECT count(*) AS n FROM results WHERE status = 'failed'"
    assert (await answered(pipeline, failed))["first"] == [[1]]
    pipeline.serve(answering(lambda text: (200, {"label": text})))
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    assert (await pipeline.status())["sql"] is None
    await pipeline.deliver_all()
    assert (await pipeline.status())["sql"]["first"] == [[0]]
    assert await sql_objects(pipeline, "1/") == list(OUTPUTS)


async def test_answer_of_an_earlier_generation_is_removed(pipeline: PipelineBench) -> None:
    await answered(pipeline, "SELECT CAST(coalesce(kind, '7') AS BIGINT) AS x FROM results")
    assert await sql_objects(pipeline) == list(OUTPUTS)
    pipeline.serve(answering(lambda text: (200, {"kind": text})))
    await pipeline.handle("redrive", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    assert "Could not convert string" in (await pipeline.status())["sql"]["error"]
    assert await sql_objects(pipeline) == []
    assert await sql_objects(pipeline, "0/") == list(OUTPUTS)


async def test_reduce_interrupted_twice_runs_no_query(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> None:
    await submitted(pipeline, LABELS)
    await run_until_the_reduce(pipeline, "0")
    bench = pipeline.bench()
    for number in range(SQL_ATTEMPTS):
        assert (await bench.ledger.lease_reduce(pipeline.batch, f"dead {number}", 0)).verdict == "leased"
        await bench.age(lease_until=-1)

    async def never(*_: object) -> Answer:
        raise AssertionError

    monkeypatch.setattr(Queries, "run", never)
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert status["sql"]["error"] == "it was given up after 2 attempts in which the reduce was cut off"
    assert status["notes"] == []
    assert await sql_objects(pipeline) == []
    with pytest.raises(MissingObjectError):
        await pipeline.context.store.get(f"{pipeline.batch}/sql.csv")
    assert (await pipeline.summary())["results"]["count"] == 4


async def test_batch_without_a_query_has_no_answer(pipeline: PipelineBench) -> None:
    await pipeline.submit_rows("a", "b")
    await pipeline.deliver_all()
    assert (await pipeline.status())["sql"] is None
    assert await sql_objects(pipeline) == []


async def test_cancelled_batch_is_queried(pipeline: PipelineBench) -> None:
    await submitted(pipeline, "SELECT status, count(*) AS n FROM results GROUP BY status ORDER BY status", window="1")
    await pipeline.deliver(pipeline.queue.pop(0))
    await pipeline.handle("cancel", {"batch": pipeline.batch})
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert status["state"] == "cancelled"
    assert status["sql"]["error"] is None
    assert sum(n for _, n in status["sql"]["first"]) == 5
    assert dict(status["sql"]["first"])["not run"] >= 1


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM results",
        'SELECT array_agg(url) AS "^.*$", array_agg(label) AS n FROM results',
        'SELECT url AS "^u.*$", url AS "*" FROM results',
    ],
    ids=["all", "a pattern of what is nested", "patterns"],
)
async def test_column_names_special_to_polars_are_accepted(pipeline: PipelineBench, text: str) -> None:
    """Pandas writes its index as a column without a name."""
    answer = await answered(pipeline, text, ",url\n0,a\n1,b\n")
    assert (answer["error"], answer["rows"] > 0) == (None, True)


@pytest.mark.parametrize(("csv_safe", "prefix"), [("false", ""), ("true", "'")])
async def test_csv_outputs_have_formulas_unless_they_are_safe(
    pipeline: PipelineBench, csv_safe: str, prefix: str
) -> None:
    pipeline.serve(answering(lambda text: (422 if text == "no" else 200, text)))
    await answered(pipeline, "SELECT id FROM results ORDER BY url", "id,url\n=1,espresso\n-2,no\n", csv_safe=csv_safe)

    async def lines(name: str) -> list[str]:
        return (await pipeline.context.store.get(f"{pipeline.batch}/{name}")).decode().splitlines()

    assert [line.partition(",")[0] for line in await lines("results.csv")] == ["id", f"{prefix}=1", f"{prefix}-2"]
    assert await lines("sql.csv") == ["id", f"{prefix}=1", f"{prefix}-2"]
    assert await lines("failures.csv") == ["id,url", "-2,no"]
    assert json.loads("".join(await lines("sql.json"))) == [{"id": "=1"}, {"id": "-2"}]
