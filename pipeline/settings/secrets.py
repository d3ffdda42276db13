"""Secrets, read from files as OpenFaaS mounts them."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigurationError

MINIMUM_KEY_LENGTH = 16


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


@dataclass(frozen=True, repr=False)
class Secrets:
    """What the secret files hold. `keys` are the signing keys, the newest first; the first signs, all verify.

    Each of `tokens` lets its bearer use the function; without any, anybody may. `s3_token` is the session token that
    temporary credentials for S3 have. `webhook_keys` sign notifications; without any, nobody is notified.
    """

    s3_key: str
    s3_secret: str
    redis_password: str | None
    keys: tuple[bytes, ...]
    tokens: tuple[bytes, ...] = ()
    s3_token: str | None = None
    webhook_keys: tuple[bytes, ...] = ()


def read_secrets(path: Path) -> Secrets:
    """Read the secret files under `path`.

    Raises ConfigurationError naming the secret that is missing, empty or too short.
    """
    keys = read_lines(path, "pipeline-key", "a key")
    tokens = read_lines(path, "pipeline-token", "a token") if (path / "pipeline-token").exists() else ()
    password, s3_token = (_optional(path, name) for name in ("redis-password", "s3-token"))
    s3_key, s3_secret = read_secret(path, "s3-key"), read_secret(path, "s3-secret")
    return Secrets(s3_key, s3_secret, password, keys, tokens, s3_token, read_webhook_keys(path))


def read_webhook_keys(path: Path) -> tuple[bytes, ...]:
    """Read the keys that sign notifications, none where the secret is not mounted; raises ConfigurationError."""
    if not (path / "webhook-key").exists():
        return ()
    try:
        return tuple(map(webhook_key, read_lines(path, "webhook-key", "a key")))
    except ValueError as error:
        raise ConfigurationError(f"secret webhook-key: {error}") from None


def _optional(path: Path, name: str) -> str | None:
    return read_secret(path, name) if (path / name).exists() else None


def read_lines(path: Path, name: str, each: str) -> tuple[bytes, ...]:
    """Read a secret that may hold several, one a line; raises ConfigurationError."""
    lines = read_secret(path, name).split()
    if any(len(line) < MINIMUM_KEY_LENGTH for line in lines):
        raise ConfigurationError(f"secret {name}: expected at least {MINIMUM_KEY_LENGTH} characters {each}")
    return tuple(line.encode() for line in lines)


def read_secret(path: Path, name: str) -> str:
    """Read a secret; raises ConfigurationError when it is missing or empty."""
    try:
        value = (path / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"secret {name}: cannot read it under {path} ({type(error).__name__})") from None
    if not value:
        raise ConfigurationError(f"secret {name}: the file under {path} is empty")
    return value
