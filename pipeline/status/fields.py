"""The fields of the status document, each with its type and a line that says what it is.

The API's description, the client's `Progress` and the pages are checked against this. Times are in seconds since 1970.
"""

from typing import TypedDict


class Links(TypedDict):
    """Addresses of the status and the outputs."""

    status: str
    """URL of this document."""
    summary: str | None
    """`s3://` address of the summary, once there is one."""
    outputs: str | None
    """`s3://` address of the folder of the other outputs, once there are any."""


class Throughput(TypedDict):
    """Items settled since the present run began, in slots of equal width, the first one first."""

    width: float
    """Seconds of a slot."""
    counts: list[int]
    """Items settled in each slot."""


class Latency(TypedDict):
    """Durations of the present run's tasks in seconds, by the queue-worker; each is up to 19 % above the true one."""

    tasks: int
    """Tasks that were measured."""
    p50: float
    """Half of the tasks took at most this long."""
    p90: float
    """90 % of the tasks took at most this long."""
    p99: float
    """99 % of the tasks took at most this long."""
    max: float
    """All tasks took at most this long."""


class Example(TypedDict):
    """One failed item; its texts are what the submitter and the model function wrote."""

    index: int
    """Row of the item, from 0."""
    item: str
    """The item, cut."""
    result: str
    """Answer of the model function, cut."""
    call_id: str
    """X-Call-Id of the call."""
    generation: int
    """Generation in which it failed."""


class FailureKind(TypedDict):
    """Items that failed in the same way."""

    kind: str
    """The failure in words, without what differs from item to item."""
    status_code: int
    """HTTP status of the calls."""
    count: int
    """Items that have failed like this."""
    retried: int
    """Failures of this kind after which the item ran again."""
    at: float
    """Time of the newest of them."""
    example: Example
    """The newest of them."""


class Notification(TypedDict):
    """Somebody who is told of the end."""

    target: str
    """A function, or of a URL its origin."""
    kind: str
    """`reduce` or `notify`."""
    state: str
    """`due`, `delivered` or `given up`."""
    tries: int
    """Tries so far."""
    status_code: int | None
    """HTTP status of the last answer, null for none."""
    at: float | None
    """Time of the last try."""


class SqlAnswer(TypedDict):
    """Answer to the query of the specification, once the batch has ended; at most 16 KiB."""

    rows: int
    """Rows of the whole answer."""
    columns: list[str]
    """Names of its first columns."""
    first: list[list[str | float | bool | None]]
    """Its first rows; a value that is not a number or a boolean is text, cut at 200 characters."""
    error: str | None
    """Why there is no answer."""


class Status(TypedDict):
    """How far a batch is; times are in seconds since 1970."""

    batch_id: str
    """Id of the batch."""
    state: str
    """State of the batch."""
    reason: str | None
    """Why the batch was cancelled or has failed."""
    trouble: str | None
    """Problem that an opening or a reduce met, and after which it is tried again."""
    function: str
    """Model function."""
    generation: int
    """Number of the current generation, from 0."""
    window: int
    """Maximum of tasks in the queue or running."""
    rate_limit: float | None
    """Maximum of calls to the model function per second."""
    items: int
    """Items of the batch."""
    succeeded: int
    """Items that have succeeded."""
    failed: int
    """Items that have failed."""
    retried: int
    """Items that ran again after a failure."""
    tasks: int
    """Tasks of the current generation."""
    released: int
    """Tasks of the current generation that were queued."""
    in_flight: int
    """Tasks that are in the queue or running."""
    settled: int
    """Tasks of the current generation whose outcomes are recorded."""
    rate: float
    """Items settled per second of the present run."""
    eta: float | None
    """Seconds until the present run ends, at this rate."""
    created: float | None
    """Time of the submission."""
    started: float | None
    """Time at which the first task could run."""
    completed: float | None
    """Time at which the last task was settled."""
    ended: float | None
    """Time at which the outputs were written."""
    elapsed: float
    """Seconds from `started` to `ended`, or to now."""
    links: Links
    notes: list[str]
    """Remarks on an ended batch: which outputs are missing, and why."""
    throughput: Throughput
    latency: Latency | None
    failures: list[FailureKind]
    """Kinds of failure, the newest first."""
    notifications: list[Notification]
    """Who is told of the end, the function that reduces first."""
    sql: SqlAnswer | None
