"""The shapes at the function's edges: requests, responses, outcomes and answers."""

import re
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import msgspec
import orjson

from pipeline.errors import BadRequestError

BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# Folders of the bucket that are no batch's: two with marks, and one for what `doctor` tries.
RESERVED_IDS = frozenset({"open", "ended", "doctor"})
KIB = 1024
MIB = 1024 * KIB
ITEM_PREVIEW = KIB
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
    """What a mode answers; `body` is sent as it is, and what `stream` yields after it, piece by piece."""

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
            "starting with a letter or digit, other than 'open', 'ended' and 'doctor'"
        )
    return value


class Outcome(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of one item: a line of an answer and of a segment.

    `result` is JSON as the model function wrote it; text and base64 (then `encoding` says so) are JSON strings.
    `ref` is the key of the object that holds a result too large to travel. `item` is cut at 1,024 characters:
    the whole one is in the snapshot. `duration` is in seconds, `attempts` counts the calls made.
    """

    index: int
    item: str
    status: Literal["succeeded", "failed"]
    status_code: int
    attempts: int
    duration: float
    call_id: str
    retryable: bool = False
    result: msgspec.Raw = msgspec.Raw(b"null")
    encoding: Literal["base64"] | None = None
    ref: str | None = None


def batch_of(event: Event, *, required: bool = True) -> str:
    """Return the batch that a request names by `?batch=` or X-Batch-Id; raises BadRequestError."""
    name = event.query.get("batch") or event.headers.get("X-Batch-Id", "")
    if not name and required:
        raise BadRequestError("name the batch: ?batch=ID or the header X-Batch-Id")
    return check_batch_id(name) if name else ""
