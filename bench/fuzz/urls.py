"""Signed URLs: how they are changed, and what of them a signature covers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from bench.fuzz.steps import Signed

IDENTITY = ("batch", "generation", "task", "attempt", "epoch")
COVERED = (*IDENTITY, "function", "key", "sig")


def changed(query: bytes, step: Signed) -> bytes:
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
    """Say whether a query carries what was signed, each once and nothing else of what a signature covers."""
    return _covered(original) == _covered(query)


def _covered(query: bytes) -> list[tuple[str, str]]:
    """Return what a signature covers; an epoch or a function that is empty is none."""
    return sorted(
        pair for pair in _pairs(query) if pair[0] in COVERED and pair not in {("epoch", ""), ("function", "")}
    )
