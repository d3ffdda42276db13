"""Signatures of notifications, after the Standard Webhooks specification (https://www.standardwebhooks.com)."""

import base64
import hmac
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

FIRST_PAUSE, LONGEST_PAUSE = 60.0, 3600.0

log = logging.getLogger(__name__)


@dataclass
class WebhookSigner:
    """Signs with every key, the newest first; without a key no notification can be sent.

    `reload` reads the keys again before each use; while it returns none, the known ones stay.
    """

    keys: tuple[bytes, ...] = ()
    reload: Callable[[], tuple[bytes, ...]] = field(default=tuple)
    _pause: float = 0.0
    _silent_until: float = 0.0

    def is_ready(self) -> bool:
        """Return whether there is a key; while there is none, the log says so ever more rarely."""
        if self.current_keys():
            self._pause = self._silent_until = 0.0
            return True
        if time.monotonic() >= self._silent_until:
            self._pause = min(LONGEST_PAUSE, 2 * self._pause or FIRST_PAUSE)
            self._silent_until = time.monotonic() + self._pause
            log.warning("notifications wait for the secret webhook-key")
        return False

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
