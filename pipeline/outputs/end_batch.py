"""End a batch: write its outputs under its generation, publish them, and record the end in the ledger and in S3."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.batch.reduce_job import ReduceJob
from pipeline.concurrency import task_group
from pipeline.errors import PipelineError
from pipeline.ledger.arguments import Published
from pipeline.ledger.replies import State
from pipeline.notify.deliver import announce_end
from pipeline.outputs.batch_rows import BatchRows
from pipeline.outputs.export import write_tables
from pipeline.outputs.joined_table import joined_table
from pipeline.outputs.publish import publish
from pipeline.outputs.query import query_notes, status_of, write_answer
from pipeline.outputs.report import make_report
from pipeline.outputs.summary import Summary, Totals, write_summary
from pipeline.spec.submission import Submission
from pipeline.sql.child import Answer
from pipeline.store.keys import CONTENT_TYPES, FAILURES_NDJSON, FAILURES_PARQUET, REPORT, SUMMARY, Segment, output_names
from pipeline.store.object_info import ObjectInfo
from pipeline.store.writer import Writer
from pipeline.tasks.release import enqueue_reduce

# A table that kills its replica would otherwise keep its batch from ever ending. The query is given up first.
TABLE_ATTEMPTS = 3
SQL_ATTEMPTS = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SettledBatch:
    """A batch whose tasks are settled: the ledger's state, the submission, the segments of all generations.

    `attempt` counts the reduces of this generation, from 1.
    """

    state: State
    submission: Submission
    segments: Sequence[Segment]
    attempt: int

    @property
    def is_json(self) -> bool:
        """Whether the input was JSON, so that only JSON can hold its failed rows as they were."""
        return self.submission.spec.input_format in {"ndjson", "json"}


@dataclass(frozen=True)
class _Outputs:
    """The outputs besides the summary, by name, the answer to the query, and notes for the status."""

    objects: dict[str, ObjectInfo] = field(default_factory=dict)
    answer: Answer | None = None
    notes: tuple[str, ...] = ()

    def end(self, summary: Summary, outcome: str) -> Published:
        names = tuple(name for name in CONTENT_TYPES if name in self.objects)
        answer = status_of(self.answer) if self.answer else None
        return Published(summary.succeeded, summary.failed, names, self.notes, answer, outcome)


async def end_batch(job: ReduceJob, settled: SettledBatch) -> str:
    """End a batch; returns its final state, or 'lost' where another reduce has taken over.

    A cancel that came meanwhile leaves it `reducing`: the next reduce writes the outputs of a cancelled batch.

    When two reduces of a generation broke off, the next one does not run the query, and when three did, the next one
    writes the summary only; the status says so. Raises as the store, and TableError.
    """
    context, batch = job.context, job.batch
    summary, outputs = await _write_outputs(job, settled)
    if not await publish(job, outputs.objects, summary.object):
        return "lost"
    # A predecessor that stalled may have begun some since. After the end they could be those of a redrive.
    await context.store.abort_uploads(batch, job.check_lease)
    return await _finish(job, outputs.end(summary, settled.state["outcome"]))


async def end_without_outputs(job: ReduceJob, state: State, error: PipelineError) -> str:
    """End a batch that has lost an object without which there are no outputs; returns as `end_batch`."""
    succeeded = state.number("succeeded")
    note = f"there are no outputs of this end: {error}"
    failed = state.number("batch_size") - succeeded
    return await _finish(job, Published(succeeded, failed, notes=(note,), outcome=state["outcome"]))


async def _finish(job: ReduceJob, end: Published) -> str:
    context, batch = job.context, job.batch
    state = await context.ledger.finish(batch, job.owner, job.generation, end)
    if not state:
        return "lost"
    if state == "reducing":
        await enqueue_reduce(context, batch, job.generation)
        return state
    context.metrics.ended(state)
    log.info("batch ended", extra={"state": state, "succeeded": end.succeeded, "failed": end.failed})
    await announce_end(context, batch)
    return state


async def _write_outputs(job: ReduceJob, settled: SettledBatch) -> tuple[Summary, _Outputs]:
    """Write all objects under the generation; returns the summary, and the other outputs."""
    context, state = job.context, settled.state
    manifest = await context.snapshots.manifest(job.batch, 0)
    rows = BatchRows(context.store, context.snapshots, job.batch, manifest, settled.segments)
    totals = Totals(
        started=state.seconds("started") or 0,
        completed=state.seconds("completed") or 0,
        succeeded=state.number("succeeded"),
        not_run=f"not run: {state['reason'] or state['outcome']}",
    )

    def new_summary() -> Writer:
        return job.new_writer(SUMMARY)

    async with task_group() as group:
        summary = group.create_task(write_summary(new_summary, rows, totals))
        tables = group.create_task(_write_tables(job, settled, rows)) if settled.attempt <= TABLE_ATTEMPTS else None
    without_tables = _Outputs(answer=_skipped_query(settled), notes=(_note_without_tables(settled),))
    return summary.result(), tables.result() if tables else without_tables


async def _write_tables(job: ReduceJob, settled: SettledBatch, rows: BatchRows) -> _Outputs:
    """Write the joined table, the failed rows, the answer to the query and the report."""
    later = [job.context.snapshots.manifest(job.batch, number + 1) for number in range(job.generation)]
    manifests = [rows.manifest, *await asyncio.gather(*later)]
    spec, answer = settled.submission.spec, _skipped_query(settled)
    async with joined_table(rows) as table:
        written = await write_tables(
            table, job.new_writer, spec.outputs, failures_as_json=settled.is_json, csv_safe=spec.csv_safe
        )
        if spec.sql is not None and settled.attempt <= SQL_ATTEMPTS:
            answer, objects = await write_answer(job.context, spec.sql, table, job.new_writer, csv_safe=spec.csv_safe)
            written += objects
        report = make_report(job.batch, settled.state, settled.submission, manifests, table.tally)
    async with job.new_writer(REPORT) as writer:
        await writer.write(report)
        written.append(await writer.close())
    objects_by_name = {info.key.rpartition("/")[2]: info for info in written}
    return _Outputs(objects_by_name, answer, query_notes(answer))


def _skipped_query(settled: SettledBatch) -> Answer | None:
    """Return the answer to a query that is given up, None where the batch has no query."""
    if settled.submission.spec.sql is None:
        return None
    return Answer(error=f"it was given up after {SQL_ATTEMPTS} attempts in which the reduce was cut off")


def _note_without_tables(settled: SettledBatch) -> str:
    """Return the note that only the summary was written, and why."""
    failures = FAILURES_NDJSON if settled.is_json else FAILURES_PARQUET
    names = ", ".join(output_names(settled.submission.spec.outputs, failures))
    reason = settled.state["trouble"] or "see the function's log and its replicas' memory"
    return f"there are no {names}: writing them was given up after {TABLE_ATTEMPTS} attempts that broke off ({reason})"
