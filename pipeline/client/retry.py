"""Retry calls that failed for a reason that may pass."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay
from tenacity.wait import wait_base, wait_exponential_jitter

from pipeline.client.errors import AnswerError, CallError, UnreachableError

# Too many requests, and the answers of a gateway while a replica starts, stops or is busy.
RETRY_STATUSES = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
# A call that only reads may be retried after this one too.
RETRY_STATUSES_FOR_READS = RETRY_STATUSES | {HTTPStatus.INTERNAL_SERVER_ERROR}
# In seconds; an answer may ask for less.
SHORTEST_WAIT = 0.05
Result = TypeVar("Result")
Tell = Callable[[CallError], None]


class _Wait(wait_base):
    """Waits longer each time, or as long as the answer's Retry-After asks."""

    def __init__(self) -> None:
        self._growing = wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.2)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        requested = error.retry_after if isinstance(error, AnswerError) else None
        return self._growing(retry_state) if requested is None else max(requested, SHORTEST_WAIT)


async def call_with_retries(
    work: Callable[[], Awaitable[Result]], patience: float, tell: Tell | None, retry_statuses: frozenset[int]
) -> Result:
    """Return the result of `work`, retried for at most `patience` seconds; raises its last CallError.

    It is retried after no answer or one of `retry_statuses`; before each wait `tell` gets the error.
    """

    def is_retryable(error: BaseException) -> bool:
        if isinstance(error, AnswerError):
            return error.status in retry_statuses
        return isinstance(error, UnreachableError)

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if tell is not None and isinstance(error, CallError):
            tell(error)

    retrying = AsyncRetrying(
        retry=retry_if_exception(is_retryable),
        wait=_Wait(),
        stop=stop_before_delay(patience),
        before_sleep=before_sleep,
        reraise=True,
    )
    try:
        return await retrying(work)
    except CallError as error:
        error.attempts = retrying.statistics["attempt_number"]
        raise
