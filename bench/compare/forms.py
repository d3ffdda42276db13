"""The compared forms of each way, as its own documentation advises them, and the medians of their runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Literal

from bench.kit.errors import BenchError
from pipeline.client import SpecFields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Way = Literal["pipeline", "original", "celery", "lithops", "dask"]
WAYS: tuple[Way, ...] = ("pipeline", "original", "celery", "lithops", "dask")

# Ten tasks for each of four workers at 1,000 items: enough to share them out evenly.
CHUNK = 25


@dataclass(frozen=True)
class Form:
    """One row of the comparison.

    `chunk` is the items a task; `spec` are further fields of the specification, for the pipeline only.
    """

    way: Way
    name: str
    words: str
    chunk: int | Literal["auto"] = 1
    spec: SpecFields = field(default_factory=SpecFields)


# One item at a time within a task: then no form has more calls under way at once than there are workers.
ONE_BY_ONE = SpecFields(concurrency=1)
CALL = SpecFields(chunk_call=True)

FORMS: tuple[Form, ...] = (
    Form("pipeline", "pipeline", "chunk 1"),
    Form("pipeline", "pipeline-direct", "direct calls", spec=SpecFields(direct=True)),
    Form("pipeline", "pipeline-auto", "chunk auto", "auto"),
    Form("pipeline", "pipeline-auto-call", "chunk auto, called once a chunk", "auto", CALL),
    Form("pipeline", "pipeline-chunk", f"chunk {CHUNK}", CHUNK, ONE_BY_ONE),
    Form("pipeline", "pipeline-chunk-call", f"chunk {CHUNK}, called once a chunk", CHUNK, CALL),
    Form("original", "original", "three functions, one item a message"),
    Form("celery", "celery", "chord, one item a task"),
    Form("celery", "celery-chunk", f"chord over chunks of {CHUNK}", CHUNK),
    Form("lithops", "lithops", "map_reduce, one item a call"),
    Form("lithops", "lithops-chunk", f"map_reduce, {CHUNK} items a call", CHUNK),
    Form("dask", "dask", "futures, one item a task"),
    Form("dask", "dask-chunk", f"futures, {CHUNK} items a task", CHUNK),
)


def choose(ways: str) -> tuple[Form, ...]:
    """Return the forms of the named ways, separated by commas; all forms for ''. Raises BenchError."""
    named = [part.strip() for part in ways.split(",") if part.strip()] or list(WAYS)
    if unknown := sorted(set(named) - set(WAYS)):
        raise BenchError(f"there is no way {', '.join(unknown)}; there are: {', '.join(WAYS)}")
    return tuple(form for form in FORMS if form.way in named)


@dataclass(frozen=True)
class Run:
    """One batch of one form.

    `seconds` is from just before the submission until the summary was read; `cpu_ms` is milliseconds of processor time
    an item, by group of processes: the way's own are `way`.
    """

    form: Form
    repeat: int
    items: int
    parallelism: int
    model_ms: int
    seconds: float
    cpu_ms: Mapping[str, float]

    @property
    def items_per_second(self) -> float:
        """Throughput, end to end."""
        return self.items / self.seconds


@dataclass(frozen=True)
class Point:
    """The runs of a form: median, lowest and highest items a second, medians of seconds and of milliseconds an item.

    `ratio` is the median throughput as a multiple of that of the first form that was run.
    """

    form: Form
    items_per_second: float
    lowest: float
    highest: float
    ratio: float
    seconds: float
    cpu_ms: Mapping[str, float]


def medians(runs: Sequence[Run]) -> list[Point]:
    """Return one point a form, in the order of the first runs."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.form.name, []).append(run)
    points: list[Point] = []
    for group in groups.values():
        base = points[0].items_per_second if points else median(run.items_per_second for run in group)
        points.append(_point(group, base))
    return points


def _point(group: Sequence[Run], base: float) -> Point:
    rates = [run.items_per_second for run in group]
    rate = median(rates)
    return Point(
        form=group[0].form,
        items_per_second=rate,
        lowest=min(rates),
        highest=max(rates),
        ratio=rate / base,
        seconds=median(run.seconds for run in group),
        cpu_ms={name: median(run.cpu_ms[name] for run in group) for name in group[0].cpu_ms},
    )
