"""Times as others write them."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def http_time(value: str) -> float | None:
    """Return an HTTP date (RFC 9110) in seconds since 1970, None for what is none."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def iso(seconds: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 has it, in UTC and to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
