"""Sign the identities in URLs, and the answers of tasks; verify both.

Each signature has a purpose, so that none serves as another: a URL that is read in a worker's log is of no use for
another route, and settles no task, since an answer's signature covers the digest of its body.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote_plus

from pipeline.errors import ForbiddenError
from pipeline.identity import Identity, Purpose


@dataclass
class Signer:
    """Signs with the newest key, verifies with any; `reload` reads the keys again if a key id is unknown."""

    keys: tuple[bytes, ...]
    reload: Callable[[], tuple[bytes, ...]] = field(default=tuple)

    def query(self, purpose: Purpose, identity: Identity, function: str = "") -> str:
        """Return the signed query string of a URL; `function` is the model function that an invocation may call."""
        key = self.keys[0]
        function_part = f"&function={quote_plus(function)}" if function else ""
        return (
            f"batch={quote_plus(identity.batch)}&generation={identity.generation}&task={identity.task}"
            f"&attempt={identity.attempt}&epoch={quote_plus(identity.epoch)}{function_part}"
            f"&key={_key_id(key)}&sig={_mac(key, purpose, identity, function)}"
        )

    def verify_query(self, purpose: Purpose, query: Mapping[str, str]) -> Identity:
        """Return the identity that a signed URL carries; raises ForbiddenError unless it was signed for `purpose`."""
        identity = Identity.from_query(query)
        self._verify(purpose, identity, query.get("function", ""), query.get("key", ""), query.get("sig", ""))
        return identity

    def answer(self, identity: Identity, body: bytes) -> str:
        """Return the signature header of a task's answer; it covers the identity and the body."""
        key = self.keys[0]
        return f"{_key_id(key)}.{_mac(key, 'answer', identity, hashlib.sha256(body).hexdigest())}"

    def verify_answer(self, identity: Identity, body: bytes, signature: str) -> None:
        """Raise ForbiddenError unless `signature` is that of this body for this attempt."""
        key_id, _, mac = signature.partition(".")
        self._verify("answer", identity, hashlib.sha256(body).hexdigest(), key_id, mac)

    def _verify(self, purpose: Purpose, identity: Identity, extra: str, key_id: str, mac: str) -> None:
        key = self._key(key_id)
        expected = _mac(key, purpose, identity, extra) if key else ""
        if not key or not hmac.compare_digest(expected.encode(), mac.encode(errors="replace")):
            raise ForbiddenError(f"the signature is not that of this {purpose}")

    def _key(self, key_id: str) -> bytes | None:
        for attempt in range(2):
            for key in self.keys:
                if hmac.compare_digest(_key_id(key).encode(), key_id.encode(errors="replace")):
                    return key
            if attempt == 0:
                self.keys = self.reload() or self.keys
        return None


@lru_cache(maxsize=16)
def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"pipeline key id\n" + key).hexdigest()[:8]


def _mac(key: bytes, purpose: Purpose, identity: Identity, extra: str) -> str:
    numbers = f"{identity.generation}\n{identity.task}\n{identity.attempt}"
    signed = f"pipeline\n{purpose}\n{identity.batch}\n{identity.epoch}\n{numbers}\n{extra}"
    return hmac.digest(key, signed.encode(errors="replace"), "sha256").hex()
