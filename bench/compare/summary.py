"""A summary in S3, and its comparison with the input: the same for every way."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from pipeline.local.services.s3_client import s3_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from pipeline.local.services.s3_client import S3Info

POLL_SECONDS = 0.02
_HOUR = 3600


class Summary:
    """A summary that may not exist yet; a read is cheap, since its URL is signed beforehand."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def read(self) -> dict[str, Any] | None:
        """Return the summary, None while there is none."""
        async with self._http.get(self._url) as answer:
            body = await answer.read()
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        answer.raise_for_status()
        summary: dict[str, Any] = json.loads(body)
        return summary

    async def wait(self) -> dict[str, Any]:
        """Wait for the summary and return it."""
        while (summary := await self.read()) is None:  # noqa: ASYNC110 - S3 sends no event
            await asyncio.sleep(POLL_SECONDS)
        return summary


@contextlib.asynccontextmanager
async def summary_of(s3: S3Info, batch: str) -> AsyncIterator[Summary]:
    """Open the summary `<batch>.json`."""
    async with s3_client(s3) as client, ClientSession() as http:
        place = {"Bucket": s3.bucket, "Key": f"{batch}.json"}
        yield Summary(http, await client.generate_presigned_url("get_object", Params=place, ExpiresIn=_HOUR))


@dataclass(frozen=True)
class Verdict:
    """A summary compared with its input; all are numbers of items.

    `present` have an entry, `lost` have none, `duplicated` are the entries of an item after its first, `failed` are
    entries without a result, `wrong` are entries with another item's, or of no item. `counted_twice` is by how many the
    summary's own counts exceed the items that are there.
    """

    items: int
    present: int
    lost: int
    duplicated: int
    failed: int
    wrong: int
    counted_twice: int

    @property
    def complete(self) -> bool:
        """Whether every item is there once with its own result, and counted once."""
        return self.present == self.items and not any(
            (self.lost, self.duplicated, self.failed, self.wrong, self.counted_twice)
        )


def make_items(count: int) -> list[str]:
    """Return items of ten lengths, so that the model's answer to one is not the answer to its neighbour."""
    return [f"item-{index:07}{'.' * (index % 10)}" for index in range(count)]


def result_of(item: str) -> dict[str, int]:
    """Return the answer of the model function."""
    return {"length": len(item.encode())}


def judge(summary: Mapping[str, Any], items: Sequence[str]) -> Verdict:
    """Compare a summary `{results: {count, results}, failures: {count, results}}` with the items of its input."""
    results, failures = summary["results"]["results"], summary["failures"]["results"]
    entries = Counter(entry["item"] for entry in [*results, *failures])
    known = set(items)
    present = len(known & entries.keys())
    counted = summary["results"]["count"] + summary["failures"]["count"]
    strangers = sum(count for item, count in entries.items() if item not in known)
    mistaken = sum(entry["item"] in known and entry["result"] != result_of(entry["item"]) for entry in results)
    return Verdict(
        items=len(items),
        present=present,
        lost=len(items) - present,
        duplicated=sum(count - 1 for item, count in entries.items() if item in known),
        failed=len(failures),
        wrong=strangers + mistaken,
        counted_twice=max(0, counted - present),
    )
