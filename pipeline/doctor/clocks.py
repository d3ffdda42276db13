"""Clocks: of this process, of Redis, of S3 and of the gateway."""

import time
from collections.abc import Awaitable, Callable

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning

MOST = 2.0
FAR = 60.0
# HTTP dates are whole seconds: on average half of one is cut off.
CUT_OFF = 0.5
ADVICE = "let NTP set both clocks: S3 refuses what is 15 minutes off, and deadlines and retention go by them"

Clock = Callable[[], Awaitable[float | None]]


async def check_redis_clock(context: Context) -> list[Check]:
    """Compare Redis' with this process's; leases and deadlines go by it."""
    await context.ledger.ping()
    return [await _compare("clock: redis", context.ledger.probes.clock)]


async def check_s3_clock(context: Context) -> list[Check]:
    """Compare S3's with this process's, also where S3 refuses every request for that."""

    async def told() -> float | None:
        return _middle(await context.store.clock())

    return [await _compare("clock: s3", told)]


async def check_gateway_clock(context: Context) -> list[Check]:
    """Compare the gateway's with this process's."""

    async def told() -> float | None:
        return _middle((await context.gateway.look("/healthz")).date)

    return [await _compare("clock: gateway", told)]


def _middle(date: float | None) -> float | None:
    return None if date is None else date + CUT_OFF


async def _compare(name: str, clock: Clock) -> Check:
    before = time.time()
    told = await clock()
    if told is None:
        return ok(name, "it does not tell the time")
    off = told - (before + time.time()) / 2
    # What the answer took, it may have been read at either end of.
    unsure = (time.time() - before) / 2 + CUT_OFF
    found = f"{abs(off):.1f} s {'ahead of' if off > 0 else 'behind'} the function's"
    if abs(off) - unsure > FAR:
        return failed(name, found, ADVICE)
    if abs(off) - unsure > MOST:
        return warning(name, found, ADVICE)
    return ok(name, found)
