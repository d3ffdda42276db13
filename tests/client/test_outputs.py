"""The outputs of a batch, read through links."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import polars as pl
import pytest

from pipeline.client import BrokenError, RefusedError, UnreachableError
from pipeline.client.downloads import AT_ONCE
from pipeline.local.services.ports import free_port
from tests.rigs.client.batch_parts import ROWS, SUMMARY, files, parts, with_parts
from tests.rigs.client.contract import SIGNATURE, TOKEN, Answer, open_client

if TYPE_CHECKING:
    from pathlib import Path


async def test_frame_is_made_of_parts_and_segments() -> None:
    async with open_client() as (server, pipeline):
        with_parts(server)
        frame = await pipeline.batch("b-1").frame()
    assert [one.query for one in server.seen[:2]] == [{"batch": "b-1"}, {"batch": "b-1", "parts": "true"}]
    assert frame.select(ROWS.columns).equals(ROWS)
    assert frame.get_column("result").to_list() == ['"one"', '"two"', None]
    assert frame.get_column("status").to_list() == ["succeeded", "succeeded", "not run"]


async def test_frame_is_the_output_of_the_batch_if_there_is_one() -> None:
    written = ROWS.with_columns(pl.lit("succeeded").alias("status"))
    body = io.BytesIO()
    written.write_parquet(body)
    async with open_client() as (server, pipeline):
        with_parts(server, outputs=[server.link("b-1/results.parquet", body.getvalue(), name="results.parquet")])
        frame = await pipeline.batch("b-1").frame()
    assert frame.equals(written)
    assert [one.path for one in server.seen] == ["/function/pipeline", "/bucket/b-1/results.parquet"]


async def test_output_is_saved_by_its_name(tmp_path: Path) -> None:
    async with open_client() as (server, pipeline):
        with_parts(server, outputs=[server.link("b-1/failures.csv", b"url\n", name="failures.csv")])
        batch = pipeline.batch("b-1")
        assert await batch.save_output("failures.csv", tmp_path / "again.csv")
        assert not await batch.save_output("results.csv", tmp_path / "results.csv")
    assert (tmp_path / "again.csv").read_bytes() == b"url\n"
    assert files(tmp_path) == [tmp_path / "again.csv"]


async def test_many_parts_are_put_in_order() -> None:
    rows = pl.DataFrame({"url": [str(number) for number in range(5 * AT_ONCE)]})
    async with open_client() as (server, pipeline):
        links = [server.link(f"b/{n}.parquet", body) for n, body in enumerate(parts(rows, "url", chunk=1))]
        assert len(links) == 5 * AT_ONCE
        with_parts(server, snapshot=links, segments=[])
        frame = await pipeline.batch("b-1").frame()
    assert frame.get_column("url").to_list() == rows.get_column("url").to_list()


async def test_token_is_not_sent_to_s3() -> None:
    async with open_client(token=TOKEN) as (server, pipeline):
        with_parts(server)
        await pipeline.batch("b-1").frame()
    links = [request for request in server.seen if request.path.startswith("/bucket/")]
    assert len(links) == 4
    assert {request.query.get("X-Amz-Signature") for request in links} == {"5ec4e7"}
    assert [request for request in links if "Authorization" in request.headers] == []


async def test_summary_is_read_and_saved(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    async with open_client() as (server, pipeline):
        with_parts(server)
        batch = pipeline.batch("b-1")
        assert await batch.summary() == {"batchId": "b-1", "results": {"count": 0, "results": []}}
        assert await batch.save_summary(path)
    assert server.seen[0].query == {"batch": "b-1"}
    assert path.read_bytes() == SUMMARY
    assert files(tmp_path) == [path]


async def test_batch_that_never_opened_has_no_outputs(tmp_path: Path) -> None:
    async with open_client() as (server, pipeline):
        server.answer("outputs", {"batch_id": "b-1", "expires": 1, "summary": None})
        batch = pipeline.batch("b-1")
        assert await batch.summary() is None
        assert not await batch.save_summary(tmp_path / "summary.json")
        with pytest.raises(BrokenError, match="batch b-1 has no rows: it was never opened"):
            await batch.frame()
    assert files(tmp_path) == []


async def test_transient_error_of_s3_is_retried() -> None:
    async with open_client() as (server, pipeline):
        with_parts(server)
        server.object_answers = [Answer(status=503, text="SlowDown"), Answer(status=500, text="InternalError")]
        assert (await pipeline.batch("b-1").frame()).height == 3


async def test_link_is_requested_exactly_as_signed() -> None:
    async with open_client() as (server, pipeline):
        path = "/bucket/b%201.json?X-Amz-Credential=a%2Fb%3A&x=a%20b"
        server.objects["b 1.json"] = SUMMARY
        with_parts(server, summary={"key": "b 1.json", "url": server.url + path})
        assert await pipeline.batch("b-1").summary() is not None
    assert server.seen[-1].raw == path


@pytest.mark.parametrize("read", ["summary", "frame", "save"])
async def test_expired_link_is_named_without_its_signature(tmp_path: Path, read: str) -> None:
    async with open_client() as (server, pipeline):
        with_parts(server)
        server.object_answers = [Answer(status=403, text="AccessDenied")] * 4
        batch = pipeline.batch("b-1")
        reading = {"summary": batch.summary(), "frame": batch.frame(), "save": batch.save_summary(tmp_path / "s.json")}
        chosen = reading.pop(read)
        for other in reading.values():
            other.close()
        with pytest.raises(RefusedError, match=r"S3 at http://127.0.0.1:\d+ does not serve b-1[./].*expired") as raised:
            await chosen
    assert SIGNATURE not in str(raised.value)
    assert files(tmp_path) == []


async def test_unreachable_s3_is_named_without_its_signature() -> None:
    async with open_client(patience=0) as (server, pipeline):
        link = {"key": "b-1.json", "url": f"http://127.0.0.1:{free_port()}/b-1.json?{SIGNATURE}"}
        with_parts(server, summary=link)
        with pytest.raises(
            UnreachableError, match=r"cannot be reached from here.*setting s3_public_endpoint"
        ) as raised:
            await pipeline.batch("b-1").summary()
    assert SIGNATURE not in str(raised.value)


@pytest.mark.parametrize("url", ["nowhere", "http://["])
async def test_malformed_link_is_broken(url: str) -> None:
    async with open_client() as (server, pipeline):
        with_parts(server, summary={"key": "b-1.json", "url": url})
        with pytest.raises(BrokenError, match=r"the link to b-1.json is not a URL"):
            await pipeline.batch("b-1").summary()


async def test_object_of_another_format_is_broken() -> None:
    async with open_client() as (server, pipeline):
        with_parts(server, segments=[server.link("b-1/broken.ndjson", b"no json")])
        with pytest.raises(BrokenError, match="the rows and outcomes of b-1 cannot be read"):
            await pipeline.batch("b-1").frame()
        with_parts(server, outputs=[server.link("b-1/broken.parquet", b"<html>", name="results.parquet")])
        with pytest.raises(BrokenError, match=r"b-1/broken\.parquet is not Parquet"):
            await pipeline.batch("b-1").frame()
        with_parts(server, summary=server.link("b-1/broken.json", b"<html>"))
        with pytest.raises(BrokenError, match=r"b-1/broken\.json is not JSON"):
            await pipeline.batch("b-1").summary()


async def test_running_batch_has_no_outputs() -> None:
    async with open_client() as (server, pipeline):
        server.answer("outputs", Answer({"error": "batch 'b-1' has not ended: it is running"}, 409))
        with pytest.raises(RefusedError, match="it is running"):
            await pipeline.batch("b-1").frame()
