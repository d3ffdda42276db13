"""The counters of a run, which `settle` writes into a fixed number of bytes: items settled over time, task durations.

They are one string of 32-bit numbers: SLOTS of items, which become twice as wide whenever the last one is full, then
BUCKETS of task durations, each 2^(1/4) times as wide as the one before.
"""

import math
import struct
from dataclasses import dataclass

from pipeline.ledger.replies import State
from pipeline.units import MICROSECONDS

SLOTS = 120
BUCKETS = 96
SHORTEST = 0.001
PER_OCTAVE = 4
FIRST_WIDTH = 1.0
_LAYOUT = struct.Struct(f">{SLOTS + BUCKETS}I")


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration: the first whose upper edge is not below it, or the last."""
    if seconds <= SHORTEST:
        return 0
    return min(BUCKETS - 1, math.ceil(round(PER_OCTAVE * math.log2(seconds / SHORTEST), 9)))


def upper_edge(bucket: int) -> float:
    """Return the longest duration of a bucket, in seconds."""
    return round(SHORTEST * 2 ** (bucket / PER_OCTAVE), 6)


@dataclass(frozen=True)
class Measures:
    """`slots` are items settled, each in `width` seconds from the start of the run to now; `buckets` are tasks."""

    width: float
    slots: tuple[int, ...]
    buckets: tuple[int, ...]

    @property
    def tasks(self) -> int:
        """How many tasks have a known duration."""
        return sum(self.buckets)

    def quantile(self, share: float) -> float:
        """Return the duration in seconds that this share of tasks does not exceed: the upper edge of its bucket."""
        rank, seen = max(1, math.ceil(share * self.tasks)), 0
        for bucket, count in enumerate(self.buckets):
            seen += count
            if seen >= rank:
                return upper_edge(bucket)
        return 0.0


def read_measures(state: State) -> Measures:
    """Read the counters of a ledger; there are no slots before the run begins."""
    numbers = _LAYOUT.unpack(state.series.ljust(_LAYOUT.size, b"\0")[: _LAYOUT.size])
    width = state.number("slot_width") / MICROSECONDS or FIRST_WIDTH
    run_at = state.seconds("run_at")
    now = state.seconds("completed") or state.now
    begun = 0 if run_at is None else min(SLOTS, int(max(0.0, now - run_at) / width) + 1)
    return Measures(width, numbers[:begun], numbers[SLOTS:])
