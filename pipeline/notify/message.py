"""The message that a target is sent: its document, and its POST to a URL or to a function."""

import time
from typing import Any

from pipeline.answers.reply import Reply
from pipeline.context import Context
from pipeline.identity import Identity
from pipeline.ledger.notices import EndId
from pipeline.spec.input_address import Address
from pipeline.spec.targets import Target
from pipeline.status.saved_state import final_status
from pipeline.store import keys
from pipeline.store.bucket import Store
from pipeline.units import MICROSECONDS, iso

_TYPES = {"reduce": "batch.reduce", "notify": "batch.ended"}


async def make_document(context: Context, batch: str, end: EndId, target: Target) -> dict[str, Any] | None:
    """Return the JSON document of a notification, or None if this end was superseded."""
    status = await final_status(context, batch, end)
    if status is None:
        return None
    return {
        "type": _TYPES[target.kind],
        "timestamp": iso(end.ended / MICROSECONDS),
        "data": {"status": status, "outputs": await output_addresses(context.store, batch, end.generation)},
    }


async def output_addresses(store: Store, batch: str, generation: int) -> dict[str, str]:
    """Return the `s3://` addresses of a generation's published outputs, by name; the summary is called `summary`.

    A published output is under `<batch>/<generation>/` and under `<batch>/`, and the summary is `<batch>.json`. A
    reduce that was cut off, or an earlier end of this generation, may have left further objects under the generation.
    """
    written = await store.children(keys.generation_output.folder(batch, generation))
    published = await store.children(keys.output.folder(batch))
    names = {"summary": keys.summary(batch)} if keys.generation_summary(batch, generation) in written else {}
    for key in published:
        parts = keys.output.parse(key)
        if parts and keys.generation_output(batch, generation, parts["name"]) in written:
            names[parts["name"]] = key
    return {name: str(Address(store.bucket, key)) for name, key in names.items()}


async def post_message(
    context: Context,
    batch: str,
    end: EndId,
    number: int,
    target: Target,
    body: bytes,
    timeout: float,  # noqa: ASYNC109
) -> Reply:
    """POST a notification's body once, signed; `number` is the target's place. Never raises for a failed call."""
    message_id = Identity(batch, end.generation, number, end.redrives, end.epoch).call_id(purpose="notice")
    headers = {
        "Content-Type": "application/json",
        "X-Call-Id": message_id,
        **context.webhook_signer.headers(message_id, int(time.time()), body),
    }
    post = context.webhook_client.post if target.is_url else context.gateway.post
    return await post(target.address, body, headers, timeout)
