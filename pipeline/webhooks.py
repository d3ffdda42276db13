"""Signatures of what is sent to others, after the Standard Webhooks specification (https://www.standardwebhooks.com)."""

import base64
import binascii
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

PREFIX = "whsec_"
# The specification: between 24 and 64 bytes; a line of text has at least as many as any other key here.
SMALLEST = 24
LARGEST = 64


def webhook_key(line: bytes) -> bytes:
    """Return the key that a line of the secret stands for: `whsec_` and base64, or the line's own bytes.

    Raises ValueError.
    """
    text = line.decode()
    if not text.startswith(PREFIX):
        return line
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {PREFIX} is not base64") from None
    if not SMALLEST <= len(key) <= LARGEST:
        raise ValueError(f"expected {SMALLEST} to {LARGEST} bytes after {PREFIX}")
    return key


@dataclass
class Webhooks:
    """Knows the keys, the newest first; without any, nobody can be notified.

    `reload` reads them again before each use; while it returns none, the known ones stay.
    """

    keys: tuple[bytes, ...] = ()
    reload: Callable[[], tuple[bytes, ...]] = field(default=tuple)

    def current(self) -> tuple[bytes, ...]:
        """Return the keys as they are by now."""
        self.keys = self.reload() or self.keys
        return self.keys

    def headers(self, message: str, seconds: int, body: bytes) -> dict[str, str]:
        """Return the headers of a try to send a body: `message` names what is sent, `seconds` since 1970 the try.

        Each key signs, so that a receiver may know either while they are replaced.
        """
        signed = f"{message}.{seconds}.".encode() + body
        macs = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in self.current())
        return {
            "webhook-id": message,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(f"v1,{mac}" for mac in macs),
        }
