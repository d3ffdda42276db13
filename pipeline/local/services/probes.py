"""Whether a service serves."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError
from redis.asyncio import Redis
from redis.exceptions import RedisError
from yarl import URL

from pipeline.local.services.ports import is_listening

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from types_aiobotocore_s3.client import S3Client

_PROBE_KEY = ".ready"
_ONCE = {"connect_timeout": 2, "read_timeout": 5, "retries": {"max_attempts": 0}}


@dataclass(frozen=True)
class S3Info:
    """How to reach a bucket; addressed by path."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str = field(repr=False)


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


def s3_client(info: S3Info, **options: Any) -> "AbstractAsyncContextManager[S3Client]":
    """Open a client, with further options of a botocore Config."""
    return get_session().create_client(
        "s3",
        endpoint_url=info.endpoint,
        region_name=info.region,
        aws_access_key_id=info.access_key,
        aws_secret_access_key=info.secret_key,
        config=AioConfig(signature_version="s3v4", s3={"addressing_style": "path"}, **options),
    )
