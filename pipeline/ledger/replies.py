"""The replies of the ledger's scripts, typed: the fields have the names in the headers of the scripts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pipeline.units import MICROSECONDS

Verdict = Literal["settled", "duplicate", "closed", "unknown"]
FailVerdict = Literal["retry", "exhausted", "skip", "duplicate", "stale", "closed", "unknown"]


@dataclass(frozen=True)
class Claim:
    """The verdict on a claim; `unknown`: a queued opening of a batch that is gone."""

    verdict: Literal["claimed", "exists", "conflict", "deleting", "unknown"]
    epoch: str


@dataclass(frozen=True)
class Phase:
    """Where a batch stands. `epoch` names this generation of this batch: anything with another epoch is stale.

    `paced`: its calls have to wait for their turn.
    """

    state: str
    generation: int
    epoch: str
    paced: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Start:
    """The verdict on a task's message. `paced`: its calls have to wait for their turn.

    `answered`: the model function has answered in this run, so that it exists. `settled` and `running`: the message is
    a duplicate. `closed`: the generation does not run any more.
    """

    verdict: Literal["run", "settled", "running", "closed", "unknown"]
    paced: bool = False
    answered: bool = False


@dataclass(frozen=True)
class GenerationRef:
    """The generation whose tasks are released, and the model function that they call."""

    batch: str
    epoch: str
    generation: int
    function: str


@dataclass(frozen=True)
class Settled:
    """The verdict of a settle, and the duties it took on: `segment` to write, `reduce` to start, tasks to release."""

    verdict: Verdict
    function: str
    segment: int | None
    reduce: bool
    release: tuple[int, ...]


@dataclass(frozen=True)
class Repairs:
    """What a sweep took over: `release` holds (task, attempt) pairs, `exhausted` tasks that were lost too often.

    `ended` is when the batch ended, by Redis' clock, and names that end. `lost` counts those of `release` that were
    lost, or that probe whether the queue still delivers. `notify` are the targets that are due to be notified of
    the end; `waiting`: some target is still to be notified. `missing` are objects to look for in the bucket.
    """

    state: str
    notify: tuple[int, ...] = ()
    waiting: bool = False
    generation: int = 0
    function: str = ""
    epoch: str = ""
    open: bool = False
    reduce: bool = False
    delete: bool = False
    segments: tuple[int, ...] = ()
    release: tuple[tuple[int, int], ...] = ()
    exhausted: tuple[int, ...] = ()
    ended: str = ""
    lost: int = 0
    missing: str = ""


@dataclass(frozen=True)
class Lease:
    """The lease of a reduce, or why there is none; `segments` are still to be written.

    `begun` is how many reduces of this generation took the lease, without those that were excused.
    """

    verdict: Literal["leased", "held", "lost", "closed", "unknown"]
    segments: tuple[int, ...]
    begun: int = 0


class Cancelled(NamedTuple):
    """The state before a cancel, '' for no such batch, and the duties that it took on."""

    state: str
    generation: int
    segment: int | None
    reduce: bool


class Deletion(NamedTuple):
    """The verdict on a deletion, and the state before, '' for no such batch.

    `held`: another replica deletes the batch. `open`: it has not ended. `gone`: no deletion has begun.
    """

    verdict: Literal["leased", "held", "open", "gone"]
    state: str


@dataclass(frozen=True)
class Redriven:
    """The verdict on a redrive, the state before, and the generation then."""

    state: str
    generation: int
    verdict: Literal["redriven", "under way", "open", "unopened", "unknown"]


@dataclass(frozen=True)
class Overview:
    """A batch in a list. `items` is None while it is being opened; times are seconds since 1970, None where not set."""

    state: str
    function: str
    items: int | None
    succeeded: int
    failed: int
    created: float | None
    ended: float | None


@dataclass(frozen=True)
class State:
    """All that Redis knows of a batch. `fields` are those of `fields.py`; `now` is Redis' clock in seconds.

    `series` are the counters of `measures.py`; `failures` and `notices` hold what `keys.py` says.
    """

    fields: Mapping[str, str]
    in_flight: int
    remaining: int
    now: float
    series: bytes = b""
    failures: Mapping[str, bytes] = field(default_factory=dict)
    notices: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.fields.get(name, "")

    def number(self, name: str) -> int:
        """A counter, 0 where it is not set."""
        return int(self.fields.get(name, 0))

    def seconds(self, name: str) -> float | None:
        """A time in seconds since 1970, None where it is not set."""
        value = self.fields.get(name)
        return int(value) / MICROSECONDS if value else None
