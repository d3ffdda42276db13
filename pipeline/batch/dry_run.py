"""A dry run: describe the batch that a submission would open; nothing is written, queued or called."""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import polars as pl

from pipeline.batch.delete import find_stale_ledger
from pipeline.batch.submit import being_deleted, check_function, find_existing, id_in_use
from pipeline.capacity import Caller
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.identity import Identity
from pipeline.inputs.open_input import Input, open_input
from pipeline.ledger.replies import State
from pipeline.openfaas.gateway import Request
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.headers import redact
from pipeline.spec.submission import Submission
from pipeline.store.columns import INDEX, ITEM, TASK
from pipeline.store.cut_tasks import Cutter
from pipeline.store.snapshot import Item, sent
from pipeline.tasks.model_call import call_headers, chunk_body
from pipeline.tasks.release import direct_call
from pipeline.units import KIB

CALLS_SHOWN = 3
BODY_SHOWN = KIB
# Of the replica's temporary space.
SHARE = 0.5
CUT = "…"

Row = tuple[int, int, str]  # task, item index, item


async def describe_dry_run(
    context: Context, name: str, submission: Submission, body: bytes | None, *, queued: bool
) -> dict[str, Any]:
    """Read the input as an opening does, and describe the batch; `body` is the input if the request carries it.

    `queued`: its snapshot would be made by a queued opening. Raises the errors of the submission, and UnavailableError
    when the input cannot be read within a task's time.
    """
    spec, limit, caller = submission.spec, context.settings.task_timeout, Caller(name)
    existing = await _describe_existing(context, name, submission.digest)
    if not existing:
        await check_function(context, spec.function)
    try:
        async with (
            context.dry_runs.part(1, caller),
            asyncio.timeout(limit),
            open_input(context, submission, caller, body, share=SHARE) as source,
        ):
            cutter = Cutter(source.chunk)
            rows = await _cut(source, cutter, whole_tasks=spec.chunk_call)
    except TimeoutError:
        raise UnavailableError(
            f"the input could not be read within {limit:g} s (setting task_timeout): try a part of it, or submit it "
            "without dry_run; it is read in the background then"
        ) from None
    json_items = source.shape.json_items
    calls = cutter.tasks if spec.chunk_call else cutter.items
    return {
        "dry_run": True,
        "input": spec.input,
        "column": source.shape.column,
        "columns": list(source.schema),
        "items": cutter.items,
        "chunk": source.chunk,
        "tasks": cutter.tasks,
        "calls": calls,
        "messages": int(queued) + cutter.tasks + 1,
        "first_calls": [_describe_call(call) for call in _first_calls(context, name, spec, rows, json=json_items)],
        **existing,
    }


async def _describe_existing(context: Context, name: str, digest: str) -> dict[str, Any]:
    """Return `exists` and `state` if there is a batch of the same submission; raises the errors for an id in use."""
    state = await context.ledger.state(name)
    if state is not None and state["state"] == "deleting":
        raise being_deleted(name)
    if state is not None and not _is_claim_over(state, digest) and await find_stale_ledger(context, name) is None:
        if state["digest"] != digest:
            raise id_in_use(name)
        return {"exists": True, "state": state["state"]}
    existing = await find_existing(context, name, digest)
    if existing is None:
        return {}
    if existing.status is not None:
        return {"exists": True, "state": existing.status["state"]}
    # Without a snapshot the batch would be opened anew.
    return {"exists": True, "state": "opening"} if await context.snapshots.generations(name) else {}


def _is_claim_over(state: State, digest: str) -> bool:
    """Return whether the batch's opening broke off, so that the submission would take its claim over."""
    is_over = (state.seconds("lease_until") or 0) <= state.now
    return state["state"] == "opening" and state["digest"] == digest and is_over


async def _cut(source: Input, cutter: Cutter, *, whole_tasks: bool) -> list[Row]:
    """Cut all rows as the snapshot would; returns those of the first calls."""
    first: list[Row] = []

    def collect_first(parts: list[pl.DataFrame]) -> None:
        for part in parts:
            rows = part.select(TASK, INDEX, ITEM).filter(pl.col(TASK) < CALLS_SHOWN)
            rows = rows.with_columns(sent(rows.get_column(ITEM), json_items=source.shape.json_items))
            first.extend((rows if whole_tasks else rows.head(CALLS_SHOWN - len(first))).iter_rows())

    async for frame in source.frames:
        collect_first(await asyncio.to_thread(cutter.feed, frame))
    collect_first(await asyncio.to_thread(cutter.rest))
    return first


def _first_calls(context: Context, name: str, spec: BatchSpec, rows: list[Row], *, json: bool) -> Iterator[Request]:
    if spec.chunk_call:
        for task, group in groupby(rows, key=itemgetter(0)):
            body = chunk_body([text for _, _, text in group], json=json)
            headers = call_headers(spec, Identity(name, 0, task).call_id(), json=json)
            yield context.gateway.call_request(spec.function, body, headers)
        return
    for task, index, text in rows:
        identity, item = Identity(name, 0, task), Item(index, text, json)
        message = direct_call(context.gateway, spec, identity, item) if spec.direct else None
        headers = call_headers(spec, identity.call_id(index), json=json)
        yield message or context.gateway.call_request(spec.function, text.encode(), headers)


def _describe_call(request: Request) -> dict[str, Any]:
    body = request.body or b""
    text = body[:BODY_SHOWN].decode(errors="ignore")
    return {
        "method": "POST",
        "url": str(request.url),
        "headers": {name: _redact_header(name, value) for name, value in request.headers.items()},
        "body": text + CUT * (len(body) > BODY_SHOWN),
    }


def _redact_header(name: str, value: str) -> str:
    """Hide secrets, and the values that are only known, and signed, once the batch is open."""
    if name == "X-Call-Id":
        return CUT
    if name == "X-Callback-Url":
        return value.partition("?")[0] + "?" + CUT
    return redact(name, value)
