"""Who may use the function: whoever knows a token, or anybody where no token is mounted."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from pipeline.errors import UnauthorizedError
from pipeline.request import Event

_EXPECTED = "expected 'Authorization: Bearer TOKEN' with a token of the secret pipeline-token"


@dataclass
class Access:
    """Knows the tokens; no tokens at the start means that anybody may.

    `reload` reads the tokens again, before each check: one that is new works at once, one that is gone no longer does.
    While it returns none, the known ones stay, so that a file that cannot be read opens the function to nobody.
    """

    tokens: tuple[bytes, ...] = ()
    reload: Callable[[], tuple[bytes, ...]] = field(default=tuple)

    def check(self, event: Event) -> None:
        """Raise UnauthorizedError unless the request carries a token, where there are any; no token is ever shown."""
        if not self.tokens:
            return
        self.tokens = self.reload() or self.tokens
        given = event.headers.get("Authorization", "")
        if not given:
            raise UnauthorizedError(f"the header Authorization is missing: {_EXPECTED}")
        scheme, _, token = given.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthorizedError(f"the header Authorization is not understood: {_EXPECTED}")
        if not self._knows(token.strip()):
            raise UnauthorizedError(f"the token is not known: {_EXPECTED}")

    def _knows(self, token: str) -> bool:
        """Compare digests with every token, so that the time it takes says nothing of length, content or place."""
        given = _digest(token.encode(errors="surrogatepass"))
        return sum(hmac.compare_digest(_digest(known), given) for known in self.tokens) > 0


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
