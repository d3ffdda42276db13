"""Units of size and time, and times in the formats of headers and documents."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

KIB = 1024
MIB = 1024 * KIB
# A second, as Redis and the ledger's scripts count time.
MICROSECONDS = 1_000_000


def microseconds(seconds: float) -> int:
    """Return a time in seconds as Redis and the ledger's scripts count it."""
    return int(seconds * MICROSECONDS)


def http_time(value: str) -> float | None:
    """Return an HTTP date (RFC 9110) in seconds since 1970, None if it is not a date."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def iso(seconds: float) -> str:
    """Return a time in seconds since 1970 as ISO 8601 has it, in UTC and to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def retry_after(value: str) -> float | None:
    """Return the seconds that a Retry-After header asks for (RFC 9110: seconds, or a date), None for none."""
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
