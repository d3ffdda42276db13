"""The store retries when S3 is slow, unreachable for a moment, or breaks off."""

import asyncio
import dataclasses
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.local.services.s3_client import S3Info
from pipeline.store import client as s3_module
from pipeline.store.bucket import Store
from pipeline.store.client import ATTEMPTS
from pipeline.units import MIB
from tests.rigs.fixtures.services import connection
from tests.rigs.s3.proxy import Fault, S3Proxy, cut, drop, refuse

Operation = Callable[[Store, str, Path], Awaitable[object]]

AWAY: dict[str, Fault] = {
    "slow down": refuse(503, "SlowDown"),
    "429": refuse(429, "TooManyRequests"),
    "internal error": refuse(500, "InternalError"),
    "dropped": drop,
}


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
async def test_every_operation_survives_a_short_outage(
    proxied_store: Store, store: Store, proxy: S3Proxy, name: str, tmp_path: Path, operation: str, fault: str
) -> None:
    await store.put(name, b"object")
    turns = iter(range(1000))
    # Two faults, then one request that goes through: every request of an operation meets them.
    proxy.affects = lambda _: next(turns) % 3 < 2
    proxy.faults = [AWAY[fault]] * 1000
    await OPERATIONS[operation](proxied_store, name, tmp_path)
    assert len(proxy.seen) >= 3


@pytest.mark.parametrize("operation", ["put", "upload"])
async def test_request_timeout_of_s3_is_retried(
    proxied_store: Store, proxy: S3Proxy, name: str, tmp_path: Path, operation: str
) -> None:
    proxy.affects = lambda request: request.method == "PUT"
    proxy.faults = [refuse(400, "RequestTimeout")] * 2
    await OPERATIONS[operation](proxied_store, name, tmp_path)
    assert await proxied_store.list(name) == [name]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("slow down", r"^S3 asks to slow down \(SlowDown\), asked for 'test-\d+' several times$"),
        ("429", r"^S3 asks to slow down \(SlowDown\), asked for 'test-\d+' several times$"),
        ("internal error", r"^S3 refused a request for 'test-\d+' \(InternalError\)$"),
        ("dropped", r"^S3 cannot be reached \(\w+\)$"),
    ],
)
async def test_lasting_outage_is_an_error(
    proxied_store: Store, proxy: S3Proxy, name: str, fault: str, message: str
) -> None:
    proxy.faults = [AWAY[fault]] * 100
    with pytest.raises(UnavailableError, match=message):
        await proxied_store.delete_many([name])
    assert len(proxy.seen) == ATTEMPTS


async def test_interrupted_body_is_read_again(proxied_store: Store, proxy: S3Proxy, name: str) -> None:
    body = bytes(range(256)) * 1000
    await proxied_store.put(name, body)
    proxy.faults = [cut(0), cut(1000), cut(len(body) - 1)]
    assert await proxied_store.get(name) == body


async def test_stalled_body_is_read_again(
    store: Store, proxy: S3Proxy, s3: S3Info, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_module, "READ_TIMEOUT", 0.5)
    await store.put(name, b"0123456789")
    over = asyncio.Event()
    proxy.faults = [cut(5, over.wait)]
    async with Store.connect(*connection(dataclasses.replace(s3, endpoint=proxy.url))) as patient:
        assert await patient.get(name) == b"0123456789"
    over.set()


async def test_interrupted_list_is_read_again(proxied_store: Store, proxy: S3Proxy, name: str) -> None:
    await proxied_store.put(name, b"")
    proxy.faults = [cut(20)]
    assert await proxied_store.list(name) == [name]


async def test_interrupted_download_continues_where_it_stopped(
    proxied_store: Store, proxy: S3Proxy, name: str, tmp_path: Path
) -> None:
    body = bytes(range(256)) * (5 * MIB // 256)
    etag = (await proxied_store.put(name, body)).etag
    proxy.seen.clear()
    proxy.faults = [cut(3 * MIB), cut(MIB), cut(0)]
    await proxied_store.download(name, etag, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == body
    ranges = [request.headers.get("Range", "bytes=0-") for request in proxy.seen]
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges]
    assert starts[:1] == [0]
    assert 0 < starts[1] < starts[2] == starts[3]


async def test_interrupted_download_does_not_continue_with_another_object(
    proxied_store: Store, store: Store, proxy: S3Proxy, name: str, tmp_path: Path
) -> None:
    etag = (await proxied_store.put(name, b"old" * MIB)).etag

    proxy.faults = [cut(2 * MIB, lambda: store.put(name, b"new" * MIB))]
    with pytest.raises(BadRequestError, match="changed while it was being read"):
        await proxied_store.download(name, etag, tmp_path / "file")


async def test_bodies_that_always_break_off_are_an_error(
    proxied_store: Store, proxy: S3Proxy, name: str, tmp_path: Path
) -> None:
    etag = (await proxied_store.put(name, b"0123456789")).etag
    message = f"^S3 broke off in the middle of '{name}'"
    for operation in (proxied_store.get(name), proxied_store.download(name, etag, tmp_path / "file")):
        proxy.faults = [cut(1)] * 5
        with pytest.raises(UnavailableError, match=message):
            await operation
        assert proxy.faults == []
