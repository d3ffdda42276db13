"""The shapes at the function's edges: requests, responses, outcomes and answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import msgspec
import orjson

from pipeline.errors import BadRequestError

BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED_IDS = frozenset({"open", "ended"})
KIB = 1024
MIB = 1024 * KIB
ITEM_PREVIEW = KIB
SIGNATURE_HEADER = "X-Pipeline-Signature"
CALLBACK_PATH = "/collect"
DIRECT_PATH = "/collect/direct"


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
    """What a mode answers; `body` is sent as it is."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, document: Any) -> Self:
        """Answer with a JSON document."""
        return cls(status, orjson.dumps(document), {"Content-Type": "application/json"})


def check_batch_id(value: str) -> str:
    """Return a valid batch id; raises BadRequestError otherwise."""
    if not BATCH_ID.fullmatch(value) or value in RESERVED_IDS:
        raise BadRequestError(
            f"X-Batch-Id {value[:80]!r} is not a batch id: 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit, other than 'open' and 'ended'"
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


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The first line of an answer: all that `collect` has to know of the lines that follow.

    `first` and `last` are item indices, both inclusive; -1 in an answer without outcomes. `not_found` and `retryable`
    count among the failed.
    """

    succeeded: int
    failed: int
    not_found: int
    first: int
    last: int
    retryable: int = 0


def encode_answer(outcomes: list[Outcome]) -> bytes:
    """Return the body of a task's answer: an envelope, then one line an outcome, in input order."""
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    envelope = Envelope(
        succeeded=len(outcomes) - failed,
        failed=failed,
        not_found=sum(outcome.status_code == 404 for outcome in outcomes),  # noqa: PLR2004
        first=outcomes[0].index if outcomes else -1,
        last=outcomes[-1].index if outcomes else -1,
        retryable=sum(outcome.retryable for outcome in outcomes),
    )
    return b"\n".join([msgspec.json.encode(envelope), *map(msgspec.json.encode, outcomes)])


def decode_envelope(answer: bytes) -> tuple[Envelope, bytes]:
    """Split an answer into its envelope and its lines, which stay as they are."""
    head, _, lines = answer.partition(b"\n")
    return msgspec.json.decode(head, type=Envelope), lines


def batch_of(event: Event, *, required: bool = True) -> str:
    """Return the batch that a request names by `?batch=` or X-Batch-Id; raises BadRequestError."""
    name = event.query.get("batch") or event.headers.get("X-Batch-Id", "")
    if not name and required:
        raise BadRequestError("name the batch: ?batch=ID or the header X-Batch-Id")
    return check_batch_id(name) if name else ""
