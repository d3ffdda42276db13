"""The ways that items go, and the cases of a sweep."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from pipeline.client import SpecFields

BARE = "bare"
RUN_SECONDS = 1.5
# So that the first round, in which all messages are queued, has little weight in the efficiency.
ROUNDS = 20
# Rough figures of one queue-worker and of two cores: they set the length of a run, never a result.
ITEM_OVERHEAD_MS = 3.0
CEILING_PER_SECOND = 1000.0
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


def cases_of(
    ways: Sequence[str], parallelism: Sequence[int], model_ms: Sequence[int], items: int | None = None
) -> list[Case]:
    """Return every way at every parallelism with every model time; the compared ways follow each other.

    Without `items` a run has as many as take some seconds.
    """
    return [
        Case(way, workers, ms, items or items_for(workers, ms, CONCURRENCY if way == "chunk 10" else 1))
        for workers, ms, way in product(parallelism, model_ms, ways)
    ]


def items_for(parallelism: int, model_ms: int, at_once: int) -> int:
    """Choose the items of a run that is to last about 1.5 s, or 20 rounds of calls.

    A multiple of the parallelism: the ideal makespan can be reached only when no worker idles in the last round.
    """
    calls = parallelism * at_once
    rate = min(1000 * calls / (model_ms + ITEM_OVERHEAD_MS), CEILING_PER_SECOND)
    return calls * math.ceil(max(RUN_SECONDS, ROUNDS * model_ms / 1000) * rate / calls)


def called_at_once(items: int, tasks: int) -> int:
    """Return how many items a task calls side by side, as `tasks` of them were made of `items`."""
    return min(CONCURRENCY, -(-items // tasks))
