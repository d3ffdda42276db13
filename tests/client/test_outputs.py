"""What a batch brought, read through links."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

from pipeline.client import BrokenError, RefusedError, UnreachableError
from pipeline.client.downloads import AT_ONCE
from pipeline.local.services.ports import free_port
from tests.client.test_joining import ROWS, outcome, parts, segment
from tests.rigs.client.contract import SIGNATURE, TOKEN, Answer, Contract, called

if TYPE_CHECKING:
    from pathlib import Path


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


SUMMARY = b'{"batchId": "b-1", "results": {"count": 0, "results": []}}'


def with_parts(server: Contract, **more: Any) -> dict[str, Any]:
    """Answer as for a batch of three rows: one failed and succeeded then, one succeeded, one never ran."""
    first = segment(outcome(0, '"no"', failed=True), outcome(1, '"two"'))
    segments = [(0, first), (1, segment(outcome(0, '"one"')))]
    document = {
        "batch_id": "b-1",
        "expires": 9.5,
        "summary": server.link("b-1.json", SUMMARY),
        "column": "url",
        "snapshot": [server.link(f"b-1/{n}.parquet", body) for n, body in enumerate(parts(ROWS, "url"))],
        "segments": [server.link(f"b-1/{n}.ndjson", body, generation=n) for n, body in segments],
        **more,
    }
    server.answer("outputs", document)
    return document


async def test_the_frame_is_made_of_parts_and_segments() -> None:
    async with called() as (server, pipeline):
        with_parts(server)
        frame = await pipeline.batch("b-1").frame()
    assert [one.query for one in server.seen[:2]] == [{"batch": "b-1"}, {"batch": "b-1", "parts": "true"}]
    assert frame.select(ROWS.columns).equals(ROWS)
    assert frame.get_column("result").to_list() == ['"one"', '"two"', None]
    assert frame.get_column("status").to_list() == ["succeeded", "succeeded", "not run"]


async def test_the_frame_is_what_the_batch_has_written_itself() -> None:
    written = ROWS.with_columns(pl.lit("succeeded").alias("status"))
    body = io.BytesIO()
    written.write_parquet(body)
    async with called() as (server, pipeline):
        with_parts(server, outputs=[server.link("b-1/results.parquet", body.getvalue(), name="results.parquet")])
        frame = await pipeline.batch("b-1").frame()
    assert frame.equals(written)
    assert [one.path for one in server.seen] == ["/function/pipeline", "/bucket/b-1/results.parquet"]


async def test_an_output_is_saved_by_its_name(tmp_path: Path) -> None:
    async with called() as (server, pipeline):
        with_parts(server, outputs=[server.link("b-1/failures.csv", b"url\n", name="failures.csv")])
        batch = pipeline.batch("b-1")
        assert await batch.save_output("failures.csv", tmp_path / "again.csv")
        assert not await batch.save_output("results.csv", tmp_path / "results.csv")
    assert (tmp_path / "again.csv").read_bytes() == b"url\n"
    assert files(tmp_path) == [tmp_path / "again.csv"]


async def test_many_parts_are_put_in_their_order() -> None:
    rows = pl.DataFrame({"url": [str(number) for number in range(5 * AT_ONCE)]})
    async with called() as (server, pipeline):
        links = [server.link(f"b/{n}.parquet", body) for n, body in enumerate(parts(rows, "url", chunk=1))]
        assert len(links) == 5 * AT_ONCE
        with_parts(server, snapshot=links, segments=[])
        frame = await pipeline.batch("b-1").frame()
    assert frame.get_column("url").to_list() == rows.get_column("url").to_list()


async def test_the_token_is_not_shown_to_s3() -> None:
    async with called(token=TOKEN) as (server, pipeline):
        with_parts(server)
        await pipeline.batch("b-1").frame()
    links = [request for request in server.seen if request.path.startswith("/bucket/")]
    assert len(links) == 4
    assert {request.query.get("X-Amz-Signature") for request in links} == {"5ec4e7"}
    assert [request for request in links if "Authorization" in request.headers] == []


async def test_the_summary_is_read_and_saved(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    async with called() as (server, pipeline):
        with_parts(server)
        batch = pipeline.batch("b-1")
        assert await batch.summary() == {"batchId": "b-1", "results": {"count": 0, "results": []}}
        assert await batch.save_summary(path)
    assert server.seen[0].query == {"batch": "b-1"}
    assert path.read_bytes() == SUMMARY
    assert files(tmp_path) == [path]


async def test_a_batch_that_was_never_opened_left_nothing(tmp_path: Path) -> None:
    async with called() as (server, pipeline):
        server.answer("outputs", {"batch_id": "b-1", "expires": 1, "summary": None})
        batch = pipeline.batch("b-1")
        assert await batch.summary() is None
        assert not await batch.save_summary(tmp_path / "summary.json")
        with pytest.raises(BrokenError, match="batch b-1 has no rows: it was never opened"):
            await batch.frame()
    assert files(tmp_path) == []


async def test_what_s3_cannot_give_just_now_is_read_again() -> None:
    async with called() as (server, pipeline):
        with_parts(server)
        server.object_answers = [Answer(status=503, text="SlowDown"), Answer(status=500, text="InternalError")]
        assert (await pipeline.batch("b-1").frame()).height == 3


async def test_a_link_is_read_as_it_is_signed() -> None:
    async with called() as (server, pipeline):
        path = "/bucket/b%201.json?X-Amz-Credential=a%2Fb%3A&x=a%20b"
        server.objects["b 1.json"] = SUMMARY
        with_parts(server, summary={"key": "b 1.json", "url": server.url + path})
        assert await pipeline.batch("b-1").summary() is not None
    assert server.seen[-1].raw == path


@pytest.mark.parametrize("read", ["summary", "frame", "save"])
async def test_a_link_that_has_expired_is_named_without_its_signature(tmp_path: Path, read: str) -> None:
    async with called() as (server, pipeline):
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


async def test_an_s3_that_cannot_be_reached_from_here_is_named_without_its_signature() -> None:
    async with called(patience=0) as (server, pipeline):
        link = {"key": "b-1.json", "url": f"http://127.0.0.1:{free_port()}/b-1.json?{SIGNATURE}"}
        with_parts(server, summary=link)
        with pytest.raises(
            UnreachableError, match=r"cannot be reached from here.*setting s3_public_endpoint"
        ) as raised:
            await pipeline.batch("b-1").summary()
    assert SIGNATURE not in str(raised.value)


@pytest.mark.parametrize("url", ["nowhere", "http://["])
async def test_a_link_that_is_none_is_broken(url: str) -> None:
    async with called() as (server, pipeline):
        with_parts(server, summary={"key": "b-1.json", "url": url})
        with pytest.raises(BrokenError, match=r"the link to b-1.json is not a URL"):
            await pipeline.batch("b-1").summary()


async def test_objects_that_are_something_else_are_broken() -> None:
    async with called() as (server, pipeline):
        with_parts(server, segments=[server.link("b-1/broken.ndjson", b"no json")])
        with pytest.raises(BrokenError, match="the rows and outcomes of b-1 cannot be read"):
            await pipeline.batch("b-1").frame()
        with_parts(server, outputs=[server.link("b-1/broken.parquet", b"<html>", name="results.parquet")])
        with pytest.raises(BrokenError, match=r"b-1/broken\.parquet is not Parquet"):
            await pipeline.batch("b-1").frame()
        with_parts(server, summary=server.link("b-1/broken.json", b"<html>"))
        with pytest.raises(BrokenError, match=r"b-1/broken\.json is not JSON"):
            await pipeline.batch("b-1").summary()


async def test_a_batch_that_runs_has_no_outputs() -> None:
    async with called() as (server, pipeline):
        server.answer("outputs", Answer({"error": "batch 'b-1' has not ended: it is running"}, 409))
        with pytest.raises(RefusedError, match="it is running"):
            await pipeline.batch("b-1").frame()
