"""Multipart uploads and deletions when S3 fails: nothing stays behind, or it is logged."""

import asyncio

import pytest

from pipeline.errors import UnavailableError
from pipeline.store import bucket as store_module
from pipeline.store.bucket import PART_SIZE, Store
from pipeline.store.multipart import Upload
from pipeline.store.writer import Writer, put_in_parts
from pipeline.units import MIB
from tests.rigs.s3.proxy import S3Proxy, hold, lose, refuse, reply_with


async def uploads(store: Store, name: str) -> list[str]:
    """Return the keys of the unfinished uploads under this prefix."""
    answer = await store._client.list_multipart_uploads(Bucket=store.bucket, Prefix=name)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


async def test_throttled_upload_is_complete_and_leaves_no_other(
    proxied_store: Store, proxy: S3Proxy, name: str
) -> None:
    turns = iter(range(1000))
    proxy.affects = lambda _: next(turns) % 3 < 2
    proxy.faults = [refuse(503, "SlowDown")] * 1000
    async with await proxied_store.start_upload(name) as upload:
        await upload.send(b"a" * 5 * MIB)
        await upload.send(b"end")
        await upload.complete()
    proxy.faults.clear()
    assert await proxied_store.get(name) == b"a" * 5 * MIB + b"end"
    assert await uploads(proxied_store, name) == []


async def test_upload_whose_completion_gets_no_answer_is_complete(
    proxied_store: Store, proxy: S3Proxy, name: str
) -> None:
    async with await proxied_store.start_upload(name) as upload:
        await upload.send(b"part")
        proxy.faults = [lose]
        await upload.complete()
    assert await proxied_store.get(name) == b"part"
    assert await uploads(proxied_store, name) == []


async def test_failed_upload_is_aborted(proxied_store: Store, proxy: S3Proxy, name: str) -> None:
    async with await proxied_store.start_upload(name) as upload:
        await upload.send(b"a" * 5 * MIB)
        assert await uploads(proxied_store, name) == [name]
        proxy.faults = [refuse(403, "AccessDenied")]
        with pytest.raises(UnavailableError, match="AccessDenied"):
            async with upload:
                await upload.send(b"more")
        assert await uploads(proxied_store, name) == []
    assert await proxied_store.list(name) == []


async def test_failed_copy_by_parts_is_aborted(
    proxied_store: Store, proxy: S3Proxy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "COPY_LIMIT", 5 * MIB)
    source = await proxied_store.put(f"{name}/from", b"a" * 11 * MIB)
    turns = iter(range(1000))
    proxy.affects = lambda request: "partNumber" in request.query and next(turns) == 1
    proxy.faults = [refuse(403, "AccessDenied")]
    with pytest.raises(UnavailableError, match="AccessDenied"):
        await proxied_store.copy(source, f"{name}/to")
    assert proxy.faults == []
    assert await uploads(proxied_store, name) == []
    assert await proxied_store.list(name) == [source.key]


@pytest.mark.parametrize("method", ["POST", "PUT"], ids=["while it starts", "while it sends"])
async def test_cancelled_upload_is_aborted(proxied_store: Store, proxy: S3Proxy, name: str, method: str) -> None:
    reached, goes_on = asyncio.Event(), asyncio.Event()
    proxy.affects = lambda request: request.method == method
    proxy.faults = [hold(reached, goes_on)]

    async def send() -> None:
        async with await proxied_store.start_upload(name) as upload:
            await upload.send(b"a" * 5 * MIB)
            await upload.complete()

    sending = asyncio.create_task(send())
    await reached.wait()
    assert await uploads(proxied_store, name) == [name]
    sending.cancel()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await uploads(proxied_store, name) == []
    assert await proxied_store.list(name) == []


async def test_upload_that_cannot_be_aborted_is_logged_beside_the_first_error(
    proxied_store: Store, proxy: S3Proxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.affects = lambda request: request.method == "DELETE"
    proxy.faults = [refuse(403, "AccessDenied")]
    with pytest.raises(ZeroDivisionError):
        async with await proxied_store.start_upload(name):
            raise ZeroDivisionError
    (entry,) = [record for record in caplog.records if record.message == "the unfinished upload stays in S3"]
    assert entry.upload == name  # type: ignore[attr-defined]
    assert entry.error.startswith("S3 denies access")  # type: ignore[attr-defined]
    assert await proxied_store.abort_uploads(name) == 0
    await Upload.start(proxied_store._client, proxied_store.bucket, f"{name}.json", "text/plain")
    assert await proxied_store.abort_uploads(name) == 1


async def test_undeleted_objects_are_counted(proxied_store: Store, proxy: S3Proxy, name: str) -> None:
    errors = "".join(
        f"<Error><Key>{key}</Key><Code>{code}</Code></Error>"
        for key, code in (("a", "InternalError"), ("b", "AccessDenied"), ("c", "NoSuchKey"), ("d", "InternalError"))
    )
    proxy.faults = [reply_with(f"<DeleteResult>{errors}</DeleteResult>")]
    message = r"^S3 left 3 of 5 objects undeleted \(AccessDenied, InternalError\)$"
    with pytest.raises(UnavailableError, match=message):
        await proxied_store.delete_many([f"{name}/{key}" for key in "abcde"])


async def test_uploads_that_cannot_be_listed_are_logged_once(
    proxied_store: Store, proxy: S3Proxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await proxied_store.start_upload(f"{name}.json")
    proxy.faults = [refuse(403, "AccessDenied")] * 2
    assert [await proxied_store.abort_uploads(name) for _ in range(2)] == [0, 0]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "unfinished uploads stay" in caplog.text
    assert await proxied_store.abort_uploads(name) == 1


async def test_failed_writer_aborts_its_upload(proxied_store: Store, proxy: S3Proxy, name: str) -> None:
    async def record(upload: Upload) -> None:
        assert await uploads(proxied_store, name) == [upload.key]
        proxy.affects = lambda request: request.method == "PUT"
        proxy.faults = [refuse(403, "AccessDenied")]

    async def write() -> None:
        async with Writer(proxied_store, name, record) as writer:
            await writer.write(b"a" * PART_SIZE)
            await writer.close()

    with pytest.raises(UnavailableError, match="AccessDenied"):
        await write()
    assert proxy.faults == []
    assert await uploads(proxied_store, name) == []


async def test_writer_that_cannot_record_its_upload_aborts_it(proxied_store: Store, name: str) -> None:
    async def record(_: Upload) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with Writer(proxied_store, name, record) as writer:
            await writer.write(b"a" * PART_SIZE)
    assert await uploads(proxied_store, name) == []


async def test_writer_that_sent_nothing_aborts_nothing(proxied_store: Store, proxy: S3Proxy, name: str) -> None:
    async def record(_: Upload) -> None:
        raise AssertionError

    writer = Writer(proxied_store, name, record)
    await writer.write(b"small")
    with pytest.raises(ZeroDivisionError):
        async with writer:
            raise ZeroDivisionError
    assert proxy.seen == []


@pytest.mark.parametrize("more", [0, 1])
async def test_large_object_is_written_in_parts(
    store: Store, name: str, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    monkeypatch.setattr("pipeline.store.writer.LARGEST_REQUEST", PART_SIZE)
    body = b"ab" * (PART_SIZE // 2) + b"c" * more
    await put_in_parts(store, name, body)
    assert await store.get(name) == body
    assert (await store.head(name)).etag.endswith("-2") == bool(more)
