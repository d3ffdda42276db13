"""Errors of a call to the pipeline.

CallError
 ├─ SourceError          the input cannot be sent as it is; no request was made
 ├─ UnreachableError     there is no answer
 └─ AnswerError          the answer is an error
     ├─ RefusedError     a 4xx (or 3xx): the request has to change
     └─ BrokenError      a 5xx, or not the pipeline's answer: see the function's log

Each message is one line, and none holds a token.
"""

from collections.abc import Sequence

from pipeline.client.terminal_text import one_line

LONGEST_MESSAGE = 2_000


class CallError(Exception):
    """A call failed. `attempts` counts how often it was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, LONGEST_MESSAGE))
        self.attempts = 1


class SourceError(CallError):
    """The input cannot be sent as it is."""


class AnswerError(CallError):
    """The answer is an error: `status` is its HTTP status, `error` and `problems` are its texts.

    `retry_after` is in seconds, None if the answer has no such header.
    """

    verb = "answered"

    def __init__(
        self, status: int, error: str, problems: Sequence[str] = (), *, retry_after: float | None = None
    ) -> None:
        super().__init__("; ".join([f"{self.verb} ({status}): {error}", *problems]))
        self.status = status
        self.error = error
        self.problems = tuple(problems)
        self.retry_after = retry_after


class RefusedError(AnswerError):
    """The pipeline, or the gateway, refuses the request: the answer is a 4xx."""

    verb = "refused"


class BrokenError(AnswerError):
    """The function cannot serve the request: the answer is a 5xx, or does not come from the pipeline."""

    verb = "failed"


class UnreachableError(CallError):
    """There is no answer: the connection failed, or nothing came in time."""
