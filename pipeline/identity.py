"""The identity of one attempt of a task, which messages, callbacks and answers carry."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pipeline.errors import ForbiddenError

Purpose = Literal[
    "task", "reduce", "open", "callback", "direct callback", "answer", "probe", "probe callback", "notice"
]
_CALLS = uuid.UUID("6c8ee0f5-6a1b-5d0c-9d53-1f0f0a5e7a51")


@dataclass(frozen=True)
class Identity:
    """One attempt of one task, to which a message, its callback and its answer belong.

    `epoch` names one life of the batch's id: anything stamped with another epoch is stale.
    """

    batch: str
    generation: int
    task: int = 0
    attempt: int = 0
    epoch: str = ""

    def call_id(self, item: int | None = None, purpose: Purpose = "task") -> str:
        """Return the X-Call-Id of this attempt, or of its call for one item; it is the same for every delivery."""
        parts = [purpose, self.batch, self.epoch, self.generation, self.task, self.attempt]
        return str(uuid.uuid5(_CALLS, "/".join(map(str, parts if item is None else [*parts, item]))))

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self:
        """Read the identity from a signed URL; raises ForbiddenError if a part is missing or not a number."""
        try:
            generation, task, attempt = (_number(query[name]) for name in ("generation", "task", "attempt"))
            return cls(query["batch"], generation, task, attempt, query.get("epoch", ""))
        except (KeyError, ValueError):
            raise ForbiddenError("a signed URL was expected: batch, generation, task, attempt, key, sig") from None


def _number(text: str) -> int:
    """Read a number in the one spelling that is signed: int() also takes spaces, signs and other scripts' digits."""
    number = int(text)
    if str(number) != text:
        raise ValueError
    return number
