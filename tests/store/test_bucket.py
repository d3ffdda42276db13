"""The bucket, on a real S3 server."""

import dataclasses
import time
from pathlib import Path

import pytest

from pipeline.errors import BadRequestError, UnavailableError
from pipeline.local.services.ports import free_port
from pipeline.local.services.s3_client import S3Info
from pipeline.store import bucket as store_module
from pipeline.store import client as s3_module
from pipeline.store.bucket import Store
from pipeline.store.errors import MissingObjectError
from pipeline.units import MIB
from tests.rigs.fixtures.services import connection


async def test_object_is_put_read_listed_and_deleted(store: Store, name: str) -> None:
    written = await store.put(f"{name}/a", b"one")
    assert await store.get(f"{name}/a") == b"one"
    assert await store.head(f"{name}/a") == written
    assert written.size == 3
    await store.put(f"{name}/a", b"two")
    assert (await store.head(f"{name}/a")).etag != written.etag
    await store.delete(f"{name}/a")
    assert await store.list(f"{name}/") == []


async def test_missing_object_is_named(store: Store, name: str, tmp_path: Path) -> None:
    message = f"^there is no object '{name}/no'$"
    with pytest.raises(MissingObjectError, match=message):
        await store.get(f"{name}/no")
    with pytest.raises(MissingObjectError, match=message):
        await store.head(f"{name}/no")
    with pytest.raises(MissingObjectError, match=message):
        await store.download(f"{name}/no", "etag", tmp_path / "file")
    await store.delete(f"{name}/no")


async def test_list_is_sorted_limited_and_keeps_to_its_prefix(store: Store, name: str) -> None:
    for key in ("b", "a/2", "a/1", "a/3"):
        await store.put(f"{name}/{key}", b"")
    assert await store.list(f"{name}/a/") == [f"{name}/a/{n}" for n in (1, 2, 3)]
    assert len(await store.list(f"{name}/", limit=2)) == 2


async def test_download_fails_if_the_object_changed(store: Store, name: str, tmp_path: Path) -> None:
    body = b"0123456789" * (MIB // 4)
    old = await store.put(f"{name}/in", body)
    await store.download(f"{name}/in", old.etag, tmp_path / "in")
    assert (tmp_path / "in").read_bytes() == body
    await store.put(f"{name}/in", b"changed")
    with pytest.raises(BadRequestError, match=f"'{name}/in' changed while it was being read"):
        await store.download(f"{name}/in", old.etag, tmp_path / "in")


@pytest.mark.parametrize("limit", [5 * 1024 * MIB, 5 * MIB], ids=["at once", "by parts"])
async def test_copy_equals_its_source(store: Store, name: str, limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "COPY_LIMIT", limit)
    body = bytes(range(256)) * (11 * MIB // 256) + b"end"
    source = await store.put(f"{name}/from", body)
    await store.copy(source, f"{name}/to")
    assert await store.get(f"{name}/to") == body


async def test_upload_appears_when_it_is_complete(store: Store, name: str) -> None:
    upload = await store.start_upload(f"{name}/big")
    await upload.send(b"a" * 5 * MIB)
    await upload.send(b"end")
    assert await store.list(f"{name}/") == []
    written = await upload.complete()
    assert (written.size, written.key) == (5 * MIB + 3, f"{name}/big")
    assert await store.head(f"{name}/big") == written
    assert (await store.get(f"{name}/big"))[-4:] == b"aend"


async def test_aborted_upload_never_appears_and_can_be_aborted_again(store: Store, name: str) -> None:
    upload = await store.start_upload(f"{name}/big")
    await upload.send(b"a" * 5 * MIB)
    await store.abort_upload(upload.key, upload.upload_id)
    await store.abort_upload(upload.key, upload.upload_id)
    with pytest.raises(MissingObjectError):
        await upload.complete()
    assert await store.list(f"{name}/") == []


async def test_wrong_credentials_are_an_error_that_does_not_repeat_them(s3: S3Info) -> None:
    wrong = dataclasses.replace(s3, secret_key="not the secret of this server")
    async with Store.connect(*connection(wrong)) as refused:
        with pytest.raises(UnavailableError) as caught:
            await refused.get("some/key")
    assert "some/key" in str(caught.value)
    assert "SignatureDoesNotMatch" in str(caught.value)
    for secret in (wrong.secret_key, wrong.access_key):
        assert secret not in str(caught.value)


async def test_unreachable_server_is_an_error(s3: S3Info, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_module, "ATTEMPTS", 1)
    nobody = dataclasses.replace(s3, endpoint=f"http://127.0.0.1:{free_port()}")
    async with Store.connect(*connection(nobody)) as away:
        with pytest.raises(UnavailableError, match="S3 cannot be reached"):
            await away.head("key")


async def test_missing_bucket_is_named(s3: S3Info) -> None:
    async with Store.connect(*connection(dataclasses.replace(s3, bucket="no-such-bucket"))) as missing:
        with pytest.raises(UnavailableError, match="NoSuchBucket"):
            await missing.list("")


async def test_delete_many_ignores_missing_objects(store: Store, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "DELETE_LIMIT", 2)
    keys = [f"{name}/{number}" for number in range(5)]
    for key in [*keys, f"{name}/kept"]:
        await store.put(key, b"")
    await store.delete_many([*keys, f"{name}/never was"])
    assert await store.list(f"{name}/") == [f"{name}/kept"]
    await store.delete_many([])


async def test_list_aged_has_the_time_of_each_write(store: Store, name: str) -> None:
    before = int(time.time())
    for key in ("b", "a/2", "a/1"):
        await store.put(f"{name}/{key}", b"")
    aged = await store.list_aged(f"{name}/")
    assert [key for key, _ in aged] == [f"{name}/a/1", f"{name}/a/2", f"{name}/b"]
    assert all(before <= written <= time.time() + 1 for _, written in aged)
    assert await store.list_aged(f"{name}/", limit=1) == aged[:1]


async def test_abort_uploads_aborts_only_those_of_one_batch(store: Store, name: str) -> None:
    own = [f"{name}.json", f"{name}/0/summary.json", f"{name}/deep/er"]
    foreign = [f"{name}2.json", f"{name}2/0/summary.json", f"{name}.json.old", f"{name}", f"x{name}/0"]
    uploads = {key: await store.start_upload(key) for key in [*own, *foreign]}
    for upload in uploads.values():
        await upload.send(b"part")
    assert await store.abort_uploads(name) == len(own)
    assert await store.abort_uploads(name) == 0
    for key in own:
        with pytest.raises(MissingObjectError):
            await uploads[key].complete()
    for key in foreign:
        await uploads[key].complete()
        await store.delete(key)
