"""Charts told apart by the figures that they show."""

import re

_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def same_figures(one: str, other: str) -> bool:
    """Return whether two charts show the same figures, whatever drew them."""
    digests = [_DIGEST.findall(svg) for svg in (one, other)]
    return len(digests[0]) == 1 and digests[0] == digests[1]
