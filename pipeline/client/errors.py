"""What can go wrong when the pipeline is called.

CallError
 ├─ SourceError          the input cannot be sent as it is; nothing was asked
 ├─ UnreachableError     there is no answer
 └─ AnswerError          there is one, with a status
     ├─ RefusedError     a 4xx (or 3xx): the request has to change
     └─ BrokenError      a 5xx, or one that cannot be understood: the function's log says more

Each message is one line, and none holds a token.
"""

from collections.abc import Sequence

from pipeline.client.terminal_text import one_line

LONGEST = 2_000


class CallError(Exception):
    """A call did not do what was asked. `attempts` counts how often it was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message, LONGEST))
        self.attempts = 1


class SourceError(CallError):
    """The input cannot be sent as it is."""


class AnswerError(CallError):
    """There is an answer, and it is none that helps: its HTTP `status`, `error` and `problems` as it gives them.

    `retry_after` is in seconds, None where the answer asks for none.
    """

    said = "answered"

    def __init__(
        self, status: int, error: str, problems: Sequence[str] = (), *, retry_after: float | None = None
    ) -> None:
        super().__init__("; ".join([f"{self.said} ({status}): {error}", *problems]))
        self.status = status
        self.error = error
        self.problems = tuple(problems)
        self.retry_after = retry_after


class RefusedError(AnswerError):
    """The pipeline, or the gateway, refuses the request: the answer is a 4xx."""

    said = "refused"


class BrokenError(AnswerError):
    """The function cannot serve the request: the answer is a 5xx, or is none of the pipeline's."""

    said = "failed"


class UnreachableError(CallError):
    """There is no answer: the connection failed, or nothing came in time."""
