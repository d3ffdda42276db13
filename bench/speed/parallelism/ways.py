"""The ways that items go, and the cases of a sweep."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.client import SpecFields

BARE = "bare"
RUN_SECONDS = 1.5
# So that the first round, in which all messages are queued, has little weight in the efficiency.
ROUNDS = 20
# Rough figures of one queue-worker and of two cores: they set the length of a run, never a result.
ITEM_OVERHEAD_MS = 3.0
CEILING_PER_SECOND = 1000.0
TRAFFIC = (
    *("http_requests_per_item", "redis_round_trips_per_item", "redis_commands_per_item", "s3_requests_per_item"),
    *("task_p50_ms", "task_p99_ms", "collect_p50_ms", "collect_p99_ms"),
)
# Fields of the specification; None for no batch of the pipeline.
WAYS: Mapping[str, SpecFields | None] = {
    BARE: None,
    "chunk 1": {"chunk": 1},
    "direct": {"chunk": 1, "direct": True},
    "chunk 10": {"chunk": 10},
    "chunk auto": {"chunk": "auto"},
}
# The default of a specification: the ideal makespan follows from it.
CONCURRENCY = 8


@dataclass(frozen=True)
class Case:
    """One case: the way of the items, the queue-workers at work, the milliseconds of a model call, the items to run."""

    way: str
    parallelism: int
    model_ms: int
    items: int


@dataclass(frozen=True)
class Sweep:
    """Every way at every parallelism with every model time (milliseconds), `repeats` times.

    `items` are those of a run; None chooses them so that it lasts some seconds.
    """

    ways: tuple[str, ...]
    parallelism: tuple[int, ...]
    model_ms: tuple[int, ...]
    repeats: int
    items: int | None

    def cases(self, parallelism: int) -> list[Case]:
        """Return the cases of one parallelism with their items; the compared ways follow each other."""
        return [
            Case(way, parallelism, ms, self.items or items_for(parallelism, ms, side_by_side(way)))
            for ms in self.model_ms
            for way in self.ways
        ]


def items_for(parallelism: int, model_ms: int, at_once: int = 1) -> int:
    """Choose the items of a run that is to last about 1.5 s, or 20 rounds of calls.

    A multiple of the parallelism: the ideal makespan can be reached only when no worker idles in the last round.
    """
    calls = parallelism * at_once
    rate = min(1000 * calls / (model_ms + ITEM_OVERHEAD_MS), CEILING_PER_SECOND)
    seconds = max(RUN_SECONDS, ROUNDS * model_ms / 1000)
    return calls * math.ceil(seconds * rate / calls)


def side_by_side(way: str) -> int:
    """Return how many items a task of this way calls side by side; `auto` depends on the batch and is 1 here."""
    spec = WAYS[way]
    chunk = 1 if spec is None else spec.get("chunk", 1)
    return 1 if chunk == "auto" else min(CONCURRENCY, chunk)


def called_at_once(items: int, tasks: int) -> int:
    """Return how many items a task calls side by side, as `tasks` of them were made of `items`."""
    return min(CONCURRENCY, -(-items // tasks))
