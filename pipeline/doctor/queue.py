"""The whole path of a message: it is queued, it invokes the function, and its callback comes back."""

import time
import uuid
from contextlib import suppress

from tenacity import AsyncRetrying, retry_if_result, stop_after_delay, wait_fixed

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning
from pipeline.errors import UnavailableError
from pipeline.identity import Identity
from pipeline.ledger.probe import Step

PATIENCE = 10.0
POLL = 0.1
INVOKED = "200"
NAME = "queue: there and back"


async def check_queue(context: Context) -> list[Check]:
    """Send a message to this function itself, and wait for it and for its callback."""
    probes, probe = context.ledger.probes, uuid.uuid4().hex
    await context.ledger.ping()
    await probes.begin(probe)
    try:
        started = time.monotonic()
        try:
            await context.gateway.enqueue("probe", Identity(probe, 0))
        except UnavailableError as error:
            return [failed(NAME, str(error), "gateway_url must lead to the gateway, and its queue (NATS) must run")]
        seen = await _wait(context, probe)
        return [await _judge(context, seen, time.monotonic() - started)]
    finally:
        with suppress(UnavailableError):
            await probes.end(probe)


async def _wait(context: Context, probe: str) -> dict[Step, str]:
    seen: dict[Step, str] = {}

    async def is_home() -> bool:
        seen.update(await context.ledger.probes.seen(probe))
        return "called back" in seen

    waiting = AsyncRetrying(
        retry=retry_if_result(lambda home: not home),
        stop=stop_after_delay(PATIENCE),
        wait=wait_fixed(POLL),
        retry_error_callback=lambda _: False,
    )
    await waiting(is_home)
    return seen


async def _judge(context: Context, seen: dict[Step, str], seconds: float) -> Check:
    status = seen.get("called back")
    if status == INVOKED:
        return ok(NAME, f"a message came home in {seconds:.2f} s")
    if status is not None:
        advice = "the queue-worker must reach this function under its function_name, through its gateway"
        return failed(NAME, f"the callback came, and says that the call was answered {status}", advice)
    if "invoked" in seen:
        finding = f"the message arrived, and its callback did not within {PATIENCE:g} s"
        advice = "gateway_url must be right for the queue-worker too; max_inflight must leave callbacks room"
        return warning(NAME, finding, advice)
    finding = f"the message did not arrive within {PATIENCE:g} s"
    advice = "the queue-worker is down (see its log), or many messages were queued before: try when nothing runs"
    is_busy = bool(await context.ledger.index.open_batches(1))
    return warning(NAME, f"{finding}, while batches are open", advice) if is_busy else failed(NAME, finding, advice)
