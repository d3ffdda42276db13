"""State outside of Redis: snapshots and segments in S3, and half-done work of replicas."""

from dataclasses import dataclass, field

import orjson

from pipeline.ledger.arguments import NewGeneration

Segments = dict[tuple[int, int], tuple[bytes, ...]]


@dataclass(frozen=True)
class Plan:
    """The snapshot of a generation: the items of each task; `attempts` generations begin by themselves."""

    new: NewGeneration
    tasks: list[list[int]]
    attempts: int


@dataclass(frozen=True)
class PendingWrite:
    """A segment whose answers a replica has read; it then writes them to S3 and confirms that."""

    epoch: str
    generation: int
    number: int
    answers: tuple[bytes, ...]


@dataclass(frozen=True)
class PreparedReduce:
    """A reduce that has written all segments: it begins the next generation, or ends the batch as `outcome`."""

    owner: str
    generation: int
    outcome: str
    plan: Plan | None
    succeeded: int
    failed: int


@dataclass
class StoredBatch:
    """Objects of a batch in S3; `late_segments` were written under an earlier epoch, too late to be found."""

    plans: list[Plan] = field(default_factory=list)
    segments: Segments = field(default_factory=dict)
    late_segments: list[PendingWrite] = field(default_factory=list)

    def results(self, segments: Segments, *, upto: int, current: bool = True) -> dict[int, str]:
        """The outcome of each item; unless `current`, an item of generation `upto` has no older outcome."""
        found: dict[int, str] = {}
        for generation in range(upto + 1):
            if generation == upto and not current:
                for items in self.plans[upto].tasks:
                    for item in items:
                        found.pop(item, None)
            for place, answers in segments.items():
                if place[0] == generation:
                    for answer in answers:
                        found |= dict(orjson.loads(answer)["items"])
        return found

    def tasks_written(self) -> list[tuple[int, int]]:
        """The generation and task of every answer in a segment."""
        segments = self.segments.items()
        return [(place[0], orjson.loads(answer)["task"]) for place, answers in segments for answer in answers]
