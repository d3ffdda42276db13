"""Wait until a process serves, and probe Redis and S3."""

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


async def failure_to_start(child: Child | None, ready: Callable[[], Awaitable[bool]], limit: float) -> str | None:
    """Poll `ready` until it returns True; return the reason if that fails, else None.

    The process is watched at the same time, since another process on its port may answer in its place, or let a probe
    hang. `child` is None for a service that runs elsewhere. `limit` is in seconds.
    """
    polling = asyncio.create_task(_poll_until(ready))
    tasks: list[asyncio.Task[Any]] = [polling]
    if child is not None:
        tasks.append(asyncio.create_task(child.wait()))
    try:
        await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if child is not None and child.exit_code is not None:
            return f"exited with code {child.exit_code} while starting:\n{child.tail()}"
        if not polling.done():
            return f"does not answer after {limit:.0f} s:\n{child.tail() if child is not None else ''}"
        polling.result()
        return None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _poll_until(ready: Callable[[], Awaitable[bool]]) -> None:
    while not await ready():  # noqa: ASYNC110 - a process does not announce that it listens
        await asyncio.sleep(_POLL)


async def redis_answers(url: str, password: str) -> bool:
    """Return whether Redis answers a PING."""
    try:
        async with Redis.from_url(url, password=password or None, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(await client.ping())
    except (RedisError, OSError):
        return False


async def bucket_exists(info: S3Info) -> bool:
    """Return whether the bucket exists, by a signed request."""
    try:
        async with s3_client(info, **_ONCE) as client:
            await client.head_bucket(Bucket=info.bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


async def object_can_be_written(info: S3Info) -> bool:
    """Return whether an object can be written: SeaweedFS opens its port and bucket before it has a volume."""
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
