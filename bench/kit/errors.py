"""What a measurement raises when it cannot be made."""


class BenchError(Exception):
    """A run would not be worth its figures; the text is one line that says why."""
