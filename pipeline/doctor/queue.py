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
from pipeline.settings.environment import Settings

PATIENCE = 10.0
POLL = 0.1
INVOKED = "200"
NAME = "queue: there and back"
RETRIES = "queue: retries"
PAGE = "see pipeline/docs/deploy.md, 'Who retries'"


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
        checks = [await _judge(context, seen, time.monotonic() - started)]
        if "called back" in seen:
            checks.append(_retries(context.settings, seen["called back"].partition(" ")[2]))
        return checks
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
    status = seen.get("called back", "").partition(" ")[0]
    if status == INVOKED:
        return ok(NAME, f"a message came home in {seconds:.2f} s")
    if status:
        advice = "the queue-worker must reach this function under its function_name, through its gateway"
        return failed(NAME, f"the callback came, and says that the call was answered {status}", advice)
    if "invoked" in seen:
        finding = f"the message arrived, and its callback did not within {PATIENCE:g} s"
        advice = (
            "gateway_url must be right for the queue-worker too, and its host among those that the queue-worker may "
            "call back; max_inflight must leave callbacks room"
        )
        return warning(NAME, finding, advice)
    finding = f"the message did not arrive within {PATIENCE:g} s"
    advice = "the queue-worker is down (see its log), or many messages were queued before: try when nothing runs"
    is_busy = bool(await context.ledger.index.open_batches(1))
    return warning(NAME, f"{finding}, while batches are open", advice) if is_busy else failed(NAME, finding, advice)


def _retries(settings: Settings, retry_max: str) -> Check:
    """Compare the setting openfaas_pro with the X-Retry-Max of the callback, '' where it had none."""
    finding = f"openfaas_pro is {settings.openfaas_pro}".lower() + f", X-Retry-Max is {retry_max or 'missing'}"
    if not settings.openfaas_pro:
        if not retry_max:
            return ok(RETRIES, finding)
        advice = f"set openfaas_pro to true: this is the queue-worker of OpenFaaS Pro, which retries by itself; {PAGE}"
        return warning(RETRIES, finding, advice)
    if not retry_max:
        advice = (
            "set openfaas_pro to false unless this is OpenFaaS Pro: with it, a lost direct call is only found "
            f"{settings.worker_retries:g} s later; {PAGE}"
        )
        return warning(RETRIES, finding, advice)
    if int(retry_max):
        advice = (
            f"give this function the annotation com.openfaas.retry.attempts: the queue-worker repeats its messages up "
            f"to {retry_max} times, and the pipeline does so itself, which multiplies the calls of the model; {PAGE}"
        )
        return warning(RETRIES, finding, advice)
    return ok(RETRIES, finding)
