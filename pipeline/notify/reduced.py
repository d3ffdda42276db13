"""Store the answer of the function that a specification names as `reduce`, as the object `reduced.json`."""

import asyncio

import orjson

from pipeline.answers.reply import Reply, as_json
from pipeline.context import Context
from pipeline.ledger.notices import EndId
from pipeline.store.errors import MissingObjectError
from pipeline.store.keys import REDUCED, generation_output, output


async def store_reduced(context: Context, batch: str, end: EndId, function: str, reply: Reply) -> None:
    """Store an answer under its generation, and as the batch's own unless the batch has another end by now.

    Raises UnavailableError.
    """
    result, encoding = await asyncio.to_thread(as_json, reply.body)
    document = {
        "function": function,
        "status_code": reply.status,
        "result": orjson.Fragment(bytes(result)),
        **({"encoding": encoding} if encoding else {}),
    }
    stored = await context.store.put(generation_output(batch, end.generation, REDUCED), orjson.dumps(document))
    if await _is_current(context, batch, end):
        await context.store.copy(stored, output(batch, REDUCED))
    if not await _is_current(context, batch, end):
        await _restore_newer(context, batch, end)


async def _is_current(context: Context, batch: str, end: EndId) -> bool:
    return (await context.ledger.notices.read(batch)).end == end


async def _restore_newer(context: Context, batch: str, end: EndId) -> None:
    """Put back the answer of a redrive that has overtaken this one; after a deletion, delete this one."""
    store = context.store
    if not await context.records.exists(batch):
        await store.delete_many([output(batch, REDUCED), generation_output(batch, end.generation, REDUCED)])
        return
    phase = await context.ledger.phase(batch)
    if phase is None or phase.generation == end.generation:
        return
    try:
        await store.copy(await store.head(generation_output(batch, phase.generation, REDUCED)), output(batch, REDUCED))
    except MissingObjectError:
        # The redrive has no answer yet, and will write over this one.
        return
