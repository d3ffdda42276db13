"""The errors of the function and the HTTP status each of them is answered with.

PipelineError
 ├─ BadRequestError       400  the request cannot be understood, or names a missing object
 ├─ UnauthorizedError     401  a token is needed
 ├─ ForbiddenError        403  a signature is missing or wrong
 ├─ NotFoundError         404  no such batch
 ├─ ConflictError         409  the request does not fit the batch's state
 ├─ TooLargeError         413  the body is over its limit
 ├─ TooManyRequestsError  429  the replica has as many requests at once as it can take; try again
 └─ UnavailableError      503  Redis, S3 or the gateway cannot serve it now; try again

`server` is the one place that turns them into responses.
"""

from collections.abc import Sequence


class PipelineError(Exception):
    """An error that is sent to the caller: `status` is the HTTP status, each of `problems` a sentence."""

    status = 500

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class BadRequestError(PipelineError):
    """The request cannot be understood, or names a missing object."""

    status = 400


class UnauthorizedError(PipelineError):
    """The request has no valid token."""

    status = 401


class ForbiddenError(PipelineError):
    """A signature is missing or wrong."""

    status = 403


class NotFoundError(PipelineError):
    """There is no such batch."""

    status = 404


class ConflictError(PipelineError):
    """The request does not fit the state of the batch."""

    status = 409


class TooLargeError(PipelineError):
    """The body is over its limit."""

    status = 413


class TooManyRequestsError(PipelineError):
    """The replica has as many requests at once as it can take; the caller may try again."""

    status = 429


class UnavailableError(PipelineError):
    """Redis, S3 or the gateway cannot serve the request now; the caller may try again."""

    status = 503


class ConfigurationError(Exception):
    """A setting or a secret is missing or wrong; the function does not start."""
