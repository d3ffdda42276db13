"""One batch: read its status, control it, read its results."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
import polars as pl
from polars.exceptions import PolarsError

from pipeline.client.documents import OK, Deleted, Outputs, Redriven, read
from pipeline.client.errors import BrokenError, RefusedError
from pipeline.client.join_table import join
from pipeline.client.progress import Progress
from pipeline.client.retry import RETRY_STATUSES, RETRY_STATUSES_FOR_READS
from pipeline.store.keys import results_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.client.downloads import Downloads
    from pipeline.client.transport import Transport

INTERVAL = 1.0


@dataclass(frozen=True)
class Batch:
    """A batch by its id. It need not exist: then every method raises RefusedError (404).

    All methods raise the errors of `pipeline.client.errors`. Every control is safe to repeat, with one exception: if
    the answer to a redrive is lost and the batch ends again before the retry, the retry starts another redrive.
    """

    id: str
    transport: Transport
    downloads: Downloads

    @property
    def page(self) -> str:
        """The address of the batch's page, for a browser."""
        return str((self.transport.target.url / "").with_query(batch=self.id))

    async def status(self) -> Progress:
        """Read its progress."""
        return await self._status(RETRY_STATUSES)

    def __aiter__(self) -> AsyncIterator[Progress]:
        return self.follow()

    async def follow(self, interval: float = INTERVAL) -> AsyncIterator[Progress]:
        """Yield its progress every `interval` seconds until it has ended; the last one is final."""
        while True:
            progress = await self._status(RETRY_STATUSES_FOR_READS)
            yield progress
            if progress.over:
                return
            await asyncio.sleep(interval)

    async def wait(self, interval: float = INTERVAL) -> Progress:
        """Return its last progress once it has ended."""
        async for progress in self.follow(interval):
            last = progress
        return last

    async def cancel(self) -> None:
        """Release no more tasks; those in flight settle, and the summary is written from the outcomes so far."""
        await self._call("cancel")

    async def pause(self) -> None:
        """Release no tasks until `resume`."""
        await self._call("pause")

    async def resume(self) -> None:
        """Continue after `pause`."""
        await self._call("resume")

    async def tune(self, *, window: int | None = None, rate: float | None = None) -> None:
        """Change the maximum of tasks in flight, and of calls a second (0: no limit)."""
        limits = {"window": window, "rate": rate}
        await self._call("tune", **{name: str(value) for name, value in limits.items() if value is not None})

    async def redrive(self) -> bool:
        """Run the failed items and those that never ran again; returns False if there are none."""
        return read(await self._call("redrive"), Redriven).redriven != 0

    async def delete(self) -> bool:
        """Delete an ended batch with all its objects; returns False while another request still deletes it."""
        try:
            return read(await self._call("delete"), Deleted).deleted
        except RefusedError as error:
            # An earlier attempt deleted it, and its answer was lost.
            if error.status == HTTPStatus.NOT_FOUND and error.attempts > 1:
                return True
            raise

    async def outputs(self, *, parts: bool = False) -> Outputs:
        """Return links to the outputs of an ended batch, with `parts` also to its rows and outcomes."""
        query = {"parts": "true"} if parts else {}
        return read(await self._call("outputs", **query), Outputs)

    async def summary(self) -> dict[str, Any] | None:
        """Read its whole summary, None if there is none; pipeline/docs/results.md describes its shape."""
        link = (await self.outputs()).summary
        if link is None:
            return None
        try:
            document: dict[str, Any] = orjson.loads(await self.downloads.get(link))
        except orjson.JSONDecodeError as error:
            raise BrokenError(OK, f"{link.key} is not JSON: {error}") from error
        return document

    async def save_summary(self, path: Path) -> bool:
        """Write its summary to a file, of any size; returns False if there is none. Raises OSError."""
        link = (await self.outputs()).summary
        if link is not None:
            await self.downloads.save(link, path)
        return link is not None

    async def save_output(self, name: str, path: Path) -> bool:
        """Write an output, such as `failures.csv`, to a file; returns False if there is none. Raises OSError."""
        link = (await self.outputs()).named(name)
        if link is not None:
            await self.downloads.save(link, path)
        return link is not None

    async def frame(self) -> pl.DataFrame:
        """Return one row per item, in input order, with all columns of the input: see `pipeline.store.columns`.

        It is read from `results.parquet`, or joined from rows and outcomes if the batch has no such output.
        """
        link = (await self.outputs()).named(results_name("parquet"))
        if link is None:
            return await self._join_parts()
        body = await self.downloads.get(link)
        try:
            return await asyncio.to_thread(pl.read_parquet, io.BytesIO(body))
        except PolarsError as error:
            raise BrokenError(OK, f"{link.key} is not Parquet: {error}") from error

    async def _join_parts(self) -> pl.DataFrame:
        outputs = await self.outputs(parts=True)
        if outputs.column is None:
            raise BrokenError(OK, f"batch {self.id} has no rows: it was never opened")
        links = [*outputs.snapshot, *outputs.segments]
        bodies = await self.downloads.all(links)
        parts, segments = bodies[: len(outputs.snapshot)], bodies[len(outputs.snapshot) :]
        try:
            return await asyncio.to_thread(partial(join, derived=outputs.derived), parts, segments, outputs.column)
        except (PolarsError, msgspec.MsgspecError) as error:
            raise BrokenError(OK, f"the rows and outcomes of {self.id} cannot be read: {error}") from error

    async def _status(self, retry_statuses: frozenset[int]) -> Progress:
        query = {"batch": self.id}
        return read(
            await self.transport.call("status", method="GET", query=query, retry_statuses=retry_statuses), Progress
        )

    async def _call(self, mode: str, **query: str) -> Any:
        return await self.transport.call(mode, query={"batch": self.id, **query})
