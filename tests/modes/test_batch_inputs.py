"""batch: inputs of every format, and items that are JSON."""

import gzip
import io
from collections.abc import Callable
from typing import Any

import orjson
import polars as pl
import pytest
from aiohttp import web
from backports import zstd

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.spec.input_format import content_type_of
from pipeline.store.columns import INDEX, ITEM, TASK
from tests.rigs.function.pipeline_bench import PipelineBench, document
from tests.rigs.function.snapshots import put, snapshot

ROWS = pl.DataFrame(
    {"url": ["a", "b,\tc", None], "n": [1, None, 3], "f": [0.5, 1.0, None], "tags": [["x"], [], None]},
    schema={"url": pl.String, "n": pl.Int64, "f": pl.Float64, "tags": pl.List(pl.String)},
)
FLAT = ROWS.drop("tags")


def _written(write: Callable[[io.BytesIO], Any]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


BODIES: dict[str, bytes] = {
    "csv": _written(FLAT.write_csv),
    "tsv": _written(lambda buffer: FLAT.write_csv(buffer, separator="\t")),
    "parquet": _written(ROWS.write_parquet),
    "ndjson": _written(ROWS.write_ndjson),
    "json": b"[" + b",\n".join(_written(ROWS.write_ndjson).splitlines()) + b"]",
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": lambda body: gzip.compress(body, mtime=0),
    ".zst": zstd.compress,
}
SCHEMAS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(["csv", "tsv"], dict.fromkeys(FLAT.columns, pl.String)),
    "parquet": dict(ROWS.schema),
    **dict.fromkeys(["ndjson", "json"], dict(ROWS.schema) | {"tags": pl.String}),
}
OBJECT = b'{"n":1,"url":"a","tags":["x"]}'
Pipeline = PipelineBench


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("form", BODIES)
async def test_every_format_gives_the_same_rows(pipeline: Pipeline, form: str, packing: str) -> None:
    if form == "parquet" and packing:
        return
    key = await put(pipeline, f"rows.{form}{packing}", PACKERS[packing](BODIES[form]))
    assert document(await pipeline.submit(key))["batch_size"] == ROWS.height
    found = await snapshot(pipeline)
    own = {ITEM if name == "url" else name: dtype for name, dtype in SCHEMAS[form].items()}
    assert found.schema == own | {INDEX: pl.Int64, TASK: pl.Int64}
    items = ["a", "b,\tc", "" if form in {"csv", "tsv"} else None]
    assert found[ITEM].to_list() == items
    assert found["n"].cast(pl.Int64).to_list() == ROWS["n"].to_list()
    assert found["f"].cast(pl.Float64).to_list() == ROWS["f"].to_list()
    manifest = await pipeline.context.snapshots.manifest(pipeline.batch, 0)
    assert (manifest.column, manifest.derived, manifest.json_items) == ("url", False, False)
    assert [(await pipeline.context.snapshots.items(pipeline.batch, "", 0, task))[0].text for task in range(3)] == [
        *["a", "b,\tc", ""]
    ]


@pytest.mark.parametrize("form", BODIES)
async def test_body_of_every_format_is_stored_and_read(pipeline: Pipeline, form: Any) -> None:
    headers = {"Content-Type": content_type_of(form)}
    assert document(await pipeline.submit(BODIES[form], headers))["batch_size"] == ROWS.height
    assert await pipeline.context.store.get(f"{pipeline.batch}/input.{form}") == BODIES[form]
    assert (await snapshot(pipeline))[ITEM].to_list()[:2] == ["a", "b,\tc"]
    assert (await pipeline.submit(BODIES[form], headers)).status == 200
    other = f"{pipeline.name}.other"
    again = await pipeline.submit(f"{pipeline.batch}/input.{form}", batch=other)
    assert document(again)["batch_size"] == ROWS.height
    pipeline.queue.clear()


async def test_format_of_the_specification_overrides_the_key(pipeline: Pipeline) -> None:
    key = await put(pipeline, "rows.csv", BODIES["ndjson"])
    with pytest.raises(BadRequestError, match="it is JSON: format ndjson reads an object a line"):
        await pipeline.submit(key)
    assert (await pipeline.submit(key, query={"format": "ndjson"})).status == 201


async def sent(pipeline: Pipeline, body: bytes, form: Any, **query: str) -> list[tuple[bytes, str]]:
    """Run a batch; returns the bodies and content types of the model calls."""
    calls: list[tuple[bytes, str]] = []

    async def model(request: Any, received: bytes) -> Any:
        calls.append((received, request.headers["Content-Type"]))
        if query.get("chunk_call"):
            return web.json_response([0] * len(orjson.loads(received)))
        return web.json_response(0)

    pipeline.serve(model)
    assert (await pipeline.submit(body, {"Content-Type": content_type_of(form)}, query)).status == 201
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"
    return calls


JSON_TYPE = "application/json"


@pytest.mark.parametrize("form", ["parquet", "ndjson", "json"])
async def test_columns_are_sent_as_an_object_with_their_types(pipeline: Pipeline, form: str) -> None:
    calls = await sent(pipeline, BODIES[form], form, columns="n,url,tags")
    assert calls == [
        (OBJECT, JSON_TYPE),
        (b'{"n":null,"url":"b,\\tc","tags":[]}', JSON_TYPE),
        (b'{"n":3,"url":null,"tags":null}', JSON_TYPE),
    ]
    summary = await pipeline.summary()
    assert summary["results"]["results"][0]["item"] == {"n": 1, "url": "a", "tags": ["x"]}
    assert [entry["item"]["n"] for entry in summary["results"]["results"]] == [1, None, 3]
    found = await snapshot(pipeline)
    assert found.columns == [*ROWS.columns, ITEM, INDEX, TASK]
    assert found["n"].to_list() == ROWS["n"].to_list()


async def test_columns_of_a_csv_are_text(pipeline: Pipeline) -> None:
    calls = await sent(pipeline, BODIES["csv"], "csv", columns="f,url")
    assert [orjson.loads(body) for body, _ in calls] == [
        {"f": "0.5", "url": "a"},
        {"f": "1.0", "url": "b,\tc"},
        {"f": None, "url": None},
    ]


async def test_chunk_call_contains_the_objects_themselves(pipeline: Pipeline) -> None:
    calls = await sent(pipeline, BODIES["parquet"], "parquet", columns="n", chunk_call="true", chunk="2")
    assert calls == [(b'[{"n":1},{"n":null}]', JSON_TYPE), (b'[{"n":3}]', JSON_TYPE)]


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
@pytest.mark.parametrize(
    ("column", "bodies"),
    [("n", [b"1", b"null", b"3"]), ("f", [b"0.5", b"1.0", b"null"]), ("tags", [b'["x"]', b"[]", b"null"])],
)
async def test_cell_that_is_not_text_is_sent_as_json(
    pipeline: Pipeline, form: str, column: str, bodies: list[bytes]
) -> None:
    assert await sent(pipeline, BODIES[form], form, column=column) == [(body, JSON_TYPE) for body in bodies]
    entries = (await pipeline.summary())["results"]["results"]
    assert [entry[column] for entry in entries] == [orjson.loads(body) for body in bodies]


async def test_cells_that_are_not_text_are_json_in_a_chunk(pipeline: Pipeline) -> None:
    calls = await sent(pipeline, BODIES["ndjson"], "ndjson", column="tags", chunk_call="true", chunk="3")
    assert calls == [(b'[["x"],[],null]', JSON_TYPE)]


async def test_failed_items_are_retried_unchanged(pipeline: Pipeline) -> None:
    calls: list[tuple[bytes, str]] = []

    async def model(request: Any, received: bytes) -> Any:
        calls.append((received, request.headers["Content-Type"]))
        return web.json_response("later", status=500 if len(calls) <= 15 else 200)

    pipeline.serve(model)
    body = _written(ROWS.head(1).write_parquet)
    headers = {"Content-Type": content_type_of("parquet")}
    await pipeline.submit(body, headers, {"columns": "n,url,tags", "attempts": "2"})
    await pipeline.deliver_all()
    assert set(calls) == {(OBJECT, JSON_TYPE)}
    parts = await pipeline.context.store.list(f"{pipeline.batch}/input/1/")
    (again,) = [pl.read_parquet(io.BytesIO(await pipeline.context.store.get(key))) for key in parts]
    assert again.schema == (await snapshot(pipeline)).schema
    assert (await pipeline.context.snapshots.manifest(pipeline.batch, 1)).json_items


async def test_rebuilt_batch_continues_with_json_items(pipeline: Pipeline) -> None:
    calls: list[bytes] = []

    async def model(_request: Any, received: bytes) -> Any:
        calls.append(received)
        return web.json_response(0)

    pipeline.serve(model)
    await pipeline.submit(BODIES["ndjson"], {"Content-Type": content_type_of("ndjson")}, {"columns": "n"})
    pipeline.queue.clear()
    await pipeline.redis.flushall()
    pipeline.forget()
    with pytest.raises(UnavailableError, match="is being rebuilt"):
        await pipeline.status()
    await pipeline.deliver_all()
    assert (await pipeline.status())["state"] == "done"
    assert sorted(calls) == [b'{"n":1}', b'{"n":3}', b'{"n":null}']


@pytest.mark.parametrize(
    ("form", "query", "says"),
    [
        ("parquet", {"columns": "n,x"}, "there is no column 'x'; the columns are: url, n, f, tags"),
        ("ndjson", {"column": "x"}, "there is no column 'x'; the columns are: url, n, f, tags"),
        ("csv", {"columns": "tags"}, "there is no column 'tags'; the columns are: url, n, f"),
    ],
)
async def test_missing_column_is_named(pipeline: Pipeline, form: Any, query: dict[str, str], says: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        await pipeline.submit(BODIES[form], {"Content-Type": content_type_of(form)}, query)
    assert str(caught.value) == says
    assert await pipeline.objects() == []


@pytest.mark.parametrize("query", [{"column": "raw"}, {"columns": "url,raw"}, {"columns": "deep"}])
async def test_binary_items_are_refused(pipeline: Pipeline, query: dict[str, str]) -> None:
    frame = pl.DataFrame({"url": ["a"], "raw": [b"\xff"], "deep": [{"x": [b"\xff"]}]})
    with pytest.raises(BadRequestError, match="holds bytes, which no item can"):
        await pipeline.submit(_written(frame.write_parquet), {"Content-Type": content_type_of("parquet")}, query)
    assert await pipeline.objects() == []


async def test_input_without_rows_or_columns_is_accepted(pipeline: Pipeline) -> None:
    for number, (form, body) in enumerate(
        [("json", b"[]"), ("ndjson", b"\n"), ("parquet", _written(ROWS.clear().write_parquet))]
    ):
        batch = f"{pipeline.name}.{number}"
        headers = {"Content-Type": "application/json" if form == "json" else content_type_of(form)}  # type: ignore[arg-type]
        answer = document(await pipeline.submit(body, headers, {"columns": "url"}, batch))
        assert (answer["batch_size"], answer["tasks"]) == (0, 0)
    await pipeline.deliver_all()
    assert {(await pipeline.status(f"{pipeline.name}.{number}"))["state"] for number in range(3)} == {"done"}


@pytest.mark.parametrize(("form", "mark"), [("csv", ";"), ("csv", "\t"), ("tsv", ","), ("csv", "|")])
async def test_delimiter_is_detected_or_asked_for(pipeline: Pipeline, form: str, mark: str) -> None:
    key = await put(pipeline, f"rows.{form}", f"url{mark}n\na{mark}1\n".encode())
    odd = await put(pipeline, f"odd.{form}", f"url{mark}n\na\n".encode())
    with pytest.raises(BadRequestError, match=r"the delimiter of the input is not certain; its first lines are 'url"):
        await pipeline.submit(odd)
    assert (await pipeline.submit(key, {}, {}, f"{pipeline.name}.1")).status == 201
    assert (await pipeline.context.snapshots.items(f"{pipeline.name}.1", "0", 0, 0))[0].text == "a"
    assert (await pipeline.submit(key, query={"column": f"url{mark}n"})).status == 201
    assert (await snapshot(pipeline))[ITEM].to_list() == [f"a{mark}1"]
