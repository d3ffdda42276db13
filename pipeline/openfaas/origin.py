"""Tell whether an answer is the platform's own, or the function's.

A gateway that looks each function up first (`scale_from_zero`, as in the chart of OpenFaaS) stamps all that it proxies
with `X-Start-Time` and `X-Served-By`, its own 502 after a broken connection included. An answer without the stamp never
reached the function. A gateway that does not look up stamps everything, and others may stamp nothing. The stamp here is
`X-Served-By`, since the gateway adds `X-Start-Time` to each request too, and so to each callback that it passes on.
"""

from collections.abc import Mapping

STAMP = "X-Served-By"
# Statuses of a gateway, or of the queue-worker, that did not reach a function.
UNREACHED = frozenset({404, 500, 502, 503, 504})


def may_be_own(status: int, headers: Mapping[str, str]) -> bool:
    """Return whether an answer may be the platform's own: it then is, unless this gateway never stamps."""
    return status in UNREACHED and STAMP not in headers


def names_missing_function(status: int, text: bytes) -> bool:
    """Return whether the gateway's own answer says that there is no such function, by the status of the provider."""
    return status == 404 and b"error finding function" in text and b"(404)" in text  # noqa: PLR2004
