"""The local stack's bucket, read and written as by a user's own S3 client."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from pipeline.local.services.s3_client import s3_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from types_aiobotocore_s3 import S3Client

    from pipeline.local.services.s3_client import S3Info


@dataclass(frozen=True)
class Bucket:
    """An open client and the name of its bucket."""

    client: S3Client
    name: str

    async def put(self, key: str, content: bytes) -> None:
        """Write one object."""
        await self.client.put_object(Bucket=self.name, Key=key, Body=content)

    async def get(self, key: str) -> bytes | None:
        """Read one object, None if there is none."""
        try:
            answer = await self.client.get_object(Bucket=self.name, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                return None
            raise
        return await answer["Body"].read()

    async def keys(self, prefix: str) -> list[str]:
        """List the keys below a prefix, sorted."""
        pages: Any = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return sorted([entry["Key"] async for page in pages for entry in page.get("Contents", [])])


@asynccontextmanager
async def open_bucket(s3: S3Info) -> AsyncIterator[Bucket]:
    """Open a client for the stack's bucket."""
    async with s3_client(s3) as client:
        yield Bucket(client, s3.bucket)
