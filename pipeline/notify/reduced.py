"""Keep what the function that reduces a batch has answered."""

import asyncio

import orjson

from pipeline.answers.reply import Reply
from pipeline.answers.result_json import as_json
from pipeline.context import Context
from pipeline.ledger.notices import EndId
from pipeline.store.errors import MissingObjectError
from pipeline.store.keys import REDUCED, generation_output, output


async def keep_reduced(context: Context, batch: str, end: EndId, function: str, reply: Reply) -> None:
    """Keep an answer as `reduced.json` under its generation, and as the batch's unless that has another end by now.

    Raises UnavailableError.
    """
    result, encoding = await asyncio.to_thread(as_json, reply.body)
    document = {
        "function": function,
        "status_code": reply.status,
        "result": orjson.Fragment(bytes(result)),
        **({"encoding": encoding} if encoding else {}),
    }
    kept = await context.store.put(generation_output(batch, end.generation, REDUCED), orjson.dumps(document))
    if await _is_current(context, batch, end):
        await context.store.copy(kept, output(batch, REDUCED))
    if not await _is_current(context, batch, end):
        await _put_back(context, batch, end)


async def _is_current(context: Context, batch: str, end: EndId) -> bool:
    return (await context.ledger.notices.read(batch)).end == end


async def _put_back(context: Context, batch: str, end: EndId) -> None:
    """Whoever is overtaken by a redrive puts back what that has kept, and by a deletion leaves nothing behind."""
    store = context.store
    if not await context.specs.exists(batch):
        await store.delete_many([output(batch, REDUCED), generation_output(batch, end.generation, REDUCED)])
        return
    now = await context.ledger.phase(batch)
    if now is None or now.generation == end.generation:
        return
    try:
        await store.copy(await store.head(generation_output(batch, now.generation, REDUCED)), output(batch, REDUCED))
    except MissingObjectError:
        # The redrive has not come that far, and will write over it.
        return
