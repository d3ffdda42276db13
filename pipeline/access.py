"""Check the token of a request; without mounted tokens everybody may use the function, but no page of another host."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.errors import ForbiddenError, UnauthorizedError
from pipeline.request import Event

# Browsers send one of these, programs do not.
_BROWSERS = ("Origin", "Sec-Fetch-Site")
_HOST_SHOWN = 80
_EXPECTED = "expected 'Authorization: Bearer TOKEN' with a token of the secret pipeline-token"


@dataclass
class Access:
    """The valid tokens; none at the start means that no request needs one.

    `reload` reads the tokens again before each check: a new token works at once, a removed one no longer does. While it
    returns none, the known ones stay, so that an unreadable file opens the function to nobody. `allows_host` tells
    whether a browser may use the function under a host.
    """

    tokens: tuple[bytes, ...] = ()
    reload: Callable[[], tuple[bytes, ...]] = field(default=tuple)
    allows_host: Callable[[str], bool] = field(default=bool)

    def check_host(self, event: Event) -> None:
        """Raise ForbiddenError for a browser that uses the function, which needs no token, under another host.

        The DNS server of that host may lead its own page here, and the page could read every answer.
        """
        if self.tokens or not any(name in event.headers for name in _BROWSERS):
            return
        forwarded = [value for name, value in event.headers.items() if name.lower() == "x-forwarded-host"]
        for host in ",".join(forwarded or [event.headers.get("Host", "")]).split(","):
            if not self.allows_host(host):
                raise ForbiddenError(
                    f"the host {host.strip()[:_HOST_SHOWN]!r} is not this function's: expected that of public_url, one "
                    "of allowed_hosts, or an IP address"
                )

    def check(self, event: Event) -> None:
        """Raise UnauthorizedError unless the request has a valid token, or none is needed; no token is ever shown.

        Raises ForbiddenError as `check_host`.
        """
        self.check_host(event)
        if not self.tokens:
            return
        self.tokens = self.reload() or self.tokens
        header = event.headers.get("Authorization", "")
        if not header:
            raise UnauthorizedError(f"the header Authorization is missing: {_EXPECTED}")
        scheme, _, token = header.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthorizedError(f"the header Authorization is not understood: {_EXPECTED}")
        if not self._knows(token.strip()):
            raise UnauthorizedError(f"the token is not known: {_EXPECTED}")

    def _knows(self, token: str) -> bool:
        """Compare digests with every token, so that the duration reveals no length, content or position."""
        digest = _digest(token.encode(errors="surrogatepass"))
        return sum(hmac.compare_digest(_digest(known), digest) for known in self.tokens) > 0


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
