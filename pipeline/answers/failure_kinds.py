"""Kinds of failure: failures are grouped by their message, without the parts that differ from item to item."""

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
# Of a long text only the start is read, so that it costs no more than a short one.
_READ = 300
_MESSAGES = ("error", "message", "detail", "title", "reason")
_VARIABLE = (
    (re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://\S+", re.ASCII | re.IGNORECASE), "URL"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "'…'"),
    (re.compile(r"\b(0x)?(?=[a-f-]*\d)[0-9a-f]{4,}(-[0-9a-f]{4,})*\b", re.ASCII | re.IGNORECASE), "#"),
    # Together with the marks that the line above has left in fractions, versions and addresses.
    (re.compile(r"(\d+|#)(\.(\d+|#))*"), "#"),
)


class Example(msgspec.Struct, frozen=True, rename="camel"):
    """A failed item of a kind; `item` and `result` end in `…` where they are cut.

    Both are texts of the user and the model function, and not to be trusted.
    """

    index: int
    item: str
    result: str
    call_id: str


class FailureDetail(msgspec.Struct, frozen=True, array_like=True):
    """The newest failure of a kind, as the ledger has it beside the counts."""

    status_code: int
    generation: int
    example: Example


class FailureGroup(msgspec.Struct, frozen=True, rename="camel"):
    """The failures of one kind in an answer: `given_up` of them are final, `retryable` may run again."""

    kind: str
    status_code: int
    given_up: int
    retryable: int
    example: Example

    def arguments(self, generation: int) -> tuple[str, int, int, bytes]:
        """Return the arguments of `settle.lua`: kind, counts, and the FailureDetail as JSON."""
        detail = msgspec.json.encode(FailureDetail(self.status_code, generation, self.example))
        return self.kind, self.given_up, self.retryable, detail


def group_failures(outcomes: Sequence[Outcome]) -> tuple[FailureGroup, ...]:
    """Return the failed outcomes by kind: MOST_KINDS kinds, then one group of all other kinds."""
    kinds: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        if outcome.status == "failed":
            kind = f"{outcome.status_code}: {kind_of(outcome.result)}"
            kinds.setdefault(kind if kind in kinds or len(kinds) < MOST_KINDS else OTHER_KINDS, []).append(outcome)
    return tuple(_group(kind, failed) for kind, failed in kinds.items())


def _group(kind: str, failed: Sequence[Outcome]) -> FailureGroup:
    retryable = sum(outcome.retryable for outcome in failed)
    last = failed[-1]
    return FailureGroup(kind, last.status_code, len(failed) - retryable, retryable, example_of(last))


def example_of(outcome: Outcome) -> Example:
    """Return a failed outcome as the example of its kind."""
    item, result = _cut(outcome.item, ITEM_LENGTH), _cut(_text(outcome.result), RESULT_LENGTH)
    return Example(outcome.index, item, result, outcome.call_id)


def kind_of(result: msgspec.Raw) -> str:
    """Return the first line of a failure's message, with marks in place of numbers, ids, quotations and URLs."""
    line = next((line for line in _text(result).splitlines() if line.strip()), "no reason given")
    for pattern, mark in _VARIABLE:
        line = pattern.sub(mark, line)
    return " ".join(line.split())[:KIND_LENGTH]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(result: msgspec.Raw) -> str:
    """Return the message of a result: a string, or the usual field of an object; anything else as JSON."""
    raw = bytes(result)
    try:
        message = _message(msgspec.json.decode(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        message = None
    # A result that is stored as an object of its own is null here.
    if message is None:
        return "" if raw == b"null" else raw[:_READ].decode(errors="replace")
    return message[:_READ]


def _message(value: Any) -> str | None:
    if isinstance(value, dict):
        value = next((value[name] for name in _MESSAGES if value.get(name)), None)
        value = value.get("message") if isinstance(value, dict) else value
    return value if isinstance(value, str) else None
