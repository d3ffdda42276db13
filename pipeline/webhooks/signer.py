"""Signatures of notifications, after the Standard Webhooks specification (https://www.standardwebhooks.com)."""

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class WebhookSigner:
    """Signs with every key, the newest first; without a key no notification can be sent.

    `reload` reads the keys again before each use; while it returns none, the known ones stay.
    """

    keys: tuple[bytes, ...] = ()
    reload: Callable[[], tuple[bytes, ...]] = field(default=tuple)

    def current_keys(self) -> tuple[bytes, ...]:
        """Return the keys after reading them again."""
        self.keys = self.reload() or self.keys
        return self.keys

    def headers(self, message_id: str, seconds: int, body: bytes) -> dict[str, str]:
        """Return the headers webhook-id, webhook-timestamp and webhook-signature of one delivery attempt.

        `message_id` is the same in every attempt, `seconds` since 1970 is the time of this one. There is a signature
        for each key, so that a receiver may know the old or the new one while they are replaced.
        """
        signed = f"{message_id}.{seconds}.".encode() + body
        macs = (base64.b64encode(hmac.digest(key, signed, "sha256")).decode() for key in self.current_keys())
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(seconds),
            "webhook-signature": " ".join(f"v1,{mac}" for mac in macs),
        }
