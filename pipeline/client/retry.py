"""Calls that are sent again while what is wrong may pass."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_before_delay
from tenacity.wait import wait_base, wait_exponential_jitter

from pipeline.client.errors import AnswerError, CallError, UnreachableError

# Too many requests, and what a gateway answers while a replica starts, stops or is busy.
PASSING = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
# What only reads may be asked again after this one too.
PASSING_FOR_READS = PASSING | {HTTPStatus.INTERNAL_SERVER_ERROR}
# In seconds, whatever an answer asks for.
SHORTEST = 0.05
Result = TypeVar("Result")
Tell = Callable[[CallError], None]


class _Wait(wait_base):
    """Longer each time, or what the answer's Retry-After asks for."""

    def __init__(self) -> None:
        self._growing = wait_exponential_jitter(multiplier=0.2, max=5, jitter=0.2)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome else None
        asked = error.retry_after if isinstance(error, AnswerError) else None
        return self._growing(retry_state) if asked is None else max(asked, SHORTEST)


async def patiently(
    work: Callable[[], Awaitable[Result]], patience: float, tell: Tell | None, passing: frozenset[int]
) -> Result:
    """Do `work` until it is answered, for no longer than `patience` seconds; raises its last CallError.

    Sent again is what met no answer, or one of the statuses `passing`; before each wait `tell` hears why.
    """

    def may_pass(error: BaseException) -> bool:
        return isinstance(error, UnreachableError) or (isinstance(error, AnswerError) and error.status in passing)

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if tell is not None and isinstance(error, CallError):
            tell(error)

    retrying = AsyncRetrying(
        retry=retry_if_exception(may_pass),
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
