"""Secrets, read from files as OpenFaaS mounts them."""

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigurationError

MINIMUM_KEY_LENGTH = 16
# By the specification of Standard Webhooks: the prefix, and 24 to 64 bytes.
PREFIX = "whsec_"
SMALLEST = 24
LARGEST = 64


def webhook_key(line: bytes) -> bytes:
    """Return the key of a line of the secret: the base64 after `whsec_`, or the line itself; raises ValueError."""
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
    """The content of the secret files. `keys` are the signing keys, newest first: the first signs, all verify.

    Each of `tokens` lets its bearer use the function; without a token, anybody may. `s3_token` is the session token of
    temporary credentials. `webhook_keys` sign notifications; without a key, there are none.
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

    Raises ConfigurationError that names the missing, empty or too short secret.
    """
    keys = read_lines(path, "pipeline-key", "a key")
    tokens = read_lines(path, "pipeline-token", "a token") if (path / "pipeline-token").exists() else ()
    password, s3_token = (_optional(path, name) for name in ("redis-password", "s3-token"))
    s3_key, s3_secret = read_secret(path, "s3-key"), read_secret(path, "s3-secret")
    return Secrets(s3_key, s3_secret, password, keys, tokens, s3_token, read_webhook_keys(path))


def read_webhook_keys(path: Path) -> tuple[bytes, ...]:
    """Read the keys that sign notifications, none if the secret is not mounted; raises ConfigurationError."""
    if not (path / "webhook-key").exists():
        return ()
    try:
        return tuple(map(webhook_key, read_lines(path, "webhook-key", "a key")))
    except ValueError as error:
        raise ConfigurationError(f"secret webhook-key: {error}") from None


def _optional(path: Path, name: str) -> str | None:
    return read_secret(path, name) if (path / name).exists() else None


def read_lines(path: Path, name: str, each: str) -> tuple[bytes, ...]:
    """Read a secret with one key per line; raises ConfigurationError."""
    lines = read_secret(path, name).split()
    if any(len(line) < MINIMUM_KEY_LENGTH for line in lines):
        raise ConfigurationError(f"secret {name}: expected at least {MINIMUM_KEY_LENGTH} characters {each}")
    return tuple(line.encode() for line in lines)


def read_secret(path: Path, name: str) -> str:
    """Read a secret; raises ConfigurationError if it is missing or empty."""
    try:
        value = (path / name).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"secret {name}: cannot read it under {path} ({type(error).__name__})") from None
    if not value:
        raise ConfigurationError(f"secret {name}: the file under {path} is empty")
    return value
