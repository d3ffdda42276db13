"""Further headers of a call: which are allowed, and which values are redacted where headers are shown."""

import re

from pipeline.spec.field_rules import NAME_PREVIEW
from pipeline.units import KIB

MOST_HEADERS = 64
HEADERS_LIMIT = 16 * KIB
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OWN_HEADERS = frozenset({"content-length", "content-type", "transfer-encoding", "host", "connection", "expect"})
_PLATFORM_HEADERS = frozenset({"x-call-id", "x-mode", "x-batch-id", "x-callback-url"})

REDACTED = "***"
_SECRET = re.compile(r"auth|cookie|credential|key|pass|secret|session|signature|token", re.IGNORECASE)


def redact(name: str, value: str) -> str:
    """Return a header's value, or `***` if its name sounds like a secret."""
    return REDACTED if _SECRET.search(name) else value


def checked_headers(value: dict[str, str]) -> dict[str, str]:
    """Check the names, values, number and size of the headers."""
    size = sum(len(name) + len(content) for name, content in value.items())
    if len(value) > MOST_HEADERS or size > HEADERS_LIMIT:
        expected = f"expected at most {MOST_HEADERS} headers of {HEADERS_LIMIT} bytes together"
        raise ValueError(f"{expected}, there are {len(value)} of {size} bytes")
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(content):
            raise ValueError(
                f"{name[:NAME_PREVIEW]!r} is not a header's name, or its value has characters a header cannot carry"
            )
        if name.lower() in _OWN_HEADERS | _PLATFORM_HEADERS:
            raise ValueError(f"{name} is set by the pipeline" + " (content_type)" * (name.lower() == "content-type"))
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("a header is given twice: capitals make no difference in its name")
    return value
