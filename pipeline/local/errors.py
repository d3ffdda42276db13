"""What can go wrong when a local stack starts.

- LocalError
  - MissingBinaryError: a server program is neither installed nor on PATH
  - ServiceStartError: Redis or S3 did not come up, or the user's own does not answer
  - FunctionStartError: a function's process did not come up
"""


class LocalError(Exception):
    """Base of everything that `pipeline.local` raises on purpose."""


class MissingBinaryError(LocalError):
    """No server program for this platform; the message says what to install."""


class ServiceStartError(LocalError):
    """A service died or stayed silent while starting; the message ends with the last lines of its log."""


class FunctionStartError(LocalError):
    """A function died or stayed silent while starting; the message names it and ends with the last lines of its log."""
