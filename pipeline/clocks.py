"""Times that others name."""

from email.utils import parsedate_to_datetime


def http_time(value: str) -> float | None:
    """Return an HTTP date (RFC 9110) in seconds since 1970, None for what is none."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
