"""When a batch did what, as its last status tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.kit.errors import BenchError

if TYPE_CHECKING:
    from pipeline.client import Progress


@dataclass(frozen=True)
class Times:
    """Seconds since 1970: claimed, first task released, last task settled, summary written."""

    created: float
    started: float
    completed: float
    ended: float


def times_of(progress: Progress) -> Times:
    """Return the times of a batch that has ended; raises BenchError for one that has not come so far."""
    created, started, completed, ended = progress.created, progress.started, progress.completed, progress.ended
    if created is None or started is None or completed is None or ended is None:
        raise BenchError(f"batch {progress.batch_id} is {progress.state} without having run: {progress.reason}")
    return Times(created, started, completed, ended)
