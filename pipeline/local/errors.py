"""Errors at the start of a local stack.

- LocalError
  - MissingBinaryError: a server program is neither installed nor on PATH
  - ServiceStartError: Redis or S3 did not start, or the user's own does not answer
  - FunctionStartError: a function's process did not start
"""


class LocalError(Exception):
    """Base of the errors of `pipeline.local`."""


class MissingBinaryError(LocalError):
    """No server program for this platform; the message names the package to install."""


class ServiceStartError(LocalError):
    """A service died or stayed silent while starting; the message ends with the last lines of its log."""


class FunctionStartError(LocalError):
    """A function died or stayed silent while starting; the message names it and ends with the last lines of its log."""
