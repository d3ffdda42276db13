"""Wait until a process serves, and ask Redis and S3 whether they do."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from redis.asyncio import Redis
from redis.exceptions import RedisError
from yarl import URL

from pipeline.local.services.child_processes import Child
from pipeline.local.services.ports import is_listening
from pipeline.local.services.s3_client import S3Info, s3_client

_POLL = 0.02
_PROBE_KEY = ".ready"
_ONCE = {"connect_timeout": 2, "read_timeout": 5, "retries": {"max_attempts": 0}}


async def failure_to_start(child: Child | None, ready: Callable[[], Awaitable[bool]], within: float) -> str | None:
    """Ask `ready` until it says yes; return what went wrong instead, None if nothing did.

    Listens to the process at the same time: whoever took its port meanwhile may answer in its place, or let
    the question hang. `child` is None for something that runs elsewhere. `within` is in seconds.
    """
    asking = asyncio.create_task(_until(ready))
    tasks: list[asyncio.Task[Any]] = [asking]
    if child is not None:
        tasks.append(asyncio.create_task(child.wait()))
    try:
        await asyncio.wait(tasks, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        if child is not None and child.exit_code is not None:
            return f"ended with exit code {child.exit_code} while starting:\n{child.tail()}"
        if not asking.done():
            return f"does not answer after {within:.0f} s:\n{child.tail() if child is not None else ''}"
        asking.result()
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(ready: Callable[[], Awaitable[bool]]) -> None:
    while not await ready():  # noqa: ASYNC110 - a process tells nobody that it listens
        await asyncio.sleep(_POLL)


async def redis_answers(url: str, password: str) -> bool:
    """Ask Redis for a PING."""
    try:
        async with Redis.from_url(url, password=password or None, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(await client.ping())
    except (RedisError, OSError):
        return False


async def bucket_exists(info: S3Info) -> bool:
    """Ask for the bucket, with a signed request."""
    try:
        async with s3_client(info, **_ONCE) as client:
            await client.head_bucket(Bucket=info.bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


async def object_can_be_written(info: S3Info) -> bool:
    """Write and remove an object: SeaweedFS has its port open and its bucket made before it has room for one."""
    url = URL(info.endpoint)
    if not await is_listening(url.host or "", url.port or 0):
        return False
    try:
        async with s3_client(info, **_ONCE) as client:
            await client.put_object(Bucket=info.bucket, Key=_PROBE_KEY, Body=b"")
            await client.delete_object(Bucket=info.bucket, Key=_PROBE_KEY)
    except (BotoCoreError, ClientError):
        return False
    return True
