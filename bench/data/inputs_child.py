"""The process that is measured: `python -m bench.data.inputs_child`, with a Task on its standard input.

It opens one input and cuts it into a snapshot, as an opening does, beside a loop that has other things to do, and
prints a Measured.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from time import perf_counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import msgspec
import uvloop

from bench.data.outputs_child import Heart, peak_of
from pipeline.inputs.open_input import open_input
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.spec.submission import Submission
from pipeline.store.bucket import Store
from pipeline.store.snapshot import Snapshots

if TYPE_CHECKING:
    from pipeline.context import Context


class Task(msgspec.Struct, frozen=True):
    """Where the input is, and which columns are an item's, none for the cells of `url`."""

    endpoint: str
    region: str
    bucket: str
    access_key: str
    secret_key: str
    key: str
    columns: tuple[str, ...]


class Measured(msgspec.Struct, frozen=True):
    """Rows that were cut, seconds to the first and to the last of them, the most MiB of memory, the loop's hold in ms.

    `reader_peak_rss_mb` is that of the process which reads for this one, 0 for none, or more: getrusage counts what its
    parent held when it began.
    """

    rows: int
    open_seconds: float
    seconds: float
    peak_rss_mb: float
    reader_peak_rss_mb: float
    longest_hold_ms: float


async def _measure(task: Task) -> Measured:
    settings = Settings(s3_bucket=task.bucket, s3_endpoint=task.endpoint, s3_region=task.region, s3_addressing="path")
    secrets = Secrets(task.access_key, task.secret_key, None, (b"a key of the measurement",))
    heart = Heart()
    async with Store.connect(settings, secrets) as store:
        # The rest of a context is for what comes after.
        context = cast("Context", SimpleNamespace(store=store, settings=settings))
        found = await store.head(task.key)
        fields = {"input": task.key, "function": "model"} | ({"columns": list(task.columns)} if task.columns else {})
        async with heart.beating():
            started = perf_counter()
            async with open_input(context, Submission(fields, found.etag, found.size, found.etag)) as given:
                opened = perf_counter() - started
                manifest = await Snapshots(store).write("b", 0, given.frames, given.shape, given.chunk)
            seconds = perf_counter() - started
    reader = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Measured(manifest.items, opened, seconds, peak_of(), reader, 1000 * heart.longest)


def main() -> None:
    """Do the task that is on standard input."""
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(_measure(task))
    sys.stdout.buffer.write(msgspec.json.encode(measured))


if __name__ == "__main__":
    main()
