"""Secrets for S3 that expire or are replaced while the process runs."""

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.context import open_context
from pipeline.errors import UnavailableError
from pipeline.local.services.s3_client import S3Info
from pipeline.settings.secrets import Secrets, read_secrets
from pipeline.store.bucket import Store
from tests.rigs.fixtures.services import connection
from tests.rigs.s3.proxy import S3Proxy, refuse

WRONG = "neither-a-key-nor-a-secret"


@dataclass
class Mount:
    """The folder of the secret files; `reads` counts how often they were read."""

    path: Path
    reads: int = 0

    def write(self, key: str, secret: str, token: str = "") -> None:
        files = {"s3-key": key, "s3-secret": secret, "s3-token": token, "pipeline-key": "0123456789abcdef"}
        for name, text in files.items():
            (self.path / name).unlink(missing_ok=True)
            if text:
                (self.path / name).write_text(text)

    def read(self) -> Secrets:
        self.reads += 1
        return read_secrets(self.path)


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


@asynccontextmanager
async def opened(proxy: S3Proxy, s3: S3Info, mount: Mount) -> AsyncIterator[Store]:
    settings, _ = connection(dataclasses.replace(s3, endpoint=proxy.url))
    async with Store.connect(settings, read_secrets(mount.path), mount.read) as store:
        yield store


async def _put(s3: S3Info, key: str) -> None:
    async with Store.connect(*connection(s3)) as store:
        await store.put(key, b"")


async def _head(store: Store, key: str) -> object:
    return await store.head(key)


async def _get(store: Store, key: str) -> object:
    return await store.get(key)


async def _list(store: Store, key: str) -> object:
    return await store.list(key)


@pytest.mark.parametrize("operation", [_head, _get, _list])
@pytest.mark.parametrize("wrong", ["key", "secret"])
async def test_new_secrets_are_used_without_a_restart(
    proxy: S3Proxy,
    s3: S3Info,
    mount: Mount,
    name: str,
    caplog: pytest.LogCaptureFixture,
    operation: Callable[[Store, str], Awaitable[object]],
    wrong: str,
) -> None:
    caplog.set_level(logging.INFO)
    await _put(s3, name)
    mount.write(WRONG if wrong == "key" else s3.access_key, WRONG if wrong == "secret" else s3.secret_key)
    async with opened(proxy, s3, mount) as rotated:
        with pytest.raises(UnavailableError) as caught:
            await operation(rotated, name)
        assert (len(proxy.seen), mount.reads) == (1, 1)
        mount.write(s3.access_key, s3.secret_key)
        await operation(rotated, name)
        assert (len(proxy.seen), mount.reads) == (3, 2)
        await operation(rotated, name)
        assert (len(proxy.seen), mount.reads) == (4, 2)
    assert "the secret files hold others" in caplog.text
    for secret in (WRONG, s3.access_key, s3.secret_key):
        assert secret not in str(caught.value)
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ExpiredToken"),
        (403, "ExpiredToken"),
        (400, "InvalidToken"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccessDenied"),
    ],
)
@pytest.mark.parametrize("operation", [_head, _get])
async def test_refused_request_is_sent_again_with_new_secrets(
    proxy: S3Proxy,
    s3: S3Info,
    mount: Mount,
    name: str,
    operation: Callable[[Store, str], Awaitable[object]],
    status: int,
    code: str,
) -> None:
    mount.write(s3.access_key, s3.secret_key)
    async with opened(proxy, s3, mount) as store:
        await store.put(name, b"")
        mount.write(s3.access_key, WRONG)
        proxy.faults = [refuse(status, code)]
        with pytest.raises(UnavailableError):
            await operation(store, name)
        mount.write(s3.access_key, s3.secret_key)
        proxy.seen.clear()
        proxy.faults = [refuse(status, code)]
        await operation(store, name)
        assert [request.method for request in proxy.seen if request.path.endswith(name)] == [proxy.seen[0].method] * 2


async def test_new_wrong_secrets_are_tried_once(proxy: S3Proxy, s3: S3Info, mount: Mount, name: str) -> None:
    mount.write(s3.access_key, WRONG)
    async with opened(proxy, s3, mount) as store:
        mount.write(s3.access_key, f"{WRONG} again")
        with pytest.raises(UnavailableError, match=r"^S3 does not take the credentials \(SignatureDoesNotMatch\)"):
            await store.put(name, b"")
        assert (len(proxy.seen), mount.reads) == (2, 1)


async def test_concurrent_refusals_read_the_files_once(proxy: S3Proxy, s3: S3Info, mount: Mount, name: str) -> None:
    mount.write(s3.access_key, WRONG)
    async with opened(proxy, s3, mount) as store:
        mount.write(s3.access_key, s3.secret_key)
        await asyncio.gather(*(store.put(f"{name}/{number}", b"") for number in range(20)))
        assert mount.reads == 1
        assert len(await store.list(name)) == 20


async def test_session_token_is_sent_and_replaced_with_its_key(
    proxy: S3Proxy, s3: S3Info, mount: Mount, name: str
) -> None:
    mount.write(s3.access_key, s3.secret_key, "the first token")
    async with opened(proxy, s3, mount) as store:
        mount.write(s3.access_key, s3.secret_key, "the second token")
        proxy.faults = [refuse(400, "ExpiredToken")] * 2
        with pytest.raises(UnavailableError, match=r"\(ExpiredToken\), asked for '.*': .* s3-token"):
            await store.put(name, b"")
        mount.write(s3.access_key, s3.secret_key)
        proxy.faults = [refuse(400, "ExpiredToken")]
        await store.put(name, b"")
    tokens = [request.headers.get("X-Amz-Security-Token") for request in proxy.seen]
    assert tokens == ["the first token", "the second token", "the second token", None]


async def test_unreadable_secret_files_leave_the_known_secrets(
    proxy: S3Proxy, s3: S3Info, mount: Mount, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    mount.write(s3.access_key, s3.secret_key)
    async with opened(proxy, s3, mount) as store:
        mount.write(s3.access_key, "")
        proxy.faults = [refuse(403, "AccessDenied")]
        with pytest.raises(UnavailableError, match="AccessDenied"):
            await store.put(name, b"")
        assert "secret s3-secret: cannot read it" in caplog.text
        await store.put(name, b"")


async def test_function_reads_the_secrets_of_its_mount_again(s3: S3Info, mount: Mount, name: str) -> None:
    settings = connection(s3)[0].model_copy(update={"secret_mount_path": mount.path})
    mount.write(s3.access_key, WRONG)
    async with open_context(settings) as context:
        mount.write(s3.access_key, s3.secret_key)
        await context.store.put(name, b"body")
        assert await context.store.get(name) == b"body"
