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
    """Compare the clock of Redis with this process's; leases and deadlines go by it."""
    await context.ledger.ping()
    return [await _compare("clock: redis", context.ledger.probes.clock)]


async def check_s3_clock(context: Context) -> list[Check]:
    """Compare the clock of S3 with this process's, also if S3 refuses every request because they differ."""

    async def s3_clock() -> float | None:
        return _middle(await context.store.clock())

    return [await _compare("clock: s3", s3_clock)]


async def check_gateway_clock(context: Context) -> list[Check]:
    """Compare the clock of the gateway with this process's."""

    async def gateway_clock() -> float | None:
        return _middle((await context.gateway.get("/healthz")).date)

    return [await _compare("clock: gateway", gateway_clock)]


def _middle(date: float | None) -> float | None:
    return None if date is None else date + CUT_OFF


async def _compare(name: str, clock: Clock) -> Check:
    before = time.time()
    reading = await clock()
    if reading is None:
        return ok(name, "it does not tell the time")
    off = reading - (before + time.time()) / 2
    # The clock may have been read at any moment between the request and its answer.
    unsure = (time.time() - before) / 2 + CUT_OFF
    finding = f"{abs(off):.1f} s {'ahead of' if off > 0 else 'behind'} the function's"
    if abs(off) - unsure > FAR:
        return failed(name, finding, ADVICE)
    if abs(off) - unsure > MOST:
        return warning(name, finding, ADVICE)
    return ok(name, finding)
