"""Opens one input and cuts it into a snapshot, as an opening does, beside a loop that has other things to do."""

from __future__ import annotations

import resource
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec

from bench.data.child import Heart, Place, answer_task, peak_rss_mb
from pipeline.inputs.open_input import open_input
from pipeline.spec.submission import Submission
from pipeline.store.snapshot import Snapshots

if TYPE_CHECKING:
    from pipeline.context import Context


class Task(msgspec.Struct, frozen=True):
    """An input's key, and the columns of an item, none for the cells of `url`."""

    place: Place
    key: str
    columns: tuple[str, ...]


class Measured(msgspec.Struct, frozen=True):
    """Rows that were cut, seconds to the first and to the last of them, peak memory in MiB, the loop's hold in ms.

    `reader_peak_rss_mb` is that of the reading process, 0 for none, or more: getrusage counts its parent's memory at
    the start too.
    """

    rows: int
    open_seconds: float
    seconds: float
    peak_rss_mb: float
    reader_peak_rss_mb: float
    longest_hold_ms: float


async def measure(task: Task) -> Measured:
    """Open and cut."""
    heart = Heart()
    async with task.place.open() as store:
        # The rest of a context is for what comes after.
        context = cast("Context", SimpleNamespace(store=store, settings=task.place.settings()))
        head = await store.head(task.key)
        fields = {"input": task.key, "function": "model"} | ({"columns": list(task.columns)} if task.columns else {})
        async with heart.beating():
            started = perf_counter()
            async with open_input(context, Submission(fields, head.etag, head.size, head.etag)) as opened:
                open_seconds = perf_counter() - started
                manifest = await Snapshots(store).write("b", 0, opened.frames, opened.shape, opened.chunk)
            seconds = perf_counter() - started
    reader = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Measured(manifest.items, open_seconds, seconds, peak_rss_mb(), reader, 1000 * heart.longest)


if __name__ == "__main__":
    answer_task(Task, measure)
