"""The status of a batch, typed. Times are in seconds since 1970, durations in seconds."""

from typing import Any

import msgspec

from pipeline.ledger.states import ENDED


class Links(msgspec.Struct, frozen=True):
    """The status by HTTP; as `s3://...` the summary and the folder of the other outputs, once they exist."""

    status: str | None = None
    summary: str | None = None
    outputs: str | None = None


class Throughput(msgspec.Struct, frozen=True):
    """Items settled in each slot of `width` seconds since this run began, oldest first."""

    width: float = 1.0
    counts: tuple[int, ...] = ()


class Latency(msgspec.Struct, frozen=True):
    """Quantiles of the durations of `tasks` tasks; each is the upper edge of its histogram bucket."""

    tasks: int = 0
    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None


class Example(msgspec.Struct, frozen=True):
    """One failed item: `index` is its row, from 0. The texts come from the model function and the input."""

    index: int | None = None
    item: str = ""
    result: str = ""
    call_id: str | None = None
    generation: int = 0


class FailureKind(msgspec.Struct, frozen=True):
    """Items that failed in the same way: `count` now, `retried` since; `at` is the time of the newest."""

    kind: str = ""
    status_code: int | None = None
    count: int = 0
    retried: int = 0
    at: float | None = None
    example: Example | None = None


class Notification(msgspec.Struct, frozen=True):
    """A target notified of the end: `kind` is `reduce` or `notify`, `state` is `due`, `delivered` or `given up`.

    `target` is a function or the origin of a URL; `status_code` and `at` belong to the last of `tries`.
    """

    target: str = ""
    kind: str = "notify"
    state: str = ""
    tries: int = 0
    status_code: int | None = None
    at: float | None = None


class SqlAnswer(msgspec.Struct, frozen=True):
    """The answer to the batch's query: the number of rows, and at most the first 10, or the `error`."""

    rows: int = 0
    columns: tuple[str, ...] = ()
    first: tuple[tuple[Any, ...], ...] = ()
    error: str | None = None


class Progress(msgspec.Struct, frozen=True):
    """The status of a batch at one moment.

    `items`, `succeeded`, `failed` and `retried` count items; `tasks`, `released`, `in_flight` and `settled` count
    tasks of the current generation. `rate` is in items a second. Counts are 0 while the batch is being opened.
    """

    state: str
    batch_id: str = ""
    reason: str | None = None
    trouble: str | None = None
    function: str | None = None
    generation: int = 0
    window: int | None = None
    rate_limit: float | None = None
    items: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    tasks: int = 0
    released: int = 0
    in_flight: int = 0
    settled: int = 0
    rate: float = 0.0
    eta: float | None = None
    created: float | None = None
    started: float | None = None
    completed: float | None = None
    ended: float | None = None
    elapsed: float = 0.0
    links: Links = Links()
    throughput: Throughput | None = None
    latency: Latency | None = None
    failures: tuple[FailureKind, ...] = ()
    notes: tuple[str, ...] = ()
    notifications: tuple[Notification, ...] = ()
    sql: SqlAnswer | None = None

    @property
    def over(self) -> bool:
        """Whether the batch has ended: nothing changes any more unless it is redriven."""
        return self.state in ENDED

    @property
    def flawless(self) -> bool:
        """Whether it is `done` without a failed item."""
        return self.state == "done" and not self.failed
