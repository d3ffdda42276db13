"""The client without `async`: for scripts and notebooks, even if an event loop runs already.

The asynchronous client runs on an event loop in a thread of its own; each call waits for its result.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pipeline.client.batch import INTERVAL, Batch
from pipeline.client.pipeline import FUNCTION, PATIENCE, Pipeline

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Unpack

    import polars as pl

    from pipeline.client.documents import Batches, Diagnosis, DryRun, Outputs
    from pipeline.client.progress import Progress
    from pipeline.client.retry import Tell
    from pipeline.client.submission import Source, SpecFields

Result = TypeVar("Result")


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="pipeline-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Wait for a coroutine; an interrupted wait cancels it, however early the interrupt comes."""
        tasks: list[asyncio.Task[Any] | None] = []

        async def tracked() -> Result:
            tasks.append(asyncio.current_task())
            return await work

        try:
            return asyncio.run_coroutine_threadsafe(tracked(), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in tasks if task])

    def close(self) -> None:
        """Stop the loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@dataclass(frozen=True)
class SyncBatch:
    """A `Batch` whose methods block; see `Batch`."""

    batch: Batch
    loop: _Loop

    @property
    def id(self) -> str:
        """The id."""
        return self.batch.id

    @property
    def page(self) -> str:
        """The address of the batch's page, for a browser."""
        return self.batch.page

    def status(self) -> Progress:
        """Read its progress."""
        return self.loop.run(self.batch.status())

    def __iter__(self) -> Iterator[Progress]:
        return self.follow()

    def follow(self, interval: float = INTERVAL) -> Iterator[Progress]:
        """Yield its progress every `interval` seconds until it has ended."""
        progresses = self.batch.follow(interval)

        async def next_progress() -> Progress | None:
            return await anext(progresses, None)

        while (progress := self.loop.run(next_progress())) is not None:
            yield progress

    def wait(self, interval: float = INTERVAL) -> Progress:
        """Return its last progress once it has ended."""
        return self.loop.run(self.batch.wait(interval))

    def cancel(self) -> None:
        """Release no more tasks."""
        self.loop.run(self.batch.cancel())

    def pause(self) -> None:
        """Release no tasks until `resume`."""
        self.loop.run(self.batch.pause())

    def resume(self) -> None:
        """Continue after `pause`."""
        self.loop.run(self.batch.resume())

    def tune(self, *, window: int | None = None, rate: float | None = None) -> None:
        """Change the window, or the limit of calls a second."""
        self.loop.run(self.batch.tune(window=window, rate=rate))

    def redrive(self) -> bool:
        """Run the failed items and those that never ran again."""
        return self.loop.run(self.batch.redrive())

    def delete(self) -> bool:
        """Delete an ended batch with all its objects."""
        return self.loop.run(self.batch.delete())

    def outputs(self, *, parts: bool = False) -> Outputs:
        """Return links to the outputs of an ended batch."""
        return self.loop.run(self.batch.outputs(parts=parts))

    def summary(self) -> dict[str, Any] | None:
        """Read its whole summary."""
        return self.loop.run(self.batch.summary())

    def save_summary(self, path: Path) -> bool:
        """Write its summary to a file."""
        return self.loop.run(self.batch.save_summary(path))

    def save_output(self, name: str, path: Path) -> bool:
        """Write an output to a file."""
        return self.loop.run(self.batch.save_output(name, path))

    def frame(self) -> pl.DataFrame:
        """Return one row per item, in input order."""
        return self.loop.run(self.batch.frame())


class SyncPipeline:
    """A `Pipeline` whose methods block; a context manager."""

    def __init__(
        self,
        url: str,
        function: str = FUNCTION,
        *,
        token: str | None = None,
        patience: float = PATIENCE,
        tell: Tell | None = None,
    ) -> None:
        self._pipeline = Pipeline(url, function, token=token, patience=patience, tell=tell)

    def __enter__(self) -> Self:
        self._loop = _Loop()
        self._loop.run(self._pipeline.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.run(self._pipeline.__aexit__(None, None, None))
        self._loop.close()

    def submit(self, source: Source, *, batch_id: str | None = None, **fields: Unpack[SpecFields]) -> SyncBatch:
        """Start a batch over a file (Path), bytes (a CSV, or in `format`) or an object in S3 (str: see `input`)."""
        return SyncBatch(self._loop.run(self._pipeline.submit(source, batch_id=batch_id, **fields)), self._loop)

    def dry_run(self, source: Source, **fields: Unpack[SpecFields]) -> DryRun:
        """Return the plan of a submission."""
        return self._loop.run(self._pipeline.dry_run(source, **fields))

    def batch(self, batch_id: str) -> SyncBatch:
        """Return a batch by its id, without a call."""
        return SyncBatch(self._pipeline.batch(batch_id), self._loop)

    def list(self) -> Batches:
        """Return the open batches and the last that ended."""
        return self._loop.run(self._pipeline.list())

    def doctor(self) -> Diagnosis:
        """Let the function check its settings and the services it uses."""
        return self._loop.run(self._pipeline.doctor())
