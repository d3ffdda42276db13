"""A query of a large input: checked against its head at the submission, and against all of it at the opening."""

import gzip
import io

import orjson
import polars as pl
import pytest
from backports import zstd

from pipeline.errors import BadRequestError
from pipeline.inputs import peek_columns as heads
from pipeline.inputs import s3_prefix as prefixes
from pipeline.inputs.peek_columns import HEAD, peek_columns
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.object_info import ObjectInfo
from tests.rigs.function.pipeline_bench import PipelineBench, document

TEXT: pl.DataType = pl.String()
LINES = b"id,url\r\n" + b"".join(b"%d,%d.jpg\r\n" % (row, row) for row in range(200_000))
BOTH: dict[str, pl.DataType] = {"id": TEXT, "url": TEXT}


def asked(key: str) -> BatchSpec:
    return BatchSpec(input=key, function="model")


def parquet() -> bytes:
    buffer = io.BytesIO()
    rows = pl.DataFrame({"id": [1, 2], "url": ["a", "b"], "at": [[0.5], []], "kind": ["x", None]})
    rows.with_columns(pl.col("kind").cast(pl.Categorical)).write_parquet(buffer)
    return buffer.getvalue()


async def stored(pipeline: PipelineBench, body: bytes, name: str = "large.csv") -> ObjectInfo:
    key = f"{pipeline.name}/{name}"
    await pipeline.context.store.put(key, body)
    return await pipeline.context.store.head(key)


TYPED: dict[str, pl.DataType] = {"id": pl.Int64(), "url": TEXT, "at": pl.List(pl.Float64()), "kind": TEXT}
OBJECTS: dict[str, tuple[str, bytes, dict[str, pl.DataType] | None]] = {
    "lines": ("a.csv", LINES, BOTH),
    "gzip": ("a.csv.gz", gzip.compress(LINES), BOTH),
    "zstd": ("a.csv.zst", zstd.compress(LINES), BOTH),
    "tabs": ("a.tsv", LINES.replace(b",", b"\t"), BOTH),
    "a mark": ("a.csv", b"\xef\xbb\xbf" + LINES, BOTH),
    "a quoted header": ("a.csv", b'"a,b\nc",url\n1,2\n', {"a,b\nc": TEXT, "url": TEXT}),
    "no rows": ("a.csv", b"id,url\n", BOTH),
    "parquet": ("a.parquet", parquet(), TYPED),
    "nothing": ("a.csv", b"", None),
    "no line": ("a.csv", b"id,url", None),
    "a long header": ("a.csv", b"id,url," + b"x" * HEAD + b"\n", None),
    "broken gzip": ("a.csv", gzip.compress(LINES)[:20], None),
    "broken zstd": ("a.csv", b"\x28\xb5\x2f\xfd" + b"\xff" * 100, None),
    "a bomb": ("a.csv", gzip.compress(bytes(16 * HEAD)), None),
    "a long footer": ("a.pq", b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1", None),
    "a broken footer": ("a.pq", b"PAR1" + b"\xff" * 100 + (80).to_bytes(4, "little") + b"PAR1", None),
    "no footer": ("a.pq", b"PAR1" + bytes(100), None),
    "no parquet": ("a.pq", b"PAR1", None),
    "lines of JSON": ("a.ndjson", b'{"id": 1}\n', None),
    "an array": ("a.json", b'[{"id": 1}]\n', None),
}


@pytest.mark.parametrize(("name", "body", "columns"), OBJECTS.values(), ids=list(OBJECTS))
async def test_columns_are_read_from_the_head_of_an_object(
    pipeline: PipelineBench, name: str, body: bytes, columns: dict[str, pl.DataType] | None
) -> None:
    found = await stored(pipeline, body, name)
    assert await peek_columns(pipeline.context, asked(found.key), found) == columns


async def test_columns_of_a_prefix_are_known(pipeline: PipelineBench) -> None:
    found = ObjectInfo(f"{pipeline.name}/folder/", "", 0)
    assert await peek_columns(pipeline.context, asked(found.key), found) == prefixes.SCHEMA


async def test_changed_object_is_not_read(pipeline: PipelineBench) -> None:
    found = await stored(pipeline, LINES)
    await stored(pipeline, b"other,columns\n1,2\n")
    with pytest.raises(BadRequestError, match="changed while it was being read"):
        await peek_columns(pipeline.context, asked(found.key), found)


def spec(found: ObjectInfo, text: str) -> bytes:
    return orjson.dumps({"input": found.key, "column": "url", "sql": text})


async def test_query_is_checked_against_the_head_of_a_large_input(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    found = await stored(pipeline, b"id,url\n1,a\n2,b\n")
    with pytest.raises(BadRequestError, match='table "nothing" not found'):
        await pipeline.submit(spec(found, "SELECT upper(nothing.id) FROM results"))
    assert await pipeline.objects() == []
    assert pipeline.queue == []
    response = await pipeline.submit(spec(found, "SELECT id, label FROM results"))
    assert (response.status, document(response)["state"]) == (202, "opening")


async def test_query_refused_by_the_whole_input_fails_the_batch_before_any_task(
    pipeline: PipelineBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.inputs.find_input.INLINE_SNAPSHOT", 3)
    monkeypatch.setattr(heads, "HEAD", 3)
    found = await stored(pipeline, b"id,url\n1,a\n2,b\n")
    response = await pipeline.submit(spec(found, "SELECT upper(nothing.id) FROM results"))
    assert response.status == 202
    await pipeline.deliver_all()
    status = await pipeline.status()
    assert (status["state"], status["sql"]) == ("failed", None)
    assert 'table "nothing" not found' in status["reason"]
    assert [message.mode for message in pipeline.delivered] == ["open"]
