"""Inputs and summaries in S3, seen as a client of any way sees them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from pipeline.local.demo.bucket import open_bucket
from pipeline.local.services.s3_client import s3_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pipeline.local.services.s3_client import S3Info

POLL_SECONDS = 0.02
_HOUR = 3600


async def put_input(s3: S3Info, items: Sequence[str]) -> str:
    """Write a CSV of items with the column `item`; returns its key."""
    key = f"compare/{len(items)}.csv"
    async with open_bucket(s3) as bucket:
        await bucket.put(key, "\n".join(["item", *items, ""]).encode())
    return key


class Summary:
    """A summary that may be there or not; asking costs next to nothing, since its URL is signed beforehand."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def read(self) -> dict[str, Any] | None:
        """Return it, None while there is none."""
        async with self._http.get(self._url) as answer:
            body = await answer.read()
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: dict[str, Any] = json.loads(body)
        return found

    async def wait(self) -> dict[str, Any]:
        """Return it once it can be read."""
        while (found := await self.read()) is None:  # noqa: ASYNC110 - S3 tells nobody
            await asyncio.sleep(POLL_SECONDS)
        return found


@contextlib.asynccontextmanager
async def summary_of(s3: S3Info, batch: str) -> AsyncIterator[Summary]:
    """Open what asks for the object `<batch>.json`."""
    async with s3_client(s3) as client, ClientSession() as http:
        place = {"Bucket": s3.bucket, "Key": f"{batch}.json"}
        yield Summary(http, await client.generate_presigned_url("get_object", Params=place, ExpiresIn=_HOUR))
