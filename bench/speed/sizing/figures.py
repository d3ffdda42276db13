"""The measured batches and their figures, and the formulas from them: pure functions over rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fails = Literal["", "calls", "items"]
Group = Literal["size", "window", "result", "attempts", "parallelism"]
# AWS' list price of S3 Standard in us-east-1 on this day, in dollars a request. Deletions and aborts cost nothing.
PRICED_ON = "2026-11-26"
PUT_DOLLARS = 0.005 / 1000
GET_DOLLARS = 0.0004 / 1000
PUTS = frozenset(
    {
        *("PutObject", "CopyObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"),
        *("CompleteMultipartUpload", "ListObjects", "ListMultipartUploads"),
    }
)
FREE = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})
GETS = frozenset({"GetObject", "HeadObject"})
OPERATIONS = (*sorted(PUTS), *sorted(GETS), *sorted(FREE))
KEYS = ("ledger", "outcomes", "inflight", "settled", "due", "remaining", "attempts", "series", "failures", "other")
MILLION = 1_000_000


@dataclass(frozen=True)
class Case:
    """One batch to run, of the group of cases that it is compared with.

    `result_bytes` is about the size of a result; a tenth of the calls or of the items fails, by `fails`; `workers` are
    the queue-workers at work; the model function takes `model_ms` milliseconds a call.
    """

    group: Group
    items: int
    chunk: int
    window: int = 128
    result_bytes: int = 100
    attempts: int = 3
    fails: Fails = ""
    workers: int = 4
    model_ms: int = 0


@dataclass(frozen=True)
class Row:
    """One batch, measured.

    `seconds` are from the first release to the last item counted. Redis is in bytes: `redis_peak` is its peak above its
    use before, `redis_kept` the size of the batch's keys after its end, `keys` the peak of each kind of key. `messages`
    are those in the queue, `calls` those of the model function, `s3` the requests by operation, `stored` the bytes in
    the bucket by kind.
    """

    case: Case
    seconds: float
    redis_peak: int
    redis_kept: int
    messages: int
    calls: int
    failed: int
    retried: int
    keys: Mapping[str, int]
    s3: Mapping[str, int]
    stored: Mapping[str, int]

    @property
    def puts(self) -> int:
        """Requests that are priced as a PUT."""
        return sum(self.s3.get(name, 0) for name in PUTS)

    @property
    def gets(self) -> int:
        """Requests that are priced as a GET."""
        return sum(self.s3.get(name, 0) for name in GETS)

    @property
    def dollars(self) -> float:
        """List price of the requests."""
        return self.puts * PUT_DOLLARS + self.gets * GET_DOLLARS


@dataclass(frozen=True)
class Requests:
    """S3 requests of a batch: once, and for each 1,000 items."""

    puts_once: float
    gets_once: float
    puts: float
    gets: float

    @property
    def million_dollars(self) -> float:
        """List price of the requests of one batch of a million items."""
        thousands = MILLION / 1000
        puts, gets = self.puts_once + thousands * self.puts, self.gets_once + thousands * self.gets
        return puts * PUT_DOLLARS + gets * GET_DOLLARS


@dataclass(frozen=True)
class Memory:
    """Redis' peak of an open batch in bytes: `once` + `task` x window + `outcome` x the outcomes that wait."""

    once: float
    task: float
    outcome: float
    off: float


def requests(rows: Sequence[Row]) -> Requests:
    """Lay the line from the smallest to the largest of batches that differ in their items only."""
    small, large = min(rows, key=lambda row: row.case.items), max(rows, key=lambda row: row.case.items)
    thousands = (large.case.items - small.case.items) / 1000
    puts, gets = ((large.puts - small.puts) / thousands, (large.gets - small.gets) / thousands)
    begun = small.case.items / 1000
    return Requests(small.puts - begun * puts, small.gets - begun * gets, puts, gets)


def memory(rows: Sequence[Row]) -> Memory:
    """Fit the memory of batches; distances count as shares. A task of the window costs as much as its key.

    A window is far below the rest, so a fit of it would fit noise.
    """
    task = max(row.keys["inflight"] / min(row.case.window, row.case.items // row.case.chunk) for row in rows)
    peaks = np.array([row.redis_peak - task * row.case.window for row in rows], dtype=float)
    outcomes = np.array([row.keys["outcomes"] for row in rows], dtype=float)
    outcome, once = np.polyfit(outcomes, peaks, 1, w=1 / peaks)
    off = np.abs(once + outcome * outcomes - peaks) / peaks
    return Memory(float(once), task, float(outcome), float(off.max()))


def of_group(rows: Sequence[Row], group: Group) -> list[Row]:
    """Return the rows of a group, as they were measured."""
    return [row for row in rows if row.case.group == group]


def of_chunk(rows: Sequence[Row], chunk: int) -> list[Row]:
    """Return the rows of the batches that differ in their items only."""
    return [row for row in of_group(rows, "size") if row.case.chunk == chunk]


SIZES = (
    *(Case("size", items, chunk) for items in (1_000, 10_000) for chunk in (1, 10, 100)),
    *(Case("size", 100_000, chunk) for chunk in (10, 100)),
)
WINDOWS = tuple(Case("window", 10_000, 10, window=window) for window in (32, 128, 512))
RESULTS = (
    *(Case("result", 5_000, chunk, result_bytes=1024) for chunk in (1, 10, 100)),
    *(Case("result", 2_000, chunk, result_bytes=10_240) for chunk in (1, 10)),
)
ATTEMPTS = tuple(
    Case("attempts", 300, 1, attempts=attempts, fails=fails, workers=16)
    for fails in ("calls", "items")
    for attempts in (1, 2, 3)
)
# Three times over, since it is the seconds that count here; repeats outermost.
PARALLELISM = (
    *(Case("parallelism", 480, 1, window=window, workers=16, model_ms=100) for window in (8, 16, 24, 32, 64, 128)),
) * 3
CASES = (*SIZES, *WINDOWS, *RESULTS, *ATTEMPTS, *PARALLELISM)
