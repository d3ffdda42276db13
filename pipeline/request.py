"""Requests and responses of the function."""

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import orjson

from pipeline.errors import BadRequestError

BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Folders of the bucket that belong to no batch: two with marks, and one for the objects of `doctor`.
RESERVED_IDS = frozenset({"open", "ended", "deleted", "owners", "doctor"})
SIGNATURE_HEADER = "X-Pipeline-Signature"
CALLBACK_PATH = "/collect"
DIRECT_PATH = "/collect/direct"
PROBE_PATH = "/collect/probe"


@dataclass(frozen=True)
class Event:
    """A request, as the python3-http template has it. `headers` are case-insensitive; `path` starts with a slash."""

    body: bytes
    headers: Mapping[str, str]
    method: str
    query: Mapping[str, str]
    path: str


@dataclass(frozen=True)
class Response:
    """The answer of a mode; after `body` the pieces of `stream` are sent, as they come."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: AsyncGenerator[bytes, None] | None = None

    @classmethod
    def json(cls, status: int, document: Any) -> Self:
        """Answer with a JSON document."""
        return cls(status, orjson.dumps(document), {"Content-Type": "application/json"})


def check_batch_id(value: str) -> str:
    """Return a valid batch id; raises BadRequestError otherwise."""
    if not BATCH_ID.fullmatch(value) or value in RESERVED_IDS:
        raise BadRequestError(
            f"X-Batch-Id {value[:80]!r} is not a batch id: 1 to 64 letters, digits, '.', '_' or '-', "
            f"starting with a letter or digit, other than {', '.join(map(repr, sorted(RESERVED_IDS)))}"
        )
    return value


def batch_of(event: Event, *, required: bool = True) -> str:
    """Return the batch id in `?batch=` or X-Batch-Id, '' without one if none is required; raises BadRequestError."""
    name = event.query.get("batch") or event.headers.get("X-Batch-Id", "")
    if not name and required:
        raise BadRequestError("name the batch: ?batch=ID or the header X-Batch-Id")
    return check_batch_id(name) if name else ""
