"""What is shown of headers whose values may be secret."""

import re

HIDDEN = "***"
_SECRET = re.compile(r"auth|cookie|credential|key|pass|secret|session|signature|token", re.IGNORECASE)


def shown(name: str, value: str) -> str:
    """Return a header's value, or `***` where its name sounds like a secret."""
    return HIDDEN if _SECRET.search(name) else value
