"""End a batch: write its outputs under its generation, publish them as the batch's, and then say that it has ended."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.batchspec import Submission
from pipeline.context import Context
from pipeline.duties import close_batch
from pipeline.errors import UnavailableError
from pipeline.exporting import write_tables
from pipeline.grouping import together
from pipeline.ledger import End
from pipeline.notifying import tell_soon
from pipeline.outputs import CONTENT_TYPES, REDUCED, REPORT, names_of
from pipeline.replies import ENDED, Lease, State
from pipeline.report import make_report
from pipeline.segments import Segment
from pipeline.snapshot import Manifest
from pipeline.store import ObjectInfo, Upload
from pipeline.summary import Totals, Writer, Written, write_summary
from pipeline.table import joined_table

# A table that kills its replica would otherwise keep its batch from ever ending.
TABLE_ATTEMPTS = 3

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One run of a reduce; `owner` names it in the lease, since two of one process may run at once."""

    context: Context
    batch: str
    generation: int
    owner: str

    async def lease(self) -> Lease:
        """Take or renew its lease."""
        return await self.context.ledger.lease(self.batch, self.owner, self.generation)

    async def is_leased(self) -> bool:
        """Renew its lease, and say whether it still is its own."""
        return (await self.lease()).verdict == "leased"

    def new_writer(self, name: str) -> Writer:
        """Make the writer of an object under the generation; it sends no part once the lease is lost."""

        async def still_ours(_upload: Upload) -> None:
            if not await self.is_leased():
                raise UnavailableError(f"batch {self.batch}: the lease of its reduce was lost")

        kind = CONTENT_TYPES.get(name, "application/json")
        return Writer(self.context.store, f"{self.batch}/{self.generation}/{name}", still_ours, kind)


@dataclass(frozen=True)
class Findings:
    """What a reduce has found that is to end its batch: the ledger's state, what was asked, all outcomes.

    `begun` is how many reduces of this generation there were, this one among them.
    """

    state: State
    submission: Submission
    segments: Sequence[Segment]
    begun: int


async def end_batch(job: Job, found: Findings) -> str:
    """End a batch; returns its final state, or 'lost' where another reduce has taken over.

    From the fourth reduce of a generation on, when three were cut off, only the summary is written, and the status says
    so. Raises as the store, and TableError.
    """
    context, batch = job.context, job.batch
    summary, outputs = await _write(job, found)
    if not await _publish(job, summary.object, outputs):
        return "lost"
    names = tuple(name for name in CONTENT_TYPES if name in outputs)
    end = End(summary.succeeded, summary.failed, names, () if outputs else (_given_up(found),))
    ended = await context.ledger.finish(batch, job.owner, job.generation, end)
    if not ended:
        return "lost"
    context.metrics.ended(ended)
    log.info("batch ended", extra={"state": ended, "succeeded": end.succeeded, "failed": end.failed})
    await close_batch(context, batch)
    tell_soon(context, batch)
    await context.store.abort_uploads(batch)
    return ended


async def _write(job: Job, found: Findings) -> tuple[Written, dict[str, ObjectInfo]]:
    """Write all objects under the generation; returns the summary, and the others by their names."""
    context, batch, state = job.context, job.batch, found.state
    manifest = await context.snapshots.manifest(batch, 0)
    totals = Totals(
        batch=batch,
        manifest=manifest,
        started=state.seconds("started") or 0,
        completed=state.seconds("completed") or 0,
        succeeded=state.number("succeeded"),
        not_run=f"not run: {state['reason'] or state['outcome']}",
    )

    def new_summary() -> Writer:
        return job.new_writer("summary.json")

    async with together() as group:
        some = (new_summary, context.store, context.snapshots, totals, found.segments)
        summary = group.create_task(write_summary(*some))
        tables = group.create_task(_write_tables(job, found, manifest)) if found.begun <= TABLE_ATTEMPTS else None
    return summary.result(), tables.result() if tables else {}


async def _write_tables(job: Job, found: Findings, manifest: Manifest) -> dict[str, ObjectInfo]:
    context, batch = job.context, job.batch
    later = [context.snapshots.manifest(batch, number + 1) for number in range(job.generation)]
    manifests = [manifest, *await asyncio.gather(*later)]
    async with joined_table(context.store, context.snapshots, batch, manifest, found.segments) as table:
        written = await write_tables(table, job.new_writer, found.submission.spec.outputs)
        report = make_report(batch, found.state, found.submission, manifests, table.tally)
    async with job.new_writer(REPORT) as writer:
        await writer.write(report)
        written.append(await writer.close())
    return {each.key.rpartition("/")[2]: each for each in written}


async def _publish(job: Job, summary: ObjectInfo, outputs: dict[str, ObjectInfo]) -> bool:
    """Make these the batch's outputs, the summary last, and say whether they still were to be.

    Who is overtaken in between puts back what has been published since.
    """
    context, batch = job.context, job.batch
    if not await job.is_leased():
        return False
    # Those of an earlier generation are no outputs of this one.
    earlier = [REDUCED] if outputs else CONTENT_TYPES
    await context.store.delete_many([f"{batch}/{name}" for name in earlier])
    await _copy(job, outputs)
    await context.store.copy(summary, f"{batch}.json")
    if await job.is_leased():
        return True
    now = await context.ledger.phase(batch)
    if now is not None and now.state in ENDED:
        await _put_back(job, now.generation)
    return False


async def _copy(job: Job, outputs: dict[str, ObjectInfo]) -> None:
    async with together() as group:
        for name, info in outputs.items():
            group.create_task(job.context.store.copy(info, f"{job.batch}/{name}", CONTENT_TYPES[name]))


async def _put_back(job: Job, generation: int) -> None:
    """Publish what a generation has, and nothing that it has not."""
    store, folder = job.context.store, f"{job.batch}/{generation}"
    sizes = dict(await store.sizes(f"{folder}/"))
    names = {name for name in CONTENT_TYPES if f"{folder}/{name}" in sizes}
    await _copy(job, {name: ObjectInfo(f"{folder}/{name}", "", sizes[f"{folder}/{name}"]) for name in names})
    await store.delete_many([f"{job.batch}/{name}" for name in CONTENT_TYPES if name not in names])
    await store.copy(await store.head(f"{folder}/summary.json"), f"{job.batch}.json")


def _given_up(found: Findings) -> str:
    """Say that there is nothing but the summary, and why."""
    names = ", ".join(names_of(found.submission.spec.outputs))
    reason = found.state["trouble"] or "see the function's log and its replicas' memory"
    return f"there are no {names}: writing them was given up after {TABLE_ATTEMPTS} attempts that broke off ({reason})"
