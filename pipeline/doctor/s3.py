"""S3: each right that the function needs is used once, on an object made for this check."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning
from pipeline.errors import PipelineError
from pipeline.store.bucket import Store
from pipeline.store.errors import DeniedError
from pipeline.store.keys import trial
from pipeline.store.owners import refuses_second_write

SLOW = 2.0
CLEANING = 3.0
BODY = b"tried by the mode doctor of pipeline; may be deleted\n"

Step = Callable[[], Awaitable[object]]


async def check_bucket(context: Context) -> list[Check]:
    """Write, read, list and delete that object; all other objects are left alone. Raises UnavailableError."""
    store, key = context.store, trial(context.settings.function_name, uuid.uuid4().hex)
    started, is_deleted = time.monotonic(), False
    try:
        await store.put(key, BODY, "text/plain")
        checks = [ok("s3: s3:PutObject", "granted"), _round_trip(time.monotonic() - started)]
        checks.append(await _check_conditional_writes(store, key))
        checks.append(await _try("s3:GetObject", lambda: _read(store, key)))
        checks += await _list(store, key)
        checks.append(await _try("s3:AbortMultipartUpload", lambda: _upload(store, key)))
        checks.append(await _try("s3:DeleteObject", lambda: store.delete(key)))
        is_deleted = checks[-1].status == "ok"
    except DeniedError as error:
        is_deleted = True
        checks = [_denied("s3:PutObject", error), *await _list(store, key)]
    finally:
        if not is_deleted:
            with suppress(PipelineError, TimeoutError):
                await asyncio.wait_for(store.delete_many([key]), CLEANING)
    return checks


async def _check_conditional_writes(store: Store, key: str) -> Check:
    name = "s3: conditional writes"
    try:
        if await refuses_second_write(store, key):
            return ok(name, "honoured: of two functions that take an id at once, one gets it")
    except PipelineError as error:
        return warning(name, str(error), "see pipeline/docs/operate.md, 'What you see and what it means'")
    finding = "the server ignores If-None-Match: two functions that share the bucket may both take an id"
    return warning(name, finding, "a bucket for each function, or a newer server")


async def _list(store: Store, key: str) -> list[Check]:
    return [
        await _try("s3:ListBucket", lambda: store.list(key)),
        _warn_only(await _try("s3:ListBucketMultipartUploads", lambda: store.uploads(key))),
    ]


async def _read(store: Store, key: str) -> None:
    await store.head(key)
    await store.get(key)


async def _upload(store: Store, key: str) -> None:
    upload = await store.start_upload(key)
    await store.abort_upload(key, upload.upload_id)


async def _try(right: str, step: Step) -> Check:
    name = f"s3: {right}"
    try:
        await step()
    except DeniedError as error:
        return _denied(right, error)
    except PipelineError as error:
        return failed(name, str(error), "see pipeline/docs/operate.md, 'What you see and what it means'")
    return ok(name, "granted")


def _denied(right: str, error: DeniedError) -> Check:
    return failed(f"s3: {right}", str(error), f"grant {right} to the user of s3-key")


def _warn_only(check: Check) -> Check:
    """Return the check as a warning if it failed: batches run without this right."""
    if check.status == "ok":
        return check
    advice = f"{check.advice}, or let the bucket's lifecycle end incomplete uploads"
    return warning(check.name, check.found, advice)


def _round_trip(seconds: float) -> Check:
    finding = f"an object was written in {1000 * seconds:.0f} ms"
    if seconds > SLOW:
        return warning("s3: round trip", finding, "a region nearer to the cluster, or a faster server")
    return ok("s3: round trip", finding)
