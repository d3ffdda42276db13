"""JSON in the input is JSON in the output lines, and resubmitted failures make the same calls."""

from typing import Any

import orjson
import polars as pl
import pytest

from pipeline.store.columns import OUTCOME_TYPES
from pipeline.tasks import model_call as calls
from tests.rigs.function.pipeline_bench import PipelineBench, answering

NDJSON = {"Content-Type": "application/x-ndjson"}
ROWS: list[dict[str, Any]] = [
    {"id": 1, "url": "a", "tags": ["x", None], "more": {"k": 1.5}, "status": [1]},
    {"id": 2, "url": "b", "tags": [], "more": None, "status": "text"},
    {"id": 3, "url": None, "tags": None, "more": {"k": {"deep": [True]}}, "status": 7},
]
BODY = b"\n".join(map(orjson.dumps, ROWS)) + b"\n"


@pytest.fixture(autouse=True)
def called(pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The bodies of the model calls; all but the first row fail."""
    monkeypatch.setattr(calls, "MOST_CALLS", 1)
    seen: list[str] = []

    def answer(text: str) -> tuple[int, object]:
        seen.append(text)
        return (200, {"n": 1}) if '"id":1' in text or text == "a" else (422, "no")

    pipeline.serve(answering(answer))
    return seen


async def ended(pipeline: PipelineBench, body: bytes, batch: str = "", **options: str) -> None:
    assert (await pipeline.submit(body, NDJSON, options, batch)).status == 201
    await pipeline.deliver_all()


async def test_json_rows_are_unchanged_in_the_outputs(pipeline: PipelineBench) -> None:
    await ended(pipeline, BODY, columns="id,url")
    lines = [
        orjson.loads(line)
        for line in (await pipeline.context.store.get(f"{pipeline.batch}/results.ndjson")).splitlines()
    ]
    expected = [{"input.status" if name == "status" else name: value for name, value in row.items()} for row in ROWS]
    inputs = [{name: line[name] for name in expected[0]} for line in lines]
    assert inputs == expected
    assert [line["status"] for line in lines] == ["succeeded", "failed", "failed"]
    assert [line["result"] for line in lines] == [{"n": 1}, "no", "no"]
    table = pl.read_parquet(await pipeline.context.store.get(f"{pipeline.batch}/results.parquet"))
    assert table.columns == [*expected[0], *OUTCOME_TYPES]
    assert table.schema["id"] == pl.Int64
    assert table["tags"].to_list() == ['["x",null]', "[]", None]


@pytest.mark.parametrize("options", [{"columns": "id,url,tags,more"}, {"column": "url"}, {"column": "more"}], ids=str)
async def test_resubmitted_json_failures_make_the_same_calls(
    pipeline: PipelineBench, called: list[str], options: dict[str, str]
) -> None:
    await ended(pipeline, BODY, attempts="1", **options)
    first, called[:] = called[-2:], []
    again = await pipeline.context.store.get(f"{pipeline.batch}/failures.ndjson")
    assert [orjson.loads(line) for line in again.splitlines()] == ROWS[-len(again.splitlines()) :]
    assert f"{pipeline.batch}/failures.parquet" not in await pipeline.objects()
    await ended(pipeline, again, f"{pipeline.name}.again", attempts="1", **options)
    assert called[-2:] == first
    assert await pipeline.context.store.get(f"{pipeline.name}.again/failures.ndjson") == again
