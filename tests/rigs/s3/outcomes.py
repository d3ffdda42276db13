"""Outcomes and answers made by hand."""

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
    """What became of an item."""
    code = 200 if status == "succeeded" else 500
    raw = msgspec.Raw(result)
    return Outcome(index, f"item {index}", status, code, 1, 0.5, f"call-{index}", retryable, raw, **more)


def answer(outcomes: Iterable[Outcome]) -> bytes:
    """A task's answer."""
    return encode_answer(list(outcomes))


def answers(*indices: int, result: bytes = b"null") -> list[bytes]:
    """One answer an item, in this order."""
    return [answer([outcome(index, result=result)]) for index in indices]
