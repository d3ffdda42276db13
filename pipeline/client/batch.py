"""One batch: look at it, steer it, read what it brought."""

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
from pipeline.client.retry import PASSING, PASSING_FOR_READS
from pipeline.store.keys import results_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pipeline.client.downloads import Downloads
    from pipeline.client.transport import Transport

INTERVAL = 1.0


@dataclass(frozen=True)
class Batch:
    """A batch by its id, whether it exists or not; every method raises RefusedError (404) where it does not.

    All of them raise what `pipeline.client.errors` lists. Steering is safe to repeat: what is asked for twice is done
    once. But a redrive whose answer was lost, and that has ended before it is asked for again, is another one then.
    """

    id: str
    transport: Transport
    downloads: Downloads

    @property
    def page(self) -> str:
        """The address at which a browser shows the batch."""
        return str((self.transport.target.url / "").with_query(batch=self.id))

    async def status(self) -> Progress:
        """Read how far it is."""
        return await self._status(PASSING)

    def __aiter__(self) -> AsyncIterator[Progress]:
        return self.follow()

    async def follow(self, interval: float = INTERVAL) -> AsyncIterator[Progress]:
        """Yield its progress every `interval` seconds until it has ended; the last one is the end."""
        while True:
            progress = await self._status(PASSING_FOR_READS)
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
        """Release nothing more; what is in flight settles, and the summary is written with what there is."""
        await self._ask("cancel")

    async def pause(self) -> None:
        """Release nothing until `resume`."""
        await self._ask("pause")

    async def resume(self) -> None:
        """Go on after `pause`."""
        await self._ask("resume")

    async def tune(self, *, window: int | None = None, rate: float | None = None) -> None:
        """Change how many tasks are under way at most, and the calls a second (0: no limit)."""
        given = {"window": window, "rate": rate}
        await self._ask("tune", **{name: str(value) for name, value in given.items() if value is not None})

    async def redrive(self) -> bool:
        """Run again what failed or never ran; returns False where there is nothing of the kind."""
        return read(await self._ask("redrive"), Redriven).redriven != 0

    async def delete(self) -> bool:
        """Delete an ended batch with all its objects; returns False while another request is still at it."""
        try:
            return read(await self._ask("delete"), Deleted).deleted
        except RefusedError as error:
            # The first of several attempts has deleted it, and its answer was lost.
            if error.status == HTTPStatus.NOT_FOUND and error.attempts > 1:
                return True
            raise

    async def outputs(self, *, parts: bool = False) -> Outputs:
        """Return links to what an ended batch left, with `parts` to its rows and outcomes too."""
        query = {"parts": "true"} if parts else {}
        return read(await self._ask("outputs", **query), Outputs)

    async def summary(self) -> dict[str, Any] | None:
        """Read its summary whole, None where there is none: see the README for its shape."""
        link = (await self.outputs()).summary
        if link is None:
            return None
        try:
            document: dict[str, Any] = orjson.loads(await self.downloads.get(link))
        except orjson.JSONDecodeError as error:
            raise BrokenError(OK, f"{link.key} is no JSON: {error}") from error
        return document

    async def save_summary(self, path: Path) -> bool:
        """Write its summary to a file, however large it is; returns False where there is none. Raises OSError."""
        link = (await self.outputs()).summary
        if link is not None:
            await self.downloads.save(link, path)
        return link is not None

    async def save_output(self, name: str, path: Path) -> bool:
        """Write an output, such as `failures.csv`, to a file; returns False where there is none. Raises OSError."""
        link = (await self.outputs()).named(name)
        if link is not None:
            await self.downloads.save(link, path)
        return link is not None

    async def frame(self) -> pl.DataFrame:
        """Return one row an item, in input order, with all columns of the input: see `pipeline.store.columns`.

        It is `results.parquet`, or made of rows and outcomes where the batch has none.
        """
        whole = (await self.outputs()).named(results_of("parquet"))
        if whole is None:
            return await self._joined()
        body = await self.downloads.get(whole)
        try:
            return await asyncio.to_thread(pl.read_parquet, io.BytesIO(body))
        except PolarsError as error:
            raise BrokenError(OK, f"{whole.key} is no Parquet: {error}") from error

    async def _joined(self) -> pl.DataFrame:
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

    async def _status(self, passing: frozenset[int]) -> Progress:
        query = {"batch": self.id}
        return read(await self.transport.call("status", method="GET", query=query, passing=passing), Progress)

    async def _ask(self, mode: str, **query: str) -> Any:
        return await self.transport.call(mode, query={"batch": self.id, **query})
