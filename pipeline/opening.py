"""Open a claimed batch: snapshot the input, begin generation 0, release the first window."""

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from pipeline.context import Context
from pipeline.duties import close_batch, enqueue_reduce, release_first
from pipeline.errors import UnavailableError
from pipeline.ledger import OPENING_LEASE
from pipeline.models import BatchSpec, Submission
from pipeline.repeating import repeated
from pipeline.rows import PREFERRED_COLUMN, choose_column, count_lines, open_rows, read_rows
from pipeline.settings import Settings
from pipeline.snapshot import Manifest

AUTO_TASKS = 1_000
AUTO_CHUNK = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NewBatch:
    """A batch claimed by `owner`."""

    name: str
    submission: Submission
    owner: str


async def open_batch(context: Context, new: NewBatch) -> Manifest | None:
    """Open the batch; returns None when the claim was lost to another, who opens it.

    Raises BadRequestError when the input cannot be read, MissingObjectError when it is gone.
    """
    spec = new.submission.spec

    async def renew() -> str:
        return await context.ledger.claim(new.name, new.owner, new.submission)

    async with repeated(renew, OPENING_LEASE / 3):
        manifest = await _snapshot(context, new, spec)
    verdict, tasks = await context.ledger.begin(
        new.name, new.owner, 0, tasks=manifest.tasks, items=manifest.items, deadline=spec.deadline
    )
    if verdict == "lost":
        return None
    try:
        await release_first(context, new.name, 0, spec.function, tasks)
    except UnavailableError as error:
        # The batch is open, and what is missing is due: its submitter is told so, not that it failed.
        log.warning("batch %s: its first releases are put off: %s", new.name, error)
    if verdict == "reducing":
        await enqueue_reduce(context, new.name, 0)
    return manifest


async def abandon(context: Context, name: str, owner: str, reason: str = "") -> None:
    """Give up a claim: with a reason the batch ends as failed, without one its id is free again."""
    if not await context.ledger.abandon(name, owner, reason):
        return
    if reason:
        await close_batch(context, name)
    else:
        await context.ledger.forget_open(name)


async def discard(context: Context, new: NewBatch) -> None:
    """Give up an opening that its submitter is told about: nothing of it is left, and then its id is free again."""
    if await context.ledger.claim(new.name, new.owner, new.submission) == "claimed":
        await context.specs.erase(new.name)
        await context.specs.close(new.name)
        await abandon(context, new.name, new.owner)


async def _snapshot(context: Context, new: NewBatch, spec: BatchSpec) -> Manifest:
    with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
        path = Path(folder) / "input"
        await context.store.download(spec.input, new.submission.etag, path)
        rows = await asyncio.to_thread(open_rows, path)
        if rows is None:
            column, frames, chunk = spec.column or PREFERRED_COLUMN, _nothing(), 1
        else:
            column = choose_column(rows, spec.column)
            chosen = spec.chunk
            chunk = auto_chunk(await count_lines(rows), spec, context.settings) if chosen == "auto" else chosen
            frames = read_rows(rows, column, context.settings.max_rows)
        return await context.snapshots.write(new.name, 0, frames, column, chunk)


def auto_chunk(items: int, spec: BatchSpec, settings: Settings) -> int:
    """Choose a chunk that gives about 1,000 tasks, at most 100 items each.

    Items that run side by side never need more time than their task has, even if every call takes its whole timeout.
    """
    chunk = min(AUTO_CHUNK, -(-items // AUTO_TASKS))
    if not spec.chunk_call:
        rounds = int(settings.task_timeout // min(spec.timeout, settings.task_timeout))
        chunk = min(chunk, spec.concurrency * rounds)
    return max(1, chunk)


async def _nothing() -> AsyncIterator[pl.DataFrame]:
    return
    yield
