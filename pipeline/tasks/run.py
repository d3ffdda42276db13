"""Run one task: lease the run, read its items, call the model function, return its answer."""

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import partial

import msgspec

from pipeline.answers.envelope import encode_answer, encode_duplicate
from pipeline.answers.outcome import Outcome
from pipeline.answers.reply import Reply
from pipeline.concurrency import off_loop, task_group, valid_for
from pipeline.context import Context
from pipeline.errors import ForbiddenError
from pipeline.identity import Identity
from pipeline.ledger.replies import Start
from pipeline.spec.batch_spec import BatchSpec
from pipeline.store.snapshot import Item
from pipeline.tasks.make_outcome import STORING, make_outcome, store_large_results
from pipeline.tasks.model_call import ModelCall, TakeTurn, call_headers, call_model, chunk_body

WRONG_SHAPE = 502
DUPLICATE = frozenset({"settled", "running"})

log = logging.getLogger(__name__)


async def run_task(context: Context, identity: Identity, function: str, end: float) -> bytes:
    """Run a task until `end`, a time.monotonic(), and return its answer.

    No item is called if the task is settled, or runs already: the answer is then marked as a duplicate's. It has no
    outcomes if the generation does not run any more. Raises ForbiddenError for another model function, and
    UnavailableError, also when it takes much longer, since its batch may be deleted by then.
    """
    start = await context.ledger.start_task(identity, end - time.monotonic())
    if start.verdict in DUPLICATE:
        log.info("message is a duplicate", extra={"task": start.verdict})
        return encode_duplicate()
    if start.verdict != "run":
        return encode_answer([])
    async with valid_for(end - time.monotonic() + STORING):
        return await _run(context, identity, function, end, start)


async def _run(context: Context, identity: Identity, function: str, end: float, start: Start) -> bytes:
    spec = await context.records.get(identity.batch, identity.epoch)
    if spec.function != function:
        raise ForbiddenError("this invocation was signed for another model function")
    items = await context.snapshots.items(identity.batch, identity.epoch, identity.generation, identity.task)
    take_turn = partial(context.ledger.reserve_call, identity.batch) if start.paced else None
    run = TaskRun(context, identity, spec, end, take_turn, start.answered)
    outcomes = await (run.call_chunk(items) if spec.chunk_call else run.call_items(items))
    return encode_answer(await store_large_results(context.store, identity, outcomes, spec.inline_limit))


@dataclass(frozen=True)
class TaskRun:
    """One run of a task; `end` is a time.monotonic(). `answered`: the model function exists."""

    context: Context
    identity: Identity
    spec: BatchSpec
    end: float
    take_turn: TakeTurn | None
    answered: bool

    async def call_items(self, items: list[Item]) -> list[Outcome]:
        """Call the items side by side, at most `concurrency` at once."""
        if len(items) == 1:
            return [await self._call_item(items[0])]
        slots = asyncio.Semaphore(self.spec.concurrency)

        async def call_in_slot(item: Item) -> Outcome:
            async with slots:
                return await self._call_item(item)

        # An error cancels the other calls: the whole task runs again.
        async with task_group() as group:
            calls = [group.create_task(call_in_slot(item)) for item in items]
        return [call.result() for call in calls]

    async def _call_item(self, item: Item) -> Outcome:
        call_id = self.identity.call_id(item.index)
        call = await self._call(item.text.encode(), call_id, json=item.json)
        outcome = await off_loop(len(call.reply.body), make_outcome, call_id, item, call)
        # At once, so that the large results of a chunk are never in memory together.
        (outcome,) = await store_large_results(self.context.store, self.identity, [outcome], self.spec.inline_limit)
        return outcome

    async def call_chunk(self, items: list[Item]) -> list[Outcome]:
        """Send the chunk as one JSON array and expect an array of as many results back."""
        call_id = self.identity.call_id()
        json = items[0].json
        call = await self._call(chunk_body([item.text for item in items], json=json), call_id, json=json)
        return await off_loop(len(call.reply.body), _chunk_outcomes, call_id, items, call)

    async def _call(self, body: bytes, call_id: str, *, json: bool) -> ModelCall:
        headers = call_headers(self.spec, call_id, json=json)
        call = await call_model(
            self.context.gateway, self.spec, body, headers, self.end, self.take_turn, may_be_missing=not self.answered
        )
        self.context.metrics.tried(call.attempts)
        return call


def _chunk_outcomes(call_id: str, items: list[Item], call: ModelCall) -> list[Outcome]:
    """Return the outcomes of a chunk that was one call.

    A failure of a whole chunk says nothing about its items: they may run again one by one.
    """
    if not call.succeeded:
        retryable = True if len(items) > 1 else None
        return [make_outcome(call_id, item, call, retryable=retryable) for item in items]
    try:
        results = msgspec.json.decode(call.reply.body, type=list[msgspec.Raw])
        problem = "" if len(results) == len(items) else f"an array of {len(results)}"
    except (msgspec.DecodeError, RecursionError):
        results, problem = [], "something else"
    if problem:
        text = f"the model function was called with an array of {len(items)} and answered with {problem}"
        wrong = ModelCall(Reply(WRONG_SHAPE, text.encode()), call.attempts, call.duration)
        return [make_outcome(call_id, item, wrong, retryable=len(items) > 1) for item in items]
    status = call.reply.status
    calls = [ModelCall(Reply(status, bytes(raw)), call.attempts, call.duration) for raw in results]
    return [make_outcome(call_id, item, one) for item, one in zip(items, calls, strict=True)]
