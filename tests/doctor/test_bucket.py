"""doctor: permissions of the S3 key, and faults of the bucket."""

from collections.abc import Callable

import pytest
from aiohttp import web

from pipeline.store.bucket import Store
from tests.rigs.function.doctor import KNOWN, Doctor, bad
from tests.rigs.s3.proxy import S3Proxy, drop, refuse

Asks = Callable[[web.Request], bool]


def is_single(request: web.Request) -> bool:
    return "uploadId" not in request.query and "uploads" not in request.query


# The requests that need each permission.
RIGHTS: dict[str, Asks] = {
    "s3:PutObject": lambda request: request.method == "PUT" and is_single(request),
    "s3:GetObject": lambda request: (
        request.method in {"GET", "HEAD"} and is_single(request) and "list-type" not in request.query
    ),
    "s3:ListBucket": lambda request: "list-type" in request.query,
    "s3:DeleteObject": lambda request: (request.method == "DELETE" and is_single(request)) or "delete" in request.query,
    "s3:AbortMultipartUpload": lambda request: request.method == "DELETE" and not is_single(request),
    "s3:ListBucketMultipartUploads": lambda request: request.method == "GET" and "uploads" in request.query,
}


@pytest.mark.parametrize("right", RIGHTS)
async def test_missing_permission_is_named(
    doctor: Doctor, proxied_store: Store, proxy: S3Proxy, store: Store, right: str
) -> None:
    doctor.connect(store=proxied_store)
    proxy.affects = RIGHTS[right]
    proxy.faults += [refuse(403, "AccessDenied")] * 50
    checks = await doctor.examine()
    proxy.faults.clear()
    expected = "warning" if right == "s3:ListBucketMultipartUploads" else "failed"
    assert bad(checks) == KNOWN | {f"s3: {right}": expected}
    check = checks[f"s3: {right}"]
    assert check.advice.startswith(f"grant {right} to the user of s3-key")
    assert "denies access to 'doctor/" in check.found or right == "s3:ListBucket"
    left = await store.list(f"doctor/{doctor.pipeline.name}/")
    assert len(left) == (right == "s3:DeleteObject")
    await store.delete_many(left)
    for upload in await store.uploads("doctor/"):
        assert right == "s3:AbortMultipartUpload"
        await upload.abort()


async def test_unreachable_s3_fails_and_the_other_checks_run(
    doctor: Doctor, proxied_store: Store, proxy: S3Proxy
) -> None:
    doctor.connect(store=proxied_store)
    proxy.faults += [drop] * 100
    checks = await doctor.examine()
    assert bad(checks) == KNOWN | {"s3": "failed", "clock: s3": "failed"}
    assert checks["s3"].found.startswith("S3 cannot be reached (")


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken"])
async def test_refused_credentials_are_reported_once(
    doctor: Doctor, proxied_store: Store, proxy: S3Proxy, code: str
) -> None:
    doctor.connect(store=proxied_store)
    proxy.affects = lambda request: "list-type" not in request.query
    proxy.faults += [refuse(403, code)] * 100
    checks = await doctor.examine()
    assert bad(checks) == KNOWN | {"s3": "failed"}
    assert checks["s3"].found.startswith(f"S3 does not take the credentials ({code})")


async def test_interrupted_check_is_one_failure_and_leaves_nothing(
    doctor: Doctor, proxied_store: Store, proxy: S3Proxy, store: Store
) -> None:
    doctor.connect(store=proxied_store)
    proxy.affects = lambda request: request.method == "HEAD"
    proxy.faults += [drop] * 100
    checks = await doctor.examine()
    assert bad(checks) == KNOWN | {"s3: s3:GetObject": "failed"}
    assert await store.list(f"doctor/{doctor.pipeline.name}/") == []


async def test_leftover_object_is_deleted_in_another_way(
    doctor: Doctor, proxied_store: Store, proxy: S3Proxy, store: Store
) -> None:
    doctor.connect(store=proxied_store)
    proxy.affects = lambda request: request.method == "DELETE" and is_single(request)
    proxy.faults += [drop] * 100
    assert bad(await doctor.examine()) == KNOWN | {"s3: s3:DeleteObject": "failed"}
    assert await store.list(f"doctor/{doctor.pipeline.name}/") == []


async def test_server_without_conditional_writes_is_a_warning(
    doctor: Doctor, proxied_store: Store, proxy: S3Proxy
) -> None:
    doctor.connect(store=proxied_store)
    assert (await doctor.examine())["s3: conditional writes"].status == "ok"
    proxy.affects = lambda request: "If-None-Match" in request.headers
    proxy.faults.append(refuse(501, "NotImplemented"))
    checks = await doctor.examine()
    assert bad(checks) == KNOWN | {"s3: conditional writes": "warning"}
    assert "two functions that share the bucket may both take an id" in checks["s3: conditional writes"].found
