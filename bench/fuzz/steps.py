"""The requests to send, and how signed URLs are apply_change; a step names its batch and its signed URL by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl

IDENTITY = ("batch", "generation", "task", "attempt", "epoch")
COVERED = (*IDENTITY, "function", "key", "sig")
POOL = 3
Batch = int | bytes | None
Purpose = Literal["task", "open", "reduce", "callback", "probe", "probe callback"]
Use = Literal["task", "open", "reduce", "collect", "probe", "collect/probe"]
# The mode, or the path, that a URL of each purpose is for.
USES: dict[Purpose, Use] = {
    "task": "task",
    "open": "open",
    "reduce": "reduce",
    "callback": "collect",
    "probe": "probe",
    "probe callback": "collect/probe",
}


@dataclass(frozen=True)
class Call:
    """A well-formed request, which has to be answered.

    `batch` is the number of one of the conversation's batches, the bytes to send for one, or none. `fresh`: it asks for
    a batch of an id that nobody has used, of which nothing may be left if it is refused.
    """

    mode: bytes | None
    batch: Batch = None
    batch_in: Literal["query", "header"] = "query"
    method: bytes = b"POST"
    path: bytes = b"/"
    query: tuple[tuple[bytes, bytes], ...] = ()
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    chunked: bool = False
    fresh: bool = False


@dataclass(frozen=True)
class Change:
    """A change of a signed URL: a field gets a value, or another letter at a place."""

    field: bytes
    value: bytes | None = None
    place: int = 0
    letter: bytes = b""
    kind: Literal["set", "flip", "drop", "add", "none"] = "none"


@dataclass(frozen=True)
class Signed:
    """A signed URL that the function has made, sent unchanged or changed.

    `url` and `answer` count back from the newest of their kind; an "own" answer is that of the URL's task, and `body`
    follows what the answer says. `purpose` is what the URL is of, `mode` what it is used for.
    """

    purpose: Purpose
    mode: Use
    url: int
    change: Change
    answer: int | Literal["own"] | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


@dataclass(frozen=True)
class Raw:
    """Bytes that are no whole request, or several; `answers` is the number of answers due, None for any."""

    name: str
    sent: bytes
    answers: int | None = None


Step = Call | Signed | Raw


def apply_change(query: bytes, step: Signed) -> bytes:
    """Return the query of a signed URL with the step's change made."""
    change = step.change
    pairs = [tuple(pair.partition(b"=")[::2]) for pair in query.split(b"&")]
    new: list[tuple[bytes, bytes]] = []
    for name, value in pairs:
        if name == change.field and change.kind == "drop":
            continue
        if name == change.field and change.kind == "set":
            value = change.value or b""  # noqa: PLW2901
        if name == change.field and change.kind == "flip" and value:
            place = change.place % len(value)
            value = value[:place] + change.letter + value[place + 1 :]  # noqa: PLW2901
        new.append((name, value))
    if change.kind == "add":
        new.append((change.field, change.value or b""))
    return b"&".join(b"%s=%s" % pair for pair in new)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    return parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")


def fields_of(query: bytes) -> dict[str, str]:
    """Return the fields of a query, the last of each."""
    return dict(_pairs(query))


def identity_of(query: bytes) -> list[str]:
    """Return the identity that a query carries."""
    fields = fields_of(query)
    return [fields.get(name, "") for name in IDENTITY]


def is_as_signed(original: bytes, query: bytes) -> bool:
    """Return whether a query carries the signed fields, each once, and no other field that a signature covers."""
    return _covered(original) == _covered(query)


def _covered(query: bytes) -> list[tuple[str, str]]:
    """Return the fields that a signature covers; an empty epoch or function is none."""
    return sorted(
        pair for pair in _pairs(query) if pair[0] in COVERED and pair not in {("epoch", ""), ("function", "")}
    )
