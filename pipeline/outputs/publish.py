"""End a batch: write its outputs under its generation, publish them as the batch's, and then say that it has ended."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from pipeline.batch.reduce_lease import Job
from pipeline.concurrency import together
from pipeline.ledger.ledger import End
from pipeline.ledger.replies import State
from pipeline.ledger.states import ENDED
from pipeline.notify.tell import tell_soon
from pipeline.outputs.export import upload, write_tables
from pipeline.outputs.joined_table import JoinedTable, joined_table
from pipeline.outputs.pieces import TableError, in_folder
from pipeline.outputs.query import Question, prepare_question
from pipeline.outputs.report import make_report
from pipeline.outputs.summary import Totals, Written, write_summary
from pipeline.spec.submission import Submission
from pipeline.sql.child import OUTPUTS as SQL_OUTPUTS
from pipeline.sql.child import Answer
from pipeline.sql.runner import status_of
from pipeline.status.final_status import close_batch
from pipeline.store import keys
from pipeline.store.errors import ObjectInfo
from pipeline.store.keys import CONTENT_TYPES, FAILURES_NDJSON, FAILURES_PARQUET, REPORT, SUMMARY, Segment, output_names
from pipeline.store.snapshot import Manifest
from pipeline.store.writer import Writer

# A table that kills its replica would otherwise keep its batch from ever ending, and a query goes first.
TABLE_ATTEMPTS = 3
SQL_ATTEMPTS = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Findings:
    """What a reduce has found that is to end its batch: the ledger's state, what was asked, all outcomes.

    `begun` is how many reduces of this generation there were, this one among them.
    """

    state: State
    submission: Submission
    segments: Sequence[Segment]
    begun: int


@dataclass(frozen=True)
class _Outputs:
    """What is beside the summary, by name, what the query gave where there was one, and what is to be said of them."""

    objects: dict[str, ObjectInfo] = field(default_factory=dict)
    answer: Answer | None = None
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order in which they are listed."""
        return tuple(name for name in CONTENT_TYPES if name in self.objects)

    @property
    def said(self) -> str:
        """What the status says of the answer, as JSON."""
        return msgspec.json.encode(status_of(self.answer)).decode() if self.answer else ""


async def end_batch(job: Job, found: Findings) -> str:
    """End a batch; returns its final state, or 'lost' where another reduce has taken over.

    From the third reduce of a generation on, when two were cut off, its query is not asked, and from the fourth on only
    the summary is written; the status says so. Raises as the store, and TableError.
    """
    context, batch = job.context, job.batch
    summary, outputs = await _write(job, found)
    if not await _publish(job, summary.object, outputs.objects):
        return "lost"
    end = End(summary.succeeded, summary.failed, outputs.names, outputs.notes, outputs.said)
    ended = await context.ledger.finish(batch, job.owner, job.generation, end)
    if not ended:
        return "lost"
    context.metrics.ended(ended)
    log.info("batch ended", extra={"state": ended, "succeeded": end.succeeded, "failed": end.failed})
    await close_batch(context, batch)
    tell_soon(context, batch)
    await context.store.abort_uploads(batch)
    return ended


async def _write(job: Job, found: Findings) -> tuple[Written, _Outputs]:
    """Write all objects under the generation; returns the summary, and the others."""
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
        return job.new_writer(SUMMARY)

    async with together() as group:
        some = (new_summary, context.store, context.snapshots, totals, found.segments)
        summary = group.create_task(write_summary(*some))
        tables = group.create_task(_write_tables(job, found, manifest)) if found.begun <= TABLE_ATTEMPTS else None
    given_up = _Outputs(answer=_unasked(found), notes=(_given_up(found),))
    return summary.result(), tables.result() if tables else given_up


async def _write_tables(job: Job, found: Findings, manifest: Manifest) -> _Outputs:
    context, batch = job.context, job.batch
    later = [context.snapshots.manifest(batch, number + 1) for number in range(job.generation)]
    manifests = [manifest, *await asyncio.gather(*later)]
    question = await _question(job, found, manifest)
    extract = question.fields.extract if isinstance(question, Question) else None
    async with joined_table(context.store, context.snapshots, batch, manifest, found.segments, extract) as table:
        formats, as_lines = found.submission.spec.outputs, _is_json(found)
        written = await write_tables(table, job.new_writer, formats, as_lines=as_lines)
        answer = await _ask(job, question, table, written) if isinstance(question, Question) else question
        report = make_report(batch, found.state, found.submission, manifests, table.tally)
    async with job.new_writer(REPORT) as writer:
        await writer.write(report)
        written.append(await writer.close())
    notes = question.notes() if isinstance(question, Question) else ()
    return _Outputs({each.key.rpartition("/")[2]: each for each in written}, answer, notes)


def _is_json(found: Findings) -> bool:
    """Say whether the input was JSON, so that only JSON has its cells as they were."""
    return found.submission.spec.input_format in {"ndjson", "json"}


def _unasked(found: Findings) -> Answer | None:
    """Say that the query is not asked any more, None where there is none."""
    if found.submission.spec.sql is None:
        return None
    return Answer(error=f"it was given up after {SQL_ATTEMPTS} attempts in which the reduce was cut off")


async def _question(job: Job, found: Findings, manifest: Manifest) -> Question | Answer | None:
    """Return the batch's query, or why it is not asked; None where there is none."""
    text = found.submission.spec.sql
    if text is None or found.begun > SQL_ATTEMPTS:
        return _unasked(found)
    return await prepare_question(job.context, job.batch, text, manifest)


async def _ask(job: Job, question: Question, table: JoinedTable, written: list[ObjectInfo]) -> Answer:
    """Ask the query and write what it gives; what goes wrong with it does the batch no harm. Raises as the store."""
    try:
        folder = table.folder / "sql"
        await in_folder(folder.mkdir)
        answer = await question.ask(job.context, table, folder)
        if answer.error is None:
            written += [await upload(folder / name, job.new_writer) for name in SQL_OUTPUTS]
    except TableError as error:
        return Answer(error=str(error))
    return answer


async def _publish(job: Job, summary: ObjectInfo, outputs: dict[str, ObjectInfo]) -> bool:
    """Make these the batch's outputs, the summary last, and say whether they still were to be.

    Who is overtaken in between puts back what has been published since.
    """
    context, batch = job.context, job.batch
    if not await job.is_leased():
        return False
    # Those of an earlier generation are no outputs of this one.
    await context.store.delete_many([keys.output(batch, name) for name in CONTENT_TYPES if name not in outputs])
    await _copy(job, outputs)
    await context.store.copy(summary, keys.summary(batch))
    if await job.is_leased():
        return True
    now = await context.ledger.phase(batch)
    if now is not None and now.state in ENDED:
        await _put_back(job, now.generation)
    return False


async def _copy(job: Job, outputs: dict[str, ObjectInfo]) -> None:
    async with together() as group:
        for name, info in outputs.items():
            group.create_task(job.context.store.copy(info, keys.output(job.batch, name), CONTENT_TYPES[name]))


async def _put_back(job: Job, generation: int) -> None:
    """Publish what a generation has, and nothing that it has not."""
    store, batch = job.context.store, job.batch
    sizes = await store.sizes(keys.generation_output.folder(batch, generation))
    parsed = [(keys.generation_output.parse(key), ObjectInfo(key, "", size)) for key, size in sizes]
    outputs = {parts["name"]: info for parts, info in parsed if parts}
    await _copy(job, outputs)
    await store.delete_many([keys.output(batch, name) for name in CONTENT_TYPES if name not in outputs])
    await store.copy(await store.head(keys.generation_summary(batch, generation)), keys.summary(batch))


def _given_up(found: Findings) -> str:
    """Say that there is nothing but the summary, and why."""
    again = FAILURES_NDJSON if _is_json(found) else FAILURES_PARQUET
    names = ", ".join(output_names(found.submission.spec.outputs, again))
    reason = found.state["trouble"] or "see the function's log and its replicas' memory"
    return f"there are no {names}: writing them was given up after {TABLE_ATTEMPTS} attempts that broke off ({reason})"
