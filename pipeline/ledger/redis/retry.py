"""Retries of commands, so that they survive a restart or a failover of Redis."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from redis.asyncio.retry import Retry
from redis.backoff import EqualJitterBackoff
from redis.exceptions import NoScriptError, RedisError

from pipeline.ledger.redis.errors import REDIS_ERRORS, is_transient, kind
from pipeline.metrics import Metrics

# Seconds for which a call is tried again: OpenFaaS CE never repeats a callback that was refused.
PATIENCE = 15.0


def is_ping(args: tuple[Any, ...]) -> bool:
    """Return whether a command is a ping, which is not tried again: it asks about the present moment."""
    return bool(args[0] == "PING")


async def patiently(
    call: Callable[[], Awaitable[Any]], between: Callable[[Exception], Awaitable[None]], metrics: Metrics
) -> Any:
    """Run a command until it succeeds, for up to PATIENCE seconds; raises what redis-py raises.

    `between` runs before each further attempt. Failures are counted.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + PATIENCE

    def may_retry(error: Exception) -> bool:
        # A script that is not loaded yet is no failure.
        if not isinstance(error, NoScriptError):
            metrics.redis_failed(kind(error))
        return is_transient(error) and loop.time() < end

    try:
        return await call()
    except REDIS_ERRORS as error:
        if not may_retry(error):
            raise
    retry = Retry(EqualJitterBackoff(cap=1, base=0.05), -1, cast("tuple[type[RedisError], ...]", REDIS_ERRORS))
    return await retry.call_with_retry(call, between, may_retry)
