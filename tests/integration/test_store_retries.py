"""An S3 that is slow, away for a moment or breaks off, in front of the real one: what the store does about it."""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from botocore.retries.standard import ExponentialBackoff

from pipeline import store as store_module
from pipeline.errors import BadRequestError, UnavailableError
from pipeline.local.services import S3Info
from pipeline.models import MIB
from pipeline.s3 import ATTEMPTS
from pipeline.store import Store
from tests.integration.conftest import connection
from tests.integration.s3_proxy import Fault, S3Proxy, cut, drop, hold, lose, refuse, s3_proxy, say

Operation = Callable[[Store, str, Path], Awaitable[object]]

AWAY: dict[str, Fault] = {
    "slow down": refuse(503, "SlowDown"),
    "429": refuse(429, "TooManyRequests"),
    "internal error": refuse(500, "InternalError"),
    "dropped": drop,
}


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(s3: S3Info) -> AsyncIterator[S3Proxy]:
    async with s3_proxy(s3.endpoint) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def far(proxy: S3Proxy, s3: S3Info, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Store]:
    """The store behind the proxy; its client waits for nothing before it tries again."""
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0)
    async with Store.connect(*connection(dataclasses.replace(s3, endpoint=proxy.url))) as opened:
        yield opened


async def uploads(store: Store, name: str) -> list[str]:
    """Return the keys of the unfinished uploads under this prefix."""
    answer = await store._client.list_multipart_uploads(Bucket=store.bucket, Prefix=name)
    return [upload["Key"] for upload in answer.get("Uploads", [])]


async def _download(store: Store, key: str, folder: Path) -> None:
    await store.download(key, (await store.head(key)).etag, folder / "file")


async def _upload(store: Store, key: str, _: Path) -> object:
    async with await store.start_upload(key) as upload:
        await upload.send(b"part")
        return await upload.complete()


async def _abort(store: Store, key: str, _: Path) -> object:
    await store.start_upload(f"{key}/0")
    assert await store.abort_uploads(key) == 1
    return await store.abort_uploads(key)


OPERATIONS: dict[str, Operation] = {
    "head": lambda store, key, _: store.head(key),
    "get": lambda store, key, _: store.get(key),
    "download": _download,
    "put": lambda store, key, _: store.put(key, b"new"),
    "delete": lambda store, key, _: store.delete(key),
    "delete_many": lambda store, key, _: store.delete_many([key, f"{key}/no"]),
    "list": lambda store, key, _: store.list(key),
    "list_aged": lambda store, key, _: store.list_aged(key),
    "copy": lambda store, key, _: _copy(store, key),
    "upload": _upload,
    "abort_uploads": _abort,
}


async def _copy(store: Store, key: str) -> None:
    await store.copy(await store.head(key), f"{key}/to")


@pytest.mark.parametrize(
    ("operation", "fault"),
    [
        *itertools.product(OPERATIONS, ["slow down", "dropped"]),
        ("head", "429"),
        ("put", "429"),
        ("get", "internal error"),
    ],
)
async def test_every_operation_rides_out_an_s3_that_is_away_for_a_moment(
    far: Store, store: Store, proxy: S3Proxy, name: str, tmp_path: Path, operation: str, fault: str
) -> None:
    await store.put(name, b"object")
    turns = iter(range(1000))
    # Two faults, then one request that goes through: every request of an operation meets them.
    proxy.spoils = lambda _: next(turns) % 3 < 2
    proxy.faults = [AWAY[fault]] * 1000
    await OPERATIONS[operation](far, name, tmp_path)
    assert len(proxy.seen) >= 3


@pytest.mark.parametrize("operation", ["put", "upload"])
async def test_a_body_that_s3_waited_for_too_long_is_sent_again(
    far: Store, proxy: S3Proxy, name: str, tmp_path: Path, operation: str
) -> None:
    proxy.spoils = lambda request: request.method == "PUT"
    proxy.faults = [refuse(400, "RequestTimeout")] * 2
    await OPERATIONS[operation](far, name, tmp_path)
    assert await far.list(name) == [name]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("slow down", r"^S3 asks to slow down \(SlowDown\), asked for 'test-\d+' several times$"),
        ("429", r"^S3 asks to slow down \(SlowDown\), asked for 'test-\d+' several times$"),
        ("internal error", r"^S3 refused a request for 'test-\d+' \(InternalError\)$"),
        ("dropped", r"^S3 cannot be reached \(\w+\)$"),
    ],
)
async def test_an_s3_that_stays_away_is_said(far: Store, proxy: S3Proxy, name: str, fault: str, message: str) -> None:
    proxy.faults = [AWAY[fault]] * 100
    with pytest.raises(UnavailableError, match=message):
        await far.delete_many([name])
    assert len(proxy.seen) == ATTEMPTS


async def test_a_body_that_breaks_off_is_read_again(far: Store, proxy: S3Proxy, name: str) -> None:
    body = bytes(range(256)) * 1000
    await far.put(name, body)
    proxy.faults = [cut(0), cut(1000), cut(len(body) - 1)]
    assert await far.get(name) == body


async def test_a_list_that_breaks_off_is_read_again(far: Store, proxy: S3Proxy, name: str) -> None:
    await far.put(name, b"")
    proxy.faults = [cut(20)]
    assert await far.list(name) == [name]


async def test_a_download_that_breaks_off_goes_on_where_it_was(
    far: Store, proxy: S3Proxy, name: str, tmp_path: Path
) -> None:
    body = bytes(range(256)) * (5 * MIB // 256)
    etag = (await far.put(name, body)).etag
    proxy.seen.clear()
    proxy.faults = [cut(3 * MIB), cut(MIB), cut(0)]
    await far.download(name, etag, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == body
    ranges = [request.headers.get("Range", "bytes=0-") for request in proxy.seen]
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges]
    assert starts[:1] == [0]
    assert 0 < starts[1] < starts[2] == starts[3]


async def test_a_download_that_breaks_off_does_not_go_on_with_another_object(
    far: Store, store: Store, proxy: S3Proxy, name: str, tmp_path: Path
) -> None:
    etag = (await far.put(name, b"old" * MIB)).etag

    proxy.faults = [cut(2 * MIB, lambda: store.put(name, b"new" * MIB))]
    with pytest.raises(BadRequestError, match="changed while it was being read"):
        await far.download(name, etag, tmp_path / "file")


async def test_bodies_that_always_break_off_are_said(far: Store, proxy: S3Proxy, name: str, tmp_path: Path) -> None:
    etag = (await far.put(name, b"0123456789")).etag
    message = f"^S3 broke off in the middle of '{name}'"
    for operation in (far.get(name), far.download(name, etag, tmp_path / "file")):
        proxy.faults = [cut(1)] * 5
        with pytest.raises(UnavailableError, match=message):
            await operation
        assert proxy.faults == []


async def test_a_throttled_upload_is_complete_and_leaves_none_behind(far: Store, proxy: S3Proxy, name: str) -> None:
    turns = iter(range(1000))
    proxy.spoils = lambda _: next(turns) % 3 < 2
    proxy.faults = [refuse(503, "SlowDown")] * 1000
    async with await far.start_upload(name) as upload:
        await upload.send(b"a" * 5 * MIB)
        await upload.send(b"end")
        await upload.complete()
    proxy.faults.clear()
    assert await far.get(name) == b"a" * 5 * MIB + b"end"
    assert await uploads(far, name) == []


async def test_an_upload_whose_completion_is_not_heard_of_is_complete(far: Store, proxy: S3Proxy, name: str) -> None:
    async with await far.start_upload(name) as upload:
        await upload.send(b"part")
        proxy.faults = [lose]
        await upload.complete()
    assert await far.get(name) == b"part"
    assert await uploads(far, name) == []


async def test_an_upload_that_fails_is_aborted(far: Store, proxy: S3Proxy, name: str) -> None:
    async with await far.start_upload(name) as upload:
        await upload.send(b"a" * 5 * MIB)
        assert await uploads(far, name) == [name]
        proxy.faults = [refuse(403, "AccessDenied")]
        with pytest.raises(UnavailableError, match="AccessDenied"):
            async with upload:
                await upload.send(b"more")
        assert await uploads(far, name) == []
    assert await far.list(name) == []


async def test_a_copy_by_parts_that_fails_is_aborted(
    far: Store, proxy: S3Proxy, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "COPY_LIMIT", 5 * MIB)
    source = await far.put(f"{name}/from", b"a" * 11 * MIB)
    turns = iter(range(1000))
    proxy.spoils = lambda request: "partNumber" in request.query and next(turns) == 1
    proxy.faults = [refuse(403, "AccessDenied")]
    with pytest.raises(UnavailableError, match="AccessDenied"):
        await far.copy(source, f"{name}/to")
    assert proxy.faults == []
    assert await uploads(far, name) == []
    assert await far.list(name) == [source.key]


@pytest.mark.parametrize("method", ["POST", "PUT"], ids=["while it starts", "while it sends"])
async def test_an_upload_that_is_cancelled_is_aborted(far: Store, proxy: S3Proxy, name: str, method: str) -> None:
    reached, goes_on = asyncio.Event(), asyncio.Event()
    proxy.spoils = lambda request: request.method == method
    proxy.faults = [hold(reached, goes_on)]

    async def send() -> None:
        async with await far.start_upload(name) as upload:
            await upload.send(b"a" * 5 * MIB)
            await upload.complete()

    sending = asyncio.create_task(send())
    await reached.wait()
    assert await uploads(far, name) == [name]
    sending.cancel()
    goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert await uploads(far, name) == []
    assert await far.list(name) == []


async def test_an_upload_that_cannot_be_aborted_is_said_beside_the_first_error(
    far: Store, proxy: S3Proxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.spoils = lambda request: request.method == "DELETE"
    proxy.faults = [refuse(403, "AccessDenied")]
    with pytest.raises(ZeroDivisionError):
        async with await far.start_upload(name):
            raise ZeroDivisionError
    assert f"the unfinished upload of '{name}' stays in S3: S3 denies access" in caplog.text
    assert await far.abort_uploads(name) == 0
    await store_module.Upload.start(far._client, far.bucket, f"{name}.json", "text/plain")
    assert await far.abort_uploads(name) == 1


async def test_what_could_not_be_deleted_is_counted(far: Store, proxy: S3Proxy, name: str) -> None:
    errors = "".join(
        f"<Error><Key>{key}</Key><Code>{code}</Code></Error>"
        for key, code in (("a", "InternalError"), ("b", "AccessDenied"), ("c", "NoSuchKey"), ("d", "InternalError"))
    )
    proxy.faults = [say(f"<DeleteResult>{errors}</DeleteResult>")]
    message = r"^S3 left 3 of 5 objects undeleted \(AccessDenied, InternalError\)$"
    with pytest.raises(UnavailableError, match=message):
        await far.delete_many([f"{name}/{key}" for key in "abcde"])


async def test_uploads_that_may_not_be_listed_are_said_once(
    far: Store, proxy: S3Proxy, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await far.start_upload(f"{name}.json")
    proxy.faults = [refuse(403, "AccessDenied")] * 2
    assert [await far.abort_uploads(name) for _ in range(2)] == [0, 0]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "unfinished uploads stay" in caplog.text
    assert await far.abort_uploads(name) == 1
