"""Run one task: read its items, call the model function, return the outcomes."""

import asyncio
from dataclasses import dataclass
from functools import partial

import msgspec

from pipeline.answers.outcome import Outcome
from pipeline.answers.reply import Reply
from pipeline.context import Context
from pipeline.errors import ForbiddenError
from pipeline.identity import Identity
from pipeline.ledger.replies import Phase
from pipeline.ledger.states import ACTIVE
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.snapshot import Item
from pipeline.tasks.make_outcome import make_outcome, shed
from pipeline.tasks.model_call import Called, Turn, call, call_headers, chunk_body

WRONG_SHAPE = 502


async def run_task(context: Context, identity: Identity, function: str, end: float) -> list[Outcome]:
    """Run a task until `end`, a time.monotonic(); no outcomes where its batch does not run any more.

    Raises ForbiddenError for another model function, and UnavailableError.
    """
    phase = await _wanted(context, identity)
    if phase is None:
        return []
    spec = await context.specs.get(identity.batch, identity.epoch)
    if spec.function != function:
        raise ForbiddenError("this invocation was signed for another model function")
    items = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
    job = _Job(
        context, identity, spec, end, partial(context.ledger.reserve_call, identity.batch) if phase.paced else None
    )
    outcomes = await (job.call_chunk(items) if spec.chunk_call else job.call_each(items))
    return await shed(context.store, identity, outcomes, spec.inline_limit)


async def _wanted(context: Context, identity: Identity) -> Phase | None:
    """Return the batch's phase while it works on this generation; what is remembered may say so, only a fresh read no.

    A rate that was set a moment ago is not missed either: what is remembered is a second old.
    """
    wanted = [Phase(state, identity.generation, identity.epoch) for state in ACTIVE]
    for read in (context.phases.get, context.ledger.phase):
        phase = await read(identity.batch)
        if phase in wanted:
            return phase
    return None


@dataclass(frozen=True)
class _Job:
    """One run of a task; `end` is a time.monotonic()."""

    context: Context
    identity: Identity
    spec: BatchSpec
    end: float
    turn: Turn | None

    async def _call(self, body: bytes, call_id: str, *, json: bool) -> Called:
        headers = call_headers(self.spec, call_id, json=json)
        called = await call(self.context.gateway, self.spec, body, headers, self.end, self.turn)
        self.context.metrics.tried(called.attempts)
        return called

    async def call_each(self, items: list[Item]) -> list[Outcome]:
        """Call the items side by side, a bounded number at once."""
        if len(items) == 1:
            return [await self._call_item(items[0])]
        slots = asyncio.Semaphore(self.spec.concurrency)

        async def one(item: Item) -> Outcome:
            async with slots:
                return await self._call_item(item)

        try:
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(one(item)) for item in items]
        except BaseExceptionGroup as several:
            # Nothing is called any more for a task that runs again.
            raise several.exceptions[0] from None
        return [done.result() for done in running]

    async def _call_item(self, item: Item) -> Outcome:
        call_id = self.identity.call_id(item.index)
        outcome = make_outcome(call_id, item, await self._call(item.text.encode(), call_id, json=item.json))
        # At once, so that a chunk of large results is never in memory together.
        (kept,) = await shed(self.context.store, self.identity, [outcome], self.spec.inline_limit)
        return kept

    async def call_chunk(self, items: list[Item]) -> list[Outcome]:
        """Send the chunk as one JSON array and expect an array of as many results back.

        A failure of a whole chunk says nothing of its items: they are worth another attempt one by one.
        """
        call_id = self.identity.call_id()
        json = items[0].json
        called = await self._call(chunk_body([item.text for item in items], json=json), call_id, json=json)
        together = True if len(items) > 1 else None
        if not called.succeeded:
            return [make_outcome(call_id, item, called, retryable=together) for item in items]
        try:
            results = msgspec.json.decode(called.reply.body, type=list[msgspec.Raw])
            problem = "" if len(results) == len(items) else f"an array of {len(results)}"
        except (msgspec.DecodeError, RecursionError):
            results, problem = [], "something else"
        if problem:
            text = f"the model function was called with an array of {len(items)} and answered with {problem}"
            wrong = Called(Reply(WRONG_SHAPE, text.encode()), called.attempts, called.duration)
            return [make_outcome(call_id, item, wrong, retryable=len(items) > 1) for item in items]
        status = called.reply.status
        replies = [Called(Reply(status, bytes(raw)), called.attempts, called.duration) for raw in results]
        return [make_outcome(call_id, item, reply) for item, reply in zip(items, replies, strict=True)]
