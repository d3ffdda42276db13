"""Call the model function for one item, or for a chunk at once, with short retries inside the task's deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson
from tenacity import AsyncRetrying, RetryCallState, retry_if_result
from tenacity.wait import wait_base, wait_random_exponential

from pipeline.answers.reply import Reply
from pipeline.errors import UnavailableError
from pipeline.openfaas.gateway import Gateway
from pipeline.openfaas.origin import names_missing_function
from pipeline.spec.batch_spec import BatchSpec
from pipeline.units import retry_after

# Takes the seconds that are left; returns the seconds to wait for the turn of a call, None if that is too long.
TakeTurn = Callable[[float], Awaitable[float | None]]
CallOnce = Callable[[], Awaitable[Reply]]

RETRY_BUDGET = 2.0
MOST_CALLS = 5
LONGEST_TROUBLE_WAIT = 2.0
NO_TURN = Reply(429, b"the task's time would be up before the batch's rate lets this item be called")
NOT_STARTED = Reply(504, b"the task's time was up before this item could be called")


@dataclass(frozen=True)
class ModelCall:
    """The last reply of the model function, the number of calls made for it, and the seconds they took."""

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
    """Return whether a call with this status may succeed at another time: 408, 429 and every 5xx."""
    return status in {408, 429} or 500 <= status < 600  # noqa: PLR2004


def call_headers(spec: BatchSpec, call_id: str, *, json: bool) -> dict[str, str]:
    """Return the headers of a call to the model function; `json`: the items are JSON."""
    return {**spec.headers, "Content-Type": spec.item_type(json=json), "X-Call-Id": call_id}


def chunk_body(texts: Sequence[str], *, json: bool) -> bytes:
    """Return the body of the one call for a whole chunk: an array of the items, unchanged if they are JSON."""
    return orjson.dumps(list(map(orjson.Fragment, texts)) if json else texts)


async def call_model(
    gateway: Gateway,
    spec: BatchSpec,
    body: bytes,
    headers: Mapping[str, str],
    end: float,
    take_turn: TakeTurn | None = None,
    *,
    may_be_missing: bool = False,
) -> ModelCall:
    """Call the model function until its status is final: 5 calls, 2 s of waits between them, never past `end`.

    `end` is a time.monotonic(). A Retry-After that asks for more ends the retries: the next generation tries again.
    `take_turn` is called before every call. While the platform does not reach the function, the call is repeated until
    `end`, and not counted; then UnavailableError is raised. `may_be_missing`: a function that the gateway does not find
    is not waited for.
    """
    started = time.monotonic()
    attempts = 0

    async def call_once() -> Reply:
        nonlocal attempts
        left = end - time.monotonic()
        if left <= 0:
            return NOT_STARTED
        if take_turn is not None:
            wait = await take_turn(left)
            if wait is None:
                return NO_TURN
            await asyncio.sleep(wait)
            left -= wait
        reply = await gateway.invoke(spec.function, body, headers, min(spec.timeout, left))
        attempts += not is_trouble(reply)
        return reply

    async def reach() -> Reply:
        reply = await call_once()
        return await _wait_for_platform(call_once, is_trouble, end) if is_trouble(reply) else reply

    def is_trouble(reply: Reply) -> bool:
        return reply.unreached and not (may_be_missing and names_missing_function(reply.status, reply.body))

    def stop(state: RetryCallState) -> bool:
        waits = state.idle_for + state.upcoming_sleep
        return attempts >= MOST_CALLS or waits > RETRY_BUDGET or time.monotonic() + state.upcoming_sleep > end

    reply = await reach()
    if is_retryable(reply.status):
        reply = await _retry(reply, reach, stop)
    return ModelCall(reply, attempts, time.monotonic() - started)


async def _wait_for_platform(call_once: CallOnce, is_trouble: Callable[[Reply], bool], end: float) -> Reply:
    """Call again until the platform reaches the function; raises UnavailableError at `end`, a time.monotonic()."""
    retrying = AsyncRetrying(
        retry=retry_if_result(is_trouble),
        wait=wait_random_exponential(multiplier=0.2, max=LONGEST_TROUBLE_WAIT),
        stop=lambda state: time.monotonic() + state.upcoming_sleep > end,
        retry_error_callback=_raise_trouble,
    )
    reply: Reply = await retrying(call_once)
    return reply


async def _retry(first: Reply, call_once: CallOnce, stop: Callable[[RetryCallState], bool]) -> Reply:
    """Call again after the first reply, which is passed in so that a first success pays for no retrying."""
    replies = [first]

    async def next_reply() -> Reply:
        return replies.pop() if replies else await call_once()

    retrying = AsyncRetrying(
        retry=retry_if_result(lambda reply: is_retryable(reply.status)),
        wait=_Wait(),
        stop=stop,
        retry_error_callback=_last_reply,
    )
    reply: Reply = await retrying(next_reply)
    return reply


class _Wait(wait_base):
    """Full jitter, or the seconds of the reply's Retry-After."""

    def __init__(self) -> None:
        self._jitter = wait_random_exponential(multiplier=0.1, max=1)

    def __call__(self, retry_state: RetryCallState) -> float:
        seconds = retry_after(_last_reply(retry_state).retry_after)
        return self._jitter(retry_state) if seconds is None else seconds


def _last_reply(state: RetryCallState) -> Reply:
    assert state.outcome is not None  # noqa: S101
    reply: Reply = state.outcome.result()
    return reply


def _raise_trouble(state: RetryCallState) -> Reply:
    raise UnavailableError(f"the gateway does not reach the model function (status {_last_reply(state).status})")
