"""Failures told apart by kind: what the newest of them answered, without the words that differ from item to item."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from pipeline.answers.outcome import Outcome

MOST_KINDS = 5
OTHER_KINDS = "other kinds of failure"
KIND_LENGTH = 100
ITEM_LENGTH = 120
RESULT_LENGTH = 200
# So that a long text costs no more than a short one.
_READ = 300
_MESSAGES = ("error", "message", "detail", "title", "reason")
_VARIABLE = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://\S+", re.ASCII | re.IGNORECASE), "URL"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "'…'"),
    (re.compile(r"\b(0x)?(?=[a-f-]*\d)[0-9a-f]{4,}(-[0-9a-f]{4,})*\b", re.ASCII | re.IGNORECASE), "#"),
    # With what the line above has left of fractions, versions and addresses.
    (re.compile(r"(\d+|#)(\.(\d+|#))*"), "#"),
)


class Example(msgspec.Struct, frozen=True, rename="camel"):
    """A failed item of a kind: `item` and `result` are cut, and end in `…` then.

    Both are whatever user and model function wrote.
    """

    index: int
    item: str
    result: str
    call_id: str


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What the ledger keeps of a kind beside its counts."""

    status_code: int
    generation: int
    example: Example


class Failures(msgspec.Struct, frozen=True, rename="camel"):
    """Failures of one kind in an answer: `given_up` of them are final, `retryable` are worth another attempt."""

    kind: str
    status_code: int
    given_up: int
    retryable: int
    example: Example

    def arguments(self, generation: int) -> tuple[str, int, int, bytes]:
        """Return what `settle` is told of it: kind, counts, and what is kept beside them."""
        kept = msgspec.json.encode(Kept(self.status_code, generation, self.example))
        return self.kind, self.given_up, self.retryable, kept


def group_failures(outcomes: Sequence[Outcome]) -> tuple[Failures, ...]:
    """Return the failures among these by kind, at most MOST_KINDS and then what is left, with the last of each."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            kind = f"{outcome.status_code}: {kind_of(outcome.result)}"
            kinds.setdefault(kind if kind in kinds or len(kinds) < MOST_KINDS else OTHER_KINDS, []).append(outcome)
    return tuple(_describe(kind, failed) for kind, failed in kinds.items())


def _describe(kind: str, failed: Sequence[Outcome]) -> Failures:
    retryable = sum(outcome.retryable for outcome in failed)
    last = failed[-1]
    return Failures(kind, last.status_code, len(failed) - retryable, retryable, example_of(last))


def example_of(outcome: Outcome) -> Example:
    """Show one failed item of a kind."""
    item, result = _cut(outcome.item, ITEM_LENGTH), _cut(_text(outcome.result), RESULT_LENGTH)
    return Example(outcome.index, item, result, outcome.call_id)


def kind_of(result: msgspec.Raw) -> str:
    """Return what a failure says, in one line, with marks in place of numbers, ids, quotations and URLs."""
    line = next((line for line in _text(result).splitlines() if line.strip()), "no reason given")
    for pattern, mark in _VARIABLE:
        line = pattern.sub(mark, line)
    return " ".join(line.split())[:KIND_LENGTH]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(result: msgspec.Raw) -> str:
    """Return the words of a result: text as it is, of an object what usually says it, anything else as JSON."""
    raw = bytes(result)
    try:
        said = _said(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    # A result that travels by reference is null here.
    if said is None:
        return "" if raw == b"null" else raw[:_READ].decode(errors="replace")
    return said[:_READ]


def _said(value: Any) -> str | None:
    if isinstance(value, dict):
        value = next((value[name] for name in _MESSAGES if value.get(name)), None)
        value = value.get("message") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None
