"""Outcomes of items and answers of tasks."""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from pipeline.answers.envelope import encode_answer
from pipeline.answers.outcome import Outcome


def outcome(
    index: int,
    status: Literal["succeeded", "failed"] = "succeeded",
    *,
    result: bytes = b"null",
    retryable: bool = False,
    **more: Any,
) -> Outcome:
    """The outcome of an item."""
    code = 200 if status == "succeeded" else 500
    raw = msgspec.Raw(result)
    return Outcome(index, f"item {index}", status, code, 1, 0.5, f"call-{index}", retryable, raw, **more)


def answer(outcomes: Iterable[Outcome]) -> bytes:
    """The answer of a task with these outcomes."""
    return encode_answer(list(outcomes))


def answers(*indices: int, result: bytes = b"null") -> list[bytes]:
    """One answer for each item, in this order."""
    return [answer([outcome(index, result=result)]) for index in indices]
