"""Call the model function for one item, or for a chunk at once, with short retries inside the task's deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from tenacity.wait import wait_base, wait_random_exponential

from pipeline.answers.reply import Reply
from pipeline.openfaas.gateway import Gateway
from pipeline.spec.batch_spec import BatchSpec
from pipeline.units import retry_after

Turn = Callable[[float], Awaitable[float | None]]
Once = Callable[[], Awaitable[Reply]]

RETRY_BUDGET = 2.0
MOST_CALLS = 5
NO_TURN = Reply(429, b"the task's time would be up before the batch's rate lets this item be called")
NOT_STARTED = Reply(504, b"the task's time was up before this item could be called")


@dataclass(frozen=True)
class Called:
    """The last reply of a call, the number of calls made, and the seconds they took."""

    reply: Reply
    attempts: int
    duration: float

    @property
    def succeeded(self) -> bool:
        """Whether the model function answered with a 2xx status."""
        return 200 <= self.reply.status < 300  # noqa: PLR2004

    @property
    def retryable(self) -> bool:
        """Whether another attempt may succeed."""
        return is_retryable(self.reply.status)


def is_retryable(status: int) -> bool:
    """408, 429, every 5xx: statuses of a call that may succeed at another time."""
    return status in {408, 429} or status >= 500  # noqa: PLR2004


class _Wait(wait_base):
    """Full jitter, or what the reply's Retry-After asks for."""

    def __init__(self) -> None:
        self._jitter = wait_random_exponential(multiplier=0.1, max=1)

    def __call__(self, retry_state: RetryCallState) -> float:
        reply = retry_state.outcome.result() if retry_state.outcome else None
        asked = retry_after(reply.retry_after) if isinstance(reply, Reply) else None
        return asked if asked is not None else self._jitter(retry_state)


def call_headers(spec: BatchSpec, call_id: str, *, json: bool) -> dict[str, str]:
    """Return the headers of a call to the model function; `json`: the items are JSON."""
    return {**spec.headers, "Content-Type": spec.item_type(json=json), "X-Call-Id": call_id}


def chunk_body(texts: Sequence[str], *, json: bool) -> bytes:
    """Return the body of the one call for a whole chunk: an array of the items, as they are where they are JSON."""
    return orjson.dumps(list(map(orjson.Fragment, texts)) if json else texts)


async def call(
    gateway: Gateway, spec: BatchSpec, body: bytes, headers: Mapping[str, str], end: float, turn: Turn | None = None
) -> Called:
    """Call the model function until it answers for good: 5 calls, 2 s of waits between them, never past `end`.

    `end` is a time.monotonic(). A Retry-After that asks for more ends the retries: the next generation tries again.
    `turn` is asked before every call, with the seconds left, for those to wait; None is too long.
    """
    started = time.monotonic()
    attempts = 0

    async def once() -> Reply:
        nonlocal attempts
        left = end - time.monotonic()
        if left <= 0:
            return NOT_STARTED
        if turn is not None:
            wait = await turn(left)
            if wait is None:
                return NO_TURN
            await asyncio.sleep(wait)
            left -= wait
        attempts += 1
        return await gateway.invoke(spec.function, body, headers, min(spec.timeout, left))

    def give_up(state: RetryCallState) -> bool:
        waits = state.idle_for + state.upcoming_sleep
        return attempts >= MOST_CALLS or waits > RETRY_BUDGET or time.monotonic() + state.upcoming_sleep > end

    reply = await once()
    if is_retryable(reply.status):
        reply = await _retry(reply, once, give_up)
    return Called(reply, attempts, time.monotonic() - started)


async def _retry(first: Reply, once: Once, give_up: Callable[[RetryCallState], bool]) -> Reply:
    """Call again; the first reply is given, so that a call which succeeds at once pays for no retries."""
    given = [first]

    async def reply_once() -> Reply:
        return given.pop() if given else await once()

    retrying = AsyncRetrying(
        retry=retry_if_result(lambda reply: is_retryable(reply.status)),
        wait=_Wait(),
        stop=give_up,
        retry_error_callback=_last,
    )
    reply: Reply = await retrying(reply_once)
    return reply


def _last(state: RetryCallState) -> Reply:
    assert state.outcome is not None  # noqa: S101
    reply: Reply = state.outcome.result()
    return reply
