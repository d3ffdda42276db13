"""A dry run: what a submission would do, with nothing written, queued or called."""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

import polars as pl

from pipeline.batch.delete import find_outlived
from pipeline.batch.lookup import another, being_deleted, find_kept
from pipeline.context import Context
from pipeline.errors import UnavailableError
from pipeline.identity import Identity
from pipeline.inputs.check_query import check_query
from pipeline.inputs.open_input import Input, open_input
from pipeline.ledger.replies import State
from pipeline.openfaas.gateway import Request
from pipeline.spec.batch_spec import BatchSpec
from pipeline.spec.headers import shown
from pipeline.spec.submission import Submission
from pipeline.store.columns import INDEX, ITEM, TASK
from pipeline.store.cutter import Cutter
from pipeline.store.snapshot import Item, sent
from pipeline.tasks.model_call import call_headers, chunk_body
from pipeline.tasks.release import direct_call
from pipeline.units import KIB

MOST_CALLS = 3
BODY_SHOWN = KIB
CUT = "…"

Row = tuple[int, int, str]


async def try_out(
    context: Context, name: str, submission: Submission, body: bytes | None, *, queued: bool
) -> dict[str, Any]:
    """Read the input as an opening does, and describe the batch; `body` is the CSV where the request carries it.

    `queued`: its snapshot would be made by a queued invocation. Raises what the submission would raise, and
    UnavailableError when the input cannot be read within a task's time.
    """
    spec, limit = submission.spec, context.settings.task_timeout
    there = await _there(context, name, submission.digest)
    try:
        async with asyncio.timeout(limit), open_input(context, submission, body) as given:
            await check_query(context, spec, given.schema)
            cutter = Cutter(given.chunk)
            rows = await _cut(given, cutter, whole_tasks=spec.chunk_call)
    except TimeoutError:
        raise UnavailableError(
            f"the input could not be read within {limit:g} s (setting task_timeout): try a part of it, or submit it "
            "without dry_run; it is read in the background then"
        ) from None
    calls = cutter.tasks if spec.chunk_call else cutter.items
    return {
        "dry_run": True,
        "input": spec.input,
        "column": given.shape.column,
        "columns": list(given.schema),
        "items": cutter.items,
        "chunk": given.chunk,
        "tasks": cutter.tasks,
        "calls": calls,
        "messages": int(queued) + cutter.tasks + 1,
        "first_calls": [_shown(call) for call in _calls(context, name, spec, rows, json=given.shape.json_items)],
        **there,
    }


async def _there(context: Context, name: str, digest: str) -> dict[str, Any]:
    """Say which batch of the same submission there is; raises what the submission would raise for another's id."""
    state = await context.ledger.state(name)
    if state is not None and state["state"] == "deleting":
        raise being_deleted(name)
    if state is not None and not _is_given_up(state, digest) and await find_outlived(context, name) is None:
        if state["digest"] != digest:
            raise another(name)
        return {"exists": True, "state": state["state"]}
    kept = await find_kept(context, name, digest)
    if kept is None:
        return {}
    if kept.status is not None:
        return {"exists": True, "state": kept.status["state"]}
    # One that had not come as far as a snapshot is begun anew.
    return {"exists": True, "state": "opening"} if await context.snapshots.generations(name) else {}


def _is_given_up(state: State, digest: str) -> bool:
    """Say whether its opening broke off, so that the submission would take its claim over."""
    is_over = (state.seconds("lease_until") or 0) <= state.now
    return state["state"] == "opening" and state["digest"] == digest and is_over


async def _cut(given: Input, cutter: Cutter, *, whole_tasks: bool) -> list[Row]:
    """Cut all rows as the snapshot would; returns those of the first calls."""
    first: list[Row] = []

    def keep(parts: list[pl.DataFrame]) -> None:
        for part in parts:
            rows = part.select(TASK, INDEX, ITEM).filter(pl.col(TASK) < MOST_CALLS)
            rows = rows.with_columns(sent(rows.get_column(ITEM), json_items=given.shape.json_items))
            first.extend((rows if whole_tasks else rows.head(MOST_CALLS - len(first))).iter_rows())

    async for frame in given.frames:
        keep(await asyncio.to_thread(cutter.feed, frame))
    keep(await asyncio.to_thread(cutter.rest))
    return first


def _calls(context: Context, name: str, spec: BatchSpec, rows: list[Row], *, json: bool) -> Iterator[Request]:
    if spec.chunk_call:
        for task, group in groupby(rows, key=itemgetter(0)):
            body = chunk_body([text for _, _, text in group], json=json)
            headers = call_headers(spec, Identity(name, 0, task).call_id(), json=json)
            yield context.gateway.call(spec.function, body, headers)
        return
    for task, index, text in rows:
        identity, item = Identity(name, 0, task), Item(index, text, json)
        message = direct_call(context.gateway, spec, identity, item) if spec.direct else None
        headers = call_headers(spec, identity.call_id(index), json=json)
        yield message or context.gateway.call(spec.function, text.encode(), headers)


def _shown(request: Request) -> dict[str, Any]:
    body = request.body or b""
    text = body[:BODY_SHOWN].decode(errors="ignore")
    return {
        "method": "POST",
        "url": str(request.url),
        "headers": {name: _told(name, value) for name, value in request.headers.items()},
        "body": text + CUT * (len(body) > BODY_SHOWN),
    }


def _told(name: str, value: str) -> str:
    """Keep back what is secret, and what is only known, and signed, when the batch is open."""
    if name == "X-Call-Id":
        return CUT
    if name == "X-Callback-Url":
        return value.partition("?")[0] + "?" + CUT
    return shown(name, value)
