"""The ways that an item can go from the queue to the model function and home, and what asks for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.kit.figures import BARE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.client import SpecFields

# Fields of the specification; None is no batch of the pipeline's.
WAYS: Mapping[str, SpecFields | None] = {
    BARE: None,
    "chunk 1": {"chunk": 1},
    "direct": {"chunk": 1, "direct": True},
    "chunk 10": {"chunk": 10},
    "chunk auto": {"chunk": "auto"},
}
# The specification's own default, said here since the ideal makespan follows from it.
CONCURRENCY = 8


def side_by_side(way: str) -> int:
    """Return how many items a task of this way calls side by side; `auto` depends on the batch and is 1 here."""
    fields = WAYS[way]
    chunk = 1 if fields is None else fields.get("chunk", 1)
    return 1 if chunk == "auto" else min(CONCURRENCY, chunk)


def called_at_once(items: int, tasks: int) -> int:
    """Return how many items a task calls side by side, as `tasks` of them were made of `items`."""
    return min(CONCURRENCY, -(-items // tasks))
