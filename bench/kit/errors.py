"""The error of a failed measurement."""


class BenchError(Exception):
    """The figures would be worth nothing; the text is one line that says why."""
